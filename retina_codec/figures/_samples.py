"""The sample axis of a picture: which samples lie in a span, and what their axis is called."""

from typing import Any

import numpy as np
from jaxtyping import Int, Real

Span = tuple[float | int, float | int]
UNEVEN = 0.01


def samples_in(
    sample: Real[np.ndarray, " sample"], span_s: Span | None
) -> Int[np.ndarray, " drawn"]:
    """Numbers of the samples from the first to the last time of a span; all if there is none.

    Raises
    ------
    ValueError
        If there is no sample in the span.
    """
    if span_s is None:
        return np.arange(len(sample))
    inside = np.flatnonzero((sample >= span_s[0]) & (sample <= span_s[1]))
    if not inside.size:
        msg = (
            f"No sample between {span_s[0]} and {span_s[1]}; "
            f"they go from {sample.min():g} to {sample.max():g}."
        )
        raise ValueError(msg)
    return inside


def sample_axis(sample: Real[np.ndarray, " drawn"]) -> tuple[Real[np.ndarray, " drawn"], str]:
    """Positions along the axis, and its label.

    Times are drawn as times where they are evenly spaced; otherwise samples are numbered, because a
    heat map cannot show the holes. Whole numbers are images or the like.
    """
    if sample.dtype.kind != "f":
        return sample if _even(sample) else np.arange(len(sample)), "sample"
    if _even(sample):
        return sample, "time (s)"
    return np.arange(len(sample)), "sample (not evenly spaced in time)"


def rows_of(values: Any, rows: Int[np.ndarray, " drawn"]) -> np.ndarray:
    """Take rows of an array that may be lazy, reading only the stretch they lie in."""
    first, last = int(rows[0]), int(rows[-1])
    return np.asarray(values[first : last + 1])[rows - first]


def _even(sample: Real[np.ndarray, " drawn"]) -> bool:
    steps = np.diff(sample)
    if not steps.size:
        return True
    return bool(steps[0] > 0 and np.ptp(steps) <= UNEVEN * steps[0])
