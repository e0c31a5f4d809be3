"""The parts of a page, and how values are written in its tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ._picture import Picture

MOST_ROWS = 60
MOST_COLUMNS = 10
LONGEST_VALUE = 200
UNITS = {"s": "s", "ms": "ms", "hz": "Hz", "um": "µm", "percent": "%", "gb": "GB", "mb": "MB"}


@dataclass(frozen=True, kw_only=True)
class Part:
    """Pictures and tables under one heading of a section, for example those of one layer."""

    title: str = ""
    pictures: tuple[Picture, ...] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    files: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """What pictures show that no step of a run keeps, by the name of the file to write."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One step of the analysis on the page."""

    name: str
    title: str
    lead: str
    parts: tuple[Part, ...] = ()
    findings: tuple[str, ...] = ()


def shown(value: Any) -> str:
    """Write a value for a reader: four digits, yes or no, no endless text.

    Examples
    --------
    >>> shown(0.123456), shown(True), shown(None), shown(120000)
    ('0.1235', 'yes', 'not known', '120000')
    """
    plain = value.item() if isinstance(value, np.generic) else value
    if plain is None:
        return "not known"
    if isinstance(plain, bool):
        return "yes" if plain else "no"
    if isinstance(plain, float):
        return "not known" if np.isnan(plain) else f"{plain:.4g}"
    text = str(plain)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def chosen(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with words for those that were left open.

    Examples
    --------
    >>> chosen({"seed": 0, "epochs": None})
    {'seed': 0, 'epochs': 'not set'}
    """
    return {key: "not set" if value is None else value for key, value in settings.items()}


def heading(key: Any) -> str:
    """Write a key of a dictionary or a column as words, with its unit.

    Examples
    --------
    >>> heading("frame_rate_hz"), heading("r2_held_out")
    ('frame rate (Hz)', 'r2 held out')
    """
    name, _, suffix = str(key).rpartition("_")
    text = f"{name} ({UNITS[suffix]})" if name and suffix in UNITS else str(key)
    return text.replace("_", " ")


def is_grid(value: Any) -> bool:
    """Tell whether a dictionary holds dictionaries of plain values under the same keys."""
    rows = list(value.values()) if isinstance(value, Mapping) else []
    if not rows or not all(isinstance(row, Mapping) and row for row in rows):
        return False
    nested = any(isinstance(item, Mapping | list | tuple) for row in rows for item in row.values())
    return not nested and all(list(row) == list(rows[0]) for row in rows)


def listed(value: Any) -> Any:
    """Return arrays as lists, all else as it is, so that the template knows three kinds."""
    return value.tolist() if isinstance(value, np.ndarray) else value


def first_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the part of a table that fits on a page."""
    return table.iloc[:MOST_ROWS, :MOST_COLUMNS]
