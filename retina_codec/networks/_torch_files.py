"""Files that `torch.save` wrote, in the zip format or the older one, read without running them."""

import math
import struct
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ._stored_objects import Reader
from ._stored_values import STORAGES, Name, Storage, Unreadable, shown, tensors

ZIP = b"PK\x03\x04"
OLDER = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
MAX_SHARED = 4
"""How many times the same numbers may be used, on average."""
MAX_OBJECT_BYTES = 256 * 2**20
DAMAGED = (
    ArithmeticError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    RuntimeError,
    TypeError,
    UnicodeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)
"""What reading a damaged file may raise."""


@dataclass(frozen=True, eq=False)
class TorchFile:
    """What a file holds; tensors are still in it.

    Attributes
    ----------
    path
        The file.
    objects
        Plain values, `StoredTensor` and `Foreign`.
    numbers_of
        Reads the bytes of a storage.
    """

    path: Path
    objects: Any
    numbers_of: Callable[[Storage], bytes]

    def weights(self, stored: Any) -> dict[str, torch.Tensor]:
        """Read the tensors of a state dict; numbers that are not finite are refused."""
        if not isinstance(stored, dict):
            msg = f"the state dict is a {type(stored).__name__}"
            raise Unreadable(msg)
        wanted = dict(tensors(stored))
        size = sum(math.prod(one.shape) * one.dtype.itemsize for one in wanted.values())
        if size > MAX_SHARED * self.path.stat().st_size:
            msg = f"its weights take {size:,} bytes, much more than the file has"
            raise Unreadable(msg)
        numbers_of = cache(self.numbers_of)
        read = {key: one.read(numbers_of) for key, one in wanted.items()}
        for key, tensor in read.items():
            if not torch.isfinite(tensor).all():
                msg = f"the weights {key!r} are not all finite"
                raise Unreadable(msg)
        if len({tensor.dtype for tensor in read.values() if tensor.is_floating_point()}) > 1:
            msg = "the weights have several types of numbers"
            raise Unreadable(msg)
        small = (torch.float16, torch.bfloat16)
        return {key: one.float() if one.dtype in small else one for key, one in read.items()}


def is_torch_file(path: Path) -> bool:
    """Tell from its first bytes whether `torch.save` may have written a file."""
    with path.open("rb") as file:
        start = file.read(len(OLDER))
    return start.startswith(ZIP) or start == OLDER


def read_torch_file(path: Path) -> TorchFile:
    """Read a file that `torch.save` wrote.

    Raises
    ------
    ValueError
        If it is damaged, or of a kind that cannot be read as data.
    """
    with path.open("rb") as file:
        is_zip = file.read(len(ZIP)) == ZIP
    return _zip(path) if is_zip else _older(path)


def _zip(path: Path) -> TorchFile:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        _refuse_programs(names)
        _check_entries(archive, path)
        objects = [name for name in names if name.split("/", 1)[-1] == "data.pkl"]
        if len(objects) != 1:
            msg = f"a zip archive with {len(names)} entries but not one 'data.pkl'"
            raise Unreadable(msg)
        top = objects[0].removesuffix("data.pkl")
        order = f"{top}byteorder"
        if order in names and archive.read(order) != sys.byteorder.encode():
            msg = "its numbers are in another byte order than those of this computer"
            raise Unreadable(msg)
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        if sizes[objects[0]] > MAX_OBJECT_BYTES:
            msg = f"its objects take {sizes[objects[0]]:,} bytes, at most {MAX_OBJECT_BYTES:,} do"
            raise Unreadable(msg)
        raw = archive.read(objects[0])

    def stored(reference: Any) -> Storage:
        storage = _storage(reference)
        found = sizes.get(f"{top}data/{storage.key}", -1)
        _check_size(storage, found)
        return storage

    def numbers_of(storage: Storage) -> bytes:
        with zipfile.ZipFile(path) as archive:
            return archive.read(f"{top}data/{storage.key}")

    return TorchFile(path, Reader(raw, stored).value(), numbers_of)


def _check_entries(archive: zipfile.ZipFile, path: Path) -> None:
    size = path.stat().st_size
    for info in archive.infolist():
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
            msg = f"the entry {info.filename!r:.80} is compressed or larger than the file"
            raise Unreadable(msg)


def _refuse_programs(names: list[str]) -> None:
    inner = {name.split("/", 1)[-1] for name in names}
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        msg = (
            "a TorchScript archive: a program, whose layers cannot be watched. Save "
            "model.state_dict() instead, and load it with 'package.module:function' and weights"
        )
        raise Unreadable(msg)
    if any(name == "archive_format" or "exported_program" in name for name in inner) or any(
        name.startswith("models/") for name in inner
    ):
        msg = (
            "an exported program (.pt2), whose layers cannot be watched. Save model.state_dict() "
            "instead, and load it with 'package.module:function' and weights"
        )
        raise Unreadable(msg)


def _storage(reference: Any) -> Storage:
    if not isinstance(reference, tuple) or len(reference) < 5 or reference[0] != "storage":
        msg = "it refers to something else than stored numbers"
        raise Unreadable(msg)
    _, kind, key, _, n_items = reference[:5]
    dtype = STORAGES.get(kind.name.rsplit(".", 1)[-1]) if isinstance(kind, Name) else None
    if dtype is None or type(n_items) is not int or n_items < 0 or not isinstance(key, str):
        msg = f"a storage of {shown(kind)} with {shown(n_items)} numbers"
        raise Unreadable(msg)
    return Storage(dtype, key, n_items)


def _check_size(storage: Storage, n_bytes: int) -> None:
    wanted = storage.n_items * storage.dtype.itemsize
    if n_bytes < wanted:
        msg = f"storage {storage.key:.40} should have {wanted:,} bytes, the file has {n_bytes:,}"
        raise Unreadable(msg)


def _older(path: Path) -> TorchFile:
    size = path.stat().st_size
    raw = path.read_bytes()
    seen: dict[str, Storage] = {}

    def stored(reference: Any) -> Storage:
        storage = _storage(reference)
        if len(reference) > 5 and reference[5] is not None:
            msg = "a storage is a part of another one"
            raise Unreadable(msg)
        _check_size(storage, size)
        return seen.setdefault(storage.key, storage)

    reader = Reader(raw, stored)
    reader.value()
    protocol, system, objects, keys = (reader.value() for _ in range(4))
    if protocol != 1001 or not isinstance(system, dict) or not system.get("little_endian"):
        msg = "it is of an unknown protocol or byte order"
        raise Unreadable(msg)
    places = _places(reader, keys, seen)

    def numbers_of(storage: Storage) -> bytes:
        first, n_bytes = places[storage.key]
        return raw[first : first + n_bytes]

    return TorchFile(path, objects, numbers_of)


def _places(reader: Reader, keys: Any, seen: dict[str, Storage]) -> dict[str, tuple[int, int]]:
    """Where the numbers of each storage lie, after the objects."""
    places = {}
    for key in keys:
        storage = seen[key]
        n_items = reader.number("<q")
        if n_items != storage.n_items:
            msg = f"storage {key:.40} has {n_items} numbers, expected {storage.n_items}"
            raise Unreadable(msg)
        n_bytes = n_items * storage.dtype.itemsize
        places[key] = (reader.at, n_bytes)
        reader.at += n_bytes
        if reader.at > len(reader.raw):
            msg = "it ends too early"
            raise Unreadable(msg)
    if set(places) != set(seen):
        msg = "numbers of some storages are missing"
        raise Unreadable(msg)
    return places
