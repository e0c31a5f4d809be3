"""Which cells go with which modes."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from retina_codec.datatypes import Modes

from ._correlation import ROUNDING, pearson

MOST_CLUSTERS = 8
MIN_CELLS = 3
N_STARTS = 10


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


def _k_means(z, k, seed):
    labels = KMeans(k, n_init=N_STARTS, random_state=seed).fit_predict(z).astype(int)
    return labels, float(silhouette_score(z, labels))
