"""Whether two fits say the same about classes: the channels of the class modes of each class."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from retina_codec.datatypes import Modes
from retina_codec.statistics import class_correlations, pearson

LEAST_R = 0.2


def class_agreement(
    a: Modes,
    b: Modes,
    labels: Int[np.ndarray, " sample"],
    *,
    least_r: float = LEAST_R,
) -> tuple[float, float]:
    """How alike the channels are that two fits name for a class, beside those for other classes.

    Parameters
    ----------
    a, b
        Modes of the same contributions.
    labels
        Number of the class of each sample, -1 where it is unknown.
    least_r
        The atom of a class is the sum of the modes whose loadings are correlated with it by more,
        or of the best one if there are none.

    Returns
    -------
    agreement
        Pearson's r over channels of the atoms of the same class in both fits, mean over classes.
    chance
        The same of atoms of different classes, mean over all pairs: what channels that are large
        for every class give. Both are NaN if a fit has no modes.

    Notes
    -----
    An atom has for each channel how much it promotes minus how much it suppresses, relative to the
    size of the channel in `a`.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557, supplement.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=3, n_samples=300)
    >>> agreement, chance = class_agreement(modes, modes, modes.loadings.argmax(axis=1))
    >>> round(agreement, 6), chance < 0.9
    (1.0, True)
    """
    if not (len(a.dictionary) and len(b.dictionary)):
        return np.nan, np.nan
    sizes = _channel_sizes(a)
    first, second = (_class_atoms(modes, labels, least_r) / sizes for modes in (a, b))
    r = pearson(first.T, second.T)
    others: Bool[np.ndarray, "class class"] = ~np.eye(len(r), dtype=bool)
    return float(np.diag(r).mean()), float(r[others].mean())


def _class_atoms(modes: Modes, labels, least_r: float) -> Float[np.ndarray, "class channel"]:
    r = class_correlations(np.asarray(modes.loadings), labels)
    r = r[:, ~np.isnan(r).any(axis=0)]
    chosen = (r > least_r) | (~(r > least_r).any(axis=0) & (r == r.max(axis=0)))
    return chosen.T.astype(float) @ _net_weights(modes)


def _net_weights(modes: Modes) -> Float[np.ndarray, "mode channel"]:
    """How much each mode promotes through each channel, minus how much it suppresses."""
    sign = np.where(np.asarray(modes.sign) == 0, 1, modes.sign)
    return _by_channel(np.asarray(modes.dictionary) * sign, modes)


def _channel_sizes(modes: Modes) -> Float[np.ndarray, " channel"]:
    """Size of each channel that the method divided by; 1 where it did not."""
    if modes.feature_scale is None:
        return np.ones(len(np.unique(modes.channel)))
    return np.sqrt(_by_channel(np.square(modes.feature_scale)[None], modes)[0])


def _by_channel(
    weights: Float[np.ndarray, "row feature"], modes: Modes
) -> Float[np.ndarray, "row channel"]:
    return pd.DataFrame(weights.T).groupby(np.asarray(modes.channel)).sum().to_numpy().T
