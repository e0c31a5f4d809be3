"""Which modes, or features, go with a class of images, beside what labels without meaning give."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Real

from retina_codec.datatypes import Contributions, Modes

from ._class_correlations import (
    UNKNOWN,
    checked_labels,
    class_correlations,
    class_masks,
    correlations,
    standardised,
)
from ._correlation import LEAST_FIRING, ROUNDING, Null, check_draws, permutation, q_values
from ._layers import check_pooled

N_SPECIFIC = 20

Samples = Bool[np.ndarray, " sample"] | Int[np.ndarray, " some"]
Tested = Bool[np.ndarray, " sample"] | Int[np.ndarray, " tested"]


def class_modes(
    modes: Modes,
    labels: Int[np.ndarray, " sample"],
    *,
    n_classes: int | None = None,
    null: Null = permutation,
    n_draws: int = 1000,
    least_firing: int = LEAST_FIRING,
    samples: Samples | None = None,
    test: Tested | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Find the class that each mode goes with most, and say whether chance would do as well.

    Parameters
    ----------
    modes
        With their loadings.
    labels
        Number of the class of each sample, from 0; samples with -1 are left out.
    n_classes
        Number of outputs of the network, to check the labels; None for the largest label + 1.
    null
        Order of the samples that takes away which label belongs to which.
    n_draws
        Of the null. The smallest possible p is 1 / (n_draws + 1): to call one of M modes at a false
        discovery rate of 5 % takes at least 20 M draws, to call half of them 40.
    least_firing
        Modes that are active in fewer samples are `rare` and not tested: a mode that is active in
        two images of one class of 1,000 has r = 0.2.
    samples
        Where to look: True for the samples, or their numbers; None for all.
    test
        Other samples, in which the best class is not sought again: then the table has `r_test`.
    seed
        Of the null.

    Returns
    -------
    One row for each mode:

    mode, best_class, r
        The class whose mask the loading is correlated with most (Pearson), and how much.
    p, q
        One-sided, of r against the largest r over classes of labels in another order; and the false
        discovery rate (Benjamini & Hochberg). NaN where the mode is rare.
    chance
        Mean over draws of the largest r.
    r_test
        Of the best class in the samples `test`; NaN if the class is not there.
    firing, rare
        Samples in which the mode is active; whether they are too few.
    entropy_specificity, gini, top_1, top_5
        How few classes the mode goes with, of r where it is above 0: 1 - entropy / log(classes),
        Gini coefficient, and the share of the best one and five classes. NaN if r is never above 0.
    entropy_chance
        Mean entropy_specificity of the first 20 draws.
    n_classes
        How many classes there are among the samples.

    Raises
    ------
    ValueError
        If labels and samples do not fit, there are fewer than two classes, or no draws.

    Notes
    -----
    p = (1 + number of draws whose largest r is at least r) / (1 + draws). As the largest of many
    classes is taken, also a mode without meaning has r above 0; `chance` says how much. The class
    was chosen for its r, so that r is too large on average; `r_test` is not.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557, figure 5. Phipson & Smyth (2010), Statistical
    Applications in Genetics and Molecular Biology 9:39. Westfall & Young (1993), Resampling-Based
    Multiple Testing, Wiley (largest statistic).

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=2, n_samples=400)
    >>> labels = (modes.loadings[:, 0] > 0).astype(int)
    >>> table = class_modes(modes, labels, n_draws=99)
    >>> table[["mode", "best_class", "p"]].to_numpy().tolist()[0]
    [0.0, 1.0, 0.01]
    """
    loadings = np.asarray(modes.loadings)
    about = {"mode": np.arange(loadings.shape[1])}
    how = {"null": null, "n_draws": n_draws, "least_firing": least_firing, "seed": seed}
    how |= {"n_classes": n_classes, "samples": samples, "test": test}
    return _class_table(loadings, labels, about, **how)


def class_features(
    contributions: Contributions,
    labels: Int[np.ndarray, " sample"],
    *,
    n_classes: int | None = None,
    null: Null = permutation,
    n_draws: int = 1000,
    least_firing: int = LEAST_FIRING,
    samples: Samples | None = None,
    test: Tested | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Find the class that each feature goes with most: single channels, to compare modes with.

    Parameters
    ----------
    contributions
        Pooled; or activations. Features of sign -1 count by their magnitude, as for modes: how much
        the channel suppresses.
    labels, n_classes, null, n_draws, least_firing, samples, test, seed
        As for `class_modes`.

    Returns
    -------
    As `class_modes`, with `feature`, `channel` and `sign` in place of `mode`.

    Raises
    ------
    ValueError
        If the contributions are not pooled, or as `class_modes`.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_features=4, n_samples=400)
    >>> class_features(contributions, np.arange(400) % 3, n_draws=19)["sign"].tolist()
    [1, -1, 1, -1]
    """
    check_pooled(contributions)
    channel, sign = np.asarray(contributions.channel), np.asarray(contributions.sign)
    values = np.asarray(contributions.values) * np.where(sign == 0, 1, sign)
    about = {"feature": np.arange(len(sign)), "channel": channel, "sign": sign}
    how = {"null": null, "n_draws": n_draws, "least_firing": least_firing, "seed": seed}
    how |= {"n_classes": n_classes, "samples": samples, "test": test}
    return _class_table(values, labels, about, **how)


def _class_table(
    values: Real[np.ndarray, "sample column"],
    labels,
    about,
    *,
    n_classes,
    null,
    n_draws,
    least_firing,
    samples,
    test,
    seed,
) -> pd.DataFrame:
    check_draws(n_draws)
    labels = checked_labels(labels, len(values), n_classes)
    used, known = _labelled(labels, samples)
    columns, masks = standardised(values[used]), class_masks(known)
    r = correlations(columns, masks)
    best, firing = r.argmax(axis=1), np.count_nonzero(values[used], axis=0)
    rare = firing < least_firing
    p, chance, entropy_chance = _by_chance(columns, masks, r.max(axis=1), null, n_draws, seed)
    p[rare] = np.nan
    found = {"best_class": masks.present[best], "r": r.max(axis=1), "p": p, "q": q_values(p)}
    found |= {"chance": chance, "firing": firing, "rare": rare, **_specificity(r)}
    found |= {"entropy_chance": entropy_chance, "n_classes": len(masks.present)}
    if test is not None:
        found["r_test"] = _in_test(values, labels, test, found["best_class"], n_classes)
    return pd.DataFrame({**about, **found})


def _labelled(labels, samples) -> tuple[Int[np.ndarray, " used"], Int[np.ndarray, " used"]]:
    """Return the numbers of the samples that have a label, of those asked for, and the labels."""
    asked = np.arange(len(labels)) if samples is None else np.arange(len(labels))[samples]
    used = asked[labels[asked] != UNKNOWN]
    return used, checked_labels(labels[used], len(used))


def _by_chance(columns, masks, r, null, n_draws, seed):
    """Return p, the mean largest r, and the mean specificity of some draws."""
    rng = np.random.default_rng(seed)
    reached, total, entropies = np.zeros(len(r)), np.zeros(len(r)), []
    for draw in range(n_draws):
        drawn = correlations(columns, masks, null(len(columns), rng))
        largest = drawn.max(axis=1)
        reached += largest >= r - ROUNDING
        total += largest
        if draw < N_SPECIFIC:
            entropies.append(_entropy_specificity(_shares(drawn)))
    return (1 + reached) / (1 + n_draws), total / n_draws, np.mean(entropies, axis=0)


def _in_test(values, labels, test, best_class, n_classes) -> Float[np.ndarray, " column"]:
    used, known = _labelled(labels, test)
    n_classes = int(labels.max()) + 1 if n_classes is None else n_classes
    r = class_correlations(values[used], known, n_classes=n_classes)
    return r[np.arange(len(r)), best_class]


def _specificity(r: Float[np.ndarray, "column class"]) -> dict[str, Float[np.ndarray, " column"]]:
    shares = _shares(r)
    ordered = np.sort(shares, axis=1)
    n_classes = r.shape[1]
    rank = 1 + np.arange(n_classes)
    return {
        "entropy_specificity": _entropy_specificity(shares),
        "gini": 2 * (ordered @ rank) / n_classes - (n_classes + 1) / n_classes,
        "top_1": ordered[:, -1],
        "top_5": ordered[:, -5:].sum(axis=1),
    }


def _shares(r: Float[np.ndarray, "column class"]) -> Float[np.ndarray, "column class"]:
    """Divide what is above 0 by its sum; NaN where nothing is."""
    above = np.clip(r, 0, None)
    total = above.sum(axis=1, keepdims=True)
    return above / np.where(total > ROUNDING, total, np.nan)


def _entropy_specificity(shares: Float[np.ndarray, "column class"]) -> Float[np.ndarray, " column"]:
    logs = np.log(shares, out=np.zeros_like(shares), where=~(shares <= 0))
    return 1 + np.sum(shares * logs, axis=1) / np.log(shares.shape[1])
