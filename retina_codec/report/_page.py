"""Put the sections into the template and write the page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

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
from ._files import Link, links_from, write_tables, write_whole
from ._images import image_sections
from ._measured import prediction_section, recording_section
from ._phenomena import phenomena_section
from ._section import Section, chosen, first_rows, heading, is_grid, listed, shown
from ._tested import effect_section, field_section
from ._words import OF_IMAGES, OF_RECORDINGS, SIGNATURES, label_of, printed, words_for

NOT_IN_TABLES = {
    "title",
    "headlines",
    "findings",
    "findings by section",
    "provenance",
    "seconds of this call",
}


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
    folder: str | PathLike | None = None,
) -> Path:
    """Write one HTML file that shows a whole analysis and needs no other file and no network.

    The file appears under its name only when it is complete. Figures are named with the files of
    the run that hold what they show.

    Parameters
    ----------
    path
        Where to write; an older page there is replaced.
    summary
        Plain values, possibly nested. "title" names the page; "headlines" are the sentences that
        come first, "findings by section" those of each section by its name ("findings", a list,
        where there are no headlines); "provenance" holds versions, settings, seeds and the
        command. All else becomes tables.
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
    folder
        Of the run, to whose files the page links, and into which the small tables are written that
        figures show and no step keeps; None for a page without links.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    OSError
        If the page cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from retina_codec.datatypes import Stimulus
    >>> from retina_codec.simulation import planted_contributions
    >>> from retina_codec.statistics import layer_statistics
    >>> rates = np.random.default_rng(0).poisson(5.0, (60, 1)).astype(float)
    >>> recording = Recording(
    ...     stimulus=Stimulus(frames=rates[:, :, None], frame_rate_hz=100.0),
    ...     rates=rates, cells=pd.DataFrame({"cell": [0]}), splits={"test": (0, 60)},
    ... )
    >>> predictions = Predictions(
    ...     recorded=rates, predicted=rates, sample=np.arange(60) / 100,
    ...     scores=pd.DataFrame({"pearson_r": [1.0]}), network="example",
    ... )
    >>> layers = {"conv1": planted_contributions(n_samples=60)[0]}
    >>> steps = ("contributions", "modes", "stability", "descriptions", "correlations", "fields")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_report(
    ...         f"{folder}/report.html", summary={"findings": ["One cell."]}, recording=recording,
    ...         predictions=predictions, baseline=None, effects={},
    ...         layer_statistics=layer_statistics(layers, n_controls=2), **dict.fromkeys(steps, {}),
    ...     )
    ...     "One cell." in page.read_text()
    True
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
    parts = _of_summary(summary, _told(sections, summary), words_for(OF_RECORDINGS))
    return _write(Path(path), folder, **parts)


def write_phenomena(
    path: str | PathLike,
    *,
    summary: dict[str, Any],
    events: Mapping[str, Event],
    signatures: pd.DataFrame,
    circuits: Mapping[str, Mapping[str, pd.DataFrame]],
    folder: str | PathLike | None = None,
) -> Path:
    """Write one HTML file about classical experiments on a network.

    Parameters
    ----------
    path
        Where to write; an older page there is replaced.
    summary
        As in `write_report`.
    events, signatures
        By name of the phenomenon, and the table of all.
    circuits
        Minimal circuits by phenomenon and layer.
    folder
        As in `write_report`.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    OSError
        If the page cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> table = pd.DataFrame({"phenomenon": ["paired flash"] * 2, "cell": [0, 1]})
    >>> table = table.assign(value=[0.5, 0.1], control=0.0, difference=[0.5, 0.1])
    >>> table = table.assign(low=[0.4, -0.1], high=[0.6, 0.3], present=[1, 0])
    >>> summary = {"title": "Phenomena", "findings": ["One cell shows it."]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_phenomena(
    ...         f"{folder}/phenomena.html", summary=summary, events={}, signatures=table,
    ...         circuits={},
    ...     )
    ...     "One cell shows it." in page.read_text()
    True
    """
    with style():
        sections = [phenomena_section(events, signatures, circuits)]
    parts = _of_summary(summary, sections, words_for(OF_RECORDINGS, SIGNATURES))
    return _write(Path(path), folder, **parts)


def write_images(
    path: str | PathLike,
    *,
    summary: dict[str, Any],
    tables: Mapping[str, Mapping[str, pd.DataFrame]],
    gallery: Maps | None,
    pictures: Mapping[int, np.ndarray],
    names: Sequence[str],
    folder: str | PathLike | None = None,
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
    folder
        As in `write_report`.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    OSError
        If the page cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> summary = {"title": "Digits", "findings": ["Most are right."], "provenance": {}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_images(
    ...         f"{folder}/report.html", summary=summary, tables={}, gallery=None, pictures={},
    ...         names="0123456789",
    ...     )
    ...     "<title>Digits</title>" in page.read_text()
    True
    """
    with style():
        sections = image_sections(tables, gallery, pictures, names)
    parts = _of_summary(summary, _told(sections, summary), words_for(OF_IMAGES))
    return _write(Path(path), folder, **parts)


def _write(
    path: Path, folder: str | PathLike | None, *, sections: Sequence[Section], **parts: Any
) -> Path:
    folder = None if folder is None else Path(folder)
    if folder is not None:
        for part in (part for section in sections for part in section.parts):
            write_tables(folder, part.files)
    template = _template(links_from(path, folder))
    write_whole(path, template.render(sections=sections, **parts))
    return path


def _told(sections: Sequence[Section], summary: Mapping[str, Any]) -> list[Section]:
    """Return the sections with the findings that belong to each."""
    by_section = summary.get("findings by section", {})
    return [
        replace(section, findings=tuple(by_section.get(section.name, ()))) for section in sections
    ]


def _of_summary(
    summary: Mapping[str, Any], sections: Sequence[Section], words: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the template needs."""
    return {
        "sections": sections,
        "words": words,
        "title": summary.get("title", "Analysis of a retina recording"),
        "headlines": summary.get("headlines", summary.get("findings", [])),
        "tables": {key: value for key, value in summary.items() if key not in NOT_IN_TABLES},
        "provenance": summary.get("provenance", {}),
    }


def _template(link: Callable[[str], Link | None]) -> Template:
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
        "link": link,
        "printed": printed,
        "label_of": label_of,
        "chosen": chosen,
    }
    environment.tests["grid"] = is_grid
    return environment.get_template("page.html")
