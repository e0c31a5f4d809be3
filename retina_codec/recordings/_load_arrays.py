"""Plain arrays in files (.mat, .npz, .h5, a folder of .npy), by a mapping of variables and axes."""

from pathlib import Path
from typing import Any

import numpy as np

from retina_codec.datatypes import Recording, did_you_mean

from ._arrays import from_arrays
from ._channels import without_colour
from ._errors import naming
from ._variables import Variables, open_variables

MOVIE_AXES = ("time", "y", "x")


def load_arrays(
    path: str | Path,
    *,
    stimulus: str,
    rates: str | None = None,
    spike_times: str | None = None,
    repeats: str | None = None,
    times: str | None = None,
    stimulus_axes: str = "time y x",
    rates_axes: str = "time cell",
    repeats_axes: str = "trial time cell",
    channel: int | str | None = None,
    frame_rate_hz: float | None = None,
    start_s: float = 0.0,
    test_frames: int | None = None,
    pixel_um: float | None = None,
) -> Recording:
    """Load a recording from plain arrays: a .mat of any version, .npz, .h5, or a folder of .npy.

    Parameters
    ----------
    path
        The file or folder; nothing in it is unpickled.
    stimulus, rates, spike_times, repeats, times
        Names of the variables: the movie; firing rates in Hz; spike times in seconds (a MATLAB
        cell array, a group of arrays, or for one cell a vector); rates in single trials of the
        test part; begin of each frame in seconds.
    stimulus_axes
        Order of the axes "time", "y", "x" and, for a movie in colour, "channel". MATLAB's arrays
        have the order that size() shows in MATLAB, whatever the version of the file.
    rates_axes
        Order of "time" and "cell".
    repeats_axes
        Order of "trial", "time" and "cell".
    channel
        Which colour channel, or "all" for their sum.
    frame_rate_hz, start_s, test_frames, pixel_um
        As for `from_arrays`.

    Returns
    -------
    Recording
        A movie "time y x" in .h5 or .npy stays in the file; all others are read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a variable is missing (the message lists those that are there), cannot be read, or does
        not fit the others.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/cells.npz"
    ...     np.savez(path, stim=np.zeros((8, 6, 50)), r=np.ones((3, 50)))
    ...     recording = load_arrays(
    ...         path, stimulus="stim", rates="r", stimulus_axes="y x time", rates_axes="cell time",
    ...         frame_rate_hz=30.0,
    ...     )
    >>> recording.stimulus.frames.shape, recording.rates.shape
    ((50, 8, 6), (50, 3))
    """
    path = Path(path).expanduser()
    if not path.exists():
        msg = f"No file {path}."
        raise FileNotFoundError(msg)
    with naming(path):
        variables = open_variables(path)
        wanted = [n for n in (stimulus, rates, spike_times, repeats, times) if n is not None]
        _check_there(path, variables, wanted)
        return from_arrays(
            _movie(variables, stimulus, stimulus_axes, channel),
            rates=_ordered(variables, rates, rates_axes, ("time", "cell")),
            spike_times=None if spike_times is None else variables.trains(spike_times),
            repeats=_ordered(variables, repeats, repeats_axes, ("trial", "time", "cell")),
            times=None if times is None else variables.array(times),
            frame_rate_hz=frame_rate_hz,
            start_s=start_s,
            test_frames=test_frames,
            pixel_um=pixel_um,
            name=stimulus,
            source=path.name,
        )


def _check_there(path: Path, variables: Variables, wanted: list[str]) -> None:
    for name in wanted:
        if name not in variables.found:
            listed = ", ".join(f"{n} {shown}" for n, shown in variables.found.items()) or "none"
            guess = did_you_mean(name, variables.found)
            msg = f"{path} has no variable {name!r}. Variables: {listed}.{guess}"
            raise ValueError(msg)


def _movie(variables: Variables, name: str, axes: str, channel: int | str | None) -> Any:
    movie = variables.lazy(name)
    if axes.split() == list(MOVIE_AXES):
        _check_axes(name, movie, axes, MOVIE_AXES)
        return movie
    if "channel" not in axes.split():
        return _transposed(name, variables.array(name), axes, MOVIE_AXES)
    movie = _transposed(name, variables.array(name), axes, ("channel", *MOVIE_AXES))
    return np.asarray(without_colour(movie, channel, f"{name!r}"))


def _ordered(variables: Variables, name: str | None, axes: str, wanted: tuple[str, ...]) -> Any:
    return None if name is None else _transposed(name, variables.array(name), axes, wanted)


def _transposed(name: str, array: np.ndarray, axes: str, wanted: tuple[str, ...]) -> np.ndarray:
    _check_axes(name, array, axes, wanted)
    return np.transpose(array, [axes.split().index(axis) for axis in wanted])


def _check_axes(name: str, array: Any, axes: str, wanted: tuple[str, ...]) -> None:
    if sorted(axes.split()) != sorted(wanted):
        msg = f"Axes of {name!r} must be {', '.join(wanted)} in some order, got {axes!r}."
        raise ValueError(msg)
    if array.ndim != len(wanted):
        msg = f"{name!r} has the shape {tuple(array.shape)}, which does not fit the axes {axes!r}."
        raise ValueError(msg)
