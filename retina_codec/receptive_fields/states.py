"""How long combinations of modes stay, and which follows which."""

import numpy as np
import pandas as pd

from retina_codec.datatypes import Modes

from .combinations import active_modes, combination_of_each, combinations


def states(modes: Modes, *, threshold: float = 0.25) -> pd.DataFrame:
    """List combinations with how long they stay, beside how often chance would bring them.

    Parameters
    ----------
    modes
        With their loadings; samples follow each other in time.
    threshold
        When a mode counts as active; see `active_modes`.

    Returns
    -------
    The table of `combinations` with `n_episodes`, the number of times that the combination began;
    `duration`, the median length of an episode in units of the samples' times (s); and `chance`,
    the share it would have if every mode came and went by itself.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=2, n_samples=200)
    >>> sorted(states(modes).columns)
    ['chance', 'combination', 'duration', 'n_episodes', 'n_samples', 'share']
    """
    active = active_modes(modes, threshold=threshold)
    table = combinations(modes, threshold=threshold).set_index("combination")
    names, lengths, _ = episodes(np.array(combination_of_each(active)))
    step = float(np.median(np.diff(np.asarray(modes.sample, dtype=float))))
    by_name = pd.Series(lengths).groupby(names)
    table["n_episodes"] = by_name.size()
    table["duration"] = by_name.median() * step
    share = active.mean(axis=0)
    chance = {}
    for name, row in zip(combination_of_each(active), active, strict=True):
        if name not in chance:
            chance[name] = float(np.where(row, share, 1 - share).prod())
    table["chance"] = pd.Series(chance)
    return table.reset_index()


def transitions(
    modes: Modes, *, most: int = 8, threshold: float = 0.25, n_draws: int = 500, seed: int = 0
) -> pd.DataFrame:
    """Tell which combination follows which, beside episodes in random order.

    Parameters
    ----------
    modes
        With their loadings; samples follow each other in time.
    most
        How many of the most frequent combinations are looked at.
    threshold
        When a mode counts as active; see `active_modes`.
    n_draws
        Of the null.
    seed
        Of the null.

    Returns
    -------
    One row for each ordered pair of different combinations: `from`, `to`, `n` times, `expected`
    number in the null, and two-sided `p`.

    Notes
    -----
    Null: what follows does not depend on what was before, except that a combination cannot follow
    itself (quasi-independence). Expected numbers are products a_i b_j that have the sums of each
    row and column; p is (1 + number of multinomial draws that are at least as far from them) / (1 +
    draws).

    References
    ----------
    Goodman (1968), Journal of the American Statistical Association 63:1091-1131.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=2, n_samples=400, active=0.3, burst=8.0)
    >>> transitions(modes, most=2, n_draws=100)[["from", "to", "n"]]
       from    to   n
    0  none     0  23
    1     0  none  24
    """
    names, _, _ = episodes(np.array(combination_of_each(active_modes(modes, threshold=threshold))))
    frequent = combinations(modes, threshold=threshold)["combination"].head(most).tolist()
    number = pd.Index(frequent).get_indexer(names)
    rng = np.random.default_rng(seed)
    found = _counts(number, len(frequent))
    expected = _quasi_independent(found)
    chances = expected.ravel() / max(expected.sum(), 1e-12)
    null = rng.multinomial(found.sum(), chances / max(chances.sum(), 1e-12), size=n_draws)
    null = null.reshape(n_draws, *found.shape) if found.sum() else np.zeros((n_draws, *found.shape))
    reached = (np.abs(null - expected) >= np.abs(found - expected) - 1e-9).sum(axis=0)
    rows = [
        {
            "from": frequent[i],
            "to": frequent[j],
            "n": int(found[i, j]),
            "expected": float(expected[i, j]),
            "p": float((1 + reached[i, j]) / (1 + n_draws)),
        }
        for i in range(len(frequent))
        for j in range(len(frequent))
        if i != j
    ]
    return pd.DataFrame(rows, columns=["from", "to", "n", "expected", "p"])


def episodes(names: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return name, length and first sample of each run of the same name.

    Examples
    --------
    >>> [part.tolist() for part in episodes(np.array(["a", "a", "b", "a"]))]
    [['a', 'b', 'a'], [2, 1, 1], [0, 2, 3]]
    """
    first = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
    return names[first], np.diff(np.r_[first, len(names)]), first


def _counts(number: np.ndarray, n: int) -> np.ndarray:
    """How often each state follows on each other one; -1 is a state that nobody looks at."""
    before, after = number[:-1], number[1:]
    seen = (before >= 0) & (after >= 0)
    counts = np.bincount(before[seen] * n + after[seen], minlength=n * n).reshape(n, n)
    np.fill_diagonal(counts, 0)
    return counts


def _quasi_independent(found: np.ndarray) -> np.ndarray:
    """Products off the diagonal with the row and column sums of the counts, fitted by turns."""
    expected = 1.0 - np.eye(len(found))
    for _ in range(500):
        for axis in (1, 0):
            sums = expected.sum(axis=axis, keepdims=True)
            wanted = found.sum(axis=axis, keepdims=True)
            expected = expected * np.divide(wanted, sums, out=np.zeros(sums.shape), where=sums > 0)
    return expected
