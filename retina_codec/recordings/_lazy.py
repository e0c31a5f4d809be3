"""Movies that stay in their file: arrays that read only the frames that are asked for."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ._errors import naming

MAX_CHUNK_BYTES = 2**27
KEPT_BYTES = 2**23
DENSE = 4
KEPT_PICTURES = 32


class Stored:
    """A movie in an HDF5 file; another process that it is sent to opens the file for itself.

    The chunks in which the last slice ended are kept, so that slices which follow or overlap one
    another do not decompress them again.

    Examples
    --------
    >>> with h5py.File("movie", "w", driver="core", backing_store=False) as file:
    ...     Stored(file.create_dataset("frames", data=np.zeros((3, 2, 2))))[1:].shape
    (2, 2, 2)
    """

    def __init__(self, dataset: h5py.Dataset):
        self.dataset = dataset
        self.shape, self.ndim, self.dtype = dataset.shape, dataset.ndim, dataset.dtype
        self._chunk = _frames_in_chunk(dataset)
        self._n_kept = self._chunk * max(
            2, KEPT_BYTES // max(1, self._chunk * _frame_bytes(dataset))
        )
        self._kept = (0, np.empty((0, *self.shape[1:]), self.dtype))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        with naming(Path(self.dataset.file.filename)):
            if isinstance(key, slice) and self._chunk:
                start, stop, step = key.indices(len(self))
                if step == 1 and start < stop:
                    return self._block(start, stop)
            return self.dataset[key]

    def _block(self, start: int, stop: int) -> np.ndarray:
        """Take what is at hand, decompress the chunks that follow, and keep the last of them."""
        first = start - start % self._chunk
        after = min(-(-stop // self._chunk) * self._chunk, len(self))
        kept_first, kept = self._kept
        kept_after = kept_first + len(kept)
        if kept_first <= first < kept_after:
            if stop <= kept_after:
                return kept[start - kept_first : stop - kept_first].copy()
            fresh = self.dataset[kept_after:after]
            block = np.concatenate([kept[first - kept_first :], fresh])
        else:
            block = self.dataset[first:after]
        n_kept = min(len(block), self._n_kept + len(block) % self._chunk)
        self._kept = (after - n_kept, block[len(block) - n_kept :].copy())
        return block[start - first : stop - first]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def __reduce__(self):
        return _opened_again, (str(Path(self.dataset.file.filename).resolve()), self.dataset.name)


def _opened_again(path: str, name: str) -> Stored:
    return Stored(h5py.File(path)[name])


def _frames_in_chunk(dataset: h5py.Dataset) -> int:
    """Frames that are decompressed together; 0 if there are no chunks, or too large ones."""
    n_frames = dataset.chunks[0] if dataset.chunks else 0
    fits = min(n_frames, len(dataset)) * _frame_bytes(dataset) <= MAX_CHUNK_BYTES
    return n_frames if fits else 0


def _frame_bytes(dataset: h5py.Dataset) -> int:
    return dataset.dtype.itemsize * int(np.prod(dataset.shape[1:]))


class Joined:
    """Several movies one after the other, as if they were one array; nothing is read until sliced.

    Slices, integers and lists of frames pick along the first axis; `numpy.asarray` reads all.

    Parameters
    ----------
    parts
        Arrays "time y x" whose frames have one size.

    Raises
    ------
    ValueError
        If frames differ in size.

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

    Parameters
    ----------
    frames
        Array "time y x".
    factor, offset
        Multiplied with each pixel, and then added.

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


class Picked:
    """Frames of a movie in the order in which they were shown; -1 stands for a blank screen.

    Parameters
    ----------
    frames
        Array "time y x".
    index
        Number of the frame that each one shows, or -1.
    blank
        Value of all pixels of a blank screen.

    Examples
    --------
    >>> movie = np.arange(3.0).reshape(3, 1, 1)
    >>> Picked(movie, np.array([2, -1, 2, 0]), blank=9.0)[:3].ravel().tolist()
    [2.0, 9.0, 2.0]
    """

    def __init__(self, frames: Any, index: np.ndarray, *, blank: float = 0.0):
        self.frames, self.index, self.blank = frames, index, blank
        self.shape, self.ndim = (len(index), *frames.shape[1:]), frames.ndim
        has_blanks = bool(len(index)) and index.min() < 0
        self.dtype = np.result_type(frames.dtype, np.float32) if has_blanks else frames.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        index = self.index[key]
        return self._shown(index) if np.ndim(index) else self._shown(index[np.newaxis])[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def _shown(self, index: np.ndarray) -> np.ndarray:
        out = np.full((len(index), *self.shape[1:]), self.blank, self.dtype)
        is_frame = index >= 0
        if is_frame.any():
            unique, back = np.unique(index[is_frame], return_inverse=True)
            out[is_frame] = _at(self.frames, unique)[back]
        return out


def _at(frames: Any, ascending: np.ndarray) -> np.ndarray:
    """Read single frames: as one block where they lie close together."""
    first, stop = int(ascending[0]), int(ascending[-1]) + 1
    if stop - first <= DENSE * len(ascending):
        return np.asarray(frames[first:stop])[ascending - first]
    return np.concatenate([np.asarray(frames[i : i + 1]) for i in map(int, ascending)])


class Grey:
    """A colour movie "time y x channel" seen through a function that leaves one number a pixel.

    Examples
    --------
    >>> movie = np.arange(12.0).reshape(2, 1, 2, 3)
    >>> Grey(movie, lambda frames: frames[..., 1])[1:].tolist()
    [[[7.0, 10.0]]]
    """

    def __init__(self, frames: Any, to_grey: Callable[[np.ndarray], np.ndarray]):
        self.frames, self.to_grey = frames, to_grey
        self.shape, self.ndim = tuple(frames.shape[:3]), 3
        seen = to_grey(np.zeros((1, *frames.shape[1:]), frames.dtype))
        if seen.shape != (1, *self.shape[1:]):
            msg = (
                f"'colour' must turn frames (time, y, x, channel) of shape "
                f"{(1, *frames.shape[1:])} into (1, {self.shape[1]}, {self.shape[2]}), "
                f"got {seen.shape}."
            )
            raise ValueError(msg)
        self.dtype = seen.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        frames = np.asarray(self.frames[key])
        return self.to_grey(frames) if frames.ndim > 3 else self.to_grey(frames[np.newaxis])[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)


class Turned:
    """A movie whose file has its axes in another order.

    `order` says where in the file the axes time, y, x (and channel) are.

    Examples
    --------
    >>> Turned(np.zeros((4, 3, 7)), (2, 1, 0))[2:].shape
    (5, 3, 4)
    """

    def __init__(self, frames: Any, order: Sequence[int]):
        self.frames, self.order = frames, tuple(order)
        self.shape = tuple(frames.shape[axis] for axis in self.order)
        self.ndim, self.dtype = frames.ndim, frames.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        if np.ndim(key) == 0 and not isinstance(key, slice):
            frame = range(len(self))[key]
            return self[frame : frame + 1][0]
        along_time = self.order[0]
        where = key if along_time == 0 else (slice(None),) * along_time + (key,)
        return np.asarray(self.frames[where]).transpose(self.order)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)


class Pictures:
    """Single pictures of one size, as if they were a movie; those last read are kept.

    Examples
    --------
    >>> Pictures([np.zeros((2, 3)), np.ones((2, 3))])[1:].mean()
    np.float64(1.0)
    """

    def __init__(self, pictures: Sequence[Any]):
        self.pictures = tuple(pictures)
        shapes = {tuple(picture.shape) for picture in self.pictures}
        if len(shapes) != 1:
            msg = f"Pictures can only be shown as a movie if they have one size, got {shapes}."
            raise ValueError(msg)
        self.shape = (len(self.pictures), *shapes.pop())
        self.ndim = len(self.shape)
        self.dtype = np.result_type(*(picture.dtype for picture in self.pictures))
        self._kept: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        chosen = np.arange(len(self))[key]
        if np.ndim(chosen) == 0:
            return self._picture(int(chosen)).copy()
        pictures = [self._picture(int(i)) for i in chosen]
        return np.stack(pictures) if pictures else np.empty((0, *self.shape[1:]), self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def _picture(self, number: int) -> np.ndarray:
        if number not in self._kept:
            if len(self._kept) >= KEPT_PICTURES:
                self._kept.clear()
            self._kept[number] = np.asarray(self.pictures[number][:], dtype=self.dtype)
        return self._kept[number]
