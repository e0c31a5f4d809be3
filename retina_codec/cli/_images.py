"""``retina-codec images``: networks that classify images."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from . import _names as names
from . import _options as options
from ._given import settings, source_of
from ._voice import shows_progress, tell, tell_run

images = typer.Typer(
    name="images",
    help="Networks that see classes in images: by which channels, in which combination, and where?",
    no_args_is_help=True,
)

TESTS = "Tests on the network"

PARTS = {
    "layers": "Tell how sparse contributions are in each layer, and in how many dimensions.",
    "classes": "Tell which classes modes go with.",
    "contrast": "Explain the contrast of the two best classes beside the best one.",
    "heads": "Compare attention heads with random groups of channels.",
    "control": "Remove, or keep alone, the channels of class modes, beside other choices.",
    "superclass": "Control sets of classes, in several layers at once.",
    "maps": "Show where in images modes act, and score such maps beside others.",
    "steering": "Scale modes up and down, and find the fewest that change a prediction.",
    "sweep": "Decompose with other settings and seeds, and tell how far they agree.",
}
"""Parts of the analysis: each is also a command."""


@images.command()
def run(
    context: typer.Context,
    folder: Annotated[
        str | None,
        typer.Argument(help="Folder of pictures, or 'digits' for those of scikit-learn."),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="efficientnet-lite0, torchvision:NAME, timm:NAME, a folder such as "
            "models/digits_cnn, or package.module:function (which is run).",
            autocompletion=names.some_of(names.IMAGE_NETWORKS),
        ),
    ] = None,
    out: options.Out = Path("results"),
    file: options.Settings = None,
    parts: Annotated[
        list[str] | None,
        typer.Option(
            "--part",
            "--parts",
            help="Only this part; repeat for several.",
            show_default="all",
            autocompletion=names.some_of(tuple(PARTS)),
        ),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            "--layers",
            help="Layer to explain, or a pattern such as 'layer*.?'; repeat for several.",
            show_default="those of the network",
            rich_help_panel=options.ANALYSIS,
        ),
    ] = None,
    test_layers: Annotated[
        list[str] | None,
        typer.Option(
            "--test-layer",
            "--test-layers",
            help="Layer to test causally; repeat for several.",
            show_default="--n-test-layers of them",
            rich_help_panel=TESTS,
        ),
    ] = None,
    n_test_layers: Annotated[
        int,
        typer.Option(
            help="How many layers are tested, unless they are named.", rich_help_panel=TESTS
        ),
    ] = 3,
    target: Annotated[
        str,
        typer.Option(
            help="top-class, top-class-probability, entropy, class-N or class-N-probability.",
            autocompletion=names.some_of(names.IMAGE_TARGETS),
            rich_help_panel=options.ANALYSIS,
        ),
    ] = "top-class",
    n_steps: Annotated[
        int,
        typer.Option(
            help="Steps of the path from grey to the picture.", rich_help_panel=options.ANALYSIS
        ),
    ] = 5,
    method: options.Method = "SparseModes",
    n_modes: Annotated[
        int | None,
        typer.Option(
            help="Modes to begin with, such as 64.",
            show_default="a quarter of images",
            rich_help_panel=options.ANALYSIS,
        ),
    ] = None,
    test_share: Annotated[
        float,
        typer.Option(
            help="Share of the pictures on which choices are tested, as 0.5.", rich_help_panel=TESTS
        ),
    ] = 0.5,
    least_firing: Annotated[
        int,
        typer.Option(help="Images in which a mode must fire to be tested.", rich_help_panel=TESTS),
    ] = 10,
    n_draws: Annotated[
        int, typer.Option(help="Draws of labels in another order.", rich_help_panel=TESTS)
    ] = 1000,
    n_classes: Annotated[
        int, typer.Option(help="Classes to control, those with most images.", rich_help_panel=TESTS)
    ] = 10,
    doses: Annotated[
        list[float] | None,
        typer.Option(
            "--dose",
            "--doses",
            help="Share of the channels to remove, from 0 to 1; repeat for several.",
            show_default="0.02 0.05 0.1 0.25 0.5",
            rich_help_panel=TESTS,
        ),
    ] = None,
    towards: Annotated[
        list[str] | None,
        typer.Option(
            help="What removed channels put out: grey, zero, mean, resampled; repeat for several.",
            show_default="grey zero",
            autocompletion=names.some_of(names.REPLACEMENTS),
            rich_help_panel=TESTS,
        ),
    ] = None,
    n_others: Annotated[
        int, typer.Option(help="Images of other classes beside each.", rich_help_panel=TESTS)
    ] = 30,
    n_random: Annotated[
        int, typer.Option(help="Draws of random channels.", rich_help_panel=TESTS)
    ] = 2,
    superclasses: Annotated[
        list[str] | None,
        typer.Option(
            "--superclass",
            "--superclasses",
            help="Set of classes, such as dog=151-268; repeat for several.",
            show_default="classes that are alike",
            rich_help_panel=TESTS,
        ),
    ] = None,
    n_maps: Annotated[
        int, typer.Option(help="Images to score maps on, and to flip.", rich_help_panel=TESTS)
    ] = 12,
    n_repeats: Annotated[
        int, typer.Option(help="Seeds of each setting in the sweep.", rich_help_panel=TESTS)
    ] = 3,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Analyse a network with a folder of pictures: all parts, and a page that shows them.

    Pictures lie in one folder for each class, or a table labels.csv
    (file,label) names their classes; without either, what the network
    says is taken for the class.

    Example: retina-codec images run pictures --network efficientnet-lite0 --out results
    """
    pipeline = import_module("retina_codec.pipeline")
    typed = {} if folder is None else {"images": folder}
    if superclasses:
        typed["superclasses"] = pipeline.superclasses(superclasses)
    config = settings(
        context,
        "ImageConfig",
        file,
        but=("out", "folder", "superclasses"),
        typed=typed,
        also={"parts": tuple[str, ...]},
        needed=("images", "network"),
    )
    if source_of(context, "network") != "COMMANDLINE":
        pipeline.refuse_unnamed_code(config["network"], None)
    parts = config.pop("parts", PARTS)
    summary = pipeline.run_images(
        pipeline.ImageConfig(**config), out, parts=parts, progress=shows_progress()
    )
    tell_run(summary, out, as_json=as_json)


def command_of(part: str, about: str) -> Callable[..., None]:
    """Return the command that does one part of a run."""

    def command(
        run_folder: options.RunFolder,
        network: Annotated[
            str | None, typer.Option(help="That of the run, again, where it is code.")
        ] = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
        verbose: options.Verbose = False,
    ) -> None:
        pipeline = import_module("retina_codec.pipeline")
        summary = pipeline.resumed_images(
            run_folder, parts=[part], network=network, progress=shows_progress()
        )
        findings = summary["by part"].get(part, [])
        tables = [f"{name}.csv" for name in (run_folder / f"{part}.done").read_text().split()]
        report = run_folder / "report.html"
        where = (
            f"Tables in {run_folder}: {', '.join(tables)}"
            if tables
            else f"Nothing to tell: the network or the images have nothing for '{part}'."
        )
        found = {"findings": findings, "tables": tables, "report": report}
        tell([*findings, where, f"Report: {report}"], found, as_json=as_json)

    command.__doc__ = f"{about}\n\nExample: retina-codec images {part} results"
    return command


for _part, _about in PARTS.items():
    images.command(_part)(command_of(_part, _about))
