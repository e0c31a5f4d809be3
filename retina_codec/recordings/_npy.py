"""NumPy's files, opened without unpickling and only where they are as long as they say."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy


class LazyNpy:
    """An array in a .npy file of which only what is asked for is read; it is sent as a path.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/movie.npy", np.zeros((3, 2, 2)))
    ...     lazy_npy(Path(folder) / "movie.npy")[1:].shape
    (2, 2, 2)
    """

    def __init__(self, path: Path):
        self.path = path
        self._array = np.load(path, mmap_mode="r", allow_pickle=False)
        self.shape, self.ndim, self.dtype = self._array.shape, self._array.ndim, self._array.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.array(self._array[key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def __reduce__(self):
        return LazyNpy, (self.path.resolve(),)


def lazy_npy(path: Path) -> LazyNpy:
    """Open a .npy file whose array stays there.

    Raises
    ------
    ValueError
        If it is no such file, holds objects that would have to be unpickled, or is too short.
    """
    with path.open("rb") as file:
        header(file, path.stat().st_size, str(path))
    try:
        return LazyNpy(path)
    except (ValueError, OSError) as error:
        msg = f"{path} cannot be read as a NumPy array: {error}"
        raise ValueError(msg) from None


def header(file: Any, n_bytes: int, where: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of numbers of an array in a .npy file that is `n_bytes` long."""
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    except (ValueError, SyntaxError, UnicodeError) as error:
        msg = f"{where} is not a NumPy array: {' '.join(str(error).split())}"
        raise ValueError(msg) from None
    if dtype.hasobject:
        msg = f"{where} holds Python objects, which would have to be unpickled. Save plain numbers."
        raise ValueError(msg)
    declared = dtype.itemsize
    for length in shape:
        declared *= int(length)
    if min(shape, default=0) < 0 or declared > n_bytes:
        msg = f"{where} says it has the shape {shape} of {dtype}, but is only {n_bytes} bytes long."
        raise ValueError(msg)
    return shape, dtype


def zipped_headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and type of numbers of each array of a .npz file.

    Raises
    ------
    ValueError
        If it is no such file, or one of its arrays cannot be read without unpickling.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(".npy"):
                    name = entry.filename.removesuffix(".npy")
                    with archive.open(entry) as file:
                        found[name] = header(file, entry.file_size, f"{path}: {name!r}")
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        msg = f"{path} is not a readable .npz file: {error}"
        raise ValueError(msg) from None
    return found
