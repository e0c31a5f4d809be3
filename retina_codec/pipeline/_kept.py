"""Results that lie in the folder of a run, or are made and put there."""

import logging
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from retina_codec.datatypes import Record
from retina_codec.export import load, save

log = logging.getLogger(__name__)

NAMES = {"layer", "kind", "ranking", "name", "file", "setting", "method", "modes", "towards"}
"""Columns whose values are words, whatever they look like."""


def kept(path: Path, make: Callable[[], Record]) -> Record:
    """Return the record that lies at `path`, or make it and put it there."""
    if path.exists():
        log.info("%s: kept from before", path.name)
        return load(path)
    record = make()
    save(record, path)
    return record


def kept_table(path: Path, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """Return the table that lies at `path`, or make it and put it there as CSV."""
    if not path.exists():
        write_table(path, make())
    return read_table(path)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table that `write_table` wrote; names stay as they were, also "0.10" and "NA"."""
    columns = pd.read_csv(path, nrows=0).columns
    names = {name: str for name in columns if name in NAMES}
    return pd.read_csv(path, dtype=names, keep_default_na=False, na_values=[""])


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, whole or not at all."""
    unfinished = path.with_suffix(".partial")
    table.to_csv(unfinished, index=False)
    unfinished.replace(path)
