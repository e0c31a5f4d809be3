"""``retina-codec explore``: look at a finished run in the browser."""

import logging
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from . import _options as options


def explore(
    run_folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_FOLDER...",
            help="Folder of a finished run, such as results; with others, that explain the same by "
            "other targets, the page can change between them.",
        ),
    ],
    recording: Annotated[
        Path | None, typer.Option(help="Where the recording is now, if it was moved.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="That of a run on images, again, if it is code.")
    ] = None,
    port: Annotated[int, typer.Option(help="Of the page; 0 for any that is free.")] = 0,
    address: Annotated[
        str,
        typer.Option(
            help="Of this machine, if others may look: 0.0.0.0 for all; then a token is needed."
        ),
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Look at a finished run: any cell, moment and mode; of images any class, mode and picture.

    Example: retina-codec explore results

    Example: retina-codec explore results results_cell3
    """
    for noisy in ("bokeh", "tornado"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    import_module("retina_codec.explorer").serve(
        *run_folders,
        recording=recording,
        network=network,
        port=port,
        address=address,
        browser=browser,
        tell=lambda page: typer.echo(f"Explorer: {page}  (Ctrl-C ends it)"),
    )
