"""Load recordings of retinal ganglion cells; write them as NWB.

A file format is one line in `FORMATS`: what it is called, how it is recognised by what is inside,
and the function that reads it. Bin t of all rates belongs to frame t of the stimulus.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr

from retina_codec.datatypes import Recording, Stimulus, did_you_mean

from . import _lab_hdf5, _nwb, _own
from ._axes import coherence, luminance, one_channel
from ._frame_clock import as_recorded, filled, refused, resampled, trimmed
from ._lazy import Joined, Picked, Scaled
from ._nwb import load_intervals
from ._write_nwb import write_nwb

__all__ = [
    "FORMATS",
    "Format",
    "Joined",
    "Picked",
    "Scaled",
    "as_recorded",
    "coherence",
    "filled",
    "load_intervals",
    "load_recording",
    "luminance",
    "one_channel",
    "refused",
    "resampled",
    "trimmed",
    "write_nwb",
]

TEST_SHARE = 0.15
MAX_TEST_FRAMES = 5000
FIRST_BYTES = 8
LISTED = 10
NWB_OPTIONS = ("stimulus", "repeats", "axes", "colour", "timing")
DAMAGED = (OSError, KeyError, RuntimeError, TypeError, AttributeError, IndexError, MemoryError)


@dataclass(frozen=True)
class Format:
    """A file format: its name, how it is recognised and read, and the options of its reader."""

    name: str
    recognises: Callable[[Any], bool]
    read: Callable[..., Recording]
    options: tuple[str, ...] = ()


FORMATS = (
    Format("NWB", _nwb.recognises, _nwb.read, options=NWB_OPTIONS),
    Format("retina_codec file", _own.recognises, _own.read),
    Format("lab HDF5", _lab_hdf5.recognises, _lab_hdf5.read, options=("response",)),
)


def load_recording(
    path: str | Path,
    *,
    stimulus: str | Stimulus | None = None,
    response: str | None = None,
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
        An NWB file, the lab's HDF5, or what `export.save` wrote.
    stimulus
        NWB only: name of the stimulus, needed where a file holds several; or a pattern like
        "noise*", whose stimuli are joined in the order of their times; or a Stimulus made from what
        the file says in words and numbers, on the clock of the file.
    response
        Lab HDF5 only: which stored response, "firing_rate_10ms" unless told otherwise.
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
    given = {"stimulus": stimulus, "response": response, "repeats": repeats}
    given |= {"axes": axes, "colour": colour, "timing": timing}
    options = {name: value for name, value in given.items() if value is not None}
    with ExitStack() as stack:
        contents = _opened(path, stack)
        reader = _reader(path, contents)
        _check_options(reader, options)
        with _naming(path, reader):
            recording = reader.read(path, contents, **options)
        recording = recording if cells is None else _with_cells(recording, list(cells))
        recording = _with_splits(recording, test_frames)
        stack.pop_all()  # Lazy frames need the open file; it closes with the last of them.
    _warn_about_silence(recording)
    return recording


def _existing(path: Path) -> Path:
    if not path.exists():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        msg = f"No file {path}.{did_you_mean(path.name, siblings)}"
        raise FileNotFoundError(msg)
    return path


@contextmanager
def _naming(path: Path, reader: Format) -> Iterator[None]:
    """Turn whatever a damaged file raises into one error that names it."""
    try:
        yield
    except ValueError as error:
        if path.name in str(error):
            raise
        msg = f"{path}: {error}"
        raise ValueError(msg) from error
    except DAMAGED as error:
        msg = f"{path} is damaged, or not laid out as a {reader.name} is: {error!r}."
        raise ValueError(msg) from error


def _opened(path: Path, stack: ExitStack) -> h5py.File | zarr.Group:
    if path.is_dir():
        try:
            return zarr.open_group(path, mode="r")
        except FileNotFoundError:
            msg = f"{path} is a folder, but not one in the Zarr format. Expected a recording."
            raise ValueError(msg) from None
    if not h5py.is_hdf5(path):
        with path.open("rb") as file:
            start = file.read(FIRST_BYTES)
        msg = f"{path} is not an HDF5 file (it starts with {start!r}). Expected NWB or lab HDF5."
        raise ValueError(msg)
    try:
        return stack.enter_context(h5py.File(path))
    except OSError as error:
        msg = f"{path} is a damaged HDF5 file: {error}."
        raise ValueError(msg) from error


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


def _with_splits(recording: Recording, test_frames: int | None) -> Recording:
    """Use the file's own splits or, where it has none, keep the last frames for testing."""
    if recording.splits:
        if test_frames is not None:
            msg = f"'test_frames' is for files without splits; this one has {recording.splits}."
            raise ValueError(msg)
        if not {"train", "test"} <= set(recording.splits):
            msg = f"Expected the splits 'train' and 'test', found {', '.join(recording.splits)}."
            raise ValueError(msg)
        return recording
    n_frames = recording.rates.shape[0]
    n_test = test_frames
    if n_test is None:
        n_test = max(1, min(MAX_TEST_FRAMES, int(TEST_SHARE * n_frames)))
    if not 0 < n_test < n_frames:
        msg = f"'test_frames' must be above 0 and below {n_frames}, got {n_test}."
        raise ValueError(msg)
    first = n_frames - n_test
    return replace(recording, splits={"train": (0, first), "test": (first, n_frames)})


def _warn_about_silence(recording: Recording) -> None:
    """Name the cells that stay in the recording although there is nothing to explain."""
    for cell in np.flatnonzero(~(recording.rates > 0).any(axis=0)):
        row = recording.cells.iloc[cell]
        unit = f" (unit {row['unit_id']})" if "unit_id" in row else ""
        message = f"Cell {cell}{unit} has no spikes while the stimulus is shown; it is kept."
        warnings.warn(message, stacklevel=2)
