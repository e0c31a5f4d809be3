"""Public recordings: where they lie, under which licence, how to cite and how to fetch them."""

import importlib
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from retina_codec.datatypes import did_you_mean

REGISTRY = Path(__file__).with_name("public_data.json")
FOLDER = "RETINA_CODEC_DATA"
COLUMNS = ("title", "species", "format", "licence", "size_bytes", "downloaded", "url", "cite")


def public_data(*, registry: Path = REGISTRY) -> pd.DataFrame:
    """Table of the public recordings that are known here.

    Parameters
    ----------
    registry
        JSON file with the sets; the package's own unless told otherwise.

    Returns
    -------
    One row for each set, under its name. `size_bytes` is missing where nobody looked, `downloaded`
    tells whether somebody of this project has had the files in hands, `notes` what is not verified.

    Examples
    --------
    >>> public_data().loc["maheswaranathan_2023", ["species", "format"]].tolist()
    ['salamander', 'lab HDF5']
    """
    sets = _sets(registry)
    rows = {
        name: {column: one.get(column) for column in COLUMNS}
        | {"files": ", ".join(file["file"] for file in one["files"]), "notes": one["notes"]}
        | {"size_bytes": _size(one["files"])}
        for name, one in sets.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")
    return table.astype({"size_bytes": "Int64"})


def fetch(
    name: str, *, file: str | None = None, progress: bool = True, registry: Path = REGISTRY
) -> Path:
    """Download a file of a public recording, unless it is there already.

    An interrupted download goes on where it stopped. The file appears under its name when it is
    whole and its SHA-256 is the known one; where nobody knows one, that of the first download is
    written beside the file and later ones must agree with it. A file that somebody put there by
    hand is taken as it is.

    Parameters
    ----------
    name
        Of the set, as in `public_data`.
    file
        Which file, for sets with several.
    progress
        Whether to show a progress bar.
    registry
        JSON file with the sets; the package's own unless told otherwise.

    Returns
    -------
    Where the file lies: in the folder that the environment variable RETINA_CODEC_DATA names, or in
    the user's cache.

    Raises
    ------
    ValueError
        If there is no such set or file, or what came is not what was expected.
    ConnectionError
        If the server cannot be reached, refuses, or breaks off.
    ImportError
        If the optional package pooch is missing.

    Examples
    --------
    >>> fetch("maheswaranathan_2032")
    Traceback (most recent call last):
    ValueError: No public recording 'maheswaranathan_2032'. ... Did you mean 'maheswaranathan_2023'?
    """
    chosen = _chosen(name, _one(name, _sets(registry)), file)
    if Path(name).name != name or name in (".", ".."):
        msg = f"The name {name!r} in the registry must be one for a folder, without separators."
        raise ValueError(msg)
    download = _downloads()
    folder = Path(os.environ.get(FOLDER) or download.default_folder()).expanduser() / name
    return download.fetched(
        chosen["url"],
        folder / Path(chosen["file"]).name,
        sha256=chosen["sha256"],
        progress=progress,
    )


def _sets(registry: Path) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads(Path(registry).read_text())["sets"]}


def _size(files: list[dict[str, Any]]) -> int | None:
    sizes = [file["size_bytes"] for file in files]
    return sum(sizes) if sizes and None not in sizes else None


def _one(name: str, sets: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if name not in sets:
        msg = f"No public recording {name!r}. Known: {', '.join(sets)}.{did_you_mean(name, sets)}"
        raise ValueError(msg)
    return sets[name]


def _chosen(name: str, one: dict[str, Any], file: str | None) -> dict[str, Any]:
    files = {entry["file"]: entry for entry in one["files"]}
    if not files:
        msg = f"Nothing of {name} can be fetched by name. Get it from {one['url']} by hand."
        raise ValueError(msg)
    if file is None and len(files) > 1:
        msg = f"{name} has several files: choose one with 'file'. Files: {', '.join(files)}."
        raise ValueError(msg)
    file = file or next(iter(files))
    if file not in files:
        msg = f"No file {file!r} in {name}. Files: {', '.join(files)}.{did_you_mean(file, files)}"
        raise ValueError(msg)
    return files[file]


def _downloads() -> ModuleType:
    try:
        return importlib.import_module("._download", __package__)
    except ImportError as error:
        msg = "Fetching public recordings needs pooch: pip install 'retina-codec[public]'"
        raise ImportError(msg) from error
