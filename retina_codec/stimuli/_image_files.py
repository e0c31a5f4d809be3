"""Which pictures lie in a folder, and what their labels are called."""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from retina_codec.datatypes import did_you_mean

from ._pictures import SUFFIXES

TABLE = "labels.csv"
FILE, LABEL = "file", "label"


def labelled_files(folder: Path) -> dict[PurePosixPath, str | None]:
    """Pictures below a folder in order, each with the name of its class; None if it has no label.

    Raises
    ------
    ValueError
        If there are no pictures, if it cannot be seen which folders are classes, or if the table of
        labels does not fit the pictures.

    Warns
    -----
    UserWarning
        If the table of labels leaves pictures out.
    """
    files = sorted(_pictures(folder), key=lambda file: file.parts)
    if not files:
        msg = f"No pictures in {folder}. Expected files ending in {', '.join(sorted(SUFFIXES))}."
        raise ValueError(msg)
    if (folder / TABLE).exists():
        return _from_table(folder / TABLE, files)
    by_depth = {len(file.parts): file for file in reversed(files)}
    if set(by_depth) == {1}:
        return dict.fromkeys(files)
    if set(by_depth) == {2}:
        return {file: file.parts[0] for file in files}
    examples = " and ".join(f"'{file}'" for file in by_depth.values())
    msg = (
        f"{folder} holds {examples}. Expected all pictures in it, or all as class/picture, "
        f"or a table {TABLE}."
    )
    raise ValueError(msg)


def _pictures(folder: Path) -> Iterator[PurePosixPath]:
    """Files with the suffix of a picture; what is hidden is skipped, links are followed once."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        here = Path(place).resolve()
        folders[:] = [] if here in seen else [name for name in folders if name[0] != "."]
        names = [] if here in seen else names
        seen.add(here)
        for name in names:
            if name[0] != "." and Path(name).suffix.lower() in SUFFIXES:
                yield PurePosixPath((Path(place) / name).relative_to(folder).as_posix())


def _from_table(path: Path, files: Sequence[PurePosixPath]) -> Mapping[PurePosixPath, str | None]:
    rows = _read(path)
    named = [PurePosixPath(file) for file in rows[FILE].str.strip()]
    there = set(files)
    missing = [str(file) for file in named if file not in there]
    if missing:
        guess = did_you_mean(missing[0], map(str, files))
        msg = f"{path} names {_counted(missing)} not among the pictures of the folder.{guess}"
        raise ValueError(msg)
    twice = rows[FILE][pd.Index(named).duplicated()].tolist()
    if twice:
        msg = f"{path} names {_counted(twice)} more than once. Keep one row for each picture."
        raise ValueError(msg)
    labels = dict(zip(named, rows[LABEL], strict=True))
    without = [str(file) for file in files if file not in labels]
    if without:
        message = f"{path} leaves out {_counted(without)}; they have no label (-1)."
        warnings.warn(message, stacklevel=4)
    return {file: labels.get(file, "").strip() or None for file in files}


def _read(path: Path) -> pd.DataFrame:
    expected = f"Expected a table with the columns {FILE},{LABEL}"
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:  # pandas' own errors and bad characters are ValueErrors.
        msg = f"{path} cannot be read ({error}). {expected}."
        raise ValueError(msg) from error
    if not {FILE, LABEL} <= set(rows.columns):
        msg = f"{path} has the columns {','.join(map(str, rows.columns))}. {expected}."
        raise ValueError(msg)
    return rows


def _counted(names: Sequence[str]) -> str:
    """Say how many there are, and the first."""
    first = f"'{names[0]}'"
    return first if len(names) == 1 else f"{len(names)} files ({first}, ...)"
