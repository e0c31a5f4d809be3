"""The number of modes that unseen samples ask for."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.base import clone

from retina_codec.datatypes import REPRODUCES, Contributions, Modes
from retina_codec.statistics import time_blocks

from ._decompose import decompose
from ._interface import Decomposition
from ._matching import agreement

N_FOLDS = 5
NEGLIGIBLE = 0.01


def choose_n_modes(
    contributions: Contributions,
    method: Decomposition,
    numbers: Sequence[int],
    *,
    seed: int = 0,
) -> tuple[int, pd.DataFrame]:
    """Choose a number of modes by what they explain of unseen blocks of time, and by stability.

    For methods that keep all modes they are given. `SparseModes` removes what it does not need, and
    needs no choice.

    Parameters
    ----------
    contributions, method
        As for `decompose`; `n_modes` of the method is replaced.
    numbers
        Of modes, to choose from.
    seed
        Of the first fit of each number; the others have those that follow.

    Returns
    -------
    number
        The smallest that explains as much as the best, of those that are stable (agreement of at
        least 0.9): R2 within one standard error or 0.01. The most stable where none is.
    table
        One row for each number, `n_modes`: modes `alive`, held-out `r2` with its standard error
        `r2_error`, `active` modes in a sample and `agreement`, means over five fits. Each fit holds
        out other blocks of time and has another seed; their agreement is the mean over pairs.

    Raises
    ------
    ValueError
        If there is no number, or as `decompose`.

    References
    ----------
    Breiman et al. (1984), Classification and Regression Trees (one standard error).

    Examples
    --------
    >>> from retina_codec.decomposition import NonNegativeFactors
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_modes=3, n_features=8, n_samples=1000)
    >>> choose_n_modes(contributions, NonNegativeFactors(), [2, 3, 6])[0]
    3
    """
    if not len(numbers):
        msg = "'numbers' is empty. Give the numbers of modes to choose from, such as [4, 8, 16]."
        raise ValueError(msg)
    rows = [_row(contributions, method, n, seed) for n in sorted(set(numbers))]
    table = pd.DataFrame(rows)
    stable = table[table["agreement"] >= REPRODUCES]
    if stable.empty:
        return int(table["n_modes"][table["agreement"].idxmax()]), table
    best = stable.loc[stable["r2"].idxmax()]
    enough = stable[stable["r2"] >= best["r2"] - max(best["r2_error"], NEGLIGIBLE)]
    return int(enough["n_modes"].min()), table


def _row(contributions: Contributions, method: Decomposition, n_modes: int, seed: int) -> dict:
    fits = _folds(contributions, clone(method).set_params(n_modes=n_modes), seed)
    r2 = np.array([fit.r2 for fit in fits])
    return {
        "n_modes": n_modes,
        "alive": np.mean([len(fit.dictionary) for fit in fits]),
        "r2": r2.mean(),
        "r2_error": r2.std(ddof=1) / np.sqrt(N_FOLDS),
        "active": np.mean([fit.active_per_sample for fit in fits]),
        "agreement": np.mean([agreement(a, b) for a, b in combinations(fits, 2)]),
    }


def _folds(contributions: Contributions, method: Decomposition, seed: int) -> list[Modes]:
    n_samples = contributions.values.shape[0]
    return [
        decompose(
            contributions,
            method,
            seed=seed + fold,
            held_out=time_blocks(n_samples, held_out_every=N_FOLDS, fold=fold),
        )
        for fold in range(N_FOLDS)
    ]
