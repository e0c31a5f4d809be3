"""Other attributions to hidden units, and activations, in the manner of `integrated_gradients`.

They are here to be compared with: only integrated gradients sum to the change of the target. What
is common to all (layers, targets, poolings, stores, clusters) is explained there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from .job import Attributed, Job
from .passes import Passes
from .pooling import Poolings, by_sign, over_space
from .quadrature import check_steps
from .run import Place, Result, attributed
from .targets import Target

TINY = 1e-8


def activations(
    network: nn.Module,
    samples: Any,
    *,
    layers: Sequence[str],
    target: Target | Sequence[Target],
    pooling: Poolings = by_sign,
    **place: Any,
) -> Result:
    r"""Activations of the units, pooled as contributions are, to be decomposed beside them.

    Parameters
    ----------
    network, samples, layers, pooling
        As in `integrated_gradients`.
    target
        Fills `target_value`; activations do not depend on it, and the gap has no meaning.
    **place
        As in `activation_times_gradient`.

    Returns
    -------
    dict
        As in `integrated_gradients`.

    Raises
    ------
    ValueError
        As in `integrated_gradients`.

    Notes
    -----
    After a rectifier nothing is negative: of each channel, the feature with sign -1 is 0.

    Examples
    --------
    >>> from retina_codec.contributions import one_cell
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> result = activations(
    ...     network, np.ones((5, 2), np.float32), layers=["1"], target=one_cell(0), progress=False
    ... )
    >>> result["1"].method, bool((result["1"].values >= 0).all())
    ('activations', True)
    """
    method = AtPoints("activations", (0.0, 1.0), _last_units)
    return attributed(network, samples, layers, target, 0.0, pooling, method, Place(**place))


def activation_times_gradient(
    network: nn.Module,
    samples: Any,
    *,
    layers: Sequence[str],
    target: Target | Sequence[Target],
    pooling: Poolings = by_sign,
    **place: Any,
) -> Result:
    r"""Activation times gradient at the sample alone: ``z * g``. Cheap, without completeness.

    Parameters
    ----------
    network, samples, layers, target, pooling
        As in `integrated_gradients`.
    **place
        `batch_size`, `memory_gb`, `device`, `store`, `client` and `progress`, as there.

    Returns
    -------
    dict
        As there. The gap says how far the sum is from the change of the target between a zero
        stimulus and the sample.

    Raises
    ------
    ValueError
        As in `integrated_gradients`.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557.
    Shrikumar et al. (2016), arXiv:1605.01713 (gradient times input).

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
    method = AtPoints("activation times gradient", (0.0, 1.0), _last_product)
    return attributed(network, samples, layers, target, 0.0, pooling, method, Place(**place))


def activation_times_unit_gradient(
    network: nn.Module,
    samples: Any,
    *,
    layers: Sequence[str],
    target: Target | Sequence[Target],
    pooling: Poolings = by_sign,
    **place: Any,
) -> Result:
    r"""Activation times the direction of the gradient: ``z * g / |g|``, the norm over a layer.

    Takes away how strongly a sample drives the target, so that samples can be compared; the sum has
    no meaning, and neither has the gap.

    Parameters
    ----------
    network, samples, layers, target, pooling, **place
        As in `activation_times_gradient`.

    Returns
    -------
    dict
        As in `activation_times_gradient`.

    Raises
    ------
    ValueError
        As in `integrated_gradients`.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557.

    Examples
    --------
    >>> from retina_codec.contributions import one_cell
    >>> network = nn.Linear(2, 1, bias=False)
    >>> network = nn.Sequential(nn.Identity(), network)
    >>> result = activation_times_unit_gradient(
    ...     network, np.ones((1, 2), np.float32), layers=["0"], target=one_cell(0), progress=False
    ... )
    >>> bool(abs(result["0"].values).max() <= 1)
    True
    """
    method = AtPoints("activation times unit gradient", (0.0, 1.0), _last_product_of_unit_gradient)
    return attributed(network, samples, layers, target, 0.0, pooling, method, Place(**place))


def internal_influence(
    network: nn.Module,
    samples: Any,
    *,
    layers: Sequence[str],
    target: Target | Sequence[Target],
    n_steps: int = 20,
    baseline: float | np.ndarray = 0.0,
    pooling: Poolings = by_sign,
    **place: Any,
) -> Result:
    r"""Mean gradient along the path times the change of the unit from its begin to its end.

    .. math:: C = (z_n - z_0) \frac1n \sum_{i=1}^{n} \tfrac12 (g_{i-1} + g_i)

    The mean gradient is the influence that the source defines; it is multiplied by the change of
    the unit to be in units of the target. It takes no notice of when, along the path, a unit
    changed.

    Parameters
    ----------
    network, samples, layers, target, n_steps, baseline, pooling
        As in `integrated_gradients`.
    **place
        As in `activation_times_gradient`.

    Returns
    -------
    dict
        As in `integrated_gradients`.

    Raises
    ------
    ValueError
        As in `integrated_gradients`.

    References
    ----------
    Leino et al. (2018), IEEE International Test Conference, arXiv:1802.03788.

    Examples
    --------
    >>> from retina_codec.contributions import one_cell
    >>> network = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 1, bias=False))
    >>> result = internal_influence(
    ...     network, np.ones((5, 2), np.float32), layers=["0"], target=one_cell(0), progress=False
    ... )
    >>> bool(abs(result["0"].gap).max() < 1e-6)
    True
    """
    check_steps(n_steps)
    points = tuple(np.linspace(0, 1, n_steps + 1).tolist())
    method = AtPoints("internal influence", points, _mean_gradient_times_change)
    return attributed(network, samples, layers, target, baseline, pooling, method, Place(**place))


def smooth_gradient(
    network: nn.Module,
    samples: Any,
    *,
    layers: Sequence[str],
    target: Target | Sequence[Target],
    n_copies: int = 20,
    noise: float = 0.2,
    seed: int = 0,
    pooling: Poolings = by_sign,
    **place: Any,
) -> Result:
    r"""Mean of activation times gradient over noisy copies of the sample.

    .. math:: C = \frac1n \sum_{k=1}^{n} z(s + \epsilon_k)\,g(s + \epsilon_k)

    Parameters
    ----------
    network, samples, layers, target, pooling
        As in `integrated_gradients`.
    n_copies
        Noisy copies of each sample.
    noise
        Standard deviation of the Gaussian noise, in the units of the samples: 0.2 is a fifth of
        the contrast of a normalised movie.
    seed
        Of the noise, which is the same for all samples.
    **place
        As in `activation_times_gradient`.

    Returns
    -------
    dict
        As in `activation_times_gradient`.

    Raises
    ------
    ValueError
        If there are no copies, the noise is below 0, or as in `integrated_gradients`.

    References
    ----------
    Smilkov et al. (2017), arXiv:1706.03825.

    Examples
    --------
    >>> from retina_codec.contributions import one_cell
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> smooth_gradient(
    ...     network, np.ones((5, 2), np.float32), layers=["1"], target=one_cell(0), progress=False
    ... )["1"].values.shape
    (5, 6)
    """
    if n_copies < 1 or noise < 0:
        msg = f"Expected 'n_copies' >= 1 and 'noise' >= 0, got {n_copies} and {noise}."
        raise ValueError(msg)
    method = Smooth(n_copies, noise, seed)
    return attributed(network, samples, layers, target, 0.0, pooling, method, Place(**place))


def removal_effects(
    network: nn.Module,
    samples: Any,
    *,
    layers: Sequence[str],
    target: Target | Sequence[Target],
    baseline: float | np.ndarray = 0.0,
    **place: Any,
) -> Result:
    r"""Remove each channel in turn: the exact effects that attributions are ranked against.

    .. math:: C_c = T(s) - T(s \mid z_c := z_c(\mathrm{baseline}))

    One pass for each channel, so slow. Effects of single channels do not sum to the change of the
    target where channels work together.

    Parameters
    ----------
    network, samples, layers, target
        As in `integrated_gradients`.
    baseline
        Stimulus under which the removed channel stays, so that removing all channels of a layer
        that cuts the network leaves the target at the baseline.
    **place
        As in `activation_times_gradient`.

    Returns
    -------
    dict
        As in `integrated_gradients`; one feature for each channel, with sign 0.

    Raises
    ------
    ValueError
        As in `integrated_gradients`.

    References
    ----------
    Zeiler and Fergus (2014), European Conference on Computer Vision, arXiv:1311.2901 (occlusion).

    Examples
    --------
    >>> from retina_codec.contributions import one_cell
    >>> network = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 1, bias=False))
    >>> result = removal_effects(
    ...     network, np.ones((5, 2), np.float32), layers=["0"], target=one_cell(0), progress=False
    ... )
    >>> bool(abs(result["0"].gap).max() < 1e-6)
    True
    """
    place = Place(**place)
    return attributed(network, samples, layers, target, baseline, over_space, Removal(), place)


@dataclass(frozen=True)
class AtPoints:
    """A product of units and gradients at some points of the path.

    Attributes
    ----------
    name
        Of the method.
    points
        From 0 (baseline) to 1 (sample).
    product
        From units and gradients "point sample unit ..." to maps.
    """

    name: str
    points: tuple[float, ...]
    product: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    secants: bool = field(default=False, init=False)

    @property
    def n_points(self) -> int:
        """Points in a pass."""
        return len(self.points)

    @property
    def settings(self) -> dict[str, Any]:
        """The numbers behind the method."""
        return {"n_steps": len(self.points) - 1} if len(self.points) > 2 else {}

    def calibrated(self, job: Job) -> Job:
        """Return the job as it is."""
        return job

    def __call__(self, job: Job, passes: Passes, batch: Any) -> Attributed:
        """Attribute all targets to all layers."""
        seen = passes.along(batch, torch.tensor(self.points))
        maps = [
            {layer: self.product(seen.units[layer], one[layer]) for layer in job.layers}
            for one in seen.gradients
        ]
        return job.attributed(maps, seen.values, len(self.points) - 1)


@dataclass(frozen=True)
class Smooth:
    """The method behind `smooth_gradient`."""

    n_copies: int
    noise: float
    seed: int
    name: str = field(default="smooth gradient", init=False)
    secants: bool = field(default=False, init=False)

    @property
    def n_points(self) -> int:
        """Points in a pass."""
        return 2

    @property
    def settings(self) -> dict[str, Any]:
        """The numbers behind the method."""
        return {"n_copies": self.n_copies, "noise": self.noise, "seed": self.seed}

    def calibrated(self, job: Job) -> Job:
        """Return the job as it is."""
        return job

    def __call__(self, job: Job, passes: Passes, batch: Any) -> Attributed:
        """Attribute all targets to all layers."""
        clean = passes.along(batch, torch.tensor([0.0, 1.0]), gradients=False)
        at_sample = passes.outputs(batch)
        _, ends = passes.ends(batch)
        generator = torch.Generator().manual_seed(self.seed)
        maps = [dict.fromkeys(job.layers, 0.0) for _ in job.targets]
        for _ in range(self.n_copies):
            noise = torch.randn(ends.shape[1:], generator=generator, dtype=torch.float32).to(ends)
            seen = passes.along(ends + self.noise * noise, torch.tensor([1.0]), at_sample=at_sample)
            for i, gradients in enumerate(seen.gradients):
                for layer in job.layers:
                    product = _last_product(seen.units[layer], gradients[layer])
                    maps[i][layer] = maps[i][layer] + product / self.n_copies
        return job.attributed(maps, clean.values, self.n_copies)


@dataclass(frozen=True)
class Removal:
    """The method behind `removal_effects`."""

    name: str = field(default="removal effects", init=False)
    n_points: int = field(default=2, init=False)
    secants: bool = field(default=False, init=False)

    @property
    def settings(self) -> dict[str, Any]:
        """The numbers behind the method."""
        return {}

    def calibrated(self, job: Job) -> Job:
        """Return the job as it is."""
        return job

    def __call__(self, job: Job, passes: Passes, batch: Any) -> Attributed:
        """Attribute all targets to all layers."""
        ends = torch.tensor([0.0, 1.0])
        whole = passes.along(batch, ends, gradients=False)
        at_sample = passes.outputs(batch)
        maps: list[dict[str, torch.Tensor]] = [{} for _ in job.targets]
        for layer in job.layers:
            at_baseline, at_end = whole.units[layer]
            effects = []
            for channel in range(at_end.shape[1]):
                removed = at_end.clone()
                removed[:, channel] = at_baseline[:, channel]
                output = passes.outputs(batch, instead={layer: removed})
                effects.append([target(output, at_sample) for target in job.targets])
            for i in range(len(job.targets)):
                without = torch.stack([effect[i] for effect in effects], dim=1)
                maps[i][layer] = whole.values[i][-1][:, None] - without
        return job.attributed(maps, whole.values, 1)


def _last_units(units: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    return units[-1]


def _last_product(units: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    return units[-1] * gradients[-1]


def _last_product_of_unit_gradient(units: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    norm = gradients[-1].flatten(1).norm(dim=1).clamp(min=TINY)
    return units[-1] * gradients[-1] / norm.view(-1, *[1] * (gradients.ndim - 2))


def _mean_gradient_times_change(units: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    weights = torch.full((len(gradients),), 1 / (len(gradients) - 1)).to(gradients)
    weights[[0, -1]] /= 2
    mean = torch.tensordot(weights, gradients, dims=1)
    return mean * (units[-1] - units[0])
