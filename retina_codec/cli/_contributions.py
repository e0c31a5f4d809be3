"""``retina-codec contributions`` and ``decompose``: the two steps of the method by themselves."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from . import _names as names
from . import _options as options
from ._given import settings
from ._voice import shows_progress, tell

PLACE = {"part": str, "workers": int | None, "scheduler": str | None}
"""Settings of `contributions` beside those of a run."""


def contributions(
    context: typer.Context,
    recording: options.Recording = None,
    network: options.Network = None,
    out: Annotated[Path, typer.Option(help="Zarr store; one that was interrupted goes on.")] = Path(
        "store.zarr"
    ),
    file: options.Settings = None,
    part: Annotated[
        str,
        typer.Option(
            help="Split of the recording: test, train, or all.",
            autocompletion=names.some_of(names.SPLITS),
        ),
    ] = "test",
    stimulus: options.Stimulus = None,
    repeats: options.TrialTable = None,
    axes: options.Axes = None,
    test_frames: options.TestFrames = None,
    layers: options.Layers = None,
    target: options.Target = "surprisal",
    n_steps: options.Steps = 20,
    tolerance: options.Tolerance = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes on this machine that share the work, such as 4.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of a Dask cluster's scheduler, as tcp://10.0.0.1:8786."),
    ] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Compute contributions of any length into a store, here or on a cluster.

    Example: retina-codec contributions recording.nwb --network results/network --out store.zarr
    """
    needed = ("recording", "network")
    config = settings(context, "Config", file, but=("out",), also=PLACE, needed=needed)
    place = {"part": part} | {name: config.pop(name) for name in PLACE if name in config}
    pipeline = import_module("retina_codec.pipeline")
    with pipeline.connected(place.pop("scheduler", None), place.pop("workers", None)) as client:
        records = pipeline.store_contributions(
            pipeline.Config(**config), out, client=client, progress=shows_progress(), **place
        )
    found = {name: counted(record) for name, record in records.items()}
    lines = [
        f"{name}: {one['samples']} samples, {one['features']} features, "
        f"median gap {one['median relative gap']:.1%}"
        for name, one in found.items()
    ]
    tell([*lines, f"Store: {out}"], {"layers": found, "store": out}, as_json=as_json)


def counted(record: Any) -> dict[str, Any]:
    """Count samples and features, and tell how exact they are."""
    n_samples, n_features = record.values.shape
    gap = import_module("numpy").nanmedian(record.relative_gap)
    return {"samples": n_samples, "features": n_features, "median relative gap": float(gap)}


def decompose(
    store: Annotated[Path, typer.Argument(help="Zarr store that 'contributions' wrote.")],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for the modes of each target and layer; one that was interrupted goes on."
        ),
    ] = Path("modes"),
    method: options.Method = "SparseModes",
    n_modes: Annotated[
        int | None,
        typer.Option(help="Modes to begin with, such as 64.", show_default="by the method"),
    ] = None,
    n_repeats: options.StabilityRepeats = 4,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Find the modes in a store of contributions, and whether they come back.

    Example: retina-codec decompose store.zarr --out modes
    """
    pipeline = import_module("retina_codec.pipeline")
    chosen = pipeline.method_named(method).set_params(n_modes=n_modes)
    modes = pipeline.decompose_store(store, out, method=chosen, n_repeats=n_repeats, seed=seed)
    found = {
        target: {layer: judged(one) for layer, one in layers.items()}
        for target, layers in modes.items()
    }
    lines = [
        f"{target}, {layer}: {one['modes']} modes, {one['modes that come back']} of them come "
        f"back; R2 {one['held-out R2']:.3f} on samples held out, "
        f"{one['active modes in a sample']:.2f} active in a sample"
        for target, layers in found.items()
        for layer, one in layers.items()
    ]
    tell([*lines, f"Modes: {out}"], {"targets": found, "modes": out}, as_json=as_json)


def judged(modes: Any) -> dict[str, Any]:
    """Tell how many modes there are, and how good they are."""
    return {
        "modes": len(modes.firing),
        "modes that come back": int((~modes.is_unstable).sum()),
        "held-out R2": float(modes.r2),
        "active modes in a sample": float(modes.active_per_sample),
    }
