"""Numbers that describe the contributions of a layer: sparsity, dimensionality, balance."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from retina_codec.datatypes import Contributions

from ._correlation import ROUNDING

MOST_SAMPLES = 5000
INTERVAL = 2.5, 97.5
DIMENSIONS = ("components to 90 %", "components to 95 %", "participation ratio")


def hoyer_sparsity(
    values: Float[np.ndarray, "sample feature"],
) -> Float[np.ndarray, " sample"]:
    """How few features carry each sample: 0 if all carry the same, 1 if one carries everything.

    Parameters
    ----------
    values
        Contributions, loadings or a dictionary. A sample of zeros only has sparsity 0.

    Returns
    -------
    Between 0 and 1.

    Raises
    ------
    ValueError
        If there is only one feature.

    Notes
    -----
    H = (sqrt(d) - sum |x| / sqrt(sum x^2)) / (sqrt(d) - 1) for d features. Gaussian noise has
    about 0.21; an offset lowers it.

    References
    ----------
    Hoyer (2004), Journal of Machine Learning Research 5:1457-1469.

    Examples
    --------
    >>> hoyer_sparsity(np.array([[0.0, 3.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]))
    array([1., 0.])
    """
    n_features = values.shape[1]
    if n_features < 2:
        msg = f"Sparsity needs at least 2 features, got {n_features}."
        raise ValueError(msg)
    norm = np.linalg.norm(values, axis=1)
    silent = norm == 0
    ratio = np.abs(values).sum(axis=1) / np.where(silent, 1.0, norm)
    root = np.sqrt(n_features)
    return np.where(silent, 0.0, (root - ratio) / (root - 1))


def n_components(values: Float[np.ndarray, "sample feature"], share: float = 0.95) -> int:
    """Count the principal components that together reach a share of the variance.

    Parameters
    ----------
    values
        Centred here, not scaled.
    share
        Between 0 and 1.

    Returns
    -------
    0 for data that do not vary.

    Raises
    ------
    ValueError
        If the share is not above 0 and at most 1.

    Examples
    --------
    >>> n_components(np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]))
    1
    """
    if not 0 < share <= 1:
        msg = f"'share' must be above 0 and at most 1, got {share}."
        raise ValueError(msg)
    return _n_of(_principal_variances(values), share)


def participation_ratio(values: Float[np.ndarray, "sample feature"]) -> float:
    """Effective number of dimensions: how many equal components would spread variance like that.

    Parameters
    ----------
    values
        Centred here, not scaled.

    Returns
    -------
    Between 1 and the number of features; 0 for data that do not vary.

    Notes
    -----
    (sum of variances)^2 / sum of squared variances, over principal components.

    References
    ----------
    Gao et al. (2017), bioRxiv 214262.

    Examples
    --------
    >>> round(participation_ratio(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
    2.0
    """
    return _ratio_of(_principal_variances(values))


def excitation_inhibition_correlation(contributions: Contributions) -> Float[np.ndarray, " sample"]:
    """How far channels that promote the target also suppress it, in each sample.

    Parameters
    ----------
    contributions
        Pooled with split signs: every channel has a feature that promotes (+1) and one that
        suppresses (-1).

    Returns
    -------
    Pearson's r over channels between the positive part and the magnitude of the negative part: 1 if
    much excitation goes with much inhibition; 0 where one of them is the same in all channels.

    Raises
    ------
    ValueError
        If the features are not such pairs.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557, figure 3.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_modes=4, n_features=12, n_samples=50)
    >>> r = excitation_inhibition_correlation(contributions)
    >>> r.shape, bool((np.abs(r) <= 1).all())
    ((50,), True)
    """
    promotes, suppresses = _sign_pairs(contributions)
    if not len(promotes) or np.ndim(contributions.values) != 2:
        msg = (
            "Every channel must have a feature with sign +1 and one with sign -1, got signs "
            f"{np.unique(contributions.sign).tolist()}. Pool the contributions with split signs."
        )
        raise ValueError(msg)
    values = np.asarray(contributions.values, dtype=float)
    return row_correlation(values[:, promotes], -values[:, suppresses])


def shuffled_features(
    values: Float[np.ndarray, "sample feature"], rng: np.random.Generator
) -> Float[np.ndarray, "sample feature"]:
    """Control: each feature over samples in an order of its own.

    Keeps what each feature is like; takes away which of them are large together.

    Parameters
    ----------
    values
        Of a layer.
    rng
        Draws the orders.

    Returns
    -------
    The same numbers, in another order in each column.

    Examples
    --------
    >>> values = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    >>> shuffled = shuffled_features(values, np.random.default_rng(0))
    >>> np.sort(shuffled, axis=0).tolist() == values.tolist()
    True
    """
    return rng.permuted(values, axis=0)


def resampled_features(
    values: Float[np.ndarray, "sample feature"], rng: np.random.Generator
) -> Float[np.ndarray, "sample feature"]:
    """Control: Gaussian numbers with the mean and standard deviation of each feature.

    Those of features that never have a sign are cut off at 0, so that sign and offset alone, which
    change how sparse numbers look, are the same.

    Parameters
    ----------
    values
        Of a layer.
    rng
        Draws the numbers.

    Returns
    -------
    As many samples and features.

    Examples
    --------
    >>> values = np.array([[1.0, -3.0], [2.0, -1.0], [3.0, -2.0]])
    >>> drawn = resampled_features(values, np.random.default_rng(0))
    >>> bool((drawn[:, 0] >= 0).all()), bool((drawn[:, 1] <= 0).all())
    (True, True)
    """
    drawn = rng.normal(values.mean(axis=0), values.std(axis=0), values.shape)
    low = np.where((values >= 0).all(axis=0), 0, -np.inf)
    high = np.where((values <= 0).all(axis=0), 0, np.inf)
    return np.clip(drawn, low, high)


def layer_statistics(
    contributions: Mapping[str, Contributions], *, n_controls: int = 20, seed: int = 0
) -> pd.DataFrame:
    """Sparsity, dimensionality and balance of excitation and inhibition in each layer.

    Parameters
    ----------
    contributions
        One record for each layer, pooled; or activations.
    n_controls
        How often each control is drawn.
    seed
        Of the controls, and of the samples where there are more than 5,000: then a random 5,000 are
        taken.

    Returns
    -------
    One row for each layer and `statistic`: its `value`, and the mean `chance` of its control with
    the 95 % interval `low` to `high` of the draws. Features that are 0 in all samples are left out.
    The statistics are

    sparsity
        Median over samples of `hoyer_sparsity`; control `resampled_features`, of samples divided by
        their norm, which sparsity does not depend on.
    components to 90 %, components to 95 %, participation ratio
        See `n_components`, `participation_ratio`; control `shuffled_features`.
    excitation-inhibition correlation
        Median over samples, where features are split by sign; control `shuffled_features`: what
        large channels alone give.

    Raises
    ------
    ValueError
        If a layer is not pooled, or there are no controls.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557, figure 3.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_samples=500)
    >>> table = layer_statistics({"planted": contributions}, n_controls=2)
    >>> table["statistic"].tolist()[:2]
    ['sparsity', 'components to 90 %']
    """
    if n_controls < 1:
        msg = f"'n_controls' must be at least 1, got {n_controls}."
        raise ValueError(msg)
    rows = [
        {"layer": layer, **row}
        for layer, record in contributions.items()
        for row in _statistics_of(record, n_controls, np.random.default_rng(seed))
    ]
    return pd.DataFrame(rows)


def check_pooled(record: Contributions) -> None:
    """Raise an error if there is more than one number for each sample and feature.

    Raises
    ------
    ValueError
        If so.
    """
    if len(record.values.shape) != 2:
        msg = (
            f"Contributions of layer {record.layer!r} must be pooled to axes (sample, feature), "
            f"got ({', '.join(record.axes_of('values'))}). Pool them when they are computed."
        )
        raise ValueError(msg)


def _statistics_of(record: Contributions, n_controls: int, rng: np.random.Generator) -> list[dict]:
    check_pooled(record)
    values = _some_samples(record, rng)
    used, more = values[:, values.any(axis=0)], (n_controls, rng)
    rows = _rows(("sparsity",), _median_sparsity, resampled_features, _unit_samples(used), *more)
    rows += _rows(DIMENSIONS, _dimensions, shuffled_features, used, *more)
    promotes, suppresses = _sign_pairs(record)
    if len(promotes):
        balance = _balance_of(promotes, suppresses)
        rows += _rows(
            ("excitation-inhibition correlation",), balance, shuffled_features, values, *more
        )
    return rows


def _rows(names, statistics, control, values, n_controls, rng) -> list[dict]:
    """Measure statistics that are computed together, also of a control."""
    found = np.atleast_1d(statistics(values))
    draws = np.array([np.atleast_1d(statistics(control(values, rng))) for _ in range(n_controls)])
    low, high = np.percentile(draws, INTERVAL, axis=0)
    columns = zip(names, found, draws.mean(axis=0), low, high, strict=True)
    keys = ("statistic", "value", "chance", "low", "high")
    return [dict(zip(keys, (row[0], *map(float, row[1:])), strict=True)) for row in columns]


def _some_samples(record: Contributions, rng) -> Float[np.ndarray, "sample feature"]:
    values = np.asarray(record.values, dtype=float)
    if len(values) <= MOST_SAMPLES:
        return values
    return values[np.sort(rng.choice(len(values), MOST_SAMPLES, replace=False))]


def _unit_samples(values) -> Float[np.ndarray, "sample feature"]:
    norm = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(norm > 0, norm, 1)


def _median_sparsity(values) -> float:
    return float(np.median(hoyer_sparsity(values))) if values.shape[1] > 1 else np.nan


def _balance_of(promotes, suppresses) -> Callable:
    return lambda x: float(np.median(row_correlation(x[:, promotes], -x[:, suppresses])))


def _sign_pairs(record: Contributions) -> tuple[np.ndarray, np.ndarray]:
    """Features that promote and that suppress, in the same order of channels; none if not pairs."""
    sign, channel = np.asarray(record.sign), np.asarray(record.channel)
    promotes, suppresses = np.flatnonzero(sign == 1), np.flatnonzero(sign == -1)
    promotes = promotes[np.argsort(channel[promotes])]
    suppresses = suppresses[np.argsort(channel[suppresses])]
    pairs = np.array_equal(channel[promotes], channel[suppresses]) and not (sign == 0).any()
    return (promotes, suppresses) if pairs else (promotes[:0], suppresses[:0])


def _dimensions(values) -> tuple[int, int, float]:
    """All statistics of dimensionality, from the same variances."""
    variances = _principal_variances(values)
    return _n_of(variances, 0.9), _n_of(variances, 0.95), _ratio_of(variances)


def _n_of(variances, share: float) -> int:
    if not variances.any():
        return 0
    reached = np.cumsum(variances) / variances.sum()
    return int(np.searchsorted(reached, share - ROUNDING) + 1)


def _ratio_of(variances) -> float:
    return float(variances.sum() ** 2 / np.sum(variances**2)) if variances.any() else 0.0


def _principal_variances(values) -> Float[np.ndarray, " component"]:
    """Return variances of principal components, largest first; 0 for data that do not vary."""
    centred = values - values.mean(axis=0, dtype=float)
    smaller = centred if centred.shape[0] < centred.shape[1] else centred.T
    variances = np.clip(np.linalg.eigvalsh(smaller @ smaller.T)[::-1], 0, None)
    varies = variances.sum() > ROUNDING * np.sum(values**2, dtype=float)
    return variances if varies else np.zeros(len(variances))


def row_correlation(
    a: Float[np.ndarray, "sample channel"], b: Float[np.ndarray, "sample channel"]
) -> Float[np.ndarray, " sample"]:
    """Pearson's r of each row with that of the other; 0 where one does not vary."""
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    norm = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.where(norm > 0, (a * b).sum(axis=1) / np.where(norm > 0, norm, 1.0), 0.0)
