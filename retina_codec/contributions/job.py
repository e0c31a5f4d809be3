"""A job: contributions of some targets at some layers, for any stretch of the samples."""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from retina_codec.stimuli import Windows

from .passes import PLAIN, Passes, running
from .path import Unfit
from .pooling import Pooled, Pooling, Poolings, over_space, pooling_of
from .targets import Target, name_of

Part = dict[str, np.ndarray]
"""Arrays of one stretch, by the names of the fields of `Contributions`."""


NUMBERS = ("gap", "target_value", "baseline_value")
"""Fields of `Contributions` with one number for each sample."""

MOST_SAMPLES = 1024
"""Samples of a stretch, at the most."""

STRETCH_BYTES = 2**25
"""Bytes that the results of a stretch, and its frames, may have."""

FEWEST_TARGETS_TO_PUSH = 4
"""Pushing all channels on takes as long as going back from so many targets."""


@dataclass(frozen=True)
class Attributed:
    """What a method found for a batch.

    Attributes
    ----------
    features
        For each target and layer, pooled values "sample feature ...".
    totals
        For each target and layer, the sum over all units, " sample".
    target_value, baseline_value
        For each target, " sample".
    n_steps
        Steps that each sample took.
    """

    features: list[dict[str, torch.Tensor]]
    totals: list[dict[str, torch.Tensor]]
    target_value: list[torch.Tensor]
    baseline_value: list[torch.Tensor]
    n_steps: torch.Tensor

    def put(self, where: torch.Tensor, other: "Attributed") -> None:
        """Replace some samples by those of another result."""
        for name in (f.name for f in fields(self)):
            _put(getattr(self, name), where, getattr(other, name))


def joined(parts: list[Any]) -> Any:
    """Tensors of several batches, in lists and dictionaries of the same form, as those of one."""
    if isinstance(parts[0], dict):
        return {key: joined([part[key] for part in parts]) for key in parts[0]}
    if isinstance(parts[0], list):
        return [joined([part[i] for part in parts]) for i in range(len(parts[0]))]
    return torch.cat(parts)


def chosen(tensors: list[dict[str, torch.Tensor]], where: torch.Tensor) -> list:
    """Tensors of some of the samples."""
    return [{key: one[where.to(one.device)] for key, one in some.items()} for some in tensors]


def _put(target: Any, where: torch.Tensor, source: Any) -> None:
    if isinstance(target, torch.Tensor):
        target[where.to(target.device)] = source
        return
    keys = target if isinstance(target, dict) else range(len(target))
    for key in keys:
        _put(target[key], where, source[key])


@runtime_checkable
class Method(Protocol):
    """A way to attribute a batch of samples."""

    name: str
    n_points: int
    """Of the first pass of a sample."""
    secants: bool
    """Whether gradients belong to the intervals between points."""

    @property
    def settings(self) -> dict[str, Any]:
        """The numbers behind the method."""

    def calibrated(self, job: "Job") -> "Job":
        """Return the job, with a method that knows what it must know of all samples."""

    def __call__(self, job: "Job", passes: Passes, batch: Any) -> Attributed:
        """Attribute all targets to all layers."""


@dataclass(frozen=True)
class Job:
    """Everything that a worker needs to compute any stretch of the samples by itself.

    Attributes
    ----------
    network, samples, layers, targets, baseline, pooling
        As given to `integrated_gradients`.
    method
        How features are made.
    output_shape
        What the network gives for one sample.
    features
        For each layer, the pooled contributions of one sample with channel and sign of each
        feature: what a result looks like.
    way
        How the network is run (`passes.WAYS`).
    bypassed
        For each layer, whether the stimulus reaches a target round it.
    at_once
        Evaluations of the network in one pass.
    batch_size
        Samples in one pass.
    n_threads, n_torch_threads
        Passes at the same time, and threads of torch in each of them. Both are fixed, so that
        results do not depend on where a stretch is computed.
    """

    network: nn.Module
    samples: Any
    layers: tuple[str, ...]
    targets: tuple[Target, ...]
    baseline: float | np.ndarray
    pooling: Poolings
    method: Method
    output_shape: tuple[int, ...]
    features: dict[str, Pooled]
    way: str
    bypassed: dict[str, bool]
    at_once: int
    batch_size: int
    n_threads: int
    n_torch_threads: int

    def stretch(
        self, start: int, stop: int, done: Callable[[int], None] = lambda n: None
    ) -> dict[str, dict[str, Part]]:
        """Compute the samples from `start` to before `stop`.

        Parameters
        ----------
        start, stop
            Numbers of samples.
        done
            Called with the number of samples after each batch.

        Returns
        -------
        dict
            The arrays by target and layer.
        """
        passes = Passes(self.network, self.layers, self.targets, self.baseline, self.way)
        samples, parts = self.samples, self.room(stop - start)
        if isinstance(samples, Windows):
            samples, start, stop = samples.part(start, stop), 0, stop - start
        batches = iter(range(start, stop, self.batch_size))
        lock = threading.Lock()

        def work():
            while True:
                with lock:
                    first = next(batches, None)
                    if first is None:
                        return
                    last = min(first + self.batch_size, stop)
                    batch = samples[first:last]
                if not isinstance(batch, torch.Tensor):
                    batch = np.ascontiguousarray(batch)
                try:
                    result = self.method(self, passes, batch)
                except (Unfit, RuntimeError):
                    if self.method.secants:
                        raise
                    # Sizes may fit by chance in the trial and not here; the plain way is right.
                    result = self.method(self, replace(passes, way=PLAIN), batch)
                with lock:
                    place(result, parts, slice(first - start, last - start))
                    done(last - first)

        with (
            torch_threads(self.n_torch_threads),
            running(passes),
        ):
            passes.prepare(samples[start : start + 1], secants=self.method.secants)
            at_the_same_time(work, self.n_threads, stop=batches)
        return parts

    def room(self, n_samples: int) -> dict[str, dict[str, Part]]:
        """Arrays for the results of so many samples, by target and layer."""
        return {
            name_of(target): {
                layer: {
                    "values": np.zeros((n_samples, *one.values.shape[1:]), one.values.dtype),
                    **{name: np.zeros(n_samples, one.values.dtype) for name in NUMBERS},
                    "n_steps": np.zeros(n_samples, np.int64),
                }
                for layer, one in self.features.items()
            }
            for target in self.targets
        }

    @property
    def stretch_length(self) -> int:
        """How many samples are computed, stored and sent around together."""
        result = len(self.targets) * sum(one.values.nbytes for one in self.features.values())
        movie = self.samples.stimulus.frames if isinstance(self.samples, Windows) else None
        frame = 0 if movie is None else movie.dtype.itemsize * math.prod(movie.shape[1:])
        return max(1, min(MOST_SAMPLES, STRETCH_BYTES // max(result, frame)))

    @property
    def stretches(self) -> list[tuple[int, int]]:
        """First sample of each stretch, and the one after its last."""
        n_samples, length = len(self.samples), self.stretch_length
        return [(i, min(i + length, n_samples)) for i in range(0, n_samples, length)]

    @property
    def pushes(self) -> bool:
        """Whether channels are pushed on."""
        return channels_are_pushed(self.pooling, self.targets)

    @property
    def sample(self) -> np.ndarray:
        """Time or number of each sample."""
        return np.asarray(getattr(self.samples, "sample", np.arange(len(self.samples))))

    def pooling_of(self, layer: str) -> Pooling:
        """Return the pooling of a layer."""
        return pooling_of(self.pooling, layer)

    @property
    def poolings(self) -> dict[str, Pooling]:
        """Pooling of each layer."""
        return {layer: self.pooling_of(layer) for layer in self.layers}

    def attributed(
        self, maps: list[dict[str, torch.Tensor]], values: list[torch.Tensor], n_steps: int
    ) -> Attributed:
        """Pool what was found for each target and layer.

        Parameters
        ----------
        maps
            For each target and layer, "sample unit ...".
        values
            For each target, "point sample", from the baseline to the sample.
        n_steps
            That it took.
        """
        return Attributed(
            features=[
                {layer: self.pooling_of(layer)(one).values for layer, one in layers.items()}
                for layers in maps
            ],
            totals=[
                {layer: one.flatten(1).sum(dim=1) for layer, one in layers.items()}
                for layers in maps
            ],
            target_value=[value[-1] for value in values],
            baseline_value=[value[0] for value in values],
            n_steps=torch.full((len(values[0][0]),), n_steps),
        )


def channels_are_pushed(pooling: Poolings, targets: Sequence[Target]) -> bool:
    """Whether to push every channel on once, instead of taking every target back to it."""
    return pooling is over_space and len(targets) >= FEWEST_TARGETS_TO_PUSH


def place(result: Attributed, parts: dict[str, dict[str, Part]], where: slice) -> None:
    """Put the result of a batch where it belongs among those of a stretch."""
    for i, layers in enumerate(parts.values()):
        change = result.target_value[i] - result.baseline_value[i]
        for layer, part in layers.items():
            found = {
                "values": result.features[i][layer],
                "gap": change - result.totals[i][layer],
                "target_value": result.target_value[i],
                "baseline_value": result.baseline_value[i],
                "n_steps": result.n_steps,
            }
            for name, tensor in found.items():
                part[name][where] = as_array(tensor)


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as an array of single or double precision, or of whole numbers."""
    is_half = tensor.dtype in (torch.float16, torch.bfloat16)
    return (tensor.float() if is_half else tensor).detach().cpu().numpy()


def at_the_same_time(work: Callable[[], None], n_threads: int, *, stop: Iterator) -> None:
    """Run the same function in several threads; an error in one ends all.

    Parameters
    ----------
    work
        Takes from the iterator until there is no more.
    n_threads
        How many.
    stop
        The iterator: emptied when the work must end.
    """
    with ThreadPoolExecutor(n_threads) as pool:
        running = [pool.submit(work) for _ in range(n_threads)]
        try:
            for future in running:
                future.result()
        except BaseException:
            for _ in stop:
                pass
            raise


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Let torch use so many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
