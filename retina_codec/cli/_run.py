"""``retina-codec run`` and ``train``: from a recording to a network, and to everything else."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from . import _names as names
from . import _options as options
from ._given import settings
from ._voice import shows_progress, tell, tell_run


def run(
    context: typer.Context,
    recording: options.Recording = None,
    out: options.Out = Path("results"),
    file: options.Settings = None,
    network: options.Network = None,
    stimulus: options.Stimulus = None,
    repeats: options.TrialTable = None,
    axes: options.Axes = None,
    test_frames: options.TestFrames = None,
    history_s: options.History = 0.4,
    channels: options.Channels = None,
    epochs: options.Epochs = None,
    layers: options.Layers = None,
    target: options.Target = "surprisal",
    n_steps: options.Steps = 20,
    tolerance: options.Tolerance = None,
    method: options.Method = "SparseModes",
    n_repeats: options.StabilityRepeats = 4,
    n_draws: options.Draws = 20,
    n_cells: options.Cells = 5,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Analyse a recording, from training a network to the report.

    Example: retina-codec run recording.nwb --out results

    Again, as it was done: retina-codec run --config results/run.toml --out again
    """
    config = settings(context, "Config", file, but=("out",))
    pipeline = import_module("retina_codec.pipeline")
    summary = pipeline.run(pipeline.Config(**config), out, progress=shows_progress())
    tell_run(summary, out, as_json=as_json)


def train(
    context: typer.Context,
    recording: options.Recording = None,
    out: Annotated[
        Path, typer.Option(help="Folder of the network; a training that was interrupted goes on.")
    ] = Path("network"),
    file: options.Settings = None,
    model: Annotated[
        str,
        typer.Option(
            help="Which network: deep-retina, or ln for the linear-nonlinear model.",
            autocompletion=names.some_of(names.MODELS),
        ),
    ] = "deep-retina",
    stimulus: options.Stimulus = None,
    repeats: options.TrialTable = None,
    axes: options.Axes = None,
    test_frames: options.TestFrames = None,
    history_s: options.History = 0.4,
    channels: options.Channels = None,
    epochs: options.Epochs = None,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Train a network on a recording; tell how well it predicts beside the LN model.

    Example: retina-codec train recording.nwb --out network

    Then: retina-codec run recording.nwb --network network --out results
    """
    config = settings(context, "Config", file, but=("out",), also={"model": str})
    model = config.pop("model", model)
    pipeline = import_module("retina_codec.pipeline")
    found = pipeline.train_network(
        pipeline.Config(**config), out, model=model, progress=shows_progress()
    )
    tell(map(scores_line, found, found.values()), found, as_json=as_json)


def scores_line(model: str, found: dict) -> str:
    """One model in a line."""
    scores = ", ".join(
        f"mean {name.replace('_', ' ')} {score:.3f}" for name, score in found["scores"].items()
    )
    return f"{model}: {scores or 'no scores'} on the held-out part; {found['folder']}"
