"""How much of known modes there is in contributions that they were not learned from."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

from retina_codec.datatypes import Contributions, Modes

from ._checks import finite_matrix


def loadings_of(contributions: Contributions, modes: Modes) -> Float[np.ndarray, "sample mode"]:
    r"""How much of each mode there is in contributions that it was not learned from, 0 or more.

    For each sample, with x its contributions in the units of the modes, D their dictionary and s
    the sizes of the features (1 where the method did not divide by them),

    .. math:: z = \arg\min_{z \ge 0} \lVert (x - z D) / s \rVert^2, \quad
              x = values \cdot sign / scale - offset.

    Unlike the method that found the modes, this does not ask for few of them.

    Parameters
    ----------
    contributions
        Pooled, of the layer of the modes, with the same features.
    modes
        The dictionary and its units.

    Returns
    -------
    In the units of ``modes.loadings``.

    Raises
    ------
    ValueError
        If the features are not those of the modes, values are not pooled or not finite, or the
        modes have negative loadings.

    References
    ----------
    Lawson and Hanson (1995), Solving Least Squares Problems, SIAM.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, truth = planted_contributions(n_modes=3, n_samples=50, noise=0.0)
    >>> bool(np.allclose(loadings_of(contributions, truth), truth.loadings))
    True
    """
    _check_features(contributions, modes)
    sign = np.asarray(modes.sign)
    sizes = np.ones(len(sign)) if modes.feature_scale is None else np.asarray(modes.feature_scale)
    x = finite_matrix(contributions.values) * np.where(sign == 0, 1, sign) / modes.scale
    x = (x - np.asarray(modes.offset)) / sizes
    atoms = (np.asarray(modes.dictionary) / sizes).T.astype(float)
    return np.stack([nnls(atoms, row)[0] for row in x.astype(float)])


def _check_features(contributions: Contributions, modes: Modes) -> None:
    ours, theirs = (
        [(int(c), int(s)) for c, s in zip(record.channel, record.sign, strict=True)]
        for record in (contributions, modes)
    )
    if ours != theirs or contributions.layer != modes.layer:
        msg = (
            f"The modes are of {len(theirs)} features of layer {modes.layer!r}, the contributions "
            f"of {len(ours)} of {contributions.layer!r}. Give the same layer, pooled the same way."
        )
        raise ValueError(msg)
    if np.min(modes.loadings, initial=0.0) < 0:
        msg = (
            f"{modes.method} has negative loadings; expected a method whose loadings are not, such "
            "as SparseModes. Decompose with one of those."
        )
        raise ValueError(msg)
