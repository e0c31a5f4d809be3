"""How well predicted changes agree with measured ones, with an interval and beside controls."""

import numpy as np

N_BLOCKS = 10
N_BOOTSTRAPS = 200
INTERVAL = 2.5, 97.5


def compared(predicted, measured, whole, size, rng) -> dict[str, float]:
    """Compare a prediction "sample place" with measured changes of the mode and of its controls."""
    r = [_correlation(predicted, one) for one in measured]
    low, high = _interval(predicted, measured[0], rng)
    beyond = [np.nan] * len(measured)
    if whole is not None:
        left = _without(predicted, whole)
        beyond = [_correlation(left, _without(one, whole)) for one in measured]
    power = float((predicted**2).sum())
    slope = float((predicted * measured[0]).sum()) / power if power > 0 else np.nan
    changes = [np.nan if size is None or not size else float(one.sum() / size) for one in measured]
    return {
        "r": r[0],
        "low": low,
        "high": high,
        "r_beyond": beyond[0],
        "slope": slope,
        "change": changes[0],
        "control_r": _mean(r[1:]),
        "control_r_beyond": _mean(beyond[1:]),
        "control_change": _mean(changes[1:]),
    }


def _mean(values) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else np.nan


def _without(changes, whole):
    """Take the best multiple of the whole away from each row."""
    power = (whole**2).sum(axis=1, keepdims=True)
    factor = np.divide(
        (changes * whole).sum(axis=1, keepdims=True),
        power,
        out=np.zeros_like(power),
        where=power > 0,
    )
    return changes - factor * whole


def _moments_of(a, b):
    """For each row: number, sums, squares and product, from which correlations are made."""
    n = np.full(len(a), a.shape[1], dtype=float)
    return np.stack([n, a.sum(1), b.sum(1), (a * a).sum(1), (b * b).sum(1), (a * b).sum(1)], axis=1)


def _from_moments(sums):
    n, a, b, aa, bb, ab = np.moveaxis(sums, -1, 0)
    power = (aa - a * a / n) * (bb - b * b / n)
    covariance = ab - a * b / n
    ok = power > 1e-20 * np.maximum(aa * bb, np.finfo(float).tiny)
    return np.where(ok, covariance / np.sqrt(np.where(ok, power, 1.0)), np.nan)


def _correlation(a, b) -> float:
    return float(_from_moments(_moments_of(a.astype(float), b.astype(float)).sum(axis=0)))


def _interval(a, b, rng) -> tuple[float, float]:
    """95 % interval of the correlation: blocks of rows, which follow each other, drawn again."""
    moments = _moments_of(a.astype(float), b.astype(float))
    blocks = np.array([p.sum(axis=0) for p in np.array_split(moments, min(N_BLOCKS, len(a)))])
    drawn = blocks[rng.integers(len(blocks), size=(N_BOOTSTRAPS, len(blocks)))].sum(axis=1)
    r = _from_moments(drawn)
    return tuple(np.nanpercentile(r, INTERVAL)) if np.isfinite(r).any() else (np.nan, np.nan)
