"""Windows per second of contributions on the published retina architecture, beside captum.

The network: 40 frames of 50 x 50 pixels, 8 channels of 15 x 15, 8 of 11 x 11, 17 cells; both layers
of interneurons; 20 steps; one cell as the target (captum explains one output). Medians of several
runs in one process.
"""

import statistics
import time

import numpy as np
import torch
from captum.attr import LayerConductance

from retina_codec.contributions import integrated_gradients, one_cell
from retina_codec.networks import DeepRetina

N_WINDOWS, N_STEPS, N_RUNS = 32, 20, 5
LAYERS = ("relu1", "relu2")


def windows_per_second(compute) -> float:
    """Median over runs, after one that does not count."""
    compute()
    times = []
    for _ in range(N_RUNS):
        started = time.perf_counter()
        compute()
        times.append(time.perf_counter() - started)
    return N_WINDOWS / statistics.median(times)


def main() -> None:
    """Print the table."""
    network = DeepRetina(shape=(50, 50), history=40, typical_rate_hz=np.ones(17)).eval()
    windows = np.random.default_rng(0).normal(size=(N_WINDOWS, 40, 50, 50)).astype(np.float32)

    def ours():
        integrated_gradients(
            network, windows, layers=LAYERS, target=one_cell(0), n_steps=N_STEPS, progress=False
        )

    def captum():
        for layer in LAYERS:
            conductance = LayerConductance(network, getattr(network, layer))
            conductance.attribute(
                torch.from_numpy(windows),
                target=0,
                n_steps=N_STEPS,
                internal_batch_size=N_STEPS * 8,
            )

    print(f"{'method':40} windows/s")
    print(f"{'retina_codec, both layers in one pass':40} {windows_per_second(ours):9.1f}")
    print(f"{'captum LayerConductance, a call a layer':40} {windows_per_second(captum):9.1f}")


if __name__ == "__main__":
    main()
