"""White noise of which a recording keeps nothing but the seed, made again frame by frame.

A generator is a function from a seed to a source: something that, called with n, gives the next n
random numbers, and can be copied (`copy.deepcopy`).
"""

import copy
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Real

from retina_codec.datatypes import Stimulus

from .movies import GREY_SCREEN, Screen

Source = Callable[[int], np.ndarray]
"""Called with n, the next n random numbers."""

BLOCK_NUMBERS = 500_000
MATLAB_SEED_0 = 5489


class _Twister:
    """Uniform numbers of the Mersenne Twister, with 53 random bits each."""

    def __init__(self, seed: int):
        self.state = np.random.RandomState(seed)  # noqa: NPY002 - the stream must be this one.

    def __call__(self, n: int) -> Float[np.ndarray, " number"]:
        return self.state.random_sample(n)


def numpy_twister(seed: int) -> Source:
    """Numbers of `numpy.random.seed(seed)` followed by `numpy.random.rand`.

    Parameters
    ----------
    seed
        What NumPy was seeded with.

    Examples
    --------
    >>> numpy_twister(1)(2).round(4).tolist()
    [0.417, 0.7203]
    """
    return _Twister(seed)


def matlab_twister(seed: int) -> Source:
    """Numbers of MATLAB's `rng(seed, "twister")` followed by `rand`.

    Both programs seed the Mersenne Twister and make doubles from it in the same way. MATLAB's seed
    0 is the seed 5489 of the generator's authors. MATLAB fills arrays column by column: y varies
    fastest.

    Parameters
    ----------
    seed
        What MATLAB was seeded with.

    References
    ----------
    Matsumoto & Nishimura (1998), ACM Transactions on Modeling and Computer Simulation 8:3-30,
    doi:10.1145/272991.272995.

    Examples
    --------
    >>> matlab_twister(0)(2).round(4).tolist()
    [0.8147, 0.9058]
    """
    return _Twister(seed or MATLAB_SEED_0)


def ran1(seed: Any) -> Source:
    """Uniform numbers of the Goettingen stimulus software; its seeds are negative.

    Parameters
    ----------
    seed
        A negative whole number, as in the parameters of the stimulus.

    Raises
    ------
    ImportError
        If the optional package retinawhitenoise is missing.

    References
    ----------
    Press et al. (1992), Numerical Recipes in C, 2nd edition, chapter 7.1.

    Examples
    --------
    >>> ran1(-1000)(1).shape
    (1,)
    """
    return _goettingen().Uniform(seed)


def ran1_gaussian(seed: Any) -> Source:
    """Gaussian numbers of the Goettingen stimulus software; its seeds are negative.

    Parameters
    ----------
    seed
        A negative whole number, as in the parameters of the stimulus.

    Raises
    ------
    ImportError
        If the optional package retinawhitenoise is missing.

    References
    ----------
    Press et al. (1992), Numerical Recipes in C, 2nd edition, chapters 7.1 and 7.2.

    Examples
    --------
    >>> ran1_gaussian(-1000)(3).shape
    (3,)
    """
    return _goettingen().Gaussian(seed)


def binary(numbers: Real[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """1 where a number is above 0.5, otherwise -1.

    Parameters
    ----------
    numbers
        From 0 to 1.

    Examples
    --------
    >>> binary(np.array([0.2, 0.7])).tolist()
    [-1.0, 1.0]
    """
    return np.where(numbers > 0.5, np.float32(1), np.float32(-1))


def seeded_noise(
    generator: Callable[[Any], Source],
    *,
    seed: Any,
    n_frames: int,
    screen: Screen = GREY_SCREEN,
    values: Callable[[np.ndarray], np.ndarray] = binary,
    y_fastest: bool = False,
    start_s: float = 0.0,
) -> Stimulus:
    """White noise from a seed; frames are made when they are asked for.

    The order in which numbers fill a frame cannot be seen from a movie: look whether receptive
    fields are smooth (`recordings.coherence`).

    Parameters
    ----------
    generator
        `ran1`, `ran1_gaussian`, `numpy_twister`, `matlab_twister`, or a function of the same kind.
    seed
        What the generator started with.
    n_frames
        Length of the movie.
    screen
        Height and width of a frame in checks, frames per second, size of a check.
    values
        What is shown for each number.
    y_fastest
        Whether numbers fill one column after the other, as in MATLAB and in the Goettingen
        software, or one row after the other.
    start_s
        When the first frame was shown.

    Examples
    --------
    >>> movie = seeded_noise(numpy_twister, seed=1, n_frames=1000, screen=Screen((2, 2)))
    >>> movie.frames[999].tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """
    frames = SeededFrames(generator(seed), n_frames, screen.shape, values, y_fastest)
    return Stimulus(
        frames=frames,
        frame_rate_hz=screen.frame_rate_hz,
        pixel_um=screen.pixel_um,
        start_s=start_s,
        name=f"white noise, seed {seed}",
    )


class SeededFrames:
    """Frames of white noise: the state of the generator is kept at the begin of each block."""

    def __init__(
        self,
        source: Source,
        n_frames: int,
        size: tuple[int, int],
        values: Callable[[np.ndarray], np.ndarray] = binary,
        y_fastest: bool = False,
    ):
        self.values, self.y_fastest = values, y_fastest
        self.shape, self.ndim = (n_frames, *size), 3
        self.dtype = np.asarray(values(np.zeros(1))).dtype
        self.block_frames = max(1, BLOCK_NUMBERS // (size[0] * size[1]))
        self._states = [copy.deepcopy(source)]
        self._kept: tuple[int, Any] = (-1, None)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        chosen = np.arange(len(self))[key]
        if np.ndim(chosen) == 0:
            return self._block(int(chosen) // self.block_frames)[
                int(chosen) % self.block_frames
            ].copy()
        out = np.empty((len(chosen), *self.shape[1:]), self.dtype)
        for number in np.unique(chosen // self.block_frames):
            inside = chosen // self.block_frames == number
            out[inside] = self._block(int(number))[chosen[inside] % self.block_frames]
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def _block(self, number: int) -> np.ndarray:
        kept, frames = self._kept
        if kept == number:
            return frames
        while len(self._states) <= number:
            self._drawn(len(self._states) - 1)
        frames = self._drawn(number)
        self._kept = (number, frames)
        return frames

    def _drawn(self, number: int) -> np.ndarray:
        """Make a block, and remember the state of the generator after it."""
        source = copy.deepcopy(self._states[number])
        y, x = self.shape[1:]
        numbers = np.asarray(source(self.block_frames * y * x))
        if len(self._states) == number + 1:
            self._states.append(source)
        filled = numbers.reshape(-1, x, y).transpose(0, 2, 1) if self.y_fastest else numbers
        return np.asarray(self.values(filled.reshape(-1, y, x)))


def _goettingen() -> Any:
    try:
        return importlib.import_module(f"{__package__}._goettingen")
    except ImportError:
        msg = "Numbers of ran1 need retinawhitenoise: pip install 'retina-codec[noise]'"
        raise ImportError(msg) from None
