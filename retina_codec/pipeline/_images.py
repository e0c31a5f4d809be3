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

from retina_codec.datatypes import Maps, did_you_mean
from retina_codec.export import load
from retina_codec.networks import runs_code
from retina_codec.report import write_images

from ._image_causal import control_part, maps_part, steering_part, superclass_part
from ._image_config import ImageConfig
from ._image_findings import FINDINGS, first_findings, image_headlines
from ._image_parts import classes_part, contrast_part, heads_part, layers_part, sweep_part
from ._image_run import ImageRun, open_images
from ._kept import read_table
from ._run_folder import check_kept, read_kept, settings_in
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

NEED_IMAGES = "classes", "control", "maps", "sweep"
"""Parts that make nothing of too few images."""


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

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from retina_codec.networks import ImageCNN, save_network
    >>> cnn = ImageCNN(image_shape=(1, 8, 8), class_names="01", channels=(2, 2, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for number in range(8):
    ...         name = Path(folder, "pictures", str(number % 2), f"{number}.png")
    ...         name.parent.mkdir(parents=True, exist_ok=True)
    ...         Image.new("L", (8, 8), 30 * number).save(name)
    ...     network = str(save_network(cnn, f"{folder}/cnn"))
    ...     config = ImageConfig(f"{folder}/pictures", network, layers=("block1",), n_steps=1)
    ...     summary = run_images(config, f"{folder}/run", parts=[], progress=False)
    >>> summary["findings"][0][:53]
    'cnn on 8 images, 8 of them with a label, in 2 classes'
    """
    parts = check_parts(parts)
    started = time.perf_counter()
    out = Path(out)
    run = open_images(config, out, progress=progress)
    for number, part in enumerate(parts, start=1):
        log.info("Part %d of %d: %s", number, len(parts), part)
        (out / f"{part}.done").write_text(" ".join(PARTS[part](run)))
    summary, shown = gathered_images(run)
    summary["seconds of this call"] = round(time.perf_counter() - started, 1)
    write_summary(out / "summary.json", summary)
    write_images(out / "report.html", folder=out, summary=for_page(summary), **shown)
    return summary


def gathered_images(run: ImageRun) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the summary of the parts that were done, and what the page shows of them."""
    config, out = run.config, run.out
    done = {part: tables_of(out, part) for part in PARTS if (out / f"{part}.done").exists()}
    has_maps = bool(done.get("maps")) and (out / "gallery.nc").exists()
    if done.get("maps") and not has_maps:
        done.pop("maps")
    found = {part: list(FINDINGS[part](tables)) for part, tables in done.items() if tables}
    sentences = first_findings(run, [part for part in NEED_IMAGES if done.get(part) == {}])
    summary = {
        "title": f"retina_codec: {run.known.name} on {Path(config.images).name}",
        "headlines": image_headlines(sentences, found),
        "findings": [*sentences, *(one for part in found.values() for one in part)],
        "by part": found,
        "provenance": provenance_of(config, command(config), read_kept(out)["inputs"]),
    }
    shown = {
        "tables": done,
        "gallery": load(out / "gallery.nc") if has_maps else None,
        "pictures": pictures_of(run) if has_maps else {},
        "names": run.names,
    }
    return summary, shown


def for_page(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summary with the sentences of each part under the name of its section."""
    kept = {key: value for key, value in summary.items() if key != "by part"}
    return {**kept, "findings by section": summary["by part"]}


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

    Returns
    -------
    dict
        As `run_images`.

    Raises
    ------
    ValueError
        If the folder holds no run on images, its network is code that was not named again, or there
        is no such part.
    OSError
        If the images or the network are gone.

    Examples
    --------
    >>> resumed_images("my_run", parts=["layers", "classes"])  # doctest: +SKIP
    >>> resumed_images("not_begun", parts=["layers"])
    Traceback (most recent call last):
    ValueError: not_begun holds no run: expected ...
    """
    return run_images(settings_of(folder, network), folder, parts=parts, progress=progress)


def images_of_run(folder: str | PathLike, *, network: str | None = None) -> ImageRun:
    """Open images, network and results of a run on images.

    Parameters
    ----------
    folder
        Of the run.
    network
        That of the run, again: needed where it is code, which is run only if you name it.

    Raises
    ------
    ValueError
        If the folder holds no run on images, or these are other images or another network now.
    OSError
        If the images or the network are gone.

    Examples
    --------
    >>> images_of_run("my_run").layers  # doctest: +SKIP
    >>> images_of_run("not_begun")
    Traceback (most recent call last):
    ValueError: not_begun holds no run: expected ...
    """
    return open_images(settings_of(folder, network), Path(folder), progress=False)


def settings_of(folder: str | PathLike, network: str | None) -> ImageConfig:
    """Return the settings of a run on images, whose network is named again where it is code.

    Raises
    ------
    ValueError
        If the folder holds no run on images, or its network is code that was not named again.
    """
    folder = Path(folder)
    check_kept(folder, begun_with="images run")
    config = settings_in(folder, ImageConfig)
    refuse_unnamed_code(config.network, network)
    return config


def refuse_unnamed_code(network: str, named: str | None) -> None:
    """Raise an error if a network from a file is code that was not named by the user, too.

    Parameters
    ----------
    network
        What the file says.
    named
        What the user typed.

    Raises
    ------
    ValueError
        If so.

    Examples
    --------
    >>> refuse_unnamed_code("efficientnet-lite0", None)
    """
    if runs_code(network) and named != network:
        msg = (
            f"The network of this run is code, {network!r}. If you trust it, name it again "
            "with --network; it is imported and run."
        )
        raise ValueError(msg)


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
        guess = did_you_mean(unknown[0], PARTS)
        msg = f"No part {unknown[0]!r}. Expected some of: {', '.join(PARTS)}.{guess}"
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
