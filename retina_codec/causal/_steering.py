"""Scale a mode up or down while a network runs, and see what it does to classes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import nn

from retina_codec.contributions import hooked
from retina_codec.datatypes import Modes

from ._agreement import INTERVAL, N_BOOTSTRAPS
from ._class_conditions import IMAGES_AT_ONCE, Probabilities, drawn, replaced
from ._classes import as_probabilities
from ._conditions import responses_under
from ._doses import deranged
from ._masks import along
from ._replacements import Replacement, zero

FACTORS = (0.0, 0.5, 1.0, 1.5, 2.0)


Holds = Callable[[Modes], Float[np.ndarray, "mode channel"]]


def relative_to_largest(modes: Modes) -> Float[np.ndarray, "mode channel"]:
    """Hold of each mode on each channel: its weight relative to the mode's largest.

    The weight of a channel is the sum of the absolute weights of its features. A mode holds its
    strongest channel fully, also where other modes use it: steering is strong, and removes what
    other modes do with the channel as well. A mode without weights holds nothing.

    Parameters
    ----------
    modes
        Of one layer.

    Returns
    -------
    Between 0 and 1; the largest of each mode is 1.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=2, n_features=12, n_samples=50)
    >>> relative_to_largest(modes).round(2)
    array([[0.48, 0.38, 1.  , 0.34, 0.6 , 0.21],
           [0.32, 0.19, 0.07, 0.31, 1.  , 0.15]])
    """
    weights = _weights(modes)
    largest = weights.max(axis=1, keepdims=True)
    return np.divide(weights, largest, out=np.zeros_like(weights), where=largest > 0)


def shares_among_modes(modes: Modes) -> Float[np.ndarray, "mode channel"]:
    r"""Hold of each mode on each channel: its share of it, on the mean over samples.

    Parameters
    ----------
    modes
        Of one layer, with loadings.

    Returns
    -------
    Between 0 and 1; over modes they sum to 1 where any mode has weight on the channel.

    Notes
    -----
    With weights D (over the features f of channel c) and mean absolute loadings l of modes m,

    .. math:: h_{mc} = l_m \sum_f |D_{mf}| \, / \, \sum_{m'} l_{m'} \sum_f |D_{m'f}| .

    A channel that serves two modes is not silenced when one of them goes, and the holds of all
    modes sum to 1, so that removing all modes removes each channel once. It is the mean form of
    `receptive_fields.shares_of_modes`, without what no mode explains: cautious, and weak for modes
    that are active in few samples but share their channels. A channel in no mode is held by none.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=2, n_features=12, n_samples=50)
    >>> shares_among_modes(modes).round(2)
    array([[0.59, 0.65, 0.93, 0.51, 0.36, 0.57],
           [0.41, 0.35, 0.07, 0.49, 0.64, 0.43]])
    """
    size = np.abs(np.asarray(modes.loadings, dtype=float)).mean(axis=0)
    held = size[:, None] * _weights(modes)
    total = held.sum(axis=0)
    return np.divide(held, total, out=np.zeros_like(held), where=total > 0)


def _weights(modes: Modes) -> Float[np.ndarray, "mode channel"]:
    channel = np.asarray(modes.channel)
    one_hot = (channel[:, None] == np.arange(int(channel.max()) + 1)).astype(float)
    return np.abs(np.asarray(modes.dictionary, dtype=float)) @ one_hot


@contextmanager
def steered(
    network: nn.Module,
    modes: Modes,
    mode: int,
    factor: float,
    *,
    holds: Holds = relative_to_largest,
    channel_axis: int = 1,
    towards: torch.Tensor | None = None,
) -> Iterator[nn.Module]:
    """Scale a mode inside the block: 0 removes it, 1 changes nothing, 2 doubles it.

    Channel c of the modes' layer puts out ``towards + (1 + (factor - 1) h) (output - towards)``,
    where h, from 0 to 1, is the mode's hold on it. Only the modes' weights are needed, so any
    input can be steered.

    Parameters
    ----------
    network
        Left as it was after the block, also after an exception.
    modes
        Of a layer of this network.
    mode
        Row of the dictionary.
    factor
        Of the mode.
    holds
        `relative_to_largest` or `shares_among_modes`.
    channel_axis
        1 for maps and dense layers, -1 for tokens "sample token feature".
    towards
        What removed channels put out instead, as in `ablated`; None is 0.

    Yields
    ------
    The network, in which the mode is scaled as long as the block lasts.

    Raises
    ------
    ValueError
        If there is no such mode or layer; in the first pass, if the layer has other channels.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=2, n_features=12, n_samples=50)
    >>> network = nn.Sequential(nn.Identity(), nn.ReLU())
    >>> with steered(network, replace(modes, layer="0"), 0, 2.0):
    ...     [round(value, 2) for value in network(torch.ones(1, 6))[0].tolist()]
    [1.48, 1.38, 2.0, 1.34, 1.6, 1.21]
    """
    hold = torch.from_numpy(1 + (factor - 1) * _hold(modes, mode, holds))[None]

    def instead(name, output):
        if output.shape[channel_axis] != hold.shape[1]:
            msg = (
                f"Layer {modes.layer!r} puts out {output.shape[channel_axis]} channels, the modes "
                f"have {hold.shape[1]}. Give the modes of this layer, or change 'channel_axis'."
            )
            raise ValueError(msg)
        there = torch.zeros_like(output[:1]) if towards is None else towards.to(output)
        return there + along(hold.to(output), output, channel_axis) * (output - there)

    with hooked(network, [modes.layer], instead):
        yield network


def steering_curve(
    network: nn.Module,
    samples: Any,
    modes: Modes,
    *,
    mode: int,
    classes: Sequence[int],
    factors: Sequence[float] = FACTORS,
    holds: Holds = relative_to_largest,
    towards: Replacement = zero,
    n_controls: int = 10,
    channel_axis: int = 1,
    probabilities: Probabilities = as_probabilities,
    seed: int = 0,
) -> pd.DataFrame:
    """Probabilities of classes when a mode is scaled (see `steered`), beside random channels.

    Parameters
    ----------
    network
        From images to one output for each class; left as it was.
    samples
        Images.
    modes, mode
        Which mode is scaled.
    classes
        Whose probabilities are told.
    factors
        0 removes the mode, 1 changes nothing, 2 doubles it.
    holds
        `relative_to_largest` or `shares_among_modes`.
    towards
        What removed channels put out instead.
    n_controls
        How often the mode's holds are given to other channels in random order.
    channel_axis
        1 for maps and dense layers, -1 for tokens.
    probabilities
        From outputs to probabilities; softmax unless the network does it.
    seed
        Of the random channels and the bootstrap.

    Returns
    -------
    One row for each `class`, `factor` and `control` (0: the mode, 1: random channels): `mean` over
    images, and `low` to `high`: for the mode the 95 % interval of the mean (bootstrap over images),
    for the controls the central 95 % of the means of single draws. `mode`, `n_images` and
    `n_controls` are the same in all rows.

    Raises
    ------
    ValueError
        If there is no such mode or layer, or the layer has other channels.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=2, n_features=12, n_samples=50)
    >>> network = nn.Sequential(nn.Identity(), nn.ReLU())  # each of 6 channels is a class
    >>> images = np.ones((4, 6), np.float32)
    >>> table = steering_curve(
    ...     network, images, replace(modes, layer="0"), mode=0, classes=[1], factors=[0.0, 1.0, 2.0]
    ... )
    >>> table[["class", "factor", "control", "mean"]].round(3)
       class  factor  control   mean
    0      1     0.0        0  0.183
    1      1     0.0        1  0.156
    2      1     1.0        0  0.167
    3      1     1.0        1  0.167
    4      1     2.0        0  0.143
    5      1     2.0        1  0.188
    """
    rng = np.random.default_rng(seed)
    own = _hold(modes, mode, holds)
    every = [own, *(own[deranged(np.arange(len(own)), rng)] for _ in range(n_controls))]
    scale = 1 + (np.asarray(factors, dtype=float)[:, None, None] - 1) * np.array(every)
    found = _under(
        network, samples, modes.layer, scale, classes, towards, channel_axis, probabilities, rng
    )
    about = {"mode": mode, "n_images": len(samples), "n_controls": n_controls}
    rows = []
    for (place, one), (step, factor) in (
        (c, f) for c in enumerate(classes) for f in enumerate(factors)
    ):
        values = found[step, :, :, place]
        key = about | {"class": one, "factor": float(factor)}
        rows.append(key | {"control": 0} | _with_interval(values[0], rng))
        if n_controls:
            means = values[1:].mean(axis=1)
            low, high = np.percentile(means, INTERVAL)
            rows.append(key | {"control": 1, "mean": means.mean(), "low": low, "high": high})
    return pd.DataFrame(rows)


def _hold(modes: Modes, mode: int, holds: Holds) -> Float[np.ndarray, " channel"]:
    if not 0 <= mode < len(modes.dictionary):
        msg = f"There is no mode {mode}; expected one of 0 to {len(modes.dictionary) - 1}."
        raise ValueError(msg)
    return holds(modes)[mode]


def _under(network, samples, layer, scale, classes, towards, channel_axis, probabilities, rng):
    """Probabilities "factor control sample class" under scales "factor control channel"."""
    classes = list(classes)
    factors = scale.reshape(-1, 1, scale.shape[-1]).astype(np.float32)
    there = drawn(replaced(network, samples, [layer], towards), len(samples), rng)[layer]
    found = [
        responses_under(
            network,
            np.asarray(samples[first : first + IMAGES_AT_ONCE]),
            {layer: factors},
            {layer: there[first : first + IMAGES_AT_ONCE] if len(there) > 1 else there},
            channel_axis=channel_axis,
            reduced=lambda outputs: probabilities(outputs)[..., classes],
        )
        for first in range(0, len(samples), IMAGES_AT_ONCE)
    ]
    return np.concatenate(found, axis=1).reshape(*scale.shape[:2], len(samples), len(classes))


def _with_interval(values: Float[np.ndarray, " sample"], rng) -> dict[str, float]:
    again = values[rng.integers(len(values), size=(N_BOOTSTRAPS, len(values)))].mean(axis=1)
    low, high = np.percentile(again, INTERVAL)
    return {"mean": float(values.mean()), "low": low, "high": high}
