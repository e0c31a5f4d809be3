"""A recording from arrays that are in memory, as in a notebook."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from retina_codec.datatypes import Recording, Stimulus

from ._frame_clock import as_recorded, measured_edges, rates_in_frames, regular_edges
from ._splits import last_frames


def from_arrays(
    frames: Any,
    *,
    rates: Any | None = None,
    spike_times: Sequence[Any] | None = None,
    repeats: Any | None = None,
    frame_rate_hz: float | None = None,
    times: Any | None = None,
    start_s: float = 0.0,
    cells: pd.DataFrame | Mapping[str, Sequence[Any]] | None = None,
    test_frames: int | None = None,
    pixel_um: float | None = None,
    name: str = "stimulus",
    source: str = "",
) -> Recording:
    """Make a recording from a movie and rates, or from a movie and spike times.

    Parameters
    ----------
    frames
        The movie, "time y x"; may be lazy.
    rates
        Firing rate in Hz during each frame, "time cell", NaN where a cell was not observed. Made
        from the spikes where it is missing.
    spike_times
        One array for each cell, in seconds on the clock of the frames.
    repeats
        Rates in single trials of the test part, "trial time cell".
    frame_rate_hz
        Frames per second; found from 'times' where these are given.
    times
        Begin of each frame in seconds, for frames that came irregularly.
    start_s
        Time of the first frame, where 'times' is not given.
    cells
        A table, or its columns, with one row for each cell.
    test_frames
        How many frames at the end are for testing; those of 'repeats', or else 15 % but at most
        5000, unless told otherwise.
    pixel_um
        Side of a pixel on the retina in micrometres.
    name, source
        What was shown; where the recording came from.

    Returns
    -------
    Recording
        Lazy frames stay where they are.

    Raises
    ------
    ValueError
        If responses or the clock are missing, or something disagrees in length.

    Examples
    --------
    >>> movie = np.random.default_rng(0).normal(size=(200, 8, 8))
    >>> recording = from_arrays(movie, spike_times=[[0.105, 0.5], []], frame_rate_hz=100.0)
    >>> recording.rates.shape, float(recording.rates[10, 0].round(6)), recording.splits
    ((200, 2), 100.0, {'train': (0, 170), 'test': (170, 200)})
    """
    frames, n_frames = _real(frames, "frames"), len(frames)
    clock = _clock(n_frames, frame_rate_hz, times, start_s)
    trains = None if spike_times is None else _trains(spike_times)
    trials = None if repeats is None else _real(repeats, "repeats")
    if trials is not None and test_frames is None:
        test_frames = trials.shape[1]
    splits = last_frames(n_frames, test_frames)
    if rates is None:
        rates = _binned(trains, clock, n_frames)
        if trials is not None:
            rates[slice(*splits["test"])] = trials.mean(axis=0)
    rates = _real(rates, "rates")
    _check_orientation(rates, n_frames)
    return Recording(
        stimulus=Stimulus(frames=frames, pixel_um=pixel_um, name=name, **clock),
        rates=rates,
        cells=_table(cells, rates.shape[1]),
        splits=splits,
        spike_times=trains,
        repeats=trials,
        source=source,
    )


def _clock(
    n_frames: int, frame_rate_hz: float | None, times: Any | None, start_s: float
) -> dict[str, Any]:
    if times is None:
        if frame_rate_hz is None:
            msg = "When was each frame shown? Give 'frame_rate_hz' or 'times'."
            raise ValueError(msg)
        return {"frame_rate_hz": float(frame_rate_hz), "start_s": float(start_s)}
    try:
        begins = np.asarray(times, dtype=np.float64).ravel()
        edges = measured_edges(begins, n_frames)
    except ValueError as error:
        msg = f"'times': {error}"
        raise ValueError(msg) from None
    rate = 1 / float(np.median(np.diff(edges))) if frame_rate_hz is None else float(frame_rate_hz)
    return {"frame_rate_hz": rate, "start_s": float(begins[0]), "times": begins}


def _binned(
    trains: tuple[np.ndarray, ...] | None, clock: Mapping[str, Any], n_frames: int
) -> Float[np.ndarray, "time cell"]:
    if trains is None:
        msg = "What did the cells do? Give 'rates' or 'spike_times'."
        raise ValueError(msg)
    if "times" in clock:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Gaps were told when the clock was made.
            shown = as_recorded(clock["times"], n_frames)
        rates = rates_in_frames(trains, shown.edges)
        rates[shown.in_gap] = np.nan
        return rates
    edges = regular_edges(n_frames, clock["frame_rate_hz"], start_s=clock["start_s"])
    return rates_in_frames(trains, edges)


def _trains(spike_times: Sequence[Any]) -> tuple[Float[np.ndarray, " spike"], ...]:
    trains = tuple(np.sort(np.asarray(train, dtype=np.float64).ravel()) for train in spike_times)
    for cell, train in enumerate(trains):
        if not np.isfinite(train).all():
            msg = f"'spike_times' of cell {cell} hold NaN or infinity. Remove them."
            raise ValueError(msg)
    return trains


def _real(values: Any, name: str) -> Any:
    """Return numbers in the order of bytes of this machine; truth values become 0 and 1."""
    array = values if hasattr(values, "dtype") and hasattr(values, "shape") else np.asarray(values)
    if array.dtype.kind not in "biuf":
        msg = f"{name!r} must hold numbers, got {array.dtype}."
        raise ValueError(msg)
    if array.dtype.kind == "b":
        return np.asarray(array).astype(np.uint8)
    if not array.dtype.isnative:
        return np.asarray(array).astype(array.dtype.newbyteorder("="))
    return array


def _check_orientation(rates: Any, n_frames: int) -> None:
    shape = tuple(rates.shape)
    if len(shape) == 2 and shape[0] != n_frames and shape[1] == n_frames:
        msg = f"'rates' must be (time, cell) = ({n_frames}, cells), got {shape}. Transpose them."
        raise ValueError(msg)
    if len(shape) != 2 or shape[0] != n_frames:
        msg = (
            f"'rates' must be (time, cell) with one row for each of {n_frames} frames, got {shape}."
        )
        raise ValueError(msg)


def _table(cells: Any | None, n_cells: int) -> pd.DataFrame:
    if cells is None:
        return pd.DataFrame({"cell": np.arange(n_cells)})
    return pd.DataFrame(cells).reset_index(drop=True)
