"""Measurements for `contributions`, each in a process of its own: a name, and settings as JSON.

Prints one line of JSON. Peak memory is what came on top of network and imports.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import h5py
import numpy as np
import torch
from rivals import Found, as_published, by_captum
from setting import HISTORY, LAYERS, N_CELLS, SHAPE, published_network, white_noise_windows

from retina_codec.contributions import by_sign, integrated_gradients, one_cell, over_space, passes
from retina_codec.contributions.engine import SMALL_CHANGE
from retina_codec.datatypes import Stimulus
from retina_codec.stimuli import windows

N_STEPS, MOST_STEPS = 20, 24
N_WARM = 8
BLOCK = 1000
POOLINGS = {"by_sign": by_sign, "over_space": over_space}
Numbers = dict[str, float]


def ours(
    n_windows: int,
    *,
    target: str = "surprisal",
    layers: list[str] = LAYERS,
    pooling: str = "by_sign",
    plain: bool = False,
    n_threads: int | None = None,
    reference: str | None = None,
    **settings,
) -> Numbers:
    """Integrated gradients of the package; `plain` runs the whole network at all points."""
    if n_threads:
        torch.set_num_threads(n_threads)
    if plain:
        passes.WAYS = (passes.PLAIN,)
    network, surprisal = published_network()
    cells = [one_cell(i) for i in range(N_CELLS)]
    targets = {"surprisal": surprisal, "one cell": cells[0], "all cells": cells}

    def compute(samples):
        return integrated_gradients(
            network,
            samples,
            layers=layers,
            target=targets[target],
            pooling=POOLINGS[pooling],
            progress=False,
            **settings,
        )

    numbers, result = measured(compute, white_noise_windows(n_windows))
    if reference:
        numbers |= errors(found_in(result), reference)
        numbers["n_steps"] = float(np.abs(result[layers[0]].n_steps).mean())
        numbers["not_there"] = int((result[layers[0]].n_steps < 0).sum())
    return numbers


def captum(n_windows: int, *, reference: str, **settings) -> Numbers:
    """Conductance."""
    return rival(by_captum, n_windows, reference, **settings)


def published(n_windows: int, *, reference: str) -> Numbers:
    """Do as the published scripts do."""
    return rival(as_published, n_windows, reference)


def rival(method: Callable[..., Found], n_windows: int, reference: str, **settings) -> Numbers:
    """Measure another method with the same steps."""
    network, target = published_network()
    compute = partial(method, network, layers=LAYERS, target=target, n_steps=N_STEPS, **settings)
    numbers, found = measured(compute, white_noise_windows(n_windows))
    return numbers | errors(found, reference) | {"n_steps": N_STEPS}


def captum_batches(n_windows: int, *, batches: list[int]) -> Numbers:
    """Windows per second of captum for each number of windows in a pass."""
    network, target = published_network()
    numbers = {"torch": torch.__version__, "n_threads": torch.get_num_threads()}
    given = {"layers": LAYERS, "target": target, "n_steps": N_STEPS, "both_ways": False}
    for size in batches:
        compute = partial(by_captum, network, batch_size=size, **given)
        found, _ = measured(compute, white_noise_windows(n_windows))
        numbers[str(size)] = found["per_second"]
    return numbers


def reference(n_windows: int, *, fine_steps: int, path: str) -> Numbers:
    """Write features in double precision: by the published rule, run plainly, and by fine steps."""
    network, target = published_network()
    network, samples = network.double(), white_noise_windows(n_windows)
    given = {"layers": LAYERS, "target": target, "progress": False}
    fine = integrated_gradients(network, samples, rule="secant", n_steps=fine_steps, **given)
    passes.WAYS = (passes.PLAIN,)
    same = integrated_gradients(network, samples, n_steps=N_STEPS, **given)
    arrays = {f"fine {layer}": fine[layer].values for layer in LAYERS}
    arrays |= {f"same {layer}": same[layer].values for layer in LAYERS}
    change = fine[LAYERS[0]].target_value - fine[LAYERS[0]].baseline_value
    np.savez(path, change=change, **arrays)
    return {}


def secant_errors(n_windows: int, *, reference: str) -> dict[int, Numbers]:
    """Errors of the secant rule by the number of steps."""
    network, target = published_network()
    samples = white_noise_windows(n_windows)
    given = {"layers": LAYERS, "target": target, "progress": False, "rule": "secant"}
    return {
        n: errors(found_in(integrated_gradients(network, samples, n_steps=n, **given)), reference)
        for n in range(1, MOST_STEPS + 1)
    }


def movie(n_windows: int, *, path: str) -> Numbers:
    """Write a movie block by block, as a HDF5 file."""
    rng, n_frames = np.random.default_rng(0), n_windows + HISTORY
    with h5py.File(path, "w") as file:
        frames = file.create_dataset("movie", (n_frames, *SHAPE), "f4", chunks=(100, *SHAPE))
        for first in range(0, n_frames, BLOCK):
            length = min(BLOCK, n_frames - first)
            frames[first : first + length] = 2 * rng.integers(0, 2, (length, *SHAPE)) - 1
    return {}


def long(n_windows: int, *, path: str) -> Numbers:
    """From a movie in a file to a store."""
    network, target = published_network()
    with h5py.File(path) as file, TemporaryDirectory() as folder:
        stimulus = Stimulus(frames=file["movie"], frame_rate_hz=100.0)
        samples = windows(stimulus, HISTORY, frames=(0, n_windows + HISTORY))

        def compute(samples):
            place = f"{mkdtemp(dir=folder)}/store"
            return integrated_gradients(
                network,
                samples,
                layers=LAYERS,
                target=target,
                n_steps=1,
                progress=False,
                store=place,
            )

        return measured(compute, samples)[0]


def measured(compute: Callable[[Any], Any], samples: Any) -> tuple[Numbers, Any]:
    """Time a computation and watch its memory, after a few samples that do not count."""
    before = peak_mb()
    compute(samples[:N_WARM])
    started = time.perf_counter()
    found = compute(samples)
    seconds = time.perf_counter() - started
    numbers = {
        "windows": len(samples),
        "per_second": len(samples) / seconds,
        "peak_mb": peak_mb() - before,
    }
    return numbers, found


def peak_mb() -> float:
    """Largest memory of this process so far; the system counts in kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def found_in(result: dict[str, Any]) -> Found:
    """Features and sums of records."""
    return {
        layer: (one.values, one.target_value - one.baseline_value - one.gap)
        for layer, one in result.items()
    }


def errors(found: Found, reference: str) -> Numbers:
    """Errors of the worst layer in the windows of the reference.

    Largest difference to the features of the published rule, relative to the largest feature, in
    the median and in the worst window; median over windows of the worst feature, beside fine steps,
    and of the gap, relative to the change of the target; sum of all gaps relative to that of all
    changes.
    """
    truth = np.load(reference)
    n = min(len(truth["change"]), len(found[LAYERS[0]][0]))
    change = truth["change"][:n]
    size = np.maximum(np.abs(change), SMALL_CHANGE * np.abs(truth["change"]).mean())
    differences, worst, gaps = [], [], []
    for layer in LAYERS:
        features, total = (array[:n] for array in found[layer])
        same, fine = truth[f"same {layer}"][:n], truth[f"fine {layer}"][:n]
        differences.append(np.abs(features - same).max(axis=1) / np.abs(same).max())
        worst.append(np.abs(features - fine).max(axis=1))
        gaps.append(np.abs(change - total))
    return {
        "difference": float(np.median(np.max(differences, axis=0))),
        "largest_difference": float(np.max(differences)),
        "feature": float(np.median(np.max(worst, axis=0) / size)),
        "gap": float(np.median(np.max(gaps, axis=0) / size)),
        "all_gaps": float(max(gap.sum() for gap in gaps) / np.abs(change).sum()),
    }


ROWS = {
    row.__name__: row
    for row in (ours, captum, published, captum_batches, reference, secant_errors, movie, long)
}

if __name__ == "__main__":
    print(json.dumps(ROWS[sys.argv[1]](**json.loads(sys.argv[2]))))
