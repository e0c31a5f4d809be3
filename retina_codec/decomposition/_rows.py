"""Samples of a matrix that may lie in a store: chosen, scaled, and read in blocks."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from ._interface import finite_matrix

BLOCK = 4096
"""Rows that are read at once."""

POOL = 16
"""Blocks that are kept to draw from."""


class Rows:
    """Some rows of a matrix times a factor; nothing is read until it is asked for.

    Parameters
    ----------
    values
        Anything with a shape that slices, "sample feature".
    factor
        One number, or one for each feature.
    chosen
        True for the rows to keep; all by default.

    Examples
    --------
    >>> rows = Rows(np.arange(6.0).reshape(3, 2), factor=10.0, chosen=np.array([True, False, True]))
    >>> np.asarray(rows).tolist()
    [[0.0, 10.0], [40.0, 50.0]]
    """

    def __init__(
        self,
        values: Any,
        *,
        factor: float | Float[np.ndarray, " feature"] = 1.0,
        chosen: Bool[np.ndarray, " sample"] | None = None,
    ):
        self.values, self.factor = values, factor
        chosen = np.ones(values.shape[0], dtype=bool) if chosen is None else chosen
        self.blocks = _blocks(np.flatnonzero(chosen))
        self.shape, self.dtype = (int(chosen.sum()), *values.shape[1:]), values.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, block: slice) -> Float[np.ndarray, "row feature"]:
        """Return one of the blocks.

        Raises
        ------
        ValueError
            If it holds NaN or infinity.
        """
        values = finite_matrix(self.values[block])
        return values * np.asarray(self.factor, dtype=values.dtype)

    def __iter__(self) -> Iterator[Float[np.ndarray, "row feature"]]:
        return map(self.read, self.blocks)

    def pools(self, generator: torch.Generator) -> Iterator[Float[np.ndarray, "row feature"]]:
        """Yield rows to draw from: all of them or, where they are many in a store, a part.

        The part is made of blocks from all over the matrix, and one of them is exchanged each time.
        """
        if isinstance(self.values, np.ndarray) or len(self.blocks) <= POOL:
            everything = np.asarray(self)
            while True:
                yield everything
        order = _endless(len(self.blocks), generator)
        pool = deque((self.read(self.blocks[i]) for i in islice(order, POOL)), maxlen=POOL)
        while True:
            yield np.concatenate(pool)
            pool.append(self.read(self.blocks[next(order)]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.concatenate(list(self)).astype(dtype or self.values.dtype, copy=False)


def _endless(n: int, generator: torch.Generator) -> Iterator[int]:
    """Yield numbers below n for ever, each once before any comes again."""
    while True:
        yield from torch.randperm(n, generator=generator).tolist()


def _blocks(index: np.ndarray) -> list[slice]:
    """Stretches without gaps of at most `BLOCK` rows."""
    runs = np.split(index, np.flatnonzero(np.diff(index) > 1) + 1)
    return [
        slice(int(run[i]), int(run[min(i + BLOCK, len(run)) - 1]) + 1)
        for run in runs
        for i in range(0, len(run), BLOCK)
    ]
