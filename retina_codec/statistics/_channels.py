"""Contributions of whole channels, made of features that were split by sign."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from retina_codec.datatypes import Contributions

from ._layers import row_correlation


def net_of_channels(contributions: Contributions) -> Contributions:
    """Sum the promoting and the suppressing part of each channel (sign 0).

    Parameters
    ----------
    contributions
        Pooled to features.

    Returns
    -------
    One feature for each channel, in the order of their numbers.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_features=4, n_samples=60)
    >>> net_of_channels(contributions).values.shape
    (60, 2)
    """
    return _over_channels(contributions, np.ones(len(contributions.channel), dtype=bool), 0)


def promoting(contributions: Contributions) -> Contributions:
    """Keep what is positive of each channel (sign 1): of activations, what a rectifier keeps.

    Numbers that have one sign look less sparse than those that have two, so contributions and
    activations are compared in this form.

    Parameters
    ----------
    contributions
        Pooled to features.

    Returns
    -------
    One feature for each channel, never below 0.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_features=4, n_samples=60)
    >>> bool((promoting(contributions).values >= 0).all())
    True
    """
    kept = _over_channels(contributions, np.asarray(contributions.sign) >= 0, 1)
    return replace(kept, values=np.maximum(kept.values, 0))


def sample_correlations(a: Contributions, b: Contributions) -> Float[np.ndarray, " sample"]:
    """Pearson's r over features of two records, for each sample: how alike they are.

    Parameters
    ----------
    a, b
        Of the same samples and features; such as contributions and activations of a layer.

    Returns
    -------
    0 where one of them is the same in all features.

    Raises
    ------
    ValueError
        If they have other samples or features.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_features=4, n_samples=60)
    >>> bool(np.allclose(sample_correlations(contributions, contributions), 1))
    True
    """
    if a.values.shape != b.values.shape:
        msg = f"The two must have the same samples and features, got {a.values.shape} and "
        raise ValueError(msg + f"{b.values.shape}.")
    return row_correlation(np.asarray(a.values, dtype=float), np.asarray(b.values, dtype=float))


def _over_channels(record: Contributions, chosen, sign: int) -> Contributions:
    channel = np.asarray(record.channel)
    channels = np.unique(channel)
    one_hot = (channel[:, None] == channels) & chosen[:, None]
    values = np.asarray(record.values, dtype=float) @ one_hot
    return replace(record, values=values, channel=channels, sign=np.full(len(channels), sign))
