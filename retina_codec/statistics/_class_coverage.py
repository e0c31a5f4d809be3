"""How much of all classes the modes of a layer cover, and how they compare with other layers."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from ._layers import INTERVAL

CALLED = 0.05
LEAST_R = 0.2
N_RESAMPLED = 1000


def class_coverage(
    correlations: Float[np.ndarray, "column class"],
    *,
    chance: Iterable[Float[np.ndarray, "column class"]] = (),
    most: int = 60,
) -> pd.DataFrame:
    """How many modes go with a class, and how many classes with a mode: r over ranks.

    Parameters
    ----------
    correlations
        What `class_correlations` returned. Classes that are NaN are left out.
    chance
        What `permuted_correlations` gives, for columns with what labels without meaning have.
    most
        Ranks in the table.

    Returns
    -------
    One row for each `rank`, from 1: `class_averaged`, r of the mode of this rank, ranked for each
    class and averaged over classes; `mode_averaged`, r of the class of this rank, ranked for each
    mode and averaged over modes; NaN beyond their numbers. With `chance` also `class_chance` and
    `mode_chance`, means over draws.

    Examples
    --------
    >>> class_coverage(np.array([[0.9, 0.1], [0.0, 0.5]]))
       rank  class_averaged  mode_averaged
    0     1            0.70           0.70
    1     2            0.05           0.05
    """
    by_class, by_mode = _ranked(correlations, most)
    table = {"rank": 1 + np.arange(len(by_class))}
    table |= {"class_averaged": by_class, "mode_averaged": by_mode}
    draws = [_ranked(drawn, most) for drawn in chance]
    if draws:
        table["class_chance"], table["mode_chance"] = np.mean(draws, axis=0)
    return pd.DataFrame(table)


def class_summary(
    tables: Mapping[str, Mapping[str, pd.DataFrame]],
    *,
    least_r: float = LEAST_R,
    false_discovery_rate: float = CALLED,
    seed: int = 0,
) -> pd.DataFrame:
    """How far modes go with classes, for each layer and kind of modes or features.

    Parameters
    ----------
    tables
        For each layer, for each kind (a name such as "contribution modes"): what `class_modes` or
        `class_features` returned.
    least_r, false_discovery_rate
        A class mode has q below the one and r above the other.
    seed
        Of the modes that are drawn again for the interval.

    Returns
    -------
    One row for each `layer` and `kind`: `n_modes`, and `n_tested` of them that are not rare; of
    these, median best `r` with its 95 % interval `low` to `high` (modes drawn again with
    replacement), median `chance` and, where it is known, median `r_test`; `class_modes`, their
    number, and `share` of the modes tested; `classes_covered`, the best classes of the class modes,
    of `n_classes`. NaN where no mode was tested.

    Examples
    --------
    >>> from retina_codec.statistics import class_features
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_samples=60)
    >>> table = class_features(contributions, np.arange(60) % 3, n_draws=19)
    >>> class_summary({"planted": {"features": table}})["class_modes"].tolist()
    [0]
    """
    rows = [
        {"layer": layer, "kind": kind, **_summary_of(table, least_r, false_discovery_rate, seed)}
        for layer, kinds in tables.items()
        for kind, table in kinds.items()
    ]
    return pd.DataFrame(rows)


def is_class_mode(
    table: pd.DataFrame, *, least_r: float = LEAST_R, false_discovery_rate: float = CALLED
) -> Bool[np.ndarray, " mode"]:
    """Tell which rows of a table of `class_modes` are class modes.

    Parameters
    ----------
    table
        Of `class_modes`, with the columns `r` and `q`.
    least_r
        Class modes have a larger r.
    false_discovery_rate
        Class modes have a smaller q.

    Returns
    -------
    False also where q is NaN: modes that were not tested.

    Examples
    --------
    >>> is_class_mode(pd.DataFrame({"r": [0.3, 0.3, 0.1], "q": [0.01, np.nan, 0.01]})).tolist()
    [True, False, False]
    """
    return ((table["q"] < false_discovery_rate) & (table["r"] > least_r)).to_numpy()


def _ranked(correlations, most: int) -> Float[np.ndarray, "2 rank"]:
    r = correlations[:, ~np.isnan(correlations).any(axis=0)]
    n_ranks = min(most, max(r.shape))
    curves = np.full((2, n_ranks), np.nan)
    for curve, ordered in zip(curves, (r.T, r), strict=True):
        means = -np.sort(-ordered, axis=1).mean(axis=0)
        curve[: len(means)] = means[:n_ranks]
    return curves


def _summary_of(table: pd.DataFrame, least_r: float, rate: float, seed: int) -> dict:
    tested = table[~table["rare"]]
    called = tested[is_class_mode(tested, least_r=least_r, false_discovery_rate=rate)]
    low, high = _interval_of_median(tested["r"].to_numpy(), np.random.default_rng(seed))
    row = {
        "n_modes": len(table),
        "n_tested": len(tested),
        "r": tested["r"].median(),
        "low": low,
        "high": high,
        "chance": tested["chance"].median(),
        "class_modes": len(called),
        "share": len(called) / len(tested) if len(tested) else np.nan,
        "classes_covered": called["best_class"].nunique(),
        "n_classes": int(table["n_classes"].max()),
    }
    return row | ({"r_test": tested["r_test"].median()} if "r_test" in table else {})


def _interval_of_median(values, rng) -> Float[np.ndarray, " 2"]:
    if not len(values):
        return np.full(2, np.nan)
    drawn = rng.choice(values, (N_RESAMPLED, len(values)))
    return np.percentile(np.median(drawn, axis=1), INTERVAL)
