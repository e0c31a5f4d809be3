"""Units of an NWB file: their spikes, when they were observed, and what is known about them."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from jaxtyping import Float

from ._frame_clock import observed_frames, rates_in_frames, without_rounding
from ._hdf5 import child, names_in, numbers
from ._nwb_tables import plain_columns, ragged

ELECTRODES = "general/extracellular_ephys/electrodes"
NO_TEXT = ""


def units_table(file: h5py.File, path: Path) -> h5py.Group:
    """Find the table of units, at the top or in a processing module.

    Raises
    ------
    ValueError
        If there is none with a row.
    """
    modules = file.get("processing", {})
    for place in [file, *(child(modules, name) for name in names_in(modules))]:
        units = child(place, "units")
        if isinstance(units, h5py.Group) and len(units.get("id", ())):
            return units
    msg = f"{path} has no units, i.e. no sorted cells. Expected a table /units with spike_times."
    raise ValueError(msg)


def spike_times_of(units: h5py.Group) -> tuple[np.ndarray, ...] | None:
    """Spike times of each unit in seconds; None if the table has no such column.

    Raises
    ------
    ValueError
        If there are times that are no numbers, or not one row for each unit.
    """
    rows = ragged(units, "spike_times")
    if rows is None:
        return None
    if len(rows) != len(units["id"]):
        msg = f"{units.name} has {len(units['id'])} units, but spike times of {len(rows)}."
        raise ValueError(msg)
    for unit, spikes in enumerate(rows):
        if not np.isfinite(spikes).all():
            msg = f"{units.name}: the spike times of unit {unit} hold NaN or infinity."
            raise ValueError(msg)
    return tuple(spikes.astype(np.float64) for spikes in rows)


def binned(
    units: h5py.Group,
    spike_times: tuple[np.ndarray, ...] | None,
    edges: Float[np.ndarray, " edge"],
    path: Path,
) -> Float[np.ndarray, "time cell"]:
    """Rates on the frame clock, NaN outside of the intervals in which a unit was observed.

    Raises
    ------
    ValueError
        If no spike times are known.
    """
    if spike_times is None:
        msg = f"{path}: the units have no spike_times with an index. Found: {', '.join(units)}."
        raise ValueError(msg)
    rates = rates_in_frames(spike_times, edges)
    for cell, intervals in enumerate(ragged(units, "obs_intervals") or ()):
        if len(intervals):
            intervals = without_rounding(intervals.reshape(-1, 2), edges)
            rates[~observed_frames(intervals, edges), cell] = np.nan
    return rates


def cells_table(units: h5py.Group, spike_times: tuple[np.ndarray, ...] | None) -> pd.DataFrame:
    """One row for each unit: its id, its columns of single values, its electrodes, its spikes."""
    columns = {"unit_id": numbers(units["id"]), **plain_columns(units)}
    columns |= {name: v for name, v in _of_electrodes(units).items() if name not in columns}
    if spike_times is not None:
        columns["n_spikes"] = np.array([len(spikes) for spikes in spike_times], dtype=np.int64)
    return pd.DataFrame(columns)


def _of_electrodes(units: h5py.Group) -> dict[str, np.ndarray]:
    """Columns of the electrodes of each unit: the mean of measures, the first of all others."""
    rows = _electrode_rows(units)
    if rows is None:
        return {}
    table = _electrode_table(units)
    columns = {"id": numbers(table["id"]), **plain_columns(table)}
    _check_rows(rows, len(columns["id"]), units)
    return {f"electrode_{name}": _joined(values, rows) for name, values in columns.items()}


def _electrode_rows(units: h5py.Group) -> tuple[np.ndarray, ...] | None:
    if "electrodes" not in units:
        return None
    rows = ragged(units, "electrodes")
    if rows is None:  # One electrode for each unit.
        rows = tuple(numbers(units["electrodes"]).reshape(-1, 1))
    return rows if len(rows) == len(units["id"]) and any(map(len, rows)) else None


def _electrode_table(units: h5py.Group) -> h5py.Group:
    """Find the table that the units' electrodes are rows of."""
    reference = units["electrodes"].attrs.get("table")
    table = units.file[reference] if reference else units.file.get(ELECTRODES)
    if not isinstance(table, h5py.Group) or "id" not in table:
        msg = f"{units.name}/electrodes points to a table of electrodes that is not there."
        raise ValueError(msg)
    return table


def _check_rows(rows: tuple[np.ndarray, ...], n_electrodes: int, units: h5py.Group) -> None:
    every = np.concatenate(rows)
    if every.min() < 0 or every.max() >= n_electrodes:
        msg = (
            f"{units.name}/electrodes names rows from {every.min()} to {every.max()}, "
            f"but there are {n_electrodes} electrodes."
        )
        raise ValueError(msg)


def _joined(values: np.ndarray, rows: tuple[np.ndarray, ...]) -> np.ndarray:
    """Value of each unit; NaN or "" for those without electrodes."""
    if values.dtype.kind == "f":
        return np.array([values[row].mean() if len(row) else np.nan for row in rows])
    if values.dtype.kind in "iub" and all(map(len, rows)):
        return np.array([values[row[0]] for row in rows])
    missing = NO_TEXT if values.dtype.kind == "O" else np.nan
    return np.array([values[row[0]] if len(row) else missing for row in rows])
