"""Run a network under many conditions at once, each with its own factors on a layer's channels.

Where the network allows it, the entrance of the stimulus is computed once for all conditions.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from retina_codec.contributions import frozen, hooked
from retina_codec.receptive_fields import Entrance, as_input, entrance_of

Factors = Float[np.ndarray, "condition sample channel"]
ROWS_AT_ONCE = 1024


def responses_under(
    network: nn.Module,
    batch: np.ndarray,
    layer: str,
    factors: Factors,
    towards: torch.Tensor,
) -> Float[np.ndarray, "condition sample cell"]:
    """Let a layer put out ``towards + factor * (output - towards)`` in each channel.

    Parameters
    ----------
    network
        Left as it was.
    batch
        Samples.
    layer
        With channels along the second axis.
    factors
        1 leaves a channel as it is, 0 replaces it.
    towards
        Of a replacement such as `grey`.
    """
    found = []
    with frozen(network), torch.no_grad():
        entrance = _entrance(network, batch)
        for part in _some(factors):
            with _under(network, batch, layer, part, towards, entrance) as (output, _):
                found.append(output.unflatten(0, part.shape[:2]).cpu().numpy())
    return np.concatenate(found)


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
        for part in _some(factors):
            with (
                torch.enable_grad(),
                _under(network, batch, layer, part, towards, entrance) as (output, begin),
            ):
                gradients = [
                    torch.autograd.grad(output[:, cell].sum(), begin, retain_graph=True)[0]
                    for cell in cells
                ]
            stacked = torch.stack(gradients, dim=1).unflatten(0, part.shape[:2]).cpu().numpy()
            for one in stacked:
                flat = one.reshape(-1, *one.shape[2:])
                fields = entrance.fields(flat) if entrance else flat
                yield fields.reshape(*one.shape[:2], *fields.shape[1:])


def _some(factors: Factors) -> Iterator[Factors]:
    at_once = max(1, ROWS_AT_ONCE // factors.shape[1])
    for first in range(0, len(factors), at_once):
        yield factors[first : first + at_once]


def _entrance(network: nn.Module, batch: np.ndarray) -> Entrance | None:
    """Return the entrance, if the network can go on from there with more rows than came in."""
    window = as_input(network, batch[:1])
    entrance = entrance_of(network, window)
    if entrance is None:
        return None
    try:
        with torch.no_grad(), hooked(network, [entrance.layer], lambda _, out: _rows(out, 2)):
            twice = network(window)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return None
    once = network(window)
    same = twice.shape == (2, *once.shape[1:]) and torch.allclose(twice, once, rtol=1e-4)
    return entrance if same else None


def _rows(tensor: torch.Tensor, n: int) -> torch.Tensor:
    return tensor.repeat(n, *[1] * (tensor.ndim - 1))


@contextmanager
def _under(network, batch, layer, factors, towards, entrance: Entrance | None):
    """Output "condition * sample cell", and the tensor that gradients are taken to."""
    window, n_conditions = as_input(network, batch), len(factors)
    begin: list[torch.Tensor] = []

    def begun(tensor):
        begin.append(_rows(tensor.detach(), n_conditions).requires_grad_())
        return begin[0]

    def instead(name, output):
        if entrance is not None and name == entrance.layer:
            output = begun(output)
        return _scaled(output, factors, towards) if name == layer else output

    names = dict.fromkeys([*([entrance.layer] if entrance else []), layer])
    with hooked(network, list(names), instead):
        output = network(window if entrance else begun(window))
        yield output, begin[0]


def _scaled(output, factors, towards):
    n_conditions, n_samples, n_channels = factors.shape
    if output.shape[1] != n_channels:
        msg = (
            f"The layer puts out {output.shape[1]} channels, but the factors are for {n_channels}. "
            "Give the modes of this layer."
        )
        raise ValueError(msg)
    by = torch.as_tensor(factors).to(output).flatten(0, 1)
    by = by.view(*by.shape, *[1] * (output.ndim - 2))
    there = _rows(towards.to(output), n_conditions if len(towards) == n_samples else 1)
    return there + by * (output - there)
