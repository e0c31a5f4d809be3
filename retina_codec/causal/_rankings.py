"""Which channels of a layer are most important for a class, by different accounts.

A ranking is any function from the number of a class to one score for each channel; the highest
scores are the most important. Make rankings from other images than those on which they are tested.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from retina_codec.datatypes import Contributions, Modes

Ranking = Callable[[int], Float[np.ndarray, " channel"]]
"""From the number of a class to a score of each channel; the highest are the most important."""

Labels = Int[np.ndarray, " sample"]
Index = Sequence[int] | Int[np.ndarray, " selected"]


def by_class_mode(modes: Modes, labels: Labels, *, index: Index | None = None) -> Ranking:
    """Rank by the net weights of the mode that goes best with the class.

    Parameters
    ----------
    modes
        Of one layer.
    labels
        Class of each sample of the modes; -1 where it is unknown, which then does not count.
    index
        Samples on which the mode is chosen; all by default.

    Returns
    -------
    From the number of a class to the net weights of its mode. ValueError if no image, or every one,
    is of the class.

    Raises
    ------
    ValueError
        If labels and loadings differ in number.

    Notes
    -----
    The mode has the largest Pearson's r of its loading with "is of this class". The net weight of a
    channel is that of its promoting feature less that of its suppressing one.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=3, n_features=12, n_samples=60)
    >>> labels = modes.loadings.argmax(axis=1)  # an image is of the class of its strongest mode
    >>> by_class_mode(modes, labels)(0).round(2).tolist()
    [0.21, -0.06, -0.0, 0.24, -0.45, -0.02]
    """
    r = _class_correlations(modes, labels, index)
    weights = _net_weights(modes)

    def ranking(number: int) -> Float[np.ndarray, " channel"]:
        return weights[int(np.argmax(r(number)))]

    return ranking


def by_summed_class_modes(
    modes: Modes, labels: Labels, *, least_r: float = 0.2, index: Index | None = None
) -> Ranking:
    """Rank by the sum of all modes that go with the class; by the best one, if none goes well.

    Parameters
    ----------
    modes, labels, index
        As in `by_class_mode`.
    least_r
        Modes count whose r is larger.

    Returns
    -------
    As that of `by_class_mode`, with summed net weights.

    Raises
    ------
    ValueError
        If labels and loadings differ in number.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=3, n_features=12, n_samples=60)
    >>> labels = (modes.loadings.argmax(axis=1) > 0).astype(int)  # the last two modes make class 1
    >>> by_summed_class_modes(modes, labels)(1).round(2).tolist()
    [0.08, -0.42, -0.24, 0.04, -0.15, 0.04]
    """
    r = _class_correlations(modes, labels, index)
    weights = _net_weights(modes)

    def ranking(number: int) -> Float[np.ndarray, " channel"]:
        of_class = r(number)
        chosen = of_class > least_r
        chosen[np.argmax(of_class)] = True
        return weights[chosen].sum(axis=0)

    return ranking


def by_class_mean(
    contributions: Contributions, labels: Labels, *, index: Index | None = None
) -> Ranking:
    """Rank by the mean over images of the class, less the mean over all other images.

    Parameters
    ----------
    contributions
        Pooled to features: contributions, or activations (`contributions.activations`).
    labels
        Class of each sample; -1 where it is unknown, which then does not count.
    index
        Samples to take means over; all by default.

    Returns
    -------
    From the number of a class to the difference of means, for each channel. ValueError if no image,
    or every one, is of the class.

    Raises
    ------
    ValueError
        If the values are not pooled to features, or labels and samples differ in number.

    Notes
    -----
    Of activations with two signs, a channel that shows a class by being negative comes last.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, modes = planted_contributions(n_modes=3, n_features=12, n_samples=60)
    >>> labels = modes.loadings.argmax(axis=1)
    >>> by_class_mean(contributions, labels)(0).round(2).tolist()
    [0.27, 0.16, 0.16, 0.05, 0.04, -0.08]
    """
    values, labels = _over_channels(contributions), _checked(labels, contributions.values)
    values, labels = _chosen(values, labels, index)

    def ranking(number: int) -> Float[np.ndarray, " channel"]:
        own = _has(labels, number)
        return values[own].mean(axis=0) - values[~own].mean(axis=0)

    return ranking


def by_gradient(gradients: Contributions, labels: Labels, *, index: Index | None = None) -> Ranking:
    """Rank by the mean over images of the class of gradients, or of activations times gradients.

    Other images are not subtracted: their gradients are those of other classes.

    Parameters
    ----------
    gradients
        Such as `contributions.activation_times_gradient` makes, to the top or the true class.
    labels, index
        As in `by_class_mean`.

    Returns
    -------
    From the number of a class to the mean of each channel. ValueError if no image, or every one, is
    of the class.

    Raises
    ------
    ValueError
        If the values are not pooled to features, or labels and samples differ in number.

    Examples
    --------
    >>> from torch import nn
    >>> from retina_codec.contributions import activation_times_gradient, top_class
    >>> network = nn.Sequential(nn.Identity(), nn.ReLU())
    >>> images, labels = np.eye(2, dtype=np.float32), np.arange(2)
    >>> found = activation_times_gradient(
    ...     network, images, layers=["0"], target=top_class(), progress=False
    ... )
    >>> by_gradient(found["0"], labels)(1).tolist()
    [0.0, 1.0]
    """
    values, labels = _over_channels(gradients), _checked(labels, gradients.values)
    values, labels = _chosen(values, labels, index)

    def ranking(number: int) -> Float[np.ndarray, " channel"]:
        return values[_has(labels, number)].mean(axis=0)

    return ranking


def in_sets(labels: Labels, sets: Mapping[str, Sequence[int]]) -> Labels:
    """Replace the class of each image by the number of the set of classes that it is in.

    Parameters
    ----------
    labels
        Class of each image; -1 where it is unknown, which it stays.
    sets
        Classes of each superclass. Classes in none get the number after the last.

    Returns
    -------
    For each image the place of its set among `sets`.

    Raises
    ------
    ValueError
        If a class is in two sets.

    Examples
    --------
    >>> in_sets(np.array([0, 1, 2, 3, -1]), {"dogs": [1, 3], "cats": [0]}).tolist()
    [1, 0, 2, 0, -1]
    """
    found = np.where(labels < 0, labels, len(sets))
    taken: dict[int, str] = {}
    for number, (name, members) in enumerate(sets.items()):
        twice = [member for member in members if member in taken]
        if twice:
            msg = (
                f"Class {twice[0]} is in the sets {taken[twice[0]]!r} and {name!r}; expected each "
                "class in one at most. Compare overlapping sets in separate calls."
            )
            raise ValueError(msg)
        taken |= dict.fromkeys(members, name)
        found[np.isin(labels, list(members))] = number
    return found


def _class_correlations(modes: Modes, labels, index):
    """Return a function from a class to Pearson's r of each mode with it; dead modes are never."""
    labels = _checked(labels, modes.loadings)
    loadings, labels = _chosen(np.asarray(modes.loadings, dtype=float), labels, index)
    centred = loadings - loadings.mean(axis=0)
    norm = np.linalg.norm(centred, axis=0)

    def r(number: int) -> Float[np.ndarray, " mode"]:
        own = _has(labels, number).astype(float)
        own -= own.mean()
        size = norm * np.linalg.norm(own)
        return np.divide(own @ centred, size, out=np.full(len(size), -1.0), where=size > 0)

    return r


def _net_weights(modes: Modes) -> Float[np.ndarray, "mode channel"]:
    dictionary = np.asarray(modes.dictionary, dtype=float)
    return (dictionary * np.where(np.asarray(modes.sign) < 0, -1, 1)) @ _one_hot(modes.channel)


def _over_channels(contributions: Contributions) -> Float[np.ndarray, "sample channel"]:
    values = np.asarray(contributions.values, dtype=float)
    if values.ndim != 2:
        msg = (
            f"Expected values 'sample feature', got {values.ndim} axes. Pool over space first, "
            "with pooling=by_sign or over_space."
        )
        raise ValueError(msg)
    return values @ _one_hot(contributions.channel)


def _one_hot(channel) -> Float[np.ndarray, "feature channel"]:
    return (np.asarray(channel)[:, None] == np.arange(int(np.max(channel)) + 1)).astype(float)


def _checked(labels, values):
    if len(labels) != len(values):
        msg = (
            f"Got {len(labels)} labels for {len(values)} samples; expected one for each. Give the "
            "labels of the same images."
        )
        raise ValueError(msg)
    return np.asarray(labels)


def _chosen(values, labels, index):
    index = np.arange(len(labels)) if index is None else np.asarray(index)
    index = index[labels[index] >= 0]
    return values[index], labels[index]


def _has(labels, number: int):
    own = labels == number
    if not own.any() or own.all():
        msg = (
            f"{own.sum()} of {len(own)} images are of class {number}; expected some of it and some "
            "of others. Rank on images of several classes."
        )
        raise ValueError(msg)
    return own
