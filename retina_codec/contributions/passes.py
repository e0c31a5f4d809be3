"""One pass of a network along the path: targets, units of layers, and gradients."""

import copy
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from .path import Kernels, Path, Push, Unfit
from .probe import differentiable, frozen, hooked, once
from .targets import Target, name_of

log = logging.getLogger(__name__)

ENDS, PREPARED, PLAIN = "ends where affine", "prepared weights", "plain"
WAYS = (ENDS, PREPARED, PLAIN)
"""How a network may be run, the fastest first; the last one is always right."""

TRIAL = torch.tensor([0.25, 0.5, 1.0])
"""Points at which ways are compared; with one or two samples these are more rows than ends, so that
a network that counts its rows before they become more is found out."""

OTHER_RESULTS = "other results"

NEARLY = 1000
"""Two ways agree when they differ by less than this many roundings."""


@dataclass(frozen=True)
class Evaluation:
    """What one pass saw.

    Attributes
    ----------
    values
        For each target its value at "point sample".
    units
        Output of each layer, "point sample unit ...".
    gradients
        For each target in turn and each layer, like the units, or like what comes out of the push.
        They are computed when they are asked for, once.
    pushes
        For layers whose channels were pushed on: from units "point sample channel ..." to what each
        channel adds to the next layer, "point sample channel out ...".
    """

    values: list[torch.Tensor]
    units: dict[str, torch.Tensor]
    gradients: Iterable[dict[str, torch.Tensor]]
    pushes: dict[str, Push]

    def whole(self) -> "Evaluation":
        """Return the same with all gradients computed."""
        return replace(self, gradients=list(self.gradients))

    def last(self) -> "Evaluation":
        """Return a copy of what belongs to the last point; all gradients must be computed."""
        return self._each(lambda tensor: tensor[-1:].clone(), self)

    def after(self, before: "Evaluation") -> "Evaluation":
        """Return the same with what was seen at points before."""
        return self._each(lambda here, there: torch.cat([there, here]), self.whole(), before)

    def _each(self, change: Callable[..., torch.Tensor], *seen: "Evaluation") -> "Evaluation":
        """Change tensors that belong together."""
        found = zip(*(one.gradients for one in seen), strict=True)
        return replace(
            self,
            values=list(map(change, *(one.values for one in seen))),
            units={name: change(*(one.units[name] for one in seen)) for name in self.units},
            gradients=[
                {name: change(*(one[name] for one in some)) for name in self.units}
                for some in found
            ],
        )


@dataclass
class Passes:
    """A network that is run along paths, in the fastest way that gives the right answer.

    To be used inside `running`; several threads may use it at once.
    """

    network: nn.Module
    layers: tuple[str, ...]
    targets: tuple[Target, ...]
    baseline: float | np.ndarray
    way: str = PLAIN
    kernels: Kernels = field(init=False)
    here: threading.local = field(default_factory=threading.local)

    def __post_init__(self):
        self.kernels = Kernels([*self.network.parameters(), *self.network.buffers()])

    def keep(self, layer: str, output: torch.Tensor) -> torch.Tensor:
        """Keep what a layer puts out in the pass of this thread, and hand it on."""
        return self.here.keep(layer, output)

    def ends(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Baseline "1 ..." and samples "sample ...", as the network wants them."""
        like = next(self.network.parameters(), next(self.network.buffers(), torch.zeros(1)))
        if not isinstance(batch, torch.Tensor):
            batch = np.ascontiguousarray(batch)
        end = torch.as_tensor(batch).to(like)
        start = torch.as_tensor(self.baseline).to(end)
        return torch.broadcast_to(start, end.shape[1:])[None], end

    def prepare(self, sample: Any, *, secants: bool) -> None:
        """See which weights can be prepared, in one pass, and prepare them in another."""
        if self.way != PLAIN:
            self.along(sample, TRIAL, secants=secants)
            self.kernels.learned()
            self.along(sample, TRIAL, secants=secants)

    def along(
        self,
        batch: Any,
        points: torch.Tensor,
        *,
        secants: bool = False,
        at_sample: torch.Tensor | None = None,
        gradients: bool = True,
        push: bool = False,
    ) -> Evaluation:
        """Run the network at points between baseline and samples.

        Parameters
        ----------
        batch
            Samples.
        points
            From 0 (baseline) to 1 (sample).
        secants
            Whether gradients belong to intervals (see `slopes`).
        at_sample
            Output at the samples; by default that of the last point.
        gradients
            Whether they are wanted.
        push
            Whether gradients may be those behind the convolution that follows a layer.
        """
        start, end = self.ends(batch)
        size = (len(points), len(end))
        kept: dict[str, torch.Tensor] = {}
        path = self._path(points, secants)

        def keep(layer, output):
            with torch._C.DisableTorchFunction():
                kept[layer] = once(kept, layer, differentiable(path.everywhere(output)))
                return path.guarded(kept[layer])

        self.here.keep = keep
        with torch.set_grad_enabled(gradients), path:
            output = self._output(path, start, end)
            with torch._C.DisableTorchFunction():
                if at_sample is None:
                    at_sample = output.detach().unflatten(0, size)[-1]
                rows = at_sample.expand(len(points), *at_sample.shape).flatten(0, 1)
            values = [target(output, rows) for target in self.targets]
        self._check(values, size, kept, gradients)
        pushes = {layer: path.push_of(kept[layer]) for layer in self.layers} if push else {}
        pushes = {layer: found for layer, found in pushes.items() if found}
        at = [pushes[layer][1] if layer in pushes else kept[layer] for layer in self.layers]
        return Evaluation(
            values=[value.detach().unflatten(0, size) for value in values],
            units={layer: kept[layer].detach().unflatten(0, size) for layer in self.layers},
            gradients=self._gradients(values, at, size, secants) if gradients else iter(()),
            pushes={layer: along_points(found[0]) for layer, found in pushes.items()},
        )

    def outputs(
        self, batch: Any, instead: Mapping[str, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Output of the network at the samples alone.

        Parameters
        ----------
        batch
            Samples.
        instead
            What layers hand on instead of what they put out.
        """
        _, end = self.ends(batch)
        self.here.keep = (instead or {}).get
        with torch.no_grad():
            return self.network(own(end))

    def changes(self, batch: Any) -> torch.Tensor:
        """Change of each target from the baseline to a batch of one sample."""
        start, end = self.ends(batch)
        with torch.no_grad():
            before, after = self.network(own(start)), self.network(own(end))
            return torch.cat([t(after, after) - t(before, after) for t in self.targets])

    def _path(self, points, secants):
        if self.way == PLAIN and not secants:
            return Everywhere(points)
        return Path(points, self.kernels, share=self.way == ENDS, secants=secants)

    def _output(self, path, start, end):
        with torch._C.DisableTorchFunction():
            ray = path.begin(start, end)
        output = self.network(ray)
        with torch._C.DisableTorchFunction():
            output = path.everywhere(output)
        if not path.knows(output, len(path.points) * len(end)):
            msg = "the output is not one row for each input"
            raise Unfit(msg)
        return output

    def _gradients(self, values, at, size, secants):
        for i, value in enumerate(values):
            seed = torch.ones_like(value).unflatten(0, size)
            if secants:
                seed[0] = 0
            gradients = torch.autograd.grad(
                value,
                at,
                seed.flatten(),
                retain_graph=i + 1 < len(values),
                materialize_grads=True,
            )
            split = (gradient.unflatten(0, size) for gradient in gradients)
            yield dict(zip(self.layers, split, strict=True))

    def _check(self, values, size, kept, gradients) -> None:
        for layer in self.layers:
            if layer not in kept:
                msg = f"Layer {layer!r} did not run; name one that the network uses."
                raise ValueError(msg)
        n_rows = size[0] * size[1]
        for target, value in zip(self.targets, values, strict=True):
            name = name_of(target)
            if gradients and not value.requires_grad:
                layers = ", ".join(self.layers)
                msg = f"Target {name!r} does not depend on the layers {layers}."
                raise ValueError(msg)
            if tuple(value.shape) != (n_rows,):
                msg = (
                    f"Target {name!r} must give one number for each row of the output, "
                    f"({n_rows},), got {tuple(value.shape)}."
                )
                raise ValueError(msg)


class Everywhere:
    """The plain way: a pass at all points, whatever the network does."""

    def __init__(self, points: torch.Tensor):
        self.points = points

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return None

    def begin(self, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
        """Return the input of the network at all points."""
        along = self.points.to(end).view(-1, *[1] * end.ndim)
        return torch.lerp(start[None], end[None], along).flatten(0, 1)

    def everywhere(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensor: it is known at all points."""
        return tensor

    def guarded(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a copy, so that operations in place do not change what was kept."""
        return tensor.clone()

    def knows(self, output: torch.Tensor, n_rows: int) -> bool:
        """Whether the output belongs to the points."""
        return len(output) == n_rows

    def push_of(self, tensor: torch.Tensor) -> None:
        """Nothing: it is not known what takes a tensor."""


def own(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy, in which a network may work in place."""
    return tensor.clone(memory_format=torch.contiguous_format)


def along_points(push: Push) -> Push:
    """Let a push work on "point sample ..." instead of rows."""
    return lambda units: push(units.flatten(0, 1)).unflatten(0, units.shape[:2])


def fastest_right_way(passes: Passes, samples: Any, *, secants: bool) -> str:
    """Return the name of the fastest way that agrees with the plain one.

    Ways that differ are compared again in double precision, where rounding cannot be taken for a
    difference, unless the network or the target only know their own.

    Parameters
    ----------
    passes
        Of the plain way.
    samples
        One or two inputs.
    secants
        Whether gradients belong to intervals; these are not compared.

    Raises
    ------
    Unfit
        If the network cannot be followed, and secants need it to be.
    """
    way, reasons = _compared(passes, samples, secants)
    if OTHER_RESULTS in reasons.values():
        with suppress(RuntimeError, TypeError, NotImplementedError):
            double = replace(passes, network=copy.deepcopy(passes.network).double())
            way, reasons = _compared(double, samples, secants)
    for slower, reason in reasons.items():
        log.info("the network is not run with '%s': %s", slower, reason)
    if way is None:
        why = "; ".join(f"{way}: {reason}" for way, reason in reasons.items())
        msg = f"The network cannot be followed from point to point ({why}). Use rule='trapezoid'."
        raise Unfit(msg)
    return way


def _compared(plain: Passes, samples: Any, secants: bool) -> tuple[str | None, dict[str, str]]:
    """Return the first way that agrees, and why those before it do not."""
    reasons: dict[str, str] = {}
    with running(plain):
        truth = plain.along(samples, TRIAL).whole()
    for way in WAYS:
        if way == PLAIN and not secants:
            return way, reasons
        passes = replace(plain, way=way)
        try:
            with running(passes):
                passes.prepare(samples, secants=secants)
                found = passes.along(samples, TRIAL, secants=secants).whole()
        except (Unfit, RuntimeError, IndexError, TypeError, AttributeError, ValueError) as error:
            reasons[way] = str(error)
        else:
            if agree(found, truth, gradients=not secants):
                return way, reasons
            reasons[way] = OTHER_RESULTS
    return None, reasons


@contextmanager
def running(passes: Passes) -> Iterator[None]:
    """Let the layers of a network tell what they put out while the block lasts."""
    with frozen(passes.network), hooked(passes.network, passes.layers, passes.keep):
        yield


def agree(found: Evaluation, truth: Evaluation, *, gradients: bool) -> bool:
    """Whether two evaluations are the same but for rounding.

    A unit within rounding of a kink may have another gradient; one in a hundred may.
    """
    pairs = list(zip(found.values, truth.values, strict=True))
    pairs += [(found.units[layer], truth.units[layer]) for layer in truth.units]
    if gradients:
        for one, other in zip(found.gradients, truth.gradients, strict=True):
            pairs += [(one[layer], other[layer]) for layer in other]
    return all(_nearly_all_equal(a, b) for a, b in pairs)


def _nearly_all_equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.shape != b.shape:
        return False
    allowed = min(NEARLY * torch.finfo(b.dtype).eps, 0.1) * b.abs().max()
    return bool(((a - b).abs() > allowed).double().mean() <= 0.01)
