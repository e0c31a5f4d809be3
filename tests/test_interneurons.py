"""Interneurons beside units: the right unit is found, a shifted recording is not called."""

import numpy as np
import pytest
import torch

from retina_codec.networks import predict, windows_for
from retina_codec.simulation import Circuit
from retina_codec.statistics import interneuron_matches, pearson, time_blocks
from retina_codec.stimuli import Screen, natural_scenes

SIZE = 14


class Part(torch.nn.Module):
    """Some layers of a circuit as a network of their own."""

    def __init__(self, circuit, *layers):
        super().__init__()
        self.history, self.normalisation = circuit.history, circuit.normalisation
        self.layers = torch.nn.Sequential(*layers)

    def forward(self, window):
        return self.layers(window).flatten(1)


@pytest.fixture(scope="module")
def layers():
    circuit = Circuit(shape=(24, 24), history=25, cells_per_type=1, seed=1)
    movie = natural_scenes(n_frames=3000, screen=Screen((24, 24)), seed=11)
    samples = windows_for(circuit, movie)
    bipolar = predict(Part(circuit, circuit.bipolar), samples)
    return bipolar, predict(Part(circuit, circuit.bipolar, circuit.amacrine), samples)


def unit(channel, y, x):
    return channel * SIZE**2 + y * SIZE + x


def recordings(bipolar):
    """Two noisy bipolar cells, fast ON and slow ON, and the same shifted in time."""
    true = bipolar[:, [unit(0, 5, 5), unit(2, 7, 7)]].astype(float)
    noise = np.random.default_rng(0).normal(size=true.shape)
    noisy = true + true.std(axis=0) * noise
    return np.hstack([noisy, np.roll(noisy, 1300, axis=0)])


def test_bipolar_cells_are_found_among_bipolar_units_and_shifted_ones_are_not_called(layers):
    recorded = recordings(layers[0])
    recorded[200:500, 0] = np.nan
    table = interneuron_matches(recorded, layers[0], n_draws=60)
    assert table["unit"][:2].tolist() == [unit(0, 5, 5), unit(2, 7, 7)]
    assert (table["q"] < 0.05).tolist() == [True, True, False, False]
    assert (table["r"][:2] > 0.5).all() and (table["r"][2:] < table["chance_high"][2:]).all()


def test_bipolar_cells_go_with_the_amacrine_channel_that_pools_them(layers):
    table = interneuron_matches(recordings(layers[0]), layers[1], n_draws=60)
    channel = table["unit"] // SIZE**2
    assert channel[:2].tolist() == [0, 1]
    assert (table["q"] < 0.05).tolist() == [True, True, False, False]


def test_r_agrees_with_a_loop():
    rng = np.random.default_rng(0)
    units = rng.normal(3, 1, size=(500, 6))
    recorded = units[:, [4, 1]] + 2 * rng.normal(size=(500, 2)) - 50
    recorded[rng.random(500) < 0.2, 0] = np.nan
    table = interneuron_matches(recorded, units, n_draws=1)
    r = np.zeros((5, 2))
    for fold in range(5):
        out = time_blocks(500, fold=fold)
        best = pearson(units[~out], recorded[~out]).argmax(axis=0)
        held_out = pearson(units[out], recorded[out])
        r[fold] = held_out[best, [0, 1]]
    np.testing.assert_allclose(table["r"], r.mean(axis=0))
    np.testing.assert_allclose(table["r_all"], pearson(units, recorded).max(axis=0))


def test_noise_is_called_as_often_as_p_says():
    rng = np.random.default_rng(0)
    units, recorded = rng.normal(size=(400, 30)), rng.normal(size=(400, 100))
    table = interneuron_matches(recorded, units, n_draws=40)
    assert np.mean(table["p"] < 0.05) < 0.12
    assert table["r_all"].mean() > 0.1 and abs(table["r"].mean()) < 0.03
    assert np.mean((table["low"] < 0) & (table["high"] > 0)) > 0.7


def test_interneuron_that_was_never_seen_goes_with_nothing():
    units = np.random.default_rng(0).normal(size=(100, 3))
    recorded = np.column_stack([units[:, 1], np.full(100, np.nan)])
    table = interneuron_matches(recorded, units, n_draws=20)
    assert table["r"].round(6).tolist() == [1, 0]
    assert table["p"][0] < 0.05 and table["p"][1] == 1


def test_messages(as_user):
    with pytest.raises(ValueError, match="same number of samples, got 40 and 41"):
        interneuron_matches(np.zeros((40, 1)), np.zeros((41, 1)))
    with pytest.raises(ValueError, match="'units' holds NaN; only 'recorded' may"):
        interneuron_matches(np.zeros((40, 1)), np.full((40, 1), np.nan))
    with pytest.raises(ValueError, match="'n_draws' must be at least 1, got 0"):
        interneuron_matches(np.zeros((40, 1)), np.zeros((40, 1)), n_draws=0)
