"""``retina-codec export``: results beside the recording, in NWB."""

from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from . import _options as options


def export(
    run_folder: Annotated[Path, typer.Argument(help="Folder of a run on an NWB recording.")],
    nwb: Annotated[
        Path | None, typer.Argument(help="NWB file to write: the recording and its results.")
    ] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Put results into the recording itself.")
    ] = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
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
