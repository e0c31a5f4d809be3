"""Records as what NWB knows: time series on the clock of the recording, and tables."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from hdmf.backends.hdf5 import H5DataIO
from hdmf.common import DynamicTable, DynamicTableRegion, VectorData
from hdmf.data_utils import DataChunkIterator
from pynwb import TimeSeries

from retina_codec.datatypes import Contributions, Modes, did_you_mean

from ._provenance import facts_of_modes, version

GZIP = {"compression": "gzip", "compression_opts": 4}
REGULAR_S = 1e-6
CHUNK_BYTES = 1 << 19
UNIT_ID, CELL, UNIT = "unit_id", "cell", "unit"


def mode_containers(name: str, modes: Modes) -> list[Any]:
    """Return the loadings over time, the modes, and what their weights belong to."""
    return [_loadings(name, modes), _modes_table(name, modes), _mode_features(name, modes)]


def contribution_containers(name: str, record: Contributions) -> list[Any]:
    """Return contributions over time, the target that they explain, and what they belong to."""
    return [_values(name, record), _target(name, record), _contribution_features(name, record)]


def cells_table(name: str, table: pd.DataFrame, units: Any) -> DynamicTable:
    """Return a table of cells whose rows refer to the units of the file.

    Raises
    ------
    ValueError
        If rows belong to no unit, or to the same one.
    """
    rows = _rows(name, table, units)
    region = DynamicTableRegion(
        name=UNIT, data=rows, description="The unit that the row belongs to.", table=units
    )
    columns = [
        VectorData(name=str(column), description=f"{column} of the cell.", data=_plain(values))
        for column, values in table.items()
        if column != UNIT
    ]
    return DynamicTable(
        name=name,
        description=f"{name}: one row for each cell that was analysed.",
        columns=[region, *columns],
    )


def _rows(name: str, table: pd.DataFrame, units: Any) -> list[int]:
    ids = np.asarray(units.id[:]).tolist()
    if UNIT_ID in table:
        rows = [_row_of(name, value, ids) for value in table[UNIT_ID]]
    elif CELL in table and table[CELL].dtype.kind in "iu":
        rows = table[CELL].tolist()
    elif len(table) != len(ids):
        msg = (
            f"{name!r} has {len(table)} rows but the file has {len(ids)} units. Add a column "
            f"{UNIT_ID!r} that says which unit a row belongs to."
        )
        raise ValueError(msg)
    else:
        rows = list(range(len(ids)))
    outside = [row for row in rows if not 0 <= row < len(ids)]
    if outside:
        msg = f"{name!r} names the cell {outside[0]}, but the file has {len(ids)} units, from 0."
        raise ValueError(msg)
    return rows


def _row_of(name: str, unit_id: Any, ids: list[int]) -> int:
    if unit_id not in ids:
        guess = did_you_mean(str(unit_id), map(str, ids))
        msg = f"{name!r} names the unit {unit_id}, which the file does not have.{guess}"
        raise ValueError(msg)
    return ids.index(unit_id)


def _plain(values: pd.Series) -> Any:
    """Numbers as they are, everything else as text."""
    array = values.to_numpy()
    return array if array.dtype.kind in "iufb" else [str(value) for value in values]


def _loadings(name: str, modes: Modes) -> TimeSeries:
    """How much of each mode there is over time, in ascending order of time."""
    times, loadings = _in_order(modes.sample, modes.loadings)
    return TimeSeries(
        name=f"{name}_loadings",
        description=f"Loadings of the modes of layer {modes.layer!r}, axes time, mode; the modes "
        f"are the rows of {name}_modes. Target: {modes.target}.",
        data=_compressed(loadings),
        unit="a.u.",
        comments=json.dumps(
            {"made_by": f"retina_codec {version('retina_codec')}", **facts_of_modes(modes)}
        ),
        **_timing(times),
    )


def _values(name: str, record: Contributions) -> TimeSeries:
    times, values = _in_order(record.sample, record.values)
    axes = ", ".join(("time", *record.axes_of("values")[1:]))
    return TimeSeries(
        name=f"{name}_contributions",
        description=f"Contributions through layer {record.layer!r} to {record.target}, axes "
        f"{axes}; the features are the rows of {name}_contribution_features.",
        data=_compressed(values),
        unit="a.u.",
        comments=json.dumps(
            {"method": record.method, "settings": record.settings, "unit": "of the target"},
            default=str,
        ),
        **_timing(times),
    )


def _target(name: str, record: Contributions) -> TimeSeries:
    together = np.stack(
        [np.asarray(part) for part in (record.target_value, record.baseline_value, record.gap)],
        axis=1,
    )
    times, values = _in_order(record.sample, together)
    return TimeSeries(
        name=f"{name}_target",
        description=f"What {name}_contributions explain, axes time, column: the target "
        f"{record.target}, its value at the baseline, and the gap that contributions leave.",
        data=_compressed(values),
        unit="a.u.",
        **_timing(times),
    )


def _in_order(sample: Any, values: Any) -> tuple[np.ndarray, Any]:
    """Return values in ascending order of time; those that are in order stay where they are."""
    times = np.asarray(sample, dtype=np.float64)
    order = np.argsort(times, kind="stable")
    if np.array_equal(order, np.arange(len(times))):
        return times, values
    return times[order], np.asarray(values)[order]


def _compressed(values: Any) -> H5DataIO:
    """Float32 in chunks of time, read piece by piece: values may lie in a store."""
    n_rows = max(1, CHUNK_BYTES // (4 * max(1, int(np.prod(values.shape[1:])))))
    n_rows = max(1, min(n_rows, values.shape[0]))
    pieces = DataChunkIterator(
        data=_each_row(values, n_rows),
        maxshape=values.shape,
        dtype=np.dtype(np.float32),
        buffer_size=n_rows,
    )
    return H5DataIO(pieces, chunks=(n_rows, *values.shape[1:]), **GZIP)


def _each_row(values: Any, n_rows: int) -> Iterator[np.ndarray]:
    for first in range(0, values.shape[0], n_rows):
        yield from np.asarray(values[first : first + n_rows], dtype=np.float32)


def _timing(times: np.ndarray) -> dict[str, Any]:
    """Start and rate where samples are regular, as NWB prefers, else all times."""
    if len(times) > 1 and times[-1] > times[0]:
        rate = float((len(times) - 1) / (times[-1] - times[0]))
        if np.allclose(times, times[0] + np.arange(len(times)) / rate, rtol=0, atol=REGULAR_S):
            return {"starting_time": float(times[0]), "rate": rate}
    return {"timestamps": H5DataIO(times, chunks=True, **GZIP)}


def _modes_table(name: str, modes: Modes) -> DynamicTable:
    about = {
        "weights": (modes.dictionary, f"Weight of each feature, in the order of {name}_features."),
        "firing": (modes.firing, "In how many samples the mode is active."),
        "mean_loading": (np.asarray(modes.loadings).mean(axis=0), "Mean over all samples."),
    }
    if modes.reproducibility is not None:
        text = "Mean cosine of the mode with its match in repeated fits."
        about["reproducibility"] = (modes.reproducibility, text)
    return _table(
        f"{name}_modes",
        f"Modes of layer {modes.layer!r} by {modes.method}; together they explain r2 = "
        f"{modes.r2:.4g} of the contributions on held-out samples. Contribution * sign / "
        f"{modes.scale:.6g} is about loadings @ weights + offset.",
        about,
    )


def _mode_features(name: str, modes: Modes) -> DynamicTable:
    offset = {"offset": (modes.offset, "Value of the feature when no mode is active.")}
    text = f"What the weights of {name}_modes belong to: channels of {modes.layer!r}."
    return _table(f"{name}_features", text, _features(modes) | offset)


def _contribution_features(name: str, record: Contributions) -> DynamicTable:
    text = f"What {name}_contributions belong to: channels of {record.layer!r}."
    return _table(f"{name}_contribution_features", text, _features(record))


def _features(record: Modes | Contributions) -> dict[str, tuple[Any, str]]:
    return {
        "channel": (record.channel, "Channel of the layer, from 0."),
        "sign": (record.sign, "+1 promotes, -1 suppresses, 0 both together."),
    }


def _table(name: str, description: str, about: Mapping[str, tuple[Any, str]]) -> DynamicTable:
    columns = [
        VectorData(name=column, description=text, data=_small(values))
        for column, (values, text) in about.items()
    ]
    return DynamicTable(name=name, description=description, columns=columns)


def _small(values: Any) -> np.ndarray:
    array = np.asarray(values)
    return array.astype(np.float32) if array.dtype == np.float64 else array
