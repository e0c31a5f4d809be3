"""Networks that the user's own code makes, by import path."""

import importlib
import re
from os import PathLike
from pathlib import Path
from typing import Any

IMPORT_PATH = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)", re.ASCII)


def is_import_path(source: str | PathLike) -> bool:
    """Tell whether a text is ``package.module:function``; a `Path`, or what is there, never is."""
    if not isinstance(source, str) or not IMPORT_PATH.fullmatch(source):
        return False
    return not Path(source).expanduser().exists()


def made_by(source: str) -> Any:
    """Import a module, call its function without arguments, and return what it returns.

    Raises
    ------
    ValueError
        If there is no such module or function.
    """
    written = IMPORT_PATH.fullmatch(source)
    try:
        function = getattr(importlib.import_module(written["module"]), written["name"])
    except (ModuleNotFoundError, AttributeError) as error:
        msg = f"Cannot load {source!r}: {error}. Expected an importable package.module:function."
        raise ValueError(msg) from error
    return function()
