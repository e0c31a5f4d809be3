"""Images per second of contributions in EfficientNet-Lite0, beside captum's and the published way.

The photographs that come with scikit-image, the logit of the top class, by the number of layers
(block outputs, evenly spread). Ours follows the network by secants; its steps are half as many and
its gap is thousands of times smaller, so the gap stands beside each rate. Ratios are of one run.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from rivals import as_published, by_captum
from skimage import data

from retina_codec.contributions import class_logit, integrated_gradients
from retina_codec.networks import load_image_network

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
STEPS, SECANT_STEPS = 10, 5
BATCH = 1


def photographs(prepare: Callable) -> np.ndarray:
    """Images as the network wants them."""
    pictures = [Image.fromarray(getattr(data, name)()) for name in PHOTOGRAPHS]
    return np.stack([prepare(picture) for picture in pictures])


def median_gap(totals: np.ndarray, change: np.ndarray) -> float:
    """Median over images of what contributions miss, as a share of the change of the target."""
    return float(np.median(np.abs(change - totals) / np.abs(change)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 4, 16])
    counts = parser.parse_args().layers
    known = load_image_network("efficientnet-lite0")
    images, network = photographs(known.prepare), known.network
    with torch.no_grad():
        ends = network(torch.from_numpy(np.concatenate([images, np.zeros_like(images[:1])])))
    # The rivals explain one class for all images; that of the first image does for a time.
    number = int(ends[0].argmax())
    target, change = class_logit(number), (ends[:-1] - ends[-1])[:, number].numpy()
    print(f"{len(images)} images, {torch.get_num_threads()} threads")
    print(f"{'layers':>6}  {'way':28} {'images/s':>8} {'ratio':>6} {'worst median gap':>17}")
    for count in counts:
        at = np.linspace(len(known.layers) - 1, 0, count).round().astype(int)
        layers = [known.layers[i] for i in sorted(set(at.tolist()))]
        given = {"layers": layers, "target": target}
        ways: dict[str, Callable[[], dict[str, np.ndarray]]] = {
            f"ours, secant, {SECANT_STEPS} steps": lambda given=given: ours(
                network, images, "secant", SECANT_STEPS, given
            ),
            f"ours, trapezoid, {STEPS} steps": lambda given=given: ours(
                network, images, "trapezoid", STEPS, given
            ),
            f"captum, {STEPS} steps": lambda given=given: totals_of(
                by_captum(
                    network, images, **given, n_steps=STEPS, batch_size=BATCH, both_ways=False
                )
            ),
            f"as published, {STEPS} steps": lambda given=given: totals_of(
                as_published(network, images, **given, n_steps=STEPS)
            ),
        }
        first = None
        for name, way in ways.items():
            started = time.perf_counter()
            totals = way()
            rate = len(images) / (time.perf_counter() - started)
            first = first or rate
            gap = max(median_gap(total, change) for total in totals.values())
            print(f"{count:6}  {name:28} {rate:8.3f} {rate / first:6.2f} {gap:17.2%}", flush=True)


def ours(network, images, rule, n_steps, given) -> dict[str, np.ndarray]:
    """Sum over all units of each layer."""
    found = integrated_gradients(
        network, images, rule=rule, n_steps=n_steps, progress=False, **given
    )
    return {
        layer: record.target_value - record.baseline_value - record.gap
        for layer, record in found.items()
    }


def totals_of(found: dict) -> dict[str, np.ndarray]:
    """Sum over all units of each layer, of features and sums."""
    return {layer: totals for layer, (_, totals) in found.items()}


if __name__ == "__main__":
    main()
