"""Where the field of a moment comes from: its exact split onto channels, and onto modes."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import nn

from retina_codec.contributions import bypassed, frozen
from retina_codec.datatypes import Contributions, Fields, Modes

from .entrance import Entrance, LazyFields, entrance_of
from .instantaneous import (
    AT_THE_SAMPLE,
    Cells,
    as_input,
    begun,
    fields_of,
    in_batches,
    items_of,
)

BYPASSED = "bypassed"
UNEXPLAINED = "unexplained"


def attribute_to_channels(
    network: nn.Module,
    samples: Any,
    *,
    layer: str,
    cells: Cells,
    index: Sequence[int] | Int[np.ndarray, " moment"],
    points: Sequence[float] = AT_THE_SAMPLE,
    frame_rate_hz: float | None = None,
) -> Fields:
    """Split the instantaneous field of each cell into the parts that went through each channel.

    Parameters
    ----------
    network
        From windows to rates in Hz; it is left as it was.
    samples
        Windows that slice into batches.
    layer
        Its output has channels along the second axis.
    cells, index, points, frame_rate_hz
        As in `instantaneous_fields`; with `midpoints` the integrated field is split.

    Returns
    -------
    Fields
        For each sample and cell one item for each channel, and, if the stimulus reaches the output
        also round the layer, one item "bypassed" (channel -1). The items of a sample and a cell sum
        to its field. Values are lazy as in `instantaneous_fields`.

    Raises
    ------
    ValueError
        If there is no such layer.

    Notes
    -----
    With the response r, the output z of the layer and the stimulus s, the part of channel k is the
    sum over its units of (dr / dz) (dz / ds): the chain rule, term by term.

    Examples
    --------
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> samples = np.random.default_rng(0).normal(size=(5, 3, 2, 2)).astype(np.float32)
    >>> where = {"cells": [0], "index": [4], "frame_rate_hz": 100.0}
    >>> parts = attribute_to_channels(network, samples, layer="2", **where)
    >>> from retina_codec.receptive_fields import instantaneous_fields
    >>> field = instantaneous_fields(network, samples, **where)
    >>> parts.items["channel"].tolist(), bool(np.allclose(parts.values.sum(0), field.values[0]))
    ([0, 1, 2], True)
    """
    index = np.asarray(index, dtype=int)
    with frozen(network):
        sample = as_input(network, samples[:1])
        entrance = _entrance_below(network, sample, layer)
        round_it = bypassed(network, sample, [layer], lambda output: output.sum())[layer]
        values, rates = in_batches(
            index,
            lambda chosen: _parts(network, samples[chosen], cells, layer, entrance, points),
        )
    n_channels = values.shape[2] - 1
    if not round_it:
        values = values[:, :, :n_channels]
    of_each = np.arange(values.shape[2])
    items = _repeated(items_of(samples, cells, index, rates), len(of_each))
    items["channel"] = np.tile(np.where(of_each < n_channels, of_each, -1), len(index) * len(cells))
    items["label"] = [BYPASSED if k < 0 else f"channel {k}" for k in items["channel"]]
    return fields_of(samples, values.reshape(-1, *values.shape[3:]), items, entrance, frame_rate_hz)


def _entrance_below(network, sample, layer) -> Entrance | None:
    """Return the entrance, unless the layer lies before it."""
    entrance = entrance_of(network, sample)
    if entrance is None:
        return None
    with begun(network, sample, entrance, layer) as (_, begin, kept):
        depends = kept[layer] is begin or kept[layer].grad_fn is not None
    return entrance if depends else None


def _parts(network, batch, cells, layer, entrance, points):
    """Gradients "sample cell part *field", the last part being what bypassed the layer."""
    window, total = as_input(network, batch), 0.0
    for point in points:
        with begun(network, point * window, entrance, layer) as (output, begin, kept):
            found = [_parts_of(output[:, cell], kept[layer], begin) for cell in cells]
        total = total + torch.stack(found, dim=1) / len(points)
    output = network(window)
    return total.cpu().numpy(), output.detach()[:, list(cells)].cpu().numpy()


def _parts_of(response, units, begin):
    alone = torch.eye(units.shape[1]).to(units).view(-1, 1, units.shape[1], *[1] * (units.ndim - 2))
    parts, whole = parts_through(response, units, begin, alone)
    return torch.stack([*parts, whole - sum(parts)], dim=1)


def parts_through(
    value: Float[torch.Tensor, " sample"],
    units: torch.Tensor,
    begin: torch.Tensor,
    weights: Iterable[torch.Tensor],
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Gradients of a value that go through weighted units, and the whole gradient.

    Parameters
    ----------
    value
        Of a graph from `begin` through `units`.
    units, begin
        What a layer puts out, and what the gradients are with respect to.
    weights
        How much of each unit counts, once for each part; each broadcasts to the units.

    Notes
    -----
    With the value T, units z and begin s, a part is sum over units of weight (dT / dz) (dz / ds):
    one vector-Jacobian product, however many units.
    """

    def back(of, to, weight=None):
        return torch.autograd.grad(of, to, weight, retain_graph=True, materialize_grads=True)

    slopes, whole = back(value.sum(), (units, begin))
    return [back(units, (begin,), weight * slopes)[0] for weight in weights], whole


def shares_of_modes(
    contributions: Contributions, modes: Modes
) -> Float[np.ndarray, "sample channel share"]:
    """How much of each channel's contribution each mode explains, at each moment.

    Parameters
    ----------
    contributions
        That the modes were found in.
    modes
        Of the same samples and features.

    Returns
    -------
    For each sample and channel one share for each mode, and in the last place what no mode
    explains. Shares are not negative and sum to one.

    Raises
    ------
    ValueError
        If the two have other samples or features.

    Notes
    -----
    Mode m explains ``w = |loading * sum of its weights|`` of the magnitude of channel k, summed
    over the signs of the channel; ``u`` is the sum of |magnitude - what all modes explain|, so that
    explaining too much counts like explaining too little. The shares are w / (sum of w + u) and
    u / (sum of w + u); a channel that contributes nothing is unexplained.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, modes = planted_contributions(n_modes=2, n_features=8, n_samples=50)
    >>> shares = shares_of_modes(contributions, modes)
    >>> shares.shape, bool(np.allclose(shares.sum(axis=2), 1))
    ((50, 4, 3), True)
    """
    values = np.asarray(contributions.values, dtype=float)
    same = np.array_equal(contributions.channel, modes.channel) and np.array_equal(
        contributions.sign, modes.sign
    )
    if not same or len(values) != len(modes.loadings):
        msg = (
            f"The modes have {len(modes.channel)} features and {len(modes.loadings)} samples, the "
            f"contributions {len(contributions.channel)} and {len(values)}, or their channels "
            "differ. Give the contributions that the modes were found in."
        )
        raise ValueError(msg)
    sign = np.where(np.asarray(modes.sign) == 0, 1, modes.sign)
    magnitude = values * sign / modes.scale
    loadings, dictionary = np.asarray(modes.loadings), np.asarray(modes.dictionary)
    missed = np.abs(magnitude - loadings @ dictionary)
    channels = np.unique(modes.channel)
    of_channel = (np.asarray(modes.channel)[:, None] == channels).astype(float)
    explained = np.einsum("sm,mf,fc->scm", np.abs(loadings), np.abs(dictionary), of_channel)
    weights = np.concatenate([explained, (missed @ of_channel)[:, :, None]], axis=2)
    total = weights.sum(axis=2, keepdims=True)
    shares = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    shares[..., -1] += total[..., 0] == 0
    return shares


def attribute_to_modes(parts: Fields, contributions: Contributions, modes: Modes) -> Fields:
    """Share the parts that went through channels among the modes that explain these channels.

    Parameters
    ----------
    parts
        Of `attribute_to_channels`, at samples of the contributions.
    contributions
        That the modes were found in.
    modes
        Of the layer that was split.

    Returns
    -------
    Fields
        For each sample and cell one item for each mode, one "unexplained" (mode -1) and, where the
        layer does not cut the network, one "bypassed" (mode -2). They sum to the field.

    Raises
    ------
    ValueError
        If parts, contributions and modes do not belong together.

    Notes
    -----
    See `shares_of_modes` for the rule.

    Examples
    --------
    >>> from retina_codec.contributions import integrated_gradients, one_cell
    >>> from retina_codec.decomposition import NonNegativeFactors, decompose
    >>> _ = torch.manual_seed(0)
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 1))
    >>> samples = np.random.default_rng(0).normal(size=(30, 3, 2, 2)).astype(np.float32)
    >>> found = integrated_gradients(
    ...     network, samples, layers=["2"], target=one_cell(0), progress=False
    ... )["2"]
    >>> modes = decompose(found, NonNegativeFactors(2))
    >>> parts = attribute_to_channels(
    ...     network, samples, layer="2", cells=[0], index=[4, 9], frame_rate_hz=100.0
    ... )
    >>> of_modes = attribute_to_modes(parts, found, modes)
    >>> of_modes.items["label"].tolist()[:3], of_modes.values.shape
    (['mode 0', 'mode 1', 'unexplained'], (6, 3, 2, 2))
    """
    table = parts.items
    if "channel" not in table:
        msg = "The fields are not split onto channels: call attribute_to_channels first."
        raise ValueError(msg)
    shares = shares_of_modes(contributions, modes)
    n_parts = table["channel"].nunique()
    channel = table["channel"].to_numpy()[:n_parts]
    n_channels = int((channel >= 0).sum())
    if n_channels != shares.shape[1] or int(table["sample"].max()) >= len(shares):
        msg = (
            f"The fields are split onto {n_channels} channels up to sample "
            f"{int(table['sample'].max())}; the modes have {shares.shape[1]} channels and "
            f"{len(shares)} samples. Give modes of that layer and these samples."
        )
        raise ValueError(msg)
    lazy = isinstance(parts.values, LazyFields)
    values = np.asarray(parts.values.gradients if lazy else parts.values)
    values = values.reshape(-1, n_parts, *values.shape[1:])
    sample = table["sample"].to_numpy()[::n_parts]
    mixed = np.einsum("ic...,icm->im...", values[:, :n_channels], shares[sample], optimize=True)
    mixed = np.concatenate([mixed, values[:, n_channels:]], axis=1).astype(values.dtype)
    n_modes = shares.shape[2] - 1
    number = [*range(n_modes), -1, *([-2] if n_parts > n_channels else [])]
    first = table.iloc[::n_parts].drop(columns=["channel", "label"])
    items = _repeated(first, len(number))
    items["mode"] = np.tile(number, len(first))
    items["label"] = [{-1: UNEXPLAINED, -2: BYPASSED}.get(m, f"mode {m}") for m in items["mode"]]
    entrance: Entrance | None = parts.values.entrance if lazy else None
    flat = mixed.reshape(-1, *mixed.shape[2:])
    return Fields(
        values=LazyFields(flat, entrance) if entrance else flat,
        items=items,
        frame_rate_hz=parts.frame_rate_hz,
        pixel_um=parts.pixel_um,
        unit=parts.unit,
    )


def _repeated(items: pd.DataFrame, n: int) -> pd.DataFrame:
    return items.loc[items.index.repeat(n)].reset_index(drop=True)
