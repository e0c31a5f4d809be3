"""``retina-codec images``: networks that classify images."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

images = typer.Typer(
    name="images",
    help="Which hidden channels made a network see this class, in which combination, and where?",
    no_args_is_help=True,
)

Run = Annotated[Path, typer.Argument(help="Folder of a run; what is missing is done.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]

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
    folder: Annotated[
        str, typer.Argument(help="Folder of pictures, or 'digits' for those of scikit-learn.")
    ],
    network: Annotated[
        str,
        typer.Option(
            help="efficientnet-lite0, torchvision:NAME, timm:NAME, a folder such as "
            "models/digits_cnn, or package.module:function (which is run)."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of the run; a run that was interrupted goes on.")
    ],
    part: Annotated[
        list[str] | None, typer.Option(help="Only this part; repeat for several.")
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(help="Layer to explain, or a pattern such as 'layer*.?'; repeat for several."),
    ] = None,
    test_layer: Annotated[
        list[str] | None, typer.Option(help="Layer to test causally; repeat for several.")
    ] = None,
    n_test_layers: Annotated[
        int, typer.Option(help="How many layers are tested, unless they are named.")
    ] = 3,
    target: Annotated[
        str,
        typer.Option(
            help="top-class, top-class-probability, entropy, class-N or class-N-probability."
        ),
    ] = "top-class",
    n_steps: Annotated[int, typer.Option(help="Steps of the path.")] = 5,
    method: Annotated[
        str, typer.Option(help="A class of retina_codec.decomposition.")
    ] = "SparseModes",
    n_modes: Annotated[int | None, typer.Option(help="Modes to begin with.")] = None,
    test_share: Annotated[
        float, typer.Option(help="Share of the pictures on which choices are tested.")
    ] = 0.5,
    least_firing: Annotated[
        int, typer.Option(help="Images in which a mode must fire to be tested.")
    ] = 10,
    n_draws: Annotated[int, typer.Option(help="Draws of labels in another order.")] = 1000,
    n_classes: Annotated[
        int, typer.Option(help="Classes to control, those with most images.")
    ] = 10,
    dose: Annotated[
        list[float] | None,
        typer.Option(help="Share of the channels to remove (0.02 0.05 0.1 0.25 0.5); repeat."),
    ] = None,
    towards: Annotated[
        list[str] | None,
        typer.Option(
            help="What removed channels put out: grey, zero, mean, resampled (grey zero); repeat."
        ),
    ] = None,
    n_others: Annotated[int, typer.Option(help="Images of other classes beside each.")] = 30,
    n_random: Annotated[int, typer.Option(help="Draws of random channels.")] = 2,
    superclass: Annotated[
        list[str] | None, typer.Option(help="Set of classes, such as dog=151-268; repeat.")
    ] = None,
    n_maps: Annotated[int, typer.Option(help="Images to score maps on, and to flip.")] = 12,
    n_repeats: Annotated[int, typer.Option(help="Seeds of each setting in the sweep.")] = 3,
    seed: Annotated[int, typer.Option(help="Of all random numbers.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Analyse a network with a folder of pictures: all parts, and a page that shows them.

    Pictures lie in one folder for each class, or a table labels.csv (file,label) names their
    classes; without either, what the network says is taken for the class.

    Example: retina-codec images run pictures --network efficientnet-lite0 --out results
    """
    pipeline = import_module("retina_codec.pipeline")
    given = {
        "layers": tuple(layer) if layer else None,
        "test_layers": tuple(test_layer) if test_layer else None,
        "superclasses": pipeline.superclasses(superclass or ()),
        **({"doses": tuple(dose)} if dose else {}),
        **({"towards": tuple(towards)} if towards else {}),
    }
    config = pipeline.ImageConfig(
        images=folder if folder == "digits" else str(Path(folder).resolve()),
        network=resolved(network),
        n_test_layers=n_test_layers,
        target=target,
        n_steps=n_steps,
        method=method,
        n_modes=n_modes,
        test_share=test_share,
        least_firing=least_firing,
        n_draws=n_draws,
        n_classes=n_classes,
        n_others=n_others,
        n_random=n_random,
        n_maps=n_maps,
        n_repeats=n_repeats,
        seed=seed,
        **given,
    )
    summary = pipeline.run_images(config, out, parts=part or PARTS, progress=not quiet)
    for sentence in summary["findings"]:
        typer.echo(sentence)
    typer.echo(f"Report: {out / 'report.html'}")


def resolved(network: str) -> str:
    """Return a folder by its whole path, anything else as it is."""
    path = Path(network)
    return str(path.resolve()) if (path / "config.json").exists() else network


def command_of(part: str, about: str) -> Callable[..., None]:
    """Return the command that does one part of a run."""

    def command(
        run_folder: Run,
        network: Annotated[
            str | None, typer.Option(help="That of the run, again, where it is code.")
        ] = None,
        quiet: Quiet = False,
    ) -> None:
        pipeline = import_module("retina_codec.pipeline")
        summary = pipeline.resumed_images(
            run_folder, parts=[part], network=network, progress=not quiet
        )
        for sentence in summary["by part"].get(part, []):
            typer.echo(sentence)
        names = (run_folder / f"{part}.done").read_text().split()
        tables = ", ".join(f"{name}.csv" for name in names)
        typer.echo(
            f"Tables in {run_folder}: {tables}"
            if tables
            else f"Nothing to tell: the network or the images have nothing for '{part}'."
        )
        typer.echo(f"Report: {run_folder / 'report.html'}")

    command.__doc__ = f"{about}\n\nExample: retina-codec images {part} results"
    return command


for _part, _about in PARTS.items():
    images.command(_part)(command_of(_part, _about))
