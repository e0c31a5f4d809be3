"""As few numbers as a picture has columns, without losing a peak."""

from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

BLOCK = 64
READ_AT_ONCE = 1024 * BLOCK


class Thinned:
    """Lowest and highest values of each row in every column of a picture.

    Parameters
    ----------
    values
        Axes "sample row"; may lie in a file, of which only the stretch that is looked at is read.

    Notes
    -----
    Columns begin at multiples of their width, so that they stay the same when a view moves. Columns
    of at least `BLOCK` samples are put together from blocks of so many samples, whose lowest and
    highest values are computed once.

    Examples
    --------
    >>> wave = np.array([[0.0], [3.0], [1.0], [2.0], [-1.0]])
    >>> starts, low, high = Thinned(wave).columns(0, 5, 3)
    >>> starts.tolist(), low.ravel().tolist(), high.ravel().tolist()
    ([0, 2, 4], [0.0, 1.0, -1.0], [3.0, 2.0, -1.0])
    """

    def __init__(self, values: Any):
        self.values = values

    def columns(
        self, first: int, stop: int, n: int
    ) -> tuple[
        Int[np.ndarray, " column"], Float[np.ndarray, "column row"], Float[np.ndarray, "column row"]
    ]:
        """Return where columns begin, and their lowest and highest values (NaN is left out).

        Parameters
        ----------
        first, stop
            Samples in view; the first column may begin earlier.
        n
            How many columns, at the most one more.
        """
        width = column_width(stop - first, n)
        starts = np.arange(first - first % width, stop, width)
        if width < BLOCK:
            values = np.asarray(self.values[int(starts[0]) : stop])
            low = high = values
            at = starts - starts[0]
        else:
            one, last = starts[0] // BLOCK, -(-stop // BLOCK)
            low, high = (blocks[one:last] for blocks in self._blocks)
            at = starts // BLOCK - one
        return starts, np.fmin.reduceat(low, at), np.fmax.reduceat(high, at)

    @cached_property
    def _blocks(self) -> tuple[np.ndarray, np.ndarray]:
        low, high = [], []
        for first in range(0, self.values.shape[0], READ_AT_ONCE):
            values = np.asarray(self.values[first : first + READ_AT_ONCE])
            at = np.arange(0, len(values), BLOCK)
            low.append(np.fmin.reduceat(values, at))
            high.append(np.fmax.reduceat(values, at))
        return np.concatenate(low), np.concatenate(high)


def column_width(n_samples: int, n_columns: int) -> int:
    """Return the samples in a column: 1, an even number, or a multiple of `BLOCK`.

    Examples
    --------
    >>> [column_width(n, 100) for n in (80, 201, 9000)]
    [1, 4, 128]
    """
    width = max(1, -(-n_samples // n_columns))
    unit = 1 if width == 1 else 2 if width < BLOCK else BLOCK
    return -(-width // unit) * unit
