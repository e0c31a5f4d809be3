"""Cells of a recording as units of an NWB file."""

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from hdmf.common import DynamicTable, VectorData
from pynwb import NWBFile
from pynwb.misc import Units

from retina_codec.datatypes import Recording

from ._frame_clock import observed_intervals

UNIT_ID, N_SPIKES = "unit_id", "n_spikes"
NUMBERS = "iufb"


def add_cells(
    nwb: NWBFile, recording: Recording, edges: np.ndarray
) -> tuple[DynamicTable | None, dict[str, str]]:
    """Add a unit for each cell, and its columns.

    Where no spikes are known, units would not be what NWB means by them: the cells are then a plain
    table, which is returned to be put into the processing module "ecephys".

    Parameters
    ----------
    nwb
        The file that is made.
    recording
        Whose cells they are.
    edges
        Begin of each frame and end of the last.

    Returns
    -------
    table, names
        The table, or None; from names of columns in the file to those in the recording, where they
        differ.

    Raises
    ------
    ValueError
        If there are no cells, or a column cannot be written.
    """
    _check(recording.cells)
    columns = {name: _values(name, recording) for name in recording.cells}
    columns = {name: values for name, values in columns.items() if values is not None}
    stored = stored_names(columns)
    ids = _ids(recording.cells)
    names = {column: name for name, column in stored.items() if column != name}
    if recording.spike_times is None:
        data = [VectorData(name=stored[n], description=_about(n), data=columns[n]) for n in columns]
        about = "Recorded cells. Their spike times are not known."
        return DynamicTable(name="units", description=about, id=ids, columns=data), names
    for cell, unit_id in enumerate(ids):
        nwb.add_unit(id=unit_id, **_spikes(recording, cell, edges))
    for name, values in columns.items():
        nwb.add_unit_column(name=stored[name], description=_about(name), data=values)
    return None, names


def stored_names(names: Iterable[str]) -> dict[str, str]:
    """Names that NWB allows for columns of units, and that are not taken.

    Examples
    --------
    >>> stored_names(["kind", "depth/um", "depth_um", "id"])
    {'kind': 'kind', 'depth/um': 'depth_um', 'depth_um': 'depth_um_2', 'id': 'cell_id'}
    """
    own = {column["name"] for column in Units.__columns__} | {"units", UNIT_ID, N_SPIKES}
    found: dict[str, str] = {}
    for name in names:
        plain = allowed_name(name, "cell")
        if hasattr(Units, plain) or plain in own:
            plain = f"cell_{plain}"
        if plain.endswith("_index"):
            plain = f"{plain}_"
        candidate, number = plain, 1
        while candidate in found.values():
            number += 1
            candidate = f"{plain}_{number}"
        found[name] = candidate
    return found


def allowed_name(name: str, default: str) -> str:
    """Name of an object in HDF5: no slash or colon, nothing invisible, and not only dots.

    Examples
    --------
    >>> allowed_name("noise/1", "stimulus"), allowed_name("..", "stimulus")
    ('noise_1', 'stimulus')
    """
    plain = "".join(c if c.isprintable() else "_" for c in re.sub(r"[/:]", "_", name))
    return plain if plain.strip(" .") else default


def _check(cells: pd.DataFrame) -> None:
    if not len(cells):
        msg = "A recording without cells cannot be written as NWB."
        raise ValueError(msg)
    names = list(cells.columns)
    if len(set(names)) != len(names) or not all(isinstance(name, str) for name in names):
        msg = f"Columns of cells need names that are text and differ, got {names}."
        raise ValueError(msg)


def _about(name: str) -> str:
    plain = "".join(c if c.isprintable() else " " for c in name.replace("_", " "))
    return plain.strip() or "Of each cell."


def _values(name: str, recording: Recording) -> np.ndarray | list[str] | None:
    """Numbers as they are, everything else as text; None for what loading makes by itself."""
    column, spikes = recording.cells[name], recording.spike_times
    if name == UNIT_ID and _are_ids(column):
        return None
    if name == N_SPIKES and spikes is not None and column.dtype == np.int64:
        if list(column) == [len(train) for train in spikes]:
            return None
    values = column.to_numpy()
    if values.dtype.kind in NUMBERS:
        return values.astype(values.dtype.newbyteorder("="))
    return [_text(name, value) for value in values]


def _text(name: str, value: object) -> str:
    text = str(value)
    if "\0" in text or not text.isascii() and text.encode("utf-8", "replace").decode() != text:
        msg = f"Column {name!r} of the cells holds text that cannot be written: {text!r}."
        raise ValueError(msg)
    return text


def _are_ids(column: pd.Series) -> bool:
    return column.dtype == np.int64 and column.is_unique


def _ids(cells: pd.DataFrame) -> list[int]:
    if UNIT_ID in cells and _are_ids(cells[UNIT_ID]):
        return [int(i) for i in cells[UNIT_ID]]
    return list(range(len(cells)))


def _spikes(recording: Recording, cell: int, edges: np.ndarray) -> dict[str, np.ndarray]:
    """Spike times of one unit and, where it was not observed throughout, when it was."""
    spikes = np.asarray(recording.spike_times[cell], dtype=np.float64)
    if not np.isfinite(spikes).all():
        msg = f"Spike times of cell {cell} hold NaN or infinity, which NWB does not allow."
        raise ValueError(msg)
    if not np.isnan(recording.rates).any():
        return {"spike_times": spikes}
    observed = ~np.isnan(np.asarray(recording.rates[:, cell]))
    return {"spike_times": spikes, "obs_intervals": observed_intervals(observed, edges)}
