"""How a command ends: an exit code, and one line that says what to do."""

import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from ._voice import is_verbose, one_line

FINE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
EXPECTED = (ValueError, TypeError, OSError, ImportError, RuntimeError)
"""Errors that the package raises itself, whose text says what to do."""

RESUMED = {"run", "train", "contributions", "decompose", "demo", "fetch", "fields", "causal"}
"""Commands that go on where they stopped, if they are typed again."""

UsageError, ClickException = typer.BadParameter.__mro__[1:3]


def ended(command: Callable[[], Any]) -> int:
    """Run a command, and return its exit code after saying what went wrong."""
    try:
        with termination_as_interruption():
            code = command()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except typer.Abort:
        code = INTERRUPTED
    except UsageError as error:
        say_usage(error)
        return WRONG_USAGE
    except (ClickException, *EXPECTED) as error:
        say_error(error, f"error: {text_of(error)}")
        return FAILED
    except Exception as error:
        what = one_line(f"{type(error).__name__}: {error}")
        hint = "" if is_verbose() else " with what it says after --verbose"
        say_error(error, f"error: unexpected error ({what}). Please report it{hint}.")
        return FAILED
    if code == INTERRUPTED:
        say(interruption(sys.argv[1:]))
    return code if isinstance(code, int) else FINE


@contextmanager
def termination_as_interruption() -> Iterator[None]:
    """Take a polite request to end (SIGTERM) as Ctrl-C is taken."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def text_of(error: Exception) -> str:
    """Return what an error says in one line; what the system says gets a remedy.

    Examples
    --------
    >>> text_of(FileNotFoundError(2, "No such file or directory", "results/x"))
    'No such file or directory: results/x. Check the path, and whether you may write there.'
    """
    if isinstance(error, OSError) and error.strerror and error.filename:
        place = one_line(f"{error.strerror}: {error.filename}")
        return f"{place}. Check the path, and whether you may write there."
    return one_line(str(error)) or type(error).__name__


def say_usage(error: Exception) -> None:
    """Say in one line what was typed wrongly; a help page has been printed already."""
    text = one_line(error.format_message()).removeprefix("Invalid value: ")
    context = getattr(error, "ctx", None)
    if text and not type(error).__name__.startswith("NoArgs"):
        path = context.command_path if context else "retina-codec"
        say(f"error: {text.rstrip('.?')}{'?' if text.endswith('?') else '.'} See '{path} --help'.")


def say_error(error: Exception, line: str) -> None:
    """Say what went wrong; where, if everything is to be said."""
    if is_verbose():
        say("".join(traceback.format_exception(error)).rstrip())
    say(line)


def interruption(words: list[str]) -> str:
    """Return what to say after an interruption.

    Examples
    --------
    >>> interruption(["run", "my cells.nwb", "--out", "results"])
    "Interrupted. Go on with: retina-codec run 'my cells.nwb' --out results"
    """
    line = shlex.join(["retina-codec", *words])
    return f"Interrupted. Go on with: {line}" if goes_on(words) else "Interrupted."


def goes_on(words: list[str]) -> bool:
    """Whether the command goes on where it stopped."""
    named = [word for word in words if not word.startswith("-")]
    return bool(named) and (named[0] in RESUMED or named[0] == "images")


def say(line: str) -> None:
    """Write to stderr."""
    typer.echo(line, err=True)
