"""Save and load every record: whole files, or none."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import xarray as xr
import zarr

from retina_codec.datatypes import RECORDS, Record

ENGINES = {".zarr": "zarr", ".nc": "h5netcdf", ".h5": "h5netcdf"}
ZLIB = {"zlib": True, "complevel": 4}


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
    >>> import numpy as np
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
    with complete_or_absent(path) as part:
        if engine == "zarr":
            dataset.to_zarr(part, zarr_format=2, consolidated=True)
        else:
            dataset.to_netcdf(part, engine=engine, encoding=_compressed(dataset))


def load(path: str | Path) -> Record:
    """Load what `save` wrote, whichever record it is.

    Parameters
    ----------
    path
        A file or folder that `save` wrote; its ending says which format it has.

    Returns
    -------
    Record
        Of the kind that was saved, in memory.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    ValueError
        If there is something else.

    Examples
    --------
    >>> import tempfile
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_samples=50)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(modes, f"{folder}/modes.zarr")
    ...     loaded = load(f"{folder}/modes.zarr")
    >>> type(loaded).__name__, loaded.dictionary.shape
    ('Modes', (12, 16))
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


def _engine(path: Path) -> str:
    if path.suffix not in ENGINES:
        msg = f"A record is saved as {', '.join(ENGINES)}; got the ending of {path.name!r}."
        raise ValueError(msg)
    return ENGINES[path.suffix]


@contextmanager
def complete_or_absent(path: Path) -> Iterator[Path]:
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
