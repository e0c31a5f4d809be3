"""Contributions as others compute them: captum's conductance, and the published procedure.

The second is written down from a description of what the published scripts do.
"""

from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np
import torch
from captum.attr import LayerConductance
from torch import nn

from retina_codec.contributions import Target, by_sign

Found = dict[str, tuple[np.ndarray, np.ndarray]]
"""For each layer, features "sample feature" and the sum of all contributions " sample"."""

PUBLISHED_BATCH = 16


class Explained(nn.Module):
    """A network and a target: one number for each sample, as captum wants it."""

    def __init__(self, network: nn.Module, target: Target):
        super().__init__()
        self.network, self.target = network, target

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the target."""
        output = self.network(x)
        return self.target(output, output)


def by_captum(
    network: nn.Module,
    samples: Sequence,
    *,
    layers: Sequence[str],
    target: Target,
    n_steps: int,
    batch_size: int,
    both_ways: bool,
) -> Found:
    """Conductance, a call for each layer and batch; all points of a batch in one pass.

    Whatever its `method`, captum multiplies the change over each step with the gradient at the
    begin of the step. The mean of the ways from the baseline to the sample and back is the
    trapezoid rule; nodes with equal distances are those of "riemann_trapezoid".
    """
    explained = Explained(network, target)
    found = {layer: [] for layer in layers}
    for first in range(0, len(samples), batch_size):
        batch = torch.from_numpy(samples[first : first + batch_size])
        for layer in layers:
            attribute = partial(
                LayerConductance(explained, network.get_submodule(layer)).attribute,
                n_steps=n_steps,
                method="riemann_trapezoid",
            )
            maps = attribute(batch)
            if both_ways:
                maps = (maps - attribute(torch.zeros_like(batch), baselines=batch)) / 2
            maps = maps.detach()
            found[layer].append((by_sign(maps).values.numpy(), maps.flatten(1).sum(1).numpy()))
    return {layer: joined(parts) for layer, parts in found.items()}


def as_published(
    network: nn.Module,
    samples: Sequence,
    *,
    layers: Sequence[str],
    target: Target,
    n_steps: int,
) -> Found:
    """One pass of the whole network for each point; trapezoid rule in NumPy."""
    found = {layer: [] for layer in layers}
    with recorded(network, layers) as (activations, gradients):
        for first in range(0, len(samples), PUBLISHED_BATCH):
            batch = torch.from_numpy(samples[first : first + PUBLISHED_BATCH])
            maps = dict.fromkeys(layers, 0.0)
            before = {}
            for i in range(n_steps + 1):
                output = network((batch * (i / n_steps)).requires_grad_())
                target(output, output).sum().backward()
                now = {
                    layer: (activations[layer].cpu().numpy(), gradients[layer].cpu().numpy())
                    for layer in layers
                }
                for layer in before:
                    (z0, g0), (z1, g1) = before[layer], now[layer]
                    maps[layer] = maps[layer] + 0.5 * (g0 + g1) * (z1 - z0)
                before = now
            for layer, one in maps.items():
                parts = np.minimum(one, 0), np.maximum(one, 0)
                negative, positive = (part.sum(axis=(2, 3)) for part in parts)
                features = np.concatenate([positive, negative], axis=1)
                found[layer].append((features, one.sum(axis=(1, 2, 3))))
    return {layer: joined(parts) for layer, parts in found.items()}


@contextmanager
def recorded(network: nn.Module, layers: Sequence[str]):
    """Keep what layers put out and its gradient, in two dictionaries, while the block lasts."""
    activations, gradients = {}, {}

    def keep_output(layer, module, inputs, output):
        activations[layer] = output.detach()

    def keep_gradient(layer, module, grad_input, grad_output):
        gradients[layer] = grad_output[0].detach()

    with ExitStack() as stack:
        for layer in layers:
            module = network.get_submodule(layer)
            for handle in (
                module.register_forward_hook(partial(keep_output, layer)),
                module.register_full_backward_hook(partial(keep_gradient, layer)),
            ):
                stack.callback(handle.remove)
        yield activations, gradients


def joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Batches one after the other."""
    features, totals = zip(*parts, strict=True)
    return np.concatenate(features), np.concatenate(totals)
