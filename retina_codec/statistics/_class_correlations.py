"""How loadings go with classes of samples: Pearson's r with the mask of each class, quickly."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from scipy.sparse import csr_array

from ._correlation import ROUNDING, Null, permutation

UNKNOWN = -1


class ClassMasks(NamedTuple):
    """The samples of each class, weighted so that sums over them are correlations."""

    present: Int[np.ndarray, " class"]
    weights: csr_array


def class_correlations(
    loadings: Real[np.ndarray, "sample column"],
    labels: Int[np.ndarray, " sample"],
    *,
    n_classes: int | None = None,
) -> Float[np.ndarray, "column class"]:
    r"""Correlate each column with the mask of each class: 1 for its samples, 0 for all others.

    Parameters
    ----------
    loadings
        Of modes; or contributions, activations.
    labels
        Number of the class of each sample, from 0; -1 where it is unknown: such samples are left
        out.
    n_classes
        Number of outputs of the network; None for the largest label + 1.

    Returns
    -------
    Pearson's r; 0 where a column does not vary, NaN for classes without a sample.

    Raises
    ------
    ValueError
        If the numbers of samples differ, a label is impossible, or fewer than two classes are
        there.

    Notes
    -----
    The same as `pearson` of loadings and masks. As a mask is 0 nearly everywhere, r is a sum over
    the samples of the class only:

    .. math:: r_{mc} = \frac{\sum_{i \in c} z_{im}}{\sqrt{n_c (1 - n_c / n)}},

    with z the loadings, centred and of norm 1, and n_c of n samples in class c.

    Examples
    --------
    >>> loadings = np.array([[2.0, 0.0], [2.0, 1.0], [0.0, 0.0], [0.0, 1.0]])
    >>> class_correlations(loadings, np.array([0, 0, 2, 2]))
    array([[ 1., nan, -1.],
           [ 0., nan,  0.]])
    """
    labels = checked_labels(labels, len(loadings), n_classes)
    known = labels != UNKNOWN
    masks = class_masks(labels[known])
    r = correlations(standardised(loadings[known]), masks)
    return _in_all_classes(r, masks, labels, n_classes)


def permuted_correlations(
    loadings: Real[np.ndarray, "sample column"],
    labels: Int[np.ndarray, " sample"],
    *,
    n_classes: int | None = None,
    null: Null = permutation,
    n_draws: int = 20,
    seed: int = 0,
) -> Iterator[Float[np.ndarray, "column class"]]:
    """Yield what `class_correlations` gives by chance, once for each draw.

    Parameters
    ----------
    loadings, labels, n_classes
        As for `class_correlations`.
    null
        Order of the samples that takes away which label belongs to which.
    n_draws, seed
        How many orders, and the seed of their generator.

    Yields
    ------
    Correlations "column class" of one draw.

    Raises
    ------
    ValueError
        If labels and samples differ in number, a label is impossible, or there are fewer than two
        classes.

    Examples
    --------
    >>> labels = np.arange(40) % 2
    >>> by_chance = permuted_correlations(labels[:, None], labels, n_draws=3)
    >>> bool(max(np.abs(r).max() for r in by_chance) < 0.9)
    True
    """
    labels = checked_labels(labels, len(loadings), n_classes)
    known = labels != UNKNOWN
    masks, columns = class_masks(labels[known]), standardised(loadings[known])
    rng = np.random.default_rng(seed)
    for _ in range(n_draws):
        r = correlations(columns, masks, null(len(columns), rng))
        yield _in_all_classes(r, masks, labels, n_classes)


def checked_labels(
    labels: Int[np.ndarray, " labelled"], n_samples: int, n_classes: int | None = None
) -> Int[np.ndarray, " labelled"]:
    """Return labels that can be worked with.

    Raises
    ------
    ValueError
        If their number is not that of the samples, one is impossible, or there are fewer than two
        classes.
    """
    labels = np.asarray(labels)
    if labels.shape != (n_samples,):
        msg = f"'labels' must have one label for each of {n_samples} samples, got {labels.shape}."
        raise ValueError(msg)
    most = np.inf if n_classes is None else n_classes
    wrong = labels[(labels < UNKNOWN) | (labels >= most)]
    if len(wrong):
        below = "" if n_classes is None else f" and below {n_classes}, the number of classes"
        msg = f"'labels' must be from 0{below}, or -1 where unknown, got {wrong[0]}."
        raise ValueError(msg)
    n_present = len(np.unique(labels[labels != UNKNOWN]))
    if n_present < 2:
        msg = f"Samples of at least 2 classes are needed, got {n_present}. Give more of the images."
        raise ValueError(msg)
    return labels


def class_masks(labels: Int[np.ndarray, " sample"]) -> ClassMasks:
    """Return the masks of the classes that are there, so weighted that r is a sum of loadings."""
    present, number, count = np.unique(labels, return_inverse=True, return_counts=True)
    weight = 1 / np.sqrt(count * np.maximum(1 - count / len(labels), ROUNDING))
    ends = np.append(0, np.cumsum(count))
    samples = np.argsort(number, kind="stable")
    shape = (len(present), len(labels))
    return ClassMasks(present, csr_array((np.repeat(weight, count), samples, ends), shape=shape))


def standardised(values: Real[np.ndarray, "sample column"]) -> Float[np.ndarray, "sample column"]:
    """Centre columns and give them norm 1; columns that do not vary become 0."""
    values = np.asarray(values, dtype=float)
    centred = values - values.mean(axis=0)
    power = np.sum(centred**2, axis=0)
    varies: Bool[np.ndarray, " column"] = power > ROUNDING * np.sum(values**2, axis=0)
    return centred * np.where(varies, 1 / np.sqrt(np.where(varies, power, 1)), 0)


def correlations(
    columns: Float[np.ndarray, "sample column"],
    masks: ClassMasks,
    order: Int[np.ndarray, " sample"] | None = None,
) -> Float[np.ndarray, "column class"]:
    """Correlate standardised columns, whose samples may come in another order, with masks."""
    weights = masks.weights
    if order is not None:
        weights = csr_array((weights.data, order[weights.indices], weights.indptr), weights.shape)
    return np.clip(weights @ columns, -1, 1).T


def _in_all_classes(r, masks, labels, n_classes) -> Float[np.ndarray, "column class"]:
    n_classes = int(labels.max()) + 1 if n_classes is None else n_classes
    found = np.full((len(r), n_classes), np.nan)
    found[:, masks.present] = r
    return found
