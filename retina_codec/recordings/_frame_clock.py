"""Spikes on the clock of the frames: when each frame began, and how often each cell fired in it.

What to do about a clock with gaps, or one that does not fit the frames, is a function from the
measured times and the number of frames to a `Clock`: `as_recorded`, `filled`, `refused`, `trimmed`
or what `resampled` returns.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Real

GAP = 1.5
REPEATED = 0.5
OBSERVED = 0.999


@dataclass(frozen=True)
class Clock:
    """When which frame was on the screen.

    Attributes
    ----------
    edges
        Begin of each frame and end of the last, in seconds.
    index
        Which frame of the movie each is; None if all of them came in their order.
    in_gap
        Frames during which nobody knows what was shown.
    """

    edges: Float[np.ndarray, " edge"]
    index: Int[np.ndarray, " time"] | None
    in_gap: Bool[np.ndarray, " time"]


Timing = Callable[[np.ndarray, int], Clock]
"""From measured times (s) and the number of frames to when which frame was on the screen."""


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
        If frames are missing: an interval is longer than 1.5 times the median; or shown twice: one
        is shorter than half of it.

    Examples
    --------
    >>> measured_edges(np.array([0.0, 0.1, 0.21]), 3).round(3).tolist()
    [0.0, 0.1, 0.21, 0.315]
    """
    if len(timestamps) != n_frames:
        msg = (
            f"expected one timestamp for each of {n_frames} frames, got {len(timestamps)}. "
            "If the surplus lies at the end, cut it: timing=recordings.trimmed."
        )
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
    for sentence in (_about_gaps(durations, typical), _about_repeats(durations, typical)):
        if sentence:
            warnings.warn(sentence, stacklevel=2)
    return np.append(timestamps, timestamps[-1] + typical).astype(np.float64)


def _about_gaps(durations: np.ndarray, typical: float) -> str:
    gaps = np.flatnonzero(durations > GAP * typical)
    if not gaps.size:
        return ""
    missing = int((np.round(durations[gaps] / typical) - 1).sum())
    return (
        f"{gaps.size} frames last longer than {GAP} x the median of {typical:.6g} s; the first "
        f"is frame {gaps[0]} with {durations[gaps[0]]:.6g} s. Frames may have been dropped, "
        f"about {missing}."
    )


def _about_repeats(durations: np.ndarray, typical: float) -> str:
    short = np.flatnonzero(durations < REPEATED * typical)
    if not short.size:
        return ""
    return (
        f"{short.size} frames last less than half of the median of {typical:.6g} s; the first is "
        f"frame {short[0]} with {durations[short[0]]:.6g} s. Times may have been noted twice."
    )


def as_recorded(timestamps: Real[np.ndarray, " time"], n_frames: int) -> Clock:
    """Take the times as they are; a frame that lasts too long is a gap, with a warning.

    The rates in a gap are unknown (NaN). Windows that reach back over a gap hold the frames before
    it, at lags that are too short by its length; `filled` keeps the lags right.

    Parameters
    ----------
    timestamps
        Begin of each frame in seconds, as measured.
    n_frames
        Frames of the movie.

    Returns
    -------
    Clock
        When which frame was on the screen.

    Raises
    ------
    ValueError
        If there is not one time for each frame, or the times do not ascend.

    Examples
    --------
    >>> as_recorded(np.array([0.0, 0.1, 0.2]), 3).in_gap.tolist()
    [False, False, False]
    """
    edges = measured_edges(timestamps, n_frames)
    durations = np.diff(edges)
    return Clock(edges, None, durations > GAP * np.median(durations))


def filled(timestamps: Real[np.ndarray, " time"], n_frames: int) -> Clock:
    """Go on showing the last frame before a gap, as a screen does when the next one comes late.

    Parameters
    ----------
    timestamps, n_frames
        As in `as_recorded`.

    Returns
    -------
    Clock
        When which frame was on the screen, without gaps.

    Raises
    ------
    ValueError
        If there is not one time for each frame, or the times do not ascend.

    Examples
    --------
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     clock = filled(np.array([0.0, 0.1, 0.2, 0.5, 0.6]), 5)
    >>> clock.index.tolist(), clock.edges.round(3).tolist()
    ([0, 1, 2, 2, 2, 3, 4], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    """
    edges = measured_edges(timestamps, n_frames)
    durations = np.diff(edges)
    typical = np.median(durations)
    times = np.where(durations > GAP * typical, np.round(durations / typical), 1).astype(np.int64)
    index, onsets = divided(edges[:-1], edges[1:], times)
    return Clock(np.append(onsets, edges[-1]), index, np.zeros(len(index), dtype=bool))


def refused(timestamps: Real[np.ndarray, " time"], n_frames: int) -> Clock:
    """Take the times if there is no gap among them.

    Parameters
    ----------
    timestamps, n_frames
        As in `as_recorded`.

    Returns
    -------
    Clock
        When which frame was on the screen.

    Raises
    ------
    ValueError
        If there is one, or as `as_recorded` does.

    Examples
    --------
    >>> refused(np.array([0.0, 0.1, 0.2]), 3).edges.round(3).tolist()
    [0.0, 0.1, 0.2, 0.3]
    >>> refused(np.array([0.0, 0.1, 0.2, 0.6]), 4)
    Traceback (most recent call last):
    ValueError: 1 frames last longer than 1.5 x the median of 0.1 s; the first is frame 2 ...
    """
    durations = np.diff(timestamps)
    if sentence := _about_gaps(durations, np.median(durations)):
        raise ValueError(sentence)
    return as_recorded(timestamps, n_frames)


def trimmed(timestamps: Real[np.ndarray, " time"], n_frames: int) -> Clock:
    """Cut times or frames at the end, whichever are more; a movie may not be shown to its end.

    Parameters
    ----------
    timestamps, n_frames
        As in `as_recorded`; they need not be equally many.

    Returns
    -------
    Clock
        When which frame was on the screen, as long as the shorter of the two.

    Raises
    ------
    ValueError
        If the times that are kept do not ascend, or are fewer than two.

    Examples
    --------
    >>> clock = trimmed(np.array([0.0, 0.1, 0.2]), 5)
    >>> clock.index.tolist()
    [0, 1, 2]
    """
    n_common = min(len(timestamps), n_frames)
    clock = as_recorded(timestamps[:n_common], n_common)
    return Clock(clock.edges, np.arange(n_common), clock.in_gap)


def resampled(frame_rate_hz: float) -> Timing:
    """Return a function that puts frames on a regular clock: what was on the screen at each tick.

    For frames of unequal length, such as flashed pictures.

    Parameters
    ----------
    frame_rate_hz
        Ticks per second.

    Returns
    -------
    Callable
        From timestamps and the number of frames to a `Clock`, like `as_recorded`; it raises a
        ValueError if they do not fit each other.

    Examples
    --------
    >>> resampled(10.0)(np.array([0.0, 0.3, 0.5, 0.7]), 4).index.tolist()
    [0, 0, 0, 1, 1, 2, 2, 3, 3]
    """

    def on_ticks(timestamps: Real[np.ndarray, " time"], n_frames: int) -> Clock:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Frames of unequal length are what this is for.
            edges = measured_edges(timestamps, n_frames)
        n_ticks = max(1, round((edges[-1] - edges[0]) * frame_rate_hz))
        ticks = regular_edges(n_ticks, frame_rate_hz, start_s=float(edges[0]))
        middles = ticks[:-1] + 0.5 / frame_rate_hz
        index = np.clip(np.searchsorted(edges, middles, side="right") - 1, 0, n_frames - 1)
        return Clock(ticks, index, np.zeros(n_ticks, dtype=bool))

    return on_ticks


def divided(
    starts: Float[np.ndarray, " part"],
    stops: Float[np.ndarray, " part"],
    times: Int[np.ndarray, " part"],
) -> tuple[Int[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """Cut each part into frames of equal length: the part of each frame, and when it begins.

    Examples
    --------
    >>> divided(np.array([0.0, 1.0]), np.array([1.0, 3.0]), np.array([1, 2]))
    (array([0, 1, 1]), array([0., 1., 2.]))
    """
    part = np.repeat(np.arange(len(times)), times)
    within = np.arange(len(part)) - np.repeat(np.cumsum(times) - times, times)
    return part, starts[part] + within * ((stops - starts) / times)[part]


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
    durations = np.diff(edges)
    rates = np.empty((len(durations), len(spike_times)))
    for cell, spikes in enumerate(spike_times):
        rates[:, cell] = np.diff(np.searchsorted(np.sort(spikes), edges)) / durations
    return rates


def observed_frames(
    intervals: Real[np.ndarray, "interval 2"], edges: Float[np.ndarray, " edge"]
) -> Bool[np.ndarray, " time"]:
    """Whether each frame lies inside the intervals (s) in which a cell was observed.

    Examples
    --------
    >>> observed_frames(np.array([[0.1, 0.3]]), np.array([0.0, 0.1, 0.2, 0.3, 0.4])).tolist()
    [False, True, True, False]
    """
    return _covered(intervals, edges) >= OBSERVED


def touched_frames(
    intervals: Real[np.ndarray, "interval 2"], edges: Float[np.ndarray, " edge"]
) -> Bool[np.ndarray, " time"]:
    """Whether a part of each frame lies inside the intervals (s).

    Examples
    --------
    >>> touched_frames(np.array([[0.15, 0.3]]), np.array([0.0, 0.1, 0.2, 0.3, 0.4])).tolist()
    [False, True, True, False]
    """
    return _covered(intervals, edges) > 1 - OBSERVED


def _covered(intervals: np.ndarray, edges: np.ndarray) -> Float[np.ndarray, " time"]:
    """Share of each frame that lies inside the intervals."""
    seen_until = np.zeros(len(edges))
    for start, stop in intervals:
        seen_until += np.clip(edges, start, stop) - start
    return np.diff(seen_until) / np.diff(edges)


def without_rounding(
    times: Real[np.ndarray, "..."], edges: Float[np.ndarray, " edge"]
) -> Float[np.ndarray, "..."]:
    """Move times that were rounded to float32 onto the frame edges that they were meant to be.

    float32 tells times 0.49 ms apart beyond 4096 s; times of higher precision stay as they are.

    Examples
    --------
    >>> edges = np.array([5000.0001, 5000.0101])
    >>> without_rounding(edges.astype(np.float32), edges).tolist() == edges.tolist()
    True
    """
    if times.dtype != np.float32:
        return times.astype(np.float64)
    after = np.clip(np.searchsorted(edges, times), 1, len(edges) - 1)
    before, exact = after - 1, times.astype(np.float64)
    nearer = np.where(exact - edges[before] < edges[after] - exact, before, after)
    is_near = np.abs(edges[nearer] - exact) <= np.spacing(np.abs(times))
    return np.where(is_near, edges[nearer], exact)


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
