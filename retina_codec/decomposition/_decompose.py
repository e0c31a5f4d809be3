"""From the contributions of a layer to its modes, with honest numbers."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from sklearn.base import clone

from retina_codec.datatypes import Contributions, Modes
from retina_codec.statistics import time_blocks

from ._checks import finite_matrix
from ._interface import Decomposition
from ._rows import Rows


def decompose(
    contributions: Contributions,
    method: Decomposition,
    *,
    seed: int = 0,
    held_out: Bool[np.ndarray, " sample"] | None = None,
) -> Modes:
    """Find the modes that make up the contributions of a layer.

    Parameters
    ----------
    contributions
        Pooled: one number for each sample and feature. Those in a store are read block by block;
        some methods also learn from them so (`Streaming`), the others load what they fit.
    method
        Says how; it is copied, not changed.
    seed
        Takes the place of the seed of the method.
    held_out
        True for samples that the fit must not see; None for every fifth of 20 blocks of time. Give
        your own where samples are sorted by class instead of time.

    Returns
    -------
    Modes in the order of the energy they explain (sum over samples of squared loading times squared
    norm of the mode). Modes that are not active in any sample are left out; they and those that the
    method removed are counted in `n_dead`.

    Raises
    ------
    ValueError
        If the contributions are not pooled, not finite or all the same, or the method refuses them.

    Notes
    -----
    The method gets ``values * sign / scale``; `scale` is the standard deviation of all numbers in
    the samples fitted. Features of sign 0 keep their sign.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557.

    Examples
    --------
    >>> from retina_codec.decomposition import SparseModes
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, truth = planted_contributions(n_modes=3, n_features=8, n_samples=1000)
    >>> modes = decompose(contributions, SparseModes())
    >>> modes.dictionary.shape, modes.loadings.shape, int(modes.held_out.sum())
    ((3, 8), (1000, 3), 200)
    >>> modes.n_dead, bool(modes.r2 > 0.99)
    (13, True)
    """
    return modes_of_some(contributions, method, seed=seed, held_out=held_out, some=_all)


def modes_of_some(
    contributions: Contributions,
    method: Decomposition,
    *,
    seed: int,
    held_out: Bool[np.ndarray, " sample"] | None,
    some: Callable[[Rows], Rows],
) -> Modes:
    """As `decompose`, but learn only from some of the samples that are not held out."""
    values = _pooled(contributions)
    n_samples = values.shape[0]
    held_out = time_blocks(n_samples) if held_out is None else np.asarray(held_out, dtype=bool)
    _check_held_out(held_out, n_samples)
    scale = _spread(Rows(values, chosen=~held_out))
    signs = np.asarray(contributions.sign)
    factor = np.where(signs == 0, 1, signs) / scale
    train, test = (Rows(values, factor=factor, chosen=part) for part in (~held_out, held_out))
    to_learn = some(train)
    fitted = clone(method).set_params(seed=seed)
    fitted.fit(np.asarray(to_learn) if to_learn.in_memory else to_learn)
    everything = Rows(values, factor=factor)
    loadings = np.concatenate([fitted.transform(block) for block in everything])
    means = sum(block.sum(axis=0, dtype=float) for block in train) / len(train)
    firing = np.count_nonzero(loadings, axis=0)
    kept = _by_energy(loadings, fitted.components_)
    kept = kept[firing[kept] > 0]
    curve = getattr(fitted, "curve_", None)
    return Modes(
        dictionary=fitted.components_[kept],
        loadings=loadings[:, kept],
        sample=contributions.sample,
        held_out=held_out,
        channel=contributions.channel,
        sign=contributions.sign,
        offset=fitted.offset_,
        firing=firing[kept],
        r2=_r2(fitted, test, loadings, means),
        r2_train=_r2(fitted, train, loadings, means),
        scale=scale,
        n_dead=int(len(firing) - len(kept) + fitted.n_removed_),
        layer=contributions.layer,
        target=contributions.target,
        method=type(fitted).__name__,
        seed=seed,
        settings=fitted.get_params(),
        feature_scale=fitted.scale_ if fitted.equal_features else None,
        curve=None if curve is None else np.asarray(curve, dtype=float),
    )


def _all(rows: Rows) -> Rows:
    return rows


def _pooled(contributions: Contributions) -> Float[Any, "sample feature"]:
    if len(contributions.values.shape) != 2:
        msg = (
            "Contributions must be pooled to axes (sample, feature), got "
            f"({', '.join(contributions.axes_of('values'))}). Pool them when they are computed."
        )
        raise ValueError(msg)
    values = contributions.values
    return finite_matrix(values) if isinstance(values, np.ndarray) else values


def _check_held_out(held_out, n_samples):
    if held_out.shape != (n_samples,) or held_out.all() or not held_out.any():
        msg = (
            f"'held_out' must mark some but not all of the {n_samples} samples, got shape "
            f"{held_out.shape} with {int(held_out.sum())} marked."
        )
        raise ValueError(msg)


def _spread(rows: Rows) -> float:
    """Return the standard deviation of all numbers."""
    n = math.prod(rows.shape)
    mean = sum(block.sum(dtype=float) for block in rows) / n
    spread = math.sqrt(sum(np.square(block - mean, dtype=float).sum() for block in rows) / n)
    if not spread > 0:
        msg = f"All contributions are {mean:.3g}; there is nothing to decompose."
        raise ValueError(msg)
    return spread


def _r2(fitted: Decomposition, rows: Rows, loadings, means) -> float:
    """Return 1 - residual / variance about the means of the fitted samples, block by block."""
    variance, residual = 0.0, 0.0
    for where, block in zip(rows.blocks, rows, strict=True):
        rebuilt = fitted.inverse_transform(loadings[where])
        variance += np.square(block - means, dtype=float).sum()
        residual += np.square(block - rebuilt, dtype=float).sum()
    return float(1 - residual / variance) if variance > 0 else 0.0


def _by_energy(loadings, dictionary):
    energy = np.sum(loadings**2, axis=0, dtype=float) * np.sum(dictionary**2, axis=1, dtype=float)
    return np.argsort(-energy, kind="stable")
