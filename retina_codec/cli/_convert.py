"""Recordings of any kind as NWB: ``retina-codec convert``."""

import json
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from . import _options as options


def convert(
    source: Annotated[Path, typer.Argument(help="NWB, lab HDF5, open-retina, own file, arrays.")],
    target: Annotated[Path, typer.Argument(help="NWB file to write.")],
    stimulus: options.Stimulus = None,
    repeats: options.TrialTable = None,
    axes: options.Axes = None,
    response: Annotated[
        str | None, typer.Option(help="Lab HDF5: which response (firing_rate_10ms).")
    ] = None,
    skip_frames: Annotated[
        int | None, typer.Option(help="Lab HDF5: frames of each block that are not observed.")
    ] = None,
    n_blocks: Annotated[
        int | None, typer.Option(help="Lab HDF5: blocks of the movie, where nobody knows.")
    ] = None,
    session: Annotated[str | None, typer.Option(help="open-retina: which session.")] = None,
    frame_rate_hz: Annotated[
        float | None, typer.Option(help="open-retina: frames per second.")
    ] = None,
    test_name: Annotated[
        list[str] | None, typer.Option(help="open-retina: stimulus for testing; may be repeated.")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="open-retina: number of the colour channel, or all.")
    ] = None,
    arrays: Annotated[
        Path | None,
        typer.Option(help="JSON file with the options of load_arrays: reads plain arrays by it."),
    ] = None,
    cell: Annotated[
        list[int] | None, typer.Option(help="Cell to keep, from 0; may be repeated (all).")
    ] = None,
    test_frames: options.TestFrames = None,
    session_start: Annotated[
        datetime | None, typer.Option(help="When the recording began (now).")
    ] = None,
    species: Annotated[str | None, typer.Option(help="Latin, as Ambystoma tigrinum.")] = None,
    sex: Annotated[str | None, typer.Option(help="M, F, O or U.")] = None,
    age: Annotated[str | None, typer.Option(help="As P90D.")] = None,
    subject_id: Annotated[str | None, typer.Option(help="Name of the animal.")] = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write a recording of any kind as NWB: one stimulus, the cells and their responses.

    What else an NWB source holds (other stimuli, acquisitions, tables, subject) stays behind.

    Example: retina-codec convert 15-10-07/naturalscene.h5 retina.nwb
    """
    options = {
        "stimulus": stimulus,
        "repeats": repeats,
        "axes": axes,
        "response": response,
        "skip_frames": skip_frames,
        "n_blocks": n_blocks,
        "session": session,
        "frame_rate_hz": frame_rate_hz,
        "test_names": test_name,
        "channel": channel,
        "cells": cell,
        "test_frames": test_frames,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if target.exists():
        msg = f"{target} is there already, and would be lost. Choose another name for the new file."
        raise ValueError(msg)
    if not target.parent.is_dir():
        msg = f"There is no folder {target.parent} for the new file. Make it first."
        raise ValueError(msg)
    recordings = import_module("retina_codec.recordings")
    if arrays is None and source.suffix in (".mat", ".npz", ".npy"):
        msg = f"{source} holds plain arrays: say with --arrays mapping.json which is what."
        raise ValueError(msg)
    if arrays is None:
        recording = recordings.load_recording(source, **given)
    else:
        recording = recordings.load_arrays(source, **{**read_mapping(arrays), **given})
    recordings.write_nwb(
        recording,
        target,
        session_start=session_start,
        species=species,
        sex=sex,
        age=age,
        subject_id=subject_id,
    )
    n_frames, n_cells = recording.rates.shape
    typer.echo(f"{target}: {n_frames} frames, {n_cells} cells")


def read_mapping(path: Path) -> dict[str, Any]:
    """Options of `load_arrays` from a JSON file."""
    try:
        mapping = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{path} is not JSON: {error}"
        raise ValueError(msg) from None
    if not isinstance(mapping, dict):
        msg = f'{path} must hold names and values, such as {{"stimulus": "stim", "rates": "r"}}.'
        raise ValueError(msg)
    return mapping
