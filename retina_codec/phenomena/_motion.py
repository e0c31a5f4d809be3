"""Experiments with gratings and bars that move, reverse or jitter."""

import numpy as np
from jaxtyping import Float

from retina_codec.datatypes import Stimulus
from retina_codec.stimuli import (
    Screen,
    flashed_bars,
    motion_reversal,
    object_motion,
    reversing_grating,
    smooth_motion,
)

from ._flashes import refined_peak_s
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

HALF_PERIOD_S, SETTLED_S, GRATING_S = 0.5, 1.0, 3.0
ONE_BURST = 0.5
STILL_S, JITTER_S, DISC_SHARE = 0.5, 3.0, 0.25
AFTER_REVERSAL_S = 0.3
SPEED_PX_S, SPACING_PX, FLASH_S, PAUSE_S = 40.0, 3.2, 0.08, 0.42
DIRECTIONS_DEG = (0.0, 90.0, 180.0, 270.0)


def _gratings(screen: Screen, phase_deg: float, seed: int) -> dict[str, Stimulus]:
    how = {"half_period_s": HALF_PERIOD_S, "duration_s": GRATING_S, "screen": screen}
    return {
        "grating": reversing_grating(**how, phase_deg=phase_deg),
        "grating moved by half a bar": reversing_grating(**how, phase_deg=phase_deg + 90),
    }


def _doubling(responses: Responses, phase_deg: float) -> tuple[PerCell, PerCell]:
    first, second = (
        np.sqrt(np.mean([_amplitude(r, k) ** 2 for r in responses.values()], axis=0))
        for k in (1, 2)
    )
    size = first + second
    value = np.divide(second, size, out=np.full_like(size, np.nan), where=size >= LEAST_HZ)
    return value, np.full_like(value, ONE_BURST)


def _amplitude(response: Response, harmonic: int) -> PerCell:
    """Amplitude at a multiple of the frequency of the grating, over whole periods, in Hz."""
    settled = response.within(SETTLED_S, GRATING_S)
    wave = np.exp(-1j * np.pi * harmonic * response.time_s[settled] / HALF_PERIOD_S)
    return 2 * np.abs(wave @ response.rates[settled]) / settled.sum()


REVERSING_GRATING = Phenomenon(
    name="frequency doubling",
    measure=(
        "F2 / (F1 + F2) of the response to a reversing grating, F1 and F2 pooled over two phases; "
        "0 for a linear cell; control 0.5: one burst in a period, however short (rectification)"
    ),
    conditions=_gratings,
    signature=_doubling,
    event="grating",
    repeats=(0.0, 22.5, 45.0, 67.5),
    varied="phase (°)",
    reference="Hochstein and Shapley (1976), Journal of Physiology 262:265-284",
)


def _jitter(screen: Screen, repeat: float, seed: int) -> dict[str, Stimulus]:
    how = {"duration_s": JITTER_S, "still_s": STILL_S, "seed": 1000 * seed + int(repeat)}
    how |= {"radius_px": DISC_SHARE * min(screen.shape), "screen": screen}
    return {
        "differential": object_motion(**how),
        "global": object_motion(**how, differential=False),
    }


def _prefers_differential(responses: Responses, repeat: float) -> tuple[PerCell, PerCell]:
    """Index of the mean rates.

    A cell that sees the edge of the disc has an index above 0 without any inhibition from afar; to
    tell them apart, run the experiment again while the inhibiting channel is `causal.ablated`.
    """
    own, shared = (_mean_above_grey(responses[name]) for name in ("differential", "global"))
    index = contrast_index(own, shared)
    return index, np.zeros_like(index)


def _mean_above_grey(response: Response) -> PerCell:
    return np.maximum(response.evoked[response.within(0.0, JITTER_S)], 0).mean(axis=0)


OBJECT_MOTION = Phenomenon(
    name="object motion sensitivity",
    measure=(
        "mean rates while the disc moves on its own way (d) or with the background (g): "
        "(d - g) / (d + g); 0 where neither background nor edge of the disc matters"
    ),
    conditions=_jitter,
    signature=_prefers_differential,
    event="differential",
    repeats=(0.0, 1.0, 2.0, 3.0),
    varied="jitter",
    reference="Olveczky et al. (2003), Nature 423:401-408",
)


def _reversals(screen: Screen, direction_deg: float, polarity: float) -> dict[str, Stimulus]:
    how = {"direction_deg": direction_deg, "contrast": polarity, "speed_px_s": SPEED_PX_S}
    return {
        "reversal": motion_reversal(**how, screen=screen),
        "onward": smooth_motion(**how, screen=screen),
        "back": smooth_motion(**how, backwards=True, screen=screen),
    }


def _burst(responses: Responses, direction_deg: float) -> tuple[PerCell, PerCell]:
    turned, onward, back = (
        responses[name].peak(0.0, AFTER_REVERSAL_S) for name in ("reversal", "onward", "back")
    )
    index = contrast_index(turned, np.maximum(onward, back))
    return index, np.zeros_like(index)


MOTION_REVERSAL = Phenomenon(
    name="motion reversal response",
    measure=(
        "peak within 0.3 s after a bar turns back (r), and the higher peak in that time when it "
        "goes on or comes the whole way back (s): (r - s) / (|r| + |s|); 0 where turning is nothing"
    ),
    conditions=in_both_polarities(_reversals),
    signature=of_the_stronger_polarity(_burst),
    event="dark reversal",
    repeats=DIRECTIONS_DEG,
    varied="direction (°)",
    reference="Schwartz et al. (2007), Neuron 55:958-969",
)


def _moved_and_flashed(
    screen: Screen, direction_deg: float, polarity: float
) -> dict[str, Stimulus]:
    how = {"contrast": polarity, "screen": screen}
    there, back = direction_deg, direction_deg + 180
    flashed = {"spacing_px": SPACING_PX, "flash_s": FLASH_S, "pause_s": PAUSE_S}
    return {
        "moving bar": smooth_motion(direction_deg=there, speed_px_s=SPEED_PX_S, **how),
        "moving the other way": smooth_motion(direction_deg=back, speed_px_s=SPEED_PX_S, **how),
        "flashed bars": flashed_bars(direction_deg=there, **flashed, **how),
    }


def _compensation(responses: Responses, direction_deg: float) -> tuple[PerCell, PerCell]:
    """Share of the latency that is made up for; the place of the cell cancels in both ways."""
    ways = [responses["moving bar"], responses["moving the other way"]]
    flashed, places = _by_place(responses["flashed bars"])
    added = [_added_along(flashed, side * places, ways[0]) for side in (1, -1)]
    latency_s = _latency(flashed, ways[0])
    value, control = (
        1 - np.mean([refined_peak_s(rates, ways[0].time_s) for rates in both], axis=0) / latency_s
        for both in ([way.evoked for way in ways], added)
    )
    answers = [way.evoked.max(axis=0) for way in ways] + [flashed.max(axis=(0, 1))]
    return np.where(np.min(answers, axis=0) >= LEAST_HZ, value, np.nan), np.maximum(control, 0)


def _by_place(
    response: Response,
) -> tuple[Float[np.ndarray, "place lag cell"], Float[np.ndarray, " place"]]:
    step_s = response.time_s[1] - response.time_s[0]
    n_lags = round(FLASH_S / step_s) + round(PAUSE_S / step_s)
    evoked = response.evoked[round(-response.time_s[0] / step_s) :]
    flashed = evoked.reshape(-1, n_lags, evoked.shape[1])
    return flashed, SPACING_PX * (np.arange(len(flashed)) - (len(flashed) - 1) / 2)


def _latency(flashed: Float[np.ndarray, "place lag cell"], moving: Response) -> PerCell:
    """Time from the middle of the flash at the best place to the peak."""
    cells = np.arange(flashed.shape[2])
    best = flashed.max(axis=1).argmax(axis=0)
    lags_s = np.arange(flashed.shape[1]) * (moving.time_s[1] - moving.time_s[0])
    peak_s = refined_peak_s(flashed[best, :, cells].T, lags_s)
    return np.maximum(peak_s - FLASH_S / 2, lags_s[1])


def _added_along(
    flashed: Float[np.ndarray, "place lag cell"],
    places: Float[np.ndarray, " place"],
    moving: Response,
) -> Float[np.ndarray, "sample cell"]:
    """Sum of the responses to flashes, each when the moving bar is there."""
    step_s = moving.time_s[1] - moving.time_s[0]
    total = np.zeros_like(moving.rates)
    for place, response in zip(places, flashed, strict=True):
        first = round((place / SPEED_PX_S - FLASH_S / 2 - moving.time_s[0]) / step_s)
        room = total[max(first, 0) : first + len(response)]
        room += response[max(-first, 0) :][: len(room)]
    return total


MOTION_ANTICIPATION = Phenomenon(
    name="motion anticipation",
    measure=(
        "share of the latency to flashed bars that the response to a moving bar makes up for: "
        "1 - (delay of the peak, mean of both ways) / latency; 1 without delay; "
        "control: responses to the flashed bars added up along the way, at least 0"
    ),
    conditions=in_both_polarities(_moved_and_flashed),
    signature=of_the_stronger_polarity(_compensation),
    event="dark moving bar",
    repeats=(0.0, 45.0, 90.0, 135.0),
    varied="direction (°)",
    reference="Berry et al. (1999), Nature 398:334-338",
)
