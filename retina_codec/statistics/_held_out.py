"""Samples without order to hold out, such as images."""

import numpy as np
from jaxtyping import Bool, Int


def random_held_out(
    n_samples: int,
    share: float = 0.2,
    *,
    seed: int = 0,
    labels: Int[np.ndarray, " sample"] | None = None,
) -> Bool[np.ndarray, " sample"]:
    """Hold out random samples, the same share of each class; for images, sorted or not.

    Series in time need `time_blocks`, as neighbouring frames are almost the same.

    Parameters
    ----------
    n_samples
        How many there are.
    share
        How many of them are held out, between 0 and 1.
    seed
        Of the choice.
    labels
        Number of the class of each sample, -1 where it is unknown; None for samples without
        classes.

    Returns
    -------
    True where a sample is held out. Of n samples of a class n * share are, rounded up or down.

    Raises
    ------
    ValueError
        If the labels are not one for each sample, or none or all would be held out.

    Examples
    --------
    >>> held_out = random_held_out(60, 0.25, labels=np.repeat([0, 1, 2], 20))
    >>> held_out.reshape(3, 20).sum(axis=1).tolist()
    [5, 5, 5]
    """
    labels = np.zeros(n_samples, dtype=int) if labels is None else np.asarray(labels)
    if labels.shape != (n_samples,):
        msg = f"'labels' must have one label for each of {n_samples} samples, got {labels.shape}."
        raise ValueError(msg)
    rng = np.random.default_rng(seed)
    by_class = np.lexsort((rng.random(n_samples), labels))
    steps = np.floor(np.arange(n_samples + 1) * share + rng.random())
    held_out = np.zeros(n_samples, dtype=bool)
    held_out[by_class] = np.diff(steps) > 0
    if held_out.all() or not held_out.any():
        msg = (
            f"'share' must hold out some but not all of {n_samples} samples, got {share}. "
            "Take a number between 0 and 1, and more samples."
        )
        raise ValueError(msg)
    return held_out
