"""The same contributions decomposed with many settings and seeds: what depends on the choice."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int
from tqdm import tqdm

from retina_codec.datatypes import Contributions, Modes
from retina_codec.statistics import class_modes, is_class_mode, random_held_out

from ._class_agreement import class_agreement
from ._decompose import decompose
from ._interface import Decomposition
from ._matching import agreement

N_SHUFFLED = 5
N_DRAWS = 1000


def sweep(
    contributions: Contributions,
    methods: Sequence[Decomposition] | Mapping[str, Decomposition],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    held_out: Bool[np.ndarray, " sample"] | None = None,
    labels: Int[np.ndarray, " sample"] | None = None,
    n_draws: int = N_DRAWS,
    progress: bool = True,
) -> pd.DataFrame:
    """Decompose with many settings, each with some seeds, and tell how much the modes agree.

    Parameters
    ----------
    contributions
        Pooled, as for `decompose`.
    methods
        The settings, by name; those of a sequence are named as scikit-learn prints them. The first
        one with the first seed is what all fits are compared with.
    seeds
        Of the fits of each setting.
    held_out
        True for samples that no fit sees. None holds out a fifth: of each class at random if there
        are labels, otherwise blocks of time.
    labels
        Number of the class of each sample, -1 where it is unknown; None for samples without
        classes.
    n_draws
        Of labels in another order, for `class_modes`.
    progress
        Whether to show a bar.

    Returns
    -------
    One row for each setting and seed:

    setting, seed, method
        `method` is the name of the class.
    r2, r2_train
        Of the samples held out, and of those fitted.
    n_modes, n_dead, active_per_sample
        Modes that are alive, that died or were removed, and that are active in a sample.
    agreement, agreement_chance
        With the first fit: sum of the cosines of matched modes by the larger number of modes; and
        of modes whose features were shuffled. At most the smaller number of modes by the larger.
        The first fit itself has NaN.
    agreement_of_seeds
        Mean agreement with the other seeds of the setting; NaN if there is only one.
    class_modes, classes_covered, n_classes
        With labels: modes that go with a class (q < 0.05, r > 0.2), how many classes are the best
        of one, and how many there are. Of all samples that have a label.
    class_agreement, class_agreement_chance
        With labels: how alike the channels of a class are in this and in the first fit, and those
        of different classes (`class_agreement`). The first fit itself has NaN.

    Raises
    ------
    ValueError
        If there are no settings or seeds, two have the same name, or as `decompose`.

    Notes
    -----
    Modes that are never negative resemble each other whatever they are, and more so the fewer
    features they have; `agreement_chance` says how much: the mean over 5 orders of the features,
    the same for all modes of a fit, so that these are as sparse and as alike as before.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557, supplement. Kuhn (1955), Naval Research Logistics
    Quarterly 2:83-97 (matching).

    Examples
    --------
    >>> from retina_codec.decomposition import NonNegativeFactors
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_modes=3, n_features=8, n_samples=500)
    >>> settings = {str(n): NonNegativeFactors(n) for n in (3, 6)}
    >>> table = sweep(contributions, settings, seeds=(0, 1), progress=False)
    >>> table[["setting", "seed", "n_modes"]].to_numpy().tolist()
    [['3', 0, 3], ['3', 1, 3], ['6', 0, 6], ['6', 1, 6]]
    """
    methods = _named(methods)
    _check_seeds(seeds)
    if held_out is None and labels is not None:
        held_out = random_held_out(contributions.values.shape[0], labels=labels)
    first, rows = None, []
    bar = tqdm(total=len(methods) * len(seeds), desc="sweep", unit="fit", disable=not progress)
    with bar:
        for setting, method in methods.items():
            fits = []
            for seed in seeds:
                fits.append(decompose(contributions, method, seed=seed, held_out=held_out))
                bar.update()
            first = first or fits[0]
            rows += [
                {"setting": setting, **_row(fit, first, fits, labels, n_draws)} for fit in fits
            ]
    return pd.DataFrame(rows)


def _row(fit: Modes, first: Modes, fits: list[Modes], labels, n_draws: int) -> dict:
    others = [agreement(fit, other) for other in fits if other is not fit]
    is_first = fit is first
    row = {
        "seed": fit.seed,
        "method": fit.method,
        "r2": fit.r2,
        "r2_train": fit.r2_train,
        "n_modes": len(fit.dictionary),
        "n_dead": fit.n_dead,
        "active_per_sample": fit.active_per_sample,
        "agreement": np.nan if is_first else agreement(first, fit),
        "agreement_chance": np.nan if is_first else _agreement_by_chance(first, fit),
        "agreement_of_seeds": float(np.mean(others)) if others else np.nan,
    }
    return row if labels is None else row | _about_classes(fit, first, labels, n_draws)


def _about_classes(fit: Modes, first: Modes, labels, n_draws: int) -> dict:
    table = class_modes(fit, labels, n_draws=n_draws)
    called = table[is_class_mode(table)]
    alike, chance = (np.nan, np.nan) if fit is first else class_agreement(first, fit, labels)
    return {
        "class_modes": len(called),
        "classes_covered": called["best_class"].nunique(),
        "n_classes": int(table["n_classes"].max()),
        "class_agreement": alike,
        "class_agreement_chance": chance,
    }


def _agreement_by_chance(first: Modes, fit: Modes) -> float:
    """Mean agreement with the modes of the other fit when its features are shuffled."""
    rng = np.random.default_rng(fit.seed)
    size = 1.0 if first.feature_scale is None else np.asarray(first.feature_scale)
    relative = np.asarray(fit.dictionary) / size
    shuffled = (rng.permutation(relative, axis=1) * size for _ in range(N_SHUFFLED))
    return float(np.mean([agreement(first, replace(fit, dictionary=d)) for d in shuffled]))


def _named(methods) -> Mapping[str, Decomposition]:
    if not len(methods):
        msg = "'methods' is empty. Give at least one setting, such as [SparseModes()]."
        raise ValueError(msg)
    if isinstance(methods, Mapping):
        return methods
    names = [" ".join(repr(method).split()) for method in methods]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        msg = f"'methods' holds {twice} more than once. Give other settings, or names in a mapping."
        raise ValueError(msg)
    return dict(zip(names, methods, strict=True))


def _check_seeds(seeds: Sequence[int]) -> None:
    if not len(seeds) or len(set(seeds)) < len(seeds):
        msg = f"'seeds' must be different numbers, at least one, got {list(seeds)}."
        raise ValueError(msg)
