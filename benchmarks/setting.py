"""What the benchmarks run on: the published architecture before white noise."""

import numpy as np
import torch

from retina_codec.contributions import Target, surprisal
from retina_codec.networks import DeepRetina, predict
from retina_codec.stimuli import Screen, Windows, white_noise, windows

SHAPE, HISTORY, N_CELLS = (50, 50), 40, 17
LAYERS = ("relu1", "relu2")
N_BATCHES, BATCH = 16, 16


def white_noise_windows(n_windows: int, *, seed: int = 0) -> Windows:
    """So many windows of a movie in which every pixel is -1 or 1."""
    movie = white_noise(n_frames=HISTORY + n_windows, screen=Screen(SHAPE), seed=seed)
    return windows(movie, HISTORY)


def published_network() -> tuple[DeepRetina, Target]:
    """Random weights whose batch norms have seen noise; and the surprisal of its outputs."""
    network = DeepRetina(shape=SHAPE, history=HISTORY, typical_rate_hz=np.ones(N_CELLS))
    for name in ("norm1", "norm2", "norm3"):
        getattr(network, name).momentum = None  # statistics are means over all batches
    noise = white_noise_windows(N_BATCHES * BATCH, seed=1)
    torch.manual_seed(0)
    with torch.no_grad():
        for first in range(0, len(noise), BATCH):
            network.train()(torch.as_tensor(noise[first : first + BATCH]))
    return network.eval(), surprisal(predict(network, noise, batch_size=BATCH))
