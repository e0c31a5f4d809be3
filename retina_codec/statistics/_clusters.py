"""Clusters of cells: points, methods, and how well clusters are separated."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.metrics import silhouette_score

from ._correlation import ROUNDING

MOST_CLUSTERS = 8
MIN_CELLS = 3
N_STARTS = 10

Method = Callable[[Float[np.ndarray, "cell axis"], int, int], Int[np.ndarray, " cell"]]
"""From points, a number of clusters and a seed to the cluster of each point."""

Points = Callable[[Float[np.ndarray, "cell mode"]], Float[np.ndarray, "cell axis"]]
"""From correlations of cells with modes to the points that are clustered."""


def z_scored(correlations: Float[np.ndarray, "cell mode"]) -> Float[np.ndarray, "cell mode"]:
    """Points to cluster, as published: correlations with mean 0 and spread 1 across cells.

    NaN counts as 0; modes that go with all cells alike stay at 0.

    Parameters
    ----------
    correlations
        Of the rate of each cell with the loading of each mode.

    Returns
    -------
    Points, one for each cell.

    Examples
    --------
    >>> z_scored(np.array([[0.2, 0.5], [0.4, 0.5]]))
    array([[-1.,  0.],
           [ 1.,  0.]])
    """
    r = np.nan_to_num(np.asarray(correlations, dtype=float))
    spread = r.std(axis=0)
    varies = spread > ROUNDING
    return np.where(varies, r - r.mean(axis=0), 0.0) / np.where(varies, spread, 1.0)


def directions(correlations: Float[np.ndarray, "cell mode"]) -> Float[np.ndarray, "cell mode"]:
    """Points to cluster: `z_scored`, each cell scaled to length 1.

    Only which modes a cell goes with counts, not how closely: cells that are noisy, or seen
    through a smaller part of the stimulus, go with all modes less.

    Parameters
    ----------
    correlations
        As for `z_scored`.

    Returns
    -------
    Points on a sphere, one for each cell; 0 for a cell that is like the mean of all.

    Examples
    --------
    >>> directions(np.array([[0.2, 0.3], [0.4, 0.9]])).round(2)
    array([[-0.71, -0.71],
           [ 0.71,  0.71]])
    """
    z = z_scored(correlations)
    norm = np.linalg.norm(z, axis=1, keepdims=True)
    return z / np.where(norm > ROUNDING, norm, 1.0)


def k_means(
    points: Float[np.ndarray, "cell axis"], k: int, seed: int = 0
) -> Int[np.ndarray, " cell"]:
    """Put points into k clusters around means; the best of 10 starts.

    Parameters
    ----------
    points
        One for each cell, such as `z_scored` makes.
    k
        Number of clusters.
    seed
        Of the starts.

    Returns
    -------
    Cluster of each point, from 0.

    References
    ----------
    Lloyd (1982), IEEE Transactions on Information Theory 28:129-137.

    Examples
    --------
    >>> labels = k_means(np.array([[0.0], [0.1], [5.0]]), 2)
    >>> bool(labels[0] == labels[1]), bool(labels[0] == labels[2])
    (True, False)
    """
    return KMeans(k, n_init=N_STARTS, random_state=seed).fit_predict(points).astype(int)


def agglomerative(
    points: Float[np.ndarray, "cell axis"], k: int, seed: int = 0
) -> Int[np.ndarray, " cell"]:
    """Merge points by Ward's criterion until k clusters are left; nothing is drawn.

    Parameters
    ----------
    points
        One for each cell, such as `z_scored` makes.
    k
        Number of clusters.
    seed
        Not used: it is there so that the method can stand in for `k_means`.

    Returns
    -------
    Cluster of each point, from 0.

    References
    ----------
    Ward (1963), Journal of the American Statistical Association 58:236-244.

    Examples
    --------
    >>> agglomerative(np.array([[0.0], [0.1], [5.0]]), 2).tolist()
    [0, 0, 1]
    """
    return AgglomerativeClustering(k, linkage="ward").fit_predict(points).astype(int)


def clusterings(
    points: Float[np.ndarray, "cell axis"],
    *,
    method: Method = k_means,
    most: int = MOST_CLUSTERS,
    seed: int = 0,
) -> Int[np.ndarray, "k cell"]:
    """Cluster of each cell for k = 1, 2, ... clusters.

    At most `most`, and fewer than there are cells; a single one if there are fewer than 3 cells or
    if all are alike.

    Parameters
    ----------
    points
        One for each cell.
    method
        `k_means`, `agglomerative` or a function like them.
    most
        Largest number of clusters.
    seed
        Of the method.

    Returns
    -------
    One row for each number of clusters, from 1.

    Examples
    --------
    >>> clusterings(np.array([[0.0], [0.1], [5.0]]), method=agglomerative).tolist()
    [[0, 0, 0], [0, 0, 1]]
    """
    most = min(most, len(points) - 1, len(np.unique(points, axis=0)))
    most = max(most, 1) if len(points) >= MIN_CELLS else 1
    one = np.zeros(len(points), dtype=int)
    return np.stack([one, *(method(points, k, seed) for k in range(2, most + 1))])


def silhouette(points: Float[np.ndarray, "cell axis"], labels: Int[np.ndarray, " cell"]) -> float:
    """How well clusters are separated, -1 to 1; 0 for a single cluster.

    Parameters
    ----------
    points
        That were clustered.
    labels
        Cluster of each.

    Returns
    -------
    Mean over points.

    Notes
    -----
    For a point with mean distance a to the others of its cluster and b to those of the nearest
    other cluster, the silhouette is (b - a) / max(a, b).

    References
    ----------
    Rousseeuw (1987), Journal of Computational and Applied Mathematics 20:53-65.

    Examples
    --------
    >>> round(silhouette(np.array([[0.0], [0.1], [5.0], [5.1]]), np.array([0, 0, 1, 1])), 2)
    0.98
    """
    n_clusters = len(np.unique(labels))
    return float(silhouette_score(points, labels)) if 1 < n_clusters < len(points) else 0.0
