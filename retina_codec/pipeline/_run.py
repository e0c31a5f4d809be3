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
from retina_codec.networks import TrainingSettings, evaluate, load_network, windows_for
from retina_codec.report import write_report

from ._config import Config, method_named
from ._contributions import check_fit, target_of
from ._dynamics import Explained, kept_dynamics
from ._kept import kept
from ._modes import kept_modes_and_stability, kept_tables
from ._run_folder import RUN_FILE, is_kept
from ._summary import summary_of, write_summary
from ._training import fitted, fitted_ln, new_network, seen

log = logging.getLogger(__name__)

NOT_SHOWN = {"tested_pairs", "co_occurrence"}
"""Tables that the summary counts and the page does not show."""

STEPS = (
    "network",
    "LN model",
    "predictions",
    "contributions",
    "modes",
    "effects of removing modes",
    "fields",
    "fields of moments",
    "page",
)


def step(name: str) -> None:
    """Say which step of how many begins."""
    log.info("Step %d of %d: %s", STEPS.index(name) + 1, len(STEPS), name)


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

    Examples
    --------
    >>> config = Config(recording="retina.nwb", epochs=2)
    >>> run(config, "my_run")["findings"]  # doctest: +SKIP
    >>> run(config, "my_run")  # Nothing is begun before the recording is there.
    Traceback (most recent call last):
    FileNotFoundError: No file retina.nwb.
    """
    out = Path(out)
    summary, shown = gathered(config, out, progress)
    write_summary(out / "summary.json", summary)
    write_report(out / "report.html", folder=out, summary=summary, **shown)
    return summary


def gathered(
    config: Config, out: Path, progress: bool
) -> tuple[dict[str, object], dict[str, object]]:
    """Do what is not done yet, and return the summary and what the page shows."""
    started = time.perf_counter()
    recording = config.open_recording()
    untrained = load_network(config.network) if config.network else new_network(config, recording)
    layers = tuple(config.layers or getattr(untrained, "default_layers", ()))
    check_fit(untrained, recording, layers, config)
    inputs = fingerprints(config, recording)
    config.keep_in(out, inputs)
    network = untrained
    step("network")
    if config.network is None:
        settings = config.training(TrainingSettings())
        network = fitted(untrained, recording, out / "network", settings, progress)
    step("LN model")
    baseline = fitted_ln(config, recording, network.history, out / "baseline", progress)
    records = analysis(network, baseline, recording, layers, config, out, progress)
    step("page")
    seconds = time.perf_counter() - started
    summary = summary_of(config, recording, records, seconds=seconds, inputs=inputs)
    shown = {name: value for name, value in records.items() if name not in NOT_SHOWN}
    return summary, {"recording": recording, **shown}


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
    step("predictions")
    predictions = kept(
        out / "predictions.nc", lambda: evaluate(network, recording, name="deep-retina network")
    )
    ln = kept(
        out / "baseline_predictions.nc", lambda: evaluate(baseline, recording, name="LN model")
    )
    samples = windows_for(network, recording.stimulus, frames=recording.splits["test"])
    target = cache(partial(target_of, config, network, recording))
    step("contributions")
    explained = kept_contributions(network, samples, layers, target, config, out, progress)
    step("modes")
    method = method_named(config.method)
    decomposed = {
        layer: kept_modes_and_stability(record, method, out, config.n_repeats, config.seed)
        for layer, record in explained.items()
    }
    modes = {layer: record for layer, (record, _) in decomposed.items()}
    stability = {layer: record for layer, (_, record) in decomposed.items()}
    tables = kept_tables(explained, modes, predictions, config.seed, out)
    step("effects of removing modes")
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
    step("fields")
    fields = kept_fields(network, recording, samples, modes, cells, config, out)
    step("fields of moments")
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
        **tables,
        "fields": fields,
        "effects": effects,
        "dynamics": kept_dynamics(found, out),
    }


def fingerprints(config: Config, recording: Recording) -> dict[str, str]:
    """Return what tells one input from another: recording, and the network if it was given."""
    found = {"recording": seen(recording)}
    if config.network:
        weights = Path(config.network) / "weights.safetensors"
        found["network"] = sha256(weights.read_bytes()).hexdigest()[:16]
    return found


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

    Parameters
    ----------
    folder
        Of the run.

    Returns
    -------
    tuple
        Settings, recording, and modes by layer.

    Raises
    ------
    ValueError
        If the folder holds no finished run, or the recording is not the one of the run any more.
    OSError
        If the recording is gone.

    Examples
    --------
    >>> config, recording, modes = kept_modes("my_run")  # doctest: +SKIP
    >>> kept_modes("not_begun")
    Traceback (most recent call last):
    ValueError: not_begun holds no finished run: expected ...
    """
    folder = Path(folder)
    paths = sorted(folder.glob("modes_*.nc"))
    if not is_kept(folder) or not paths:
        msg = (
            f"{folder} holds no finished run: expected {RUN_FILE} and modes_LAYER.nc in it. Make "
            "one with 'retina-codec run'."
        )
        raise ValueError(msg)
    config, recording = recording_of_run(folder)
    return config, recording, {record.layer: record for record in map(load, paths)}


def recording_of_run(
    folder: str | PathLike, *, recording: str | PathLike | None = None
) -> tuple[Config, Recording]:
    """Return the settings of a run and its recording, which is checked to be the same as then.

    Parameters
    ----------
    folder
        Of the run.
    recording
        Where the recording is now, if it was moved.

    Returns
    -------
    tuple
        Settings, with the recording where it is now, and the recording.

    Raises
    ------
    FileNotFoundError
        If the recording is not there.
    ValueError
        If the folder holds no run, or the recording is not the one of the run any more.

    Examples
    --------
    >>> config, recording = recording_of_run("my_run")  # doctest: +SKIP
    >>> recording_of_run("not_begun")
    Traceback (most recent call last):
    ValueError: not_begun holds no run: expected ...
    """
    config = settings_of_run(folder)
    moved = config if recording is None else replace(config, recording=str(recording))
    opened = moved.open_recording()
    config.keep_in(Path(folder), fingerprints(config, opened))
    return moved, opened


def resumed(folder: str | PathLike, *, progress: bool = True) -> tuple[dict[str, object], Path]:
    """Finish a run with the settings in its folder, and return its summary and the folder.

    Parameters
    ----------
    folder
        Of the run.
    progress
        Whether to show bars.

    Returns
    -------
    tuple
        The summary, as `run` returns it, and the folder.

    Raises
    ------
    ValueError
        If the folder holds no run.
    OSError
        If the recording or the network is gone.

    Examples
    --------
    >>> summary, folder = resumed("my_run")  # doctest: +SKIP
    >>> resumed("not_begun")
    Traceback (most recent call last):
    ValueError: not_begun holds no run: expected ...
    """
    return run(settings_of_run(folder), folder, progress=progress), Path(folder)


def settings_of_run(folder: str | PathLike) -> Config:
    """Return the settings of a run on a recording.

    Raises
    ------
    ValueError
        If the folder holds none.
    """
    folder = Path(folder)
    if not is_kept(folder):
        msg = (
            f"{folder} holds no run: expected {RUN_FILE} in it. Begin one with 'retina-codec run'."
        )
        raise ValueError(msg)
    return Config.kept_in(folder)
