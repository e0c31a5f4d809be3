"""Which stimuli there are in an NWB file, and the one, or the series, that is asked for."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial

import h5py
import numpy as np

from retina_codec.datatypes import did_you_mean

from ._axes import Layout
from ._hdf5 import child, names_in
from ._lazy import Joined
from ._nwb_intervals import presentations
from ._nwb_movies import Shown, about, how_to_open

PRESENTATION = "stimulus/presentation"
SAME_RATE = 0.01


def shown_stimulus(file: h5py.File, asked: str | None, layout: Layout) -> Shown:
    """Read the one stimulus that is asked for, or join those that fit a pattern.

    Raises
    ------
    ValueError
        If there is none, none that can be read, or it is not clear which one.
    """
    readers, found = _stimuli(file)
    matching = _matching(list(readers), asked)
    if asked is not None and not matching:
        msg = f"No stimulus {asked!r}. Found: {found}.{did_you_mean(asked, readers)}"
        raise ValueError(msg)
    readable = [readers[name] for name in matching if readers[name] is not None]
    if not readable:
        msg = (
            f"No stimulus that can be read. Found: {found}. This version reads ImageSeries and "
            "OpticalSeries (frames in the file or in videos), IndexSeries, and intervals with a "
            "column 'frame'. Make others with `stimuli`, and give the Stimulus as 'stimulus'."
        )
        raise ValueError(msg)
    if len(readable) > 1 and asked is None:
        msg = f"Several stimuli fit: choose one with 'stimulus'. Found: {found}."
        raise ValueError(msg)
    shown = [read(layout) for read in readable]
    return shown[0] if len(shown) == 1 else _joined(shown, asked, found)


def _stimuli(file: h5py.File) -> tuple[dict[str, Callable | None], str]:
    """Readers of all stimuli by name (None: cannot be read), and all of them in words."""
    group, tables = file.get(PRESENTATION, {}), presentations(file)
    readers = dict(tables)
    words = [f"{name!r} (intervals that show pictures)" for name in tables]
    series = {name: child(group, name) for name in names_in(group)}
    for name, one in series.items():
        opens = how_to_open(one)
        readers[name] = None if opens is None else partial(opens, one)
    words = [f"{name!r} ({about(one)})" for name, one in series.items()] + words
    found = ", ".join(words) or f"nothing in {PRESENTATION}{_other_tables(file)}"
    return readers, found


def _other_tables(file: h5py.File) -> str:
    tables = ", ".join(repr(name) for name in names_in(file.get("intervals", {})))
    return f"; only the time intervals {tables}" if tables else ""


def _matching(names: list[str], pattern: str | None) -> list[str]:
    if pattern is None or pattern in names:
        return names if pattern is None else [pattern]
    return [name for name in names if fnmatchcase(name, pattern)]


def _joined(shown: list[Shown], asked: str, found: str) -> Shown:
    """Put stimuli one after the other in the order in which they were shown."""
    for one in shown:
        if len(one.onsets) != len(one.frames) or not len(one.onsets):
            msg = f"Stimulus {one.name!r} has {len(one.frames)} frames but {len(one.onsets)} times."
            raise ValueError(msg)
    shown = sorted(shown, key=lambda one: float(one.onsets[0]))
    for one, following in zip(shown, shown[1:], strict=False):
        if following.onsets[0] <= one.onsets[-1]:
            msg = (
                f"Several stimuli fit {asked!r}, but {one.name!r} and {following.name!r} overlap "
                f"in time, so that they cannot be joined: choose one. Found: {found}."
            )
            raise ValueError(msg)
    _check_rates(shown)
    return Shown(
        name="+".join(one.name for one in shown),
        frames=Joined([one.frames for one in shown]),
        onsets=np.concatenate([one.onsets for one in shown]),
        guessed=any(one.guessed for one in shown),
    )


def _check_rates(shown: list[Shown]) -> None:
    durations = [np.median(np.diff(one.onsets)) for one in shown if len(one.onsets) > 1]
    if durations and max(durations) > (1 + SAME_RATE) * min(durations):
        rates = ", ".join(f"{1 / duration:.6g}" for duration in durations)
        msg = f"Stimuli can only be joined if they have one frame rate, got {rates} Hz."
        raise ValueError(msg)
