"""Contributions and activations of a layer side by side, equally sparse or equally exact."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from torch import nn

from retina_codec import causal
from retina_codec.contributions import activations, population_sum
from retina_codec.datatypes import Contributions, Modes
from retina_codec.decomposition import Decomposition, decompose, decompose_alike
from retina_codec.export import load, save
from retina_codec.networks import load_network, windows_for
from retina_codec.statistics import (
    circular_shift,
    hoyer_sparsity,
    n_components,
    net_of_channels,
    participation_ratio,
    pearson,
    promoting,
)

from ._config import method_named
from ._kept import write_table
from ._run import kept_modes

N_BLOCKS = 20
N_SHIFTS = 20
INTERVAL = 2.5, 97.5

Index = Int[np.ndarray, " n"]
Statistic = Callable[[Index], float]


class Quantity(NamedTuple):
    """Something that contributions and activations are compared in.

    `groups` are the indices that are drawn together in the bootstrap: blocks of time, or cells.
    """

    name: str
    of_contributions: Statistic
    of_activations: Statistic
    groups: Sequence[Index]


def compare(
    network: nn.Module,
    samples: Any,
    contributions: Contributions,
    others: Contributions,
    *,
    rates: Float[np.ndarray, "sample cell"],
    method: Decomposition,
    measure: Callable[[Modes], float] = attrgetter("active_per_sample"),
    n_bootstraps: int = 500,
    seed: int = 0,
    progress: bool = True,
) -> tuple[pd.DataFrame, Modes, Modes]:
    """Decompose contributions and activations alike, and tell how they differ.

    Parameters
    ----------
    network, samples
        What they were computed from, for the causal test.
    contributions, others
        Contributions and activations of one layer, pooled alike, of the same samples.
    rates
        Of the cells in these samples, predicted or recorded.
    method
        Decomposition with a parameter `smallest_loading`, such as `SparseModes`; for activations it
        is set so that `measure` is the same.
    measure
        What is the same for both; see `decompose_alike`.
    n_bootstraps
        How often blocks of time, or cells, are drawn again for the intervals.
    seed
        Of the decompositions, the random channels and the bootstrap.
    progress
        Whether to show bars.

    Returns
    -------
    table
        One row for each quantity: its value for `contributions` and `activations`, their
        `difference` and its 95 % interval `low` to `high` (percentile bootstrap over 20 blocks of
        time or over cells; NaN where there is none), and whether it is `over` blocks or cells.
    modes, modes_of_activations

    Raises
    ------
    ValueError
        If the two are of other samples or layers.

    Notes
    -----
    Contributions have both signs and activations may not, which alone makes activations look less
    sparse; so sparsity and dimensionality are given for the sums over each channel, and for the
    promoting parts alone, which are never negative. The best correlation of a cell with any mode
    grows with the number of modes by chance: the mean best correlation after circular shifts of the
    loadings is taken away.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap.

    Examples
    --------
    >>> import torch
    >>> from retina_codec.contributions import integrated_gradients
    >>> from retina_codec.decomposition import SparseModes
    >>> from retina_codec.networks import predict
    >>> samples = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    >>> with torch.random.fork_rng():
    ...     _ = torch.manual_seed(0)
    ...     network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> how = {"layers": ["1"], "target": population_sum(), "progress": False}
    >>> pair = [make(network, samples, **how)["1"] for make in (integrated_gradients, activations)]
    >>> table, modes, _ = compare(
    ...     network, samples, *pair, rates=predict(network, samples),
    ...     method=SparseModes(n_modes=2, n_passes=1), measure=lambda modes: len(modes.dictionary),
    ...     n_bootstraps=5, progress=False,
    ... )
    >>> table["quantity"].tolist()[:4]
    ['modes alive', 'active modes in a sample', 'held-out R2', 'sparsity']
    """
    _check(contributions, others, rates)
    modes = decompose(contributions, method, seed=seed)
    alike = decompose_alike(others, method, modes, measure=measure)
    by_cell = [_of_cells(network, samples, one, rates, seed, progress) for one in (modes, alike)]
    blocks = np.array_split(np.arange(len(rates)), N_BLOCKS)
    cells = list(np.arange(rates.shape[1])[:, None])
    pair = (contributions, others)
    quantities = [
        *_of_values("", [net_of_channels(one).values for one in pair], blocks),
        *_of_values(" of promoting parts", [promoting(one).values for one in pair], blocks),
        _mean("correlation of a cell with its best mode, beyond chance", by_cell, 0, cells),
        _mean("causal selectivity", by_cell, 1, cells),
    ]
    rng = np.random.default_rng(seed)
    rows = [_settled(name, modes, alike) for name in SETTLED]
    rows += [_compared(quantity, n_bootstraps, rng) for quantity in quantities]
    return pd.DataFrame(rows), modes, alike


def compare_run(folder: str | PathLike, *, progress: bool = True) -> dict[str, pd.DataFrame]:
    """Compare contributions with activations in every layer of a finished run.

    Keeps ``comparison_LAYER.csv`` and ``activation_modes_LAYER.nc`` in its folder.

    Parameters
    ----------
    folder
        Of the run, whose recording and network lie where they were.
    progress
        Whether to show bars.

    Returns
    -------
    dict
        A table for each layer; see `compare`.

    Raises
    ------
    ValueError
        If the folder holds no finished run, or its decomposition cannot be set to a sparsity.
    OSError
        If the recording or the network is gone.

    Examples
    --------
    >>> compare_run("my_run")["relu1"]  # doctest: +SKIP
    >>> compare_run("not_begun")
    Traceback (most recent call last):
    ValueError: not_begun holds no finished run: expected ...
    """
    folder = Path(folder)
    config, recording, layers = kept_modes(folder)
    method = method_named(config.method)
    if "smallest_loading" not in method.get_params():
        msg = f"{config.method} has no 'smallest_loading' to match. Run with SparseModes first."
        raise ValueError(msg)
    network = load_network(Path(config.network or folder / "network"))  # not code: read from a file
    samples = windows_for(network, recording.stimulus, frames=recording.splits["test"])
    found = activations(
        network, samples, layers=list(layers), target=population_sum(), progress=progress
    )
    rates, tables = load(folder / "predictions.nc").predicted, {}
    for layer in layers:
        tables[layer], _, alike = compare(
            network,
            samples,
            load(folder / f"contributions_{layer}.nc"),
            found[layer],
            rates=rates,
            method=method,
            seed=config.seed,
            progress=progress,
        )
        save(alike, folder / f"activation_modes_{layer}.nc")
        write_table(folder / f"comparison_{layer}.csv", tables[layer])
    return tables


SETTLED: dict[str, Callable[[Modes], float]] = {
    "modes alive": lambda modes: float(len(modes.dictionary)),
    "active modes in a sample": lambda modes: modes.active_per_sample,
    "held-out R2": lambda modes: modes.r2,
}


def _settled(name: str, modes: Modes, alike: Modes) -> dict[str, Any]:
    values = [SETTLED[name](one) for one in (modes, alike)]
    return _row(name, values, (np.nan, np.nan), "")


def _compared(quantity: Quantity, n_bootstraps: int, rng: np.random.Generator) -> dict[str, Any]:
    name, of_contributions, of_activations, groups = quantity
    everything = np.concatenate(groups)
    draws = []
    for _ in range(n_bootstraps):
        drawn = np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        draws.append(of_contributions(drawn) - of_activations(drawn))
    values = [of_contributions(everything), of_activations(everything)]
    over = "cells" if len(groups[0]) == 1 else "blocks of time"
    return _row(name, values, np.nanpercentile(draws, INTERVAL), over)


def _row(name, values, interval, over) -> dict[str, Any]:
    return {
        "quantity": name,
        "contributions": values[0],
        "activations": values[1],
        "difference": values[0] - values[1],
        "low": interval[0],
        "high": interval[1],
        "over": over,
    }


def _of_values(suffix: str, pair, blocks) -> list[Quantity]:
    sparsity = [hoyer_sparsity(values) for values in pair]
    return [
        Quantity(
            f"sparsity{suffix}", *(lambda i, each=each: each[i].mean() for each in sparsity), blocks
        ),
        Quantity(
            f"components to 95 %{suffix}",
            *(lambda i, values=values: n_components(values[i]) for values in pair),
            blocks,
        ),
        Quantity(
            f"participation ratio{suffix}",
            *(lambda i, values=values: participation_ratio(values[i]) for values in pair),
            blocks,
        ),
    ]


def _mean(name: str, pair, which: int, cells) -> Quantity:
    both = ~np.isnan(pair[0][which] + pair[1][which])
    of_each = [np.where(both, one[which], np.nan) for one in pair]
    return Quantity(
        name, *(lambda i, each=each: float(np.nanmean(each[i])) for each in of_each), cells
    )


def _of_cells(network, samples, modes, rates, seed, progress):
    """Return, for each cell, its best correlation beyond chance, and its causal selectivity."""
    found = causal.effects(network, samples, modes, seed=seed, progress=progress)
    r = pearson(np.asarray(modes.loadings), rates).T
    return best_beyond_chance(rates, np.asarray(modes.loadings), seed), causal.selectivity(found, r)


def best_beyond_chance(
    rates: Float[np.ndarray, "sample cell"], loadings: Float[np.ndarray, "sample mode"], seed: int
) -> Float[np.ndarray, " cell"]:
    """Return the best correlation of each cell, less its mean after circular shifts."""
    rng = np.random.default_rng(seed)
    orders = [circular_shift(len(loadings), rng) for _ in range(N_SHIFTS)]
    chance = [pearson(loadings[order], rates).max(axis=0) for order in orders]
    return pearson(loadings, rates).max(axis=0) - np.mean(chance, axis=0)


def _check(contributions: Contributions, others: Contributions, rates) -> None:
    same = (
        contributions.layer == others.layer
        and contributions.values.shape == others.values.shape
        and np.array_equal(contributions.sample, others.sample)
        and len(rates) == len(contributions.sample)
    )
    if not same:
        msg = (
            "Contributions, activations and rates must be of the same samples, the first two of "
            f"one layer with the same pooling, got {contributions.values.shape} of layer "
            f"{contributions.layer!r}, {others.values.shape} of {others.layer!r} and "
            f"{len(rates)} samples of rates."
        )
        raise ValueError(msg)
