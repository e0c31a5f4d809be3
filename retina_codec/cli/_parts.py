"""``retina-codec fields``, ``causal``, ``phenomena``, ``compare``: more about a finished run."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from . import _names as names
from . import _options as options
from ._voice import shows_progress, tell


def fields(
    run_folder: options.RunFolder,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Tell where the receptive fields of moments come from.

    Example: retina-codec fields results
    """
    tell_part(
        run_folder,
        words=("modes hold", "field's polarity", "features of the field"),
        files=("field_shares", "states"),
        of_all=("explained_fields", "described_fields"),
        as_json=as_json,
    )


def causal(
    run_folder: options.RunFolder,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Tell what removing modes does, beside what was predicted and random channels.

    Example: retina-codec causal results
    """
    tell_part(
        run_folder,
        words=("removed", "without the channels", "falls short", "random channels"),
        files=("doses",),
        of_all=(),
        as_json=as_json,
    )


def phenomena(
    run_folder: options.FinishedRun,
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="Which phenomenon, as 'latency coding'; repeat for several.",
            show_default="all",
            autocompletion=names.some_of(names.PHENOMENA),
        ),
    ] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Show classical experiments to the network of a run, and which modes carry them.

    Example: retina-codec phenomena results --name "paired flash suppression"
    """
    pipeline = import_module("retina_codec.pipeline")
    chosen = {"names": name} if name else {}
    table = pipeline.phenomena_of_run(run_folder, progress=shows_progress(), **chosen)
    page, findings = run_folder / "phenomena.html", pipeline.phenomena_findings(table)
    found = {"findings": findings, "signatures": table.to_dict("records"), "page": page}
    tell([*findings, f"Page: {page}"], found, as_json=as_json)


def compare(
    run_folder: options.FinishedRun,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Compare contributions with activations, decomposed equally sparsely.

    Example: retina-codec compare results
    """
    pipeline = import_module("retina_codec.pipeline")
    tables = pipeline.compare_run(run_folder, progress=shows_progress())
    lines = []
    for layer, table in tables.items():
        lines.append(f"Layer {layer} (difference with its 95 % interval)")
        lines.append(table.to_string(index=False, float_format="{:.3g}".format, na_rep=""))
    lines.append(f"Tables: {run_folder / 'comparison_LAYER.csv'}")
    found = {layer: table.to_dict("records") for layer, table in tables.items()}
    tell(lines, {"layers": found}, as_json=as_json)


def tell_part(
    run_folder: Path,
    *,
    words: tuple[str, ...],
    files: tuple[str, ...],
    of_all: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print the findings of a run that hold one of the words, and name the files behind them."""
    pipeline = import_module("retina_codec.pipeline")
    summary, folder = pipeline.resumed(run_folder, progress=shows_progress())
    findings = [one for one in summary["findings"] if any(word in one for word in words)]
    tables = [*(f"{file}_LAYER.csv" for file in files), *(f"{file}.csv" for file in of_all)]
    report = folder / "report.html"
    lines = [*findings, f"Tables in {folder}: {', '.join(tables)}", f"Report: {report}"]
    paths = [path for file in tables for path in sorted(folder.glob(file.replace("LAYER", "*")))]
    found = {
        "findings": findings,
        "layers": summary["layers"],
        "tables": paths,
        "report": report,
    }
    tell(lines, found, as_json=as_json)
