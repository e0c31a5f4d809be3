"""Blocks of time to hold out."""

import numpy as np
from jaxtyping import Bool


def time_blocks(
    n_samples: int, *, n_blocks: int = 20, held_out_every: int = 5, fold: int | None = None
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
    if n_samples < n_blocks:
        msg = f"{n_blocks} blocks need at least {n_blocks} samples, got {n_samples}."
        raise ValueError(msg)
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
    block = np.arange(n_samples) * n_blocks // n_samples
    return block % held_out_every == fold
