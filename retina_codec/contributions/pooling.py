"""Poolings: how the contributions of single units become features.

A pooling is any function of the contributions of one layer, "sample channel ..." (maps) or "sample
token feature" (tokens of a transformer), that returns a `Pooled`: values "sample feature" with the
channel and the sign of each feature. Units are split by sign before they are summed, because a
channel may promote in one place and suppress in another.

============================= =========================== =======================================
pooling                       takes                       gives
============================= =========================== =======================================
`by_sign`                     sample channel ...          channels +, channels -
`over_space`                  sample channel ...          channels, both signs together
`unpooled`                    sample channel ...          channels with their maps
`tokens_by_sign` (tokens)     sample token feature        token features +, token features -
`heads_by_sign` (n_heads)     sample token feature        heads +, heads -
`patches_by_sign` (grid)      sample token feature        token features +, then -, "y x" kept
============================= =========================== =======================================
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Int

from .targets import named

ALL = slice(None)
"""All tokens of a transformer."""

CLS = slice(0, 1)
"""The class token alone."""

PATCHES = slice(1, None)
"""All tokens but the class token."""


class Pooled(NamedTuple):
    """Features of a batch, and what each of them is made of.

    Attributes
    ----------
    values
        "sample feature ...": maps keep their space.
    channel
        Number of the channel, token feature or head.
    sign
        +1 (promotes), -1 (suppresses), or 0 (both together).

    Examples
    --------
    >>> pooled = by_sign(torch.tensor([[[1.0, -3.0, 2.0]]]))
    >>> pooled.channel.tolist(), pooled.sign.tolist()
    ([0, 0], [1, -1])
    """

    values: Float[torch.Tensor, "sample feature ..."]
    channel: Int[torch.Tensor, " feature"]
    sign: Int[torch.Tensor, " feature"]


Pooling = Callable[[torch.Tensor], Pooled]
"""From contributions of single units to features."""

Poolings = Pooling | Mapping[str, Pooling]
"""One pooling for all layers, or one for each layer by its name."""


def by_sign(maps: Float[torch.Tensor, "sample channel *space"]) -> Pooled:
    """Sum over space of the positive parts of each channel, then of the negative parts.

    Twice as many features as channels: first all that promote (sign +1), then all that suppress
    (-1). Features of both signs together sum to the contribution of the layer.

    Parameters
    ----------
    maps
        Contributions of single units, with any axes of space, or none.

    Examples
    --------
    >>> by_sign(torch.tensor([[[1.0, -3.0, 2.0]]])).values.tolist()
    [[3.0, -3.0]]
    """
    units = maps.flatten(2) if maps.ndim > 2 else maps[:, :, None]
    values = torch.cat([units.clamp(min=0).sum(dim=2), units.clamp(max=0).sum(dim=2)], dim=1)
    return _both_signs(values)


def over_space(maps: Float[torch.Tensor, "sample channel *space"]) -> Pooled:
    """Sum over space, promoting and suppressing units together (sign 0).

    Parameters
    ----------
    maps
        Contributions of single units, with any axes of space, or none.

    Examples
    --------
    >>> over_space(torch.tensor([[[1.0, -3.0, 2.0]]])).values.tolist()
    [[0.0]]
    """
    values = maps.flatten(2).sum(dim=2) if maps.ndim > 2 else maps
    return unpooled(values)


def unpooled(maps: Float[torch.Tensor, "sample channel *space"]) -> Pooled:
    """Every unit as it is: one feature for each channel (sign 0), its map kept.

    Parameters
    ----------
    maps
        Contributions of single units.

    Examples
    --------
    >>> unpooled(torch.zeros(2, 3, 4, 4)).values.shape
    torch.Size([2, 3, 4, 4])
    """
    channel = torch.arange(maps.shape[1])
    return Pooled(maps, channel, torch.zeros_like(channel))


def tokens_by_sign(tokens: slice = ALL) -> Pooling:
    """Sum over tokens of the positive parts of each token feature, then of the negative parts.

    Of "sample token feature": twice as many features as token features, as with `by_sign`. All
    tokens together sum to the contribution of the layer. Of some tokens, features sum to what went
    through these, while `gap` still counts all.

    Parameters
    ----------
    tokens
        Which ones: `ALL`, `CLS` (the class token, which alone is read at the end) or `PATCHES`.

    Examples
    --------
    >>> units = torch.tensor([[[1.0, -3.0], [2.0, 4.0]]])
    >>> tokens_by_sign()(units).values.tolist()
    [[3.0, 4.0, 0.0, -3.0]]
    >>> tokens_by_sign(CLS)(units).values.tolist()
    [[1.0, 0.0, 0.0, -3.0]]
    """
    if tokens == ALL:
        return named("tokens by sign")(partial(_tokens_by_sign, tokens=tokens))
    bounds = (tokens.start, tokens.stop, tokens.step)
    which = ":".join("" if bound is None else str(bound) for bound in bounds).removesuffix(":")
    return named(f"tokens {which} by sign")(partial(_tokens_by_sign, tokens=tokens))


def heads_by_sign(n_heads: int) -> Pooling:
    """Sum over tokens and over the features of each attention head, split by sign before.

    Of "sample token feature", where the heads lie one after the other on the last axis: twice as
    many features as heads; the channel of a feature is the number of its head.

    Parameters
    ----------
    n_heads
        Heads of the layer.

    Raises
    ------
    ValueError
        If there are no heads; later, if they do not share the features of a layer evenly.

    Examples
    --------
    >>> heads_by_sign(2)(torch.tensor([[[1.0, -3.0, 2.0, 4.0]]])).values.tolist()
    [[1.0, 6.0, -3.0, 0.0]]
    """
    if n_heads < 1:
        msg = f"Expected at least one head, got {n_heads}."
        raise ValueError(msg)
    return named(f"{n_heads} heads by sign")(partial(_heads_by_sign, n_heads=n_heads))


def patches_by_sign(grid: tuple[int, int]) -> Pooling:
    """Every patch for itself, where it lies in the image; the tokens before them are left out.

    Of "sample token feature", values "sample feature y x": maps of the positive parts of each token
    feature, then of the negative parts. The class token and others like it, which come first, are
    no part of it.

    Parameters
    ----------
    grid
        Patches from top to bottom and from left to right; their numbers multiply to the number of
        patches.

    Raises
    ------
    ValueError
        If the grid has no patches; later, if a layer has fewer tokens.

    Examples
    --------
    >>> units = torch.arange(5.0).view(1, 5, 1)
    >>> patches_by_sign((2, 2))(units).values.tolist()
    [[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]]]
    """
    down, across = grid
    if min(grid) < 1:
        msg = f"Expected a grid of at least 1 x 1 patches, got {down} x {across}."
        raise ValueError(msg)
    name = f"patches {down} x {across} by sign"
    return named(name)(partial(_patches_by_sign, down=down, across=across))


def pooling_of(poolings: Poolings, layer: str) -> Pooling:
    """Return the pooling of a layer.

    Raises
    ------
    ValueError
        If there is none for it.

    Examples
    --------
    >>> pooling_of({"relu1": by_sign}, "relu1") is pooling_of(by_sign, "relu1")
    True
    """
    if not isinstance(poolings, Mapping):
        return poolings
    if layer not in poolings:
        msg = f"No pooling for layer {layer!r}, only for {', '.join(poolings) or 'none'}; add one."
        raise ValueError(msg)
    return poolings[layer]


def _both_signs(values: torch.Tensor) -> Pooled:
    """Values of which the first half promotes and the second suppresses."""
    channel = torch.arange(values.shape[1] // 2)
    sign = torch.ones_like(channel)
    return Pooled(values, torch.cat([channel, channel]), torch.cat([sign, -sign]))


# Those that take numbers are partial functions of these, so that they can be sent to other
# processes.


def _tokens_by_sign(units: Float[torch.Tensor, "sample token feature"], *, tokens: slice) -> Pooled:
    _check_tokens(units)
    chosen = units[:, tokens]
    if not chosen.shape[1]:
        msg = f"The layer has {units.shape[1]} tokens, none of which is in {tokens}."
        raise ValueError(msg)
    values = [chosen.clamp(min=0).sum(dim=1), chosen.clamp(max=0).sum(dim=1)]
    return _both_signs(torch.cat(values, dim=1))


def _heads_by_sign(units: Float[torch.Tensor, "sample token feature"], *, n_heads: int) -> Pooled:
    _check_tokens(units)
    if units.shape[2] % n_heads:
        msg = f"{n_heads} heads do not share {units.shape[2]} features evenly; change 'n_heads'."
        raise ValueError(msg)
    heads = units.unflatten(2, (n_heads, -1))
    values = [heads.clamp(min=0).sum(dim=(1, 3)), heads.clamp(max=0).sum(dim=(1, 3))]
    return _both_signs(torch.cat(values, dim=1))


def _patches_by_sign(
    units: Float[torch.Tensor, "sample token feature"], *, down: int, across: int
) -> Pooled:
    _check_tokens(units)
    if units.shape[1] < down * across:
        msg = f"A grid of {down} x {across} patches needs more than {units.shape[1]} tokens."
        raise ValueError(msg)
    maps = units[:, -down * across :].transpose(1, 2).unflatten(2, (down, across))
    return _both_signs(torch.cat([maps.clamp(min=0), maps.clamp(max=0)], dim=1))


def _check_tokens(units: torch.Tensor) -> None:
    if units.ndim != 3:
        msg = (
            "Expected the units of tokens, 'sample token feature', got axes of "
            f"{tuple(units.shape)}. Pool maps with 'by_sign'."
        )
        raise ValueError(msg)
