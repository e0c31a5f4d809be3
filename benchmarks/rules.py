"""Rules for contributions along the way from a baseline to a sample, for `quadrature`.

All but the two of the package are written down as plainly as possible.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from setting import LAYERS
from torch import nn

from retina_codec.contributions import Target, by_sign, integrated_gradients

Maps = dict[str, torch.Tensor]
"""Contributions of the units of each layer, "sample unit ..."."""

Found = dict[str, tuple[np.ndarray, np.ndarray]]
"""For each layer, features "sample feature" and the sum of all contributions " sample"."""


@dataclass(frozen=True)
class Case:
    """Samples before a network without its first convolution, and what is explained.

    That convolution is affine: between a baseline and a sample its output lies between its outputs
    for these two, so that the comparison may begin there.
    """

    name: str
    network: nn.Sequential
    start: torch.Tensor
    end: torch.Tensor
    target: Target


@dataclass(frozen=True)
class Rule:
    """A way to integrate with so many steps, and what it costs in evaluations."""

    found: Callable[[Case, int], Found]
    cost: Callable[[int], float]


def by_engine(rule: str) -> Callable[[Case, int], Found]:
    """Let the engine of the package integrate."""

    def found(case: Case, n_steps: int) -> Found:
        result = integrated_gradients(
            case.network,
            case.end.numpy(),
            layers=LAYERS,
            target=case.target,
            n_steps=n_steps,
            rule=rule,
            baseline=case.start[0].numpy(),
            progress=False,
        )
        return {
            layer: (record.values, record.target_value - record.baseline_value - record.gap)
            for layer, record in result.items()
        }

    return found


def pooled(integrate: Callable[[Case, int], Maps]) -> Callable[[Case, int], Found]:
    """Make features of contributions of units."""

    def found(case: Case, n_steps: int) -> Found:
        return {
            layer: (by_sign(maps).values.numpy(), maps.flatten(1).sum(dim=1).numpy())
            for layer, maps in integrate(case, n_steps).items()
        }

    return found


def inputs(case: Case, points: torch.Tensor) -> torch.Tensor:
    """Input of the network at points "point sample", as "point x sample ..."."""
    along = points.double().view(*points.shape, *[1] * (case.end.ndim - 1))
    return (case.start + along * (case.end - case.start)).flatten(0, 1)


def run(network: nn.Sequential, x: torch.Tensor) -> tuple[torch.Tensor, Maps]:
    """Output of the network, and units of each layer."""
    units = {}
    for name, layer in network.named_children():
        x = layer(x)
        if name in LAYERS:
            units[name] = x
    return x, units


def evaluated(case: Case, points: torch.Tensor) -> tuple[Maps, Maps]:
    """Units and gradients at points "point sample"; one evaluation for each."""
    output, units = run(case.network, inputs(case, points).requires_grad_())
    gradients = torch.autograd.grad(case.target(output, output).sum(), list(units.values()))
    of_units = dict(zip(units, gradients, strict=True))
    return unflattened(units, points), unflattened(of_units, points)


def unflattened(maps: Maps, points: torch.Tensor) -> Maps:
    """Separate points and samples."""
    return {layer: one.detach().unflatten(0, points.shape) for layer, one in maps.items()}


def equal_steps(case: Case, n_steps: int) -> torch.Tensor:
    """Points "point sample" with equal distances."""
    return torch.linspace(0, 1, n_steps + 1).double()[:, None].expand(-1, len(case.end))


def steps_at_kinks(case: Case, n_steps: int, *, half: bool = False) -> torch.Tensor:
    """Points of each sample between which equally many units of the first ReLU layer switch.

    By half, that share is mixed in equal parts with equal steps.
    """
    until = list(dict(case.network.named_children())).index(LAYERS[0])
    before, after = case.network[:until](case.start), case.network[:until](case.end)
    chosen = []
    for kinks in before / (before - after):
        kinks = kinks[(kinks > 0) & (kinks < 1)]
        even = torch.linspace(0, 1, len(kinks) if half else 2).double()
        parts = torch.linspace(0, 1, n_steps + 1).double()
        chosen.append(torch.quantile(torch.cat([even, kinks]), parts))
    return torch.stack(chosen, dim=1)


def trapezoid_sum(units: Maps, gradients: Maps) -> Maps:
    """Mean gradient at both ends of each step times the change of the units."""
    return {
        layer: ((gradients[layer][1:] + gradients[layer][:-1]) / 2 * units[layer].diff(dim=0)).sum(
            0
        )
        for layer in units
    }


def with_steps_at_kinks(case: Case, n_steps: int) -> Maps:
    """Trapezoid rule with equally many kinks in each step."""
    return trapezoid_sum(*evaluated(case, steps_at_kinks(case, n_steps)))


def with_half_at_kinks(case: Case, n_steps: int) -> Maps:
    """Trapezoid rule with steps between equal ones and those at kinks."""
    return trapezoid_sum(*evaluated(case, steps_at_kinks(case, n_steps, half=True)))


def extrapolated(case: Case, n_steps: int) -> Maps:
    """Trapezoid rule with n and 2n steps, extrapolated to infinitely many (Richardson)."""
    units, gradients = evaluated(case, equal_steps(case, 2 * n_steps))
    fine = trapezoid_sum(units, gradients)
    coarse = trapezoid_sum(
        {layer: one[::2] for layer, one in units.items()},
        {layer: one[::2] for layer, one in gradients.items()},
    )
    return {layer: (4 * fine[layer] - coarse[layer]) / 3 for layer in fine}


def midpoint(case: Case, n_steps: int) -> Maps:
    """Gradient at the middle of each step times the change of the units over the step."""
    points = equal_steps(case, n_steps)
    _, gradients = evaluated(case, (points[1:] + points[:-1]) / 2)
    with torch.no_grad():
        units = unflattened(run(case.network, inputs(case, points))[1], points)
    return {layer: (gradients[layer] * units[layer].diff(dim=0)).sum(0) for layer in units}


def gauss_legendre(case: Case, n_points: int) -> Maps:
    """Gradient times derivative of the units along the way, at the points of Gauss and Legendre."""
    nodes, weights = (torch.from_numpy(a) / 2 for a in np.polynomial.legendre.leggauss(n_points))
    points = (nodes + 0.5)[:, None].expand(-1, len(case.end))
    _, gradients = evaluated(case, points)
    x, forth = inputs(case, points), (case.end - case.start).repeat(n_points, 1, 1, 1)
    with torch.no_grad():
        _, along = torch.func.jvp(lambda x: run(case.network, x)[1], (x,), (forth,))
    along = unflattened(along, points)
    return {
        layer: torch.einsum("p,p...->...", weights, gradients[layer] * along[layer])
        for layer in along
    }


def extrapolated_secant(case: Case, n_steps: int) -> Found:
    """Secant rule with n and 2n steps, extrapolated."""
    coarse, fine = by_engine("secant")(case, n_steps), by_engine("secant")(case, 2 * n_steps)
    return {
        layer: tuple((4 * b - a) / 3 for a, b in zip(coarse[layer], fine[layer], strict=True))
        for layer in fine
    }


RULES = {
    "trapezoid": Rule(by_engine("trapezoid"), lambda n: n + 1),
    "at kinks": Rule(pooled(with_steps_at_kinks), lambda n: n + 1),
    "half at kinks": Rule(pooled(with_half_at_kinks), lambda n: n + 1),
    "extrapolated": Rule(pooled(extrapolated), lambda n: 2 * n + 1),
    "midpoint": Rule(pooled(midpoint), lambda n: n + (n + 1) / 3),
    "Gauss-Legendre": Rule(pooled(gauss_legendre), lambda n: n + n / 3),
    "secant": Rule(by_engine("secant"), lambda n: (n + 1) / 3 + n * 2 / 3),
    "extrapolated secant": Rule(extrapolated_secant, lambda n: (2 * n + 1) / 3 + 3 * n * 2 / 3),
}
