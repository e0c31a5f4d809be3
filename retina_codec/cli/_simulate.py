"""``retina-codec demo`` and ``simulate``: a retina whose wiring is known."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from . import _options as options
from ._voice import shows_progress, tell_run

DEMO_FRAMES, DEMO_TEST_FRAMES, DEMO_HISTORY_S = 16_000, 2_000, 0.25
DEMO_SHAPE = (24, 24)


def demo(
    out: options.Out = Path("demo"),
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Simulate a retina whose wiring is known, and analyse its recording; a few minutes.

    Example: retina-codec demo --out demo
    """
    recording = out / "recording.nwb"
    if not recording.exists():
        record(recording, DEMO_FRAMES, DEMO_TEST_FRAMES, seed)
    pipeline = import_module("retina_codec.pipeline")
    config = pipeline.Config(
        recording=str(recording.resolve()), history_s=DEMO_HISTORY_S, seed=seed
    )
    summary = pipeline.run(config, out, progress=shows_progress())
    tell_run(summary, out, as_json=as_json)


def simulate(
    recording: Annotated[Path, typer.Argument(help="NWB file to write, such as recording.nwb.")],
    n_frames: Annotated[
        int, typer.Option(help="Length of the movie, 100 frames a second.", min=1)
    ] = DEMO_FRAMES,
    test_frames: Annotated[
        int, typer.Option(help="Frames at the end, shown in 10 trials.", min=1)
    ] = DEMO_TEST_FRAMES,
    seed: options.Seed = 0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write a recording of the simulated retina as NWB.

    Example: retina-codec simulate recording.nwb --n-frames 30000
    """
    record(recording, n_frames, test_frames, seed)
    typer.echo(f"{recording}: {n_frames} frames")


def record(path: Path, n_frames: int, test_frames: int, seed: int) -> None:
    """Simulate a recording and write it as NWB."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"Cannot write to {path.parent} ({error.strerror}). Choose another folder."
        raise OSError(msg) from error
    simulation = import_module("retina_codec.simulation")
    recordings = import_module("retina_codec.recordings")
    circuit = simulation.Circuit(shape=DEMO_SHAPE, history=25)
    simulated = simulation.simulate_recording(
        circuit=circuit, n_frames=n_frames, test_frames=test_frames, seed=seed
    )
    recordings.write_nwb(simulated, path)
