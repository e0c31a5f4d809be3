"""From a method to records: how a job is set up, where it runs and where its results go."""

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from tqdm import tqdm

from retina_codec.datatypes import Contributions

from .job import Job, Method, Part, as_array, channels_are_pushed
from .passes import TRIAL, Evaluation, Passes, fastest_right_way, running
from .path import tensors
from .pooling import Pooled, Poolings, pooling_of
from .probe import bypassed
from .store import Store
from .targets import Target, name_of

ROOM = 3
"""Bytes in use at the peak of a pass, for each byte that its operations put out."""

FASTEST_BYTES = 2**27
"""Passes that put out more bytes are not faster."""

Result = dict[str, Contributions] | dict[str, dict[str, Contributions]]


@dataclass(frozen=True)
class Place:
    """Where a job runs and where its results go; see `integrated_gradients`."""

    batch_size: int | None = None
    memory_gb: float = 0.5
    device: str | torch.device | None = None
    store: str | PathLike | None = None
    client: Any = None
    progress: bool = True


def attributed(
    network: nn.Module,
    samples: Any,
    layers: Sequence[str],
    target: Target | Sequence[Target],
    baseline: float | np.ndarray,
    pooling: Poolings,
    method: Method,
    place: Place,
) -> Result:
    """Attribute targets to layers by any method; the arguments are those of its public function.

    Raises
    ------
    ValueError
        If something does not fit.
    """
    several = isinstance(target, Sequence)
    targets = tuple(target) if several else (target,)
    check(samples, targets, place)
    for layer in layers:
        pooling_of(pooling, layer)
    if place.device is not None:
        network = copy.deepcopy(network).to(place.device)
    job = planned(network, samples, tuple(layers), targets, baseline, pooling, method, place)
    tell_what_is_bypassed(job)
    records = computed(job, place)
    return records if several else records[name_of(target)]


def check(samples: Any, targets: Sequence[Target], place: Place) -> None:
    """Raise an error if there is nothing to do or no room, or targets could not be told apart.

    Raises
    ------
    ValueError
        If so.
    """
    if not len(samples) or not targets:
        msg = f"There are no {'targets' if len(samples) else 'samples'}."
        raise ValueError(msg)
    if not place.memory_gb > 0 or (place.batch_size is not None and place.batch_size < 1):
        msg = (
            "'memory_gb' must be above 0 and 'batch_size' at least 1, got "
            f"{place.memory_gb} and {place.batch_size}."
        )
        raise ValueError(msg)
    names = [name_of(target) for target in targets]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        msg = f"Several targets are called {', '.join(sorted(twice))}; name them with `named`."
        raise ValueError(msg)


def planned(
    network: nn.Module,
    samples: Any,
    layers: tuple[str, ...],
    targets: tuple[Target, ...],
    baseline: float | np.ndarray,
    pooling: Poolings,
    method: Method,
    place: Place,
) -> Job:
    """Try the network with the first samples, and decide how to run it."""
    first, push = samples[:1], channels_are_pushed(pooling, targets)
    plain = Passes(network, layers, targets, baseline)
    with running(plain), Tally() as tally:
        plain.outputs(first)
    two_fit = 2 * len(TRIAL) * ROOM * tally.n_bytes < 1e9 * place.memory_gb
    way = fastest_right_way(plain, samples[: 2 if two_fit else 1], secants=method.secants)
    passes = Passes(network, layers, targets, baseline, way)
    with running(passes):
        passes.prepare(first, secants=method.secants)
        one, two = (
            bytes_of(passes, first, points, secants=method.secants, push=push)
            for points in (TRIAL[1:], TRIAL)
        )
        seen = passes.along(first, TRIAL, gradients=False)
        output = passes.outputs(first)
        sample = passes.ends(first)[1]
        job = Job(
            network=network,
            samples=samples,
            layers=layers,
            targets=targets,
            baseline=baseline,
            pooling=pooling,
            method=method,
            output_shape=tuple(output.shape[1:]),
            features={
                layer: form(pooling_of(pooling, layer)(units[0]))
                for layer, units in seen.units.items()
            },
            bypassed=bypassed(network, sample, layers, sum_of(targets)),
            way=way,
            **sizes(two - one, len(samples), method, place, sample.device),
        )
    return method.calibrated(job)


def bytes_of(passes: Passes, batch: Any, points: torch.Tensor, *, secants: bool, push: bool) -> int:
    """Return the bytes that the operations of a pass put out."""
    with Tally() as tally:
        seen = passes.along(batch, points, secants=secants, push=push)
    return tally.n_bytes + (bytes_of_all_targets(seen) if push else 0)


def bytes_of_all_targets(seen: Evaluation) -> int:
    """Return what is held at once where channels are pushed on."""
    pushed = [push(seen.units[layer]) for layer, push in seen.pushes.items()]
    held = [tensor for gradients in seen.gradients for tensor in gradients.values()]
    return sum(tensor.nbytes for tensor in pushed + held)


def form(pooled: Pooled) -> Pooled:
    """Return pooled contributions as arrays."""
    return Pooled(*(as_array(tensor) for tensor in pooled))


def sizes(
    evaluation_bytes: int, n_samples: int, method: Method, place: Place, device: torch.device
) -> dict[str, int]:
    """How much to do at once, within the memory that may be used."""
    n_torch = torch.get_num_threads()
    room = place.memory_gb * 1e9 / ROOM
    n_threads = n_torch if device.type == "cpu" and 2 * evaluation_bytes < room / n_torch else 1
    fewest = 2 if method.secants else 1
    at_once = max(fewest, int(min(FASTEST_BYTES, room / n_threads) / max(evaluation_bytes, 1)))
    fair = -(-n_samples // n_threads)
    return {
        "at_once": at_once,
        "batch_size": place.batch_size or max(1, min(at_once // method.n_points, fair)),
        "n_threads": n_threads,
        "n_torch_threads": n_torch // n_threads,
    }


def sum_of(targets: Sequence[Target]) -> Target:
    """All targets in one number; enough to see what they depend on."""
    return lambda output: sum(target(output, output.detach()).sum() for target in targets)


def tell_what_is_bypassed(job: Job) -> None:
    """Warn of layers that do not cut the network."""
    names = [layer for layer, is_bypassed in job.bypassed.items() if is_bypassed]
    if names:
        msg = (
            f"The stimulus reaches the target also round layer {', '.join(names)}: contributions "
            "there sum to less than the change of the target, and `gap` holds the rest."
        )
        warnings.warn(msg, stacklevel=4)


def computed(job: Job, place: Place) -> dict[str, dict[str, Contributions]]:
    """Compute what is missing, where it is wanted, and return records by target and layer."""
    n_samples = len(job.samples)
    bar = tqdm(total=n_samples, desc="contributions", unit="sample", disable=not place.progress)
    with bar:
        if place.store is None:
            whole = job.room(n_samples)
            for start, parts in each_stretch(job, job.stretches, None, place.client, bar.update):
                put(whole, start, parts)
            return records(job, whole)
        store = Store.opened(place.store, job, records(job, job.room(1), slice(0, 1)))
        missing = store.missing()
        bar.update(n_samples - sum(stop - start for start, stop in missing))
        job = replace(job, **store.plan)
        for _ in each_stretch(job, missing, store, place.client, bar.update):
            pass
    return store.records()


def each_stretch(
    job: Job,
    stretches: Sequence[tuple[int, int]],
    store: Store | None,
    client: Any,
    done: Callable[[int], None],
) -> Iterator[tuple[int, Mapping[str, Mapping[str, Part]] | None]]:
    """Compute stretches here or on a cluster, one after the other; see `computed_on`."""
    if client is not None:
        cluster = import_module("retina_codec.contributions.distribution")
        yield from cluster.computed_on(client, job, stretches, store, done)
        return
    for start, stop in stretches:
        parts = job.stretch(start, stop, done)
        yield start, parts if store is None else store.write(start, parts)


def put(
    whole: Mapping[str, Mapping[str, Part]], start: int, parts: Mapping[str, Mapping[str, Part]]
) -> None:
    """Put the results of a stretch where they belong among those of all samples."""
    for target, layers in parts.items():
        for layer, part in layers.items():
            for name, array in part.items():
                whole[target][layer][name][start : start + len(array)] = array


def records(
    job: Job, parts: Mapping[str, Mapping[str, Part]], samples: slice = slice(None)
) -> dict[str, dict[str, Contributions]]:
    """Return records made of arrays, by target and layer."""
    made: dict[str, dict[str, Contributions]] = {}
    for target, layers in parts.items():
        made[target] = {}
        for layer, part in layers.items():
            _, channel, sign = job.features[layer]
            made[target][layer] = Contributions(
                **part,
                sample=np.asarray(job.sample[samples]),
                channel=channel,
                sign=sign,
                layer=layer,
                target=target,
                method=job.method.name,
                bypassed=job.bypassed[layer],
                settings={**job.method.settings, "pooling": name_of(job.pooling_of(layer))},
            )
    return made


class Tally(TorchFunctionMode):
    """Counts the bytes that operations put out."""

    def __init__(self):
        super().__init__()
        self.n_bytes = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.n_bytes += sum(tensor.nbytes for tensor in tensors((out,), {}))
        return out
