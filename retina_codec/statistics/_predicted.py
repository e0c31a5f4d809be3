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

    Parameters
    ----------
    seed
        Of the trees.

    Returns
    -------
    A scikit-learn regressor that is not fitted yet.

    References
    ----------
    Geurts, Ernst & Wehenkel (2006), Machine Learning 63:3-42.

    Examples
    --------
    >>> model = trees().fit([[0.0], [1.0]] * 20, [2.0, 6.0] * 20)
    >>> model.predict([[1.0]]).round(6).tolist()
    [6.0]
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
        One row for each sample, in order of time; one column for each feature. Samples in which any
        is NaN do not count. One model predicts all features.
    predictors
        For each set of predictors its columns, of the same samples.
    model
        Any scikit-learn regressor of several outputs; `trees` by default.
    seed
        Of the default model and the bootstrap.

    Returns
    -------
    One row for each feature and set: `feature`, `predictor`, `r2` on samples held out (may be below
    0), its 95 % interval `low` to `high` (bootstrap over 20 blocks of time), and `n` samples.
    Features that do not vary are left out; with fewer than 60 samples there are none.

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
    seen = np.isfinite(features.to_numpy(dtype=float)).all(axis=1)
    vary = features.loc[:, features[seen].std() > 0]
    if seen.sum() >= FEWEST_SAMPLES and vary.shape[1]:
        values = vary[seen].to_numpy(dtype=float)
        for name, columns in predictors.items():
            own, of_mean = _errors(columns[seen], values, model or trees(seed))
            for i, feature in enumerate(vary):
                low, high = _interval(own[:, i], of_mean[:, i], rng)
                r2 = 1 - own[:, i].sum() / of_mean[:, i].sum()
                rows.append((feature, name, float(r2), low, high, int(seen.sum())))
    return pd.DataFrame(rows, columns=["feature", "predictor", "r2", "low", "high", "n"])


def _errors(columns, values, model):
    """Squared errors of the model and of the mean, on samples held out, "sample feature"."""
    own, of_mean = np.empty(values.shape), np.empty(values.shape)
    spread = values.std(axis=0)
    for fold in range(N_FOLDS):
        out: Bool[np.ndarray, " sample"] = time_blocks(
            len(values), n_blocks=N_BLOCKS, held_out_every=N_FOLDS, fold=fold
        )
        scaled = values[~out] / spread
        fitted = clone(model).fit(columns[~out], scaled if scaled.shape[1] > 1 else scaled[:, 0])
        predicted = fitted.predict(columns[out]).reshape(-1, values.shape[1]) * spread
        own[out] = (values[out] - predicted) ** 2
        of_mean[out] = (values[out] - values[~out].mean(axis=0)) ** 2
    return own, of_mean


def _interval(own, of_mean, rng) -> tuple[float, float]:
    block = block_numbers(len(own))
    sums = np.stack([np.bincount(block, weights=errors) for errors in (own, of_mean)], axis=1)
    drawn = block_draws(N_BLOCKS, N_BOOTSTRAPS, rng) @ sums
    low, high = np.percentile(1 - drawn[:, 0] / drawn[:, 1], INTERVAL)
    return float(low), float(high)
