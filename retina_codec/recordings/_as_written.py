"""What NWB has no place for: kept as JSON in the scratch of a file, so that nothing is lost."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from retina_codec.datatypes import Recording

# Of each entry: what it may be. Entries may be missing, as files of older versions lack some.
ENTRIES = {
    "source": str,
    "pixel_um": (int, float, type(None)),
    "circuit": (dict, type(None)),
    "columns": dict,
    "order": list,
    "frame_rate_hz": (int, float),
    "start_s": (int, float),
    "irregular": bool,
    "name": str,
    "splits": dict,
}


def extras_of(recording: Recording, columns: dict[str, str]) -> str:
    """Return as JSON what the file's own tables do not tell.

    Parameters
    ----------
    recording
        That is written.
    columns
        From names of columns in the file to those in the recording, where they differ.
    """
    stimulus = recording.stimulus
    values = {
        "source": recording.source,
        "pixel_um": stimulus.pixel_um,
        "circuit": recording.circuit,
        "columns": columns,
        "order": list(recording.cells.columns),
        "frame_rate_hz": float(stimulus.frame_rate_hz),
        "start_s": float(stimulus.start_s),
        "irregular": stimulus.times is not None,
        "name": stimulus.name,
        "splits": {name: list(map(int, part)) for name, part in recording.splits.items()},
    }
    return json.dumps(values)


def extras_from(text: str) -> dict[str, Any]:
    """Take back what `extras_of` made.

    Raises
    ------
    ValueError
        If the text is something else.

    Examples
    --------
    >>> extras_from('{"source": "here"}')
    {'source': 'here'}
    """
    try:
        extras = json.loads(text)
        wrong = [name for name in ENTRIES.keys() & extras if not _fits(name, extras[name])]
    except (ValueError, RecursionError, AttributeError, TypeError):
        extras, wrong = {}, ["the whole"]
    if wrong:
        msg = f"scratch/retina_codec is not what write_nwb writes: {wrong[0]} is of another kind."
        raise ValueError(msg)
    return extras


def _fits(name: str, value: Any) -> bool:
    is_mapping = name == "columns" and isinstance(value, dict)
    texts = value.values() if is_mapping else value if isinstance(value, list) else ()
    return isinstance(value, ENTRIES[name]) and all(isinstance(text, str) for text in texts)


def as_written(
    recording: Recording, extras: dict[str, Any], edges: Float[np.ndarray, " edge"]
) -> Recording:
    """Give a loaded recording what the extras know better than the tables of the file.

    Parameters
    ----------
    recording
        As loaded.
    extras
        Of `extras_from`; empty for files of other software.
    edges
        Begin of each frame and end of the last in the file.

    Raises
    ------
    ValueError
        If the extras do not fit the recording.
    """
    if "order" not in extras:
        cells = recording.cells.rename(columns=extras.get("columns", {}))
        return replace(recording, cells=cells)
    clock = {name: extras[name] for name in ("frame_rate_hz", "start_s", "name") if name in extras}
    times = edges[:-1] if extras.get("irregular") else None
    splits = {name: _part(name, part) for name, part in extras.get("splits", {}).items()}
    return replace(
        recording,
        stimulus=replace(recording.stimulus, times=times, **clock),
        cells=_cells(recording, extras),
        splits=splits,
        source=extras.get("source", recording.source),
    )


def _part(name: str, part: Any) -> tuple[int, int]:
    is_part = isinstance(part, list) and len(part) == 2 and all(isinstance(i, int) for i in part)
    if not is_part:
        msg = f"scratch/retina_codec: split {name!r} must be two numbers of frames, got {part!r}."
        raise ValueError(msg)
    return tuple(part)


def _cells(recording: Recording, extras: dict[str, Any]) -> Any:
    """Columns by their own names and in their own order."""
    stored = {name: column for column, name in extras.get("columns", {}).items()}
    columns = [stored.get(name, name) for name in extras["order"]]
    missing = [name for name in columns if name not in recording.cells]
    if missing or len(set(columns)) != len(columns):
        msg = f"scratch/retina_codec names columns of cells that do not exist: {missing}."
        raise ValueError(msg)
    return recording.cells[columns].set_axis(extras["order"], axis=1)
