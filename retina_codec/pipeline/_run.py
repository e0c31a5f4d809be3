"""The arrows of the method, one after the other, each kept in the folder of the run."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from hashlib import sha256
from os import PathLike
from pathlib import Path

import numpy as np
from torch import nn

from retina_codec import causal, receptive_fields
from retina_codec.contributions import Target, integrated_gradients
from retina_codec.datatypes import (
    Contributions,
    Fields,
    Modes,
    Recording,
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
from retina_codec.report import write_report

from ._config import CONFIG, Config, method_named
from ._contributions import check_fit, target_of
from ._dynamics import Explained, kept_dynamics
from ._kept import kept
from ._modes import kept_modes_and_stability, kept_tables
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
    recording = config.open_recording()
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
    target = cache(partial(target_of, config, network, recording))
    explained = kept_contributions(network, samples, layers, target, config, out, progress)
    method = method_named(config.method)
    decomposed = {
        layer: kept_modes_and_stability(record, method, out, config.n_repeats, config.seed)
        for layer, record in explained.items()
    }
    modes = {layer: record for layer, (record, _) in decomposed.items()}
    stability = {layer: record for layer, (_, record) in decomposed.items()}
    effects = {
        layer: kept(
            out / f"effects_{layer}.nc",
            lambda record=record: causal.effects(
                network, samples, record, seed=config.seed, progress=progress
            ),
        )
        for layer, record in modes.items()
    }
    r = np.nan_to_num(predictions.scores["pearson_r"].to_numpy(), nan=-1.0)
    cells = sorted(np.argsort(-r, kind="stable")[: config.n_cells].tolist())
    found = Explained(
        network,
        recording,
        samples,
        explained,
        modes,
        predictions,
        target,
        cells,
        config.n_draws,
        config.seed,
        progress,
    )
    return {
        "predictions": predictions,
        "baseline": ln,
        "contributions": explained,
        "modes": modes,
        "stability": stability,
        **kept_tables(explained, modes, predictions, config.seed, out),
        "fields": kept_fields(network, recording, samples, modes, cells, config, out),
        "effects": effects,
        "dynamics": kept_dynamics(found, out),
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


def kept_contributions(
    network, samples, layers, target: Callable[[], Target], config, out, progress
) -> dict[str, Contributions]:
    """Contributions of all layers to the target, all in one pass."""
    paths = {layer: out / f"contributions_{layer}.nc" for layer in layers}
    if not all(path.exists() for path in paths.values()):
        made = integrated_gradients(
            network,
            samples,
            layers=layers,
            target=target(),
            n_steps=config.n_steps,
            tolerance=config.tolerance,
            progress=progress,
        )
        for layer, path in paths.items():
            save(made[layer], path)
    return {layer: load(path) for layer, path in paths.items()}


def kept_fields(
    network, recording, samples, modes: dict[str, Modes], cells: list[int], config, out
) -> dict[str, Fields]:
    """Spike-triggered averages, mean IRFs, and the fields of the combinations of each layer."""

    def average():
        fields = receptive_fields.spike_triggered_average(recording, history=network.history)
        return receptive_fields.separate_space_time(fields)

    def of_combinations(record):
        return receptive_fields.fields_of_combinations(
            network, samples, record, cells=cells, seed=config.seed
        )

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


def kept_modes(folder: str | PathLike) -> tuple[Config, Recording, dict[str, Modes]]:
    """Return the settings of a finished run, its recording and the modes of each layer.

    Raises
    ------
    ValueError
        If the folder holds no finished run, or the recording is not the one of the run any more.
    """
    folder = Path(folder)
    paths = sorted(folder.glob("modes_*.nc"))
    if not (folder / CONFIG).exists() or not paths:
        msg = f"{folder} holds no finished run: expected {CONFIG} and modes_LAYER.nc in it."
        raise ValueError(msg)
    config, modes = Config.kept_in(folder), [load(path) for path in paths]
    recording = config.open_recording()
    config.keep_in(folder, fingerprints(config, recording))
    return config, recording, {record.layer: record for record in modes}


def resumed(folder: str | PathLike, *, progress: bool = True) -> tuple[dict[str, object], Path]:
    """Finish a run with the settings in its folder, and return its summary and the folder.

    Raises
    ------
    ValueError
        If the folder holds no run.
    OSError
        If the recording or the network is gone.
    """
    folder = Path(folder)
    if not (folder / CONFIG).exists():
        msg = f"{folder} holds no run: expected {CONFIG} in it. Begin one with 'retina-codec run'."
        raise ValueError(msg)
    return run(Config.kept_in(folder), folder, progress=progress), folder
