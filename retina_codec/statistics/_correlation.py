"""Correlations, and how large they are by chance."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.stats import false_discovery_control

from retina_codec.datatypes import Modes

ROUNDING = 1e-12
LEAST_SHIFT = 0.05
LEAST_FIRING = 20

Null = Callable[[int, np.random.Generator], Int[np.ndarray, " sample"]]
"""From a number of samples to an order of them in which nothing belongs together any more."""


def pearson(
    a: Float[np.ndarray, "sample p"], b: Float[np.ndarray, "sample q"]
) -> Float[np.ndarray, "p q"]:
    """Correlation of each column of `a` with each column of `b`.

    Parameters
    ----------
    a
        Complete, for example the loadings of modes.
    b
        May hold NaN, for example the rates of cells that were not always observed.

    Returns
    -------
    Pearson's r over the samples in which the column of `b` is not NaN; 0 where a column does not
    vary there.

    Raises
    ------
    ValueError
        If the lengths differ, or `a` holds NaN.

    Examples
    --------
    >>> time = np.arange(4.0)[:, None]
    >>> pearson(time, np.hstack([-time, time**0, [[0.0], [np.nan], [2.0], [3.0]]]))
    array([[-1.,  0.,  1.]])
    """
    if len(a) != len(b):
        msg = f"'a' and 'b' must have the same number of samples, got {len(a)} and {len(b)}."
        raise ValueError(msg)
    if np.isnan(a).any():
        msg = "'a' holds NaN; only 'b' may. Swap the arguments, or remove these samples."
        raise ValueError(msg)
    seen = ~np.isnan(b)
    a = a - a.mean(axis=0, dtype=float)
    b = np.where(seen, b, 0.0)
    b = np.where(seen, b - b.sum(axis=0) / np.maximum(seen.sum(axis=0), 1), 0.0)
    n = np.maximum(seen.sum(axis=0), 1)
    sum_a = a.T @ seen
    power_a, power_b = (a**2).T @ seen, (b**2).sum(axis=0)
    variance_a = power_a - sum_a**2 / n
    varies = (variance_a > ROUNDING * power_a) & (power_b > 0)
    norm = np.sqrt(np.where(varies, variance_a * power_b, 1.0))
    return np.where(varies, (a.T @ b) / norm, 0.0)


def circular_shift(n_samples: int, rng: np.random.Generator) -> Int[np.ndarray, " sample"]:
    """Null for time series: later samples, and those at the end again at the beginning.

    Keeps how each series varies over time, so that slow series are not taken for correlated ones;
    takes away which moments belong together. The shift is at least 5 % of the samples in both
    directions; series must be shorter-lived than that.

    Parameters
    ----------
    n_samples
        Length of the series.
    rng
        Draws the shift.

    Returns
    -------
    Index that brings a series into the new order.

    Examples
    --------
    >>> order = circular_shift(100, np.random.default_rng(0))
    >>> sorted(order.tolist()) == list(range(100)), int((np.diff(order) == 1).sum())
    (True, 98)
    """
    least = max(1, int(LEAST_SHIFT * n_samples))
    return (
        np.arange(n_samples) + rng.integers(least, max(least + 1, n_samples - least))
    ) % n_samples


def permutation(n_samples: int, rng: np.random.Generator) -> Int[np.ndarray, " sample"]:
    """Null for samples without order, such as labelled images: any order.

    In time series it makes nearly everything significant, because neighbouring samples are alike.

    Parameters
    ----------
    n_samples
        How many samples there are.
    rng
        Draws the order.

    Returns
    -------
    Index that brings samples into the new order.

    Examples
    --------
    >>> sorted(permutation(4, np.random.default_rng(0)).tolist())
    [0, 1, 2, 3]
    """
    return rng.permutation(n_samples)


def correlations_with(
    modes: Modes,
    others: Float[np.ndarray, "sample column"],
    *,
    null: Null = circular_shift,
    n_draws: int = 1000,
    least_firing: int = LEAST_FIRING,
    seed: int = 0,
) -> pd.DataFrame:
    """Correlate the loadings of modes with cells, labels or features of the stimulus.

    Parameters
    ----------
    modes
        With their loadings.
    others
        One column for each cell, label or feature, of the same samples; may hold NaN.
    null
        What is compared with: `circular_shift` for time series, `permutation` for labels, or a
        function like them.
    n_draws
        Of the null; the smallest possible p is 1 / (n_draws + 1).
    least_firing
        Modes that are active in fewer samples are not tested: a few samples correlate with anything
        (a mode that is active in two images of one class of 1,000 has r = 0.2).
    seed
        Of the null.

    Returns
    -------
    One row for each pair: `mode`, `column`, Pearson's `r`, two-sided `p`, and `q`, the false
    discovery rate at which the pair is called (Benjamini & Hochberg). p and q are NaN for modes
    that are not tested.

    Raises
    ------
    ValueError
        If the numbers of samples differ, or there are no draws.

    Notes
    -----
    p = (1 + number of draws with at least this |r|) / (1 + draws).

    References
    ----------
    Phipson & Smyth (2010), Statistical Applications in Genetics and Molecular Biology 9:39.
    Benjamini & Hochberg (1995), Journal of the Royal Statistical Society B 57:289-300.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=2, n_samples=500)
    >>> table = correlations_with(modes, modes.loadings[:, :1], n_draws=99)
    >>> table.round(2).to_dict("list")["p"][0]
    0.01
    """
    check_draws(n_draws)
    loadings, rng = np.asarray(modes.loadings), np.random.default_rng(seed)
    r = pearson(loadings, others)
    reached = np.zeros(r.shape)
    for _ in range(n_draws):
        order = null(len(loadings), rng)
        reached += np.abs(pearson(loadings[order], others)) >= np.abs(r) - ROUNDING
    p = (1 + reached) / (1 + n_draws)
    p[np.asarray(modes.firing) < least_firing] = np.nan
    mode, column = (axis.ravel() for axis in np.indices(r.shape))
    table = pd.DataFrame({"mode": mode, "column": column, "r": r.ravel(), "p": p.ravel()})
    return table.assign(q=q_values(p.ravel()))


def q_values(p: Float[np.ndarray, " test"]) -> Float[np.ndarray, " test"]:
    """Return false discovery rates of tests; NaN where p is NaN."""
    tested: Bool[np.ndarray, " test"] = ~np.isnan(p)
    q = np.full(len(p), np.nan)
    if tested.any():
        q[tested] = false_discovery_control(p[tested])
    return q


def check_draws(n_draws: int) -> None:
    """Raise an error if there are none.

    Raises
    ------
    ValueError
        If so.
    """
    if n_draws < 1:
        msg = f"'n_draws' must be at least 1, got {n_draws}."
        raise ValueError(msg)
