"""NWB 2: spikes of sorted units, and the movie that was shown.

The file is read with h5py directly: the layout is fixed by the NWB schema, and so no extension has
to be installed and nothing but the spikes is loaded. What only `write_nwb` adds lives in
scratch/retina_codec and processing/ecephys and is optional.
"""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import zarr
from jaxtyping import Float

from retina_codec.datatypes import Recording, Stimulus

from ._as_written import as_written, extras_from
from ._axes import Layout, coherence
from ._errors import naming
from ._frame_clock import Clock, Timing, as_recorded, regular_edges
from ._hdf5 import numbers, texts
from ._lazy import Picked
from ._nwb_intervals import SPLITS, invalid_frames, repeats_of, splits_for, splits_of
from ._nwb_movies import Shown
from ._nwb_stimulus import shown_stimulus
from ._nwb_tables import interval_table, plain_table
from ._nwb_units import binned, cells_table, spike_times_of, units_table
from ._open_hdf5 import open_hdf5

__all__ = ["SPLITS", "load_intervals", "read", "recognises"]

EXTRAS = "scratch/retina_codec"
FIRING_RATES = "processing/ecephys/firing_rates"
REPEATS = "processing/ecephys/repeats"
COHERENT = 0.3


def recognises(contents: Any) -> bool:
    """Whether a file or a Zarr folder says that it is NWB, of whatever version."""
    if isinstance(contents, h5py.File):
        return "nwb_version" in contents.attrs or "nwb_version" in contents
    return isinstance(contents, zarr.Group) and "nwb_version" in contents.attrs


def read(
    path: Path,
    contents: Any,
    *,
    stimulus: str | Stimulus | None = None,
    repeats: str | None = None,
    axes: str | None = None,
    colour: Callable | None = None,
    timing: Timing | None = None,
) -> Recording:
    """Read units and one stimulus; the frames stay in the file.

    Parameters are those of `load_recording`.

    Raises
    ------
    ValueError
        If there are no units, or no stimulus that can be read, or it is not clear which one.
    """
    _refuse_other_versions(contents, path)
    if isinstance(stimulus, Stimulus):
        movie, clock, guessed = _given(stimulus), _clock_of(stimulus), False
    else:
        shown = shown_stimulus(contents, stimulus, Layout(axes, colour))
        clock, guessed = _clock(shown, timing), shown.guessed
        movie = _as_stimulus(shown, clock)
    recording = _recording(path, contents, movie, clock, is_given=isinstance(stimulus, Stimulus))
    if repeats is not None:
        recording = _with_repeats(recording, contents, repeats, clock.edges)
    if guessed:
        _warn_if_torn(recording)
    return recording


def load_intervals(path: str | Path, name: str) -> pd.DataFrame:
    """Load a table of time intervals from an NWB file: trials, presentations of gratings, ...

    Parameters
    ----------
    path
        Of the file.
    name
        Of the table, as in the file's group "intervals".

    Returns
    -------
    One row for each interval, with `start_time` and `stop_time` in seconds and all columns that
    hold one value a row.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If there is no such table, or the file is not HDF5.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import UTC, datetime
    >>> from pynwb import NWBHDF5IO, NWBFile
    >>> nwb = NWBFile("example", "1", datetime(2026, 1, 1, tzinfo=UTC))
    >>> nwb.add_trial_column("contrast", "Of the grating.")
    >>> nwb.add_trial(start_time=0.0, stop_time=0.5, contrast=0.2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with NWBHDF5IO(f"{folder}/retina.nwb", "w") as io:
    ...         io.write(nwb)
    ...     load_intervals(f"{folder}/retina.nwb", "trials")
       start_time  stop_time  contrast
    0         0.0        0.5       0.2
    """
    path = Path(path).expanduser()
    with naming(path), open_hdf5(path) as file:
        return plain_table(interval_table(file, name))


def _refuse_other_versions(contents: Any, path: Path) -> None:
    if isinstance(contents, zarr.Group):
        msg = (
            f"{path} is NWB in the Zarr format, whose texts and links may be serialised Python "
            "objects; these are never loaded here. Convert it to HDF5 first: read it with "
            "hdmf_zarr.NWBZarrIO and export it with pynwb.NWBHDF5IO."
        )
        raise ValueError(msg)
    version = contents.attrs.get("nwb_version")
    version = contents["nwb_version"][()] if version is None else version
    version = version.decode(errors="replace") if isinstance(version, bytes) else str(version)
    if version.startswith(("NWB-1", "1.")):
        msg = f"{path} is an NWB 1 file (nwb_version {version!r}). Convert it to NWB 2 first."
        raise ValueError(msg)


def _given(stimulus: Stimulus) -> Stimulus:
    """Refuse a stimulus without a frame."""
    if not stimulus.frames.shape[0]:
        msg = "'stimulus' has no frames."
        raise ValueError(msg)
    return stimulus


def _clock_of(stimulus: Stimulus) -> Clock:
    n_frames = stimulus.frames.shape[0]
    if stimulus.times is not None:
        return as_recorded(np.asarray(stimulus.times), n_frames)
    edges = regular_edges(n_frames, stimulus.frame_rate_hz, start_s=float(stimulus.start_s))
    return Clock(edges, None, np.zeros(n_frames, dtype=bool))


def _clock(shown: Shown, timing: Timing | None) -> Clock:
    """Say when which frame was shown, by the rate in the file or by measured times."""
    n_frames = shown.frames.shape[0]
    if shown.rate_hz is not None and timing is None:
        edges = regular_edges(n_frames, shown.rate_hz, start_s=float(shown.onsets[0]))
        return Clock(edges, None, np.zeros(n_frames, dtype=bool))
    try:
        return (timing or as_recorded)(shown.onsets, n_frames)
    except ValueError as error:
        msg = f"Stimulus {shown.name!r}: {error}"
        raise ValueError(msg) from None


def _as_stimulus(shown: Shown, clock: Clock) -> Stimulus:
    edges = clock.edges
    frame_rate_hz = shown.rate_hz if clock.index is None and shown.rate_hz else _rate_of(edges)
    regular = regular_edges(len(edges) - 1, frame_rate_hz, start_s=float(edges[0]))
    in_step = np.abs(edges - regular).max() < 0.5 / frame_rate_hz
    return Stimulus(
        frames=shown.frames if clock.index is None else Picked(shown.frames, clock.index),
        frame_rate_hz=frame_rate_hz,
        start_s=float(edges[0]),
        times=None if in_step else edges[:-1],
        name=shown.name,
    )


def _rate_of(edges: Float[np.ndarray, " edge"]) -> float:
    """Frames per second: the mean rate, unless frames are missing; then that of the others."""
    durations = np.diff(edges)
    typical = np.median(durations)
    return 1 / float(durations[durations < 1.5 * typical].mean())


def _recording(
    path: Path, file: h5py.File, movie: Stimulus, clock: Clock, *, is_given: bool
) -> Recording:
    """Units on the clock of the movie, with what `write_nwb` may have added for its own movie."""
    units = units_table(file, path)
    spike_times = spike_times_of(units)
    extras = {} if EXTRAS not in file else extras_from(texts(file[EXTRAS]).item())
    own = file if EXTRAS in file and not is_given else {}
    splits = splits_of(file, clock.edges) if not is_given else {}
    trials = numbers(own[REPEATS]["data"]).transpose(1, 0, 2) if REPEATS in own else None
    if FIRING_RATES in own:
        rates = numbers(own[FIRING_RATES]["data"])
    else:
        rates = binned(units, spike_times, clock.edges, path)
        if trials is not None:
            rates[slice(*splits["test"])] = trials.mean(axis=0)
        unknown = np.zeros_like(clock.in_gap) if own else clock.in_gap
        rates[unknown | invalid_frames(file, clock.edges)] = np.nan
    cells = cells_table(units, spike_times)
    recording = Recording(
        stimulus=Stimulus(
            frames=movie.frames,
            frame_rate_hz=movie.frame_rate_hz,
            start_s=movie.start_s,
            times=movie.times,
            name=movie.name,
            pixel_um=movie.pixel_um if is_given else extras.get("pixel_um"),
        ),
        rates=rates,
        cells=cells.rename(columns=extras.get("columns", {})) if is_given else cells,
        splits=splits,
        spike_times=spike_times,
        repeats=trials,
        source=extras.get("source") or path.name,
        circuit=None if is_given else extras.get("circuit"),
    )
    return recording if is_given else as_written(recording, extras, clock.edges)


def _with_repeats(
    recording: Recording, file: h5py.File, asked: str, edges: Float[np.ndarray, " edge"]
) -> Recording:
    """Make one repeat the split "test", with the rates in all of them as its trials.

    The other repeats stay in the movie, so that windows show what was shown, but without rates.
    """
    parts = repeats_of(file, asked, edges, recording.stimulus.frames)
    splits = splits_for(parts, len(edges) - 1)
    rates = np.array(recording.rates, dtype=np.float64)
    trials = np.stack([rates[start:stop] for start, stop in parts])
    for start, stop in parts:
        rates[start:stop] = np.nan
    rates[slice(*splits["test"])] = _mean_of_known(trials)
    return replace(recording, rates=rates, splits=splits, repeats=trials)


def _mean_of_known(trials: Float[np.ndarray, "trial time cell"]) -> Float[np.ndarray, "time cell"]:
    """Mean over the trials in which a cell was observed; NaN if there is none."""
    known = ~np.isnan(trials)
    n_known = known.sum(axis=0)
    total = np.where(known, trials, 0.0).sum(axis=0)
    return np.where(n_known > 0, total / np.maximum(n_known, 1), np.nan)


def _warn_if_torn(recording: Recording) -> None:
    """Look at the fields of cells, which fall apart if the axes were guessed wrongly."""
    smooth = coherence(recording)
    smooth = smooth[np.isfinite(smooth).all(axis=1)]
    if not len(smooth) or not (smooth.min(axis=1) > COHERENT).any():
        message = (
            "No cell has a smooth receptive field with the guessed axes (see "
            "`recordings.coherence`). Say with 'axes' how they are."
        )
        warnings.warn(message, stacklevel=2)
