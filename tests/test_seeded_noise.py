import copy
import sys

import numpy as np
import pandas as pd
import pytest

from retina_codec.stimuli import (
    Screen,
    drifting_grating,
    matlab_twister,
    numpy_twister,
    presented_gratings,
    ran1,
    ran1_gaussian,
    seeded_noise,
)


def slow_twister(seed, n):
    """MT19937 with 53-bit doubles, step by step, as Matsumoto and Nishimura describe it."""
    state = [seed]
    for i in range(1, 624):
        state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + i) & 0xFFFFFFFF)
    words = []
    while len(words) < 2 * n:
        for i in range(624):
            joined = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7FFFFFFF)
            state[i] = state[(i + 397) % 624] ^ (joined >> 1) ^ (0x9908B0DF if joined & 1 else 0)
        for word in state:
            word ^= word >> 11
            word ^= (word << 7) & 0x9D2C5680
            word ^= (word << 15) & 0xEFC60000
            words.append(word ^ (word >> 18))
    pairs = zip(words[0 : 2 * n : 2], words[1 : 2 * n : 2], strict=True)
    return [((a >> 5) * 2**26 + (b >> 6)) / 2**53 for a, b in pairs]


def slow_ran1(seed, n):
    """Minimal standard generator with a Bays-Durham shuffle, from its recurrence."""
    modulus, slots = 2**31 - 1, 32
    number = max(-seed, 1)
    table = [0] * slots
    for j in range(slots + 7, -1, -1):
        number = 16807 * number % modulus
        if j < slots:
            table[j] = number
    out, values = table[0], []
    for _ in range(n):
        number = 16807 * number % modulus
        slot = out // (1 + (modulus - 1) // slots)
        out, table[slot] = table[slot], number
        values.append(min(out / modulus, 1 - 1.2e-7))
    return values


class TestGenerators:
    @pytest.mark.parametrize("seed", [1, 42, 5489])
    def test_twisters_are_the_documented_algorithm(self, seed):
        expected = slow_twister(seed, 700)
        np.testing.assert_array_equal(numpy_twister(seed)(700), expected)
        np.testing.assert_array_equal(matlab_twister(seed)(700), expected)

    def test_matlab_starts_at_5489(self):
        # The first numbers of `rand` in a fresh MATLAB, as its documentation prints them.
        np.testing.assert_array_equal(matlab_twister(0)(5), slow_twister(5489, 5))
        np.testing.assert_allclose(
            matlab_twister(0)(5), [0.8147, 0.9058, 0.1270, 0.9134, 0.6324], atol=5e-5
        )
        assert numpy_twister(0)(1) != matlab_twister(0)(1)

    @pytest.mark.parametrize("seed", [-1, -1000])
    def test_ran1_is_the_recurrence(self, seed):
        np.testing.assert_allclose(ran1(seed)(500), slow_ran1(seed, 500), rtol=1e-6)

    @pytest.mark.parametrize("generator", [ran1, ran1_gaussian, numpy_twister])
    @pytest.mark.parametrize("first", [4, 5])
    def test_a_copy_goes_on_where_the_original_was(self, generator, first):
        seed = 3 if generator is numpy_twister else -3
        source = generator(seed)
        whole = generator(seed)(first + 6)
        np.testing.assert_array_equal(source(first), whole[:first])
        again = copy.deepcopy(source)
        np.testing.assert_array_equal(source(6), whole[first:])
        np.testing.assert_array_equal(again(6), whole[first:])

    def test_hint_without_the_package(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "retina_codec.stimuli._goettingen", raising=False)
        monkeypatch.setitem(sys.modules, "retinawhitenoise", None)
        with pytest.raises(ImportError, match=r"pip install 'retina-codec\[noise\]'"):
            ran1(-1)


class TestSeededNoise:
    screen = Screen((3, 4), frame_rate_hz=50.0)

    @pytest.mark.parametrize("y_fastest", [False, True])
    def test_order_of_the_numbers(self, y_fastest):
        movie = seeded_noise(
            matlab_twister, seed=7, n_frames=5, screen=self.screen, y_fastest=y_fastest
        )
        numbers = iter(slow_twister(7, 60))
        expected = np.empty((5, 3, 4))
        for frame in expected:
            if y_fastest:
                for x in range(4):
                    for y in range(3):
                        frame[y, x] = 1 if next(numbers) > 0.5 else -1
            else:
                for y in range(3):
                    for x in range(4):
                        frame[y, x] = 1 if next(numbers) > 0.5 else -1
        np.testing.assert_array_equal(movie.frames[:], expected)

    @pytest.mark.parametrize("generator", [numpy_twister, ran1, ran1_gaussian])
    def test_any_frames_in_any_order(self, generator, monkeypatch):
        monkeypatch.setattr("retina_codec.stimuli._seeded_noise.BLOCK_NUMBERS", 100)
        seed = 3 if generator is numpy_twister else -3
        whole = np.array(generator(seed)(12 * 60)).reshape(60, 3, 4)
        movie = seeded_noise(
            generator, seed=seed, n_frames=60, screen=self.screen, values=np.asarray, start_s=2.0
        )
        assert movie.frames.shape == (60, 3, 4) and movie.start_s == 2.0
        for key in (slice(50, 60), slice(0, 3), 33, -1, [59, 0, 17], slice(5, 5)):
            np.testing.assert_array_equal(movie.frames[key], whole[key])
        with pytest.raises(IndexError):
            movie.frames[60]


class TestPresentedGratings:
    def table(self, **changes):
        columns = {
            "start_time": [10.0, 11.5],
            "stop_time": [11.0, 12.0],
            "orientation": [0.0, 90.0],
            "spatial_frequency": [0.05, 0.1],
            "temporal_frequency": [2.0, 0.0],
            "contrast": [0.8, 1.0],
        }
        return pd.DataFrame(columns | changes)

    def test_is_the_grating_of_the_movie_maker(self):
        screen = Screen((6, 8), frame_rate_hz=100.0)
        movie = presented_gratings(self.table(), degrees_per_pixel=2.0, screen=screen)
        assert movie.frames.shape == (200, 6, 8) and movie.start_s == 10.0
        first = drifting_grating(
            n_frames=100, period_px=10.0, temporal_hz=2.0, contrast=0.8, screen=screen
        )
        np.testing.assert_allclose(movie.frames[:100], first.frames, atol=1e-5)
        assert not movie.frames[100:150].any()
        second = drifting_grating(
            n_frames=50, period_px=5.0, temporal_hz=0.0, direction_deg=90.0, screen=screen
        )
        np.testing.assert_allclose(movie.frames[150:], second.frames, atol=1e-5)
        np.testing.assert_array_equal(movie.frames[[160, 3]], movie.frames[:][[160, 3]])

    def test_phase_and_blank_rows(self):
        screen = Screen((1, 9))
        table = self.table(phase=[0.25, 0.0], orientation=[0.0, np.nan])
        movie = presented_gratings(table, degrees_per_pixel=1.0, screen=screen)
        assert movie.frames[0][0, 4] == pytest.approx(0.8)
        assert not movie.frames[150:].any()

    def test_errors(self):
        with pytest.raises(ValueError, match="lacks the column orientation"):
            presented_gratings(self.table().drop(columns="orientation"), degrees_per_pixel=1.0)
        with pytest.raises(ValueError, match="must stop after they start, and not overlap"):
            presented_gratings(self.table(stop_time=[11.9, 12.0]), degrees_per_pixel=1.0)
