"""Units of a network that respond like a recorded interneuron."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from ._blocks import block_draws, block_numbers, time_blocks
from ._correlation import ROUNDING, Null, check_draws, circular_shift, q_values

INTERVAL = 2.5, 97.5
N_BOOTSTRAPS = 1000


def interneuron_matches(
    recorded: Float[np.ndarray, "sample interneuron"],
    units: Float[np.ndarray, "sample unit"],
    *,
    n_folds: int = 5,
    n_draws: int = 200,
    null: Null = circular_shift,
    seed: int = 0,
) -> pd.DataFrame:
    """Find the unit that goes best with each recorded interneuron, and test it on time held out.

    Parameters
    ----------
    recorded
        Membrane potential, current or rate of interneurons that the network was not trained on; may
        hold NaN.
    units
        Activations of units of a layer (a channel at a place), of the same samples. Turn the sign
        of units round that may match the other way; only positive correlations are called.
    n_folds
        Parts that are held out in turn, each made of whole blocks of time.
    n_draws
        How often the null is drawn.
    null
        Order of the samples of the recordings.
    seed
        Of the null and of the intervals.

    Returns
    -------
    One row for each interneuron: `unit`, the best over all samples, with its `r_all`; `r`, the mean
    over folds of Pearson's r, on the blocks held out, of the unit that was best on the others, with
    its 95 % interval `low` to `high` (bootstrap over blocks); `same_unit`, the share of folds that
    chose `unit`; `chance`, mean of the null, and its 95th percentile `chance_high`; one-sided `p`
    and `q` (false discovery rate). For all correlations see `pearson(units, recorded)`.

    Raises
    ------
    ValueError
        If lengths differ, `units` holds NaN, or there are no draws.

    Notes
    -----
    The best of many units correlates with anything over the samples that it was chosen by; hence
    the blocks held out, and a null in which the whole procedure is repeated.
    p = (1 + number of draws with at least this r) / (1 + draws).

    References
    ----------
    Maheswaranathan et al. (2023), Neuron 111:2742-2755, doi:10.1016/j.neuron.2023.06.007
    (recorded interneurons beside units of networks).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> units = rng.normal(size=(1000, 5))
    >>> recorded = np.column_stack([units[:, 3] + rng.normal(size=1000), rng.normal(size=1000)])
    >>> table = interneuron_matches(recorded, units, n_draws=50)
    >>> int(table["unit"][0]), (table["q"] < 0.05).tolist()
    (3, [True, False])
    """
    _check(recorded, units)
    check_draws(n_draws)
    recorded, units = np.asarray(recorded, dtype=float), np.asarray(units, dtype=float)
    units = units - units.mean(axis=0)
    n_seen = np.sum(~np.isnan(recorded), axis=0)
    recorded = recorded - np.nansum(recorded, axis=0) / np.maximum(n_seen, 1)
    rng, n_samples = np.random.default_rng(seed), len(units)
    parts = [time_blocks(n_samples, held_out_every=n_folds, fold=fold) for fold in range(n_folds)]
    r, chosen = _held_out(recorded, units, parts)
    draws = np.stack(
        [_held_out(recorded[null(n_samples, rng)], units, parts)[0] for _ in range(n_draws)]
    )
    everywhere = _correlation(_moments(units, recorded))
    unit = everywhere.argmax(axis=0)
    low, high = _interval(recorded, units, chosen, parts, rng)
    p = (1 + np.sum(draws >= r - ROUNDING, axis=0)) / (1 + n_draws)
    table = {"interneuron": np.arange(len(unit)), "unit": unit, "r_all": everywhere.max(axis=0)}
    table |= {"r": r, "low": low, "high": high, "same_unit": np.mean(chosen == unit, axis=0)}
    table |= {"chance": draws.mean(axis=0), "chance_high": np.percentile(draws, 95, axis=0)}
    return pd.DataFrame({**table, "p": p, "q": q_values(p)})


class _Moments(NamedTuple):
    """Sums over samples that correlations are made of: they add up over blocks of time.

    Each is "unit interneuron" or has an axis of length 1 there.
    """

    n: np.ndarray
    a: np.ndarray
    b: np.ndarray
    aa: np.ndarray
    bb: np.ndarray
    ab: np.ndarray

    def without(self, other: "_Moments") -> "_Moments":
        return _Moments(*(x - y for x, y in zip(self, other, strict=True)))


def _moments(units, recorded) -> _Moments:
    seen = ~np.isnan(recorded)
    b, weight = np.where(seen, recorded, 0.0), seen.astype(float)
    n, bb = weight.sum(axis=0)[None], (b**2).sum(axis=0)[None]
    if seen.all():
        a, aa = (x.sum(axis=0)[:, None] for x in (units, units**2))
    else:
        a, aa = units.T @ weight, (units**2).T @ weight
    return _Moments(n, a, b.sum(axis=0)[None], aa, bb, units.T @ b)


def _correlation(sums: _Moments) -> Float[np.ndarray, "unit interneuron"]:
    """Pearson's r; 0 where a unit or an interneuron does not vary."""
    n = np.maximum(sums.n, 1)
    variance_a, variance_b = sums.aa - sums.a**2 / n, sums.bb - sums.b**2 / n
    varies = (variance_a > ROUNDING * sums.aa) & (variance_b > ROUNDING * sums.bb)
    norm = np.sqrt(np.where(varies, variance_a * variance_b, 1.0))
    return np.where(varies, (sums.ab - sums.a * sums.b / n) / norm, 0.0)


def _held_out(recorded, units, parts: list[Bool[np.ndarray, " sample"]]):
    """Mean over folds of r held out, and the unit that each fold chose ("fold interneuron")."""
    of_part = [_moments(units[part], recorded[part]) for part in parts]
    total = _Moments(*(sum(x) for x in zip(*of_part, strict=True)))
    chosen = np.stack([_correlation(total.without(part)).argmax(axis=0) for part in of_part])
    columns = np.arange(recorded.shape[1])
    r = [_correlation(part)[unit, columns] for part, unit in zip(of_part, chosen, strict=True)]
    return np.mean(r, axis=0), chosen


def _interval(recorded, units, chosen: Int[np.ndarray, "fold interneuron"], parts, rng):
    """Interval of the mean over folds of r held out, where blocks of each fold are drawn again."""
    block, fold_means = block_numbers(len(units)), []
    for part, unit in zip(parts, chosen, strict=True):
        inside = np.unique(block[part])
        sums = [_paired(units[block == i][:, unit], recorded[block == i]) for i in inside]
        draws = block_draws(len(inside), N_BOOTSTRAPS, rng)
        drawn = _Moments(*(draws @ np.stack(x) for x in zip(*sums, strict=True)))
        fold_means.append(_correlation(drawn))
    return np.percentile(np.mean(fold_means, axis=0), INTERVAL, axis=0)


def _paired(a, b) -> _Moments:
    """Return the sums of each unit with its own interneuron."""
    seen = ~np.isnan(b)
    a, b = np.where(seen, a, 0.0), np.where(seen, b, 0.0)
    return _Moments(seen.sum(0), a.sum(0), b.sum(0), (a**2).sum(0), (b**2).sum(0), (a * b).sum(0))


def _check(recorded, units) -> None:
    if len(recorded) != len(units):
        msg = (
            "'recorded' and 'units' must have the same number of samples, "
            f"got {len(recorded)} and {len(units)}."
        )
        raise ValueError(msg)
    if np.isnan(units).any():
        msg = "'units' holds NaN; only 'recorded' may. Remove these samples from both."
        raise ValueError(msg)
