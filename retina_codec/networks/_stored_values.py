"""What a checkpoint may hold once it is read: plain values, arrays, tensors, and what stays inert.

Nothing that a file names is imported or called. Tensors and arrays are made here, from numbers in
the file, after their sizes were checked against it; every other object becomes a `Foreign`.
"""

import math
import re
import reprlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
DTYPES = {str(dtype): dtype for dtype in set(STORAGES.values())}
NUMBERS = re.compile(r"[<>=|]?[biuf][1248]|[<>=|]?[SU]\d{0,4}", re.ASCII)
MAX_AXES = 8


class Unreadable(ValueError):
    """A file that does not hold what it says; the message has no path yet."""


def shown(value: Any) -> str:
    """Say what a value is in few words, however large or nested it is."""
    return " ".join(reprlib.repr(value).split())[:80]


@dataclass(frozen=True)
class Name:
    """The name of something that a file refers to; never imported."""

    name: str


@dataclass(eq=False)
class Foreign:
    """An object that is not rebuilt: its name, and the plain values that it was given."""

    name: str
    given: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<{self.name}, not rebuilt>"


@dataclass(frozen=True, eq=False)
class Storage:
    """Numbers of one or several tensors, still in the file."""

    dtype: torch.dtype
    key: str
    n_items: int


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor that is still in the file.

    Attributes
    ----------
    storage
        Where its numbers are.
    dtype, offset, shape, stride
        Which of them, in numbers, not bytes.
    """

    storage: Storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def __post_init__(self):
        whole = (self.offset, *self.shape, *self.stride)
        if len(self.shape) != len(self.stride) or len(self.shape) > MAX_AXES:
            msg = f"a tensor of shape {shown(self.shape)} has strides {shown(self.stride)}"
            raise Unreadable(msg)
        if any(type(number) is not int or number < 0 for number in whole):
            msg = f"a tensor has the shape {shown(self.shape)} and strides {shown(self.stride)}"
            raise Unreadable(msg)
        available = self.storage.n_items * self.storage.dtype.itemsize // self.dtype.itemsize
        numbers = math.prod(self.shape)
        steps = zip(self.shape, self.stride, strict=True)
        last = self.offset + sum((size - 1) * stride for size, stride in steps) if numbers else 0
        if numbers > available or last >= max(available, 1):
            msg = f"a tensor of shape {self.shape} is larger than the {available} numbers it has"
            raise Unreadable(msg)

    def read(self, numbers_of: Callable[[Storage], bytes]) -> torch.Tensor:
        """Return the tensor, given a function that reads what is stored."""
        if not math.prod(self.shape):
            return torch.zeros(self.shape, dtype=self.dtype)
        flat = torch.frombuffer(bytearray(numbers_of(self.storage)), dtype=self.dtype)
        return flat.as_strided(self.shape, self.stride, self.offset).clone(
            memory_format=torch.contiguous_format
        )


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> StoredTensor:
    return StoredTensor(_stored(storage), storage.dtype, offset, tuple(shape), tuple(stride))


def _tensor_of_dtype(storage, offset, shape, stride, _grad, _hooks, dtype, *_: Any) -> StoredTensor:
    dtype = DTYPES.get(dtype.name if isinstance(dtype, Name) else "")
    if dtype is None:
        msg = "a tensor has a type of numbers that is not supported"
        raise Unreadable(msg)
    return StoredTensor(_stored(storage), dtype, offset, tuple(shape), tuple(stride))


def _stored(storage: Any) -> Storage:
    if isinstance(storage, Storage):
        return storage
    msg = "a tensor refers to no storage"
    raise Unreadable(msg)


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _scalar(dtype: Any, raw: Any) -> Any:
    value = np.frombuffer(_bytes(raw), dtype=_numbers(dtype), count=1)[0]
    return value.item()


def _dtype(code: Any, *_: Any) -> Foreign:
    return Foreign("numpy.dtype", (code,))


def _array(*given: Any) -> Foreign:
    return Foreign("numpy.ndarray", given)


def _as_bytes(text: Any, encoding: Any) -> bytes:
    if isinstance(text, str) and encoding in ("latin1", "latin-1"):
        return text.encode("latin-1")
    msg = "text that should be bytes is not"
    raise Unreadable(msg)


def _set(items: Any = ()) -> set[Any]:
    return {scalar(item) for item in items}


MADE: dict[str, Callable[..., Any]] = {
    "_codecs.encode": _as_bytes,
    "builtins.set": _set,
    "__builtin__.set": _set,
    "collections.OrderedDict": dict,
    "numpy.dtype": _dtype,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_dtype,
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray._reconstruct": _array for core in ("core", "_core")},
}
"""All that is made from what a file names: functions of this module, and `dict`."""


def made(name: Name, given: tuple[Any, ...]) -> Any:
    """Return what a file asks to be made, or an inert `Foreign`."""
    if name.name not in MADE:
        return Foreign(name.name, given)
    if name.name == "collections.OrderedDict" and given:
        return dict((scalar(key), value) for key, value in given[0])
    return MADE[name.name](*given)


def with_state(value: Any, state: Any) -> Any:
    """Give an object its state; an array of numbers is an array from then on."""
    if not isinstance(value, Foreign):
        return value
    if value.name == "numpy.ndarray" and isinstance(state, tuple) and len(state) == 5:
        return _filled(*state[1:])
    value.state = state
    return value


def scalar(value: Any) -> Any:
    """Return a value that may be a key: text, a number, None, or a short tuple of these."""
    if value is None or isinstance(value, (str, bytes, int, float)):
        return value
    if isinstance(value, tuple) and len(value) <= MAX_AXES:
        if all(one is None or isinstance(one, (str, bytes, int, float)) for one in value):
            return value
    msg = f"a key is a {type(value).__name__}; expected text or a number"
    raise Unreadable(msg)


def _filled(shape: Any, dtype: Any, fortran: Any, raw: Any) -> Any:
    if not isinstance(raw, (bytes, str)):
        return Foreign("numpy.ndarray of objects")
    flat = np.frombuffer(_bytes(raw), dtype=_numbers(dtype))
    order = "F" if fortran else "C"
    return flat.reshape(tuple(int(size) for size in shape), order=order).copy(order="C")


def _bytes(raw: Any) -> bytes:
    return raw.encode("latin-1") if isinstance(raw, str) else bytes(memoryview(raw))


def _numbers(dtype: Any) -> np.dtype:
    code = dtype.given[0] if isinstance(dtype, Foreign) and dtype.name == "numpy.dtype" else None
    if not isinstance(code, str) or not NUMBERS.fullmatch(code):
        msg = "an array holds something else than numbers or text"
        raise Unreadable(msg)
    state = dtype.state if isinstance(dtype.state, tuple) else (3, "=")
    order = state[1] if len(state) > 1 and state[1] in ("<", ">") else "="
    return np.dtype(code).newbyteorder(order)


def tensors(values: dict[Any, Any]) -> Iterator[tuple[str, StoredTensor]]:
    """Go through a state dict; anything but tensors in it is refused."""
    for key, value in values.items():
        if not isinstance(key, str) or not isinstance(value, StoredTensor):
            msg = f"the state dict holds {shown(value)} as {shown(key)}; expected tensors"
            raise Unreadable(msg)
        yield key, value
