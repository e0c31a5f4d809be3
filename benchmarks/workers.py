"""Contributions on the workers of a Dask cluster on this machine; a row of `contributions`.

Every worker is a process with one thread.
"""

import json
import sys

import dask
import torch
from distributed import Client, LocalCluster
from rows import N_WARM, Numbers, measured
from setting import LAYERS, published_network, white_noise_windows

from retina_codec.contributions import integrated_gradients

KEEP_MEMORY = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**28,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 2**25,
}
"""Workers do not give memory back that the next operation wants again."""


def compute(samples, client=None):
    """Contributions of samples to the surprisal, with 20 steps."""
    network, target = published_network()
    return integrated_gradients(
        network, samples, layers=LAYERS, target=target, progress=False, client=client
    )


def warm() -> None:
    """Let a worker import and prepare what the first pass needs."""
    compute(white_noise_windows(N_WARM))


def workers(n_windows: int, *, n_workers: int, keep_memory: bool) -> Numbers:
    """Windows per second with so many workers."""
    torch.set_num_threads(1)
    with (
        dask.config.set(KEEP_MEMORY if keep_memory else {}),
        LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        client.run(warm)
        samples = white_noise_windows(n_windows)
        return measured(lambda some: compute(some, client), samples)[0]


if __name__ == "__main__":
    print(json.dumps(workers(**json.loads(sys.argv[2]))))
