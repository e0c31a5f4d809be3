"""Samples of a matrix that may lie in a store: chosen, in other units, and read in blocks."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from copy import copy
from itertools import islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from ._checks import finite_matrix

BLOCK = 4096
"""Rows that are read at once, at the most."""

BLOCK_BYTES = 2**23
"""Size of what is read at once, at the most."""

POOL = 16
"""Blocks that are kept to draw from."""


class Rows:
    """Some rows of a matrix in other units; nothing is read until it is asked for.

    Parameters
    ----------
    values
        Anything with a shape that slices, "sample feature".
    factor
        What the values are multiplied by: one number, or one for each feature.
    offset
        What is then taken away.
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
        offset: float | Float[np.ndarray, " feature"] = 0.0,
        chosen: Bool[np.ndarray, " sample"] | None = None,
    ):
        self.values, self.factor, self.offset = values, factor, offset
        chosen = np.ones(values.shape[0], dtype=bool) if chosen is None else chosen
        self.shape, self.dtype = (int(chosen.sum()), *values.shape[1:]), np.dtype(values.dtype)
        row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        self.block_rows = min(BLOCK, max(1, BLOCK_BYTES // row_bytes))
        self.blocks = _blocks(chosen, self.block_rows)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def in_memory(self) -> bool:
        """Whether nothing has to be read."""
        return isinstance(self.values, np.ndarray)

    def in_units(
        self, scale: Float[np.ndarray, " feature"], offset: Float[np.ndarray, " feature"]
    ) -> "Rows":
        """Return the rows less an offset, divided by a scale."""
        rows = copy(self)
        rows.factor, rows.offset = self.factor / scale, (self.offset + offset) / scale
        return rows

    def resampled(self, n_blocks: int, rng: np.random.Generator) -> "Rows":
        """Cut the rows into blocks of time and draw as many with replacement (block bootstrap)."""
        positions = np.concatenate([np.arange(block.start, block.stop) for block in self.blocks])
        parts = [part for part in np.array_split(positions, n_blocks) if len(part)]
        rows, rows.blocks = copy(self), []
        for draw in rng.integers(len(parts), size=len(parts)):
            chosen = np.zeros(self.values.shape[0], dtype=bool)
            chosen[parts[draw]] = True
            rows.blocks += _blocks(chosen, self.block_rows)
        rows.shape = (sum(block.stop - block.start for block in rows.blocks), *self.shape[1:])
        return rows

    def read(self, block: slice) -> Float[np.ndarray, "row feature"]:
        """Return one of the blocks.

        Raises
        ------
        ValueError
            If it holds NaN or infinity.
        """
        values = finite_matrix(self.values[block])
        return values * np.asarray(self.factor, values.dtype) - np.asarray(
            self.offset, values.dtype
        )

    def __iter__(self) -> Iterator[Float[np.ndarray, "row feature"]]:
        return map(self.read, self.blocks)

    def length(
        self,
        check: Callable[[np.ndarray], None],
        offset: float | Float[np.ndarray, " feature"] = 0.0,
    ) -> float:
        """Return the root mean square length of rows less an offset; each block is checked first.

        Raises
        ------
        ValueError
            If all rows are the offset, or the check finds something.
        """
        square = 0.0
        for block in self:
            check(block)
            square += np.square(block - offset, dtype=float).sum()
        if not square > 0:
            msg = f"All {len(self)} samples are the same; there is nothing to decompose."
            raise ValueError(msg)
        return math.sqrt(square / len(self))

    def pools(self, generator: torch.Generator) -> Iterator[Float[np.ndarray, "row feature"]]:
        """Yield rows to draw from: all of them or, where they are many in a store, a part.

        The part is made of blocks from all over the matrix, and one of them is exchanged each time.
        """
        if self.in_memory or len(self.blocks) <= POOL:
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


def _blocks(chosen: Bool[np.ndarray, " sample"], most: int) -> list[slice]:
    """Stretches of chosen rows without gaps, of at most so many rows."""
    edges = np.flatnonzero(np.diff(chosen, prepend=False, append=False))
    return [
        slice(first, min(first + most, int(stop)))
        for start, stop in edges.reshape(-1, 2)
        for first in range(int(start), int(stop), most)
    ]
