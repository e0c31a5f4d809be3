"""What modes say about spikes that the model's rate does not."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from retina_codec.datatypes import Modes

from ._blocks import N_BLOCKS, block_draws, block_numbers, time_blocks
from ._correlation import LEAST_FIRING, ROUNDING, Null, check_draws, circular_shift, q_values

INTERVAL = 2.5, 97.5
N_BOOTSTRAPS = 1000
LEAST_RATE = 0.01
LEAST_SPIKES = 20
MOST_STEPS, LONGEST_STEP, CLOSE = 25, 2.0, 1e-5
RIDGE = 1e-6
MOST_LOG_COUNT = 20.0


def spikes_beyond_rate(
    recorded: Float[np.ndarray, "sample cell"],
    predicted: Float[np.ndarray, "sample cell"],
    modes: Modes,
    *,
    bin_s: float,
    n_folds: int = 5,
    n_draws: int = 50,
    null: Null = circular_shift,
    least_firing: int = LEAST_FIRING,
    seed: int = 0,
) -> pd.DataFrame:
    """Tell which modes explain recorded spikes beyond the rate that the model predicts.

    Parameters
    ----------
    recorded
        Firing rates in Hz; NaN where a cell was not observed.
    predicted
        By the network, in Hz, of the same samples.
    modes
        With their loadings.
    bin_s
        Length of a sample in seconds: rate times length is the number of spikes.
    n_folds
        Parts that are held out in turn, each made of whole blocks of time.
    n_draws
        How often the null is drawn.
    null
        Order of the samples of the loadings, the same for all modes.
    least_firing
        Modes that are active in fewer samples are not tested.
    seed
        Of the null and of the intervals.

    Returns
    -------
    One row for each pair of a cell and a mode: `cell`, `mode`; `gain` in bits per spike, of blocks
    held out, with its 95 % interval `low` to `high` (bootstrap over blocks); `coefficient`: factor
    of the rate, as a logarithm, when the loading is one standard deviation larger (mean over
    folds); `chance`, the mean gain of the null; one-sided `p` and `q` (false discovery rate). NaN
    for modes that are not tested and cells with fewer than 20 spikes.

    Raises
    ------
    ValueError
        If shapes differ, `predicted` holds NaN, `bin_s` is not above 0, or there are no draws.

    Notes
    -----
    Poisson regression, log rate = a + b log(predicted + 1 % of its mean) + c loading, against the
    same without the loading, so that a model with a wrong gain or offset gives modes no advantage.
    Fitted by Newton's method on the other blocks; the gain is the difference of the log-likelihoods
    of the blocks held out, divided by their spikes and log 2. A loading that explains nothing makes
    the prediction slightly worse: chance is below 0.

    For p, each gain is standardised by mean and standard deviation of the draws of its pair, and
    compared with the draws of all pairs, each standardised by the other draws of its own pair. So p
    can be smaller than 1 / n_draws, which pairs as many as cells times modes need. This takes
    the distribution of chance to have the same shape in all pairs.

    References
    ----------
    McCullagh & Nelder (1989), Generalized Linear Models (the regression).
    Benjamini & Hochberg (1995), Journal of the Royal Statistical Society B 57:289-300.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=2, n_samples=2000, burst=10.0)
    >>> predicted = np.full((2000, 1), 20.0)
    >>> rng = np.random.default_rng(0)
    >>> rates = rng.poisson(0.2 * np.exp(0.5 * modes.loadings[:, :1])) / 0.01
    >>> table = spikes_beyond_rate(rates, predicted, modes, bin_s=0.01, n_draws=20)
    >>> (table["q"] < 0.05).tolist()
    [True, False]
    """
    _check(recorded, predicted, modes, bin_s)
    check_draws(n_draws)
    rng, loadings = np.random.default_rng(seed), _standardised(np.asarray(modes.loadings, float))
    orders = np.stack([null(len(loadings), rng) for _ in range(n_draws)])
    boots = block_draws(N_BLOCKS, N_BOOTSTRAPS, rng)
    tested = np.asarray(modes.firing) >= least_firing
    cells = zip(np.asarray(recorded, float).T, np.asarray(predicted, float).T, strict=True)
    rows, draws = [], []
    for cell, (rate, expected) in enumerate(cells):
        found, by_chance = _of_cell(rate * bin_s, expected, loadings, orders, boots, n_folds)
        found["gain"] = np.where(tested, found["gain"], np.nan)
        rows.append(pd.DataFrame({"cell": cell, "mode": np.arange(len(tested)), **found}))
        draws.append(by_chance)
    table = pd.concat(rows, ignore_index=True)
    p = pooled_p(table["gain"].to_numpy(), np.concatenate(draws, axis=1))
    return table.assign(p=p, q=q_values(p))


def pooled_p(
    values: Float[np.ndarray, " test"], draws: Float[np.ndarray, "draw test"]
) -> Float[np.ndarray, " test"]:
    """One-sided p of many tests that share few draws of a null of the same shape.

    Parameters
    ----------
    values
        Large where there is an effect; NaN where nothing is tested.
    draws
        Of the null of each test.

    Returns
    -------
    (1 + draws of all tests that are at least as large) / (1 + draws of all tests), after values and
    draws were standardised by the (other) draws of their own test.

    Examples
    --------
    >>> draws = np.random.default_rng(0).normal(size=(50, 40)) + np.arange(40)
    >>> pooled_p(np.append(8.0, np.arange(1.0, 40.0)), draws).round(2)[:1]
    array([0.])
    """
    n_draws = len(draws)
    tested = np.isfinite(values) & np.isfinite(draws).all(axis=0)
    p = np.full(len(values), np.nan)
    if n_draws < 3 or not tested.any():
        return p
    x, v = draws[:, tested], values[tested]
    total, squares = x.sum(axis=0), (x**2).sum(axis=0)
    others = (total - x) / (n_draws - 1)
    variance = (squares - x**2) / (n_draws - 1) - others**2
    z_draws = np.sort(((x - others) / np.sqrt(np.maximum(variance, ROUNDING**2))).ravel())
    z = (v - x.mean(axis=0)) / np.maximum(x.std(axis=0), ROUNDING)
    reached = len(z_draws) - np.searchsorted(z_draws, z, side="left")
    p[tested] = (1 + reached) / (1 + len(z_draws))
    return p


def poisson_regression(
    counts: Float[np.ndarray, " sample"],
    always: Float[np.ndarray, "sample predictor"],
    one_of: Float[np.ndarray, "sample mode"],
) -> Float[np.ndarray, "mode coefficient"]:
    """Fit log(expected count) = always @ b + c x, once for each column x of `one_of`.

    Parameters
    ----------
    counts
        Numbers of spikes.
    always
        Predictors of all fits, a column of ones among them.
    one_of
        One predictor of each fit, of mean 0 and standard deviation about 1.

    Returns
    -------
    b and c of each fit.

    Notes
    -----
    Newton's method from the fit without x; steps are shortened to a length of 2 so that they do not
    leave the region where the second-order expansion holds. All fits take their steps together.

    Examples
    --------
    >>> x = np.array([[-1.0], [1.0]])
    >>> b = poisson_regression(np.array([1.0, np.e**2]), np.ones((2, 1)), x)
    >>> b.round(3)
    array([[1., 1.]])
    """
    return _newton(counts, always, one_of, _alone(counts, always))


def _alone(counts, always) -> Float[np.ndarray, " coefficient"]:
    """Fit without a further predictor."""
    start = np.zeros(always.shape[1])
    start[0] = np.log(max(counts.mean(), ROUNDING))
    return _newton(counts, always, np.zeros((len(counts), 1)), start)[0, :-1]


def _newton(counts, always, one_of, start) -> Float[np.ndarray, "mode coefficient"]:
    b = np.tile(np.append(start, 0.0), (one_of.shape[1], 1))
    seen = np.column_stack([np.repeat((always.T @ counts)[None], len(b), 0), counts @ one_of])
    ridge = RIDGE * len(counts) * np.eye(b.shape[1])
    for _ in range(MOST_STEPS):
        rate = np.exp(np.minimum(always @ b[:, :-1].T + one_of * b[:, -1], MOST_LOG_COUNT))
        slope, curvature = _moments(rate, always, one_of)
        step = np.linalg.solve(curvature + ridge, (seen - slope)[..., None])[..., 0]
        b += step / np.maximum(np.linalg.norm(step, axis=1, keepdims=True) / LONGEST_STEP, 1.0)
        if np.abs(step).max() < CLOSE:
            break
    return b


def _moments(rate, always, one_of):
    """First and second moments of the predictors of each fit, weighted by its rate."""
    weighted = rate * one_of
    n = always.shape[1]
    slope = np.column_stack([rate.T @ always, weighted.sum(axis=0)])
    products = (always[:, :, None] * always[:, None, :]).reshape(len(always), -1)
    curvature = np.empty((rate.shape[1], n + 1, n + 1))
    curvature[:, :n, :n] = (rate.T @ products).reshape(-1, n, n)
    curvature[:, n, :n] = curvature[:, :n, n] = weighted.T @ always
    curvature[:, n, n] = np.einsum("sm,sm->m", weighted, one_of)
    return slope, curvature


def _of_cell(counts, expected, loadings, orders, boots, n_folds):
    """Gain, its interval, coefficient and chance of one cell with each mode; gains by chance."""
    n_modes, seen = loadings.shape[1], ~np.isnan(counts)
    missing = np.full(n_modes, np.nan)
    if np.nansum(counts) < LEAST_SPIKES:
        names = ("gain", "low", "high", "coefficient", "chance")
        return {name: missing for name in names}, np.full((len(orders), n_modes), np.nan)
    folds = list(_folds(counts, _rate_predictors(expected), n_folds))
    gains, coefficient = _held_out_gains(loadings, folds)
    block = block_numbers(len(counts))
    of_block = np.stack([np.bincount(block, gain, N_BLOCKS) for gain in gains.T], axis=1)
    spikes = np.bincount(block, np.where(seen, counts, 0), N_BLOCKS)
    low, high = np.percentile(_bits(boots @ of_block, boots @ spikes), INTERVAL, axis=0)
    draws = (_held_out_gains(loadings[order], folds)[0].sum(axis=0) for order in orders)
    by_chance = np.stack([_bits(draw, spikes.sum()) for draw in draws])
    found = {"gain": _bits(of_block.sum(axis=0), spikes.sum()), "low": low, "high": high}
    return {**found, "coefficient": coefficient, "chance": by_chance.mean(axis=0)}, by_chance


class _Fold(NamedTuple):
    """What all modes of a cell share when some blocks are held out."""

    where: tuple[Bool[np.ndarray, " sample"], Bool[np.ndarray, " sample"]]
    """Fitted, and held out."""
    counts: tuple[Float[np.ndarray, " some"], Float[np.ndarray, " some"]]
    always: tuple[Float[np.ndarray, "some predictor"], Float[np.ndarray, "some predictor"]]
    alone: Float[np.ndarray, " predictor"]
    """Coefficients without a mode."""
    likelihood: Float[np.ndarray, "some 1"]
    """Of what is held out, without a mode."""


def _folds(counts, always, n_folds) -> Iterator[_Fold]:
    seen = ~np.isnan(counts)
    for fold in range(n_folds):
        held_out = time_blocks(len(seen), held_out_every=n_folds, fold=fold)
        where = seen & ~held_out, seen & held_out
        n, x = [counts[part] for part in where], [always[part] for part in where]
        alone = _alone(n[0], x[0])
        nothing = np.zeros((len(n[1]), 1)), np.append(alone, 0.0)[None]
        yield _Fold(where, n, x, alone, _log_likelihood(n[1], x[1], *nothing))


def _held_out_gains(loadings, folds: list[_Fold]):
    """Gain of the log-likelihood of each sample by each mode, and the coefficients."""
    gains, coefficients = np.zeros(loadings.shape), []
    for fold in folds:
        fitted, held_out = (loadings[part] for part in fold.where)
        b = _newton(fold.counts[0], fold.always[0], fitted, fold.alone)
        found = _log_likelihood(fold.counts[1], fold.always[1], held_out, b)
        gains[fold.where[1]] = found - fold.likelihood
        coefficients.append(b[:, -1])
    return gains, np.mean(coefficients, axis=0)


def _log_likelihood(counts, always, one_of, b) -> Float[np.ndarray, "sample mode"]:
    """Poisson, without the part that all models share."""
    log_rate = np.minimum(always @ b[:, :-1].T + one_of * b[:, -1], MOST_LOG_COUNT)
    return counts[:, None] * log_rate - np.exp(log_rate)


def _rate_predictors(expected) -> Float[np.ndarray, "sample predictor"]:
    rate = np.maximum(expected, 0)
    log_rate = np.log(rate + max(LEAST_RATE * rate.mean(), ROUNDING))
    return np.column_stack([np.ones(len(rate)), _standardised(log_rate[:, None])])


def _standardised(values: Float[np.ndarray, "sample column"]) -> Float[np.ndarray, "sample column"]:
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > ROUNDING, spread, 1.0)


def _bits(gain, spikes):
    per_spike = np.asarray(gain) / np.maximum(spikes, 1)[..., None]
    return per_spike / np.log(2)


def _check(recorded, predicted, modes: Modes, bin_s: float) -> None:
    n_samples = len(modes.loadings)
    if recorded.shape != predicted.shape or len(recorded) != n_samples:
        msg = (
            f"'recorded' and 'predicted' must have the same cells and the {n_samples} samples of "
            f"the modes, got {recorded.shape} and {predicted.shape}."
        )
        raise ValueError(msg)
    if np.isnan(predicted).any():
        msg = "'predicted' holds NaN; only 'recorded' may. Remove these samples from both."
        raise ValueError(msg)
    if not bin_s > 0:
        msg = f"'bin_s' is the length of a sample in seconds and must be above 0, got {bin_s}."
        raise ValueError(msg)
