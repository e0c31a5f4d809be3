"""NWB 2: spikes of sorted units, and a movie whose frames are inside the file.

The file is read with h5py directly: the layout is fixed by the NWB schema, and so no extension has
to be installed and nothing but the spikes is loaded. What only `write_nwb` adds lives in
scratch/retina_codec and processing/ecephys and is optional.
"""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from jaxtyping import Float

from retina_codec.datatypes import Recording, Stimulus, did_you_mean

from ._as_written import as_written, extras_from
from ._frame_clock import measured_edges, observed_frames, rates_in_frames, regular_edges
from ._lazy import Scaled, Stored

READABLE = ("ImageSeries", "OpticalSeries")
EXTRAS = "scratch/retina_codec"
FIRING_RATES = "processing/ecephys/firing_rates"
REPEATS = "processing/ecephys/repeats"
SPLITS = "intervals/splits"
HALF = 0.5


def recognises(contents: Any) -> bool:
    """Whether a file says that it is NWB, of whatever version."""
    is_hdf5 = isinstance(contents, h5py.File)
    return is_hdf5 and ("nwb_version" in contents.attrs or "nwb_version" in contents)


def read(path: Path, contents: h5py.File, *, stimulus: str | None = None) -> Recording:
    """Read units and one stimulus; the frames stay in the file.

    Parameters
    ----------
    path
        Of the file.
    contents
        The open file.
    stimulus
        Name of the stimulus series, or a pattern like "noise*"; needed where there are several.

    Raises
    ------
    ValueError
        If there are no units, or no stimulus that can be read, or it is not clear which one.
    """
    _refuse_nwb_1(contents, path)
    series = _chosen_series(contents, stimulus)
    edges, frame_rate_hz = _frame_clock(series)
    regular = regular_edges(len(edges) - 1, frame_rate_hz, start_s=float(edges[0]))
    in_step = np.abs(edges - regular).max() < 0.5 / frame_rate_hz
    units = _units(contents, path)
    spike_times = _ragged(units, "spike_times")
    extras = extras_from(_text(contents[EXTRAS])) if EXTRAS in contents else {}
    splits = _splits(contents, edges)
    repeats = (
        contents[REPEATS]["data"][()].transpose(1, 0, 2) if _stored(contents, REPEATS) else None
    )
    if _stored(contents, FIRING_RATES):
        rates = contents[FIRING_RATES]["data"][()]
    else:
        rates = _binned(units, spike_times, edges, path)
        if repeats is not None:
            rates[slice(*splits["test"])] = repeats.mean(axis=0)
    recording = Recording(
        stimulus=Stimulus(
            frames=_frames(series),
            frame_rate_hz=frame_rate_hz,
            start_s=float(edges[0]),
            times=None if in_step else edges[:-1],
            name=series.name.rsplit("/", 1)[-1],
            pixel_um=extras.get("pixel_um"),
        ),
        rates=rates,
        cells=_cells_table(units, spike_times),
        splits=splits,
        spike_times=spike_times,
        repeats=repeats,
        source=extras.get("source") or path.name,
        circuit=extras.get("circuit"),
    )
    return as_written(recording, extras, edges)


def _refuse_nwb_1(file: h5py.File, path: Path) -> None:
    version = file.attrs["nwb_version"] if "nwb_version" in file.attrs else file["nwb_version"][()]
    version = version.decode() if isinstance(version, bytes) else str(version)
    if version.startswith(("NWB-1", "1.")):
        msg = f"{path} is an NWB 1 file (nwb_version {version!r}). Convert it to NWB 2 first."
        raise ValueError(msg)


def _stored(file: h5py.File, name: str) -> bool:
    """Whether `write_nwb` put this there; other files may use the same name for other things."""
    return EXTRAS in file and name in file


def _text(dataset: h5py.Dataset) -> str:
    return dataset.asstr()[()]


def _chosen_series(file: h5py.File, stimulus: str | None) -> h5py.Group:
    """Find the one stimulus that is asked for and can be read."""
    group = file.get("stimulus/presentation", {})
    found = ", ".join(f"{name!r} ({_description(group[name])})" for name in group)
    found = found or f"nothing in stimulus/presentation{_interval_tables(file)}"
    matching = _matching(list(group), stimulus)
    if stimulus is not None and not matching:
        msg = f"No stimulus {stimulus!r}. Found: {found}.{did_you_mean(stimulus, group)}"
        raise ValueError(msg)
    readable = [name for name in matching if _is_readable(group[name])]
    if not readable:
        msg = (
            f"No stimulus that can be read. Found: {found}. This version reads ImageSeries and "
            "OpticalSeries whose frames (time, y, x) are inside the file."
        )
        raise ValueError(msg)
    if len(readable) > 1:
        msg = f"Several stimuli fit: choose one with 'stimulus'. Found: {found}."
        raise ValueError(msg)
    return group[readable[0]]


def _matching(names: list[str], pattern: str | None) -> list[str]:
    if pattern is None or pattern in names:
        return names if pattern is None else [pattern]
    return [name for name in names if fnmatchcase(name, pattern)]


def _is_readable(series: Any) -> bool:
    if series.attrs.get("neurodata_type") not in READABLE or "data" not in series:
        return False
    return series["data"].ndim == 3 and len(series["data"]) > 0


def _description(series: Any) -> str:
    kind = series.attrs.get("neurodata_type", "unknown kind")
    if "external_file" in series:
        return f"{kind}, external movie"
    has_data = isinstance(series, h5py.Group) and "data" in series
    return f"{kind}, shape {series['data'].shape}" if has_data else kind


def _interval_tables(file: h5py.File) -> str:
    tables = ", ".join(repr(name) for name in file.get("intervals", {}))
    return f"; only the time intervals {tables}" if tables else ""


def _frame_clock(series: h5py.Group) -> tuple[Float[np.ndarray, " edge"], float]:
    """Edges of the frames in seconds, and frames per second."""
    name, n_frames = series.name.rsplit("/", 1)[-1], series["data"].shape[0]
    if "timestamps" in series:
        try:
            edges = measured_edges(series["timestamps"][()].astype(np.float64), n_frames)
        except ValueError as error:
            msg = f"Stimulus {name!r}: {error}"
            raise ValueError(msg) from None
        return edges, _rate_of(edges)
    start = series.get("starting_time")
    rate = float(start.attrs.get("rate", 0.0)) if start is not None else 0.0
    if not rate > 0:
        msg = f"Stimulus {name!r}: expected timestamps, or a starting_time with a rate above 0."
        raise ValueError(msg)
    return regular_edges(n_frames, rate, start_s=float(start[()])), rate


def _rate_of(edges: Float[np.ndarray, " edge"]) -> float:
    """Frames per second: the mean rate, unless frames are missing; then that of the others."""
    durations = np.diff(edges)
    typical = np.median(durations)
    return 1 / float(durations[durations < 1.5 * typical].mean())


def _frames(series: h5py.Group) -> Any:
    """Frames as they are stored, or scaled while they are read."""
    data, frames = series["data"], Stored(series["data"])
    factor, offset = (float(data.attrs.get(k, d)) for k, d in (("conversion", 1), ("offset", 0)))
    if (factor, offset) == (1.0, 0.0) and data.dtype.kind != "b":
        return frames
    return Scaled(frames, factor=factor, offset=offset)


def _units(file: h5py.File, path: Path) -> h5py.Group:
    """Find the table of units, at the top or in a processing module."""
    places = [file, *file.get("processing", {}).values()]
    for place in places:
        if "units" in place and len(place["units"].get("id", ())):
            return place["units"]
    msg = f"{path} has no units, i.e. no sorted cells. Expected a table /units with spike_times."
    raise ValueError(msg)


def _ragged(units: h5py.Group, name: str) -> tuple[np.ndarray, ...] | None:
    """Take the rows of a column whose cells have unequal length."""
    if name not in units or f"{name}_index" not in units:
        return None
    stops = units[f"{name}_index"][()].astype(np.int64)
    return tuple(np.split(units[name][()], stops[:-1]))


def _binned(
    units: h5py.Group,
    spike_times: tuple[np.ndarray, ...] | None,
    edges: Float[np.ndarray, " edge"],
    path: Path,
) -> Float[np.ndarray, "time cell"]:
    """Rates on the frame clock, NaN outside of the intervals in which a unit was observed."""
    if spike_times is None:
        msg = f"{path}: the units have no spike_times with an index. Found: {', '.join(units)}."
        raise ValueError(msg)
    rates = rates_in_frames(spike_times, edges)
    for cell, intervals in enumerate(_ragged(units, "obs_intervals") or ()):
        if len(intervals):
            rates[~observed_frames(intervals, edges), cell] = np.nan
    return rates


def _cells_table(units: h5py.Group, spike_times: tuple[np.ndarray, ...] | None) -> pd.DataFrame:
    """One row for each unit: its id, the columns that hold one value each, its spikes."""
    columns = {"unit_id": units["id"][()]}
    for name in units.attrs["colnames"]:
        if name in units and f"{name}_index" not in units and _is_scalar(units[name]):
            columns[name] = _values(units[name])
    if spike_times is not None:
        columns["n_spikes"] = np.array([len(spikes) for spikes in spike_times], dtype=np.int64)
    return pd.DataFrame(columns)


def _is_scalar(column: h5py.Dataset) -> bool:
    is_text = h5py.check_string_dtype(column.dtype) is not None
    is_region = column.attrs.get("neurodata_type") == "DynamicTableRegion"
    return column.ndim == 1 and not is_region and (is_text or column.dtype.kind in "iufb")


def _values(column: h5py.Dataset) -> np.ndarray:
    if "elements" in column.attrs:
        return column.file[column.attrs["elements"]].asstr()[()][column[()]]
    return column[()] if h5py.check_string_dtype(column.dtype) is None else column.asstr()[()]


def _splits(file: h5py.File, edges: Float[np.ndarray, " edge"]) -> dict[str, tuple[int, int]]:
    """Parts of the movie from a table of intervals "splits" with a column "split", if any."""
    table = file.get(SPLITS)
    if table is None or "split" not in table:
        return {}
    half_frame = HALF * np.median(np.diff(edges))
    starts, stops = (
        np.searchsorted(edges, table[f"{side}_time"][()] - half_frame) for side in ("start", "stop")
    )
    names = table["split"].asstr()[()]
    return {name: (int(a), int(b)) for name, a, b in zip(names, starts, stops, strict=True)}
