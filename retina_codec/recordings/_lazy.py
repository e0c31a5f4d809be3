"""Movies that stay in their file: arrays that read only the frames that are asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ._errors import naming


class Stored:
    """A movie in an HDF5 file; another process that it is sent to opens the file for itself.

    Examples
    --------
    >>> with h5py.File("movie", "w", driver="core", backing_store=False) as file:
    ...     Stored(file.create_dataset("frames", data=np.zeros((3, 2, 2))))[1:].shape
    (2, 2, 2)
    """

    def __init__(self, dataset: h5py.Dataset):
        self.dataset = dataset
        self.shape, self.ndim, self.dtype = dataset.shape, dataset.ndim, dataset.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        with naming(Path(self.dataset.file.filename)):
            return self.dataset[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def __reduce__(self):
        return _opened_again, (str(Path(self.dataset.file.filename).resolve()), self.dataset.name)


def _opened_again(path: str, name: str) -> Stored:
    return Stored(h5py.File(path)[name])


class Joined:
    """Several movies one after the other, as if they were one array; nothing is read until sliced.

    Slices, integers and lists of frames pick along the first axis; `numpy.asarray` reads all.

    Examples
    --------
    >>> movie = Joined([np.zeros((3, 2, 2)), np.ones((2, 2, 2))])
    >>> movie.shape
    (5, 2, 2)
    >>> movie[2:4].mean(axis=(1, 2)).tolist()
    [0.0, 1.0]
    """

    def __init__(self, parts: Sequence[Any]):
        self.parts = tuple(parts)
        shapes = {tuple(part.shape[1:]) for part in self.parts}
        if len(shapes) != 1:
            msg = f"Movies can only be joined if their frames have one size, got {sorted(shapes)}."
            raise ValueError(msg)
        self._starts = np.cumsum([0] + [part.shape[0] for part in self.parts])
        self.shape = (int(self._starts[-1]), *shapes.pop())
        self.ndim = len(self.shape)
        self.dtype = np.result_type(*(part.dtype for part in self.parts))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            return self._block(start, stop) if step == 1 else self._picked(range(start, stop, step))
        picked = self._picked(np.atleast_1d(key))
        return picked[0] if np.ndim(key) == 0 else picked

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def _block(self, start: int, stop: int) -> np.ndarray:
        pieces = [
            part[max(start - first, 0) : max(stop - first, 0)]
            for part, first in zip(self.parts, self._starts, strict=False)
            if start < first + part.shape[0] and stop > first
        ]
        return np.concatenate(pieces) if pieces else np.empty((0, *self.shape[1:]), self.dtype)

    def _picked(self, frames: Any) -> np.ndarray:
        frames = self._checked(np.asarray(frames))
        out = np.empty((len(frames), *self.shape[1:]), self.dtype)
        for part, first in zip(self.parts, self._starts, strict=False):
            inside = (frames >= first) & (frames < first + part.shape[0])
            if inside.any():
                # HDF5 reads frames only in ascending order, each once.
                unique, back = np.unique(frames[inside] - first, return_inverse=True)
                out[inside] = part[unique][back]
        return out

    def _checked(self, frames: np.ndarray) -> np.ndarray:
        if frames.size and (frames.ndim != 1 or frames.dtype.kind not in "iu"):
            msg = f"Frames are picked by whole numbers, got {frames.ndim}-D {frames.dtype}."
            raise IndexError(msg)
        frames = frames.astype(np.int64)
        frames = np.where(frames < 0, frames + len(self), frames)
        outside = frames[(frames < 0) | (frames >= len(self))]
        if outside.size:
            msg = f"Frame {outside[0]} is outside of a movie of {len(self)} frames."
            raise IndexError(msg)
        return frames


class Scaled:
    """A movie times a factor plus an offset, computed for the frames that are asked for.

    Examples
    --------
    >>> Scaled(np.full((4, 2, 2), 255, dtype=np.uint8), factor=1 / 255, offset=-0.5)[0, 0, 0]
    np.float32(0.5)
    """

    def __init__(self, frames: Any, *, factor: float = 1.0, offset: float = 0.0):
        self.frames, self.factor, self.offset = frames, factor, offset
        self.shape, self.ndim, self.dtype = frames.shape, frames.ndim, np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        frames = np.asarray(self.frames[key], dtype=np.float32)
        return frames * np.float32(self.factor) + np.float32(self.offset)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)
