"""Which cells go with which modes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from retina_codec.datatypes import Contributions, Modes

from ._clusters import Method, clusterings, k_means, silhouette, z_scored
from ._correlation import pearson


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

    Raises
    ------
    ValueError
        If rates and loadings differ in length.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557, figure 8C.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=2, n_samples=300)
    >>> noise = np.random.default_rng(0).normal(size=(300, 4))
    >>> rates = modes.loadings[:, [0, 0, 1, 1]] + 0.3 * noise  # two cells go with each mode
    >>> table = mode_cells(rates, modes)
    >>> table.columns.tolist(), (table["mode 0"] > 0.5).tolist()
    (['cell', 'cluster', 'mode 0', 'mode 1'], [True, True, False, False])
    """
    r = np.nan_to_num(pearson(np.asarray(modes.loadings), np.asarray(rates)).T)
    clusters, _ = cell_clusters(r, seed=seed)
    table = pd.DataFrame(r, columns=[f"mode {mode}" for mode in range(r.shape[1])])
    table.insert(0, "cluster", clusters)
    table.insert(0, "cell", np.arange(len(r)))
    return table


def channel_profiles(of_cells: Sequence[Contributions]) -> Float[np.ndarray, "cell feature"]:
    """Return what each cell is made of: the share of each feature in all contributions to it.

    Points for `cell_clusters` that do not depend on where the field of a cell lies, as correlations
    with modes do, because modes are summed over space and the same for all cells.

    Parameters
    ----------
    of_cells
        Pooled contributions of one layer, one record for each cell (target `one_cell`).

    Returns
    -------
    Mean |contribution| of each feature, divided by the sum over features; 0 for a silent cell.

    Raises
    ------
    ValueError
        If the records have different features or are not pooled.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> record, _ = planted_contributions(n_features=6, n_samples=100)
    >>> channel_profiles([record, record]).sum(axis=1).round(6)
    array([1., 1.])
    """
    features = {(tuple(record.channel), tuple(record.sign)) for record in of_cells}
    if len(features) != 1 or any(np.ndim(record.values) != 2 for record in of_cells):
        msg = (
            "'of_cells' must hold pooled contributions with axes (sample, feature) and the same "
            f"features for all cells, got {len(features)} sets of features."
        )
        raise ValueError(msg)
    size = np.stack([np.abs(np.asarray(record.values)).mean(axis=0) for record in of_cells])
    total = size.sum(axis=1, keepdims=True)
    return size / np.where(total > 0, total, 1.0)


def cell_clusters(
    correlations: Float[np.ndarray, "cell mode"], *, method: Method = k_means, seed: int = 0
) -> tuple[Int[np.ndarray, " cell"], float]:
    """Group the cells that go with the same modes.

    Parameters
    ----------
    correlations
        Of the rate of each cell with the loading of each mode; NaN counts as 0.
    method
        `k_means`, `agglomerative` or a function like them.
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
    A silhouette is also found in noise: compare it with that of shuffled data, as `cell_types`
    does.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557, figure 8C.

    Examples
    --------
    >>> cell_clusters(np.array([[0.9, 0.0], [0.8, 0.0], [0.0, 0.9], [0.1, 0.9]]))[0].tolist()
    [1, 1, 0, 0]
    """
    z = z_scored(correlations)
    labels = clusterings(z, method=method, seed=seed)
    silhouettes = [silhouette(z, each) for each in labels]
    best = max(range(len(labels)), key=lambda i: (i > 0, silhouettes[i]))
    return labels[best], silhouettes[best]
