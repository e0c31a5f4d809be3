"""What modes are made of, when they are active, and which of them come together."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from retina_codec.datatypes import Modes

from ._correlation import LEAST_FIRING, Null, check_draws, circular_shift, q_values
from ._layers import hoyer_sparsity

HALF = 0.5
MOST_FEATURES = 6
MARK = {1: "+", -1: "−"}


def describe_modes(modes: Modes, *, least_firing: int = LEAST_FIRING) -> pd.DataFrame:
    """Say what each mode is made of, how sparse it is, and when it is active.

    Parameters
    ----------
    modes
        With their loadings; active where a loading is not 0.
    least_firing
        Modes that are active in fewer samples are marked as `rare`: too few to say anything about.

    Returns
    -------
    One row for each mode: `features`, the fewest that carry half of its weight relative to their
    size (at most six are named), as channel and sign: "3+" promotes, "3−" suppresses, and for
    features without a sign (0) that of the weight; `sparsity` of these weights (Hoyer); `energy`,
    its share of that of all modes; `firing`, the samples in which it is active, and their `share`;
    `episodes` without a gap and their median `duration`, in units of `sample` (seconds, or samples
    where these are numbered); `reproducibility`, if known; `rare`.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=2, n_features=6, features_per_mode=2, burst=5.0)
    >>> describe_modes(modes)["firing"].tolist() == modes.firing.tolist()
    True
    """
    loadings, dictionary = np.asarray(modes.loadings), np.asarray(modes.dictionary)
    energy = np.sum(loadings**2, axis=0, dtype=float) * np.sum(dictionary**2, axis=1, dtype=float)
    firing = np.asarray(modes.firing)
    sample = np.asarray(modes.sample, dtype=float)
    episodes = [_durations(active, sample) for active in (loadings != 0).T]
    relative, n_features = modes.relative_dictionary, dictionary.shape[1]
    table = {
        "mode": np.arange(len(dictionary)),
        "features": [_strongest(row, modes) for row in relative],
        "sparsity": hoyer_sparsity(relative) if n_features > 1 else np.nan,
        "energy": energy / max(energy.sum(), np.finfo(float).tiny),
        "firing": firing,
        "share": firing / len(loadings),
        "episodes": [len(each) for each in episodes],
        "duration": [float(np.median(each)) if len(each) else np.nan for each in episodes],
    }
    if modes.reproducibility is not None:
        table["reproducibility"] = np.asarray(modes.reproducibility)
    return pd.DataFrame(table).assign(rare=firing < least_firing)


def co_occurrence(
    modes: Modes,
    *,
    null: Null = circular_shift,
    n_draws: int = 1000,
    least_firing: int = LEAST_FIRING,
    seed: int = 0,
) -> pd.DataFrame:
    """Tell which modes are active together more often, or less often, than by chance.

    Parameters
    ----------
    modes
        With their loadings; active where a loading is not 0.
    null
        Order of the samples that is drawn for each mode by itself: `circular_shift` for time
        series, `permutation` for samples without order.
    n_draws, least_firing, seed
        As in `correlations_with`.

    Returns
    -------
    One row for each pair: `a`, `b`, `together` (samples in which both are active), `expected` by
    chance, their `ratio`, two-sided `p` and `q`; p and q are NaN where one of the two is rare.

    Raises
    ------
    ValueError
        If there are no draws.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=4, together=0.8, n_samples=1000)
    >>> table = co_occurrence(modes, n_draws=200)
    >>> table[table["q"] < 0.05][["a", "b"]].to_numpy().tolist()
    [[0, 1], [2, 3]]
    """
    check_draws(n_draws)
    active = (np.asarray(modes.loadings) != 0).astype(float)
    n_samples, n_modes = active.shape
    a, b = np.triu_indices(n_modes, k=1)
    together = (active.T @ active)[a, b]
    rng = np.random.default_rng(seed)
    draws = np.stack([_by_chance(active, null, rng)[a, b] for _ in range(n_draws)])
    expected = draws.mean(axis=0)
    as_far = np.abs(draws - expected) >= np.abs(together - expected)
    p = (1 + as_far.sum(axis=0)) / (1 + n_draws)
    rare = np.asarray(modes.firing) < least_firing
    p[rare[a] | rare[b]] = np.nan
    ratio = np.divide(together, expected, out=np.full(len(a), np.nan), where=expected > 0)
    table = {"a": a, "b": b, "together": together.astype(int), "expected": expected}
    return pd.DataFrame({**table, "ratio": ratio, "p": p, "q": q_values(p)})


def _by_chance(active, null: Null, rng) -> Float[np.ndarray, "mode mode"]:
    shuffled = np.stack([column[null(len(column), rng)] for column in active.T])
    return shuffled @ shuffled.T


def _strongest(weights: Float[np.ndarray, " feature"], modes: Modes) -> str:
    size = np.abs(weights)
    order = np.argsort(-size, kind="stable")
    n_half = int(np.searchsorted(np.cumsum(size[order]), HALF * size.sum())) + 1
    sign = np.where(np.asarray(modes.sign) == 0, np.sign(weights), modes.sign).astype(int)
    channel = np.asarray(modes.channel)
    names = [
        f"{channel[i]}{MARK.get(int(sign[i]), '')}" for i in order[: min(n_half, MOST_FEATURES)]
    ]
    return " ".join(names) + (" …" if n_half > MOST_FEATURES else "")


def _durations(
    active: Bool[np.ndarray, " sample"], sample: Float[np.ndarray, " sample"]
) -> Float[np.ndarray, " episode"]:
    """How long a mode stays active; an episode also ends where samples are missing."""
    step = float(np.median(np.diff(sample))) if len(sample) > 1 else 1.0
    gap = np.append(True, np.diff(sample) > 1.5 * step)
    starts = active & (~np.append(False, active[:-1]) | gap)
    lengths: Int[np.ndarray, " episode"] = np.bincount(np.cumsum(starts)[active])[1:]
    return lengths * step
