"""Tables in NWB files (DynamicTable): columns of one value for each row, and ragged ones."""

from typing import Any

import h5py
import numpy as np
import pandas as pd

from retina_codec.datatypes import did_you_mean

from ._hdf5 import NUMBERS, child, names_in, numbers, texts

INDEX = "_index"


def plain_columns(table: h5py.Group) -> dict[str, np.ndarray]:
    """Columns with one number, truth value or text for each row, in their order.

    Raises
    ------
    ValueError
        If a column has another length than the others.
    """
    names = names_in(table.attrs.get("colnames", table))
    columns = {name: _values(table[name]) for name in names if _is_plain(table, name)}
    if "id" in table:
        _check_lengths(table, columns)
    return columns


def plain_table(table: h5py.Group) -> pd.DataFrame:
    """Return the columns of `plain_columns` as a table."""
    return pd.DataFrame(plain_columns(table))


def ragged(table: h5py.Group, name: str) -> tuple[np.ndarray, ...] | None:
    """Rows of a column whose cells have unequal length; None if there is no such column.

    Raises
    ------
    ValueError
        If the index does not ascend, or points beyond the values.
    """
    if name not in table or f"{name}{INDEX}" not in table:
        return None
    values, index = numbers(table[name]), numbers(table[f"{name}{INDEX}"])
    stops = index.astype(np.int64)
    if (np.diff(stops, prepend=0) < 0).any() or (stops.size and stops[-1] > len(values)):
        msg = (
            f"{table.name}/{name}{INDEX} must ascend from 0 to at most {len(values)}, the number "
            f"of values in {name!r}; it goes up to {stops.max()}."
        )
        raise ValueError(msg)
    return tuple(np.split(values[: stops[-1] if stops.size else 0], stops[:-1]))


def interval_table(file: h5py.File, name: str) -> h5py.Group:
    """Find a table of time intervals by its name.

    Raises
    ------
    ValueError
        If there is none with a start and a stop time.
    """
    tables = file.get("intervals")
    names = [] if tables is None else names_in(tables)
    table = child(tables, name) if name in names else None
    if table is None:
        found = ", ".join(map(repr, names)) or "none"
        msg = f"No table of intervals {name!r}. Tables: {found}.{did_you_mean(name, names)}"
        raise ValueError(msg)
    missing = [f"{side}_time" for side in ("start", "stop") if f"{side}_time" not in table]
    if missing:
        msg = f"The intervals {name!r} lack the column {', '.join(missing)}."
        raise ValueError(msg)
    return table


def _is_plain(table: h5py.Group, name: str) -> bool:
    column = child(table, name)
    if not isinstance(column, h5py.Dataset) or f"{name}{INDEX}" in table:
        return False
    is_text = h5py.check_string_dtype(column.dtype) is not None
    is_region = column.attrs.get("neurodata_type") == "DynamicTableRegion"
    return column.ndim == 1 and not is_region and (is_text or column.dtype.kind in NUMBERS)


def _values(column: h5py.Dataset) -> Any:
    if "elements" in column.attrs:
        return texts(column.file[column.attrs["elements"]])[numbers(column)]
    is_text = h5py.check_string_dtype(column.dtype) is not None
    return texts(column) if is_text else numbers(column)


def _check_lengths(table: h5py.Group, columns: dict[str, np.ndarray]) -> None:
    n_rows = len(table["id"])
    for name, values in columns.items():
        if len(values) != n_rows:
            msg = f"{table.name} has {n_rows} rows, but its column {name!r} has {len(values)}."
            raise ValueError(msg)
