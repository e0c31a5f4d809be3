"""Contributions: the share of the target's change that went through each unit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from retina_codec.datatypes import Contributions

from .pooling import Pooled, by_sign
from .probe import frozen, probed
from .targets import Target

EVALUATIONS_AT_ONCE = 336


def integrated_gradients(
    network: nn.Module,
    samples: Any,
    *,
    layers: Sequence[str],
    target: Target,
    n_steps: int = 20,
    baseline: float | np.ndarray = 0.0,
    pooling: Callable[[torch.Tensor], Pooled] = by_sign,
    batch_size: int | None = None,
    progress: bool = True,
) -> dict[str, Contributions]:
    r"""Integrated gradients in the space of a layer's activations, for all layers in one pass.

    The sample is approached from the baseline in `n_steps` equal steps. With z the units of a layer
    and g the gradient of the target with respect to them, both at point i of the path, the
    contribution of each unit is the trapezoid sum

    .. math:: C = \sum_{i=1}^{n} \tfrac12 (g_{i-1} + g_i)\,(z_i - z_{i-1}).

    Over all units of a layer that cuts the network these sum to the change of the target, up to the
    error of the steps, which every result carries as its `gap`.

    Parameters
    ----------
    network
        Any module, evaluated in its own dtype where its parameters are; left as it was.
    samples
        Anything with a length that slices into batches, such as `stimuli.windows`.
    layers
        Names from ``network.named_modules()``, each one a layer that runs once in a pass.
    target
        Which scalar to explain; see `targets`.
    n_steps
        Steps from baseline to sample; the network runs once more than that for each sample.
    baseline
        Number or array that broadcasts to one sample; 0 is the mean grey of a normalised movie.
    pooling
        How units become features; see `pooling`.
    batch_size
        Samples at once; by default as many as make about 336 evaluations of the network.
    progress
        Whether to show a bar.

    Returns
    -------
    dict
        One record for each layer.

    Raises
    ------
    ValueError
        If a layer is unknown or unfit, there are no samples or steps, or the target is not a
        scalar.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557.
    Sundararajan, Taly and Yan (2017), Proceedings of Machine Learning Research 70:3319-3328.

    Examples
    --------
    >>> from retina_codec.contributions import one_cell
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> result = integrated_gradients(
    ...     network, np.ones((5, 2), np.float32), layers=["1"], target=one_cell(0), progress=False
    ... )
    >>> result["1"].values.shape, bool(abs(result["1"].gap).max() < 1e-3)
    ((5, 6), True)
    """
    if n_steps < 1:
        msg = f"'n_steps' must be at least 1, got {n_steps}."
        raise ValueError(msg)
    points = torch.linspace(0, 1, n_steps + 1)
    run = _Run(network, samples, tuple(layers), target, baseline, pooling, batch_size)
    settings = {"n_steps": n_steps, "rule": "trapezoid", "pooling": pooling.__name__}
    return run.contributions(points, _trapezoid, "integrated gradients", settings, progress)


def activation_times_gradient(
    network: nn.Module,
    samples: Any,
    *,
    layers: Sequence[str],
    target: Target,
    pooling: Callable[[torch.Tensor], Pooled] = by_sign,
    batch_size: int | None = None,
    progress: bool = True,
) -> dict[str, Contributions]:
    """Activation times gradient at the sample alone: cheap, and without completeness.

    Parameters are those of `integrated_gradients`. The `gap` says how far the sum is from the
    change of the target between a zero stimulus and the sample.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557.

    Examples
    --------
    >>> from retina_codec.contributions import one_cell
    >>> network = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 1, bias=False))
    >>> result = activation_times_gradient(
    ...     network, np.ones((5, 2), np.float32), layers=["0"], target=one_cell(0), progress=False
    ... )
    >>> bool(abs(result["0"].gap).max() < 1e-6)
    True
    """
    run = _Run(network, samples, tuple(layers), target, 0.0, pooling, batch_size)
    settings = {"pooling": pooling.__name__}
    ends = torch.tensor([0.0, 1.0])
    return run.contributions(ends, _last_product, "activation times gradient", settings, progress)


def _trapezoid(units: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Both are "point sample unit ..."."""
    return ((gradients[1:] + gradients[:-1]) * (units[1:] - units[:-1])).sum(dim=0) / 2


def _last_product(units: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    return units[-1] * gradients[-1]


@dataclass(frozen=True)
class _Run:
    network: nn.Module
    samples: Any
    layers: tuple[str, ...]
    target: Target
    baseline: float | np.ndarray
    pooling: Callable[[torch.Tensor], Pooled]
    batch_size: int | None

    @property
    def name(self) -> str:
        """The target's."""
        return getattr(self.target, "__name__", type(self.target).__name__)

    def contributions(self, points, rule, method, settings, progress) -> dict[str, Contributions]:
        if not len(self.samples):
            msg = "There are no samples."
            raise ValueError(msg)
        size = self.batch_size or max(1, EVALUATIONS_AT_ONCE // len(points))
        parts: dict[str, list[dict[str, Any]]] = {layer: [] for layer in self.layers}
        with (
            frozen(self.network),
            tqdm(
                total=len(self.samples), desc="contributions", unit="sample", disable=not progress
            ) as bar,
        ):
            for first in range(0, len(self.samples), size):
                batch = self.samples[first : first + size]
                for layer, part in self.batch(batch, points, rule).items():
                    parts[layer].append(part)
                bar.update(len(batch))
        shared = {"target": self.name, "method": method, "settings": settings}
        return {layer: self.record(layer, parts[layer], shared) for layer in self.layers}

    def batch(self, batch, points, rule) -> dict[str, dict[str, Any]]:
        value, units, gradients = self.along_path(batch, points)
        results = {}
        for layer in self.layers:
            maps = rule(units[layer], gradients[layer])
            pooled = self.pooling(maps)
            results[layer] = {
                "pooled": pooled._replace(values=pooled.values.cpu().numpy()),
                "target_value": value[-1].cpu().numpy(),
                "baseline_value": value[0].cpu().numpy(),
                "total": maps.flatten(1).sum(dim=1).cpu().numpy(),
            }
        return results

    def along_path(self, batch, points):
        """Target "point sample"; units and their gradients "point sample unit ..." by layer."""
        start, end = self._ends(batch)
        ray = start + points.to(end).view(-1, *[1] * end.ndim) * (end - start)
        n_points, n_samples = ray.shape[:2]
        with probed(self.network, self.layers) as kept, torch.enable_grad():
            output = self.network(ray.flatten(0, 1))
            output = output.unflatten(0, (n_points, n_samples))
            at_sample = output[-1:].detach().expand_as(output)
            value = self.target(output.flatten(0, 1), at_sample.flatten(0, 1))
            self._check(value, n_points * n_samples, kept)
            gradients = torch.autograd.grad(
                value.sum(), [kept[layer] for layer in self.layers], materialize_grads=True
            )
        split = (n_points, n_samples)
        return (
            value.detach().unflatten(0, split),
            {layer: kept[layer].detach().unflatten(0, split) for layer in self.layers},
            {layer: g.unflatten(0, split) for layer, g in zip(self.layers, gradients, strict=True)},
        )

    def _ends(self, batch) -> tuple[torch.Tensor, torch.Tensor]:
        like = next(self.network.parameters(), next(self.network.buffers(), torch.zeros(1)))
        end = torch.as_tensor(batch).to(like)
        start = torch.as_tensor(self.baseline).to(end)
        return torch.broadcast_to(start, end.shape), end

    def _check(self, value, n_evaluations, kept) -> None:
        for layer in self.layers:
            if layer not in kept:
                msg = f"Layer {layer!r} did not run; name one that the network uses."
                raise ValueError(msg)
        if not value.requires_grad:
            msg = f"Target {self.name!r} does not depend on the layers {', '.join(self.layers)}."
            raise ValueError(msg)
        if tuple(value.shape) != (n_evaluations,):
            msg = (
                f"Target {self.name!r} must give one number for each row of the output, "
                f"({n_evaluations},), got {tuple(value.shape)}."
            )
            raise ValueError(msg)

    def record(self, layer: str, parts: list[dict[str, Any]], shared) -> Contributions:
        target_value, baseline_value, total = (
            np.concatenate([part[key] for part in parts])
            for key in ("target_value", "baseline_value", "total")
        )
        first = parts[0]["pooled"]
        return Contributions(
            values=np.concatenate([part["pooled"].values for part in parts]),
            sample=np.asarray(getattr(self.samples, "sample", np.arange(len(total)))),
            target_value=target_value,
            baseline_value=baseline_value,
            gap=target_value - baseline_value - total,
            channel=first.channel.numpy(),
            sign=first.sign.numpy(),
            layer=layer,
            **shared,
        )
