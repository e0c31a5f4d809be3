"""HDF5 files whose damage would keep the HDF5 library busy for ever: found before it reads them.

Text of variable length lies in global heaps: "GCOL", a version, the size, and objects one after the
other, each with a number and a size. Number 0 is free space that says how long it is; where that
length is 0, the library (2.0 at least) goes round in a circle and cannot be interrupted.
"""

import struct
from pathlib import Path

MAGIC, VERSION = b"GCOL", 1
HEADER, OBJECT = struct.Struct("<4sB3xQ"), struct.Struct("<HHxxxxQ")
ALIGNMENT = 8
MAX_BYTES = 2**28


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
    content = path.read_bytes()
    start = content.find(MAGIC)
    while start >= 0:
        if not _ends(content, start):
            msg = f"{path} is damaged: its heap of texts at byte {start} has no end."
            raise ValueError(msg)
        start = content.find(MAGIC, start + len(MAGIC))


def _ends(content: bytes, start: int) -> bool:
    """Whether the objects of a heap lead to its end.

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
    return True
