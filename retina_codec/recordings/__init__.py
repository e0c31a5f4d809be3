"""Load recordings of retinal ganglion cells; write them as NWB.

A file format is one line in `FORMATS`: what it is called, how it is recognised by what is inside,
and the function that reads it. Bin t of all rates belongs to frame t of the stimulus.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr

from retina_codec.datatypes import Recording, Stimulus, did_you_mean

from . import _lab_hdf5, _nwb, _open_retina, _own
from ._arrays import from_arrays
from ._axes import coherence, luminance, one_channel
from ._declared import check_declared
from ._describe import description
from ._errors import naming
from ._frame_clock import as_recorded, filled, refused, resampled, trimmed
from ._interneurons import load_interneurons
from ._lab_experiments import published_cells
from ._lab_hdf5 import load_stas
from ._lazy import Joined, Picked, Scaled
from ._load_arrays import load_arrays
from ._nwb import load_intervals
from ._open_hdf5 import open_hdf5
from ._sample import sample_recording
from ._splits import with_splits
from ._write_nwb import write_nwb
from .public import fetch, public_data

__all__ = [
    "FORMATS",
    "Format",
    "Joined",
    "Picked",
    "Scaled",
    "as_recorded",
    "coherence",
    "describe",
    "fetch",
    "filled",
    "from_arrays",
    "load_arrays",
    "load_interneurons",
    "load_intervals",
    "load_recording",
    "load_stas",
    "luminance",
    "one_channel",
    "public_data",
    "published_cells",
    "refused",
    "resampled",
    "sample_recording",
    "trimmed",
    "write_nwb",
]

FIRST_BYTES = 8
LISTED = 10
NWB_OPTIONS = ("stimulus", "repeats", "axes", "colour", "timing")


@dataclass(frozen=True)
class Format:
    """A file format: how it is recognised by what is inside, and the function that reads it.

    Attributes
    ----------
    name
        What it is called.
    recognises
        Whether an open file, or group of Zarr, is of this format.
    read
        From the path, what is open, and the options to a recording.
    options
        Arguments of `load_recording` that apply to it.

    Examples
    --------
    >>> [(known.name, known.options) for known in FORMATS][2]
    ('lab HDF5', ('response', 'skip_frames', 'n_blocks'))
    """

    name: str
    recognises: Callable[[Any], bool]
    read: Callable[..., Recording]
    options: tuple[str, ...] = ()


LAB = ("response", "skip_frames", "n_blocks")
OPEN_RETINA = ("frame_rate_hz", "test_names", "channel")

FORMATS = (
    Format("NWB", _nwb.recognises, _nwb.read, options=NWB_OPTIONS),
    Format("retina_codec file", _own.recognises, _own.read),
    Format("lab HDF5", _lab_hdf5.recognises, _lab_hdf5.read, options=LAB),
    Format("open-retina session", _open_retina.recognises, _open_retina.read, options=OPEN_RETINA),
)
"""All formats, in the order in which a file is compared with them."""


def load_recording(
    path: str | Path,
    *,
    stimulus: str | Stimulus | None = None,
    response: str | None = None,
    skip_frames: int | None = None,
    n_blocks: int | None = None,
    session: str | None = None,
    frame_rate_hz: float | None = None,
    test_names: Sequence[str] | None = None,
    channel: int | str | None = None,
    cells: Iterable[int] | None = None,
    test_frames: int | None = None,
    repeats: str | None = None,
    axes: str | None = None,
    colour: Callable[[np.ndarray], np.ndarray] | None = None,
    timing: Callable[[np.ndarray, int], Any] | None = None,
) -> Recording:
    """Load stimulus and responses from a file; its format is seen from what is inside.

    Parameters
    ----------
    path
        An NWB file, the lab's HDF5, open-retina's folder or session, or what `export.save` wrote.
    stimulus
        NWB only: name of the stimulus, needed where a file holds several; or a pattern like
        "noise*", whose stimuli are joined in the order of their times; or a Stimulus made from what
        the file says in words and numbers, on the clock of the file.
    response
        Lab HDF5 only: which stored response, "firing_rate_10ms" unless told otherwise.
    skip_frames, n_blocks
        Lab HDF5 only: how many frames at the begin of each block of the training movie count as not
        observed (NaN), and how many blocks there are, where the experiment is not known by name.
    session
        Folder of open-retina only: which session, where there are several.
    frame_rate_hz
        open-retina only: frames per second, which its files do not hold.
    test_names
        open-retina only: stimuli for testing.
    channel
        open-retina only: which colour channel, or "all" for their sum.
    cells
        Which cells to keep, by their position in the file, from 0; all unless told otherwise.
    test_frames
        For files that do not say which part is for testing: how many frames at the end; 15 % but
        at most 5000 unless told otherwise.
    repeats
        NWB only: name of a table of intervals, such as "trials", in which one part of the movie is
        shown each time; "trials:kind=repeat" takes the rows whose column "kind" says so. One of
        them becomes the split "test".
    axes
        NWB only: order of the axes of the movie in the file, such as "x y time", where it is not
        "time y x" (and "channel").
    colour
        NWB only: what to make of colours, `luminance` or `one_channel(1)`.
    timing
        NWB only: what to do about gaps between frames, `as_recorded` (NaN in them), `filled`,
        `refused`, `trimmed` or `resampled(100.0)`.

    Returns
    -------
    Recording
        Frames of NWB and lab files stay in the file, which is open as long as the recording lives.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read, or holds something else than was asked for.

    Warns
    -----
    UserWarning
        If a cell has no spikes, or frames seem to have been dropped.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from retina_codec.datatypes import Stimulus
    >>> recording = Recording(
    ...     stimulus=Stimulus(frames=np.zeros((40, 4, 4)), frame_rate_hz=100.0),
    ...     rates=np.full((40, 2), 100.0),
    ...     cells=pd.DataFrame({"kind": ["ON", "OFF"]}),
    ...     splits={"train": (0, 30), "test": (30, 40)},
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_nwb(recording, f"{folder}/tiny.nwb")
    ...     loaded = load_recording(f"{folder}/tiny.nwb", cells=[1])
    >>> loaded.splits, loaded.rates.shape, list(loaded.cells["kind"])
    ({'train': (0, 30), 'test': (30, 40)}, (40, 1), ['OFF'])
    """
    path = _existing(Path(path).expanduser())
    given = {
        "stimulus": stimulus,
        "response": response,
        "skip_frames": skip_frames,
        "n_blocks": n_blocks,
        "session": session,
        "frame_rate_hz": frame_rate_hz,
        "test_names": test_names,
        "channel": channel,
        "repeats": repeats,
        "axes": axes,
        "colour": colour,
        "timing": timing,
    }
    options = {name: value for name, value in given.items() if value is not None}
    if path.is_dir() and _open_retina.sessions(path):
        path = _open_retina.session_file(path, options.pop("session", None))
    with ExitStack() as stack, naming(path):
        contents = _opened(path, stack)
        reader = _reader(path, contents)
        _check_options(reader, options)
        recording = reader.read(path, contents, **options)
        recording = recording if cells is None else _with_cells(recording, list(cells))
        recording = with_splits(recording, test_frames)
        stack.pop_all()  # Lazy frames need the open file; it closes with the last of them.
    _warn_about_silence(recording)
    return recording


def describe(path: str | Path) -> dict[str, Any]:
    """Tell what is inside a file or folder, as plain data.

    Parameters
    ----------
    path
        A recording in one of `FORMATS`, a record that `export.save` wrote, the folder of a network
        or that of a run.

    Returns
    -------
    Its `kind` ("recording", "record", "network" or "run") and what belongs to it. For recordings,
    `loading` tells what `load_recording` makes of it: `ready`, or what it `needs`; and `warnings`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is none of these, or damaged.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from retina_codec.datatypes import Stimulus
    >>> recording = Recording(
    ...     stimulus=Stimulus(frames=np.zeros((40, 4, 4)), frame_rate_hz=100.0),
    ...     rates=np.full((40, 2), 100.0),
    ...     cells=pd.DataFrame({"kind": ["ON", "OFF"]}),
    ...     splits={"train": (0, 30), "test": (30, 40)},
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_nwb(recording, f"{folder}/tiny.nwb")
    ...     found = describe(f"{folder}/tiny.nwb")
    >>> found["format"], found["units"]["n"], found["loading"]["splits"]["test"]
    ('NWB', 2, [30, 40])
    """
    return description(_existing(Path(path).expanduser()), _opened, load_recording, _reader)


def _existing(path: Path) -> Path:
    if not path.exists():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        msg = f"No file {path}.{did_you_mean(path.name, siblings)}"
        raise FileNotFoundError(msg)
    return path


def _opened(path: Path, stack: ExitStack) -> h5py.File | zarr.Group:
    if path.is_dir():
        try:
            group = zarr.open_group(path, mode="r")
        except FileNotFoundError:
            msg = f"{path} is a folder, but not one in the Zarr format. Expected a recording."
            raise ValueError(msg) from None
        check_declared(group, path)
        return group
    if not h5py.is_hdf5(path):
        with path.open("rb") as file:
            start = file.read(FIRST_BYTES)
        msg = f"{path} is not an HDF5 file (it starts with {start!r}). Expected NWB or lab HDF5."
        raise ValueError(msg)
    return stack.enter_context(open_hdf5(path))


def _reader(path: Path, contents: h5py.File | zarr.Group) -> Format:
    for reader in FORMATS:
        if reader.recognises(contents):
            return reader
    groups = sorted(contents)
    shown = ", ".join(groups[:LISTED]) + (", ..." if len(groups) > LISTED else "")
    names = ", ".join(reader.name for reader in FORMATS)
    msg = f"{path} has no layout that is known here ({names}). It holds: {shown or 'nothing'}."
    raise ValueError(msg)


def _check_options(reader: Format, options: dict[str, Any]) -> None:
    for name in options:
        if name not in reader.options:
            allowed = ", ".join(reader.options) or "none"
            msg = f"{name!r} does not apply to a {reader.name}. Options that do: {allowed}."
            raise ValueError(msg)


def _with_cells(recording: Recording, cells: Sequence[int]) -> Recording:
    n_cells = len(recording.cells)
    unknown = [cell for cell in cells if not 0 <= cell < n_cells]
    if unknown or not cells:
        asked = f"No cell {unknown[0]}" if unknown else "'cells' is empty"
        msg = f"{asked}: the recording has {n_cells} cells, 0 to {n_cells - 1}."
        raise ValueError(msg)
    spikes, repeats = recording.spike_times, recording.repeats
    return replace(
        recording,
        rates=recording.rates[:, cells],
        cells=recording.cells.iloc[cells].reset_index(drop=True),
        spike_times=None if spikes is None else tuple(spikes[cell] for cell in cells),
        repeats=None if repeats is None else repeats[:, :, cells],
    )


def _warn_about_silence(recording: Recording) -> None:
    """Name the cells that stay in the recording although there is nothing to explain."""
    for cell in np.flatnonzero(~(recording.rates > 0).any(axis=0)):
        row = recording.cells.iloc[cell]
        unit = f" (unit {row['unit_id']})" if "unit_id" in row else ""
        message = f"Cell {cell}{unit} has no spikes while the stimulus is shown; it is kept."
        warnings.warn(message, stacklevel=2)
