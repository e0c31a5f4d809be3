"""The page of a finished run, made again from what lies in its folder."""

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

from retina_codec.contributions import is_finished
from retina_codec.report import write_images, write_report

from ._config import Config
from ._image_run import open_images
from ._images import for_page, gathered_images, settings_of
from ._run import gathered
from ._run_folder import check_kept, read_kept

SUMMARY, PAGE = "summary.json", "report.html"
ONCE = (
    "baseline",
    "predictions.nc",
    "baseline_predictions.nc",
    "layer_statistics.csv",
    "fields_sta.nc",
    "fields_mean.nc",
    "described_fields.csv",
    "explained_fields.csv",
)
OF_LAYER = (
    "modes_{}.nc",
    "stability_{}.nc",
    "effects_{}.nc",
    "mode_cells_{}.csv",
    "described_{}.csv",
    "mode_cell_pairs_{}.csv",
    "co_occurrence_{}.csv",
    "fields_combinations_{}.nc",
    "states_{}.csv",
    "field_shares_{}.csv",
    "fields_modes_{}.nc",
    "doses_{}.csv",
    "cell_types_{}.nc",
    "profile_criteria_{}.csv",
    "profile_types_{}.csv",
    "spike_gains_{}.csv",
)
"""What a finished run left of each layer, where it may be made again only by computing."""


def remade_report(
    folder: str | PathLike, path: str | PathLike | None = None, *, network: str | None = None
) -> Path:
    """Make the page of a finished run again; nothing is computed, and no result changes.

    Parameters
    ----------
    folder
        Of a run on a recording or on images. What it was made of has to lie where it was.
    path
        Where to write; None for ``report.html`` in the folder.
    network
        That of a run on images, again: needed where it is code, which is run only if you name it.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    ValueError
        If the folder holds no finished run, or recording, images or network are others now.
    OSError
        If the recording or the images are gone.

    Examples
    --------
    >>> remade_report("my_run", "to_show.html")  # doctest: +SKIP
    >>> remade_report("not_begun")
    Traceback (most recent call last):
    ValueError: not_begun holds no run: expected run.toml in it. Begin one with 'retina-codec run'.
    """
    folder = Path(folder)
    check_kept(folder)
    path = folder / PAGE if path is None else Path(path)
    if "images" in read_kept(folder)["settings"]:
        return _of_images(folder, path, network)
    return _of_recording(folder, path)


def _of_recording(folder: Path, path: Path) -> Path:
    config = Config.kept_in(folder)
    missing = next(_missing(folder, config), None)
    if missing is not None:
        raise ValueError(_unfinished(folder, missing, f"retina-codec fields {folder}"))
    summary, shown = gathered(config, folder, False)
    return write_report(path, folder=folder, summary=_as_made(folder, summary), **shown)


def _of_images(folder: Path, path: Path, network: str | None) -> Path:
    config = settings_of(folder, network)
    again = f"retina-codec images layers {folder}"
    for name in (SUMMARY, "predictions.csv"):
        if not (folder / name).exists():
            raise ValueError(_unfinished(folder, name, again))
    if not is_finished(folder / "contributions.zarr"):
        raise ValueError(_unfinished(folder, "contributions.zarr", again))
    summary, shown = gathered_images(open_images(config, folder, progress=False))
    summary = _as_made(folder, for_page(summary))
    return write_images(path, folder=folder, summary=summary, **shown)


def _missing(folder: Path, config: Config) -> Iterator[str]:
    """Names of files that a finished run would have."""
    layers = config.layers or sorted(
        found.stem.removeprefix("contributions_") for found in folder.glob("contributions_*.nc")
    )
    names = [*ONCE, *(["network"] if config.network is None else [])]
    names += [f"contributions_{layer}.nc" for layer in layers or ("LAYER",)]
    names += [name.format(layer) for layer in layers for name in OF_LAYER]
    yield from (name for name in [*names, SUMMARY] if not (folder / name).exists())


def _unfinished(folder: Path, missing: str, command: str) -> str:
    return f"{folder} is not finished ({missing} is missing). Go on with '{command}'."


def _as_made(folder: Path, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summary with the versions and the platform that made the results."""
    try:
        before = json.loads((folder / SUMMARY).read_text())["provenance"]
        kept = {key: before.get(key) for key in ("versions", "platform")}
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{folder / SUMMARY} was not written by a run ({error!r}). Delete it and go on."
        raise ValueError(msg) from error
    page = {"this page was made by": f"retina_codec {version('retina_codec')}"}
    return {**summary, "provenance": {**summary["provenance"], **kept, **page}}
