"""Blocks of time to hold out, or to draw again."""

import numpy as np
from jaxtyping import Bool, Int

N_BLOCKS = 20


def time_blocks(
    n_samples: int, *, n_blocks: int = N_BLOCKS, held_out_every: int = 5, fold: int | None = None
) -> Bool[np.ndarray, " sample"]:
    """Hold out whole blocks of time, because neighbouring frames are almost the same.

    Parameters
    ----------
    n_samples
        Length of the recording in samples.
    n_blocks
        Number of blocks of equal length.
    held_out_every
        One of every so many blocks is held out.
    fold
        Which of them, from 0; None for the last.

    Returns
    -------
    True where a sample is held out.

    Raises
    ------
    ValueError
        If there are fewer samples than blocks, or no block would be held out or kept, or there is
        no such fold.

    Examples
    --------
    >>> time_blocks(8, n_blocks=4, held_out_every=2)
    array([False, False,  True,  True, False, False,  True,  True])
    """
    block = block_numbers(n_samples, n_blocks=n_blocks)
    if not 2 <= held_out_every <= n_blocks:
        msg = (
            f"'held_out_every' must be between 2 and the number of blocks ({n_blocks}), "
            f"got {held_out_every}."
        )
        raise ValueError(msg)
    fold = held_out_every - 1 if fold is None else fold
    if not 0 <= fold < held_out_every:
        msg = f"'fold' must be between 0 and {held_out_every - 1}, got {fold}."
        raise ValueError(msg)
    return block % held_out_every == fold


def block_numbers(n_samples: int, *, n_blocks: int = N_BLOCKS) -> Int[np.ndarray, " sample"]:
    """Return the number of the block of time of each sample; blocks are of equal length.

    Parameters
    ----------
    n_samples
        Length of the recording in samples.
    n_blocks
        Number of blocks.

    Returns
    -------
    From 0, in order of time.

    Raises
    ------
    ValueError
        If there are fewer samples than blocks.

    Examples
    --------
    >>> block_numbers(6, n_blocks=3)
    array([0, 0, 1, 1, 2, 2])
    """
    if n_samples < n_blocks:
        msg = f"{n_blocks} blocks need at least {n_blocks} samples, got {n_samples}."
        raise ValueError(msg)
    return np.arange(n_samples) * n_blocks // n_samples


def resampled_blocks(
    n_samples: int, rng: np.random.Generator, *, n_blocks: int = N_BLOCKS
) -> Int[np.ndarray, " drawn"]:
    """Draw blocks of time with replacement (block bootstrap), and return their samples.

    Parameters
    ----------
    n_samples
        Length of the recording in samples.
    rng
        Draws the blocks.
    n_blocks
        Number of blocks; as many are drawn.

    Returns
    -------
    Numbers of samples, block after block; those of a block that was drawn twice are there twice.

    Raises
    ------
    ValueError
        If there are fewer samples than blocks.

    References
    ----------
    Künsch (1989), Annals of Statistics 17:1217-1241.

    Examples
    --------
    >>> resampled_blocks(6, np.random.default_rng(1), n_blocks=3)
    array([2, 3, 2, 3, 4, 5])
    """
    block = block_numbers(n_samples, n_blocks=n_blocks)
    drawn = rng.integers(n_blocks, size=n_blocks)
    return np.concatenate([np.flatnonzero(block == number) for number in drawn])


def block_draws(
    n_blocks: int, n_draws: int, rng: np.random.Generator
) -> Int[np.ndarray, "draw block"]:
    """How often each block is in each draw of a block bootstrap; for numbers summed over blocks.

    Parameters
    ----------
    n_blocks
        Number of blocks; as many are in each draw.
    n_draws
        Number of draws.
    rng
        Draws them.

    Returns
    -------
    Counts from 0; a draw times sums over blocks is the sum over that draw.

    Examples
    --------
    >>> block_draws(3, 2, np.random.default_rng(0)).sum(axis=1)
    array([3, 3])
    """
    return rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=n_draws)
