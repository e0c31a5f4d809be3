"""The pipeline in the shell: ``retina-codec``."""

import logging
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from ._convert import convert
from ._images import images
from ._info import fetch, info

app = typer.Typer(
    name="retina-codec",
    help="Which interneurons made a ganglion cell fire, in which combination, with which field?",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

app.add_typer(images)
app.command()(info)
app.command()(fetch)
app.command()(convert)

Out = Annotated[Path, typer.Option(help="Folder of the run; a run that was interrupted goes on.")]
Seed = Annotated[int, typer.Option(help="Of all random numbers.")]
Stimulus = Annotated[
    str | None, typer.Option(help="Name of the stimulus, where the file has several.")
]
TestFrames = Annotated[
    int | None, typer.Option(help="Frames at the end to hold out (min(5000, 15 %)).")
]
Layers = Annotated[list[str] | None, typer.Option(help="Layer to explain; repeat for several.")]
Target = Annotated[str, typer.Option(help="What to explain: surprisal, population-sum or cell-N.")]
Steps = Annotated[int, typer.Option(help="Steps of the path, without a tolerance.")]
Tolerance = Annotated[
    float | None, typer.Option(help="Largest relative error of a sample, such as 0.01.")
]
Method = Annotated[
    str,
    typer.Option(help="A class of retina_codec.decomposition, such as NonNegativeFactors."),
]
Repeats = Annotated[
    int, typer.Option(help="Fits repeated with other seeds, and as many on resampled time.")
]
Draws = Annotated[
    int, typer.Option(help="Draws of nulls and bootstraps for types of cells and spikes.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]

DEMO_FRAMES, DEMO_TEST_FRAMES, DEMO_HISTORY_S = 16_000, 2_000, 0.25
DEMO_SHAPE = (24, 24)


@app.callback(invoke_without_command=True)
def start(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.")
    ] = False,
) -> None:
    """Set up logging; print the version if asked."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    logging.getLogger("distributed").setLevel(logging.WARNING)
    if version:
        typer.echo(import_module("retina_codec").__version__)
        raise typer.Exit


@app.command()
def run(
    recording: Annotated[Path, typer.Argument(help="NWB, the lab's HDF5, or our own file.")],
    out: Out,
    network: Annotated[
        Path | None, typer.Option(help="Folder of a trained network; trained here without one.")
    ] = None,
    stimulus: Stimulus = None,
    test_frames: TestFrames = None,
    history_s: Annotated[float, typer.Option(help="Window of the network in seconds.")] = 0.4,
    epochs: Annotated[int | None, typer.Option(help="Most passes in training.")] = None,
    layer: Layers = None,
    target: Target = "surprisal",
    n_steps: Steps = 20,
    tolerance: Tolerance = None,
    method: Method = "SparseModes",
    n_repeats: Repeats = 4,
    n_draws: Draws = 20,
    channels: Annotated[
        list[int] | None, typer.Option(help="Channels of a layer that is trained; once a layer.")
    ] = None,
    n_cells: Annotated[
        int, typer.Option(help="For how many cells fields of combinations are made.")
    ] = 5,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Analyse a recording, from training a network to the report.

    Example: retina-codec run recording.nwb --out results
    """
    pipeline = import_module("retina_codec.pipeline")
    config = pipeline.Config(
        recording=str(recording.resolve()),
        network=str(network.resolve()) if network else None,
        stimulus=stimulus,
        test_frames=test_frames,
        history_s=history_s,
        epochs=epochs,
        layers=tuple(layer) if layer else None,
        target=target,
        n_steps=n_steps,
        tolerance=tolerance,
        method=method,
        n_repeats=n_repeats,
        n_draws=n_draws,
        channels=tuple(channels) if channels else (8, 8),
        n_cells=n_cells,
        seed=seed,
    )
    summary = pipeline.run(config, out, progress=not quiet)
    tell(summary, out)


@app.command()
def contributions(
    recording: Annotated[Path, typer.Argument(help="NWB, the lab's HDF5, or our own file.")],
    network: Annotated[Path, typer.Option(help="Folder of a trained network.")],
    out: Annotated[Path, typer.Option(help="Zarr store; one that was interrupted goes on.")],
    part: Annotated[str, typer.Option(help="Split of the recording, or all.")] = "test",
    stimulus: Stimulus = None,
    test_frames: TestFrames = None,
    layer: Layers = None,
    target: Target = "surprisal",
    n_steps: Steps = 20,
    tolerance: Tolerance = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes on this machine that share the work.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of the scheduler of a Dask cluster.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Compute contributions of any length into a store, here or on a cluster.

    Example: retina-codec contributions recording.nwb --network results/network --out store.zarr
    """
    pipeline = import_module("retina_codec.pipeline")
    config = pipeline.Config(
        recording=str(recording.resolve()),
        network=str(network.resolve()),
        stimulus=stimulus,
        test_frames=test_frames,
        layers=tuple(layer) if layer else None,
        target=target,
        n_steps=n_steps,
        tolerance=tolerance,
    )
    with pipeline.connected(scheduler, workers) as client:
        found = pipeline.store_contributions(
            config, out, part=part, client=client, progress=not quiet
        )
    for name, record in found.items():
        gap = import_module("numpy").nanmedian(record.relative_gap)
        n_samples, n_features = record.values.shape
        typer.echo(f"{name}: {n_samples} samples, {n_features} features, median gap {gap:.1%}")
    typer.echo(f"Store: {out}")


@app.command()
def decompose(
    store: Annotated[Path, typer.Argument(help="Zarr store that contributions wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for the modes of each target and layer.")],
    method: Method = "SparseModes",
    n_modes: Annotated[int | None, typer.Option(help="Modes to begin with.")] = None,
    n_repeats: Repeats = 4,
    seed: Seed = 0,
) -> None:
    """Find the modes in a store of contributions, and whether they come back.

    Example: retina-codec decompose store.zarr --out modes
    """
    pipeline = import_module("retina_codec.pipeline")
    chosen = pipeline.method_named(method).set_params(n_modes=n_modes)
    found = pipeline.decompose_store(store, out, method=chosen, n_repeats=n_repeats, seed=seed)
    for target, layers in found.items():
        for layer, modes in layers.items():
            n_stable = int((~modes.is_unstable).sum())
            typer.echo(
                f"{target}, {layer}: {len(modes.firing)} modes, {n_stable} of them come back; "
                f"R2 {modes.r2:.3f} on samples held out, {modes.active_per_sample:.2f} active in a "
                "sample"
            )
    typer.echo(f"Modes: {out}")


@app.command()
def demo(out: Out = Path("demo"), seed: Seed = 0, quiet: Quiet = False) -> None:
    """Simulate a retina whose wiring is known, and analyse its recording.

    Example: retina-codec demo --out demo
    """
    recording = Path(out) / "recording.nwb"
    if not recording.exists():
        record(recording, DEMO_FRAMES, DEMO_TEST_FRAMES, seed)
    pipeline = import_module("retina_codec.pipeline")
    config = pipeline.Config(
        recording=str(recording.resolve()), history_s=DEMO_HISTORY_S, seed=seed
    )
    tell(pipeline.run(config, out, progress=not quiet), out)


@app.command()
def compare(
    run_folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    quiet: Quiet = False,
) -> None:
    """Compare contributions with activations, decomposed equally sparsely.

    Example: retina-codec compare results
    """
    tables = import_module("retina_codec.pipeline").compare_run(run_folder, progress=not quiet)
    for layer, table in tables.items():
        typer.echo(f"Layer {layer} (difference with its 95 % interval)")
        typer.echo(table.to_string(index=False, float_format="{:.3g}".format, na_rep=""))
    typer.echo(f"Tables: {run_folder / 'comparison_LAYER.csv'}")


@app.command()
def fields(
    run_folder: Annotated[Path, typer.Argument(help="Folder of a run; what is missing is done.")],
    quiet: Quiet = False,
) -> None:
    """Tell where the receptive fields of moments come from.

    Example: retina-codec fields results
    """
    show_layers(
        run_folder,
        quiet,
        words=("modes hold", "field's polarity", "features of the field"),
        files=("field_shares", "states"),
        of_all=("explained_fields", "described_fields"),
    )


@app.command()
def causal(
    run_folder: Annotated[Path, typer.Argument(help="Folder of a run; what is missing is done.")],
    quiet: Quiet = False,
) -> None:
    """Tell what removing modes does, beside what was predicted and random channels.

    Example: retina-codec causal results
    """
    show_layers(
        run_folder,
        quiet,
        words=("removed", "without the channels", "falls short", "random channels"),
        files=("doses",),
        of_all=(),
    )


@app.command()
def phenomena(
    run_folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    name: Annotated[
        list[str] | None, typer.Option(help="Which phenomenon; repeat for several (all).")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Show classical experiments to the network of a run, and which modes carry them.

    Example: retina-codec phenomena results --name "paired flash suppression"
    """
    pipeline = import_module("retina_codec.pipeline")
    chosen = {"names": name} if name else {}
    table = pipeline.phenomena_of_run(run_folder, progress=not quiet, **chosen)
    for sentence in pipeline.phenomena_findings(table):
        typer.echo(sentence)
    typer.echo(f"Page: {run_folder / 'phenomena.html'}")


@app.command()
def simulate(
    recording: Annotated[Path, typer.Argument(help="NWB file to write.")],
    n_frames: Annotated[
        int, typer.Option(help="Length of the movie, 100 frames a second.")
    ] = DEMO_FRAMES,
    test_frames: Annotated[
        int, typer.Option(help="Frames at the end, shown in 10 trials.")
    ] = DEMO_TEST_FRAMES,
    seed: Seed = 0,
) -> None:
    """Write a recording of the simulated retina as NWB.

    Example: retina-codec simulate recording.nwb --n-frames 30000
    """
    record(recording, n_frames, test_frames, seed)
    typer.echo(f"{recording}: {n_frames} frames")


@app.command()
def export(
    run_folder: Annotated[Path, typer.Argument(help="Folder of a run on an NWB recording.")],
    nwb: Annotated[
        Path | None, typer.Argument(help="NWB file to write: the recording and its results.")
    ] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Put results into the recording itself.")
    ] = False,
) -> None:
    """Add modes, their loadings and the scores of the cells to a copy of the recording's NWB file.

    Example: retina-codec export results recording_with_modes.nwb
    """
    if in_place == (nwb is not None):
        msg = "Say where the results go: either an NWB file to write, or --in-place."
        raise ValueError(msg)
    export_module = import_module("retina_codec.export")
    pipeline = import_module("retina_codec.pipeline")
    config, _, modes = pipeline.kept_modes(run_folder)
    scores = export_module.load(run_folder / "predictions.nc").scores
    results = {"cells": {"scores": scores}, "settings": asdict(config)}
    if in_place:
        export_module.append_to_nwb(config.recording, modes, **results)
    else:
        export_module.add_to_nwb(config.recording, nwb, modes, **results)
    typer.echo(f"{nwb or config.recording}: modes of {', '.join(modes)}, scores of the cells")


def record(path: Path, n_frames: int, test_frames: int, seed: int) -> None:
    """Simulate a recording and write it as NWB."""
    simulation = import_module("retina_codec.simulation")
    recordings = import_module("retina_codec.recordings")
    circuit = simulation.Circuit(shape=DEMO_SHAPE, history=25)
    simulated = simulation.simulate_recording(
        circuit=circuit, n_frames=n_frames, test_frames=test_frames, seed=seed
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    recordings.write_nwb(simulated, path)


def show_layers(
    run_folder: Path,
    quiet: bool,
    *,
    words: tuple[str, ...],
    files: tuple[str, ...],
    of_all: tuple[str, ...],
) -> None:
    """Print the findings of a run that hold one of the words, and name the files behind them."""
    pipeline = import_module("retina_codec.pipeline")
    summary, folder = pipeline.resumed(run_folder, progress=not quiet)
    for sentence in summary["findings"]:
        if any(word in sentence for word in words):
            typer.echo(sentence)
    tables = [*(f"{file}_LAYER.csv" for file in files), *(f"{file}.csv" for file in of_all)]
    typer.echo(f"Tables in {folder}: {', '.join(tables)}")
    typer.echo(f"Report: {folder / 'report.html'}")


def tell(summary: dict, out: Path) -> None:
    """Print what was found and where it lies."""
    for sentence in summary["findings"]:
        typer.echo(sentence)
    typer.echo(f"Report: {out / 'report.html'}")


def main() -> None:
    """Run the command line; an error is one line and exit code 1."""
    try:
        app()
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
