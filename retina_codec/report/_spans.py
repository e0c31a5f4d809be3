"""Which stretch of the samples the page shows: the one around the strongest moment."""

import numpy as np
from jaxtyping import Real

from retina_codec.datatypes import Contributions, Modes, Predictions, Recording

Span = tuple[float | int, float | int]
MOST_SAMPLES = 500
MOST_FRAMES = 1000


def recording_span(recording: Recording) -> Span:
    """First and last time of the frames around the highest summed rate."""
    stimulus = recording.stimulus
    times = stimulus.start_s + np.arange(recording.rates.shape[0]) / stimulus.frame_rate_hz
    return _around(times, np.nansum(np.asarray(recording.rates), axis=1), most=MOST_FRAMES)


def prediction_span(predictions: Predictions) -> Span:
    """First and last time of the samples around the highest summed rate."""
    rates = np.nansum(np.asarray(predictions.recorded), axis=1)
    return _around(np.asarray(predictions.sample), rates, most=MOST_SAMPLES)


def contribution_span(contributions: Contributions) -> Span:
    """First and last time of the samples around the largest change of the target."""
    change = np.asarray(contributions.target_value) - np.asarray(contributions.baseline_value)
    return _around(np.asarray(contributions.sample), np.abs(change), most=MOST_SAMPLES)


def mode_span(modes: Modes, contributions: Contributions | None) -> Span:
    """Return the span of the contributions where the modes have samples in it, else their own."""
    sample = np.asarray(modes.sample)
    if contributions is not None:
        first, last = contribution_span(contributions)
        if ((sample >= first) & (sample <= last)).any():
            return first, last
    loadings = np.abs(np.asarray(modes.loadings)).sum(axis=1)
    return _around(sample, loadings, most=MOST_SAMPLES)


def span_words(span: Span, sample: Real[np.ndarray, " sample"], *, noun: str = "samples") -> str:
    """Say which stretch of how many samples is shown."""
    inside = int(((sample >= span[0]) & (sample <= span[1])).sum())
    if sample.dtype.kind != "f":
        return f"{noun} {span[0]} to {span[1]} ({inside} of {len(sample)})"
    return f"{span[0]:.2f} to {span[1]:.2f} s ({inside} of {len(sample)} {noun})"


def _around(
    sample: Real[np.ndarray, " sample"], strength: Real[np.ndarray, " sample"], *, most: int
) -> Span:
    start = int(np.clip(np.argmax(strength) - most // 2, 0, max(len(sample) - most, 0)))
    return sample[start].item(), sample[min(start + most, len(sample)) - 1].item()
