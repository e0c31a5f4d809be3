"""The pipeline in the shell: ``retina-codec``."""

import sys

import typer
from typer.core import TyperGroup

from . import _options as options
from ._contributions import contributions, decompose
from ._convert import convert
from ._ending import ended
from ._explore import explore
from ._export import export
from ._images import images
from ._info import fetch, info
from ._parts import causal, compare, fields, phenomena
from ._report import report
from ._run import run, train
from ._simulate import demo, simulate
from ._versions import Version
from ._voice import begin

COMMANDS = {
    "Start": (demo, info, fetch, convert, simulate),
    "Analyse": (train, run, contributions, decompose, fields, causal, phenomena, compare, images),
    "Look": (report, explore),
    "Hand on": (export,),
}
"""By the panel of the help, in the order of the work: functions, or groups of them."""


class InOrder(TyperGroup):
    """Shows commands in the order of `COMMANDS`, also where a group stands among functions."""

    def list_commands(self, ctx):
        """Names in order; those that nobody put in order come last."""
        named = (getattr(one, "__name__", None) or one.info.name for one in in_order())
        order = {name: place for place, name in enumerate(named)}
        return sorted(super().list_commands(ctx), key=lambda name: order.get(name, len(order)))


def in_order():
    """Return all commands."""
    return [one for some in COMMANDS.values() for one in some]


app = typer.Typer(
    name="retina-codec",
    cls=InOrder,
    help="Which interneurons made a ganglion cell fire, in which combination, with which field?",
    epilog="Begin with: retina-codec demo, or retina-codec info YOUR_FILE.nwb. Exit codes: 0 fine, "
    "1 error, 2 wrong usage, 130 interrupted.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

for _panel, _commands in COMMANDS.items():
    for _command in _commands:
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, rich_help_panel=_panel)
        else:
            app.command(rich_help_panel=_panel)(_command)


@app.callback(invoke_without_command=True)
def start(
    version: Version = False, quiet: options.Quiet = False, verbose: options.Verbose = False
) -> None:
    """Leave the work to the commands; the options have done theirs when they were read."""


def main() -> None:
    """Run the command line: results on stdout, and an error is one line on stderr.

    The exit code is 0 if all went well, 1 after an error, 2 if the command was typed wrongly, and
    130 if it was interrupted.
    """
    begin()
    sys.exit(ended(lambda: app(prog_name="retina-codec", standalone_mode=False)))
