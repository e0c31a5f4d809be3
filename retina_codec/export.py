"""Save and load every record; add modes to a copy of the NWB file they come from."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import numpy as np
import xarray as xr
import zarr
from hdmf.backends.hdf5 import H5DataIO
from hdmf.common import DynamicTable, VectorData
from pynwb import NWBHDF5IO, NWBFile, TimeSeries

from retina_codec.datatypes import RECORDS, Modes, Record

ENGINES = {".zarr": "zarr", ".nc": "h5netcdf", ".h5": "h5netcdf"}
ZLIB = {"zlib": True, "complevel": 4}
GZIP = {"compression": "gzip", "compression_opts": 4}
REGULAR_S = 1e-6


def save(record: Record, path: str | Path) -> None:
    """Save a record in one file (.nc or .h5, netCDF in HDF5) or one folder (.zarr).

    Parameters
    ----------
    record
        Any record of `datatypes`.
    path
        Its ending chooses the format. It appears when it is complete, and replaces an old one.

    Raises
    ------
    ValueError
        If the ending is unknown, or a folder that holds something else is in the way.

    Examples
    --------
    >>> import tempfile
    >>> from retina_codec.datatypes import Stimulus
    >>> stimulus = Stimulus(frames=np.zeros((30, 4, 4)), frame_rate_hz=100.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(stimulus, f"{folder}/stimulus.nc")
    ...     load(f"{folder}/stimulus.nc").duration_s
    0.3
    """
    path = Path(path).expanduser()
    engine = _engine(path)
    dataset = record.to_xarray()
    with _complete_or_absent(path) as part:
        if engine == "zarr":
            dataset.to_zarr(part, zarr_format=2, consolidated=True)
        else:
            dataset.to_netcdf(part, engine=engine, encoding=_compressed(dataset))


def load(path: str | Path) -> Record:
    """Load what `save` wrote, whichever record it is.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    ValueError
        If there is something else.
    """
    path = Path(path).expanduser()
    engine = _engine(path)
    if not path.exists():
        msg = f"No file {path}."
        raise FileNotFoundError(msg)
    name = _record_name(path, engine)
    if name not in RECORDS:
        msg = f"{path} holds no record of retina_codec ({', '.join(RECORDS)})."
        raise ValueError(msg)
    with xr.open_dataset(
        path, engine=engine, decode_times=False, decode_timedelta=False
    ) as dataset:
        return RECORDS[name].from_xarray(dataset)


def add_to_nwb(
    source_nwb: str | Path,
    target_nwb: str | Path,
    modes: Mapping[str, Modes],
    *,
    module: str = "ecephys",
) -> None:
    """Write a copy of an NWB file that also holds modes and their loadings; leave the source alone.

    For a layer "conv1" the copy gets, in one processing module, a TimeSeries "conv1_loadings" on
    the clock of the file, a table "conv1_modes" with one row for each mode and a table
    "conv1_features" that says which channel and sign each weight belongs to. The comments of the
    time series are JSON: method, seed, settings, scores, version.

    Parameters
    ----------
    source_nwb
        The recording. External movies that it refers to by a relative path are not copied.
    target_nwb
        The copy, ending in .nwb; it appears when it is complete, and replaces an old one.
    modes
        Modes under a name, which is usually the layer's; signs other than letters, digits, "-" and
        "_" become "_". Their samples must be times (s) on the clock of the recording.
    module
        Processing module; made if the file has none of that name.

    Raises
    ------
    FileNotFoundError
        If there is no source.
    ValueError
        If source and target are the same file, or the file holds such modes already.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import UTC, datetime
    >>> modes = Modes(
    ...     dictionary=np.eye(2), loadings=np.ones((5, 2)), sample=np.arange(5) / 100,
    ...     held_out=np.arange(5) > 3, channel=np.array([0, 0]), sign=np.array([1, -1]),
    ...     offset=np.zeros(2), firing=np.array([5, 5]), r2=0.9, r2_train=0.9, scale=1.0,
    ...     n_dead=0, layer="conv1", target="one_cell(0)", method="example", seed=0,
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with NWBHDF5IO(f"{folder}/retina.nwb", "w") as io:
    ...         io.write(NWBFile("example", "1", datetime(2026, 1, 1, tzinfo=UTC)))
    ...     add_to_nwb(f"{folder}/retina.nwb", f"{folder}/with_modes.nwb", {"conv1": modes})
    ...     with h5py.File(f"{folder}/with_modes.nwb") as file:
    ...         sorted(file["processing/ecephys"])
    ['conv1_features', 'conv1_loadings', 'conv1_modes']
    """
    source, target = Path(source_nwb).expanduser(), Path(target_nwb).expanduser()
    _check_places(source, target)
    with _complete_or_absent(target) as part:
        shutil.copyfile(source, part)
        with NWBHDF5IO(part, "a") as io:
            nwb = io.read()
            for name, one in modes.items():
                _add_modes(nwb, module, re.sub(r"[^\w-]", "_", name, flags=re.ASCII), one)
            io.write(nwb)


def _engine(path: Path) -> str:
    if path.suffix not in ENGINES:
        msg = f"A record is saved as {', '.join(ENGINES)}; got the ending of {path.name!r}."
        raise ValueError(msg)
    return ENGINES[path.suffix]


@contextmanager
def _complete_or_absent(path: Path) -> Iterator[Path]:
    """Hand out a place beside `path` to write to; rename it when that went well, else remove it."""
    _check_replaceable(path)
    beside = f".{path.stem}.{uuid4().hex[:8]}"
    part, old = (path.with_name(f"{beside}.{use}{path.suffix}") for use in ("part", "old"))
    try:
        yield part
        if part.is_dir() and path.exists():  # A folder cannot be replaced in one step.
            os.replace(path, old)
        os.replace(part, path)
    except BaseException:
        if old.exists():
            os.replace(old, path)
        raise
    finally:
        for leftover in (part, old):
            _remove(leftover)


def _check_replaceable(path: Path) -> None:
    if not path.parent.is_dir():
        msg = f"No folder {path.parent}; make it first."
        raise FileNotFoundError(msg)
    if path.is_dir() and any(path.iterdir()) and not _is_zarr(path):
        msg = f"{path} is a folder that holds something else than a record; it is not replaced."
        raise ValueError(msg)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_zarr(path: Path) -> bool:
    return any((path / name).exists() for name in (".zgroup", "zarr.json"))


def _compressed(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    return {
        str(name): ZLIB
        for name, variable in dataset.variables.items()
        if variable.dtype.kind in "iuf" and variable.size
    }


def _record_name(path: Path, engine: str) -> str | None:
    """Return what the file says it holds; cheap, and without an opinion on its layout."""
    if engine == "zarr":
        if not _is_zarr(path):
            return None
        return zarr.open_group(path, mode="r").attrs.get("record")
    if not h5py.is_hdf5(path):
        return None
    with h5py.File(path) as file:
        return file.attrs.get("record")


def _check_places(source: Path, target: Path) -> None:
    if not source.is_file():
        msg = f"No file {source}."
        raise FileNotFoundError(msg)
    if target.suffix != ".nwb":
        msg = f"An NWB file must end in .nwb, got {target.name!r}."
        raise ValueError(msg)
    if target.exists() and target.samefile(source):
        msg = f"{target} is the source itself; choose another file, the source is never changed."
        raise ValueError(msg)


def _add_modes(nwb: NWBFile, module: str, name: str, modes: Modes) -> None:
    if module in nwb.processing:
        processing = nwb.processing[module]
    else:
        processing = nwb.create_processing_module(module, "Modes of retina_codec.")
    made = (_loadings(name, modes), _modes_table(name, modes), _features_table(name, modes))
    for container in made:
        if container.name in processing.data_interfaces:
            msg = f"The NWB file already holds {container.name!r} in its module {module!r}."
            raise ValueError(msg)
        processing.add(container)


def _loadings(name: str, modes: Modes) -> TimeSeries:
    """How much of each mode there is over time, in ascending order of time."""
    times = np.asarray(modes.sample, dtype=np.float64)
    order = np.argsort(times, kind="stable")
    loadings = np.asarray(modes.loadings, dtype=np.float32)[order]
    return TimeSeries(
        name=f"{name}_loadings",
        description=f"Loadings of the modes of layer {modes.layer!r}, axes time, mode; the modes "
        f"are the rows of {name}_modes. Target: {modes.target}.",
        data=H5DataIO(loadings, chunks=True, **GZIP),
        unit="a.u.",
        comments=_provenance(modes),
        **_timing(times[order]),
    )


def _timing(times: np.ndarray) -> dict[str, Any]:
    """Start and rate where samples are regular, as NWB prefers, else all times."""
    if len(times) > 1 and times[-1] > times[0]:
        rate = float((len(times) - 1) / (times[-1] - times[0]))
        if np.allclose(times, times[0] + np.arange(len(times)) / rate, rtol=0, atol=REGULAR_S):
            return {"starting_time": float(times[0]), "rate": rate}
    return {"timestamps": H5DataIO(times, chunks=True, **GZIP)}


def _provenance(modes: Modes) -> str:
    names = ("layer", "target", "method", "seed", "settings", "r2", "r2_train", "scale", "n_dead")
    values = {name: getattr(modes, name) for name in names}
    return json.dumps({"made_by": f"retina_codec {_version()}", **values})


def _version() -> str:
    try:
        return version("retina_codec")
    except PackageNotFoundError:
        return "(not installed)"


def _modes_table(name: str, modes: Modes) -> DynamicTable:
    return DynamicTable(
        name=f"{name}_modes",
        description=f"Modes of layer {modes.layer!r} by {modes.method}; together they explain r2 = "
        f"{modes.r2:.4g} of the contributions on held-out samples. Contribution * sign / "
        f"{modes.scale:.6g} is about loadings @ weights + offset.",
        columns=[
            VectorData(
                name="weights",
                description=f"Weight of each feature, in the order of {name}_features.",
                data=np.asarray(modes.dictionary, dtype=np.float32),
            ),
            VectorData(
                name="firing",
                description="In how many samples the mode is active.",
                data=np.asarray(modes.firing),
            ),
        ],
    )


def _features_table(name: str, modes: Modes) -> DynamicTable:
    about = {
        "channel": "Channel of the layer, from 0.",
        "sign": "+1 promotes, -1 suppresses, 0 both together.",
        "offset": "Value of the feature when no mode is active.",
    }
    return DynamicTable(
        name=f"{name}_features",
        description=f"What the weights of {name}_modes belong to: channels of {modes.layer!r}.",
        columns=[
            VectorData(name=column, description=text, data=np.asarray(getattr(modes, column)))
            for column, text in about.items()
        ],
    )
