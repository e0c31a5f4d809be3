"""The arrows of the method, one after the other, each kept in the folder of the run."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from retina_codec import causal, decomposition, receptive_fields
from retina_codec.contributions import integrated_gradients, load_contributions
from retina_codec.datatypes import (
    Contributions,
    Fields,
    Modes,
    Predictions,
    Record,
    Recording,
    Stability,
)
from retina_codec.export import load, save
from retina_codec.networks import (
    LN_TRAINING,
    DeepRetina,
    LinearNonlinear,
    TrainingSettings,
    evaluate,
    load_network,
    save_network,
    train,
    windows_for,
)
from retina_codec.recordings import load_recording
from retina_codec.report import write_report
from retina_codec.statistics import (
    co_occurrence,
    correlations_with,
    describe_modes,
    layer_statistics,
    mode_cells,
)

from ._config import CONFIG, Config, method_named
from ._contributions import check_fit, target_of
from ._summary import summary_of, write_summary

log = logging.getLogger(__name__)

NOT_SHOWN = {"tested_pairs", "co_occurrence"}
"""Tables that the summary counts and the page does not show."""


def run(config: Config, out: str | PathLike, *, progress: bool = True) -> dict[str, object]:
    """Analyse a recording: network, contributions, modes, fields, causal test, summary and page.

    Everything is kept in the folder `out`. A step whose result lies there is not done again, so
    that an interrupted run goes on where it stopped.

    Parameters
    ----------
    config
        What to do.
    out
        Folder of the run; made if there is none.
    progress
        Whether to show bars.

    Returns
    -------
    dict
        The summary, as it is written to ``summary.json``.

    Raises
    ------
    OSError
        If the recording cannot be read or the folder not be written.
    ValueError
        If the settings, the recording and the network do not fit.
    """
    started = time.perf_counter()
    out = Path(out)
    recording = load_recording(
        config.recording, stimulus=config.stimulus, test_frames=config.test_frames
    )
    untrained = load_network(config.network) if config.network else new_network(config, recording)
    layers = tuple(config.layers or getattr(untrained, "default_layers", ()))
    check_fit(untrained, recording, layers, config)
    config.keep_in(out, fingerprints(config, recording))
    network = untrained
    if config.network is None:
        settings = config.training(TrainingSettings())
        network = fitted(untrained, recording, out / "network", settings, progress)
    baseline = LinearNonlinear.for_recording(recording, history=network.history, seed=config.seed)
    settings = replace(LN_TRAINING, seed=config.seed)
    baseline = fitted(baseline, recording, out / "baseline", settings, progress)
    records = analysis(network, baseline, recording, layers, config, out, progress)
    summary = summary_of(config, recording, records, seconds=time.perf_counter() - started)
    write_summary(out / "summary.json", summary)
    shown = {name: value for name, value in records.items() if name not in NOT_SHOWN}
    write_report(out / "report.html", summary=summary, recording=recording, **shown)
    return summary


def analysis(
    network: nn.Module,
    baseline: nn.Module,
    recording: Recording,
    layers: tuple[str, ...],
    config: Config,
    out: Path,
    progress: bool,
) -> dict[str, object]:
    """Return what the report shows, by the names of its arguments."""
    predictions = kept(
        out / "predictions.nc", lambda: evaluate(network, recording, name="deep-retina network")
    )
    ln = kept(
        out / "baseline_predictions.nc", lambda: evaluate(baseline, recording, name="LN model")
    )
    samples = windows_for(network, recording.stimulus, frames=recording.splits["test"])
    explained = kept_contributions(network, recording, samples, layers, config, out, progress)
    method = method_named(config.method)
    found = {
        layer: kept_modes_and_stability(record, method, out, config.n_repeats, config.seed)
        for layer, record in explained.items()
    }
    modes = {layer: record for layer, (record, _) in found.items()}
    effects = {
        layer: kept(
            out / f"effects_{layer}.nc",
            lambda record=record: causal.effects(
                network, samples, record, seed=config.seed, progress=progress
            ),
        )
        for layer, record in modes.items()
    }
    return {
        "predictions": predictions,
        "baseline": ln,
        "contributions": explained,
        "modes": modes,
        "stability": {layer: record for layer, (_, record) in found.items()},
        **kept_tables(explained, modes, predictions, config.seed, out),
        "fields": kept_fields(network, recording, samples, modes, predictions, config, out),
        "effects": effects,
    }


def fingerprints(config: Config, recording: Recording) -> dict[str, str]:
    """Return what tells one input from another: of the rates, some frames, and the network."""
    frames = recording.stimulus.frames
    every = max(1, frames.shape[0] // 100)
    some = [np.ascontiguousarray(frames[i]) for i in range(0, frames.shape[0], every)]
    parts = [np.ascontiguousarray(recording.rates), *some]
    found = {"recording": sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]}
    if config.network:
        weights = Path(config.network) / "weights.safetensors"
        found["network"] = sha256(weights.read_bytes()).hexdigest()[:16]
    return found


def new_network(config: Config, recording: Recording) -> DeepRetina:
    """Return the network that will be trained."""
    history = max(1, round(config.history_s * recording.stimulus.frame_rate_hz))
    return DeepRetina.for_recording(
        recording, history=history, channels=config.channels, seed=config.seed
    )


def fitted(
    network: nn.Module,
    recording: Recording,
    path: Path,
    settings: TrainingSettings,
    progress: bool,
) -> nn.Module:
    """Return the network that lies at `path`, or train it and put it there."""
    if path.exists():
        log.info("%s: kept from before", path.name)
        return load_network(path)
    checkpoint = path.with_name(f"{path.name}_training.safetensors")
    trained, epochs = train(
        network, recording, settings=settings, checkpoint=checkpoint, progress=progress
    )
    scores = evaluate(trained, recording).scores
    about = {"recording": recording.source, "epochs": len(epochs), "seed": settings.seed}
    save_network(trained, path, scores=scores, about=about)
    checkpoint.unlink(missing_ok=True)
    return trained


def kept(path: Path, make: Callable[[], Record]) -> Record:
    """Return the record that lies at `path`, or make it and put it there."""
    if path.exists():
        log.info("%s: kept from before", path.name)
        return load(path)
    record = make()
    save(record, path)
    return record


def kept_modes_and_stability(
    record: Contributions,
    method: decomposition.Decomposition,
    out: Path,
    n_repeats: int,
    seed: int,
) -> tuple[Modes, Stability]:
    """Return modes that know whether they come back, and the fits that say so."""
    path = out / f"modes_{record.layer}.nc"
    fits = out / f"stability_{record.layer}.nc"
    if not path.exists():
        modes = modes_of(record, method, seed)
        repeats = {"n_seeds": n_repeats, "n_resampled": n_repeats}
        found = kept(fits, lambda: decomposition.stability(record, modes, method, **repeats))
        save(replace(modes, reproducibility=found.reproducibility), path)
    return load(path), load(fits)


def modes_of(record: Contributions, method: decomposition.Decomposition, seed: int) -> Modes:
    """Decompose, and refuse to go on without any mode.

    Raises
    ------
    ValueError
        If no mode is ever active.
    """
    modes = decomposition.decompose(record, method, seed=seed)
    if not len(modes.dictionary):
        msg = (
            f"{modes.method} found no mode in layer {record.layer!r} that is ever active "
            f"({modes.n_dead} are dead). Choose another method."
        )
        raise ValueError(msg)
    return modes


def decompose_store(
    store: str | PathLike,
    out: str | PathLike,
    *,
    method: decomposition.Decomposition,
    n_repeats: int = 4,
    seed: int = 0,
) -> dict[str, dict[str, Modes]]:
    """Decompose the contributions of a store, layer by layer, and describe the modes.

    Keeps ``modes_LAYER.nc``, ``stability_LAYER.nc`` and ``described_LAYER.csv`` in the folder of
    each target. What lies there is not done again.

    Parameters
    ----------
    store
        That `contributions` wrote; it may be larger than memory for methods that stream.
    out
        Folder; made if there is none.
    method, seed
        See `decomposition.decompose`.
    n_repeats
        Fits with other seeds, and as many on resampled time; see `decomposition.stability`.

    Returns
    -------
    dict
        Modes by target and layer.

    Raises
    ------
    ValueError
        If the store is none, its contributions do not suit the method, or the folder holds modes of
        another method or seed.
    OSError
        If it cannot be read, or the folder not be written.
    """
    found: dict[str, dict[str, Modes]] = {}
    for target, layers in load_contributions(store).items():
        folder = Path(out) / target.replace(" ", "_")
        folder.mkdir(parents=True, exist_ok=True)
        for layer, record in layers.items():
            modes, _ = kept_modes_and_stability(record, method, folder, n_repeats, seed)
            check_same_method(folder, modes, method, seed)
            kept_table(folder / f"described_{layer}.csv", partial(describe_modes, modes))
            found.setdefault(target, {})[layer] = modes
    return found


def check_same_method(
    folder: Path, modes: Modes, method: decomposition.Decomposition, seed: int
) -> None:
    """Raise an error if modes that were kept are not those asked for.

    Raises
    ------
    ValueError
        If so.
    """
    wanted = (type(method).__name__, {**method.get_params(), "seed": seed})
    if (modes.method, modes.settings) != wanted:
        msg = (
            f"{folder} holds modes of {modes.method} with {modes.settings}, asked for was "
            f"{wanted[0]} with {wanted[1]}. Choose another folder, or delete this one."
        )
        raise ValueError(msg)


def kept_contributions(
    network, recording, samples, layers, config, out, progress
) -> dict[str, Contributions]:
    """Contributions of all layers to the target, all in one pass."""
    paths = {layer: out / f"contributions_{layer}.nc" for layer in layers}
    if not all(path.exists() for path in paths.values()):
        made = integrated_gradients(
            network,
            samples,
            layers=layers,
            target=target_of(config, network, recording),
            n_steps=config.n_steps,
            tolerance=config.tolerance,
            progress=progress,
        )
        for layer, path in paths.items():
            save(made[layer], path)
    return {layer: load(path) for layer, path in paths.items()}


def kept_tables(
    explained: Mapping[str, Contributions],
    modes: Mapping[str, Modes],
    predictions: Predictions,
    seed: int,
    out: Path,
) -> dict[str, object]:
    """Tables of layers and modes, as CSV files: by name, and all but the first by layer."""
    rates = predictions.predicted
    of_modes: dict[str, tuple[str, Callable[[Modes], pd.DataFrame]]] = {
        "correlations": ("mode_cells", lambda record: mode_cells(rates, record, seed=seed)),
        "descriptions": ("described", describe_modes),
        "tested_pairs": (
            "mode_cell_pairs",
            lambda record: correlations_with(record, rates, seed=seed),
        ),
        "co_occurrence": ("co_occurrence", lambda record: co_occurrence(record, seed=seed)),
    }
    tables: dict[str, object] = {
        "layer_statistics": kept_table(
            out / "layer_statistics.csv", lambda: layer_statistics(explained, seed=seed)
        )
    }
    for name, (file, make) in of_modes.items():
        tables[name] = {
            layer: kept_table(out / f"{file}_{layer}.csv", partial(make, record))
            for layer, record in modes.items()
        }
    return tables


def kept_table(path: Path, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """Return the table that lies at `path`, or make it and put it there as CSV."""
    if not path.exists():
        write_table(path, make())
    return pd.read_csv(path)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, whole or not at all."""
    unfinished = path.with_suffix(".partial")
    table.to_csv(unfinished, index=False)
    unfinished.replace(path)


def kept_fields(
    network, recording, samples, modes: dict[str, Modes], predictions, config, out
) -> dict[str, Fields]:
    """Spike-triggered averages, mean IRFs, and the fields of the combinations of each layer."""
    r = np.nan_to_num(predictions.scores["pearson_r"].to_numpy(), nan=-1.0)
    cells = sorted(np.argsort(-r, kind="stable")[: config.n_cells].tolist())

    def average():
        fields = receptive_fields.spike_triggered_average(recording, history=network.history)
        return receptive_fields.separate_space_time(fields)

    def of_combinations(record):
        fields = receptive_fields.fields_of_combinations(
            network, samples, record, cells=cells, seed=config.seed
        )
        return receptive_fields.separate_space_time(fields)

    def mean():
        every_cell = range(recording.rates.shape[1])
        fields = receptive_fields.mean_fields(network, samples, cells=every_cell)
        return receptive_fields.separate_space_time(fields)

    fields = {
        "sta": kept(out / "fields_sta.nc", average),
        "mean": kept(out / "fields_mean.nc", mean),
    }
    for layer, record in modes.items():
        path = out / f"fields_combinations_{layer}.nc"
        fields[f"combinations:{layer}"] = kept(path, lambda record=record: of_combinations(record))
    return fields


def kept_modes(folder: str | PathLike) -> tuple[Config, dict[str, Modes]]:
    """Return the settings of a finished run and the modes of each layer.

    Raises
    ------
    ValueError
        If the folder holds no finished run.
    """
    folder = Path(folder)
    paths = sorted(folder.glob("modes_*.nc"))
    if not (folder / CONFIG).exists() or not paths:
        msg = f"{folder} holds no finished run: expected {CONFIG} and modes_LAYER.nc in it."
        raise ValueError(msg)
    modes = [load(path) for path in paths]
    return Config.kept_in(folder), {record.layer: record for record in modes}
