"""Means of contributions over the images of each class, and how many dimensions they span."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from retina_codec.datatypes import Contributions

from ._class_correlations import UNKNOWN, checked_labels
from ._layers import INTERVAL, check_pooled, n_components


def class_means(contributions: Contributions, labels: Int[np.ndarray, " sample"]) -> Contributions:
    """Mean over the images of each class; the samples of the result are the classes.

    Parameters
    ----------
    contributions
        Pooled; or activations.
    labels
        Number of the class of each sample; samples with -1 are left out.

    Returns
    -------
    Contributions of the classes that are there, in their order; `sample` holds their numbers.

    Raises
    ------
    ValueError
        If the contributions are not pooled, labels and samples do not fit, or there are fewer than
        two classes.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_features=4, n_samples=60)
    >>> means = class_means(contributions, np.arange(60) % 3)
    >>> means.values.shape, means.sample.tolist()
    ((3, 4), [0, 1, 2])
    """
    check_pooled(contributions)
    labels = checked_labels(labels, contributions.values.shape[0])
    per_sample = ("target_value", "baseline_value", "gap")
    means = {name: _means(getattr(contributions, name), labels) for name in per_sample}
    return replace(
        contributions,
        values=_means(contributions.values, labels),
        sample=np.unique(labels[labels != UNKNOWN]),
        n_steps=None,
        **means,
    )


def class_dimensionality(
    contributions: Mapping[str, Contributions],
    labels: Int[np.ndarray, " sample"],
    *,
    n_controls: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """How many dimensions the class means of each layer span.

    Parameters
    ----------
    contributions
        One record for each layer, pooled; or activations.
    labels
        Number of the class of each sample; samples with -1 are left out.
    n_controls
        How often labels are drawn in another order.
    seed
        Of the orders.

    Returns
    -------
    One row for each layer: `n_classes`, `n_features` that are not 0 everywhere, `components` to
    95 % of the variance of the class means, and the mean `chance` of the components with labels in
    another order, with the 95 % interval `low` to `high` of the draws; all four also divided by the
    largest number possible, min(n_classes - 1, n_features): `normalised`, `normalised_chance`,
    `normalised_low`, `normalised_high`.

    Raises
    ------
    ValueError
        As `class_means`, or if there are no controls.

    Notes
    -----
    Means of few images are noisy, and noise has dimensions too: `chance` tells how many it has if
    classes have no meaning. A number within its interval says nothing about classes.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557, figure 3.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_features=4, n_samples=60)
    >>> table = class_dimensionality({"planted": contributions}, np.arange(60) % 3, n_controls=5)
    >>> table[["n_classes", "n_features", "components"]].to_numpy().tolist()
    [[3, 4, 1]]
    """
    if n_controls < 1:
        msg = f"'n_controls' must be at least 1, got {n_controls}."
        raise ValueError(msg)
    rows = [
        {"layer": layer, **_dimensionality_of(record, labels, n_controls, seed)}
        for layer, record in contributions.items()
    ]
    return pd.DataFrame(rows)


def _dimensionality_of(record: Contributions, labels, n_controls: int, seed: int) -> dict:
    check_pooled(record)
    labels = checked_labels(labels, record.values.shape[0])
    known = labels != UNKNOWN
    values, labels = np.asarray(record.values)[known], labels[known]
    n_features = int(values.any(axis=0).sum())
    n_classes = len(np.unique(labels))
    found, rng = n_components(_means(values, labels)), np.random.default_rng(seed)
    draws = [n_components(_means(values, rng.permutation(labels))) for _ in range(n_controls)]
    low, high = np.percentile(draws, INTERVAL)
    counts = {"components": found, "chance": float(np.mean(draws)), "low": low, "high": high}
    most = max(min(n_classes - 1, n_features), 1)
    names = ("normalised", "normalised_chance", "normalised_low", "normalised_high")
    shares = {name: count / most for name, count in zip(names, counts.values(), strict=True)}
    return {"n_classes": n_classes, "n_features": n_features, **counts, **shares}


def _means(values, labels) -> Float[np.ndarray, "class ..."]:
    """Mean over the samples of each class; those without a label are left out."""
    order = np.argsort(labels, kind="stable")[np.sum(labels == UNKNOWN) :]
    _, first, count = np.unique(labels[order], return_index=True, return_counts=True)
    sums = np.add.reduceat(np.asarray(values, dtype=float)[order], first, axis=0)
    return (sums.T / count).T
