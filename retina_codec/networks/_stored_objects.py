"""Read the byte code in which Python stores objects, as data: no name in it is ever imported.

Only codes that make values are known. What they make is plain (numbers, text, lists, dictionaries)
or comes from `_stored_values`; so a file can describe anything, but nothing in it can run.
"""

import struct
from collections.abc import Callable
from typing import Any

from ._stored_values import Foreign, Name, Unreadable, made, scalar, with_state

MAX_CODES = 1_000_000
REUSE, SPARE = 4, 10_000
"""Values may be handed on, together, so many times the bytes of the file, and a few more."""
MARK = object()
MAX_INTEGER_BYTES = 64


class Reader:
    """A stream of bytes and the stack on which its codes put values.

    Parameters
    ----------
    raw
        The bytes; several objects may follow each other.
    stored
        What to make of a reference to numbers that lie elsewhere in the file.
    start
        Where to begin.
    """

    def __init__(self, raw: bytes, stored: Callable[[Any], Any], start: int = 0):
        self.raw, self.at, self.stored = raw, start, stored
        self.left = REUSE * len(raw) + SPARE

    def value(self) -> Any:
        """Return the next object of the stream."""
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.places: dict[int, list[int]] = {}
        for _ in range(MAX_CODES):
            code = self.take(1)[0]
            if code == ord("."):
                return self.stack.pop()
            if code not in CODES:
                msg = f"byte {self.at - 1} is no code for a value that can be read ({code})"
                raise Unreadable(msg)
            CODES[code](self)
        msg = f"it has more than {MAX_CODES:,} values"
        raise Unreadable(msg)

    def take(self, count: int) -> bytes:
        """Return the next bytes; too few of them are an error."""
        part = self.raw[self.at : self.at + count]
        if len(part) != count:
            msg = "it ends too early"
            raise Unreadable(msg)
        self.at += count
        return part

    def number(self, form: str) -> Any:
        """Return the next number in a form of `struct`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        """Return the next line of text."""
        end = self.raw.find(b"\n", self.at)
        if end < 0:
            msg = "it ends too early"
            raise Unreadable(msg)
        return self.take(end + 1 - self.at)[:-1].decode()

    def since_mark(self) -> list[Any]:
        """Take all values above the last mark off the stack."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        msg = "it closes a list that it did not open"
        raise Unreadable(msg)

    def spend(self, given: Any) -> None:
        """Count values that are copied; a file that copies far more than it has is refused."""
        sized = (str, bytes, list, tuple, dict, set)
        given = given if isinstance(given, tuple) else (given,)
        self.left -= sum(len(one) for one in given if isinstance(one, sized))
        if self.left < 0:
            msg = "it makes far more values than it has bytes"
            raise Unreadable(msg)

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def last(self, count: int) -> tuple[Any, ...]:
        """Take some values off the stack."""
        if len(self.stack) < count:
            msg = "it uses values that are not there"
            raise Unreadable(msg)
        values = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return values


def _integer(reader: Reader) -> None:
    size = reader.number("<B")
    if size > MAX_INTEGER_BYTES:
        msg = f"it has an integer of {size} bytes"
        raise Unreadable(msg)
    reader.push(int.from_bytes(reader.take(size), "little", signed=True))


def _add_items(reader: Reader) -> None:
    _set_items(reader, reader.since_mark())


def _set_items(reader: Reader, items: list[Any] | tuple[Any, ...]) -> None:
    (holder,) = reader.last(1)
    if isinstance(holder, dict) and len(items) % 2 == 0:
        holder.update((scalar(items[i]), items[i + 1]) for i in range(0, len(items), 2))
    elif isinstance(holder, Foreign):
        holder.items.extend(items)
    else:
        msg = f"it puts entries into a {type(holder).__name__}"
        raise Unreadable(msg)
    reader.push(holder)


def _append(reader: Reader, items: list[Any] | tuple[Any, ...]) -> None:
    (holder,) = reader.last(1)
    if isinstance(holder, list):
        holder.extend(items)
    elif isinstance(holder, set):
        holder.update(map(scalar, items))
    elif isinstance(holder, Foreign):
        holder.items.extend(items)
    else:
        msg = f"it appends to a {type(holder).__name__}"
        raise Unreadable(msg)
    reader.push(holder)


def _make(reader: Reader) -> None:
    name, given = reader.last(2)
    if not isinstance(name, Name) or not isinstance(given, tuple):
        msg = f"it calls a {type(name).__name__}"
        raise Unreadable(msg)
    if name.name in ("copyreg.__newobj__", "copy_reg._reconstructor", "copyreg._reconstructor"):
        inner = given[0].name if given and isinstance(given[0], Name) else "object"
        reader.push(Foreign(inner, given[1:]))
        return
    reader.spend(given)
    reader.push(made(name, given))


def _build(reader: Reader) -> None:
    value, state = reader.last(2)
    reader.spend(state)
    new = with_state(value, state)
    if new is not value:
        for place in reader.places.pop(id(value), []):
            reader.memo[place] = new
    reader.push(new)


def _remember(reader: Reader, place: int) -> None:
    if not reader.stack:
        msg = "it uses values that are not there"
        raise Unreadable(msg)
    value = reader.memo[place] = reader.stack[-1]
    if isinstance(value, Foreign):
        reader.places.setdefault(id(value), []).append(place)


def _recall(reader: Reader, place: int) -> None:
    if place not in reader.memo:
        msg = "it uses values that are not there"
        raise Unreadable(msg)
    reader.push(reader.memo[place])


def _name(reader: Reader) -> None:
    module = reader.line()
    reader.push(Name(f"{module}.{reader.line()}"))


def _stack_name(reader: Reader) -> None:
    module, name = reader.last(2)
    reader.push(Name(f"{module!s:.200}.{name!s:.200}"))


def _text(form: str) -> Callable[[Reader], None]:
    return lambda r: r.push(r.take(r.number(form)).decode("utf-8", "surrogatepass"))


def _raw(form: str) -> Callable[[Reader], None]:
    return lambda r: r.push(r.take(r.number(form)))


def _latin(form: str) -> Callable[[Reader], None]:
    return lambda r: r.push(r.take(r.number(form)).decode("latin-1"))


CODES: dict[int, Callable[[Reader], Any]] = {
    ord(code): action
    for code, action in {
        "\x80": lambda r: r.take(1),
        "\x95": lambda r: r.take(8),
        "(": lambda r: r.push(MARK),
        "0": lambda r: r.last(1),
        "1": lambda r: r.since_mark(),
        "2": lambda r: r.push(r.stack[-1]),
        "N": lambda r: r.push(None),
        "\x88": lambda r: r.push(True),
        "\x89": lambda r: r.push(False),
        "J": lambda r: r.push(r.number("<i")),
        "K": lambda r: r.push(r.number("<B")),
        "M": lambda r: r.push(r.number("<H")),
        "G": lambda r: r.push(r.number(">d")),
        "\x8a": _integer,
        "X": _text("<I"),
        "\x8c": _text("<B"),
        "\x8d": _text("<Q"),
        "T": _latin("<I"),
        "U": _latin("<B"),
        "B": _raw("<I"),
        "C": _raw("<B"),
        "\x8e": _raw("<Q"),
        ")": lambda r: r.push(()),
        "t": lambda r: r.push(tuple(r.since_mark())),
        "\x85": lambda r: r.push(r.last(1)),
        "\x86": lambda r: r.push(r.last(2)),
        "\x87": lambda r: r.push(r.last(3)),
        "]": lambda r: r.push([]),
        "}": lambda r: r.push({}),
        "\x8f": lambda r: r.push(set()),
        "l": lambda r: r.push(r.since_mark()),
        "a": lambda r: _append(r, r.last(1)),
        "e": lambda r: _append(r, r.since_mark()),
        "\x90": lambda r: _append(r, r.since_mark()),
        "s": lambda r: _set_items(r, r.last(2)),
        "u": _add_items,
        "c": _name,
        "\x93": _stack_name,
        "R": _make,
        "\x81": _make,
        "b": _build,
        "Q": lambda r: r.push(r.stored(*r.last(1))),
        "q": lambda r: _remember(r, r.number("<B")),
        "r": lambda r: _remember(r, r.number("<I")),
        "\x94": lambda r: _remember(r, len(r.memo)),
        "h": lambda r: _recall(r, r.number("<B")),
        "j": lambda r: _recall(r, r.number("<I")),
    }.items()
}
"""What each code does to the stack; codes that are not here are refused."""
