"""Write a recording as valid NWB 2 that other software reads, too."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from hdmf.backends.hdf5 import H5DataIO
from hdmf.data_utils import GenericDataChunkIterator
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.epoch import TimeIntervals
from pynwb.file import Subject
from pynwb.image import ImageSeries

from retina_codec.datatypes import Recording, Stimulus

from ._as_written import extras_of
from ._frame_clock import (
    observed_frames,
    observed_intervals,
    rates_in_frames,
    regular_edges,
)
from ._nwb import EXTRAS, FIRING_RATES, REPEATS, SPLITS
from ._write_cells import add_cells, allowed_name

CHUNK_BYTES = 2**20
COMPRESSED = {"compression": "gzip", "compression_opts": 4}
KEYWORDS = ["retina", "ganglion cells", "visual stimulus"]
UNKNOWN_AGE, UNKNOWN = "P0D/", "unknown"


def write_nwb(
    recording: Recording,
    path: str | Path,
    *,
    session_start: datetime | None = None,
    species: str | None = None,
    sex: str | None = None,
    age: str | None = None,
    subject_id: str | None = None,
) -> None:
    """Write a recording as an NWB 2 file from which `load_recording` gives it back.

    Frames become an ImageSeries of their own number type (uint8 keeps the file small), cells become
    units, splits the time intervals "splits". Rates are made from the spikes when the file is
    loaded; where the spikes do not give them back (smoothed rates, no spikes known) they are stored
    as well. NWB asks for the start of the session, which a recording does not know: unless told,
    the file says when it was written, instead.

    Parameters
    ----------
    recording
        What to write; a lazy movie is copied piece by piece.
    path
        Of the file, ending in .nwb; it appears when it is complete, and replaces an old one.
    session_start
        When the recording began.
    species
        In Latin, such as "Ambystoma tigrinum".
    sex
        M, F, O (other) or U (unknown), which is the default.
    age
        As an ISO 8601 duration such as "P90D"; without it, "P0D/" (nothing is known).
    subject_id
        Name of the animal.

    Raises
    ------
    ValueError
        If the name of the file, the frames or the cells cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from retina_codec.datatypes import Stimulus
    >>> recording = Recording(
    ...     stimulus=Stimulus(frames=np.zeros((40, 4, 4), dtype=np.uint8), frame_rate_hz=100.0),
    ...     rates=np.full((40, 1), 100.0),
    ...     cells=pd.DataFrame({"kind": ["OFF"]}),
    ...     splits={"train": (0, 30), "test": (30, 40)},
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_nwb(recording, f"{folder}/tiny.nwb")
    ...     os.listdir(folder)
    ['tiny.nwb']
    """
    path = Path(path)
    if path.suffix != ".nwb":
        msg = f"An NWB file must end in .nwb, got {path.name!r}."
        raise ValueError(msg)
    subject = {
        "subject_id": subject_id or UNKNOWN,
        "species": species,
        "sex": sex or "U",
        "age": age or UNKNOWN_AGE,
    }
    contents = _nwb_file(recording, session_start, subject)
    part = path.with_name(f".{path.stem}.{uuid4().hex[:8]}.nwb")
    try:
        with NWBHDF5IO(part, "w") as io:
            io.write(contents)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _nwb_file(
    recording: Recording, session_start: datetime | None, subject: Mapping[str, str | None]
) -> NWBFile:
    now = datetime.now(UTC)
    about = f"Written by retina_codec; source: {recording.source or 'not said'}."
    if session_start is None:
        about += " The start of the session is when this file was written."
    nwb = NWBFile(
        session_description=about,
        identifier=str(uuid4()),
        session_start_time=_with_zone(session_start or now),
        file_create_date=now,
        experiment_description="Responses of retinal ganglion cells to a visual stimulus.",
        keywords=KEYWORDS,
        subject=Subject(**{name: value for name, value in subject.items() if value is not None}),
    )
    nwb.add_stimulus(_image_series(recording))
    cells, names = add_cells(nwb, recording, _edges(recording))
    _add_splits(nwb, recording)
    _add_processed(nwb, [*([] if cells is None else [cells]), *_rate_tables(recording)])
    nwb.add_scratch(
        extras_of(recording, names),
        name=_name(EXTRAS),
        description="What retina_codec needs to load this recording again, as JSON.",
    )
    return nwb


def _with_zone(moment: datetime) -> datetime:
    """Take a moment without a time zone as one of the clock of this machine."""
    return moment if moment.tzinfo else moment.astimezone()


def _name(place: str) -> str:
    return place.rsplit("/", 1)[-1]


class _Blocks(GenericDataChunkIterator):
    """Hands a movie to the writer in blocks of frames, so that a lazy one stays lazy."""

    def __init__(self, frames: Any):
        self.frames = frames
        n_frames, *size = frames.shape
        frame_bytes = int(np.prod(size)) * frames.dtype.itemsize
        block = (min(n_frames, max(1, CHUNK_BYTES // frame_bytes)), *size)
        super().__init__(chunk_shape=block, buffer_shape=block)

    def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
        frames, *pixels = selection
        return np.asarray(self.frames[frames])[:, *pixels]

    def _get_maxshape(self) -> tuple[int, ...]:
        return tuple(self.frames.shape)

    def _get_dtype(self) -> np.dtype:
        return self.frames.dtype


def _image_series(recording: Recording) -> ImageSeries:
    stimulus = recording.stimulus
    size = f"; a pixel is {stimulus.pixel_um} um on the retina" if stimulus.pixel_um else ""
    return ImageSeries(
        name=allowed_name(stimulus.name, "stimulus"),
        description=f"Stimulus movie, axes frame, row, column{size}.",
        data=H5DataIO(_Blocks(stimulus.frames), **COMPRESSED),
        unit="n.a.",
        **_timing(stimulus),
    )


def _timing(stimulus: Stimulus) -> dict[str, Any]:
    if stimulus.times is not None:
        return {"timestamps": np.asarray(stimulus.times, dtype=np.float64)}
    return {"starting_time": float(stimulus.start_s), "rate": float(stimulus.frame_rate_hz)}


def _edges(recording: Recording) -> np.ndarray:
    stimulus = recording.stimulus
    if stimulus.times is not None:
        times = np.asarray(stimulus.times, dtype=np.float64)
        if len(times) < 2 or not (np.diff(times) > 0).all():
            msg = "The times of the frames must ascend, and be at least two, to be written as NWB."
            raise ValueError(msg)
        return np.append(times, times[-1] + np.median(np.diff(times)))
    return regular_edges(
        stimulus.frames.shape[0], float(stimulus.frame_rate_hz), start_s=float(stimulus.start_s)
    )


def _add_splits(nwb: NWBFile, recording: Recording) -> None:
    if not recording.splits:
        return
    edges = _edges(recording)
    table = TimeIntervals(name=_name(SPLITS), description="Parts of the stimulus movie.")
    table.add_column(name="split", description="What the part is for.")
    for split, (start, stop) in recording.splits.items():
        table.add_row(start_time=edges[start], stop_time=edges[stop], split=split)
    nwb.add_time_intervals(table)


def _rate_tables(recording: Recording) -> list[TimeSeries]:
    """Series of what the spikes do not tell: trials, and rates that are not spikes per frame."""
    series = []
    if recording.repeats is not None:
        trials = np.asarray(recording.repeats).transpose(1, 0, 2)
        start = _edges(recording)[recording.splits["test"][0]]
        about = (
            "Firing rates in the trials of the split 'test', axes time, trial, unit. All trials "
            "are on the clock of that split, which the movie shows once."
        )
        series.append(_rate_series(_name(REPEATS), trials, about, start, recording))
    if not _spikes_give_rates(recording):
        about = "Firing rate of each unit in each frame, axes time, unit."
        start = recording.stimulus.start_s
        rates = np.asarray(recording.rates)
        series.append(_rate_series(_name(FIRING_RATES), rates, about, start, recording))
    return series


def _add_processed(nwb: NWBFile, parts: Sequence[Any]) -> None:
    if parts:
        nwb.create_processing_module("ecephys", "Firing rates.").add(list(parts))


def _rate_series(
    name: str, data: np.ndarray, description: str, start_s: float, recording: Recording
) -> TimeSeries:
    stimulus = recording.stimulus
    if stimulus.times is None:
        clock = {"starting_time": float(start_s), "rate": float(stimulus.frame_rate_hz)}
    else:
        times = np.asarray(stimulus.times, dtype=np.float64)
        first = int(np.searchsorted(times, start_s))
        clock = {"timestamps": times[first : first + len(data)]}
    return TimeSeries(
        name=name,
        description=description,
        data=H5DataIO(data, **COMPRESSED),
        unit="Hz",
        **clock,
    )


def _spikes_give_rates(recording: Recording) -> bool:
    """Whether loading the file would make the same rates from the spikes."""
    if recording.spike_times is None:
        return False
    edges, rates = _edges(recording), np.asarray(recording.rates)
    if rates.dtype != np.float64:
        return False
    made = rates_in_frames(recording.spike_times, edges)
    for cell, observed in enumerate(~np.isnan(rates.T)):
        if observed.any():
            intervals = observed_intervals(observed, edges)
            made[~observed_frames(intervals, edges), cell] = np.nan
    if recording.repeats is not None:
        made[slice(*recording.splits["test"])] = np.mean(recording.repeats, axis=0)
    return np.allclose(made, rates, equal_nan=True)
