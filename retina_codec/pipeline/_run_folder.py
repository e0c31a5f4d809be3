"""``run.toml``: what a folder of results was made with, kept beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from ._settings import INPUTS, plain, read_settings, read_toml, settings_text

Kind = TypeVar("Kind")

RUN_FILE = "run.toml"
ABOUT = "# Made by retina_codec. To do it again: give this file as --config, and another --out.\n"


def is_kept(folder: Path) -> bool:
    """Whether a folder holds settings of a run."""
    return (folder / RUN_FILE).is_file()


def check_kept(folder: Path, *, begun_with: str = "run") -> None:
    """Raise an error if a folder holds no settings of a run.

    Raises
    ------
    ValueError
        If so.
    """
    if not is_kept(folder):
        msg = f"{folder} holds no run: expected {RUN_FILE} in it. Begin one with "
        msg += f"'retina-codec {begun_with}'."
        raise ValueError(msg)


def keep_settings(settings: Any, folder: Path, inputs: Mapping[str, str]) -> None:
    """Write settings and inputs to a new folder, or check that an old one has the same.

    Parameters
    ----------
    settings
        A dataclass or a mapping of plain values.
    folder
        Of the run.
    inputs
        Fingerprints of what the run reads, by name.

    Raises
    ------
    OSError
        If the folder cannot be written.
    ValueError
        If it holds a run with other settings.
    """
    new = {"settings": plain(settings), INPUTS: dict(inputs)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not is_kept(folder):
            write_run_file(folder, new["settings"], inputs)
    except OSError as error:
        msg = f"Cannot write to {folder} ({error.strerror}). Choose another folder."
        raise OSError(msg) from error
    kept = read_kept(folder)
    for part, noun in (("settings", "other settings"), (INPUTS, "other data")):
        for key, value in new[part].items():
            if kept[part].get(key) != value:
                msg = (
                    f"{folder} holds a run with {noun} ({key}: {kept[part].get(key)!r} there, "
                    f"{value!r} here). Choose another folder, or delete this one."
                )
                raise ValueError(msg)


def write_run_file(folder: Path, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> None:
    """Write settings and inputs, whole or not at all."""
    partial = folder / f"{RUN_FILE}.partial"
    text = f"{ABOUT}{settings_text(settings)}\n\n[{INPUTS}]\n{settings_text(named(inputs))}\n"
    partial.write_text(text, encoding="utf-8")
    partial.replace(folder / RUN_FILE)


def named(inputs: Mapping[str, str]) -> dict[str, str]:
    """Return inputs under names as TOML writes them; most have spaces."""
    return {f'"{name}"': value for name, value in inputs.items()}


def settings_in(folder: Path, kind: type[Kind]) -> Kind:
    """Return the settings of this kind that `keep_settings` wrote.

    Raises
    ------
    ValueError
        If the folder holds another kind of run.
    """
    try:
        return kind(**read_settings(folder / RUN_FILE, get_type_hints(kind)))
    except (TypeError, ValueError) as error:
        why = str(error).partition(" Expected")[0].removesuffix(".")
        msg = f"{folder} holds another kind of run ({why}). Choose another folder."
        raise ValueError(msg) from error


def read_kept(folder: Path) -> dict[str, dict[str, Any]]:
    """Return settings and inputs that a run kept.

    Raises
    ------
    ValueError
        If the file is not one that a run wrote.
    """
    settings = read_toml(folder / RUN_FILE)
    inputs = settings.pop(INPUTS, None)
    if not isinstance(inputs, dict):
        msg = (
            f"{folder / RUN_FILE} was not written by a run: it has no table [{INPUTS}]. Choose "
            "another folder."
        )
        raise ValueError(msg)
    return {"settings": settings, INPUTS: inputs}
