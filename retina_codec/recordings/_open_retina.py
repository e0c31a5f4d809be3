"""open-retina's data: a folder with a file for each session, and the movies in stimuli/*.npy.

A session holds responses_<stimulus> (neuron, time) and may hold stimulus_<stimulus> of its own;
movies are (channel, time, y, x). Movies are joined in the order of their names, those for testing
last. What the responses mean (rates, traces of calcium) is not said; they are taken as they are.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from retina_codec.datatypes import Recording, Stimulus, did_you_mean

from ._channels import Channels, without_colour
from ._lazy import Joined, Stored
from ._npy import lazy_npy

RESPONSES, MOVIE, FOLDER = "responses_", "stimulus_", "stimuli"
SUFFIXES = (".h5", ".hdf5")


def recognises(contents: Any) -> bool:
    """Whether a file is one of open-retina's sessions."""
    return isinstance(contents, h5py.File) and any(name.startswith(RESPONSES) for name in contents)


def sessions(folder: Path) -> dict[str, Path]:
    """Files of the sessions in a folder by their names; empty if it is no such folder."""
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES}


def session_file(folder: Path, session: str | None) -> Path:
    """File of the session that is asked for, or of the only one.

    Raises
    ------
    ValueError
        If there is no such session, or there are several and none was asked for.
    """
    found = sessions(folder)
    if session is None and len(found) == 1:
        return next(iter(found.values()))
    if session not in found:
        asked = "Choose one with 'session'." if session is None else f"No session {session!r}."
        guess = "" if session is None else did_you_mean(session, found)
        msg = f"{folder} holds {len(found)} sessions: {', '.join(found)}. {asked}{guess}"
        raise ValueError(msg)
    return found[session]


def read(
    path: Path,
    contents: h5py.File,
    *,
    frame_rate_hz: float | None = None,
    test_names: Sequence[str] | None = None,
    channel: int | str | None = None,
) -> Recording:
    """Read one session; movies stay in their files.

    Parameters
    ----------
    path
        Of the session's file.
    contents
        The open file.
    frame_rate_hz
        Frames per second, which the files do not hold.
    test_names
        Stimuli for testing; without them the last frames are held out.
    channel
        Which colour channel, or "all" for their sum; needed where there are several.

    Raises
    ------
    ValueError
        If something is missing or disagrees in length, or a choice has to be made.

    Warns
    -----
    UserWarning
        If there are more channels or neurons than time bins: the array may be transposed.
    """
    if frame_rate_hz is None:
        msg = f"{path} does not hold the frame rate of its movies. Give 'frame_rate_hz'."
        raise ValueError(msg)
    order, n_train = _in_order(contents, list(test_names or ()))
    movies = [_movie(path, contents, name, channel) for name in order]
    rates = [
        _responses(path, contents, name, len(m)) for name, m in zip(order, movies, strict=True)
    ]
    _check_neurons(path, order, rates)
    rates = np.concatenate(rates)
    return Recording(
        stimulus=Stimulus(
            frames=Joined(movies), frame_rate_hz=float(frame_rate_hz), name=", ".join(order)
        ),
        rates=rates,
        cells=_cells(contents, rates.shape[1]),
        splits=_splits(order, [len(movie) for movie in movies], n_train),
        source=f"{path.resolve().parent.name}/{path.name}",
    )


def _in_order(contents: h5py.File, test_names: list[str]) -> tuple[list[str], int]:
    """Names of stimuli, those for training first, and how many these are."""
    found = sorted(name.removeprefix(RESPONSES) for name in contents if name.startswith(RESPONSES))
    for name in test_names:
        if name not in found:
            msg = f"No stimulus {name!r}. Stimuli: {', '.join(found)}.{did_you_mean(name, found)}"
            raise ValueError(msg)
    train = [name for name in found if name not in test_names]
    if not train:
        msg = f"All stimuli are in 'test_names' ({', '.join(found)}): none is left for training."
        raise ValueError(msg)
    return train + sorted(set(test_names)), len(train)


def _movie(path: Path, contents: h5py.File, name: str, channel: int | str | None) -> Channels:
    if MOVIE + name in contents:
        movie = Stored(contents[MOVIE + name])
    else:
        movie = _shared_movie(path, name)
    where = f"{path}: the movie {name!r}"
    if movie.ndim != 4 or 0 in movie.shape:
        msg = f"{where} must be (channel, time, y, x), got the shape {tuple(movie.shape)}."
        raise ValueError(msg)
    n_channels, n_frames = movie.shape[:2]
    if n_channels > n_frames:
        message = f"{where} has {n_channels} channels but {n_frames} frames. Is it transposed?"
        warnings.warn(message, stacklevel=2)
    return without_colour(movie, channel, where)


def _shared_movie(path: Path, name: str) -> Any:
    file = path.parent / FOLDER / f"{name}.npy"
    if not file.is_file():
        msg = f"{path} has responses to {name!r}, but no {MOVIE}{name}, and there is no {file}."
        raise ValueError(msg)
    return lazy_npy(file)


def _responses(path: Path, contents: h5py.File, name: str, n_frames: int) -> np.ndarray:
    stored = contents[RESPONSES + name]
    if stored.ndim != 2 or stored.shape[1] != n_frames:
        msg = (
            f"{path}: {RESPONSES}{name} must be (neuron, time) with {n_frames} time bins, got the "
            f"shape {stored.shape}."
        )
        raise ValueError(msg)
    if stored.shape[0] > stored.shape[1]:
        message = (
            f"{path}: {RESPONSES}{name} has {stored.shape[0]} neurons but {stored.shape[1]} time "
            "bins. Is it transposed?"
        )
        warnings.warn(message, stacklevel=2)
    return stored[()].T.astype(np.float64)


def _check_neurons(path: Path, names: list[str], rates: list[np.ndarray]) -> None:
    if len({part.shape[1] for part in rates}) > 1:
        numbers = ", ".join(f"{n} {r.shape[1]}" for n, r in zip(names, rates, strict=True))
        msg = f"{path}: every stimulus must have the same neurons, got {numbers}."
        raise ValueError(msg)


def _cells(contents: h5py.File, n_cells: int) -> pd.DataFrame:
    """One row for each neuron, with what session_info knows of each."""
    columns: dict[str, Any] = {"cell": np.arange(n_cells)}
    info = contents.get("session_info")
    for name in info if isinstance(info, h5py.Group) else ():
        if isinstance(info[name], h5py.Dataset) and info[name].shape == (n_cells,):
            is_text = h5py.check_string_dtype(info[name].dtype) is not None
            columns[name] = info[name].asstr()[()] if is_text else info[name][()]
    return pd.DataFrame(columns)


def _splits(names: list[str], lengths: list[int], n_train: int) -> dict[str, tuple[int, int]]:
    """Training, testing and, where there are several, each of the movies for testing."""
    if n_train == len(names):
        return {}
    stops = [int(stop) for stop in np.cumsum([0, *lengths])]
    splits = {"train": (0, stops[n_train]), "test": (stops[n_train], stops[-1])}
    if len(names) - n_train > 1:
        for i in range(n_train, len(names)):
            splits.setdefault(names[i], (stops[i], stops[i + 1]))
    return splits
