"""The files of a run as large as a real one, written directly."""

import h5py
import numpy as np
import pandas as pd

from retina_codec.datatypes import Contributions, Modes, Predictions
from retina_codec.networks import DeepRetina, save_network
from retina_codec.pipeline import Config
from retina_codec.pipeline._run import fingerprints

HISTORY, N_CELLS, N_CHANNELS, SHAPE, RATE_HZ = 20, 8, 8, (18, 18), 100.0
N_MODES = {"relu1": 24, "relu2": 18}
TARGETS = ("surprisal", "cell-3")


def write_hour(folder, *, n_samples, save):
    """Write recording, network, predictions, contributions and modes; return a folder a target."""
    path = _recording(folder, n_samples)
    return [_run(folder / target, path, target, n_samples, save) for target in TARGETS]


def _run(out, path, target, n_samples, save):
    config = Config(recording=str(path), layers=tuple(N_MODES), target=target)
    recording = config.open_recording()
    config.keep_in(out, fingerprints(config, recording))
    shape = (N_CHANNELS, N_CHANNELS)
    network = DeepRetina.for_recording(recording, history=HISTORY, channels=shape)
    save_network(network, out / "network")
    rng, first = np.random.default_rng(1), recording.splits["test"][0] + HISTORY
    sample = recording.stimulus.start_s + np.arange(first, first + n_samples) / RATE_HZ
    rates = np.asarray(recording.rates[first:], dtype=np.float32)
    scores = pd.DataFrame({"pearson_r": rng.uniform(0.2, 0.9, N_CELLS)})
    save(
        Predictions(
            recorded=rates,
            predicted=np.abs(np.roll(rates, 2, axis=0)) * 0.8,
            sample=sample,
            scores=scores,
            network="synthetic",
        ),
        out / "predictions.nc",
    )
    for layer, n_modes in N_MODES.items():
        contributions, modes = _layer(layer, target, sample, n_modes, rng)
        save(contributions, out / f"contributions_{layer}.nc")
        save(modes, out / f"modes_{layer}.nc")
    return out


def _layer(layer, target, sample, n_modes, rng):
    """Contributions that are made of modes, and these modes."""
    features = {
        "channel": np.repeat(np.arange(N_CHANNELS), 2),
        "sign": np.tile([1, -1], N_CHANNELS),
    }
    about = {"layer": layer, "target": target, "sample": sample, **features}
    loadings = _bursts(rng, len(sample), n_modes, every=900)
    dictionary = rng.random((n_modes, 2 * N_CHANNELS), dtype=np.float32) ** 4
    values = (loadings @ dictionary) * features["sign"].astype(np.float32)
    explained = values.sum(axis=1)
    contributions = Contributions(
        values=values,
        target_value=explained,
        baseline_value=0 * explained,
        gap=0 * explained,
        method="synthetic",
        **about,
    )
    modes = Modes(
        dictionary=dictionary,
        loadings=loadings,
        held_out=np.zeros(len(sample), dtype=bool),
        offset=np.zeros(2 * N_CHANNELS, dtype=np.float32),
        firing=(loadings > 0).sum(axis=0),
        r2=0.9,
        r2_train=0.9,
        scale=1.0,
        n_dead=0,
        method="synthetic",
        seed=0,
        **about,
    )
    return contributions, modes


def _recording(folder, n_samples):
    """A recording in the lab's HDF5, whose movie stays in the file."""
    rng, path = np.random.default_rng(0), folder / "hour.h5"
    movie = rng.integers(0, 256, (2000, *SHAPE), dtype=np.uint8)
    lengths = {"train": 2000, "test": n_samples + HISTORY}
    with h5py.File(path, "w") as file:
        first = 0
        for part, n in lengths.items():
            file[f"{part}/stimulus"] = np.resize(movie, (n, *SHAPE))
            file[f"{part}/time"] = np.arange(first, first + n) / RATE_HZ
            rates = _bursts(rng, n, N_CELLS, every=400).T * 30
            file[f"{part}/response/firing_rate_10ms"] = rates
            first += n
    return path


def _bursts(rng, n, n_rows, *, every):
    """Short bursts at random times, one row a unit."""
    found = np.zeros((n, n_rows), dtype=np.float32)
    shape = np.hanning(17).astype(np.float32)[1:-1]
    for row in range(n_rows):
        for at in rng.integers(0, n - len(shape), n // every):
            found[at : at + len(shape), row] = shape * rng.uniform(0.3, 2)
    return found
