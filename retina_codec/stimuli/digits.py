"""Handwritten digits: 1,797 small real images that come with scikit-learn."""

import numpy as np
from jaxtyping import Float, Int
from sklearn.datasets import load_digits

from .windows import Normalisation

DIGITS = Normalisation(mean=0.3053, std=0.3759)
"""Mean and standard deviation of the pixels of the training split, from 0 (paper) to 1 (ink)."""

SHARES = {"train": 0.6, "selection": 0.2, "test": 0.2}
SEED = 0
BRIGHTEST = 16


def digits(
    split: str = "train",
) -> tuple[Float[np.ndarray, "sample channel y x"], Int[np.ndarray, " sample"]]:
    """Images of handwritten digits, 8 x 8 pixels, normalised; and which digit each one shows.

    Each class is divided by a fixed seed: three fifths for training, a fifth to select channels
    or modes, a fifth to test them. No image is in two splits; writers are.

    ========= === === === === === === === === === === =====
    split       0   1   2   3   4   5   6   7   8   9   all
    ========= === === === === === === === === === === =====
    train     107 109 106 110 109 109 109 107 104 108  1078
    selection  35  37  36  36  36  37  36  36  35  36   360
    test       36  36  35  37  36  36  36  36  35  36   359
    ========= === === === === === === === === === === =====

    Parameters
    ----------
    split
        "train", "selection" or "test".

    Returns
    -------
    tuple
        Images in standard deviations from the mean grey (`DIGITS`), one channel; labels 0 to 9.

    Raises
    ------
    ValueError
        If there is no such split.

    References
    ----------
    Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, doi:10.24432/C50P49 (licence CC BY 4.0).

    Examples
    --------
    >>> images, labels = digits("test")
    >>> images.shape, np.bincount(labels).min()
    ((359, 1, 8, 8), np.int64(35))
    """
    if split not in SHARES:
        msg = f"No split {split!r} of the digits; choose one of {', '.join(SHARES)}."
        raise ValueError(msg)
    bunch = load_digits()
    of_split = np.sort(np.concatenate([_part(bunch.target, class_, split) for class_ in range(10)]))
    grey = bunch.images[of_split, None] / BRIGHTEST
    images = ((grey - DIGITS.mean) / DIGITS.std).astype(np.float32)
    return images, bunch.target[of_split]


def _part(labels: Int[np.ndarray, " sample"], class_: int, split: str) -> Int[np.ndarray, " image"]:
    """Numbers of the images of a class that belong to a split."""
    members = np.flatnonzero(labels == class_)
    order = np.random.default_rng((SEED, class_)).permutation(members)
    cuts = np.round(len(order) * np.cumsum([0, *SHARES.values()])).astype(int)
    place = list(SHARES).index(split)
    return order[cuts[place] : cuts[place + 1]]
