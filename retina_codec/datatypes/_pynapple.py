"""Recordings as objects of pynapple, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pynapple as nap
from jaxtyping import Float

TAKEN = {"rate", "group"}
MARGIN_S = 1e-6
"""pynapple's intervals hold their ends too: the end of a split must lie before the next frame."""


def of_recording(recording: Any) -> dict[str, Any]:
    """Movie, rates, spikes and splits of a recording."""
    edges = recording.stimulus.edges
    times, whole = edges[:-1], nap.IntervalSet(edges[0], edges[-1])
    frames = recording.stimulus.frames
    found = {
        "stimulus": nap.TsdTensor(times, frames, time_support=whole, load_array=False),
        "rates": nap.TsdFrame(times, np.asarray(recording.rates), time_support=whole),
        "splits": {
            name: nap.IntervalSet(edges[start], edges[stop] - MARGIN_S)
            for name, (start, stop) in recording.splits.items()
        },
    }
    if recording.spike_times is not None:
        found["spikes"] = _spikes(recording, edges)
    return found


def parts_of_recording(
    stimulus: Any, spikes: Any, rates: Any, splits: Mapping[str, Any]
) -> dict[str, Any]:
    """Return times of the frames, and what a recording has beside its movie."""
    times = np.asarray(stimulus.index.values, dtype=np.float64)
    if spikes is None and rates is None:
        msg = "A recording needs responses: give 'spikes' (TsGroup) or 'rates' (TsdFrame)."
        raise ValueError(msg)
    if rates is not None and not _same_times(times, rates.index.values):
        msg = (
            f"'rates' has {len(rates)} times and 'stimulus' {len(times)}; expected one time for "
            "each frame, and the same times in both."
        )
        raise ValueError(msg)
    return {
        "times": times,
        "rates": None if rates is None else np.asarray(rates.values, dtype=np.float64),
        "spike_times": None if spikes is None else _each_cell(spikes),
        "cells": _cells(spikes, rates),
        "splits": {name: _frames_in(name, part, times) for name, part in splits.items()},
    }


def _spikes(recording: Any, edges: Float[np.ndarray, " edge"]) -> Any:
    trains = [np.asarray(train, dtype=np.float64) for train in recording.spike_times]
    ends = [edges[[0, -1]], *(train[[0, -1]] for train in trains if len(train))]
    support = nap.IntervalSet(min(e[0] for e in ends), max(e[-1] for e in ends))
    group = {i: nap.Ts(train, time_support=support) for i, train in enumerate(trains)}
    table = recording.cells.rename(columns=lambda name: _free(str(name)))
    return nap.TsGroup(group, time_support=support, metadata=table.reset_index(drop=True))


def _free(name: str) -> str:
    """Return a name of a column that is not one of pynapple's own words."""
    return f"cell_{name}" if name in TAKEN or hasattr(nap.TsGroup, name) else name


def _same_times(times: np.ndarray, others: np.ndarray) -> bool:
    return len(times) == len(others) and np.allclose(times, others, rtol=0, atol=MARGIN_S)


def _each_cell(spikes: Any) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(spikes[cell].index.values) for cell in spikes.index)


def _cells(spikes: Any, rates: Any) -> pd.DataFrame:
    if spikes is None:
        return pd.DataFrame({"cell": [str(column) for column in rates.columns]})
    table = pd.DataFrame(spikes.metadata).drop(columns="rate", errors="ignore")
    return table.rename_axis(None).reset_index(drop=True).assign(unit=list(spikes.index))


def _frames_in(name: str, part: Any, times: np.ndarray) -> tuple[int, int]:
    if len(part) != 1:
        msg = f"Split {name!r} has {len(part)} intervals; expected one stretch of the movie."
        raise ValueError(msg)
    sides = float(part.start[0]) - MARGIN_S, float(part.end[0]) + MARGIN_S / 2
    start, stop = (int(np.searchsorted(times, side)) for side in sides)
    return start, stop
