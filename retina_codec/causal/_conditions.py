"""Run a network under many conditions at once, each with its own factors on channels of layers.

What comes before the first of the layers is computed once for all conditions, where the network
allows it; otherwise at least the entrance of the stimulus.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from retina_codec.contributions import frozen, hooked
from retina_codec.receptive_fields import Entrance, as_input, entrance_of

from ._masks import along

Factors = Float[np.ndarray, "condition sample channel"]
ROWS_AT_ONCE = 1024
NUMBERS_AT_ONCE = 2**24  # that any module puts out under all conditions of a pass


class Shared(NamedTuple):
    """Up to which layer conditions share a pass (None: nothing), and how many numbers follow."""

    begin: str | None
    numbers: int


def responses_under(
    network: nn.Module,
    batch: np.ndarray,
    factors: Mapping[str, Factors],
    towards: Mapping[str, torch.Tensor],
    *,
    channel_axis: int = 1,
    reduced: Callable[[np.ndarray], np.ndarray] = np.asarray,
    shared: Shared | None = None,
) -> Float[np.ndarray, "condition ..."]:
    """Let layers put out ``towards + factor * (output - towards)`` in each channel.

    Parameters
    ----------
    network
        Left as it was.
    batch
        Samples.
    factors
        For each layer: 1 leaves a channel as it is, 0 replaces it. The axis of samples may have
        length 1.
    towards
        For each layer: of a replacement such as `grey`.
    channel_axis
        Of what the layers put out.
    reduced
        What is kept of the outputs "condition sample cell" of some of the conditions; all by
        default.
    shared
        Of `shared_part` with the same layers; found out by default, which takes some passes.
    """
    found = []
    with frozen(network), torch.no_grad():
        begin, numbers = shared or shared_part(network, batch, list(factors))
        for part in _some(factors, len(batch), numbers):
            with _under(network, batch, part, towards, begin, channel_axis) as (output, _):
                found.append(reduced(output.unflatten(0, (-1, len(batch))).cpu().numpy()))
    return np.concatenate(found)


def shared_part(network: nn.Module, batch: np.ndarray, layers: Sequence[str]) -> Shared:
    """Find the latest layer up to which all conditions can share a pass."""
    with frozen(network), torch.no_grad():
        first, behind, everywhere = _first(network, batch, layers)
        if _goes_on(network, batch, first):
            return Shared(first, behind)
        entrance = _entrance(network, batch)
        return Shared(entrance.layer if entrance else None, everywhere)


def fields_under(
    network: nn.Module,
    batch: np.ndarray,
    layer: str,
    factors: Factors,
    towards: torch.Tensor,
    cells: Sequence[int],
) -> Iterator[Float[np.ndarray, "sample cell lag y x"]]:
    """Yield the instantaneous fields of some cells under each condition."""
    with frozen(network):
        entrance = _entrance(network, batch)
        begin = entrance.layer if entrance else None
        for part in _some({layer: factors}, factors.shape[1], 1):
            with (
                torch.enable_grad(),
                _under(network, batch, part, {layer: towards}, begin, 1) as (output, start),
            ):
                gradients = [
                    torch.autograd.grad(output[:, cell].sum(), start, retain_graph=True)[0]
                    for cell in cells
                ]
            stacked = torch.stack(gradients, dim=1).unflatten(0, part[layer].shape[:2])
            for one in stacked.cpu().numpy():
                flat = one.reshape(-1, *one.shape[2:])
                fields = entrance.fields(flat) if entrance else flat
                yield fields.reshape(*one.shape[:2], *fields.shape[1:])


def _some(factors: Mapping[str, Factors], n_samples: int, numbers: int) -> Iterator[dict]:
    rows = min(ROWS_AT_ONCE, NUMBERS_AT_ONCE // max(1, numbers))
    at_once = max(1, rows // n_samples)
    for first in range(0, len(next(iter(factors.values()))), at_once):
        yield {layer: one[first : first + at_once] for layer, one in factors.items()}


def _first(network: nn.Module, batch: np.ndarray, layers: Sequence[str]) -> tuple[str, int, int]:
    """Return the layer that runs first, and the size of the largest output behind it, and of all."""
    ran: dict[str, None] = {}
    behind = everywhere = 0

    def seen(name, output):
        ran[name] = None
        return output

    def counted(module, inputs, output):
        nonlocal behind, everywhere
        if isinstance(output, torch.Tensor):
            everywhere = max(everywhere, output.numel())
            behind = max(behind, output.numel()) if ran else 0

    handles = [module.register_forward_hook(counted) for module in network.modules()]
    try:
        with hooked(network, layers, seen):
            network(as_input(network, batch[:1]))
    finally:
        for handle in handles:
            handle.remove()
    missing = [layer for layer in layers if layer not in ran]
    if missing:
        msg = f"Layer {missing[0]!r} does not run when the network does. Name another layer."
        raise ValueError(msg)
    return next(iter(ran)), behind, everywhere


def _entrance(network: nn.Module, batch: np.ndarray) -> Entrance | None:
    """Return the entrance, if the network can go on from there with more rows than came in."""
    entrance = entrance_of(network, as_input(network, batch[:1]))
    return entrance if entrance and _goes_on(network, batch, entrance.layer) else None


def _goes_on(network: nn.Module, batch: np.ndarray, layer: str) -> bool:
    """Whether the network does the same with each row, if there are more rows from a layer on.

    It does not where something goes round the layer, which keeps its number of rows.
    """
    window = as_input(network, np.asarray(batch)[np.arange(2) % len(batch)])
    with torch.no_grad():
        once = network(window)
        try:
            with hooked(network, [layer], lambda _, output: _rows(output, 3)):
                more = network(window)
        except (RuntimeError, TypeError, ValueError, IndexError):
            return False
    expected, size = _rows(once, 3), float(once.abs().max())
    return more.shape == expected.shape and torch.allclose(
        more, expected, rtol=1e-4, atol=1e-5 * size
    )


def _rows(tensor: torch.Tensor, n: int) -> torch.Tensor:
    return tensor.repeat(n, *[1] * (tensor.ndim - 1))


@contextmanager
def _under(network, batch, factors, towards, begin: str | None, channel_axis):
    """Output "condition * sample cell", and the tensor that gradients are taken to."""
    window, n_conditions = as_input(network, batch), len(next(iter(factors.values())))
    start: list[torch.Tensor] = []

    def begun(tensor):
        start.append(_rows(tensor.detach(), n_conditions).requires_grad_())
        return start[0]

    def instead(name, output):
        if name == begin:
            output = begun(output)
        if name not in factors:
            return output
        return _scaled(output, factors[name], towards[name], len(batch), channel_axis)

    names = dict.fromkeys([*([begin] if begin else []), *factors])
    with hooked(network, list(names), instead):
        output = network(window if begin else begun(window))
        yield output, start[0]


def _scaled(output, factors, towards, n_samples, channel_axis):
    n_conditions, _, n_channels = factors.shape
    if output.shape[channel_axis] != n_channels:
        msg = (
            f"The layer puts out {output.shape[channel_axis]} channels, but the factors are for "
            f"{n_channels}. Give the modes of this layer."
        )
        raise ValueError(msg)
    by = torch.as_tensor(np.ascontiguousarray(factors)).to(output)
    by = along(by.expand(-1, n_samples, -1).reshape(-1, n_channels), output, channel_axis)
    there = _rows(towards.to(output), n_conditions if len(towards) == n_samples else 1)
    return there + by * (output - there)
