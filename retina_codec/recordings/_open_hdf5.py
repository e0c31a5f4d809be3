"""The one door for HDF5 files: damage that the HDF5 library cannot bear is found before it reads.

Text of variable length lies in global heaps: "GCOL", a version, the size, and objects one after the
other, each with a number and a size. Number 0 is free space that says how long it is; where that
length is 0, or where an object is so long that the sum overflows, the library (2.0 at least) goes
round in a circle and cannot be interrupted. A type of text or list that is neither makes it crash.
"""

import struct
from pathlib import Path
from typing import Any

import h5py
from h5py import h5a, h5l, h5t

from ._declared import check_declared

MAGIC, VERSION = b"GCOL", 1
HEADER, OBJECT = struct.Struct("<4sB3xQ"), struct.Struct("<HHxxxxQ")
ALIGNMENT = 8
MAX_BYTES, BLOCK_BYTES = 2**28, 2**22
# Of a type as HDF5 writes it: where its class is, where the kind of variable length, and what they
# may be.
CLASS, KIND, NIBBLE, KINDS = 2, 3, 0x0F, (0, 1)


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading, if nothing in it is known to crash or hang its reader.

    Raises
    ------
    ValueError
        If it is damaged, or an array claims more bytes than are stored for it.
    """
    check_heaps(path)
    file = h5py.File(path)
    try:
        _check_types("/", file, path)
        _check_inside("", file, path)
        file.visititems(lambda name, item: _check_inside(name, item, path))
        file.visititems(lambda name, item: _check_types(name, item, path))
        check_declared(file, path)
    except BaseException:
        file.close()
        raise
    return file


def _check_inside(name: str, item: Any, path: Path) -> None:
    """Refuse numbers that lie in other files: a recording must not read what it is not."""
    if isinstance(item, h5py.Group):
        _check_links(name, item, path)
        return
    outside = [file for file, *_ in item.external or ()]
    if item.is_virtual:
        outside += [source.file_name for source in item.virtual_sources()]
    for file in outside:
        if file != ".":
            _refuse_outside(name, path, file)


def _check_links(name: str, group: h5py.Group, path: Path) -> None:
    for key in group.id:
        if group.id.links.get_info(key).type == h5l.TYPE_EXTERNAL:
            outside, _ = group.id.links.get_val(key)
            place = f"{name}/{key.decode(errors='replace')}"
            _refuse_outside(place, path, outside.decode(errors="replace"))


def _refuse_outside(name: str, path: Path, file: str) -> None:
    msg = (
        f"{path}: {name!r} lies in another file, {file!r}, which is not opened. Copy all into one "
        "file first, such as by h5repack or by exporting it with pynwb."
    )
    raise ValueError(msg)


def _check_types(name: str, item: Any, path: Path) -> None:
    types = [h5a.open(item.id, index=i).get_type() for i in range(h5a.get_num_attrs(item.id))]
    types += [item.id.get_type()] if isinstance(item, h5py.Dataset) else []
    for kind in types:
        if kind.get_class() == h5t.VLEN:
            written = kind.encode()
            if written[CLASS] & NIBBLE == h5t.VLEN and written[KIND] & NIBBLE not in KINDS:
                msg = f"{path} is damaged: {name!r} has a text or list of no known type."
                raise ValueError(msg)


def check_heaps(path: Path) -> None:
    """Refuse an HDF5 file with a global heap that has no end.

    Files above 256 MB are not looked through: that would take longer than opening them.

    Raises
    ------
    ValueError
        Saying where the damage is.
    """
    if path.stat().st_size > MAX_BYTES:
        return
    left = path.stat().st_size
    with path.open("rb") as file:
        for start in _places(file):
            heap = _heap_at(file, start, stop=path.stat().st_size)
            left -= len(heap)
            if left < 0 or not _ends(heap, 0):  # Heaps do not overlap.
                msg = f"{path} is damaged: its heap of texts at byte {start} has no end."
                raise ValueError(msg)


def _places(file: Any) -> list[int]:
    """Find where bytes look like the begin of a heap, without holding the whole file."""
    found, first, rest = [], 0, b""
    file.seek(0)
    while block := file.read(BLOCK_BYTES):
        block = rest + block
        place = block.find(MAGIC)
        while place >= 0:
            found.append(first + place)
            place = block.find(MAGIC, place + 1)
        rest = block[1 - len(MAGIC) :]
        first += len(block) - len(rest)
    return found


def _heap_at(file: Any, start: int, stop: int) -> bytes:
    """Return a heap, or nothing where bytes only look like one."""
    file.seek(start)
    head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        return b""
    _, version, size = HEADER.unpack(head)
    is_heap = version == VERSION and HEADER.size <= size <= stop - start
    return head + file.read(size - HEADER.size) if is_heap else b""


def _ends(content: bytes, start: int) -> bool:
    """Whether the objects of a heap lead to its end and not beyond.

    Examples
    --------
    >>> whole = HEADER.pack(MAGIC, VERSION, 48) + OBJECT.pack(1, 1, 3) + b"abc".ljust(8, bytes(1))
    >>> _ends(whole + bytes(8), 0), _ends(whole[:16] + bytes(32), 0)
    (True, False)
    """
    if start + HEADER.size > len(content):
        return True
    _, version, size = HEADER.unpack_from(content, start)
    stop = start + size
    if version != VERSION or stop > len(content):
        return True  # No heap that the library would read, but bytes that look like one.
    place = start + HEADER.size
    while place + OBJECT.size <= stop:
        number, _, length = OBJECT.unpack_from(content, place)
        if number == 0 and length == 0:
            return False
        place += length if number == 0 else OBJECT.size + -(-length // ALIGNMENT) * ALIGNMENT
    return place <= stop
