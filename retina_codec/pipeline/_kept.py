"""Results that lie in the folder of a run, or are made and put there."""

import logging
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from retina_codec.datatypes import Record
from retina_codec.export import load, save

log = logging.getLogger(__name__)


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
    return pd.read_csv(path)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, whole or not at all."""
    unfinished = path.with_suffix(".partial")
    table.to_csv(unfinished, index=False)
    unfinished.replace(path)
