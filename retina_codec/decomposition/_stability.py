"""Whether the modes come back when the fit is repeated."""

import numpy as np
import pandas as pd

from retina_codec.datatypes import Contributions, Modes, Stability

from ._decompose import decompose, modes_of_some
from ._interface import Decomposition
from ._matching import agreement, match_modes

N_BLOCKS = 20


def stability(
    contributions: Contributions,
    modes: Modes,
    method: Decomposition,
    *,
    n_seeds: int = 4,
    n_resampled: int = 4,
) -> Stability:
    """Repeat a fit with other seeds, and on resampled blocks of time, and match the modes.

    Parameters
    ----------
    contributions, method
        As they were given to `decompose`.
    modes
        What it returned. The same samples are held out.
    n_seeds
        Fits with the seeds that follow that of the modes.
    n_resampled
        Fits with the seed of the modes to 20 blocks of the fitted samples, drawn with replacement
        (block bootstrap).

    Returns
    -------
    Stability
        Keep its `reproducibility` with the modes, so that figures mark those that do not come back:
        ``replace(modes, reproducibility=found.reproducibility)``.

    Raises
    ------
    ValueError
        If no fit is asked for, or the contributions are not those of the modes.

    References
    ----------
    Kuensch (1989), Annals of Statistics 17:1217-1241 (block bootstrap).

    Examples
    --------
    >>> from retina_codec.decomposition import SparseModes, decompose
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_modes=4, n_features=8, n_samples=300)
    >>> method = SparseModes(n_modes=6, n_passes=10)
    >>> modes = decompose(contributions, method)
    >>> found = stability(contributions, modes, method, n_seeds=1, n_resampled=1)
    >>> found.cosine.shape, bool((found.reproducibility > 0.98).all())
    ((2, 4), True)
    """
    _check(contributions, modes, n_seeds + n_resampled)
    same = {"method": method, "held_out": np.asarray(modes.held_out)}
    others = [
        ("other seed", seed, decompose(contributions, seed=seed, **same))
        for seed in range(modes.seed + 1, modes.seed + 1 + n_seeds)
    ]
    others += [
        ("resampled", modes.seed, _resampled(contributions, modes.seed, draw, same))
        for draw in range(n_resampled)
    ]
    rows = [
        {
            "kind": kind,
            "seed": seed,
            "n_modes": len(other.dictionary),
            "r2": other.r2,
            "agreement": agreement(modes, other),
        }
        for kind, seed, other in others
    ]
    return Stability(
        cosine=np.stack([_cosine_of_each(modes, other) for *_, other in others]),
        fits=pd.DataFrame(rows),
        layer=modes.layer,
        method=modes.method,
    )


def _resampled(contributions, seed, draw, same) -> Modes:
    rng = np.random.default_rng([seed, draw])
    return modes_of_some(
        contributions, seed=seed, some=lambda train: train.resampled(N_BLOCKS, rng), **same
    )


def _cosine_of_each(modes: Modes, other: Modes) -> np.ndarray:
    found = np.zeros(len(modes.dictionary))
    pairs, cosine = match_modes(modes, other)
    found[pairs[:, 0]] = cosine
    return found


def _check(contributions, modes, n_fits) -> None:
    if n_fits < 1:
        msg = "'n_seeds' and 'n_resampled' are both 0. Ask for at least one fit."
        raise ValueError(msg)
    here, there = contributions.values.shape, (len(modes.loadings), len(modes.channel))
    if here != there:
        msg = (
            f"The contributions have shape {here}, but the modes were found in {there}. "
            "Give the contributions that were decomposed."
        )
        raise ValueError(msg)
