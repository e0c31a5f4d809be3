"""Recordings in the format of `export.save`: one netCDF/HDF5 file, or a Zarr folder."""

from pathlib import Path
from typing import Any

import xarray as xr

from retina_codec.datatypes import Recording


def recognises(contents: Any) -> bool:
    """Whether a file or folder holds one of this package's records."""
    return "record" in contents.attrs


def read(path: Path, contents: Any) -> Recording:
    """Read a saved recording; the movie is loaded into memory.

    Raises
    ------
    ValueError
        If another record was saved there.
    """
    engine = "zarr" if path.is_dir() else "h5netcdf"
    with xr.open_dataset(
        path, engine=engine, decode_times=False, decode_timedelta=False
    ) as dataset:
        return Recording.from_xarray(dataset)
