"""Types of cells by the modes they go with: how many there are, and what chance would give."""

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from sklearn.metrics import adjusted_rand_score

from retina_codec.datatypes import CellTypes, Modes

from ._blocks import resampled_blocks
from ._clusters import (
    MOST_CLUSTERS,
    Method,
    Points,
    clusterings,
    k_means,
    silhouette,
    z_scored,
)
from ._correlation import ROUNDING, Null, check_draws, circular_shift, pearson

STABLE = 0.7
INTERVAL = 2.5, 97.5


def cell_types(
    rates: Float[np.ndarray, "sample cell"],
    modes: Modes,
    *,
    points: Points = z_scored,
    method: Method = k_means,
    most: int = MOST_CLUSTERS,
    n_bootstraps: int = 50,
    n_references: int = 50,
    n_nulls: int = 50,
    null: Null = circular_shift,
    seed: int = 0,
) -> CellTypes:
    """Group cells by the modes they go with, say how many groups there are, and test them.

    Parameters
    ----------
    rates
        Recorded or predicted, of the samples that the modes were found on; may hold NaN.
    modes
        With their loadings.
    points
        What is made of the correlations of cells with modes before they are grouped: `z_scored` (as
        published), `directions`, or a function like them.
    method
        `k_means`, `agglomerative`, or a function like them.
    most
        Largest number of clusters; always fewer than cells.
    n_bootstraps
        How often the clustering is repeated with blocks of time drawn again.
    n_references
        Sets of points without clusters that the gap statistic compares with.
    n_nulls
        How often the loadings are shifted.
    null
        Order of samples that is drawn for each loading by itself.
    seed
        Of everything that is drawn.

    Returns
    -------
    Clusters at each number of clusters and at the one chosen, the criteria, and two comparisons:
    clusters of loadings shifted in time, and of cells by the correlation of their rates.

    Raises
    ------
    ValueError
        If rates and loadings differ in length, or there are no draws.

    Notes
    -----
    Rules for the number of clusters (`choices`):

    silhouette
        The largest, of 2 clusters and more (as published; it never says that there is only one).
    gap
        The smallest with Gap(k) >= max Gap - its error.
    first gap
        The smallest with Gap(k) >= Gap(k + 1) - error(k + 1), as Tibshirani et al. have it. It says
        1 where several clusters are equally far apart, since cutting them into two explains little.
    stability
        The largest with a mean adjusted Rand index of at least 0.7.
    chosen
        That of the silhouette if its Gap is above Gap(1) by more than its error and it is stable
        (0.7), otherwise 1.

    The silhouette alone finds 2 to 8 clusters also in 16 simulated cells of one type: groups of
    cells whose fields lie near each other. Those change with the part of the movie: in none of 20
    recordings of 16 such retinas was the stability 0.7. (The limit was set on 12 of them.) "gap"
    splits groups of a few cells, and "first gap" rarely makes any.

    How long the recording is matters most. In simulated retinas with 4 types of 4 cells, natural
    scenes at 100 Hz and target surprisal, 4 clusters of 16,000 samples were the true types in all
    of 6 (adjusted Rand index 1; by responses 0.3 to 0.6), and 4 were chosen in 5 of them. With
    4,000 samples the index was 0.8 or 1 in all of 12, but 4 were chosen in 5 only (3 or 5 in 5, and
    1 in 2). With the target population sum it is lower. Where contributions to each cell are at
    hand, `channel_profiles` separate types with less data.

    Gap(k) = mean log W*(k) - log W(k), where W is the sum of squares within clusters and * means
    points spread evenly over a box along the principal axes; its error is the standard deviation of
    log W* times sqrt(1 + 1 / n_references).

    Cells whose responses resemble each other go with any series alike, shifted or not: the
    silhouette of shifted loadings is far above 0. A partial correlation without the mean rate of
    all cells, or regression on all loadings at once, found the types of simulated circuits less
    well.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557, figure 8C.
    Tibshirani, Walther & Hastie (2001), Journal of the Royal Statistical Society B 63:411-423.
    Maechler et al., R package cluster, `clusGap`: the rule "globalSEmax".
    Hennig (2007), Computational Statistics & Data Analysis 52:258-271 (stability).

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=3, n_samples=1000)
    >>> noise = np.random.default_rng(0).normal(size=(1000, 12))
    >>> rates = np.repeat(modes.loadings, 4, axis=1) + 0.3 * noise
    >>> found = cell_types(rates, modes, most=5, n_bootstraps=5, n_references=9, n_nulls=5)
    >>> found.choices["chosen"], agreement_with_types(found.labels, [0] * 4 + [1] * 4 + [2] * 4)
    (3, 1.0)
    """
    for n_draws in (n_bootstraps, n_references, n_nulls):
        check_draws(n_draws)
    loadings, rates = np.asarray(modes.loadings, dtype=float), np.asarray(rates, dtype=float)
    rng = np.random.default_rng(seed)
    how = {"method": method, "most": most, "seed": seed}
    r = pearson(loadings, rates).T
    of_modes = points(r)
    labels = clusterings(of_modes, **how)
    criteria = criteria_of(of_modes, labels, n_references, how, rng)
    again = [_resampled(loadings, rates, points, how, rng) for _ in range(n_bootstraps)]
    criteria["stability"] = stability_of(labels, again)
    shifted = [_shifted(loadings, rates, points, null, how, rng) for _ in range(n_nulls)]
    of_responses = points(_response_correlations(rates))
    by_responses = clusterings(of_responses, **how)
    criteria["response_silhouette"] = _as_many(silhouettes_of(of_responses, by_responses), labels)
    choices = choices_of(criteria)
    return CellTypes(
        correlations=r,
        labels=labels[choices["chosen"] - 1],
        candidates=labels,
        criteria=criteria,
        choices=choices,
        null_silhouette=np.stack([_as_many(found, labels) for found, _ in shifted]),
        null_labels=np.stack([each for _, each in shifted]),
        response_labels=_best(of_responses, by_responses),
        layer=modes.layer,
        target=modes.target,
        method=getattr(method, "__name__", type(method).__name__),
        points=getattr(points, "__name__", type(points).__name__),
    )


def agreement_with_types(labels: Collection[Any], truth: Collection[Any]) -> float:
    """Return the adjusted Rand index of clusters and types: 1 for the same, 0 by chance.

    Parameters
    ----------
    labels
        Cluster of each cell; how they are named makes no difference.
    truth
        Type of each cell.

    Returns
    -------
    Below 0 where they agree less than by chance.

    References
    ----------
    Hubert & Arabie (1985), Journal of Classification 2:193-218.

    Examples
    --------
    >>> agreement_with_types([0, 0, 1], ["ON", "ON", "OFF"])
    1.0
    """
    return float(adjusted_rand_score(np.asarray(truth), np.asarray(labels)))


def type_recovery(found: CellTypes, truth: Collection[Any]) -> pd.DataFrame:
    """Say how well clusters agree with known types, beside clusters without modes and by chance.

    Parameters
    ----------
    found
        Clusters.
    truth
        Type of each cell.

    Returns
    -------
    One row for each way to cluster, `by`: "modes" (as chosen), "modes, k known" (with as many
    clusters as there are types), "responses", "shifted loadings" (mean); `n_clusters`, `agreement`
    (adjusted Rand index), and for shifted loadings the 95 % interval `low` to `high`. `p` of the
    first two is the share of shifted loadings that agree as well, (1 + such) / (1 + draws).

    Raises
    ------
    ValueError
        If `truth` does not have one type for each cell.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=3, n_samples=1000)
    >>> noise = np.random.default_rng(0).normal(size=(1000, 12))
    >>> rates = np.repeat(modes.loadings, 4, axis=1) + 0.3 * noise
    >>> found = cell_types(rates, modes, most=4, n_bootstraps=2, n_references=5, n_nulls=4)
    >>> table = type_recovery(found, ["OFF fast"] * 4 + ["OFF slow"] * 4 + ["ON"] * 4)
    >>> table[["by", "agreement"]].head(2)
                   by  agreement
    0           modes        1.0
    1  modes, k known        1.0
    """
    n_cells = len(found.labels)
    if len(truth) != n_cells:
        msg = f"'truth' must have one type for each of {n_cells} cells, got {len(truth)}."
        raise ValueError(msg)
    known = np.asarray(found.candidates)[min(len(set(truth)), len(found.candidates)) - 1]
    by_chance = [agreement_with_types(labels, truth) for labels in found.null_labels]
    ways = {"modes": found.labels, "modes, k known": known, "responses": found.response_labels}
    table = pd.DataFrame(
        [
            {"by": by, "n_clusters": len(set(each)), "agreement": agreement_with_types(each, truth)}
            for by, each in ((by, np.asarray(labels).tolist()) for by, labels in ways.items())
        ]
    )
    reached = [sum(c >= a - ROUNDING for c in by_chance) for a in table["agreement"][:2]]
    table["p"] = [*((1 + n) / (1 + len(by_chance)) for n in reached), np.nan]
    low, high = np.percentile(by_chance, INTERVAL)
    shifted = {"by": "shifted loadings", "agreement": np.mean(by_chance), "low": low, "high": high}
    return pd.concat([table, pd.DataFrame([shifted])], ignore_index=True)


def gap_statistic(
    points: Float[np.ndarray, "cell axis"],
    labels: Int[np.ndarray, "k cell"],
    *,
    method: Method = k_means,
    n_references: int = 50,
    seed: int = 0,
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """How much closer together points lie in their clusters than evenly spread points would.

    Parameters
    ----------
    points
        That were clustered.
    labels
        Clusters for k = 1, 2, ...
    method
        How they were found.
    n_references
        Sets of evenly spread points.
    seed
        Of those, and of the method.

    Returns
    -------
    gap
        See the notes of `cell_types`.
    error
        Its standard error.

    References
    ----------
    Tibshirani, Walther & Hastie (2001), Journal of the Royal Statistical Society B 63:411-423.

    Examples
    --------
    >>> points = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
    >>> labels = clusterings(points, most=2)
    >>> gap, error = gap_statistic(points, labels, n_references=20)
    >>> bool(gap[1] - error[1] > gap[0])
    True
    """
    rng = np.random.default_rng(seed)
    how = {"method": method, "most": len(labels), "seed": seed}
    references = [_evenly_spread(points, rng) for _ in range(n_references)]
    spread = np.stack(
        [_as_many(_log_within(each, clusterings(each, **how)), labels) for each in references]
    )
    error = np.nanstd(spread, axis=0) * np.sqrt(1 + 1 / n_references)
    return np.nanmean(spread, axis=0) - _log_within(points, labels), error


def criteria_of(points, labels, n_references, how, rng) -> pd.DataFrame:
    """Return silhouette and gap statistic at each number of clusters."""
    seed = int(rng.integers(2**31))
    gap, error = gap_statistic(
        points, labels, method=how["method"], n_references=n_references, seed=seed
    )
    table = {
        "n_clusters": np.arange(1, len(labels) + 1),
        "silhouette": silhouettes_of(points, labels),
    }
    return pd.DataFrame({**table, "gap": gap, "gap_error": error})


def choices_of(criteria: pd.DataFrame) -> dict[str, int]:
    """Return the number of clusters by each rule."""
    gap, error = (criteria[name].to_numpy() for name in ("gap", "gap_error"))
    stable = np.flatnonzero(criteria["stability"].to_numpy() >= STABLE)
    enough = gap >= gap.max() - error[gap.argmax()]
    no_better_next = np.append(gap[:-1] >= gap[1:] - error[1:], True)
    separated = int(np.argmax(np.nan_to_num(criteria["silhouette"], nan=-1.0))) + 1
    clustered = gap[separated - 1] - error[separated - 1] > gap[0] and separated - 1 in stable
    return {
        "silhouette": separated,
        "gap": int(np.argmax(enough)) + 1,
        "first gap": int(np.argmax(no_better_next)) + 1,
        "stability": int(stable.max(initial=0)) + 1,
        "chosen": separated if clustered else 1,
    }


def _resampled(loadings, rates, points, how, rng) -> Int[np.ndarray, "k cell"]:
    drawn = resampled_blocks(len(loadings), rng)
    return clusterings(points(pearson(loadings[drawn], rates[drawn]).T), **how)


def stability_of(labels, again) -> Float[np.ndarray, " k"]:
    """Mean agreement at each number of clusters; NaN for one cluster, and where none was found."""
    table = np.full((len(again), len(labels)), np.nan)
    for row, other in zip(table, again, strict=True):
        for k in range(1, min(len(labels), len(other))):
            row[k] = adjusted_rand_score(labels[k], other[k])
    found = ~np.isnan(table)
    total = np.where(found, table, 0).sum(axis=0)
    return np.where(found.any(axis=0), total / np.maximum(found.sum(axis=0), 1), np.nan)


def _shifted(loadings, rates, points, null, how, rng):
    """Silhouettes and best labels, each loading in an order of its own."""
    orders = [null(len(loadings), rng) for _ in range(loadings.shape[1])]
    shuffled = np.stack([x[order] for x, order in zip(loadings.T, orders, strict=True)], axis=1)
    made = points(pearson(shuffled, rates).T)
    labels = clusterings(made, **how)
    return silhouettes_of(made, labels), _best(made, labels)


def _response_correlations(rates) -> Float[np.ndarray, "cell cell"]:
    """Pearson's r of cells over the samples in which both were observed; 0 where there is none."""
    return np.nan_to_num(pd.DataFrame(rates).corr().to_numpy())


def silhouettes_of(points, labels) -> Float[np.ndarray, " k"]:
    """Return the silhouette at each number of clusters; NaN for one."""
    return np.array([np.nan, *(silhouette(points, each) for each in labels[1:])])


def _best(points, labels) -> Int[np.ndarray, " cell"]:
    return labels[int(np.argmax(np.nan_to_num(silhouettes_of(points, labels), nan=-1.0)))]


def _as_many(values, labels) -> Float[np.ndarray, " k"]:
    """Bring to the length of `labels`, with NaN where fewer clusters could be made."""
    found = np.full(len(labels), np.nan)
    found[: len(values)] = values[: len(labels)]
    return found


def _log_within(points, labels) -> Float[np.ndarray, " k"]:
    within = np.array([_within(points, each) for each in labels])
    return np.log(np.maximum(within, ROUNDING))


def _within(points, labels) -> float:
    parts = (points[labels == cluster] for cluster in np.unique(labels))
    return float(sum(np.sum((part - part.mean(axis=0)) ** 2) for part in parts))


def _evenly_spread(points, rng) -> Float[np.ndarray, "cell axis"]:
    centred = points - points.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    along = centred @ axes.T
    return rng.uniform(along.min(axis=0), along.max(axis=0), along.shape) @ axes
