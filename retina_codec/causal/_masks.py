"""Remove or keep channels of a network while a block lasts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from retina_codec.contributions import hooked


@contextmanager
def ablated(network: nn.Module, layer: str, channels: Sequence[int]) -> Iterator[nn.Module]:
    """Set channels of a layer's output to zero inside the block.

    Parameters
    ----------
    network
        Left as it was after the block, also after an exception.
    layer
        A name from ``network.named_modules()``.
    channels
        Numbers along the second axis of the layer's output.

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
    with _masked(network, layer, channels, keep=False):
        yield network


@contextmanager
def preserved(network: nn.Module, layer: str, channels: Sequence[int]) -> Iterator[nn.Module]:
    """Set all other channels of a layer's output to zero inside the block.

    Parameters, errors and cleaning up are those of `ablated`.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    >>> with preserved(network, "1", [0]):
    ...     float(network(torch.ones(1, 2))[0, 1].detach())
    0.0
    """
    with _masked(network, layer, channels, keep=True):
        yield network


@contextmanager
def _masked(network, layer, channels, *, keep) -> Iterator[None]:
    def masked(_, output):
        n_channels = output.shape[1]
        wrong = [c for c in channels if not 0 <= c < n_channels]
        if wrong:
            msg = f"Layer {layer!r} has channels 0 to {n_channels - 1}; there is no {wrong[0]}."
            raise ValueError(msg)
        mask = torch.full((n_channels,), not keep, dtype=torch.bool, device=output.device)
        mask[list(channels)] = keep
        return output * mask.view(1, -1, *[1] * (output.ndim - 2))

    with hooked(network, [layer], masked):
        yield
