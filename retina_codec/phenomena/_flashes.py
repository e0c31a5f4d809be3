"""Experiments with the whole field: pairs of flashes, beats, contrasts."""

import numpy as np
from jaxtyping import Float

from retina_codec.datatypes import Stimulus
from retina_codec.stimuli import (
    Screen,
    contrast_step,
    omitted_stimulus,
    paired_flash,
    step_of_contrast,
)

from ._phenomenon import (
    LEAST_HZ,
    PerCell,
    Phenomenon,
    Response,
    Responses,
    contrast_index,
    in_both_polarities,
    of_the_stronger_polarity,
)

FLASH_S, AFTER_FLASH_S = 0.01, 0.3
PERIODS_S, N_FLASHES, AFTER_OMISSION_S = (0.06, 0.08, 0.1, 0.12), 5, 0.5
CONTRASTS = (0.25, 0.5, 1.0, 2.0)
LOW_S, HIGH_S = 0.5, 0.5
EARLY_S, LATE_S = (0.05, 0.2), (0.3, 0.5)


def _pairs(screen: Screen, interval_s: float, polarity: float) -> dict[str, Stimulus]:
    shown = {"pair": (2, 2), "first flash alone": (2, 0), "second flash alone": (0, 2)}
    return {
        name: paired_flash(
            contrasts=(polarity * first, polarity * second), interval_s=interval_s, screen=screen
        )
        for name, (first, second) in shown.items()
    }


def _suppression(responses: Responses, interval_s: float) -> tuple[PerCell, PerCell]:
    begin = interval_s + FLASH_S
    pair, first = responses["pair"], responses["first flash alone"]
    after = pair.within(begin, begin + AFTER_FLASH_S)
    second = (pair.evoked - first.evoked)[after].max(axis=0)
    alone = responses["second flash alone"].peak(begin, begin + AFTER_FLASH_S)
    index = np.where(alone >= LEAST_HZ, contrast_index(alone, second), np.nan)
    return index, np.zeros_like(index)


PAIRED_FLASH = Phenomenon(
    name="paired flash suppression",
    measure=(
        "a = response to a flash alone, b = what it adds after another one: (a - b) / (|a| + |b|); "
        "0 where responses add up"
    ),
    conditions=in_both_polarities(_pairs),
    signature=of_the_stronger_polarity(_suppression),
    event="dark pair",
    repeats=(0.05, 0.075, 0.1, 0.15),
    varied="interval (s)",
    reference="Maheswaranathan et al. (2023), doi:10.1016/j.neuron.2023.06.007",
)


def _beats(screen: Screen, period_s: float, polarity: float) -> dict[str, Stimulus]:
    how = {"period_s": period_s, "contrast": 2 * polarity, "screen": screen}
    return {
        "beat": omitted_stimulus(**how, n_flashes=N_FLASHES),
        "last flash alone": omitted_stimulus(**how, n_flashes=N_FLASHES, last_alone=True),
    }


def _beyond_the_beat(responses: Responses, period_s: float) -> tuple[PerCell, PerCell]:
    beat, alone = responses["beat"], responses["last flash alone"]
    added = Response(_added_up(alone, period_s), alone.time_s)
    size = np.maximum(beat.evoked.max(axis=0), alone.evoked.max(axis=0))
    size = np.where(size >= LEAST_HZ, size, np.nan)
    return _rise(beat) / size, np.maximum(_rise(alone), _rise(added)) / size


def _rise(response: Response) -> PerCell:
    """How far the rate rises again after time 0."""
    after = response.evoked[response.within(0.0, AFTER_OMISSION_S)]
    return after.max(axis=0) - after[0]


def _added_up(alone: Response, period_s: float) -> Float[np.ndarray, "sample cell"]:
    """Sum of the responses to single flashes, each moved to its place in the beat."""
    frames = round(period_s / (alone.time_s[1] - alone.time_s[0]))
    evoked, total = alone.evoked, np.zeros_like(alone.evoked)
    for k in range(N_FLASHES):
        total[: len(evoked) - k * frames] += evoked[k * frames :]
    return total


RESPONSE_AFTER_BEAT = Phenomenon(
    name="response after a beat",
    measure=(
        "how far the rate rises again after the first flash that lacks, relative to the highest "
        "response; control: the same after the last flash alone, or where flashes add up"
    ),
    conditions=in_both_polarities(_beats),
    signature=of_the_stronger_polarity(_beyond_the_beat),
    event="dark beat",
    repeats=PERIODS_S,
    varied="period (s)",
    reference="Schwartz et al. (2007), Nature Neuroscience 10:552-554",
)


def _beats_of_periods(screen: Screen, contrast: float, polarity: float) -> dict[str, Stimulus]:
    how = {"n_flashes": N_FLASHES, "contrast": contrast * polarity, "screen": screen}
    beats = {f"beat of {p:g} s": omitted_stimulus(**how, period_s=p) for p in PERIODS_S}
    alone = {
        f"last flash of {p:g} s": omitted_stimulus(**how, period_s=p, last_alone=True)
        for p in PERIODS_S
    }
    return beats | alone


def _locking(responses: Responses, contrast: float) -> tuple[PerCell, PerCell]:
    beats = [responses[f"beat of {p:g} s"] for p in PERIODS_S]
    added = [
        Response(_added_up(responses[f"last flash of {p:g} s"], p), beat.time_s)
        for p, beat in zip(PERIODS_S, beats, strict=True)
    ]
    since_last, if_added = (
        np.array([_time_of_peak(r) for r in some]) + np.array(PERIODS_S)[:, None]
        for some in (beats, added)
    )
    value, control = (
        1 - np.abs(_line(np.array(PERIODS_S), times, least=least)[0] - 1)
        for times, least in ((since_last, 3), (if_added, 2))
    )
    return np.maximum(value, -1), np.maximum(np.nan_to_num(control, nan=0.0), 0)


def _time_of_peak(response: Response) -> PerCell:
    """Time of the peak after time 0; NaN where the rate does not rise."""
    after = response.within(0.0, AFTER_OMISSION_S)
    evoked, time_s = response.evoked[after], response.time_s[after]
    times = refined_peak_s(evoked, time_s)
    rises = (evoked.max(axis=0) - evoked[0] >= LEAST_HZ) & (evoked.argmax(axis=0) > 0)
    return np.where(rises, times, np.nan)


def refined_peak_s(
    evoked: Float[np.ndarray, "sample cell"], time_s: Float[np.ndarray, " sample"]
) -> PerCell:
    """Time of the highest value of each cell, between samples by a parabola through three.

    Examples
    --------
    >>> time_s = np.arange(5.0)
    >>> refined_peak_s(-((time_s[:, None] - 2.25) ** 2), time_s).tolist()
    [2.25]
    """
    top = np.clip(evoked.argmax(axis=0), 1, len(evoked) - 2)
    before, at, after = (evoked[top + k, np.arange(evoked.shape[1])] for k in (-1, 0, 1))
    bend = before - 2 * at + after
    shift = np.divide(before - after, 2 * bend, out=np.zeros_like(bend), where=bend < 0)
    return time_s[top] + np.clip(shift, -1, 1) * (time_s[1] - time_s[0])


OMITTED_STIMULUS = Phenomenon(
    name="omitted stimulus response",
    measure=(
        "1 - |s - 1|, s = how far the peak after the last flash moves when the period of the beat "
        "gets longer: 1 locked to the flash that lacks, 0 to the last one shown; control: the same "
        "where responses to single flashes add up, at least 0"
    ),
    conditions=in_both_polarities(_beats_of_periods),
    signature=of_the_stronger_polarity(_locking),
    event="dark beat of 0.1 s",
    repeats=(1.0, 1.5, 2.0, 3.0),
    varied="contrast",
    reference="Schwartz et al. (2007), Nature Neuroscience 10:552-554",
)


def _flashes_of_contrasts(screen: Screen, flash_s: float, polarity: float) -> dict[str, Stimulus]:
    return {
        f"contrast {c:g}": step_of_contrast(contrast=polarity * c, step_s=flash_s, screen=screen)
        for c in reversed(CONTRASTS)
    }


def _earlier_with_contrast(responses: Responses, flash_s: float) -> tuple[PerCell, PerCell]:
    times = np.array([_half_rise_s(responses[f"contrast {c:g}"]) for c in CONTRASTS])
    slope, mean_s = _line(np.log2(CONTRASTS), times, least=3)
    return -slope / mean_s, np.zeros_like(slope)


def _line(
    x: Float[np.ndarray, " point"], y: Float[np.ndarray, "point cell"], *, least: int
) -> tuple[PerCell, PerCell]:
    """Slope and mean of each cell over its finite points; NaN with fewer than `least`."""
    seen = np.isfinite(y)
    n = np.where(seen.sum(axis=0) >= least, seen.sum(axis=0), np.nan)
    x, y = np.where(seen, x[:, None], 0), np.where(seen, y, 0)
    mean = y.sum(axis=0) / n
    away = np.where(seen, x - x.sum(axis=0) / n, 0)
    spread = (away**2).sum(axis=0)
    return (away * y).sum(axis=0) / np.where(spread > 0, spread, np.nan), mean


def _half_rise_s(response: Response) -> PerCell:
    """Time from the flash to half of the highest rate, between samples along a straight line."""
    shown = response.time_s >= 0
    evoked, time_s = response.evoked[shown], response.time_s[shown]
    half = evoked.max(axis=0) / 2
    cells = np.arange(evoked.shape[1])
    above = np.maximum((evoked >= half).argmax(axis=0), 1)
    low, high = evoked[above - 1, cells], evoked[above, cells]
    part = np.divide(half - low, high - low, out=np.ones_like(half), where=high > low)
    times = time_s[above - 1] + part * (time_s[1] - time_s[0])
    return np.where(2 * half >= LEAST_HZ, times, np.nan)


LATENCY_CODING = Phenomenon(
    name="latency coding",
    measure=(
        "how much earlier the response begins (half of its peak) when the contrast of a flash "
        "doubles, relative to its mean latency; 0 where contrast changes only the size"
    ),
    conditions=in_both_polarities(_flashes_of_contrasts),
    signature=of_the_stronger_polarity(_earlier_with_contrast),
    event="dark contrast 2",
    repeats=(0.05, 0.1, 0.2),
    varied="length of the flash (s)",
    reference="Gollisch and Meister (2008), Science 319:1108-1111",
)


def _flicker(screen: Screen, repeat: float, seed: int) -> dict[str, Stimulus]:
    how = {"low_s": LOW_S, "high_s": HIGH_S, "screen": screen, "seed": 1000 * seed + int(repeat)}
    return {
        "contrast step": contrast_step(**how),
        "steady high contrast": contrast_step(**how, contrasts=(1.0, 1.0)),
    }


def _decay(responses: Responses, repeat: float) -> tuple[PerCell, PerCell]:
    return (
        _early_or_late(responses["contrast step"]),
        _early_or_late(responses["steady high contrast"]),
    )


def _early_or_late(response: Response) -> PerCell:
    since_step = (response.time_s + 1e-6) % (LOW_S + HIGH_S) - LOW_S
    early, late = (
        response.rates[(response.time_s > 0) & (since_step >= start) & (since_step < stop)]
        for start, stop in (EARLY_S, LATE_S)
    )
    return contrast_index(early.mean(axis=0), late.mean(axis=0))


CONTRAST_ADAPTATION = Phenomenon(
    name="contrast adaptation",
    measure=(
        "early (50-200 ms) and late (300-500 ms) mean rate after the contrast stepped up: "
        "(early - late) / (early + late); control: the same noise at high contrast all the time"
    ),
    conditions=_flicker,
    signature=_decay,
    event="contrast step",
    repeats=(0.0, 1.0, 2.0, 3.0),
    varied="noise",
    reference="Baccus and Meister (2002), Neuron 36:909-919",
)
