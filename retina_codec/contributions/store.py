"""A Zarr store that grows stretch by stretch, and from which an interrupted job goes on.

Layout: one group ``TARGET/LAYER`` for each target and layer, which xarray opens and which is a
`Contributions` record; beside them the array `done`, one number for each stretch, and the
attribute `job`, which says what the store belongs to. A chunk is a stretch. Zarr writes a chunk
beside its place and renames it, and a stretch is marked as done after all its chunks: a process
that dies leaves nothing half-written behind that would be believed.
"""

import json
import math
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
import zarr
from torch import nn

from retina_codec.datatypes import Contributions
from retina_codec.stimuli import Windows

from .job import Job, Part
from .passes import WAYS, Passes
from .probe import frozen
from .targets import name_of

PLAN = ("way", "at_once", "batch_size", "n_threads", "n_torch_threads")
"""What a job has from the machine that began it."""

BLOCK_BYTES = 2**22
SOME_SAMPLES = 64


class Store:
    """Where a job keeps its stretches; made by `opened`."""

    def __init__(self, path: Path):
        self.path = path
        try:
            attributes = zarr.open_group(path, mode="r").attrs.asdict()
            self.job: dict[str, Any] = dict(attributes["job"])
            self.plan: dict[str, Any] = {name: attributes["plan"][name] for name in PLAN}
            self.length, self.n_samples = int(attributes["length"]), int(self.job["samples"])
            way, *numbers = self.plan.values()
            is_sound = way in WAYS and min(self.length, *numbers) > 0
        except (KeyError, TypeError, ValueError, OSError):
            is_sound = False
        if not is_sound:
            msg = f"{path} is no store of contributions. Choose another place, or remove it."
            raise ValueError(msg)

    @classmethod
    def opened(
        cls,
        path: str | PathLike,
        job: Job,
        examples: Mapping[str, Mapping[str, Contributions]],
    ) -> "Store":
        """Make a store for a job, or open the one that the same job began.

        Parameters
        ----------
        path
            Of the store.
        job
            What is computed.
        examples
            Records of one sample, by target and layer.

        Raises
        ------
        ValueError
            If there is something else; the message names the difference.
        """
        path = Path(path).expanduser()
        belongs_to = identity(job)
        folders = {group_name(target, "") for target in examples}
        if len(folders) < len(examples):
            msg = f"Targets {', '.join(examples)} would share a folder; name them otherwise."
            raise ValueError(msg)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            store = cls(path)
            store.check_same(belongs_to)
            return store
        partial = path.with_name(f".{path.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        root = zarr.open_group(partial, mode="w", zarr_format=2)
        length = job.stretch_length
        for target, layers in examples.items():
            for layer, record in layers.items():
                group = f"{partial}/{group_name(target, layer)}"
                make_group(group, record, length, job.sample)
        n_stretches = len(job.stretches)
        root.create_array("done", shape=(n_stretches,), chunks=(1,), dtype="u1", fill_value=0)
        root.attrs.update({"job": belongs_to, "length": length, "plan": plan(job)})
        partial.replace(path)
        return cls(path)

    def missing(self) -> list[tuple[int, int]]:
        """Stretches that are still to be computed: first sample, and the one after the last."""
        done = zarr.open_group(self.path, mode="r")["done"][:]
        starts = np.flatnonzero(done == 0) * self.length
        return [(int(i), min(int(i) + self.length, self.n_samples)) for i in starts]

    def write(self, start: int, parts: Mapping[str, Mapping[str, Part]]) -> None:
        """Write one stretch, and then mark it as done.

        Parameters
        ----------
        start
            Its first sample.
        parts
            Arrays by target and layer.
        """
        root = zarr.open_group(self.path, mode="r+")
        for target, layers in parts.items():
            for layer, part in layers.items():
                group = root[group_name(target, layer)]
                for name, array in part.items():
                    group[name][start : start + len(array)] = array
        root["done"][start // self.length] = 1

    def record(self, target: str, layer: str) -> Contributions:
        """Return what is stored of one layer; values stay there until they are sliced."""
        path = f"{self.path}/{group_name(target, layer)}"
        dataset = xr.open_dataset(path, engine="zarr", decode_times=False)
        return Contributions.from_xarray(dataset, lazy="sample")

    def records(self) -> dict[str, dict[str, Contributions]]:
        """Return everything that is stored, by target and layer."""
        return {
            target: {layer: self.record(target, layer) for layer in self.job["layers"]}
            for target in self.job["targets"]
        }

    def check_same(self, belongs_to: Mapping[str, Any]) -> None:
        """Raise an error unless the store belongs to such a job.

        Raises
        ------
        ValueError
            If it does not; the message names the difference.
        """
        for key in {**belongs_to, **self.job}:
            here, there = belongs_to.get(key), self.job.get(key)
            if not is_same(here, there):
                msg = (
                    f"{self.path} belongs to other contributions: {key} is {there!r} there and "
                    f"{here!r} here. Choose another place, or remove it."
                )
                raise ValueError(msg)


def load_contributions(path: str | PathLike) -> dict[str, dict[str, Contributions]]:
    """Open the contributions in a store; they stay there until they are sliced.

    Parameters
    ----------
    path
        What was given as `store` to `integrated_gradients` or another attribution.

    Returns
    -------
    dict
        By target and layer.

    Raises
    ------
    ValueError
        If there is no store, or it is not finished.

    Examples
    --------
    >>> import tempfile
    >>> from retina_codec.contributions import activation_times_gradient, one_cell
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = activation_times_gradient(
    ...         network, np.ones((5, 2), np.float32), layers=["1"], target=one_cell(0),
    ...         store=f"{folder}/store.zarr", progress=False,
    ...     )
    ...     load_contributions(f"{folder}/store.zarr")["cell 0"]["1"].values.shape
    (5, 6)
    """
    store = Store(Path(path).expanduser())
    missing = store.missing()
    if missing:
        n_left = sum(stop - start for start, stop in missing)
        msg = (
            f"{path} is not finished: {n_left} of {store.n_samples} samples are missing. "
            "Repeat the call that began it; it goes on where it stopped."
        )
        raise ValueError(msg)
    return store.records()


def is_finished(path: str | PathLike) -> bool:
    """Tell whether there is a store at a place, with nothing missing in it.

    Parameters
    ----------
    path
        What was given as `store` to an attribution.

    Raises
    ------
    ValueError
        If there is something else.

    Examples
    --------
    >>> is_finished("not_begun.zarr")
    False
    """
    path = Path(path).expanduser()
    return path.exists() and not Store(path).missing()


def group_name(target: str, layer: str) -> str:
    """Folder of one layer."""
    safe = re.sub(r"[^\w .+-]", "_", target, flags=re.ASCII)
    return f"{safe}/{layer.replace(':', ' ')}"  # Some file systems know no colon.


def make_group(path: str, example: Contributions, length: int, sample: np.ndarray) -> None:
    """Make room for all samples of a layer, in the form of a record."""
    dataset = example.to_xarray()
    along = [name for name in dataset.variables if "sample" in dataset[name].dims]
    encoding = {name: {"chunks": (length, *dataset[name].shape[1:])} for name in along}
    dataset.to_zarr(path, mode="w", zarr_format=2, consolidated=False, encoding=encoding)
    group = zarr.open_group(path, mode="r+")
    for name in along:
        group[name].resize((len(sample), *dataset[name].shape[1:]))
    group["sample"][:] = sample
    zarr.consolidate_metadata(group.store)


def plan(job: Job) -> dict[str, Any]:
    """How a job is cut and run: the same plan gives the same numbers to the last bit."""
    return {name: getattr(job, name) for name in PLAN}


def identity(job: Job) -> dict[str, Any]:
    """Return what tells one job from another, as JSON knows it."""
    baseline = np.asarray(job.baseline)
    facts = {
        "method": job.method.name,
        **job.method.settings,
        "layers": job.layers,
        "targets": [name_of(target) for target in job.targets],
        "pooling": one_or_each({layer: name_of(one) for layer, one in job.poolings.items()}),
        "baseline": baseline.item() if baseline.ndim == 0 else hash_of([baseline]),
        "network (hash of its weights)": hash_of(parts_of(job.network)),
        "stimulus (hash of its frames)": hash_of(parts_of_samples(job.samples)),
        "times of the samples (their hash)": hash_of([job.sample]),
        "samples": len(job.samples),
        "target values at some samples": values_at_some_samples(job),
    }
    codes = {layer: code_of(one) for layer, one in job.poolings.items()}
    if any(codes.values()):
        facts["code of the pooling"] = one_or_each(codes)
    return json.loads(json.dumps(facts))


def values_at_some_samples(job: Job) -> list[float]:
    """Values of the targets at three samples: they tell what names and weights do not.

    Such as the statistics of a surprisal, or a setting of a network that is no tensor.
    """
    passes = Passes(job.network, job.layers, job.targets, job.baseline)
    found = []
    with frozen(job.network):
        for i in sorted({0, len(job.samples) // 2, len(job.samples) - 1}):
            output = passes.outputs(job.samples[i : i + 1])
            found += [float(target(output, output)[0]) for target in job.targets]
    return found


def is_same(here: Any, there: Any) -> bool:
    """Whether two facts are the same; measured numbers may differ by rounding."""
    measured = isinstance(here, list) and here and all(isinstance(x, float) for x in here)
    if measured and isinstance(there, list) and len(here) == len(there):
        return bool(np.allclose(here, there, rtol=1e-3, atol=1e-4 * np.abs(here).max()))
    return here == there


def one_or_each(facts: Mapping[str, Any]) -> Any:
    """Return the fact that is the same for all layers, or else those of each."""
    first, *others = facts.values()
    return first if all(other == first for other in others) else dict(facts)


def code_of(function: Any) -> list[Any]:
    """Return what tells two functions of one name apart; nothing for those of this package."""
    if isinstance(function, partial):
        inner = code_of(function.func) or [function.func.__qualname__]
        return [*inner, repr(function.args), repr(sorted(function.keywords.items()))]
    if getattr(function, "__module__", "").startswith("retina_codec."):
        return []
    code = getattr(function, "__code__", None)
    return [repr(function)] if code is None else [code.co_code.hex(), repr(code.co_consts)]


def parts_of(network: nn.Module) -> Iterator[bytes | np.ndarray]:
    """Structure and weights of a network."""
    yield repr(network).encode()
    for name, tensor in network.state_dict().items():
        yield name.encode()
        yield as_bytes(tensor)


def as_bytes(values: Any) -> np.ndarray:
    """Return an array, or the bytes of a tensor wherever and of whatever kind it is."""
    if isinstance(values, torch.Tensor):
        return values.detach().cpu().reshape(-1).view(torch.uint8).numpy()
    return np.asarray(values)


def parts_of_samples(samples: Any) -> Iterator[bytes | np.ndarray]:
    """All frames behind windows, block by block; all of an array; some of anything else."""
    if isinstance(samples, Windows):
        start, stop = samples.first_bin - samples.history, samples.stop_bin
        yield repr((samples.history, start, stop, samples.normalisation)).encode()
        frames = samples.stimulus.frames
        length = max(1, BLOCK_BYTES // (frames.dtype.itemsize * math.prod(frames.shape[1:])))
        for first in range(start, stop, length):
            yield np.asarray(frames[first : min(first + length, stop)])
    elif isinstance(samples, (np.ndarray, torch.Tensor)):
        for first in range(0, len(samples), SOME_SAMPLES):
            yield as_bytes(samples[first : first + SOME_SAMPLES])
    else:
        for i in np.linspace(0, len(samples) - 1, min(len(samples), SOME_SAMPLES)).astype(int):
            yield as_bytes(samples[int(i) : int(i) + 1])


def hash_of(parts: Iterable[bytes | np.ndarray]) -> str:
    """SHA-256 of all parts in turn, shortened."""
    found = sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype} {part.shape}".encode())
            part = np.ascontiguousarray(part).data
        found.update(part)
    return found.hexdigest()[:16]
