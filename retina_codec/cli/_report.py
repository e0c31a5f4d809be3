"""``retina-codec report``: the page of a finished run, again."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from . import _options as options


def report(
    run_folder: options.FinishedRun,
    out: Annotated[
        Path | None, typer.Option(help="Where to write the page (report.html in the folder).")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(help="That of a run on images, again, where it is code (which is run)."),
    ] = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make the page of a finished run again from what is stored; nothing is computed.

    Example: retina-codec report results --out to_show.html
    """
    page = import_module("retina_codec.pipeline").remade_report(run_folder, out, network=network)
    typer.echo(f"Report: {page}")
