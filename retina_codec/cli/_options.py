"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from . import _names as names
from ._voice import be_quiet, be_verbose

RECORDING, TRAINING, ANALYSIS = "Recording", "Network that is trained", "Analysis"
SAID = "What is said"

Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        help="Only results, warnings and errors.",
        callback=be_quiet,
        rich_help_panel=SAID,
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        help="Also where an error came from.",
        callback=be_verbose,
        rich_help_panel=SAID,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="For programs: the result as JSON, and nothing else.", rich_help_panel=SAID
    ),
]
Settings = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="TOML file with settings, such as results/run.toml; options given here win.",
        dir_okay=False,
    ),
]
Recording = Annotated[
    Path | None,
    typer.Argument(help="NWB, the lab's HDF5, open-retina, or our own file; see 'info'."),
]
Network = Annotated[
    Path | None,
    typer.Option(
        help="Folder of a trained network, as 'train' leaves one, or simulated_retina.",
        autocompletion=names.some_of(names.NETWORKS),
    ),
]
Out = Annotated[
    Path,
    typer.Option(help="Folder of the run, such as results; one that was interrupted goes on."),
]
RunFolder = Annotated[
    Path, typer.Argument(help="Folder of a run, such as results; what is missing is done.")
]
FinishedRun = Annotated[Path, typer.Argument(help="Folder of a finished run, such as results.")]
Seed = Annotated[int, typer.Option(help="Of all random numbers; the same seed, the same result.")]

Stimulus = Annotated[
    str | None,
    typer.Option(
        help="NWB: name of the stimulus, where there are several, or a pattern: noise*.",
        rich_help_panel=RECORDING,
    ),
]
TrialTable = Annotated[
    str | None,
    typer.Option(
        help="NWB: table of trials of one movie, as trials or trials:kind=frozen.",
        rich_help_panel=RECORDING,
    ),
]
Axes = Annotated[
    str | None,
    typer.Option(
        help="NWB: order of the movie's axes, as 'x y time'.",
        autocompletion=names.some_of(names.AXES),
        rich_help_panel=RECORDING,
    ),
]
TestFrames = Annotated[
    int | None,
    typer.Option(
        help="Frames at the end to hold out, where the file does not say; such as 3000.",
        show_default="15 %, 5000 at most",
        rich_help_panel=RECORDING,
    ),
]

History = Annotated[
    float,
    typer.Option(
        help="Window of a network that is trained, in seconds; such as 0.4.",
        rich_help_panel=TRAINING,
    ),
]
Channels = Annotated[
    list[int] | None,
    typer.Option(
        help="Channels of a layer that is trained; once a layer: --channels 8 --channels 16.",
        show_default="8 8",
        rich_help_panel=TRAINING,
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        help="Most passes through the data in training.",
        show_default="8; ln 25",
        rich_help_panel=TRAINING,
    ),
]
Layers = Annotated[
    list[str] | None,
    typer.Option(
        "--layer",
        "--layers",
        help="Layer to explain; repeat for several: --layer relu1 --layer relu2.",
        show_default="both",
        autocompletion=names.some_of(names.LAYERS),
        rich_help_panel=ANALYSIS,
    ),
]
Target = Annotated[
    str,
    typer.Option(
        help="What to explain: surprisal, population-sum, or a cell, as cell-0.",
        autocompletion=names.some_of(names.TARGETS),
        rich_help_panel=ANALYSIS,
    ),
]
Steps = Annotated[
    int,
    typer.Option(
        help="Steps of the path from grey to the stimulus, without a tolerance.",
        rich_help_panel=ANALYSIS,
    ),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        help="Largest relative error of a sample, such as 0.01.",
        show_default="fixed steps",
        rich_help_panel=ANALYSIS,
    ),
]
Method = Annotated[
    str,
    typer.Option(
        help="Decomposition: a class of retina_codec.decomposition, such as NonNegativeFactors.",
        autocompletion=names.some_of(names.METHODS),
        rich_help_panel=ANALYSIS,
    ),
]
StabilityRepeats = Annotated[
    int,
    typer.Option(
        help="Fits repeated with other seeds, and as many on resampled time.",
        rich_help_panel=ANALYSIS,
    ),
]
Draws = Annotated[
    int,
    typer.Option(
        help="Draws of nulls and bootstraps for types of cells and spikes.",
        rich_help_panel=ANALYSIS,
    ),
]
Cells = Annotated[
    int,
    typer.Option(
        help="For how many of the best predicted cells fields are made.", rich_help_panel=ANALYSIS
    ),
]
