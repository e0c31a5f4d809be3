import numpy as np
import pandas as pd
import pytest

from retina_codec import stimuli
from retina_codec.datatypes import Stimulus
from retina_codec.stimuli import Normalisation, Screen, normalisation, windows

SMALL = Screen((8, 12))

MOVIES = {
    "white_noise": lambda: stimuli.white_noise(n_frames=60, screen=SMALL),
    "natural_scenes": lambda: stimuli.natural_scenes(n_frames=60, screen=SMALL),
    "flashes": lambda: stimuli.flashes(on_s=0.1, off_s=0.1, screen=SMALL),
    "steps": lambda: stimuli.steps(step_s=0.1, screen=SMALL),
    "drifting_grating": lambda: stimuli.drifting_grating(n_frames=60, screen=SMALL),
    "moving_bar": lambda: stimuli.moving_bar(screen=SMALL),
    "reversing_bar": lambda: stimuli.reversing_bar(screen=SMALL),
    "between_grey": lambda: stimuli.between_grey(stimuli.moving_bar(screen=SMALL)),
    "step_of_contrast": lambda: stimuli.step_of_contrast(screen=SMALL),
    "paired_flash": lambda: stimuli.paired_flash(screen=SMALL),
    "omitted_stimulus": lambda: stimuli.omitted_stimulus(screen=SMALL),
    "contrast_step": lambda: stimuli.contrast_step(n_repeats=2, screen=SMALL),
    "reversing_grating": lambda: stimuli.reversing_grating(screen=SMALL),
    "object_motion": lambda: stimuli.object_motion(duration_s=0.5, screen=SMALL),
    "smooth_motion": lambda: stimuli.smooth_motion(screen=SMALL),
    "motion_reversal": lambda: stimuli.motion_reversal(screen=SMALL),
    "flashed_bars": lambda: stimuli.flashed_bars(screen=SMALL),
    "presented_gratings": lambda: stimuli.presented_gratings(
        pd.DataFrame(
            {"start_time": [0], "stop_time": [1], "orientation": [0], "spatial_frequency": [0.1]}
        ),
        degrees_per_pixel=1.0,
        screen=SMALL,
    ),
    "seeded_noise": lambda: stimuli.seeded_noise(
        stimuli.numpy_twister, seed=1, n_frames=60, screen=SMALL
    ),
}


class Lazy:
    """An array that counts what is read."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.n_read = values, values.shape, values.dtype, 0

    def __getitem__(self, index):
        part = self.values[index]
        self.n_read += len(part)
        return part


def counting_movie(n_frames=50, lazy=False):
    frames = np.arange(n_frames, dtype=float)[:, None, None] * np.ones((1, 2, 3))
    return Stimulus(frames=Lazy(frames) if lazy else frames, frame_rate_hz=10.0, start_s=5.0)


@pytest.mark.parametrize("make", MOVIES.values(), ids=MOVIES)
def test_movies_are_finite_varied_and_repeatable(make):
    first, second = make(), make()
    assert first.frames.shape[1:] == (8, 12)
    assert first.frames.dtype == np.float32
    assert np.asarray(first.frames).std() > 0
    np.testing.assert_array_equal(first.frames, second.frames)


NO_MOVIES = {
    "binary",
    "design",
    "digits",
    "image_folder",
    "in_mode",
    "matlab_twister",
    "normalisation",
    "numpy_twister",
    "ran1",
    "ran1_gaussian",
    "unreadable",
    "upright",
    "windows",
}


def test_all_movies_are_tested():
    makers = {name for name in stimuli.__all__ if name.islower()} - NO_MOVIES
    assert makers == set(MOVIES)


def test_noise_checks_have_their_size():
    frames = stimuli.white_noise(n_frames=5, check_px=4, screen=Screen((8, 8))).frames
    np.testing.assert_array_equal(frames[:, ::4, ::4].repeat(4, 1).repeat(4, 2), frames)


def test_saccades_change_more_than_jitter():
    frames = stimuli.natural_scenes(n_frames=400, screen=Screen((16, 16))).frames
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2))
    saccades = np.zeros(len(change), dtype=bool)
    saccades[99::100] = True
    assert change[saccades].mean() > 2 * change[~saccades].mean()
    assert change[~saccades].min() > 0


def test_natural_scenes_are_correlated_in_space():
    frames = stimuli.natural_scenes(n_frames=1000, screen=Screen((16, 16))).frames
    near = np.corrcoef(frames[:, 8, 8], frames[:, 8, 9])[0, 1]
    far = np.corrcoef(frames[:, 8, 1], frames[:, 8, 15])[0, 1]
    assert near > 0.8 and near > far


def test_bar_moves_the_way_it_is_told():
    def position(direction_deg, axis):
        frames = -stimuli.moving_bar(direction_deg=direction_deg, screen=Screen((20, 20))).frames
        along = frames.sum(axis=2 if axis == 1 else 1)
        inside = along.sum(axis=1) > 0
        return (along @ np.arange(20))[inside] / along.sum(axis=1)[inside]

    assert np.all(np.diff(position(0.0, axis=2)) > -1e-6)
    assert np.all(np.diff(position(180.0, axis=2)) < 1e-6)
    assert np.all(np.diff(position(90.0, axis=1)) > -1e-6)


def test_reversal_is_a_mirror_in_time():
    frames = stimuli.reversing_bar(screen=SMALL).frames
    np.testing.assert_allclose(frames, frames[::-1], atol=1e-6)


def test_grating_has_its_frequencies():
    frames = stimuli.drifting_grating(
        n_frames=100, period_px=4.0, temporal_hz=5.0, screen=Screen((4, 16))
    ).frames
    np.testing.assert_allclose(frames[20], frames[0], atol=1e-5)
    np.testing.assert_allclose(frames[:, :, :-4], frames[:, :, 4:], atol=1e-5)


def reference_windows(frames, history):
    return np.stack([frames[t - history : t] for t in range(history, len(frames))])


@pytest.mark.parametrize("lazy", [False, True])
def test_windows_are_the_frames_before_the_bin(lazy):
    samples = windows(counting_movie(lazy=lazy), 4)
    expected = reference_windows(counting_movie().frames, 4)
    np.testing.assert_array_equal(samples[:], expected)
    np.testing.assert_array_equal(samples[3:9], expected[3:9])
    np.testing.assert_array_equal(samples[[40, 2, 2]], expected[[40, 2, 2]])
    np.testing.assert_array_equal(samples[-1], expected[-1])
    np.testing.assert_array_equal(samples[::7], expected[::7])
    assert samples.shape == expected.shape
    np.testing.assert_allclose(samples.sample[:2], [5.4, 5.5])


def test_windows_stay_inside_their_part():
    samples = windows(counting_movie(), 4, frames=(20, 30))
    assert len(samples) == 6
    assert samples[:].min() == 20 and samples[:].max() == 28


def test_windows_read_only_what_they_need():
    movie = counting_movie(1000, lazy=True)
    samples = windows(movie, 10)
    samples[100:120]
    assert movie.frames.n_read == 29
    samples[[5, 900]]
    assert movie.frames.n_read == 29 + 20


def test_window_batch_is_the_only_copy():
    movie = Stimulus(frames=np.zeros((1000, 8, 8), dtype=np.uint8), frame_rate_hz=10.0)
    samples = windows(movie, 50)
    assert samples.stimulus.frames is movie.frames
    assert samples[:7].nbytes == 7 * 50 * 64 * 4


def test_windows_are_normalised():
    samples = windows(counting_movie(), 4, normalisation=Normalisation(mean=2.0, std=4.0))
    np.testing.assert_allclose(
        samples[0], (reference_windows(counting_movie().frames, 4)[0] - 2) / 4
    )


def test_normalisation_is_that_of_its_part():
    found = normalisation(counting_movie(), frames=(10, 20))
    assert found.mean == pytest.approx(14.5)
    assert found.std == pytest.approx(np.arange(10, 20).std())


@pytest.mark.parametrize("history", [0, 50, 60])
def test_too_short_movies_are_refused(history):
    with pytest.raises(ValueError, match="needs at least one frame more, got 50 frames"):
        windows(counting_movie(), history)


def test_window_numbers_are_checked():
    with pytest.raises(IndexError, match="There are 46 windows"):
        windows(counting_movie(), 4)[46]


def test_constant_movie_is_refused():
    with pytest.raises(ValueError, match="does not vary"):
        normalisation(Stimulus(frames=np.ones((5, 2, 2)), frame_rate_hz=1.0))


def test_nan_in_a_lazy_movie_is_found_when_read():
    frames = np.zeros((50, 2, 2))
    frames[30] = np.nan
    movie = Stimulus(frames=Lazy(frames), frame_rate_hz=1.0)
    samples = windows(movie, 4)
    samples[:10]
    with pytest.raises(ValueError, match="frame 30 holds NaN"):
        samples[20:40]
    with pytest.raises(ValueError, match="frame 30 holds NaN"):
        normalisation(movie)


def test_samples_have_the_times_of_irregular_frames():
    frames = np.zeros((6, 2, 2))
    times = np.array([0.0, 0.1, 0.2, 0.9, 1.0, 1.1])
    samples = windows(Stimulus(frames=frames, frame_rate_hz=10.0, times=times), 2)
    np.testing.assert_array_equal(samples.sample, times[2:])
