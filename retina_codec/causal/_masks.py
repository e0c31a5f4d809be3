"""Remove or keep channels of a network while a block lasts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from retina_codec.contributions import hooked


@contextmanager
def ablated(
    network: nn.Module,
    layer: str,
    channels: Sequence[int],
    *,
    towards: torch.Tensor | None = None,
    channel_axis: int = 1,
) -> Iterator[nn.Module]:
    """Replace channels of a layer's output inside the block, by nothing unless told otherwise.

    For several layers at once, put one block into another.

    Parameters
    ----------
    network
        Left as it was after the block, also after an exception.
    layer
        A name from ``network.named_modules()``.
    channels
        Numbers along the channel axis of the layer's output.
    towards
        What removed channels put out instead, "1 channel ..." or one row for each sample, such as a
        replacement (`mean`, `grey`, `resampled`) gives; None is 0.
    channel_axis
        1 for maps and dense layers, -1 for tokens "sample token feature".

    Yields
    ------
    The network, which lacks the channels as long as the block lasts.

    Raises
    ------
    ValueError
        If there is no such layer; in the first pass, if there is no such channel.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    >>> with ablated(network, "1", [0]):
    ...     float(network(torch.ones(1, 2))[0, 0].detach())
    0.0
    """
    with _masked(network, layer, channels, towards, channel_axis, keep=False):
        yield network


@contextmanager
def preserved(
    network: nn.Module,
    layer: str,
    channels: Sequence[int],
    *,
    towards: torch.Tensor | None = None,
    channel_axis: int = 1,
) -> Iterator[nn.Module]:
    """Keep only some channels of a layer's output inside the block, and replace all others.

    Parameters
    ----------
    network, layer
        As in `ablated`.
    channels
        Numbers, along the channel axis of the layer's output, of those that are kept.
    towards, channel_axis
        As in `ablated`.

    Yields
    ------
    The network, which has only these channels as long as the block lasts.

    Raises
    ------
    ValueError
        If there is no such layer; in the first pass, if there is no such channel.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    >>> with preserved(network, "1", [0]):
    ...     float(network(torch.ones(1, 2))[0, 1].detach())
    0.0
    """
    with _masked(network, layer, channels, towards, channel_axis, keep=True):
        yield network


def along(values: torch.Tensor, output: torch.Tensor, channel_axis: int) -> torch.Tensor:
    """Shape "row channel" values so that they go with what a layer puts out.

    Examples
    --------
    >>> along(torch.ones(2, 3), torch.ones(2, 7, 3), -1).shape
    torch.Size([2, 1, 3])
    """
    shape = [len(values), *[1] * (output.ndim - 1)]
    shape[channel_axis] = values.shape[1]
    return values.view(shape)


@contextmanager
def _masked(network, layer, channels, towards, channel_axis, *, keep) -> Iterator[None]:
    def instead(name, output):
        n_channels = output.shape[channel_axis]
        wrong = [c for c in channels if not 0 <= c < n_channels]
        if wrong:
            msg = f"Layer {layer!r} has channels 0 to {n_channels - 1}; there is no {wrong[0]}."
            raise ValueError(msg)
        stays = torch.full((1, n_channels), not keep, dtype=torch.bool, device=output.device)
        stays[:, list(channels)] = keep
        other = torch.zeros_like(output[:1]) if towards is None else towards.to(output)
        return torch.where(along(stays, output, channel_axis), output, other)

    with hooked(network, [layer], instead):
        yield
