"""Settings in TOML: written, read, and checked before anything is computed."""

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from retina_codec.datatypes import did_you_mean

INPUTS = "inputs"
"""Table of fingerprints in what a run writes; no setting."""

MOST_BYTES = 1_000_000

WORDS: Mapping[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple: "a list",
    list: "a list",
    dict: "a table",
}


def settings_text(settings: Mapping[str, Any]) -> str:
    """Write settings as TOML; what is None becomes a comment, since TOML has no such value.

    Examples
    --------
    >>> print(settings_text({"layers": ("relu1",), "epochs": None, "history_s": 0.4}))
    layers = ["relu1"]
    # epochs: not set
    history_s = 0.4
    """
    return "\n".join(
        f"# {name}: not set" if value is None else f"{name} = {_toml(value)}"
        for name, value in settings.items()
    )


def settings_from(
    kind: type,
    file: str | PathLike | None,
    given: Mapping[str, Any],
    *,
    also: Mapping[str, type] | None = None,
) -> dict[str, Any]:
    """Return settings from a TOML file and from what was given; what was given wins.

    Parameters
    ----------
    kind
        The dataclass of the settings, such as `Config`. Its `PATHS` say which of them are paths:
        those of the file are relative to the file, given ones to the working folder.
    file
        Path of the TOML file, such as the ``run.toml`` that a run leaves; None for none.
    given
        Settings by name.
    also
        Further names that the file may hold, and their types.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no TOML, or holds an unknown name or a value of another type.

    Examples
    --------
    >>> import tempfile
    >>> from retina_codec.pipeline import Config
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(f"{folder}/my.toml").write_text("n_steps = 40")
    ...     settings_from(Config, f"{folder}/my.toml", {"seed": 2})
    {'n_steps': 40, 'seed': 2}
    """
    names = get_type_hints(kind) | dict(also or {})
    found = {} if file is None else located(read_settings(file, names), kind, Path(file).parent)
    return found | located(given, kind, Path())


def read_settings(file: str | PathLike, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Read settings from a TOML file, and check their names and types.

    Parameters
    ----------
    file
        Path of the file.
    kinds
        Types by name.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no TOML, or holds an unknown name or a value of another type.
    """
    found = read_toml(Path(file))
    found.pop(INPUTS, None)
    unknown = [name for name in found if name not in kinds]
    if unknown:
        guess = did_you_mean(unknown[0], kinds) or f" Expected some of: {', '.join(kinds)}."
        msg = f"{file} holds an unknown setting {unknown[0]!r}.{guess}"
        raise ValueError(msg)
    return {
        name: _fitting(value, kinds[name], f"{file}: {name!r}") for name, value in found.items()
    }


def read_toml(path: Path) -> dict[str, Any]:
    """Read a small TOML file.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is no TOML.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            msg = f"{path} is too large for settings ({path.stat().st_size} bytes)."
            raise ValueError(msg)
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"Cannot read the settings in {path} ({error.strerror})."
        raise OSError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path} is no TOML: it is not text in UTF-8."
        raise ValueError(msg) from error
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        msg = f"{path} is no TOML: {error}."
        raise ValueError(msg) from error


def located(settings: Mapping[str, Any], kind: type, folder: Path) -> dict[str, Any]:
    """Return settings whose paths are whole; relative ones began in `folder`."""
    paths: Mapping[str, Callable[[str, Path], str]] = kind.PATHS
    return {
        name: paths[name](value, folder) if name in paths and value is not None else value
        for name, value in settings.items()
    }


def whole_path(text: str, folder: Path) -> str:
    """Return a path as a whole one; a relative one began in `folder`."""
    return str((folder / Path(text).expanduser()).resolve())


def plain(settings: Any) -> dict[str, Any]:
    """Return settings as they come back from TOML: a dataclass or a mapping of plain values."""
    values = asdict(settings) if is_dataclass(settings) else settings
    return json.loads(json.dumps(values))


def _fitting(value: Any, kind: Any, what: str) -> Any:
    """Return a value of TOML as one of a type; what TOML has no type for is made of lists."""
    if get_origin(kind) is UnionType:
        return _fitting(value, next(one for one in get_args(kind) if one is not NoneType), what)
    origin = get_origin(kind) or kind
    if origin in (tuple, list) and isinstance(value, list):
        inner = get_args(kind)[0]
        return origin(_fitting(one, inner, f"{what}, each of the list,") for one in value)
    if origin is dict and isinstance(value, dict):
        inner = get_args(kind)[1]
        return {name: _fitting(one, inner, f"{what}, {name!r},") for name, one in value.items()}
    if origin is float and type(value) is int:
        return float(value)
    if type(value) is not origin:
        msg = f"{what} must be {WORDS[origin]}, got {value!r}."
        raise ValueError(msg)
    return value


def _toml(value: Any) -> str:
    """Write one value. Texts of JSON are texts of TOML, but for one sign."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_toml(str(name))} = {_toml(one)}" for name, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
