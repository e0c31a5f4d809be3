"""Each movie holds the event that its name says, at time 0."""

import numpy as np
import pytest

from retina_codec import stimuli
from retina_codec.stimuli import Screen

SCREEN = Screen((20, 24))


def at(movie, time_s):
    return movie.frames[round((time_s - movie.start_s) * movie.frame_rate_hz)]


@pytest.mark.parametrize(
    "make",
    [
        stimuli.step_of_contrast,
        stimuli.paired_flash,
        stimuli.omitted_stimulus,
        stimuli.contrast_step,
        stimuli.reversing_grating,
        stimuli.object_motion,
        stimuli.smooth_motion,
        stimuli.motion_reversal,
        stimuli.flashed_bars,
    ],
)
def test_begins_with_the_grey_that_was_asked_for(make):
    movie = make(grey_s=0.3, screen=SCREEN)
    assert movie.start_s <= -0.3
    assert (movie.frames[:30] == 0).all()


def test_omission_is_at_time_zero_and_control_has_the_last_flash_alone():
    movie = stimuli.omitted_stimulus(n_flashes=4, period_s=0.12, screen=SCREEN)
    control = stimuli.omitted_stimulus(n_flashes=4, period_s=0.12, last_alone=True, screen=SCREEN)
    flashed = [bool((at(movie, -0.12 * k) == -2).all()) for k in range(6)]
    assert flashed == [False, True, True, True, True, False]
    assert (at(control, -0.12) == -2).all() and (at(control, -0.24) == 0).all()
    assert control.frames.shape == movie.frames.shape and control.start_s == movie.start_s


def test_contrast_steps_up_with_the_noise_of_the_control():
    movie = stimuli.contrast_step(contrasts=(0.1, 1.0), n_repeats=20, screen=Screen((1, 1)))
    steady = stimuli.contrast_step(contrasts=(1.0, 1.0), n_repeats=20, screen=Screen((1, 1)))
    parts = movie.frames[50:].reshape(20, 2, 50)
    assert 0.08 < parts[:, 0].std() < 0.12 and 0.9 < parts[:, 1].std() < 1.1
    np.testing.assert_array_equal(parts[:, 1], steady.frames[50:].reshape(20, 2, 50)[:, 1])


@pytest.mark.parametrize("direction_deg", [0.0, 90.0])
def test_grating_has_bars_that_change_places(direction_deg):
    movie = stimuli.reversing_grating(bar_px=4.0, direction_deg=direction_deg, screen=SCREEN)
    before, after = at(movie, 0.2), at(movie, 0.7)
    np.testing.assert_array_equal(before, -after)
    line = before[0] if direction_deg == 0 else before[:, 0]
    edges = np.flatnonzero(np.diff(line))
    assert set(np.diff(edges)) == {4}
    assert (stimuli.reversing_grating(bar_px=np.inf, screen=SCREEN).frames[50] == 1).all()


def test_object_moves_the_same_way_in_both_conditions():
    differential = stimuli.object_motion(duration_s=0.5, radius_px=5.0, screen=SCREEN)
    together = stimuli.object_motion(
        duration_s=0.5, radius_px=5.0, differential=False, screen=SCREEN
    )
    np.testing.assert_array_equal(differential.frames[:, 10, 12], together.frames[:, 10, 12])
    moved = (differential.frames != together.frames).any(axis=0)
    assert moved[0, 0] and not moved[10, 12]
    still = differential.frames[50 : 50 + 133]
    assert (still == still[0]).all()


def test_reversal_shares_its_halves_with_smooth_motion():
    reversal = stimuli.motion_reversal(screen=SCREEN)
    forward = stimuli.smooth_motion(screen=SCREEN)
    backward = stimuli.smooth_motion(backwards=True, screen=SCREEN)
    assert reversal.start_s == forward.start_s == backward.start_s
    zero = round(-reversal.start_s * 100)
    np.testing.assert_array_equal(reversal.frames[:zero], forward.frames[:zero])
    after = len(reversal.frames) - zero
    np.testing.assert_array_equal(reversal.frames[zero:], backward.frames[zero : zero + after])


def test_bars_are_flashed_where_the_moving_one_passes():
    movie = stimuli.flashed_bars(spacing_px=3.0, screen=SCREEN)
    moving = stimuli.smooth_motion(screen=SCREEN)
    flash = at(movie, 0.5 * 3)  # the fourth of seven places: the centre
    assert np.abs(flash - at(moving, 0.0)).max() <= 0.5
    assert movie.frames.shape[0] == 50 + 7 * 50


def test_a_beat_needs_grey_between_its_flashes():
    with pytest.raises(ValueError, match="flash of 2 frames does not end before the next, 2 fr"):
        stimuli.omitted_stimulus(period_s=0.02, screen=SCREEN)
