"""Numbers that describe contributions and modes: sparsity, dimensionality, balance, correlation."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from retina_codec.datatypes import Contributions, Modes

MOST_CLUSTERS = 8
MIN_CELLS = 3
N_STARTS = 10
ROUNDING = 1e-12


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


def r2(
    values: Float[np.ndarray, "sample feature"],
    reconstruction: Float[np.ndarray, "sample feature"],
    *,
    means: Float[np.ndarray, " feature"],
) -> float:
    """Share of the variance around the mean of each feature that a reconstruction explains.

    Parameters
    ----------
    values, reconstruction
        What was to be explained, and the explanation.
    means
        Mean of each feature over the data that were fitted, so that knowing the mean alone earns
        nothing.

    Returns
    -------
    One number, at most 1; negative where the means would have done better; 0 for data that do not
    vary around the means.

    Notes
    -----
    R2 = 1 - sum (values - reconstruction)^2 / sum (values - means)^2, both over all samples and
    features.

    Examples
    --------
    >>> values = np.array([[0.0, 1.0], [2.0, 1.0]])
    >>> r2(values, values, means=values.mean(axis=0))
    1.0
    """
    variance = np.sum((values - means) ** 2, dtype=float)
    residual = np.sum((values - reconstruction) ** 2, dtype=float)
    return float(1 - residual / variance) if variance > 0 else 0.0


def hoyer_sparsity(
    values: Float[np.ndarray, "sample feature"],
) -> Float[np.ndarray, " sample"]:
    """How few features carry each sample: 0 if all carry the same, 1 if one carries everything.

    Parameters
    ----------
    values
        Contributions, loadings or a dictionary. A sample of zeros only has sparsity 0.

    Notes
    -----
    H = (sqrt(d) - sum |x| / sqrt(sum x^2)) / (sqrt(d) - 1) for d features. Gaussian noise has
    about 0.21; an offset lowers it.

    Raises
    ------
    ValueError
        If there is only one feature.

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

    Examples
    --------
    >>> n_components(np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]))
    1
    """
    if not 0 < share <= 1:
        msg = f"'share' must be above 0 and at most 1, got {share}."
        raise ValueError(msg)
    centred = values - values.mean(axis=0, dtype=float)
    smaller = centred if centred.shape[0] < centred.shape[1] else centred.T
    variances = np.clip(np.linalg.eigvalsh(smaller @ smaller.T)[::-1], 0, None)
    if variances.sum() <= ROUNDING * np.sum(values**2, dtype=float):
        return 0
    reached = np.cumsum(variances) / variances.sum()
    return int(np.searchsorted(reached, share - ROUNDING) + 1)


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
    Melander et al. (2026), arXiv 2603.06557, figure 3.
    """
    sign, channel = np.asarray(contributions.sign), np.asarray(contributions.channel)
    promotes, suppresses = np.flatnonzero(sign == 1), np.flatnonzero(sign == -1)
    promotes = promotes[np.argsort(channel[promotes])]
    suppresses = suppresses[np.argsort(channel[suppresses])]
    pairs = np.array_equal(channel[promotes], channel[suppresses]) and not (sign == 0).any()
    if not pairs or np.ndim(contributions.values) != 2:
        msg = (
            "Every channel must have a feature with sign +1 and one with sign -1, got signs "
            f"{sorted(set(sign.tolist()))}. Pool the contributions with split signs."
        )
        raise ValueError(msg)
    values = np.asarray(contributions.values, dtype=float)
    return _row_correlation(values[:, promotes], -values[:, suppresses])


def time_blocks(
    n_samples: int, *, n_blocks: int = 20, held_out_every: int = 5
) -> Bool[np.ndarray, " sample"]:
    """Hold out whole blocks of time, because neighbouring frames are almost the same.

    Parameters
    ----------
    n_samples
        Length of the recording in samples.
    n_blocks
        Number of blocks of equal length.
    held_out_every
        The last of every so many blocks is held out.

    Returns
    -------
    True where a sample is held out.

    Raises
    ------
    ValueError
        If there are fewer samples than blocks, or no block would be held out or kept.

    Examples
    --------
    >>> time_blocks(8, n_blocks=4, held_out_every=2)
    array([False, False,  True,  True, False, False,  True,  True])
    """
    if n_samples < n_blocks:
        msg = f"{n_blocks} blocks need at least {n_blocks} samples, got {n_samples}."
        raise ValueError(msg)
    if not 2 <= held_out_every <= n_blocks:
        msg = (
            f"'held_out_every' must be between 2 and the number of blocks ({n_blocks}), "
            f"got {held_out_every}."
        )
        raise ValueError(msg)
    block = np.arange(n_samples) * n_blocks // n_samples
    return block % held_out_every == held_out_every - 1


def cell_clusters(
    correlations: Float[np.ndarray, "cell mode"], *, seed: int = 0
) -> tuple[Int[np.ndarray, " cell"], float]:
    """Group the cells that go with the same modes.

    Parameters
    ----------
    correlations
        Of the rate of each cell with the loading of each mode; NaN counts as 0.
    seed
        Of the k-means starts.

    Returns
    -------
    labels
        Cluster of each cell. All cells are in one cluster if there are fewer than 3, or if all are
        alike.
    silhouette
        How well the clusters are separated, -1 to 1; 0 for a single cluster.

    Notes
    -----
    k-means on correlations z-scored across cells; of k = 2 to 8 the one of largest silhouette.
    A silhouette is also found in noise: compare it with that of shuffled data.

    References
    ----------
    Melander et al. (2026), arXiv 2603.06557, figure 8C.

    Examples
    --------
    >>> cell_clusters(np.array([[0.9, 0.0], [0.8, 0.0], [0.0, 0.9], [0.1, 0.9]]))[0].tolist()
    [1, 1, 0, 0]
    """
    r = np.nan_to_num(np.asarray(correlations, dtype=float))
    spread = r.std(axis=0)
    z = (r - r.mean(axis=0)) / np.where(spread > ROUNDING, spread, 1.0)
    most = min(MOST_CLUSTERS, len(z) - 1, len(np.unique(z, axis=0)))
    best = np.zeros(len(z), dtype=int), 0.0
    if len(z) < MIN_CELLS or most < 2:
        return best
    candidates = [_k_means(z, k, seed) for k in range(2, most + 1)]
    return max(candidates, key=lambda candidate: candidate[1])


def mode_cells(
    rates: Float[np.ndarray, "sample cell"], modes: Modes, *, seed: int = 0
) -> pd.DataFrame:
    """Tell which cells go with which modes, and which cells go with the same.

    Parameters
    ----------
    rates
        Recorded or predicted, of the samples that the modes were found on.
    modes
        With their loadings.
    seed
        Of the clustering.

    Returns
    -------
    One row for each cell: `cell`, `cluster` (see `cell_clusters`), and in "mode 0", "mode 1", ...
    Pearson's r of its rate with each loading.

    References
    ----------
    Melander et al. (2026), arXiv 2603.06557, figure 8C.
    """
    r = np.nan_to_num(pearson(np.asarray(modes.loadings), np.asarray(rates)).T)
    clusters, _ = cell_clusters(r, seed=seed)
    table = pd.DataFrame(r, columns=[f"mode {mode}" for mode in range(r.shape[1])])
    table.insert(0, "cluster", clusters)
    table.insert(0, "cell", np.arange(len(r)))
    return table


def _k_means(z, k, seed):
    labels = KMeans(k, n_init=N_STARTS, random_state=seed).fit_predict(z).astype(int)
    return labels, float(silhouette_score(z, labels))


def _row_correlation(
    a: Float[np.ndarray, "sample channel"], b: Float[np.ndarray, "sample channel"]
) -> Float[np.ndarray, " sample"]:
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    norm = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.where(norm > 0, (a * b).sum(axis=1) / np.where(norm > 0, norm, 1.0), 0.0)
