"""Numbers that say how well channels control a class: areas under dose curves, ratios of costs."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import norm
from scipy.stats import t as student

from ._agreement import INTERVAL
from ._class_conditions import MEASURES

FEWEST_CLASSES = 4
ROUNDING = 1e-9

Drawn = Float[np.ndarray, "draw ..."]


def control_scores(table: pd.DataFrame, *, n_bootstraps: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Areas under the dose curves of a class and of the others, and how far they are apart.

    Parameters
    ----------
    table
        Of `class_control` or `superclass_control`.
    n_bootstraps
        How often classes are drawn again.
    seed
        Of the bootstrap.

    Returns
    -------
    One row for each `layer`, `ranking`, `kind` and `measure` ("accuracy", "probability"):

    - `auc_own`, `auc_others`: area under the mean curve of after / before over doses (trapezoids;
      doses are shares, from 0 to 1);
    - `score` = (auc_own - auc_others) / auc_others, with `score_low` and `score_high`: below 0 if
      removing hits the class, above 0 if keeping saves it;
    - `difference` = auc_own - auc_others, with `low` and `high`;
    - `first_score`, `first_score_low`, ...`_high`, and `first_difference`, ...: those of the first
      ranking less those of this one, with the same classes drawn for both; NaN for the first;
    - `n_classes`, and `n_nan`: classes left out because nothing was right before.

    Intervals are of 95 %, from a bootstrap over classes with the percentiles that so many classes
    need (Hesterberg's expanded percentiles); NaN for fewer than four classes. They hold for other
    classes of the same kind: images and draws of random channels are as they are.

    Raises
    ------
    ValueError
        If there is only one dose.

    Notes
    -----
    The score explodes where hardly anything is left of the other classes; the difference does not.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557. Hesterberg (2015), The American Statistician
    69:371-386.

    Examples
    --------
    >>> from torch import nn
    >>> from retina_codec.causal import class_control
    >>> table = class_control(
    ...     nn.Sequential(nn.Identity()),  # an image is its own output
    ...     np.eye(6, dtype=np.float32),
    ...     np.arange(6),
    ...     layer="0",
    ...     rankings={"its channel": lambda number: np.eye(6)[number]},
    ...     classes=range(6),
    ...     doses=[0.1, 0.9],
    ...     progress=False,
    ... )
    >>> found = control_scores(table).query("ranking == 'its channel' and measure == 'accuracy'")
    >>> found[["kind", "auc_own", "auc_others", "difference"]].round(2)
            kind  auc_own  auc_others  difference
    0    ablated     0.13        0.51       -0.37
    6  preserved     0.80        0.43        0.37
    """
    if table["dose"].nunique() < 2:
        msg = "Expected at least two doses for an area, got one. Use control_costs, or more doses."
        raise ValueError(msg)
    return _table(table, ["layer", "kind"], _area, _scores, n_bootstraps, seed)


def control_costs(table: pd.DataFrame, *, n_bootstraps: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Compare what each dose costs a class with what it costs the others.

    Parameters
    ----------
    table, n_bootstraps, seed
        As in `control_scores`.

    Returns
    -------
    One row for each `layer`, `kind`, `dose`, `ranking` and `measure`:

    - `own_cost`, `others_cost`: means over classes of 1 - after / before;
    - `ratio` = own_cost / others_cost, with `ratio_low` and `ratio_high`; infinite where the others
      lose nothing and the class does, NaN where neither does;
    - `difference` = own_cost - others_cost, with `low` and `high`;
    - `first_difference`, `first_difference_low`, ...`_high`: difference of the first ranking less
      that of this one, with the same classes drawn for both; NaN for the first;
    - `n_classes`, `n_nan`: as in `control_scores`.

    Examples
    --------
    >>> from torch import nn
    >>> from retina_codec.causal import class_control
    >>> table = class_control(
    ...     nn.Sequential(nn.Identity()),  # an image is its own output
    ...     np.eye(6, dtype=np.float32),
    ...     np.arange(6),
    ...     layer="0",
    ...     rankings={"its channel": lambda number: np.eye(6)[number]},
    ...     classes=range(6),
    ...     doses=[0.1],
    ...     progress=False,
    ... )
    >>> found = control_costs(table).query("kind == 'ablated' and measure == 'accuracy'")
    >>> found[["ranking", "own_cost", "others_cost", "difference"]].round(2)
                      ranking  own_cost  others_cost  difference
    0             its channel      0.83         0.00        0.83
    1  random of equal number      0.17         0.14        0.02
    2    random of equal mass      0.83         0.50        0.33
    """
    return _table(table, ["layer", "kind", "dose"], _cost, _costs, n_bootstraps, seed)


def _table(table, keys, per_class, numbers, n_bootstraps, seed) -> pd.DataFrame:
    rows = []
    for (names, part), measure in (
        (group, measure) for group in table.groupby(keys, sort=False) for measure in MEASURES
    ):
        rankings = list(dict.fromkeys(part["ranking"]))
        values = per_class(_ratios(part, measure), rankings)
        known = np.isfinite(values).all(axis=(0, 2))
        about = dict(zip(keys, names, strict=True)) | {"measure": measure}
        counts = {"n_classes": int(known.sum()), "n_nan": int((~known).sum())}
        levels = expanded_levels(int(known.sum()))
        found = numbers(_means(values[:, known], n_bootstraps, seed), levels)
        rows += [
            about | {"ranking": ranking} | one | counts
            for ranking, one in zip(rankings, found, strict=True)
        ]
    return pd.DataFrame(rows)


def _ratios(part: pd.DataFrame, measure: str) -> pd.DataFrame:
    """After relative to before, of the class and of others; NaN where nothing was right before."""
    middle = "" if measure == "accuracy" else f"_{measure}"
    found = part[["class", "ranking", "dose"]].copy()
    for whose in ("own", "others"):
        before = part[f"{whose}{middle}_before"]
        found[whose] = part[f"{whose}{middle}_after"] / before.where(before > 0)
    return found


def _area(ratios: pd.DataFrame, rankings) -> Float[np.ndarray, "ranking class whose"]:
    curves = ratios.pivot(index=["ranking", "class"], columns="dose")
    doses = np.sort(ratios["dose"].unique())
    areas = {w: np.trapezoid(curves[w][doses].to_numpy(), doses, axis=1) for w in ("own", "others")}
    return _stacked(pd.DataFrame(areas, index=curves.index), rankings)


def _cost(ratios: pd.DataFrame, rankings) -> Float[np.ndarray, "ranking class whose"]:
    return _stacked(1 - ratios.set_index(["ranking", "class"])[["own", "others"]], rankings)


def _stacked(frame: pd.DataFrame, rankings) -> Float[np.ndarray, "ranking class whose"]:
    classes = frame.index.get_level_values("class").unique()
    return np.stack([frame.loc[one].loc[classes].to_numpy() for one in rankings])


def expanded_levels(n: int) -> tuple[float, float] | None:
    """Percentiles of a bootstrap of n values that make a 95 % interval; None if n is below four.

    Plain ones are too near, because drawing with replacement spreads means by sqrt((n - 1) / n) of
    what it should be, and by the normal distribution instead of Student's.

    Examples
    --------
    >>> [round(level, 2) for level in expanded_levels(10)], expanded_levels(3)
    ([0.86, 99.14], None)
    """
    if n < FEWEST_CLASSES:
        return None
    reach = np.sqrt(n / (n - 1)) * student.ppf(1 - INTERVAL[0] / 100, n - 1)
    low = 100 * float(norm.cdf(-reach))
    return low, 100 - low


def _means(values, n_bootstraps: int, seed: int) -> Float[np.ndarray, "draw ranking whose"]:
    """Means over classes: first of all, then of classes drawn again, the same for all rankings."""
    n_classes = values.shape[1]
    if not n_classes:
        return np.full((1, len(values), 2), np.nan)
    draws = np.random.default_rng(seed).integers(n_classes, size=(n_bootstraps, n_classes))
    drawn = values[:, draws].mean(axis=2).transpose(1, 0, 2)
    return np.concatenate([values.mean(axis=1)[None], drawn])


def _scores(means, levels) -> Iterator[dict[str, Any]]:
    own, others = means[..., 0], means[..., 1]
    difference = own - others
    score = np.divide(difference, others, out=np.full_like(own, np.nan), where=others > 0)
    for place in range(own.shape[1]):
        yield (
            {"auc_own": own[0, place], "auc_others": others[0, place]}
            | _with_interval("score", score[:, place], "score_", levels=levels)
            | _with_interval("difference", difference[:, place], levels=levels)
            | _beyond("score", score, place, levels)
            | _beyond("difference", difference, place, levels)
        )


def _costs(means, levels) -> Iterator[dict[str, Any]]:
    own, others = means[..., 0], means[..., 1]
    difference = own - others
    ratio = np.divide(
        own, others, out=np.where(own > ROUNDING, np.inf, np.nan), where=others > ROUNDING
    )
    for place in range(own.shape[1]):
        yield (
            {"own_cost": own[0, place], "others_cost": others[0, place]}
            | _with_interval("ratio", ratio[:, place], "ratio_", levels=levels)
            | _with_interval("difference", difference[:, place], levels=levels)
            | _beyond("difference", difference, place, levels)
        )


def _with_interval(name: str, drawn: Drawn, prefix: str = "", *, levels) -> dict[str, float]:
    """Return the value and the percentiles of what was drawn; infinite values are the highest."""
    again = np.sort(drawn[1:][~np.isnan(drawn[1:])])
    low = high = np.nan
    if levels and len(again):
        low, high = again[[round(level / 100 * (len(again) - 1)) for level in levels]]
    return {name: drawn[0], f"{prefix}low": low, f"{prefix}high": high}


def _beyond(name: str, drawn: Drawn, place: int, levels) -> dict[str, float]:
    less = drawn[:, 0] - drawn[:, place] if place else np.full(len(drawn), np.nan)
    return _with_interval(f"first_{name}", less, f"first_{name}_", levels=levels)
