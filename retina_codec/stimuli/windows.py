"""The last frames before each moment, read when asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from retina_codec.datatypes import Stimulus, check_finite

BLOCK_FRAMES = 2000


@dataclass(frozen=True)
class Normalisation:
    """How a movie becomes what a network was trained on: ``(frames - mean) / std``.

    Attributes
    ----------
    mean, std
        In the units of the frames; from the training split (`normalisation`).

    Raises
    ------
    ValueError
        If the standard deviation is not above 0.

    Examples
    --------
    >>> Normalisation(mean=120.0, std=40.0)
    Normalisation(mean=120.0, std=40.0)
    """

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self):
        if not self.std > 0:
            msg = (
                f"The stimulus does not vary (its standard deviation is {self.std}); "
                "expected a movie with contrast. Choose another stimulus or another part of it."
            )
            raise ValueError(msg)


def normalisation(stimulus: Stimulus, *, frames: Sequence[int] | None = None) -> Normalisation:
    """Mean and standard deviation over all pixels, read block by block.

    Parameters
    ----------
    stimulus
        The movie.
    frames
        First frame and the one after the last, usually those of the training split; all by default.

    Raises
    ------
    ValueError
        If the movie holds NaN or does not vary.

    Examples
    --------
    >>> movie = Stimulus(frames=np.array([[[0.0, 2.0]], [[4.0, 6.0]]]), frame_rate_hz=30.0)
    >>> normalisation(movie).mean
    3.0
    """
    start, stop = frames or (0, stimulus.frames.shape[0])
    count, total, squares = 0, 0.0, 0.0
    for first in range(start, stop, BLOCK_FRAMES):
        block = np.asarray(stimulus.frames[first : min(first + BLOCK_FRAMES, stop)])
        check_finite(block, first_frame=first)
        count += block.size
        total += block.sum(dtype=np.float64)
        squares += np.square(block, dtype=np.float64).sum()
    mean = total / count
    return Normalisation(mean=float(mean), std=float(np.sqrt(max(squares / count - mean**2, 0.0))))


@dataclass(frozen=True)
class Windows:
    """Samples of a movie: item i is what the network sees before time bin ``bins[i]``.

    Slicing reads the frames it needs and no more; the movie is never copied `history` times.
    Made by `windows`.

    Attributes
    ----------
    stimulus
        The movie; lazy frames are read piece by piece.
    history
        Frames in a window.
    first_bin, stop_bin
        The time bins that samples predict: from the first to before the second.
    normalisation
        Applied to every window that is read.

    Raises
    ------
    ValueError
        When frames with NaN are read.

    Examples
    --------
    >>> movie = Stimulus(frames=np.arange(10.0).reshape(10, 1, 1), frame_rate_hz=100.0)
    >>> samples = windows(movie, 4)
    >>> samples.shape, samples.bins.tolist()
    ((6, 4, 1, 1), [4, 5, 6, 7, 8, 9])
    >>> samples[-1].ravel().tolist()
    [5.0, 6.0, 7.0, 8.0]
    """

    stimulus: Stimulus
    history: int
    first_bin: int
    stop_bin: int
    normalisation: Normalisation

    def __len__(self) -> int:
        return self.stop_bin - self.first_bin

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of all windows together, were they in memory."""
        return (len(self), self.history, *self.stimulus.frames.shape[1:])

    def part(self, start: int, stop: int) -> "Windows":
        """Return the samples from `start` to before `stop`, with their frames in memory.

        Parameters
        ----------
        start, stop
            Numbers of the first sample and of the one after the last.

        Raises
        ------
        ValueError
            If a frame holds NaN.

        Examples
        --------
        >>> movie = Stimulus(frames=np.arange(10.0).reshape(10, 1, 1), frame_rate_hz=100.0)
        >>> windows(movie, 4).part(2, 5)[0].ravel().tolist()
        [2.0, 3.0, 4.0, 5.0]
        """
        first, last = self.first_bin + start - self.history, self.first_bin + stop
        frames = np.asarray(self.stimulus.frames[first:last])
        check_finite(frames, first_frame=first)
        times = self.stimulus.times
        stimulus = replace(
            self.stimulus,
            frames=frames,
            start_s=self.stimulus.start_s + first / self.stimulus.frame_rate_hz,
            times=None if times is None else times[first:last],
        )
        return replace(self, stimulus=stimulus, first_bin=self.history, stop_bin=last - first)

    @property
    def bins(self) -> np.ndarray:
        """Time bin that each sample predicts."""
        return np.arange(self.first_bin, self.stop_bin)

    @property
    def sample(self) -> Float[np.ndarray, " sample"]:
        """Time of each sample in seconds: when its bin begins."""
        if self.stimulus.times is not None:
            return np.asarray(self.stimulus.times)[self.bins]
        return self.stimulus.start_s + self.bins / self.stimulus.frame_rate_hz

    def __getitem__(
        self, index: int | np.integer | slice | np.ndarray | list
    ) -> Float[np.ndarray, "*sample_lag y x"]:
        """Return normalised windows (float32), or a single one without the first axis."""
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                msg = f"There are {len(self)} windows, got number {index}."
                raise IndexError(msg)
            return self[[int(index) % len(self)]][0]
        return self._read(self.bins[index])

    def _read(self, bins: np.ndarray) -> np.ndarray:
        if not len(bins):
            return np.zeros((0, *self.shape[1:]), dtype=np.float32)
        first, last = int(bins.min()) - self.history, int(bins.max())
        in_memory = isinstance(self.stimulus.frames, np.ndarray)
        if not in_memory and last - first > 4 * len(bins) * self.history:
            return np.concatenate([self._read(bins[i : i + 1]) for i in range(len(bins))])
        frames = np.asarray(self.stimulus.frames[first:last])
        if not in_memory:
            check_finite(frames, first_frame=first)
        views = np.lib.stride_tricks.sliding_window_view(frames, self.history, axis=0)
        read = np.moveaxis(views[bins - self.history - first], -1, 1)
        mean, std = np.float32(self.normalisation.mean), np.float32(self.normalisation.std)
        normalised = np.subtract(read, mean, dtype=np.float32, order="C")
        normalised /= std
        return normalised


def windows(
    stimulus: Stimulus,
    history: int,
    *,
    frames: Sequence[int] | None = None,
    normalisation: Normalisation = Normalisation(),
) -> Windows:
    """Return the windows of a movie as samples for a network, without copying the movie.

    The sample of time bin t holds the frames ``t - history ... t - 1``, oldest first: what the
    retina saw before the bin, never the bin itself. A movie of T frames thus gives ``T - history``
    samples.

    Parameters
    ----------
    stimulus
        The movie; lazy frames are read piece by piece.
    history
        Frames in a window.
    frames
        First frame and the one after the last: windows lie within this part.
    normalisation
        Applied to every window that is read.

    Raises
    ------
    ValueError
        If the part is shorter than a window; later, when frames with NaN are read.

    Examples
    --------
    >>> movie = Stimulus(frames=np.arange(10.0).reshape(10, 1, 1), frame_rate_hz=100.0)
    >>> samples = windows(movie, 4)
    >>> len(samples), samples[:2].ravel().tolist()
    (6, [0.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 4.0])
    """
    start, stop = frames or (0, stimulus.frames.shape[0])
    if history < 1 or stop - start <= history:
        msg = (
            f"A history of {history} frames needs at least one frame more, "
            f"got {stop - start} frames of stimulus. Use a shorter history or a longer stimulus."
        )
        raise ValueError(msg)
    return Windows(stimulus, history, start + history, stop, normalisation)
