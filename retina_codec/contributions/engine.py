"""Integrated gradients: the share of the target's change that went through each unit."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, overload

import numpy as np
import torch
from torch import nn

from retina_codec.datatypes import Contributions

from .job import Attributed, Job, chosen, joined
from .passes import Evaluation, Passes
from .path import Unfit
from .pooling import Poolings, by_sign
from .probe import frozen
from .quadrature import RULES, check_steps, integral
from .run import Place, Result, attributed
from .targets import Target

log = logging.getLogger(__name__)

DEFAULTS = ("secant", "trapezoid")
"""Rules with a tolerance: the first that can follow the network."""

FEWEST_STEPS, MOST_STEPS = 2, 256
SMALL_CHANGE = 0.1
SAMPLES_FOR_SCALE = 64


@overload
def integrated_gradients(
    network: nn.Module,
    samples: Any,
    *,
    layers: Sequence[str],
    target: Target,
    n_steps: int = ...,
    rule: str | None = ...,
    tolerance: float | None = ...,
    baseline: float | np.ndarray = ...,
    pooling: Poolings = ...,
    batch_size: int | None = ...,
    memory_gb: float = ...,
    device: str | torch.device | None = ...,
    store: str | PathLike | None = ...,
    client: Any = ...,
    progress: bool = ...,
) -> dict[str, Contributions]: ...


@overload
def integrated_gradients(
    network: nn.Module,
    samples: Any,
    *,
    layers: Sequence[str],
    target: Sequence[Target],
    n_steps: int = ...,
    rule: str | None = ...,
    tolerance: float | None = ...,
    baseline: float | np.ndarray = ...,
    pooling: Poolings = ...,
    batch_size: int | None = ...,
    memory_gb: float = ...,
    device: str | torch.device | None = ...,
    store: str | PathLike | None = ...,
    client: Any = ...,
    progress: bool = ...,
) -> dict[str, dict[str, Contributions]]: ...


def integrated_gradients(
    network: nn.Module,
    samples: Any,
    *,
    layers: Sequence[str],
    target: Target | Sequence[Target],
    n_steps: int = 20,
    rule: str | None = None,
    tolerance: float | None = None,
    baseline: float | np.ndarray = 0.0,
    pooling: Poolings = by_sign,
    batch_size: int | None = None,
    memory_gb: float = 0.5,
    device: str | torch.device | None = None,
    store: str | PathLike | None = None,
    client: Any = None,
    progress: bool = True,
) -> Result:
    r"""Integrated gradients in the space of a layer's activations, for all layers in one pass.

    The sample is approached from the baseline in equal steps. With z the units of a layer and g the
    gradient of the target with respect to them, both at point i of the path, the contribution of
    each unit is, by the trapezoid rule of the paper,

    .. math:: C = \sum_{i=1}^{n} \tfrac12 (g_{i-1} + g_i)\,(z_i - z_{i-1}).

    Over all units of a layer that cuts the network these sum to the change of the target, up to the
    error of the steps, which every result carries as its `gap`. The secant rule takes for each step
    the gradient that the slopes of the nonlinearities over this step give (`slopes`); it has no gap
    in networks of affine and elementwise operations and products, and needs far fewer steps for
    the same accuracy of every contribution.

    Parameters
    ----------
    network
        Any module, evaluated in its own dtype where its parameters are; left as it was.
    samples
        Anything with a length that slices into batches, such as `stimuli.windows`.
    layers
        Names from ``network.named_modules()``, each one a layer that runs once in a pass.
    target
        Which scalar to explain, see `targets`; or several, which share every pass.
    n_steps
        Steps from baseline to sample, unless there is a tolerance.
    rule
        "trapezoid" or "secant"; None for the first without a tolerance, and for the second with
        one, if it can follow the network.
    tolerance
        Largest error of any feature and of the gap, relative to the change of the target: each
        sample gets twice as many steps (2, 4, 8 ... 256) until neither its gap nor the difference
        to the result with half the steps is larger; the last two results are extrapolated
        (Richardson). So the gap is sure; the error of features is a guess, which can be twice too
        small for tolerances below 1 %.
        Changes below a tenth of the usual one count as a tenth. Layers that do not cut the network
        need not close their gap.
    baseline
        Number or array that broadcasts to one sample; 0 is the mean grey of a normalised movie.
    pooling
        How units become features, see `pooling`: one for all layers, or a mapping with one each.
    batch_size
        Samples in one pass; by default as many as are fastest within the memory.
    memory_gb
        What passes may use beside network and results.
    device
        Where to compute, such as "cuda"; by default where the network is. On another device a copy
        of the network is used.
    store
        Folder of a Zarr store for the results. They are written piece by piece and come back lazy,
        and an interrupted call goes on where it stopped.
    client
        A ``dask.distributed.Client``: the work is done by the workers of its cluster. With a
        store, this must be a folder that all of them see.
    progress
        Whether to show a bar.

    Returns
    -------
    dict
        One record for each layer; with several targets, by the name of the target a dict of these.

    Raises
    ------
    ValueError
        If a layer is unknown or unfit, there are no samples or steps, the target is not a
        scalar, or the store belongs to something else.

    Warns
    -----
    UserWarning
        If a layer does not cut the network, or samples do not reach the tolerance.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557.
    Sundararajan, Taly and Yan (2017), Proceedings of Machine Learning Research 70:3319-3328,
    arXiv:1703.01365.

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
    place = Place(batch_size, memory_gb, device, store, client, progress)
    given = (network, samples, layers, target, baseline, pooling)
    first, *others = [rule] if rule else ["trapezoid"] if tolerance is None else DEFAULTS
    _check(n_steps, first, tolerance)
    try:
        result = attributed(*given, IntegratedGradients(first, n_steps, tolerance), place)
    except Unfit:
        if not others:
            raise
        log.info("the secant rule cannot follow the network, the trapezoid rule can")
        result = attributed(*given, IntegratedGradients(*others, n_steps, tolerance), place)
    if tolerance is not None:
        _tell_who_did_not_arrive(result)
    return result


@dataclass(frozen=True)
class IntegratedGradients:
    """The method behind `integrated_gradients`.

    Attributes
    ----------
    rule, n_steps, tolerance
        As there.
    small
        For each target, the change below which the tolerance is no longer relative.
    """

    rule: str
    n_steps: int
    tolerance: float | None = None
    small: tuple[float, ...] = ()
    name: str = "integrated gradients"

    @property
    def secants(self) -> bool:
        """Whether gradients belong to the intervals between points."""
        return RULES[self.rule].secants

    @property
    def n_points(self) -> int:
        """Of the first pass of a sample."""
        return (self.n_steps if self.tolerance is None else FEWEST_STEPS) + 1

    @property
    def settings(self) -> dict[str, Any]:
        """The numbers behind the method."""
        if self.tolerance is None:
            return {"rule": self.rule, "n_steps": self.n_steps}
        return {"rule": self.rule, "tolerance": self.tolerance, "small_change": list(self.small)}

    def calibrated(self, job: Job) -> Job:
        """Return the job with the usual size of the change of its targets."""
        if self.tolerance is None:
            return job
        some = np.unique(np.linspace(0, len(job.samples) - 1, SAMPLES_FOR_SCALE).astype(int))
        passes = Passes(job.network, job.layers, job.targets, job.baseline)
        with frozen(job.network):
            changes = torch.stack([passes.changes(job.samples[int(i) : int(i) + 1]) for i in some])
        small = SMALL_CHANGE * changes.abs().double().mean(dim=0)
        return replace(job, method=replace(self, small=tuple(float(f"{x:.3g}") for x in small)))

    def __call__(self, job: Job, passes: Passes, batch: Any) -> Attributed:
        """Attribute all targets to all layers."""
        if self.tolerance is None:
            return job.attributed(*self._maps(job, passes, batch, self.n_steps), self.n_steps)
        return self._refined(job, passes, batch)

    def _refined(self, job: Job, passes: Passes, batch: Any) -> Attributed:
        """Double the steps of the samples that are not there yet."""
        n_steps = FEWEST_STEPS
        coarse, values = self._maps(job, passes, batch, n_steps)
        result = job.attributed(coarse, values, n_steps)
        left = torch.arange(len(batch))
        while len(left) and n_steps < MOST_STEPS:
            n_steps *= 2
            size = max(1, job.at_once // (n_steps + 1))
            parts = [
                self._maps(job, passes, batch[part.numpy()], n_steps) for part in left.split(size)
            ]
            fine = joined([maps for maps, _ in parts])
            values = [torch.cat(some, dim=1) for some in zip(*(v for _, v in parts), strict=True)]
            better = [
                {layer: one.lerp(before[layer], -1 / 3) for layer, one in layers.items()}
                for layers, before in zip(fine, coarse, strict=True)
            ]
            found = job.attributed(better, values, n_steps)
            error = self._error(job, job.attributed(fine, values, n_steps), found)
            result.put(left, found)
            unfinished = error.cpu() > self.tolerance
            left, coarse = left[unfinished], chosen(fine, unfinished)
        result.n_steps[left] *= -1
        return result

    def _error(self, job: Job, fine: Attributed, better: Attributed) -> torch.Tensor:
        """Return the error of the worst target, layer and feature, as a share of the change.

        For features it is the difference of two numbers of steps, which is three times that of the
        finer one to the extrapolated one; kinks make a more hopeful guess wrong.
        """
        errors = []
        for i, small in enumerate(self.small):
            change = better.target_value[i] - better.baseline_value[i]
            for layer in job.layers:
                moved = (better.features[i][layer] - fine.features[i][layer]).abs()
                error = 3 * moved.flatten(1).amax(dim=1)
                if not job.bypassed[layer]:
                    error = torch.maximum(error, (change - better.totals[i][layer]).abs())
                errors.append(error / change.abs().clamp(min=small))
        return torch.stack(errors).amax(dim=0)

    def _maps(
        self, job: Job, passes: Passes, batch: Any, n_steps: int
    ) -> tuple[list[dict[str, torch.Tensor]], list[torch.Tensor]]:
        """Integrate; where not all points fit into memory, piece by piece along the path."""
        points = torch.linspace(0, 1, n_steps + 1)
        shared = 1 if self.secants else 0  # Intervals need both of their ends in one pass.
        pieces = _pieces(points, max(1 + shared, job.at_once // len(batch)), shared)
        at_sample = passes.outputs(batch) if len(pieces) > 1 else None
        maps = [dict.fromkeys(job.layers, 0.0) for _ in job.targets]
        increments = RULES[self.rule].increments
        values, before = [], None
        for piece in pieces:
            seen = passes.along(
                batch, piece, secants=self.secants, at_sample=at_sample, push=job.pushes
            )
            values.append(seen.values)
            if len(pieces) > 1 and not self.secants:
                seen = seen.whole() if before is None else seen.after(before)
                before = seen.last()
                if len(seen.values[0]) == 1:
                    continue
            changes = {layer: increments(seen.units[layer]) for layer in job.layers}
            for found, new in zip(maps, integrals(seen, changes), strict=True):
                for layer in job.layers:
                    found[layer] = found[layer] + new[layer]
        changes = [
            torch.stack([first[0], last[-1]])
            for first, last in zip(values[0], values[-1], strict=True)
        ]
        return maps, changes


def integrals(
    seen: Evaluation, changes: Mapping[str, torch.Tensor]
) -> Iterator[dict[str, torch.Tensor]]:
    """For each target, gradients times changes, summed over the points of the path.

    Parameters
    ----------
    seen
        With gradients at "point sample ...".
    changes
        Of the units that each of these gradients belongs to.

    Yields
    ------
    dict
        For each layer "sample unit ..."; "sample channel" where channels were pushed on.
    """
    if not seen.pushes:
        for gradients in seen.gradients:
            yield {layer: integral(found, changes[layer]) for layer, found in gradients.items()}
        return
    behind: dict[str, list[torch.Tensor]] = {layer: [] for layer in seen.pushes}
    others = []
    for gradients in seen.gradients:
        for layer, found in behind.items():
            found.append(gradients.pop(layer).flatten(2))
        others.append({layer: integral(one, changes[layer]) for layer, one in gradients.items()})
    sums = {
        layer: (torch.stack(found, dim=2) @ seen.pushes[layer](changes[layer]).flatten(3).mT).sum(0)
        for layer, found in behind.items()
    }
    for i, other in enumerate(others):
        yield other | {layer: channels[:, i] for layer, channels in sums.items()}


def _pieces(points: torch.Tensor, most: int, shared: int) -> list[torch.Tensor]:
    """Stretches of the path with at most so many points, of which neighbours share some."""
    firsts = range(0, len(points) - shared, most - shared)
    return [points[first : first + most] for first in firsts]


def _check(n_steps: int, rule: str, tolerance: float | None) -> None:
    check_steps(n_steps)
    if rule not in RULES:
        msg = f"No rule {rule!r}; choose one of {', '.join(RULES)}."
        raise ValueError(msg)
    if tolerance is not None and not 0 < tolerance < 1:
        msg = f"'tolerance' must be between 0 and 1, got {tolerance}."
        raise ValueError(msg)


def _tell_who_did_not_arrive(result: Result) -> None:
    first = next(iter(result.values()))
    record = next(iter(first.values())) if isinstance(first, dict) else first
    n_left = int((np.asarray(record.n_steps) < 0).sum())
    if n_left:
        msg = (
            f"{n_left} of {len(record.n_steps)} samples did not reach the tolerance with "
            f"{MOST_STEPS} steps; their `n_steps` is negative."
        )
        warnings.warn(msg, stacklevel=3)
