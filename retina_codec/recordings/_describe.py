"""What is inside a file, as plain data: for a person who wonders what to do with it."""

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr

from retina_codec.datatypes import Recording

from ._describe_folders import describe_network, describe_run, is_network, is_run

MOST_TIMES = 50_000_000
MOST_STIMULI = 20
GAP = 1.5
SESSION = (
    "identifier",
    "session_description",
    "session_start_time",
    "general/institution",
    "general/lab",
    "general/session_id",
    "general/subject/species",
    "general/subject/subject_id",
)
BROKEN = (
    ValueError,
    OSError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    RuntimeError,
    MemoryError,
    ImportError,
)
"""What reading a damaged or hostile file may end with."""

Load = Callable[..., Recording]
Open = Callable[[Path, ExitStack], Any]


def description(path: Path, open_contents: Open, load: Load, format_of: Callable) -> dict[str, Any]:
    """Describe a file or folder: what it holds, and what `load` would make of it."""
    for recognises, describes in FOLDERS:
        if path.is_dir() and recognises(path):
            return _sound(path, "a folder of this package", partial(describes, path))
    with ExitStack() as stack:
        contents = open_contents(path, stack)
        kind = format_of(path, contents).name
        about = {"path": str(path), "kind": "recording", "format": kind}
        describe = DESCRIBED.get(kind, _other)
        return about | _sound(path, kind, partial(describe, path, contents, load))


def _sound(path: Path, kind: str, describe: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `describe` does; whatever damage it meets becomes an error in one line."""
    try:
        return describe()
    except BROKEN as error:
        msg = f"{path} is {kind}, but it is damaged or not what it says ({one_line(error)})."
        raise ValueError(msg) from error


def one_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its name where it has none."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _nwb(path: Path, file: h5py.File, load: Load) -> dict[str, Any]:
    version = _text(file.attrs.get("nwb_version", "unknown"))
    return {
        "version": version,
        "session": _session(file),
        "stimuli": _stimuli(path, file, load),
        "units": _units(file),
        "intervals": [_interval_table(name, t) for name, t in _groups(file, "intervals")],
        "processing": sorted(name for name, _ in _groups(file, "processing")),
        "loading": _loading(load, path),
    }


def _session(file: h5py.File) -> dict[str, str]:
    found = {}
    for name in SESSION:
        dataset = file.get(name)
        if isinstance(dataset, h5py.Dataset) and dataset.shape == ():
            found[name.rsplit("/", 1)[-1]] = _text(dataset[()])
    return found


def _stimuli(path: Path, file: h5py.File, load: Load) -> list[dict[str, Any]]:
    shown = [(name, series, True) for name, series in _groups(file, "stimulus/presentation")]
    templates = [(name, series, False) for name, series in _groups(file, "stimulus/templates")]
    return [
        _series(name, series) | (_attempt(load, path, name) if presented else {"template": True})
        for name, series, presented in (shown + templates)[:MOST_STIMULI]
    ]


def _series(name: str, series: h5py.Group) -> dict[str, Any]:
    data = series.get("data")
    about = {"name": name, "kind": _text(series.attrs.get("neurodata_type", "unknown kind"))}
    if isinstance(data, h5py.Dataset):
        about |= {"shape": list(data.shape), "dtype": str(data.dtype)}
    if "external_file" in series:
        about["external_files"] = [_text(name) for name in series["external_file"][:MOST_STIMULI]]
    return about | _timing(series, data)


def _timing(series: h5py.Group, data: Any) -> dict[str, Any]:
    """How the frames are timed, and what stands out."""
    n_frames = data.shape[0] if isinstance(data, h5py.Dataset) and data.ndim else 0
    start, times = series.get("starting_time"), series.get("timestamps")
    if isinstance(times, h5py.Dataset):
        return _measured(times)
    rate = float(start.attrs.get("rate", 0.0)) if isinstance(start, h5py.Dataset) else 0.0
    if not rate > 0:
        return {"timing": "no times"}
    regular = {"timing": "start and rate", "frame_rate_hz": rate, "start_s": float(start[()])}
    return regular | ({"duration_s": n_frames / rate} if n_frames else {})


def _measured(times: h5py.Dataset) -> dict[str, Any]:
    if not 2 <= times.size <= MOST_TIMES or times.ndim != 1:
        return {"timing": f"{times.size} timestamps, not looked at"}
    durations = np.diff(times[()])
    typical = float(np.median(durations))
    if not typical > 0:
        return {"timing": "timestamps that do not ascend"}
    return {
        "timing": "timestamps",
        "frame_rate_hz": 1 / typical,
        "start_s": float(times[0]),
        "duration_s": float(durations.sum() + typical),
        "jitter_ms": 1e3 * float(np.std(durations[durations < GAP * typical])),
        "n_gaps": int((durations > GAP * typical).sum()),
    }


def _attempt(load: Load, path: Path, name: str) -> dict[str, Any]:
    """Whether a stimulus can be read, by reading it: movies stay in the file."""
    found = _loading(load, path, stimulus=name)
    return {"can_be_read": found["ready"]} | ({} if found["ready"] else {"why": found["needs"]})


def _loading(load: Load, path: Path, **options: Any) -> dict[str, Any]:
    """Tell what loading ends with: a recording, or what is asked for; and all warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = _loaded(load(path, **options))
        except BROKEN as error:
            found = {"ready": False, "needs": one_line(error).removeprefix(f"{path}: ")}
    said = list(dict.fromkeys(one_line(warning.message) for warning in caught))
    return found | {"warnings": said}


def _loaded(recording: Recording) -> dict[str, Any]:
    stimulus = recording.stimulus
    return {
        "ready": True,
        "stimulus": stimulus.name,
        "frames": list(stimulus.frames.shape),
        "frame_rate_hz": stimulus.frame_rate_hz,
        "duration_s": stimulus.duration_s,
        "n_cells": len(recording.cells),
        "splits": {name: list(part) for name, part in recording.splits.items()},
        "n_trials": 0 if recording.repeats is None else int(recording.repeats.shape[0]),
        "is_simulated": recording.circuit is not None,
    }


def _units(file: h5py.File) -> dict[str, Any]:
    """Count units and those without spikes, and name what else is known of them."""
    places = [file, *(group for _, group in _groups(file, "processing"))]
    tables = [place["units"] for place in places if isinstance(place.get("units"), h5py.Group)]
    if not tables or "id" not in tables[0]:
        return {"n": 0, "n_without_spikes": 0, "columns": []}
    units = tables[0]
    n = int(units["id"].shape[0])
    columns = [_text(name) for name in units.attrs.get("colnames", ())]
    stops = units.get("spike_times_index")
    if not isinstance(stops, h5py.Dataset):
        return {"n": n, "n_without_spikes": n, "columns": columns}
    counts = np.diff(np.concatenate([[0], stops[()].astype(np.int64)]))
    return {"n": n, "n_without_spikes": int((counts == 0).sum()), "columns": columns}


def _interval_table(name: str, table: h5py.Group) -> dict[str, Any]:
    n = int(table["id"].shape[0]) if "id" in table else 0
    return {"name": name, "n": n, "columns": [_text(c) for c in table.attrs.get("colnames", ())]}


def _groups(file: h5py.File, name: str) -> list[tuple[str, h5py.Group]]:
    """Return the groups in a group; links that lead nowhere are left out."""
    group = file.get(name)
    if not isinstance(group, h5py.Group):
        return []
    found = [(key, group.get(key)) for key in group]
    return [(key, item) for key, item in found if isinstance(item, h5py.Group)]


def _lab(path: Path, file: h5py.File, load: Load) -> dict[str, Any]:
    parts = [
        {"name": part, "kind": "movie", "shape": list(file[f"{part}/stimulus"].shape)}
        for part in ("train", "test")
        if isinstance(file.get(f"{part}/stimulus"), h5py.Dataset)
    ]
    responses = sorted(name for name in file.get("train/response", ()))
    loading = _loading(load, path)
    units = {"n": loading.get("n_cells", 0), "columns": []}
    return {"stimuli": parts, "responses": responses, "units": units, "loading": loading}


def _own(path: Path, contents: Any, load: Load) -> dict[str, Any]:
    name = _text(contents.attrs["record"])
    if name == Recording.__name__:
        loading = _loading(load, path)
        return {"record": name, "units": {"n": loading.get("n_cells", 0)}, "loading": loading}
    arrays = {key: contents[key] for key in contents}
    return {
        "kind": "record",
        "record": name,
        "arrays": {
            key: list(value.shape)
            for key, value in arrays.items()
            if isinstance(value, (h5py.Dataset, zarr.Array)) and value.shape
        },
        "facts": {
            key: _text(value)
            for key, value in contents.attrs.items()
            if isinstance(value, (str, bytes)) and key != "record" and not key.startswith("_")
        },
    }


def _other(path: Path, contents: Any, load: Load) -> dict[str, Any]:
    """Describe a format by what loading makes of it."""
    loading = _loading(load, path)
    return {"units": {"n": loading.get("n_cells", 0)}, "loading": loading}


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


FOLDERS = ((is_network, describe_network), (is_run, describe_run))
DESCRIBED = {"NWB": _nwb, "lab HDF5": _lab, "retina_codec file": _own}
