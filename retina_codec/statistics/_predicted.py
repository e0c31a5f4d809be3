"""What explains how a number changes from moment to moment, on moments held out."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from sklearn.base import RegressorMixin, clone
from sklearn.ensemble import ExtraTreesRegressor

from ._blocks import N_BLOCKS, block_draws, block_numbers, time_blocks

N_FOLDS = 5
N_BOOTSTRAPS = 500
INTERVAL = 2.5, 97.5
FEWEST_SAMPLES = 60


def trees(seed: int = 0) -> ExtraTreesRegressor:
    """Return the default model: averaged random trees, which follow any smooth relation.

    References
    ----------
    Geurts, Ernst & Wehenkel (2006), Machine Learning 63:3-42.
    """
    return ExtraTreesRegressor(n_estimators=50, min_samples_leaf=5, random_state=seed)


def explained_by(
    features: pd.DataFrame,
    predictors: Mapping[str, Float[np.ndarray, "sample column"]],
    *,
    model: RegressorMixin | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Predict each feature of the moments from each set of predictors, on blocks held out.

    Parameters
    ----------
    features
        One row for each sample, in order of time; one column for each feature. Samples in which a
        feature is NaN do not count for it.
    predictors
        For each set of predictors its columns, of the same samples.
    model
        Any scikit-learn regressor; `trees` by default.
    seed
        Of the default model and the bootstrap.

    Returns
    -------
    One row for each feature and set: `feature`, `predictor`, `r2` on samples held out (may be below
    0), its 95 % interval `low` to `high` (bootstrap over 20 blocks of time), and `n` samples.
    Features with fewer than 60 samples, or that do not vary, are left out.

    Raises
    ------
    ValueError
        If the lengths differ.

    Notes
    -----
    r2 = 1 - sum of squared errors / sum of squared distances from the mean of the fitted samples.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, noise = rng.normal(size=(2, 400, 1))
    >>> table = explained_by(pd.DataFrame({"y": x[:, 0]}), {"itself": x, "noise": noise})
    >>> (table["r2"] > 0.5).tolist()
    [True, False]
    """
    wrong = [name for name, values in predictors.items() if len(values) != len(features)]
    if wrong:
        msg = (
            f"The features have {len(features)} samples, the predictors {wrong[0]!r} "
            f"{len(predictors[wrong[0]])}. Give both of the same samples."
        )
        raise ValueError(msg)
    rng, rows = np.random.default_rng(seed), []
    for feature in features:
        values = features[feature].to_numpy(dtype=float)
        seen = np.isfinite(values)
        if seen.sum() < FEWEST_SAMPLES or np.ptp(values[seen]) == 0:
            continue
        for name, columns in predictors.items():
            errors = _errors(columns[seen], values[seen], model or trees(seed))
            low, high = _interval(*errors, rng)
            r2 = 1 - errors[0].sum() / errors[1].sum()
            rows.append((feature, name, float(r2), low, high, int(seen.sum())))
    return pd.DataFrame(rows, columns=["feature", "predictor", "r2", "low", "high", "n"])


def _errors(columns, values, model):
    """Squared errors of the model and of the mean, on samples held out."""
    own, of_mean = np.empty(len(values)), np.empty(len(values))
    for fold in range(N_FOLDS):
        out: Bool[np.ndarray, " sample"] = time_blocks(
            len(values), n_blocks=N_BLOCKS, held_out_every=N_FOLDS, fold=fold
        )
        fitted = clone(model).fit(columns[~out], values[~out])
        own[out] = (values[out] - fitted.predict(columns[out])) ** 2
        of_mean[out] = (values[out] - values[~out].mean()) ** 2
    return own, of_mean


def _interval(own, of_mean, rng) -> tuple[float, float]:
    block = block_numbers(len(own))
    sums = np.stack([np.bincount(block, weights=errors) for errors in (own, of_mean)], axis=1)
    drawn = block_draws(N_BLOCKS, N_BOOTSTRAPS, rng) @ sums
    low, high = np.percentile(1 - drawn[:, 0] / drawn[:, 1], INTERVAL)
    return float(low), float(high)
