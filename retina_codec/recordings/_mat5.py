"""MATLAB's files of version 5 to 7: arrays of numbers, and cell arrays of them.

Each length is checked against what is there before it is used; SciPy's reader crashes on damaged
files.

References
----------
The MathWorks, MAT-File Format (the Level 5 format).
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

HEADER_BYTES, ENDIAN = 128, slice(126, 128)
ALIGNMENT, DOUBLES, MATRIX, COMPRESSED = 8, 9, 14, 15
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
CELL, COMPLEX, LOGICAL = "cell", 0x0800, 0x0200
CLASSES = ("", CELL, "struct", "object", "char", "sparse", "double", "single", "int8", "uint8")
CLASSES += ("int16", "uint16", "int32", "uint32", "int64", "uint64", "function", "opaque")
# MATLAB itself allows 2 GB for a variable.
MAX_BYTES = 2**31 + 2**20


@dataclass(frozen=True)
class Variable:
    """An array in a file: its class in MATLAB, its shape, and its content, yet to be read."""

    name: str
    kind: str
    shape: tuple[int, ...]
    is_complex: bool
    content: memoryview
    order: str


def variables(path: Path) -> dict[str, Variable]:
    """Find the arrays in a file.

    Raises
    ------
    ValueError
        If it is not of this format, or damaged.
    """
    content = path.read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[ENDIAN])
    if order is None:
        msg = "it is no MATLAB file of version 5 or later. Save it with '-v7' in MATLAB."
        raise ValueError(msg)
    found = {}
    for kind, part in _elements(memoryview(content)[HEADER_BYTES:], order):
        if kind == COMPRESSED:
            kind, part = next(_elements(_inflated(part), order), (0, part))
        if kind == MATRIX:
            variable = _variable(part, order)
            found[variable.name] = variable
    return found


def numbers(variable: Variable) -> np.ndarray:
    """Read an array of numbers, in the order of axes that MATLAB shows."""
    if variable.is_complex:
        msg = f"{variable.name!r} holds complex numbers."
        raise ValueError(msg)
    kind, part = next(_elements(variable.content, variable.order), (0, variable.content))
    if kind not in TYPES:
        msg = f"{variable.name!r} is damaged: numbers of type {kind}."
        raise ValueError(msg)
    values = np.frombuffer(part, np.dtype(TYPES[kind]).newbyteorder(variable.order))
    if values.size != prod(variable.shape):
        msg = f"{variable.name!r} is damaged: {values.size} numbers in the shape {variable.shape}."
        raise ValueError(msg)
    native = np.uint8 if variable.kind == "logical" else np.dtype(variable.kind)
    return values.astype(native).reshape(variable.shape, order="F")


def cells(variable: Variable) -> list[np.ndarray]:
    """Read the arrays of numbers in a cell array, one column after the other."""
    parts = [part for kind, part in _elements(variable.content, variable.order) if kind == MATRIX]
    if len(parts) != prod(variable.shape):
        msg = f"{variable.name!r} is damaged: {len(parts)} cells in the shape {variable.shape}."
        raise ValueError(msg)
    return [numbers(_numeric(_variable(part, variable.order), variable)) for part in parts]


def _numeric(inner: Variable, outer: Variable) -> Variable:
    if inner.kind not in CLASSES[6:16]:
        msg = f"{outer.name!r} has a cell of class {inner.kind!r}; expected arrays of numbers."
        raise ValueError(msg)
    return inner


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Take apart what is stored one after the other: number of its type, and what belongs to it."""
    place = 0
    while place + ALIGNMENT <= len(content):
        kind, length = struct.unpack_from(f"{order}II", content, place)
        start = place + ALIGNMENT
        if kind >> 16:  # Few bytes lie in the tag itself.
            kind, length, start = kind & 0xFFFF, kind >> 16, place + ALIGNMENT // 2
            place += ALIGNMENT
        else:
            padding = 0 if kind == COMPRESSED else -length % ALIGNMENT
            place = start + length + padding
        if start + length > len(content) or (start == place - 4 and length > 4):
            msg = f"it is damaged: {length} bytes are announced where {len(content) - start} are."
            raise ValueError(msg)
        yield kind, content[start : start + length]


def _after(content: memoryview, n_elements: int, order: str) -> memoryview:
    """Return what is stored after so many elements."""
    parts = _elements(content, order)
    place = 0
    for _ in range(n_elements):
        _, part = next(parts)
        (kind,) = struct.unpack_from(f"{order}I", content, place)
        place += ALIGNMENT if kind >> 16 else ALIGNMENT + len(part) + -len(part) % ALIGNMENT
    return content[place:]


def _inflated(part: memoryview) -> memoryview:
    inflater = zlib.decompressobj()
    content = inflater.decompress(part, MAX_BYTES)
    if not inflater.eof:
        msg = "it is damaged: a compressed part has no end."
        raise ValueError(msg)
    return memoryview(content)


def _variable(part: memoryview, order: str) -> Variable:
    if not len(part):
        empty = memoryview(struct.pack(f"{order}II", DOUBLES, 0))
        return Variable("", "double", (0, 0), False, empty, order)
    parts = _elements(part, order)
    try:
        (_, flags), (_, shape), (_, name) = next(parts), next(parts), next(parts)
        (flag,) = struct.unpack_from(f"{order}I", flags)
        kind = CLASSES[flag & 0xFF]
    except (StopIteration, struct.error, IndexError):
        msg = "it is damaged: an array has no complete description."
        raise ValueError(msg) from None
    lengths = np.frombuffer(shape, np.dtype("i4").newbyteorder(order))
    if (lengths < 0).any():
        msg = f"it is damaged: an array has the shape {lengths.tolist()}."
        raise ValueError(msg)
    return Variable(
        name=bytes(name).decode("utf-8", "replace"),
        kind="logical" if flag & LOGICAL and kind == "uint8" else kind,
        shape=tuple(map(int, lengths)),
        is_complex=bool(flag & COMPLEX),
        content=_after(part, 3, order),
        order=order,
    )
