"""Put the sections into the template and write the page."""

from collections.abc import Mapping, Sequence
from os import PathLike, getpid, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from retina_codec.datatypes import (
    Contributions,
    Effects,
    Event,
    Fields,
    Maps,
    Modes,
    Predictions,
    Recording,
    Stability,
)
from retina_codec.figures import style

from ._dynamics import Dynamics, dose_section, dynamic_section, type_section
from ._explained import contribution_section, correlation_section, mode_section
from ._images import image_sections
from ._measured import prediction_section, recording_section
from ._phenomena import phenomena_section
from ._section import first_rows, heading, is_grid, listed, shown
from ._tested import effect_section, field_section

NOT_IN_TABLES = ("title", "findings", "provenance")


def write_report(
    path: str | PathLike,
    *,
    summary: dict[str, Any],
    recording: Recording,
    predictions: Predictions,
    baseline: Predictions | None,
    contributions: Mapping[str, Contributions],
    modes: Mapping[str, Modes],
    stability: Mapping[str, Stability],
    descriptions: Mapping[str, pd.DataFrame],
    layer_statistics: pd.DataFrame,
    correlations: Mapping[str, pd.DataFrame],
    fields: Mapping[str, Fields],
    effects: Mapping[str, Effects],
    dynamics: Dynamics | None = None,
) -> Path:
    """Write one HTML file that shows a whole analysis and needs no other file and no network.

    The file appears under its name only when it is complete.

    Parameters
    ----------
    path
        Where to write; an older page there is replaced.
    summary
        Plain values, possibly nested. "findings" is a list of sentences, "provenance" holds
        versions, settings, seeds and the command; "title" names the page. All else becomes tables.
    recording, predictions
        What was measured, and what the network says.
    baseline
        Predictions of a simpler model; None if there is none.
    contributions, modes, stability, descriptions, correlations, effects
        One for each layer; stability only where fits were repeated. Descriptions have one row for
        each mode; correlations have the columns "cell", "cluster", "mode 0", ...
    layer_statistics
        One row for each layer and statistic; see `figures.plot_layer_statistics`.
    fields
        "sta" and "mean" (one for each cell), and "combinations:<layer>"; all separated into
        space and time.
    dynamics
        Where fields come from, types of cells, and doses; None leaves these sections out.

    Returns
    -------
    Path
        Of the page.
    """
    with style():
        sections = [
            recording_section(recording),
            prediction_section(predictions, baseline),
            contribution_section(contributions, layer_statistics),
            mode_section(modes, contributions, stability, descriptions),
            correlation_section(correlations),
            field_section(fields),
            effect_section(effects),
        ]
        if dynamics is not None:
            sections += [make(dynamics) for make in (dynamic_section, dose_section, type_section)]
    return _write(
        Path(path),
        title=summary.get("title", "Analysis of a retina recording"),
        findings=summary.get("findings", []),
        tables={key: value for key, value in summary.items() if key not in NOT_IN_TABLES},
        provenance=summary.get("provenance", {}),
        sections=sections,
    )


def write_phenomena(
    path: str | PathLike,
    *,
    title: str,
    findings: list[str],
    events: Mapping[str, Event],
    signatures: pd.DataFrame,
    circuits: Mapping[str, Mapping[str, pd.DataFrame]],
) -> Path:
    """Write one HTML file about classical experiments on a network.

    Parameters
    ----------
    path
        Where to write; an older page there is replaced.
    title, findings
        Of the page; sentences.
    events, signatures
        By name of the phenomenon, and the table of all.
    circuits
        Minimal circuits by phenomenon and layer.

    Returns
    -------
    Path
        Of the page.
    """
    with style():
        sections = [phenomena_section(events, signatures, circuits)]
    return _write(
        Path(path), title=title, findings=findings, tables={}, provenance={}, sections=sections
    )


def write_images(
    path: str | PathLike,
    *,
    summary: dict[str, Any],
    tables: Mapping[str, Mapping[str, pd.DataFrame]],
    gallery: Maps | None,
    pictures: Mapping[int, np.ndarray],
    names: Sequence[str],
) -> Path:
    """Write one HTML file about a network that classifies images.

    Parameters
    ----------
    path
        Where to write; an older page there is replaced.
    summary
        As in `write_report`.
    tables
        Of each part of the analysis that was done, by name.
    gallery, pictures
        Maps of modes, and the images they are of, by number, as people see them.
    names
        Of the classes.

    Returns
    -------
    Path
        Of the page.
    """
    with style():
        sections = image_sections(tables, gallery, pictures, names)
    return _write(
        Path(path),
        title=summary["title"],
        findings=summary["findings"],
        tables={key: value for key, value in summary.items() if key not in NOT_IN_TABLES},
        provenance=summary["provenance"],
        sections=sections,
    )


def _write(path: Path, **parts: Any) -> Path:
    _write_whole(path, _template().render(**parts))
    return path


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("retina_codec", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "shown": shown,
        "heading": heading,
        "listed": listed,
        "first_rows": first_rows,
    }
    environment.tests["grid"] = is_grid
    return environment.get_template("page.html")


def _write_whole(path: Path, page: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{getpid()}.{uuid4().hex}")
    try:
        unfinished.write_text(page, encoding="utf-8")
        replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
