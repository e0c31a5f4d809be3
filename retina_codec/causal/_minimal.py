"""The smallest set of channels that alone gives nearly the same responses."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import nn
from tqdm import tqdm

from retina_codec.contributions import probed
from retina_codec.networks import predict

from ._masks import preserved

MOST_FOR_ALL_SETS = 10
Channels = tuple[int, ...]
ErrorOf = Callable[[Channels], float]


def minimal_circuit(
    network: nn.Module,
    samples: Any,
    layer: str,
    *,
    error: float = 0.1,
    outputs: Sequence[int] | None = None,
    n_controls: int = 20,
    n_samples: int = 500,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    r"""Fewest channels of a layer that alone keep the responses to a stimulus.

    All other channels are 0 (see `preserved`). With y the responses of the untouched network and
    y' those of the kept channels, both over samples t and outputs c, the error is

    .. math:: \sum_{t,c} (y - y')^2 \, / \, \sum_{t,c} (y - \langle y \rangle_t)^2 .

    In a layer of at most 10 channels every set is tried, so the sets are the best there are. In a
    larger one channels are taken away one by one, each time the one that is missed least; the sets
    are then nested, and a smaller one may exist.

    Parameters
    ----------
    network
        From windows to rates in Hz; left as it was.
    samples
        Windows of the stimulus, which slice into batches.
    layer
        A name from ``network.named_modules()``.
    error
        How large the error may be.
    outputs
        Cells whose responses are to be kept; all by default.
    n_controls
        Random sets of each size; in a small layer all sets take their place.
    n_samples
        How many samples, evenly spread.
    seed
        Of the random sets.
    progress
        Whether to show a bar.

    Returns
    -------
    One row for each size, from 1 to all channels: `n_channels`, `channels` (the best set found,
    such as "0, 3"), `error`, the mean and extremes of other sets of this size (`random_error`,
    `random_low`, `random_high`), and `minimal` (1 for the smallest set within the error).

    Raises
    ------
    ValueError
        If the responses do not vary, there is no such layer or output, or `error` is not above 0.

    References
    ----------
    Tanaka et al. (2019), Advances in Neural Information Processing Systems 32:8535-8545.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    >>> network[1].weight.data[0, 0] = 0.0  # the output reads channel 1 only
    >>> x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    >>> table = minimal_circuit(network, x, "0", progress=False)
    >>> table.loc[table["minimal"] == 1, "channels"].tolist()
    ['1']
    """
    if not error > 0:
        msg = f"'error' must be above 0, got {error}. 0.1 keeps 90 % of the variance."
        raise ValueError(msg)
    index = np.unique(np.linspace(0, len(samples) - 1, min(n_samples, len(samples))).astype(int))
    chosen = samples[index]
    n_channels = _n_channels(network, layer, chosen[:1])
    known: dict[Channels, float] = {}
    error_of = _error_of(network, chosen, layer, outputs, known, disable=not progress)
    sets = _every_set if n_channels <= MOST_FOR_ALL_SETS else _backward
    rng = np.random.default_rng(seed)
    rows = [
        _row(best, error_of, controls or _random_sets(n_channels, len(best), n_controls, rng))
        for best, controls in sets(n_channels, error_of)
    ]
    table = pd.DataFrame(rows).sort_values("n_channels", ignore_index=True)
    table["minimal"] = 0
    within = table.index[table["error"] <= error]
    table.loc[within[:1], "minimal"] = 1
    return table


def _row(best: Channels, error_of: ErrorOf, controls: Sequence[Channels]) -> dict[str, Any]:
    errors = [error_of(other) for other in controls if other != best] or [np.nan]
    return {
        "n_channels": len(best),
        "channels": ", ".join(map(str, best)),
        "error": error_of(best),
        "random_error": float(np.mean(errors)),
        "random_low": min(errors),
        "random_high": max(errors),
    }


def _every_set(n_channels: int, error_of: ErrorOf):
    for size in range(1, n_channels + 1):
        every = list(combinations(range(n_channels), size))
        yield min(every, key=error_of), every


def _backward(n_channels: int, error_of: ErrorOf):
    """Yield nested sets from all channels down to one, without sets to compare them with."""
    kept = tuple(range(n_channels))
    yield kept, None
    while len(kept) > 1:
        kept = min((tuple(c for c in kept if c != gone) for gone in kept), key=error_of)
        yield kept, None


def _random_sets(n_channels: int, size: int, n_sets: int, rng) -> list[Channels]:
    drawn = {tuple(sorted(rng.choice(n_channels, size, replace=False))) for _ in range(n_sets)}
    return sorted(tuple(int(c) for c in channels) for channels in drawn)


def _error_of(network, samples, layer, outputs, known, *, disable: bool) -> ErrorOf:
    whole = _chosen(predict(network, samples), outputs)
    power = np.square(whole - whole.mean(axis=0)).sum()
    if not power > 0:
        msg = (
            f"The responses of {whole.shape[1]} outputs do not vary over {len(whole)} samples; "
            "expected a stimulus they respond to. Give another stimulus or other outputs."
        )
        raise ValueError(msg)
    bar = tqdm(desc="sets of channels", unit="set", disable=disable)

    def error_of(channels: Channels) -> float:
        if channels not in known:
            with preserved(network, layer, channels):
                kept = _chosen(predict(network, samples), outputs)
            known[channels] = float(np.square(whole - kept).sum() / power)
            bar.update()
        return known[channels]

    return error_of


def _chosen(rates: Float[np.ndarray, "sample cell"], outputs: Sequence[int] | None):
    rates = rates.astype(np.float64)
    if outputs is None:
        return rates
    wrong = [cell for cell in outputs if not 0 <= cell < rates.shape[1]]
    if wrong or not len(outputs):
        there = f"The network has outputs 0 to {rates.shape[1] - 1}"
        msg = f"{there}; expected some of them, got {list(outputs)}. Change 'outputs'."
        raise ValueError(msg)
    return rates[:, list(outputs)]


def _n_channels(network: nn.Module, layer: str, sample: Any) -> int:
    with probed(network, [layer]) as kept:
        predict(network, sample)
    return kept[layer].shape[1]
