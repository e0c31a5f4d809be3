"""Whether a class needs the channels that are said to make it, and whether they are enough."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from scipy.special import softmax
from torch import nn
from tqdm import tqdm

from ._class_conditions import (
    KINDS,
    MEASURES,
    Probabilities,
    Setting,
    Target,
    conditions_of,
    drawn,
    images_of,
    masses_of,
    measured,
    replaced,
)
from ._rankings import Ranking
from ._replacements import Replacement, zero

CONTROL_DOSES = (0.01, 0.02, 0.05, 0.1, 0.18, 0.25, 0.5, 0.8, 0.99)
as_probabilities: Probabilities = partial(softmax, axis=-1)


def class_control(
    network: nn.Module,
    samples: Any,
    labels: Int[np.ndarray, " sample"],
    *,
    layer: str,
    rankings: Mapping[str, Ranking],
    classes: Sequence[int],
    doses: Sequence[float] = CONTROL_DOSES,
    towards: Replacement = zero,
    n_random: int = 3,
    n_others: int = 100,
    channel_axis: int = 1,
    probabilities: Probabilities = as_probabilities,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Remove, or keep alone, the channels that are most important for a class, by doses.

    Removing tells whether the class needs them, keeping them alone whether they are enough. Both
    count only as far as other classes fare otherwise, and better than with random channels.

    Parameters
    ----------
    network
        From images to one output for each class; left as it was.
    samples, labels
        Test images, on which nothing was chosen, and their classes; -1 where unknown, which are
        left out.
    layer
        Whose channels are removed.
    rankings
        Ways to say which channels matter, such as `by_class_mode`. The first is the one to test.
    classes
        Classes to control.
    doses
        Shares of the layer's channels, the highest in the ranking, rounded to at least one channel;
        equal scores come in random order.
    towards
        What removed channels put out instead: `zero`, `mean`, `grey` or `resampled()`, made from at
        most 256 of the images, evenly spread.
    n_random
        Draws of random channels. "random of equal number": as many channels as the dose asks;
        "random of equal mass": as many random channels as together deviate as much from the
        replacement, on the mean over space and the images of the class, as the channels of the
        first ranking do (as nearly as whole channels can, at least one).
    n_others
        At most so many images of other classes, the same for all rankings and doses.
    channel_axis
        1 for maps and dense layers, -1 for tokens "sample token feature".
    probabilities
        From outputs to probabilities; softmax unless the network does it.
    seed
        Of the images of other classes, the random channels and equal scores.
    progress
        Whether to show a bar.

    Returns
    -------
    One row for each class, ranking (with the two random ones), kind ("ablated", "preserved") and
    dose. Values of random channels are means over draws.

    - `n_channels`, and `mass`: their deviation from the replacement relative to that of all;
    - `own_before`, `own_after`, `others_before`, `others_after`: share of the images of the class,
      and of other classes, whose largest output is that of their class;
    - `own_cost` = 1 - own_after / own_before, `others_cost`; NaN where nothing was right before;
    - the same for the mean probability of an image's class: `own_probability_before`, ...,
      `own_probability_cost`, `others_probability_cost`;
    - `n_own`, `n_others`: numbers of images.

    Raises
    ------
    ValueError
        If labels and images differ in number, a class has no images, or a ranking has other
        channels than the layer.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557.

    Examples
    --------
    >>> network, labels = nn.Sequential(nn.Identity()), np.arange(3)
    >>> table = class_control(
    ...     network,
    ...     np.eye(3, dtype=np.float32),
    ...     labels,
    ...     layer="0",
    ...     rankings={"its channel": lambda number: np.eye(3)[number]},
    ...     classes=[1],
    ...     doses=[0.3],
    ...     progress=False,
    ... )
    >>> table[table["ranking"] == "its channel"].set_index("kind")["own_cost"].to_dict()
    {'ablated': 1.0, 'preserved': 0.0}
    """
    return _control(
        network,
        samples,
        labels,
        rankings={layer: rankings},
        targets=[Target(int(one), int(one), [int(one)]) for one in classes],
        setting=Setting(
            doses, towards, n_random, n_others, channel_axis, probabilities, seed, progress
        ),
    )


def superclass_control(
    network: nn.Module,
    samples: Any,
    labels: Int[np.ndarray, " sample"],
    *,
    rankings: Mapping[str, Mapping[str, Ranking]],
    sets: Mapping[str, Sequence[int]],
    doses: Sequence[float] = (0.09, 0.37),
    towards: Replacement = zero,
    n_random: int = 3,
    n_others: int = 100,
    channel_axis: int = 1,
    probabilities: Probabilities = as_probabilities,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Do what `class_control` does with sets of classes, in several layers at the same time.

    Parameters
    ----------
    network, samples, labels
        As in `class_control`; an image counts as right if its own class has the largest output.
    rankings
        For each layer the same names with the rankings of that layer. They are asked for the
        numbers of the sets: make them from labels that went through `in_sets`.
    sets
        Classes of each superclass.
    doses
        Shares of the channels of each layer.
    towards, n_random, n_others, channel_axis, probabilities, seed, progress
        As in `class_control`; random channels are drawn in each layer.

    Returns
    -------
    The table of `class_control`; `class` is the name of the set.

    Raises
    ------
    ValueError
        As `class_control`, and if the layers have rankings of different names.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557, supplement.

    Examples
    --------
    >>> network, labels = nn.Sequential(nn.Identity()), np.arange(4)
    >>> table = superclass_control(
    ...     network,
    ...     np.eye(4, dtype=np.float32),
    ...     labels,
    ...     rankings={"0": {"its channels": lambda number: np.eye(2)[number].repeat(2)}},
    ...     sets={"animals": [0, 1], "plants": [2, 3]},
    ...     doses=[0.5],
    ...     progress=False,
    ... )
    >>> its = table[(table["ranking"] == "its channels") & (table["kind"] == "ablated")]
    >>> its[["class", "n_channels", "own_after", "others_after"]]
         class  n_channels  own_after  others_after
    0  animals         2.0        0.5           1.0
    6   plants         2.0        0.0           1.0
    """
    targets = [
        Target(name, number, [int(m) for m in members])
        for number, (name, members) in enumerate(sets.items())
    ]
    setting = Setting(
        doses, towards, n_random, n_others, channel_axis, probabilities, seed, progress
    )
    return _control(network, samples, labels, rankings=rankings, targets=targets, setting=setting)


def _control(network, samples, labels, *, rankings, targets, setting: Setting) -> pd.DataFrame:
    _check(samples, labels, rankings, targets, setting.doses)
    instead = replaced(network, samples, list(rankings), setting.towards)
    rows = []
    for target in tqdm(targets, desc="classes", unit="class", disable=not setting.progress):
        own, others = images_of(labels, target.members, setting)
        rng = np.random.default_rng([setting.seed, target.number, 1])
        there = drawn(instead, len(own) + len(others), rng)
        masses = masses_of(network, samples, own, there, setting.channel_axis)
        conditions = list(conditions_of(target, rankings, masses, setting, rng))
        found = measured(network, samples, labels, np.r_[own, others], conditions, there, setting)
        rows += _rows_of(target, conditions, found, len(own), masses)
    return pd.DataFrame(rows)


def _rows_of(target, conditions, found, n_own, masses) -> Iterator[dict[str, Any]]:
    before, after = found
    keys = dict.fromkeys((condition.ranking, condition.dose) for condition in conditions)
    for (ranking, dose), (place, kind) in ((key, one) for key in keys for one in enumerate(KINDS)):
        draws = [i for i, one in enumerate(conditions) if one[:2] == (ranking, dose)]
        chosen = [conditions[i].chosen for i in draws]
        row = {
            "class": target.name,
            "layer": ", ".join(masses),
            "ranking": ranking,
            "kind": kind,
            "dose": dose,
            "n_channels": float(np.mean([sum(m.sum() for m in one.values()) for one in chosen])),
            "mass": float(np.mean([_mass(one, masses) for one in chosen])),
        }
        of_draws = after[place][draws].mean(axis=0)
        for measure, (was, now) in zip(MEASURES, zip(before, of_draws, strict=True), strict=True):
            own = _compared("own", measure, was[:n_own], now[:n_own])
            row |= own | _compared("others", measure, was[n_own:], now[n_own:])
        yield row | {"n_own": n_own, "n_others": len(before[0]) - n_own}


def _mass(chosen, masses) -> float:
    """Mean over layers of the share of the mass that the chosen channels have."""
    shares = [m[chosen[layer]].sum() / m.sum() for layer, m in masses.items() if m.sum() > 0]
    return float(np.mean(shares)) if shares else np.nan


def _compared(whose: str, measure: str, before, after) -> dict[str, float]:
    name = whose if measure == "accuracy" else f"{whose}_{measure}"
    was, now = float(before.mean()), float(after.mean())
    cost = 1 - now / was if was > 0 else np.nan
    return {f"{name}_before": was, f"{name}_after": now, f"{name}_cost": cost}


def _check(samples, labels, rankings, targets, doses) -> None:
    if len(samples) != len(labels):
        msg = (
            f"Got {len(labels)} labels for {len(samples)} images; expected one for each. Give the "
            "labels of these images."
        )
        raise ValueError(msg)
    names = [list(of_layer) for of_layer in rankings.values()]
    if not names or not names[0] or any(one != names[0] for one in names):
        msg = f"Expected the same rankings, at least one, in each layer, got {names}."
        raise ValueError(msg)
    if not len(doses) or not all(0 < dose <= 1 for dose in doses) or not targets:
        msg = (
            f"Expected doses above 0, up to 1, and at least one class, got doses {list(doses)} and "
            f"{len(targets)} classes."
        )
        raise ValueError(msg)
    for target in targets:
        n_own = int(np.isin(labels, target.members).sum())
        if not n_own or n_own == int((labels >= 0).sum()):
            msg = (
                f"{n_own} images are of class {target.name!r}, of {int((labels >= 0).sum())} with "
                "a label; expected some of it and some of others. Leave the class out."
            )
            raise ValueError(msg)
