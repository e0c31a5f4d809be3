"""The analysis of a network that classifies images, part by part, each kept in the folder."""

import logging
import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retina_codec.datatypes import Maps
from retina_codec.export import load
from retina_codec.networks import runs_code
from retina_codec.report import write_images

from ._config import settings_in
from ._image_causal import control_part, maps_part, steering_part, superclass_part
from ._image_config import ImageConfig
from ._image_findings import FINDINGS, first_findings
from ._image_parts import classes_part, contrast_part, heads_part, layers_part, sweep_part
from ._image_run import ImageRun, open_images
from ._kept import read_table
from ._summary import provenance_of, write_summary

log = logging.getLogger(__name__)

PARTS: Mapping[str, Callable[[ImageRun], dict[str, pd.DataFrame]]] = {
    "layers": layers_part,
    "classes": classes_part,
    "contrast": contrast_part,
    "heads": heads_part,
    "control": control_part,
    "superclass": superclass_part,
    "maps": maps_part,
    "steering": steering_part,
    "sweep": sweep_part,
}
"""The parts, in the order in which they are done."""


def run_images(
    config: ImageConfig,
    out: str | PathLike,
    *,
    parts: Iterable[str] = tuple(PARTS),
    progress: bool = True,
) -> dict[str, Any]:
    """Analyse a network with images: contributions, modes, classes, causal tests, maps and a page.

    Everything is kept in the folder `out`, one table (CSV) or record for each step. What lies there
    is not made again, so that an interrupted run goes on where it stopped. The page shows all parts
    that were ever done.

    Parameters
    ----------
    config
        What to do.
    out
        Folder of the run; made if there is none.
    parts
        Which of `PARTS`.
    progress
        Whether to show bars.

    Returns
    -------
    dict
        The summary, as it is written to ``summary.json``: findings in sentences, by part, and
        provenance.

    Raises
    ------
    ValueError
        If there is no such part, or settings, images and network do not fit.
    OSError
        If the images cannot be read or the folder not be written.
    ImportError
        If the network needs a package that is not installed.
    """
    parts = check_parts(parts)
    started = time.perf_counter()
    out = Path(out)
    run = open_images(config, out, progress=progress)
    for part in parts:
        log.info("part %s", part)
        (out / f"{part}.done").write_text(" ".join(PARTS[part](run)))
    done = {part: tables_of(out, part) for part in PARTS if (out / f"{part}.done").exists()}
    has_maps = "maps" in done and (out / "gallery.nc").exists()
    if not has_maps:
        done.pop("maps", None)
    found = {part: list(FINDINGS[part](tables)) for part, tables in done.items() if tables}
    sentences = first_findings(run)
    summary = {
        "title": f"retina_codec: {run.known.name} on {Path(config.images).name}",
        "findings": [*sentences, *(one for part in found.values() for one in part)],
        "by part": found,
        "seconds of this call": round(time.perf_counter() - started, 1),
        "provenance": provenance_of(config, command(config)),
    }
    write_summary(out / "summary.json", summary)
    write_images(
        out / "report.html",
        summary={key: value for key, value in summary.items() if key != "by part"},
        tables=done,
        gallery=load(out / "gallery.nc") if has_maps else None,
        pictures=pictures_of(run) if has_maps else {},
        names=run.names,
    )
    return summary


def resumed_images(
    folder: str | PathLike,
    *,
    parts: Iterable[str],
    network: str | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Do parts of a run with the settings in its folder, and return its summary.

    Parameters
    ----------
    folder
        Of the run.
    parts
        Which of `PARTS`.
    network
        That of the run, again: needed where it is code, which is run only if you name it.
    progress
        Whether to show bars.

    Raises
    ------
    ValueError
        If the folder holds no run on images, its network is code that was not named again, or there
        is no such part.
    """
    folder = Path(folder)
    if not (folder / "config.json").exists():
        msg = f"{folder} holds no run: expected config.json in it. Begin one with 'images run'."
        raise ValueError(msg)
    config = settings_in(folder, ImageConfig)
    if runs_code(config.network) and network != config.network:
        msg = (
            f"The network of this run is code, {config.network!r}. If you trust it, name it again "
            "with --network; it is imported and run."
        )
        raise ValueError(msg)
    return run_images(config, folder, parts=parts, progress=progress)


def check_parts(parts: Iterable[str]) -> list[str]:
    """Return the parts as a list.

    Raises
    ------
    ValueError
        If there is no such part.
    """
    parts = list(parts)
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        msg = f"No part {unknown[0]!r}. Expected some of: {', '.join(PARTS)}."
        raise ValueError(msg)
    return parts


def tables_of(out: Path, part: str) -> dict[str, pd.DataFrame]:
    """Tables that a part left in the folder."""
    names = (out / f"{part}.done").read_text().split()
    known = [name for name in names if (out / f"{Path(name).name}.csv").exists()]
    return {name: read_table(out / f"{Path(name).name}.csv") for name in known}


def pictures_of(run: ImageRun) -> dict[int, np.ndarray]:
    """Images of the gallery as people see them, by number."""
    gallery: Maps = load(run.out / "gallery.nc")
    index = sorted(set(gallery.items["sample"].astype(int)))
    return dict(zip(index, run.picture(index), strict=True))


def command(config: ImageConfig) -> str:
    """Return the shell command that does the run again."""
    words = ["retina-codec", "images", "run", shlex.quote(config.images), "--out", "DIR"]
    words += ["--network", shlex.quote(config.network)]
    names = {"layers": "layer", "test_layers": "test-layer", "doses": "dose"}
    for field in fields(config)[2:]:
        value = getattr(config, field.name)
        if value == field.default or value == {}:
            continue
        if isinstance(value, dict):
            values = [f"{name}={','.join(map(str, some))}" for name, some in value.items()]
            option = "superclass"
        else:
            values = value if isinstance(value, tuple) else (value,)
            option = names.get(field.name, field.name.replace("_", "-"))
        words += [w for v in values for w in (f"--{option}", shlex.quote(str(v)))]
    return " ".join(words)
