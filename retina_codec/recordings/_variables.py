"""Named arrays in a file: what there is, with shapes, and one array at a time."""

import re
import zipfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from . import _mat5
from ._lazy import Stored
from ._npy import lazy_npy, zipped_headers
from ._open_hdf5 import open_hdf5

MATLAB_CLASS = "MATLAB_class"
READABLE = "double single logical int8 uint8 int16 uint16 int32 uint32 int64 uint64".split()


class Variables(ABC):
    """Arrays of a file; `found` says what each is, for people."""

    found: dict[str, str]

    @abstractmethod
    def array(self, name: str) -> np.ndarray:
        """Read an array."""

    @abstractmethod
    def trains(self, name: str) -> list[np.ndarray]:
        """Read arrays of unequal length, one for each cell."""

    def lazy(self, name: str) -> Any:
        """Return an array that may stay in the file."""
        return self.array(name)


def open_variables(path: Path) -> Variables:
    """Look into a .mat, .npz or HDF5 file, or a folder of .npy files.

    Raises
    ------
    ValueError
        If it is something else, or damaged.
    """
    if path.is_dir():
        return _Folder(path)
    if h5py.is_hdf5(path):
        return _Hdf5(path)
    if zipfile.is_zipfile(path):
        return _Zipped(path)
    if path.suffix == ".mat":
        return _Mat(path)
    msg = f"{path} holds no arrays that are known here: .mat, .npz, HDF5, a folder of .npy files."
    raise ValueError(msg)


def _shown(shape: tuple[int, ...], kind: Any) -> str:
    return f"({' x '.join(map(str, shape))} {kind})"


def _one_train(array: np.ndarray, name: str) -> list[np.ndarray]:
    if array.ndim > 1 and max(array.shape) != array.size:
        msg = f"{name!r} must hold one vector for each cell, got the shape {array.shape}."
        raise ValueError(msg)
    return [array.ravel()]


class _Folder(Variables):
    def __init__(self, path: Path):
        self._arrays = {file.stem: lazy_npy(file) for file in sorted(path.glob("*.npy"))}
        self.found = {name: _shown(a.shape, a.dtype) for name, a in self._arrays.items()}

    def array(self, name: str) -> np.ndarray:
        return np.asarray(self._arrays[name])

    def lazy(self, name: str) -> Any:
        return self._arrays[name]

    def trains(self, name: str) -> list[np.ndarray]:
        return _one_train(self.array(name), name)


class _Zipped(Variables):
    def __init__(self, path: Path):
        self.path = path
        self.found = {name: _shown(*header) for name, header in zipped_headers(path).items()}

    def array(self, name: str) -> np.ndarray:
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                return archive[name]
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            msg = f"{self.path}: {name!r} cannot be read: {error}"
            raise ValueError(msg) from None

    def trains(self, name: str) -> list[np.ndarray]:
        return _one_train(self.array(name), name)


class _Mat(Variables):
    """MATLAB up to version 7."""

    def __init__(self, path: Path):
        self.path, self._stored = path, _mat5.variables(path)
        self.found = {name: _shown(v.shape, v.kind) for name, v in self._stored.items()}

    def array(self, name: str) -> np.ndarray:
        _refuse_kind(self.path, name, self._stored[name].kind, READABLE)
        return _mat5.numbers(self._stored[name])

    def trains(self, name: str) -> list[np.ndarray]:
        stored = self._stored[name]
        _refuse_kind(self.path, name, stored.kind, (*READABLE, _mat5.CELL))
        if stored.kind == _mat5.CELL:
            return _mat5.cells(stored)
        return _one_train(_mat5.numbers(stored), name)


class _Hdf5(Variables):
    """HDF5, of which MATLAB's version 7.3 is a kind that stores axes the other way round."""

    def __init__(self, path: Path):
        self.path, self.file = path, open_hdf5(path)
        self.found: dict[str, str] = {}
        self.file.visititems(self._note)

    def _note(self, name: str, item: Any) -> None:
        is_own = not name.startswith("#") and item.dtype.kind != "V" if _is_array(item) else False
        if is_own:
            shape = item.shape[::-1] if _from_matlab(item) else item.shape
            self.found[name] = _shown(shape, _kind(item))
        elif isinstance(item, h5py.Group) and not name.startswith("#"):
            self.found[name] = f"({_kind(item)} of {len(item)})"

    def array(self, name: str) -> np.ndarray:
        stored = self._numbers(name)
        return stored[()].T if _from_matlab(stored) else stored[()]

    def lazy(self, name: str) -> Any:
        stored = self._numbers(name)
        return stored[()].T if _from_matlab(stored) else Stored(stored)

    def trains(self, name: str) -> list[np.ndarray]:
        item = self.file[name]
        if isinstance(item, h5py.Group) and not _from_matlab(item):
            return [item[key][()] for key in sorted(item, key=_natural)]
        if _is_array(item) and item.dtype == h5py.ref_dtype:
            return [_cell_content(self.file[ref]) for ref in item[()].T.ravel()]
        return _one_train(self.array(name), name)

    def _numbers(self, name: str) -> h5py.Dataset:
        stored = self.file[name]
        kind = _kind(stored)
        if _from_matlab(stored):
            _refuse_kind(self.path, name, kind, READABLE)
        elif not _is_array(stored) or stored.dtype.kind not in "biuf":
            msg = f"{self.path}: {name!r} is no array of numbers but {kind}."
            raise ValueError(msg)
        return stored


def _is_array(item: Any) -> bool:
    return isinstance(item, h5py.Dataset)


def _from_matlab(item: Any) -> bool:
    return MATLAB_CLASS in item.attrs


def _kind(item: Any) -> str:
    if _from_matlab(item):
        kind = item.attrs[MATLAB_CLASS]
        return kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)
    return str(item.dtype) if _is_array(item) else "group"


def _cell_content(item: Any) -> np.ndarray:
    """Numbers in one cell of a MATLAB cell array; empty ones hold their size instead."""
    is_empty = "MATLAB_empty" in item.attrs and item.attrs["MATLAB_empty"]
    return np.zeros(0) if is_empty else item[()].ravel()


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Sort cell2 before cell10."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((int(part[:18]), "") if part.isdecimal() else (-1, part) for part in parts)


def _refuse_kind(path: Path, name: str, kind: str, readable: tuple[str, ...] | list[str]) -> None:
    if kind not in readable:
        msg = (
            f"{path}: {name!r} is of MATLAB's class {kind!r}, which is not read here. "
            "Save it as an array of numbers, or spike times as a cell array of them."
        )
        raise ValueError(msg)
