"""Which modes of two dictionaries are the same."""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from retina_codec.datatypes import Modes


def match_modes(
    a: Modes | Float[np.ndarray, "p feature"], b: Modes | Float[np.ndarray, "q feature"]
) -> tuple[Int[np.ndarray, "pair 2"], Float[np.ndarray, " pair"]]:
    """Pair the modes of two dictionaries so that the pairs are as alike as possible.

    Parameters
    ----------
    a, b
        Modes, or dictionaries with one row for each mode. Both are compared in the units in which
        `a` was learned, so that small features count if they did there.

    Returns
    -------
    pairs
        Index into `a` and index into `b`, in the order of `a`; as many pairs as the smaller has
        modes.
    cosine
        Of each pair; 0 where a mode is 0 everywhere.

    Raises
    ------
    ValueError
        If the numbers of features differ.

    References
    ----------
    Kuhn (1955), Naval Research Logistics Quarterly 2:83-97 (Hungarian method).

    Examples
    --------
    >>> match_modes(np.array([[0.0, 2.0], [1.0, 0.0]]), np.eye(2))[0].tolist()
    [[0, 1], [1, 0]]
    """
    scale = a.feature_scale if isinstance(a, Modes) else None
    dictionaries = (np.asarray(x.dictionary if isinstance(x, Modes) else x) for x in (a, b))
    first, second = (_unit_rows(x if scale is None else x / scale) for x in dictionaries)
    if first.shape[1] != second.shape[1]:
        msg = (
            f"Modes must have the same features, got {first.shape[1]} and {second.shape[1]}. "
            "Match modes of one layer."
        )
        raise ValueError(msg)
    cosine = first @ second.T
    pairs = np.stack(linear_sum_assignment(cosine, maximize=True), axis=1)
    return pairs, cosine[pairs[:, 0], pairs[:, 1]]


def agreement(a: Modes, b: Modes) -> float:
    """Sum of the cosines of matched modes, divided by the larger number of modes."""
    _, cosine = match_modes(a, b)
    return float(cosine.sum() / max(len(a.dictionary), len(b.dictionary), 1))


def _unit_rows(x: Float[np.ndarray, "mode feature"]) -> Float[np.ndarray, "mode feature"]:
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x) / np.where(norm > 0, norm, 1)
