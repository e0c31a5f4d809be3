"""Instantaneous fields of many cells and moments, beside one backward pass for each.

One by one is timed on the first moments and scaled. Prints the time of both and their ratio (in
brackets: of the passes alone, without separating the fields), and the memory that the fast way
took. Run it alone.
"""

import resource
import time

import numpy as np
import torch

from retina_codec.datatypes import Stimulus
from retina_codec.networks import DeepRetina
from retina_codec.receptive_fields import instantaneous_fields, separate_space_time
from retina_codec.stimuli import windows

N_CELLS, N_FRAMES, HISTORY, SIDE = 17, 500, 40, 50
N_PLAIN = 20
ROUNDS = 3


def backward(network, samples, moment, cell):
    """One forward and one backward pass."""
    window = torch.from_numpy(samples[[moment]]).requires_grad_()
    (gradient,) = torch.autograd.grad(network(window)[0, cell], window)
    return gradient[0].numpy().reshape(HISTORY, -1)


def plain(network, samples, moment, cell):
    """One backward pass, and the first singular vectors of the field."""
    field = backward(network, samples, moment, cell)
    u, s, v = np.linalg.svd(field, full_matrices=False)
    return s[0] * np.outer(u[:, 0], v[0])


def main():
    """Print the table."""
    rates = np.full(N_CELLS, 10.0)
    network = DeepRetina(
        shape=(SIDE, SIDE), history=HISTORY, typical_rate_hz=rates, kernels=(15, 11)
    ).eval()
    network.requires_grad_(False)
    frames = np.random.default_rng(0).normal(size=(N_FRAMES + HISTORY, SIDE, SIDE))
    movie = Stimulus(frames=frames.astype(np.float32), frame_rate_hz=100.0)
    samples = windows(movie, HISTORY)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ratios = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        fields = separate_space_time(
            instantaneous_fields(network, samples, cells=range(N_CELLS), index=range(len(samples)))
        )
        fast_s = time.perf_counter() - started
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        for moment in range(N_PLAIN):
            for cell in range(N_CELLS):
                rank_one = plain(network, samples, moment, cell)
        both_s = (time.perf_counter() - started) * len(samples) / N_PLAIN
        started = time.perf_counter()
        for moment in range(N_PLAIN):
            for cell in range(N_CELLS):
                backward(network, samples, moment, cell)
        passes_s = (time.perf_counter() - started) * len(samples) / N_PLAIN
        item = (N_PLAIN - 1) * N_CELLS + N_CELLS - 1
        found = np.outer(fields.time_course[item], fields.space[item])
        error = np.abs(found - rank_one).max() / np.abs(rank_one).max()
        ratios.append(both_s / fast_s)
        n_fields = len(fields.items)
        del fields
        print(
            f"{n_fields} fields: {fast_s:.1f} s, one by one {both_s:.1f} s "
            f"(passes alone {passes_s:.1f} s), ratio {ratios[-1]:.1f} "
            f"({passes_s / fast_s:.1f}); largest difference {error:.1e}; "
            f"peak memory {memory / 1e6:.2f} GB ({(memory - before) / 1e6:.2f} GB more)"
        )
    print(f"median ratio {np.median(ratios):.1f}")


if __name__ == "__main__":
    main()
