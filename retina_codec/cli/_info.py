"""``retina-codec info`` and ``retina-codec fetch``: what is in a file, and which are public."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from . import _names as names
from . import _options as options
from ._voice import shows_progress, tell

CHECKPOINTS = (".pt", ".pth", ".ckpt", ".pkl", ".tar")
SHOWN = 12


def info(
    file: Annotated[
        Path,
        typer.Argument(
            help="A recording, a checkpoint, a record, a run or a network (also simulated_retina)."
        ),
    ],
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Tell what is inside a file, and what it would need to be loaded.

    Example: retina-codec info recording.nwb
    """
    found = described(file)
    lines = PRINTED.get(found.get("kind"), facts)(found)
    tell(map(printable, lines), found, as_json=as_json)


def fetch(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Of the set; without it, all sets are listed.",
            autocompletion=names.public_sets,
        ),
    ] = None,
    file: Annotated[str | None, typer.Option(help="Which file, for sets with several.")] = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Download a public recording, or list those that are known.

    Example: retina-codec fetch maheswaranathan_2023
    """
    recordings = import_module("retina_codec.recordings")
    if name is not None:
        typer.echo(str(recordings.fetch(name, file=file, progress=shows_progress())))
        return
    for set_name, row in recordings.public_data().iterrows():
        typer.echo(f"{set_name}: {row['title']}")
        for column in ("url", "licence", "format", "files", "cite", "notes"):
            if row[column]:
                typer.echo(f"  {column}: {row[column]}")


def described(file: Path) -> dict[str, Any]:
    """Return what is known of a file; torch is loaded for checkpoints only."""
    if file.suffix in CHECKPOINTS and file.is_file():
        found = import_module("retina_codec.networks").describe_checkpoint(file)
        return {"kind": "checkpoint", "path": str(file)} | found
    if not file.exists():
        ours = import_module("retina_codec.datatypes").shipped("models") / file.name
        file = ours if ours.is_dir() and file.name == str(file) else file
    return import_module("retina_codec.recordings").describe(file)


def recording(found: dict[str, Any]) -> Iterator[str]:
    """Lines about a recording."""
    version = f" {found['version']}" if "version" in found else ""
    yield f"{found['path']}: a recording, {found['format']}{version}"
    for key, value in found.get("session", {}).items():
        yield f"  {key.replace('_', ' ')}: {value}"
    if "stimuli" in found:
        yield f"Stimuli: {len(found['stimuli']) or 'none'}"
        yield from (f"  {stimulus(one)}" for one in found["stimuli"])
    if "responses" in found:
        yield f"Responses: {listed(found['responses'])}"
    yield from units(found["units"])
    if found.get("intervals"):
        yield "Tables of intervals:"
        for table in found["intervals"]:
            yield f"  {table['name']}: {table['n']} rows, {listed(table['columns'])}"
    yield from loading(found["loading"])


def stimulus(one: dict[str, Any]) -> str:
    """One stimulus in a line."""
    words = [f"{one['name']}: {one['kind']}"]
    if "shape" in one:
        words.append(" x ".join(map(str, one["shape"])))
    words += [f"external file {name}" for name in one.get("external_files", ())]
    if "frame_rate_hz" in one:
        words.append(f"{one['frame_rate_hz']:.4g} Hz")
    if "duration_s" in one:
        words.append(f"{one['duration_s']:.4g} s")
    if "timing" in one:
        words.append(timing(one))
    if one.get("template"):
        words.append("template, not shown by itself")
    elif "can_be_read" in one:
        words.append("can be read" if one["can_be_read"] else f"cannot be read ({one['why']})")
    return ", ".join(words)


def timing(one: dict[str, Any]) -> str:
    """How frames are timed."""
    if "jitter_ms" not in one:
        return one["timing"]
    return f"{one['timing']} (jitter {one['jitter_ms']:.2g} ms, {one['n_gaps']} gaps)"


def units(found: dict[str, Any]) -> Iterator[str]:
    """Lines about sorted cells."""
    silent = found.get("n_without_spikes", 0)
    yield f"Cells: {found['n'] or 'none'}" + (f", {silent} without spikes" if silent else "")
    if found.get("columns"):
        yield f"  columns: {listed(found['columns'])}"


def loading(found: dict[str, Any]) -> Iterator[str]:
    """Lines about what loading makes of a file."""
    if found["ready"]:
        shape = " x ".join(map(str, found["frames"]))
        splits = ", ".join(f"{name} {a}-{b}" for name, (a, b) in found["splits"].items())
        yield (
            f"Loads as: {found['stimulus']!r}, {shape} at {found['frame_rate_hz']:.4g} Hz "
            f"({found['duration_s']:.4g} s), {found['n_cells']} cells; {splits}"
        )
        if found["n_trials"]:
            yield f"  the test part has {found['n_trials']} trials"
    else:
        yield f"Does not load yet: {found['needs']}"
        yield "  'run', 'train' and 'convert' take --stimulus, --repeats, --axes and --test-frames"
    said = found["warnings"]
    yield from (f"Warning: {warning}" for warning in said[:SHOWN])
    if len(said) > SHOWN:
        yield f"Warning: and {len(said) - SHOWN} more (see --json)"


def network(found: dict[str, Any]) -> Iterator[str]:
    """Lines about the folder of a network."""
    yield f"{found['path']}: a network, {found['architecture']}"
    if not found["has_weights"]:
        yield "  the weights are missing"
    yield from settings(found["settings"])
    yield from (f"  mean {key}: {value:.3f}" for key, value in found["scores"].items())


def run(found: dict[str, Any]) -> Iterator[str]:
    """Lines about the folder of a run."""
    state = "finished" if found["is_finished"] else "not finished: begin it again and it goes on"
    yield f"{found['path']}: a run, {state}"
    yield from settings(found["settings"])
    yield f"Done: {listed(found['done'])}"
    yield from found["findings"]


def facts(found: dict[str, Any]) -> Iterator[str]:
    """Lines about anything else: each fact by its name."""
    name = found.get("record") or found.get("kind")
    yield f"{found['path']}: {name}"
    rest = {key: value for key, value in found.items() if key not in ("path", "kind", "record")}
    for key, value in rest.items():
        if isinstance(value, dict):
            yield f"{key}:"
            yield from settings(value)
        else:
            yield f"{key}: {listed(value) if isinstance(value, list) else value}"


def settings(found: dict[str, Any]) -> Iterator[str]:
    """Lines about settings, each in one line."""
    for key, value in found.items():
        text = listed(value) if isinstance(value, list) else value
        name = key if "." in str(key) else str(key).replace("_", " ")
        yield f"  {name}: {text}"


def listed(values: list[Any]) -> str:
    """Return some of a list, and how many more there are."""
    more = f", ... ({len(values)} in all)" if len(values) > SHOWN else ""
    return (", ".join(map(str, values[:SHOWN])) + more) or "none"


def printable(line: str) -> str:
    """Return a line without signs that would steer the terminal: files of others hold anything."""
    return "".join(sign if sign.isprintable() else "?" for sign in line)


PRINTED = {"recording": recording, "network": network, "run": run}
