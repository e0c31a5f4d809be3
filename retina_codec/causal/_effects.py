"""What removing or keeping channels does to the output of a network."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import nn
from tqdm import tqdm

from retina_codec.datatypes import Effects, Modes
from retina_codec.networks import predict

from ._masks import ablated


def channels_of_mode(modes: Modes, mode: int, *, share: float = 0.5) -> list[int]:
    """Channels that carry a mode: the fewest that together have `share` of its weight.

    The weight of a channel is the sum of the absolute weights of its features.

    Parameters
    ----------
    modes
        With their dictionary.
    mode
        Row of the dictionary.
    share
        Between 0 and 1.

    Returns
    -------
    Numbers of the channels, in increasing order.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=2, n_features=12, n_samples=50)
    >>> channels_of_mode(modes, 0), channels_of_mode(modes, 0, share=1.0)
    ([2, 4], [0, 1, 2, 3, 4, 5])
    """
    weights = np.zeros(int(np.max(modes.channel)) + 1)
    np.add.at(weights, modes.channel, np.abs(modes.dictionary[mode]))
    order = np.argsort(-weights, kind="stable")
    carried = np.cumsum(weights[order]) / weights.sum()
    return sorted(int(c) for c in order[: int(np.searchsorted(carried, share - 1e-9)) + 1])


def effects(
    network: nn.Module,
    samples: Any,
    modes: Modes,
    *,
    share: float = 0.5,
    n_controls: int = 10,
    n_samples: int = 1000,
    seed: int = 0,
    progress: bool = True,
) -> Effects:
    """Remove the channels of each mode, and as many random channels, and predict again.

    Parameters
    ----------
    network
        From windows to rates in Hz; left as it was.
    samples
        Windows that slice into batches.
    modes
        Of a layer of this network.
    share
        Which channels carry a mode; see `channels_of_mode`.
    n_controls
        Random sets of channels of the same size for each mode, other than its own and each only
        once; fewer where there are no more.
    n_samples
        How many samples, evenly spread.
    seed
        Of the random channels.
    progress
        Whether to show a bar.

    Returns
    -------
    Effects
        Rates in Hz. The table of conditions has `kind` ("ablated"), `mode`, `control` (1 for random
        channels), `draw`, `channels` and `n_channels`. Conditions with the same channels share one
        computation.

    Raises
    ------
    ValueError
        If the network has no such layer or not as many channels as the modes.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=2, n_features=12, n_samples=50)
    >>> network = nn.Sequential(nn.Identity(), nn.ReLU())  # each of 6 channels is an output
    >>> found = effects(
    ...     network,
    ...     np.ones((5, 6), np.float32),
    ...     replace(modes, layer="0"),
    ...     n_controls=1,
    ...     progress=False,
    ... )
    >>> found.conditions[["mode", "control", "channels"]]
       mode  control channels
    0     0        0     2, 4
    1     0        1     0, 4
    2     1        0     0, 4
    3     1        1     0, 3
    >>> found.relative_change.tolist()[0]
    [0.0, 0.0, -1.0, 0.0, -1.0, 0.0]
    """
    index = np.unique(np.linspace(0, len(samples) - 1, min(n_samples, len(samples))).astype(int))
    chosen = samples[index]
    conditions = _conditions(modes, share, n_controls, np.random.default_rng(seed))
    outputs: dict[tuple[int, ...], np.ndarray] = {}
    for channels in tqdm(
        sorted(set(conditions["set"])), desc="ablations", unit="set", disable=not progress
    ):
        with ablated(network, modes.layer, channels):
            outputs[channels] = predict(network, chosen)
    times = np.asarray(getattr(samples, "sample", np.arange(len(samples))))[index]
    return Effects(
        baseline=predict(network, chosen),
        perturbed=np.stack([outputs[channels] for channels in conditions["set"]]),
        conditions=conditions.drop(columns="set"),
        sample=times,
        layer=modes.layer,
    )


def selectivity(
    effects: Effects, correlations: Float[np.ndarray, "cell mode"]
) -> Float[np.ndarray, " cell"]:
    """How much more a cell loses than the others without the mode that goes best with it.

    Parameters
    ----------
    effects
        Of removing the channels of each mode, with controls.
    correlations
        Of the rate of each cell with the loading of each mode; the outputs are cells.

    Returns
    -------
    For each cell: the share of its rate that is lost without the channels of its mode, less the
    mean share that the other cells lose, less the same for as many random channels. NaN where the
    cell never fires, or no random channels were drawn.

    Raises
    ------
    ValueError
        If the numbers of cells or modes differ.

    Examples
    --------
    >>> found = Effects(
    ...     baseline=np.array([[10.0, 10.0]]),
    ...     perturbed=np.array([[[2.0, 9.0]], [[8.0, 8.0]], [[9.0, 2.0]], [[8.0, 8.0]]]),
    ...     conditions=pd.DataFrame({"mode": [0, 0, 1, 1], "control": [0, 1, 0, 1]}),
    ...     sample=np.array([0.0]),
    ...     layer="conv",
    ... )
    >>> selectivity(found, np.array([[0.9, 0.1], [0.1, 0.9]])).round(2).tolist()
    [0.7, 0.7]
    """
    n_cells, n_modes = correlations.shape
    table, change = effects.conditions, effects.relative_change
    there = (change.shape[1], int(table["mode"].max()) + 1)
    if there != (n_cells, n_modes):
        msg = (
            f"The correlations are of {n_cells} cells and {n_modes} modes, the effects of "
            f"{there[0]} and {there[1]}. Give those of the same modes."
        )
        raise ValueError(msg)
    best = np.argmax(np.nan_to_num(correlations, nan=-np.inf), axis=1)
    others = np.array(
        [np.nanmean(np.delete(change, cell, axis=1), axis=1) for cell in range(n_cells)]
    )
    beyond = others - change.T
    found = np.full(n_cells, np.nan)
    for cell, mode in enumerate(best):
        own = beyond[cell, ((table["mode"] == mode) & (table["control"] == 0)).to_numpy()]
        random = beyond[cell, ((table["mode"] == mode) & (table["control"] == 1)).to_numpy()]
        if len(random):
            found[cell] = own[0] - random.mean()
    return found


def _conditions(modes: Modes, share, n_controls, rng: np.random.Generator) -> pd.DataFrame:
    n_channels = int(np.max(modes.channel)) + 1
    rows = []
    for mode in range(len(modes.dictionary)):
        own = tuple(channels_of_mode(modes, mode, share=share))
        sets = [own, *_other_sets(own, n_channels, n_controls, rng)]
        rows += [
            {
                "kind": "ablated",
                "mode": mode,
                "control": int(draw > 0),
                "draw": draw,
                "channels": ", ".join(map(str, channels)),
                "n_channels": len(channels),
                "set": channels,
            }
            for draw, channels in enumerate(sets)
        ]
    return pd.DataFrame(rows)


def _other_sets(own, n_channels, n_controls, rng) -> list[tuple[int, ...]]:
    """Random sets of the same size, all different; every set there is when there are only a few."""
    if n_channels <= 16:
        every = [s for s in combinations(range(n_channels), len(own)) if s != own]
        return [every[i] for i in rng.permutation(len(every))[:n_controls]]
    drawn = {
        tuple(sorted(rng.choice(n_channels, len(own), replace=False))) for _ in range(n_controls)
    }
    return sorted(tuple(map(int, s)) for s in drawn - {own})
