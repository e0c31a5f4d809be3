"""Poolings: how the contributions of single units become features.

A pooling is any function of the contributions of one layer, "sample channel ..." (maps), that
returns a `Pooled`: values "sample feature" with the channel and the sign of each feature. Units are
split by sign before they are summed, because a channel may promote in one place and suppress in
another.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int


class Pooled(NamedTuple):
    """Values "sample feature ..." and what each feature is made of."""

    values: Float[torch.Tensor, "sample feature ..."]
    channel: Int[torch.Tensor, " feature"]
    sign: Int[torch.Tensor, " feature"]


def by_sign(maps: Float[torch.Tensor, "sample channel *space"]) -> Pooled:
    """Sum over space of the positive parts of each channel, then of the negative parts.

    Twice as many features as channels: first all that promote (sign +1), then all that suppress
    (-1). Features of both signs together sum to the contribution of the layer.

    Examples
    --------
    >>> by_sign(torch.tensor([[[1.0, -3.0, 2.0]]])).values.tolist()
    [[3.0, -3.0]]
    """
    units = maps.flatten(2) if maps.ndim > 2 else maps[:, :, None]
    values = torch.cat([units.clamp(min=0).sum(dim=2), units.clamp(max=0).sum(dim=2)], dim=1)
    channel = torch.arange(maps.shape[1])
    sign = torch.ones_like(channel)
    return Pooled(values, torch.cat([channel, channel]), torch.cat([sign, -sign]))


def over_space(maps: Float[torch.Tensor, "sample channel *space"]) -> Pooled:
    """Sum over space, promoting and suppressing units together (sign 0).

    Examples
    --------
    >>> over_space(torch.tensor([[[1.0, -3.0, 2.0]]])).values.tolist()
    [[0.0]]
    """
    values = maps.flatten(2).sum(dim=2) if maps.ndim > 2 else maps
    return unpooled(values)


def unpooled(maps: Float[torch.Tensor, "sample channel *space"]) -> Pooled:
    """Every unit as it is: one feature for each channel (sign 0), its map kept.

    Examples
    --------
    >>> unpooled(torch.zeros(2, 3, 4, 4)).values.shape
    torch.Size([2, 3, 4, 4])
    """
    channel = torch.arange(maps.shape[1])
    return Pooled(maps, channel, torch.zeros_like(channel))
