"""What is in the folders that this package writes: networks and runs. No code is read."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONFIG, WEIGHTS, SCORES = "config.json", "weights.safetensors", "scores.json"
RUN_FILE, SUMMARY, REPORT = "run.toml", "summary.json", "report.html"
MOST_BYTES = 10_000_000


def is_network(folder: Path) -> bool:
    """Whether a folder looks like one that a network was saved in."""
    return (folder / CONFIG).is_file() and "architecture" in _json(folder / CONFIG)


def is_run(folder: Path) -> bool:
    """Whether a folder looks like that of a run."""
    return (folder / RUN_FILE).is_file() and "inputs" in _read(folder / RUN_FILE, tomllib.loads)


def describe_network(folder: Path) -> dict[str, Any]:
    """Architecture, settings, whether the weights are there, and mean scores."""
    config = _json(folder / CONFIG)
    return {
        "path": str(folder),
        "kind": "network",
        "architecture": config["architecture"],
        "settings": config.get("settings", {}),
        "has_weights": (folder / WEIGHTS).is_file(),
        "scores": _mean_scores(folder / SCORES),
    }


def describe_run(folder: Path) -> dict[str, Any]:
    """Tell settings and inputs, what is done, and what was found."""
    settings = _read(folder / RUN_FILE, tomllib.loads)
    summary = _json(folder / SUMMARY) if (folder / SUMMARY).is_file() else {}
    done = sorted(
        path.name
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.suffix != ".partial" and path.name != RUN_FILE
    )
    return {
        "path": str(folder),
        "kind": "run",
        "inputs": settings.pop("inputs"),
        "settings": settings,
        "is_finished": (folder / REPORT).is_file() and bool(summary),
        "done": done,
        "findings": list(summary.get("findings", ())),
    }


def _mean_scores(path: Path) -> dict[str, float]:
    """Mean of each score over cells that have it."""
    rows = json.loads(path.read_text()) if path.is_file() else []
    names = dict.fromkeys(name for row in rows for name in row)
    found = {name: [row[name] for row in rows if _is_number(row.get(name))] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items() if values}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _json(path: Path) -> dict[str, Any]:
    """Read an object of JSON; anything else is an error in one line."""
    return _read(path, json.loads)


def _read(path: Path, loads: Callable[[str], Any]) -> dict[str, Any]:
    """Read names and values of JSON or TOML; anything else is an error in one line."""
    if path.stat().st_size > MOST_BYTES:
        msg = f"{path} is too large for settings ({path.stat().st_size} bytes)."
        raise ValueError(msg)
    try:
        found = loads(path.read_text())
    except (ValueError, RecursionError) as error:
        msg = f"{path} is no {KINDS[loads]} ({error})."
        raise ValueError(msg) from error
    if not isinstance(found, dict):
        msg = f"{path} holds no settings: expected an object of JSON, got {type(found).__name__}."
        raise ValueError(msg)
    return found


KINDS = {json.loads: "JSON", tomllib.loads: "TOML"}
