"""Contributions of a network to the responses to a recording's stimulus, here or on a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from os import PathLike
from typing import Any

from torch import nn

from retina_codec.contributions import Target, integrated_gradients, named_module
from retina_codec.datatypes import Contributions, Recording
from retina_codec.networks import load_network, predict, windows_for

from ._config import Config

TRAINING_OUTPUTS = 5000
LEAST_SAMPLES = 40
WHOLE = "all"

KEEP_MEMORY = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**28,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 2**25,
}
"""Workers keep the memory that the next operation wants again; Dask would have them give it back,
which takes more than half of their time."""


def store_contributions(
    config: Config,
    store: str | PathLike,
    *,
    part: str = "test",
    client: Any = None,
    progress: bool = True,
) -> dict[str, Contributions]:
    """Compute contributions for a part of a recording into a store, and go on where it stopped.

    Parameters
    ----------
    config
        With a recording and the folder of a trained network.
    store
        Folder of the Zarr store; made if there is none.
    part
        Split of the recording, or "all".
    client
        A ``dask.distributed.Client``, to compute on a cluster; see `connected`.
    progress
        Whether to show bars.

    Returns
    -------
    dict
        One lazy record for each layer.

    Raises
    ------
    FileNotFoundError
        If the recording or the network is not there.
    ValueError
        If there is no network or no such part, or the store belongs to something else.

    Examples
    --------
    >>> import tempfile
    >>> from retina_codec.export import save
    >>> from retina_codec.networks import DeepRetina, save_network
    >>> from retina_codec.simulation import Circuit, simulate_recording
    >>> circuit = Circuit(shape=(20, 20), history=10, cells_per_type=1)
    >>> recording = simulate_recording(circuit=circuit, n_frames=120, test_frames=60)
    >>> network = DeepRetina.for_recording(recording, history=10, channels=(2, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(recording, f"{folder}/retina.nc")
    ...     config = Config(
    ...         recording=f"{folder}/retina.nc",
    ...         network=str(save_network(network, f"{folder}/network")),
    ...         target="cell-0",
    ...         n_steps=2,
    ...     )
    ...     found = store_contributions(config, f"{folder}/store.zarr", progress=False)
    >>> {layer: record.values.shape for layer, record in found.items()}
    {'relu1': (50, 4), 'relu2': (50, 4)}
    """
    if config.network is None:
        msg = "Contributions need a trained network: give its folder as 'network'."
        raise ValueError(msg)
    recording = config.open_recording()
    network = load_network(config.network)
    if part not in (WHOLE, *recording.splits):
        msg = f"No part {part!r}; there are {WHOLE}, {', '.join(recording.splits)}."
        raise ValueError(msg)
    layers = tuple(config.layers or getattr(network, "default_layers", ()))
    check_fit(network, recording, layers, config)
    frames = None if part == WHOLE else recording.splits[part]
    return integrated_gradients(
        network,
        windows_for(network, recording.stimulus, frames=frames),
        layers=layers,
        target=target_of(config, network, recording),
        n_steps=config.n_steps,
        tolerance=config.tolerance,
        store=store,
        client=client,
        progress=progress,
    )


def check_fit(
    network: nn.Module, recording: Recording, layers: tuple[str, ...], config: Config
) -> None:
    """Raise an error before any long work if network, recording, layers and target do not fit.

    Raises
    ------
    ValueError
        If they do not.
    """
    for layer in layers:
        named_module(network, layer)
    for split in ("train", "test"):
        samples = windows_for(network, recording.stimulus, frames=recording.splits[split])
        if len(samples) < LEAST_SAMPLES:
            msg = (
                f"Split {split!r} gives {len(samples)} samples, at least {LEAST_SAMPLES} are "
                "needed. Use a longer recording or a shorter history."
            )
            raise ValueError(msg)
    n_outputs = predict(network, windows_for(network, recording.stimulus)[:1]).shape[1]
    n_cells = recording.rates.shape[1]
    if n_outputs != n_cells:
        msg = f"The network predicts {n_outputs} cells, the recording has {n_cells}."
        raise ValueError(msg)
    config.check_target(n_cells)


def target_of(config: Config, network: nn.Module, recording: Recording) -> Target:
    """Return the target; what it must know of usual outputs comes from the training split."""
    training = windows_for(network, recording.stimulus, frames=recording.splits["train"])
    every = max(1, len(training) // TRAINING_OUTPUTS)
    return config.make_target(predict(network, _Every(training, every)))


class _Every:
    """Every n-th sample, read in batches."""

    def __init__(self, samples, step: int):
        self.samples, self.step = samples, step

    def __len__(self) -> int:
        return len(range(0, len(self.samples), self.step))

    def __getitem__(self, part: slice):
        return self.samples[part.start * self.step : part.stop * self.step : self.step]


@contextmanager
def connected(scheduler: str | None = None, workers: int | None = None) -> Iterator[Any]:
    """Give a client of a Dask cluster; None without a scheduler or workers.

    Parameters
    ----------
    scheduler
        Address of a scheduler that runs, such as "tcp://10.0.0.1:8786".
    workers
        How many processes of one thread to start on this machine instead.

    Yields
    ------
    distributed.Client or None
        For `client` in attributions and stores.

    Raises
    ------
    ImportError
        If Dask is not installed.
    OSError
        If the scheduler does not answer.
    ValueError
        If both are given, or there are no workers.

    Examples
    --------
    >>> with connected() as client:  # Workers would stop at the end of the block.
    ...     client is None
    True
    """
    if scheduler is None and workers is None:
        yield None
        return
    if scheduler is not None and workers is not None or workers is not None and workers < 1:
        msg = f"Give a scheduler or at least 1 worker, got {scheduler!r} and {workers} workers."
        raise ValueError(msg)
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        msg = "A cluster needs dask: pip install 'retina-codec[cluster]'."
        raise ImportError(msg) from error
    if scheduler is None:
        dask = import_module("dask")
        with (
            dask.config.set(KEEP_MEMORY),
            distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
    else:
        with distributed.Client(scheduler) as client:
            yield client
