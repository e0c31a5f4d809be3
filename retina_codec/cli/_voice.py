"""What a command says: results on stdout, everything else on stderr, as loud as was asked."""

import json
import logging
import math
import shlex
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer

LOGGER = logging.getLogger("retina_codec")
"""Its level is how loud a command is: WARNING if quiet, DEBUG if verbose, else INFO."""


def begin() -> None:
    """Log to stderr, and write warnings in one line."""
    logging.basicConfig(format="%(message)s")
    LOGGER.setLevel(logging.INFO)
    warnings.showwarning = show_warning


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Write a warning without the place in the code that it came from."""
    typer.echo(f"warning: {one_line(str(message))}", err=True)


def be_quiet(asked: bool) -> bool:
    """Say nothing but results, warnings and errors."""
    if asked:
        LOGGER.setLevel(logging.WARNING)
    return asked


def be_verbose(asked: bool) -> bool:
    """Say everything, also where an error came from."""
    if asked:
        LOGGER.setLevel(logging.DEBUG)
    return asked


def shows_progress() -> bool:
    """Whether there are bars."""
    return LOGGER.isEnabledFor(logging.INFO)


def is_verbose() -> bool:
    """Whether everything is said."""
    return LOGGER.isEnabledFor(logging.DEBUG)


def tell(lines: Iterable[str], found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print lines for people, or what was found for programs: one or the other."""
    if as_json:
        typer.echo(json.dumps(plain(found), indent=1, allow_nan=False))
        return
    for line in lines:
        typer.echo(line)


def tell_run(summary: Mapping[str, Any], out: Path, *, as_json: bool) -> None:
    """Print first what a run found first, and where everything is."""
    ways = [
        f"Report with all findings and figures: {out / 'report.html'}",
        f"Look around in the browser: {shlex.join(['retina-codec', 'explore', str(out)])}",
    ]
    tell([*summary.get("headlines", summary["findings"]), *ways], summary, as_json=as_json)


def one_line(text: str) -> str:
    r"""Return a text in one line.

    Examples
    --------
    >>> one_line("No such file.\n  Choose another.")
    'No such file. Choose another.'
    """
    return " ".join(text.split())


def plain(value: Any) -> Any:
    """Return a value as JSON knows it; a number that is none becomes null.

    Examples
    --------
    >>> plain({"r": float("nan"), "folder": Path("results")})
    {'r': None, 'folder': 'results'}
    """
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)
