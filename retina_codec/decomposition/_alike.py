"""A decomposition that can be compared with another, because it is equally sparse or exact."""

import math
from collections.abc import Callable
from operator import attrgetter

from sklearn.base import clone

from retina_codec.datatypes import Contributions, Modes

from ._decompose import decompose
from ._interface import Decomposition

N_TRIALS = 10
CLOSE = 0.01


def decompose_alike(
    contributions: Contributions,
    method: Decomposition,
    like: Modes,
    *,
    measure: Callable[[Modes], float] = attrgetter("active_per_sample"),
    parameter: str = "smallest_loading",
    between: tuple[float, float] = (1e-3, 0.8),
) -> Modes:
    """Decompose with the setting at which a measure is the same as in other modes.

    Modes of contributions and of activations, say, can only be compared when as many of them are
    active in a sample, or when they explain as much.

    Parameters
    ----------
    contributions, method
        As for `decompose`.
    like
        Modes of other contributions of the same samples. The same samples are held out, with the
        same seed.
    measure
        What is to be the same: a function of modes that falls as the parameter grows, such as
        ``lambda modes: modes.r2``; by default the mean number of active modes in a sample.
    parameter, between
        Which setting of the method is changed, and its smallest and largest value, above 0.

    Returns
    -------
    The modes whose measure comes closest; `settings` has the value of the parameter. The search
    ends at 1 % or after 10 fits (bisection on a logarithmic scale), so look at how close it is.

    Raises
    ------
    ValueError
        If the bounds are impossible, the method has no such parameter, or as `decompose`.

    Examples
    --------
    >>> from retina_codec.decomposition import SparseModes, decompose
    >>> from retina_codec.simulation import planted_contributions
    >>> one, _ = planted_contributions(n_modes=4, n_features=8, n_samples=300, active=0.1)
    >>> other, _ = planted_contributions(n_modes=4, n_features=8, n_samples=300, active=0.2)
    >>> method = SparseModes(n_modes=6, n_passes=10)
    >>> modes = decompose(one, method)
    >>> alike = decompose_alike(other, method, modes)
    >>> bool(abs(alike.active_per_sample - modes.active_per_sample) < 0.1)
    True
    """
    low, high = between
    if not 0 < low < high:
        msg = f"'between' must be two growing numbers above 0, got {between}."
        raise ValueError(msg)
    goal, trials = measure(like), []
    for _ in range(N_TRIALS):
        middle = math.sqrt(low * high)
        tried = decompose(
            contributions,
            clone(method).set_params(**{parameter: middle}),
            seed=like.seed,
            held_out=like.held_out,
        )
        trials.append(tried)
        found = measure(tried)
        if abs(found - goal) <= CLOSE * abs(goal):
            break
        low, high = (middle, high) if found > goal else (low, middle)
    return min(trials, key=lambda modes: abs(measure(modes) - goal))
