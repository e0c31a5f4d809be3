"""Files beside the page: links to those of the run, and small tables that only figures need."""

import re
from collections.abc import Callable, Mapping
from os import getpid, replace
from os.path import relpath
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote
from uuid import uuid4

import pandas as pd


class Link(NamedTuple):
    """Name of a file for readers, and its address relative to the page."""

    name: str
    address: str


def links_from(page: Path, folder: Path | None) -> Callable[[str], Link | None]:
    """Return a function from the name of a file to its link; None where there is no such file.

    Parameters
    ----------
    page
        Where the page will lie.
    folder
        Of the run; None for a page without links.
    """

    def link(name: str) -> Link | None:
        found = None if folder is None else _found(folder, name)
        if found is None:
            return None
        address = relpath(found.resolve(), page.parent.resolve()).replace("\\", "/")
        return Link(found.name, quote(address))

    return link


def _found(folder: Path, name: str) -> Path | None:
    """Return the file of a run: its name as it is, or with marks where names of layers have any."""
    for candidate in (name, re.sub(r"[^\w.+-]+", "_", name, flags=re.ASCII)):
        path = folder / Path(candidate).name
        if candidate == path.name and path.is_file():
            return path
    return None


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write tables as CSV into a folder, each whole or not at all."""
    for name, table in tables.items():
        write_whole(folder / name, table.to_csv(index=False))


def write_whole(path: Path, text: str) -> None:
    """Write a text beside its place, and move it there when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{getpid()}.{uuid4().hex}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
