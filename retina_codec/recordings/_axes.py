"""Which axis of a stored movie is which, and what colours become."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Real

from retina_codec.datatypes import Recording

from ._lazy import Grey, Turned

TIME, Y, X, CHANNEL = AXES = ("time", "y", "x", "channel")
WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)
CHANNELS = (1, 3, 4)
BLOCK_FRAMES = 1000

Colour = Callable[[np.ndarray], np.ndarray]
"""From frames "time y x channel" to "time y x"."""


def luminance(frames: Real[np.ndarray, "time y x channel"]) -> Float[np.ndarray, "time y x"]:
    """Luma of red, green and blue (ITU-R 601-2); a fourth channel (alpha) does not count.

    Parameters
    ----------
    frames
        Of a movie in colour; 3 or 4 channels.

    Examples
    --------
    >>> float(luminance(np.full((1, 1, 1, 3), 100))[0, 0, 0].round(3))
    100.0
    """
    return frames[..., : len(WEIGHTS)].astype(np.float32) @ WEIGHTS


def one_channel(number: int) -> Colour:
    """Return a function that takes one channel of a colour movie, from 0.

    Parameters
    ----------
    number
        Of the channel.

    Returns
    -------
    Callable
        From frames "time y x channel" to "time y x"; a ValueError if there is no such channel.

    Examples
    --------
    >>> one_channel(2)(np.array([[[[5, 6, 7]]]])).tolist()
    [[[7]]]
    """

    def channel(frames: Real[np.ndarray, "time y x channel"]) -> Real[np.ndarray, "time y x"]:
        if not 0 <= number < frames.shape[-1]:
            msg = f"No channel {number}: the movie has {frames.shape[-1]}, from 0."
            raise ValueError(msg)
        return frames[..., number]

    return channel


@dataclass(frozen=True)
class Layout:
    """How to understand a stored movie: its axes and its colours, if the user said."""

    axes: str | None = None
    colour: Colour | None = None


def in_order(frames: Any, layout: Layout, n_times: int | None, name: str) -> tuple[Any, bool]:
    """Return frames as "time y x", and whether their axes were guessed.

    Raises
    ------
    ValueError
        If the stated axes do not fit the movie.

    Warns
    -----
    UserWarning
        If axes were guessed, or colours became luminance.
    """
    order = _stated(layout.axes, frames.ndim, name) if layout.axes else None
    guessed = order is None and _time_is_last(frames.shape, n_times)
    if guessed:
        order = tuple(range(frames.ndim))[::-1]
        message = (
            f"Stimulus {name!r}: shape {frames.shape}, but {n_times} timestamps; the axes were "
            "taken as 'x y time'. Say with 'axes' how they are, such as axes='y x time'."
        )
        warnings.warn(message, stacklevel=2)
    if order is not None and order != tuple(range(frames.ndim)):
        frames = Turned(frames, order)
    return (frames if frames.ndim == 3 else _without_colour(frames, layout, name)), guessed


def _stated(axes: str, ndim: int, name: str) -> tuple[int, ...]:
    words, expected = axes.split(), AXES[:ndim]
    if sorted(words) != sorted(expected):
        msg = (
            f"'axes' must name each of {', '.join(expected)} once, in the order of the file, for "
            f"the {ndim}-D stimulus {name!r}; got {axes!r}."
        )
        raise ValueError(msg)
    return tuple(words.index(axis) for axis in expected)


def _time_is_last(shape: tuple[int, ...], n_times: int | None) -> bool:
    """Whether only the last axis fits the number of timestamps."""
    return len(shape) == 3 and [size == n_times for size in shape] == [False, False, True]


def _without_colour(frames: Any, layout: Layout, name: str) -> Grey:
    if layout.colour is not None:
        return Grey(frames, layout.colour)
    if frames.shape[-1] == 1:
        return Grey(frames, one_channel(0))
    if frames.shape[-1] not in CHANNELS:
        msg = (
            f"Stimulus {name!r} has shape {frames.shape}; expected 1, 3 or 4 channels on the last "
            "axis. Say with 'axes' how the axes are, or with 'colour' what to make of them."
        )
        raise ValueError(msg)
    message = (
        f"Stimulus {name!r} is in colour; it was turned into luminance. "
        "Choose a channel, if you like: colour=recordings.one_channel(0)."
    )
    warnings.warn(message, stacklevel=2)
    return Grey(frames, luminance)


def coherence(recording: Recording, *, n_lags: int = 20, max_frames: int = 20_000) -> np.ndarray:
    """How smooth the spike-triggered average of each cell is along y and along x.

    A movie whose axes were mistaken tears receptive fields apart: along one axis, at least,
    neighbouring pixels have nothing to do with one another any more.

    Parameters
    ----------
    recording
        Best of white noise; fields must be larger than a pixel.
    n_lags
        Frames before a spike that are looked at.
    max_frames
        Length of the part that is looked at, from the first frame on.

    Returns
    -------
    "cell 2": correlation of neighbours along y and along x at the lag of most power, around 0 where
    there is no order, up to 1 for wide fields; NaN for cells without spikes.

    Examples
    --------
    >>> import pandas as pd
    >>> from retina_codec.datatypes import Stimulus
    >>> noise = np.random.default_rng(0).normal(size=(2000, 6, 6))
    >>> drive = np.maximum(noise[:, 1:4, 1:4].sum(axis=(1, 2)), 0)
    >>> rates = np.roll(drive, 3)[:, np.newaxis]
    >>> movie = Stimulus(frames=noise, frame_rate_hz=100.0)
    >>> cells = pd.DataFrame({"cell": [0]})
    >>> recording = Recording(stimulus=movie, rates=rates, cells=cells, splits={})
    >>> bool((coherence(recording, n_lags=5) > 0.3).all())
    True
    """
    averages = _averages(recording, n_lags, min(max_frames, recording.rates.shape[0]))
    power = np.square(averages).sum(axis=(2, 3))
    maps = averages[np.arange(len(averages)), power.argmax(axis=1)]
    total = np.square(maps).sum(axis=(1, 2))
    along_y = (maps[:, 1:] * maps[:, :-1]).sum(axis=(1, 2))
    along_x = (maps[:, :, 1:] * maps[:, :, :-1]).sum(axis=(1, 2))
    known = np.where(total > 0, total, np.nan)
    return np.stack([along_y / known, along_x / known], axis=1)


def _averages(
    recording: Recording, n_lags: int, n_frames: int
) -> Float[np.ndarray, "cell lag y x"]:
    """Average of frames before the rates, block by block, less that of frames in general."""
    rates = np.nan_to_num(np.asarray(recording.rates[:n_frames], dtype=np.float64))
    weights = rates - rates.mean(axis=0)
    sums = np.zeros((rates.shape[1], n_lags, *recording.stimulus.frames.shape[1:]))
    mean = np.asarray(recording.stimulus.frames[: min(BLOCK_FRAMES, n_frames)]).mean()
    for first in range(0, n_frames, BLOCK_FRAMES):
        block = np.asarray(recording.stimulus.frames[first : first + BLOCK_FRAMES]) - mean
        block = block[: n_frames - first]
        for lag in range(n_lags):
            after = weights[first + n_lags - lag : first + n_lags - lag + len(block)]
            sums[:, lag] += np.tensordot(after.T, block[: len(after)], axes=1)
    return sums
