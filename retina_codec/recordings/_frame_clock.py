"""Spikes on the clock of the frames: when each frame began, and how often each cell fired in it."""

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Real

GAP = 1.5
OBSERVED = 0.999


def regular_edges(
    n_frames: int, frame_rate_hz: float, *, start_s: float = 0.0
) -> Float[np.ndarray, " edge"]:
    """Begin of each frame and end of the last, in seconds, for frames of equal duration."""
    return start_s + np.arange(n_frames + 1) / frame_rate_hz


def measured_edges(
    timestamps: Real[np.ndarray, " time"], n_frames: int
) -> Float[np.ndarray, " edge"]:
    """Begin of each frame and end of the last, in seconds, from measured frame times.

    The last frame is given the median duration.

    Raises
    ------
    ValueError
        If there is not one time for each frame, or the times do not ascend.

    Warns
    -----
    UserWarning
        If frames are missing: an interval is longer than 1.5 times the median.

    Examples
    --------
    >>> measured_edges(np.array([0.0, 0.1, 0.21]), 3).round(3).tolist()
    [0.0, 0.1, 0.21, 0.315]
    """
    if len(timestamps) != n_frames:
        msg = f"expected one timestamp for each of {n_frames} frames, got {len(timestamps)}."
        raise ValueError(msg)
    if n_frames < 2:
        msg = f"expected at least 2 frames with timestamps, got {n_frames}."
        raise ValueError(msg)
    durations = np.diff(timestamps)
    if not (durations > 0).all():
        first = int(np.flatnonzero(~(durations > 0))[0]) + 1
        msg = (
            f"timestamps must ascend, but frame {first} is at {timestamps[first]:.6g} s "
            f"after {timestamps[first - 1]:.6g} s."
        )
        raise ValueError(msg)
    typical = np.median(durations)
    _warn_about_gaps(durations, typical)
    return np.append(timestamps, timestamps[-1] + typical).astype(np.float64)


def _warn_about_gaps(durations: np.ndarray, typical: float) -> None:
    gaps = np.flatnonzero(durations > GAP * typical)
    if gaps.size:
        message = (
            f"{gaps.size} frames last longer than {GAP} x the median of {typical:.6g} s; the first "
            f"is frame {gaps[0]} with {durations[gaps[0]]:.6g} s. Frames may have been dropped."
        )
        warnings.warn(message, stacklevel=2)


def rates_in_frames(
    spike_times: Sequence[np.ndarray], edges: Float[np.ndarray, " edge"]
) -> Float[np.ndarray, "time cell"]:
    """Count the spikes of each cell in each frame and divide by the duration of that frame.

    Parameters
    ----------
    spike_times
        Of each cell, in seconds.
    edges
        Begin of each frame and end of the last; a spike on an edge belongs to the frame it begins.

    Examples
    --------
    >>> rates_in_frames([np.array([0.05, 0.1, 0.12])], np.array([0.0, 0.1, 0.2])).ravel().round(6)
    array([10., 20.])
    """
    counts = [np.diff(np.searchsorted(np.sort(spikes), edges)) for spikes in spike_times]
    counts = np.stack(counts, axis=1) if counts else np.zeros((len(edges) - 1, 0))
    return counts / np.diff(edges)[:, np.newaxis]


def observed_frames(
    intervals: Real[np.ndarray, "interval 2"], edges: Float[np.ndarray, " edge"]
) -> Bool[np.ndarray, " time"]:
    """Whether each frame lies inside the intervals (s) in which a cell was observed.

    Examples
    --------
    >>> observed_frames(np.array([[0.1, 0.3]]), np.array([0.0, 0.1, 0.2, 0.3, 0.4])).tolist()
    [False, True, True, False]
    """
    seen_until = sum(np.clip(edges, start, stop) - start for start, stop in intervals)
    return np.diff(seen_until) >= OBSERVED * np.diff(edges)


def observed_intervals(
    observed: Bool[np.ndarray, " time"], edges: Float[np.ndarray, " edge"]
) -> Float[np.ndarray, "interval 2"]:
    """Begin and end (s) of each run of observed frames: the inverse of `observed_frames`.

    Examples
    --------
    >>> observed_intervals(np.array([False, True, True, False]), np.arange(5) / 10).tolist()
    [[0.1, 0.3]]
    """
    changes = np.flatnonzero(np.diff(np.concatenate([[False], observed, [False]]).astype(int)))
    return edges[changes].reshape(-1, 2)
