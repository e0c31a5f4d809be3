"""Files that promise more numbers than they hold: refused before memory is taken for them."""

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr

SMALL_BYTES = 2**28
MAX_COMPRESSION = 5000
FEW_CHUNKS = 10**5


def check_declared(contents: Any, path: Path) -> None:
    """Refuse a file in which an array claims far more bytes than are stored for it.

    The best that compression of HDF5 and Zarr does with numbers that are all the same is about
    1000 to 1.

    Raises
    ------
    ValueError
        Naming the array.
    """
    if isinstance(contents, h5py.File):
        contents.visititems(lambda name, item: _check_hdf5(name, item, path))
    elif isinstance(contents, zarr.Group):
        for name, array in contents.arrays():
            if array.nbytes > SMALL_BYTES:
                check_size(f"{path}: {name!r}", array.shape, array.dtype, array.nbytes_stored())


def _check_hdf5(name: str, item: Any, path: Path) -> None:
    if isinstance(item, h5py.Dataset) and item.size and not item.is_virtual:
        stored = item.id.get_storage_size()
        check_size(f"{path}: {name!r}", item.shape, item.dtype, stored)
        if item.chunks and item.size // math.prod(item.chunks) > FEW_CHUNKS + stored:
            msg = (
                f"{path}: {name!r} is in {item.size // math.prod(item.chunks)} chunks, but only "
                f"{stored} bytes are stored for it. The file is damaged, or was never filled."
            )
            raise ValueError(msg)


def check_size(where: str, shape: tuple[int, ...], dtype: np.dtype, stored_bytes: int) -> None:
    """Refuse an array that is larger than what is stored for it can be.

    Examples
    --------
    >>> check_size("a.h5: 'movie'", (10**12, 50, 50), np.dtype("u1"), stored_bytes=300)
    Traceback (most recent call last):
    ValueError: a.h5: 'movie' says it is 1000000000000 x 50 x 50 of uint8, but only 300 bytes ...
    """
    declared = dtype.itemsize
    for length in shape:
        declared *= int(length)
    if declared > max(SMALL_BYTES, MAX_COMPRESSION * stored_bytes):
        size = " x ".join(map(str, shape))
        msg = (
            f"{where} says it is {size} of {dtype}, but only {stored_bytes} bytes are stored for "
            "it. The file is damaged, or was never filled."
        )
        raise ValueError(msg)
