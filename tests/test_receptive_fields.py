import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from retina_codec.datatypes import Fields, Modes, Recording, Stimulus
from retina_codec.networks import DeepRetina
from retina_codec.receptive_fields import (
    active_modes,
    combinations,
    fields_of_combinations,
    instantaneous_fields,
    mean_fields,
    peak_position,
    separate_space_time,
    spike_triggered_average,
)
from retina_codec.stimuli import Screen, white_noise, windows


@pytest.fixture
def recording():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, size=(5000, 4, 5)).astype(np.uint8)
    rates = rng.poisson(0.5, size=(5000, 3)) * 30.0
    rates[100:200, 1] = np.nan
    rates[:, 2] = 0
    return Recording(
        stimulus=Stimulus(frames=frames, frame_rate_hz=30.0),
        rates=rates,
        cells=pd.DataFrame({"kind": ["a", "b", "silent"]}),
        splits={"train": (0, 4500), "test": (4500, 5000)},
    )


def modes_of(loadings):
    loadings = np.asarray(loadings, dtype=float)
    n_samples, n_modes = loadings.shape
    return Modes(
        dictionary=np.eye(n_modes, 4),
        loadings=loadings,
        sample=np.arange(n_samples),
        held_out=np.zeros(n_samples, dtype=bool),
        channel=np.arange(4),
        sign=np.ones(4, dtype=int),
        offset=np.zeros(4),
        firing=(loadings > 0).sum(axis=0),
        r2=1.0,
        r2_train=1.0,
        scale=1.0,
        n_dead=0,
        layer="relu1",
        target="test",
        method="test",
        seed=0,
    )


def slow_sta(recording, history, cell):
    frames = recording.stimulus.frames.astype(float)
    sums, spikes, seen = 0, 0, []
    start, stop = recording.splits["train"]
    for t in range(start + history, stop):
        seen.append(frames[t - 1])
        rate = recording.rates[t, cell]
        if np.isfinite(rate):
            sums = sums + rate * frames[t - history : t]
            spikes += rate
    return sums / spikes - np.mean(seen)


def test_sta_agrees_with_slow_definition(recording):
    fields = spike_triggered_average(recording, history=6)
    for cell in range(2):
        np.testing.assert_allclose(fields.values[cell], slow_sta(recording, 6, cell), atol=0.02)
    assert np.isnan(fields.values[2]).all()
    assert fields.items["kind"].tolist() == ["a", "b", "silent"]


def test_sta_needs_more_than_its_history(recording):
    with pytest.raises(ValueError, match="'test' has 500 frames; a history of 500 needs more"):
        spike_triggered_average(recording, history=500, split="test")


@pytest.fixture
def network():
    network = DeepRetina(
        shape=(12, 12), history=5, typical_rate_hz=[30.0, 30.0, 30.0], kernels=(5, 3), seed=2
    )
    return network.eval()


@pytest.fixture
def samples():
    return windows(white_noise(n_frames=200, screen=Screen((12, 12))), 5)


def test_irf_is_the_finite_difference(network, samples):
    network = network.double()
    fields = instantaneous_fields(network, samples, cells=[2, 0], index=[17])
    window = torch.as_tensor(samples[[17]]).double()
    for place in [(0, 1, 2), (3, 6, 6), (4, 11, 0)]:
        step = torch.zeros_like(window)
        step[(0, *place)] = 1e-6
        with torch.no_grad():
            slope = (network(window + step) - network(window - step))[0] / 2e-6
        assert fields.values[(0, *place)] == pytest.approx(slope[2].item(), abs=1e-5)
        assert fields.values[(1, *place)] == pytest.approx(slope[0].item(), abs=1e-5)
    assert fields.items["cell"].tolist() == [2, 0]
    np.testing.assert_allclose(fields.items["time_s"], samples.sample[17])


def test_irfs_leave_the_network_alone(network, samples):
    network.train()
    instantaneous_fields(network, samples, cells=[0], index=[0, 1])
    assert network.training and all(p.requires_grad for p in network.parameters())
    assert all(p.grad is None for p in network.parameters())


def test_separation_agrees_with_svd():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 7, 4, 6))
    values[4] = np.nan
    fields = Fields(values=values, items=pd.DataFrame({"cell": range(5)}), frame_rate_hz=30.0)
    separated = separate_space_time(fields)
    for item in range(4):
        u, s, v = np.linalg.svd(values[item].reshape(7, -1), full_matrices=False)
        rank_one = np.multiply.outer(separated.time_course[item], separated.space[item])
        np.testing.assert_allclose(
            rank_one.reshape(7, -1), s[0] * np.outer(u[:, 0], v[0]), atol=1e-10
        )
        assert separated.separability[item] == pytest.approx(s[0] ** 2 / (s**2).sum())
        course = separated.time_course[item]
        assert course[np.abs(course).argmax()] > 0
    assert np.isnan(separated.space[4]).all() and np.isnan(separated.separability[4])


def test_peak_position_is_the_strongest_pixel():
    field = np.zeros((3, 5, 6))
    field[:, 2, 4] = [1, -3, 1]
    assert peak_position(field) == (2, 4)


def test_active_is_measured_by_the_modes_own_strength():
    loadings = np.zeros((200, 2))
    loadings[:20, 0], loadings[20:40, 0] = 100.0, 10.0
    loadings[:20, 1], loadings[20:40, 1] = 0.02, 0.019
    active = active_modes(modes_of(loadings), threshold=0.25)
    assert active[:, 0].sum() == 20
    assert active[:, 1].sum() == 40


def test_combinations_are_counted():
    loadings = np.zeros((100, 3))
    loadings[:30, 0] = 1
    loadings[20:60, 2] = 1
    table = combinations(modes_of(loadings))
    expected = {"none": 40, "2": 30, "0": 20, "0, 2": 10}
    assert dict(zip(table["combination"], table["n_samples"], strict=True)) == expected
    assert table["share"].sum() == pytest.approx(1)


def test_fields_of_combinations_are_means_of_irfs(network, samples):
    loadings = np.zeros((len(samples), 2))
    loadings[::3, 0] = 1
    loadings[1::5, 1] = 1
    modes = modes_of(loadings)
    fields = fields_of_combinations(
        network, samples, modes, cells=[0, 2], most=3, samples_each=500, least_rate_hz=0.0
    )
    assert fields.items["combination"].tolist()[::2] == ["0", "1", "0, 1"]
    only_first = np.flatnonzero((loadings[:, 0] > 0) & (loadings[:, 1] == 0))
    single = instantaneous_fields(network, samples, cells=[0, 2], index=only_first)
    expected = np.asarray(single.values).reshape(len(only_first), 2, 5, 12, 12).mean(axis=0)
    np.testing.assert_allclose(fields.values[:2], expected, atol=1e-5)
    assert fields.items["n_samples"].tolist()[0] == len(only_first)


def test_mean_field_is_the_mean_of_irfs(network, samples):
    found = mean_fields(network, samples, cells=[2, 0], n_samples=4)
    index = np.linspace(0, len(samples) - 1, 4).astype(int)
    single = instantaneous_fields(network, samples, cells=[2, 0], index=index)
    expected = np.asarray(single.values).reshape(4, 2, 5, 12, 12).mean(axis=0)
    np.testing.assert_allclose(found.values, expected, atol=1e-5)


def test_silent_cells_have_no_field(network, samples):
    modes = modes_of(np.ones((len(samples), 1)))
    fields = fields_of_combinations(network, samples, modes, cells=[0], least_rate_hz=1e9)
    assert np.isnan(fields.values).all() and fields.items["n_samples"].tolist() == [0]


def test_modes_of_other_samples_are_refused(network, samples):
    with pytest.raises(ValueError, match="The modes have 7 samples, but 195 samples were given"):
        fields_of_combinations(network, samples, modes_of(np.ones((7, 1))), cells=[0])


def test_linear_network_has_one_field():
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 2, bias=False))
    batch = np.random.default_rng(0).normal(size=(6, 3, 4, 4)).astype(np.float32)
    fields = instantaneous_fields(network, batch, cells=[1], index=[0, 5], frame_rate_hz=10.0)
    weight = network[1].weight[1].detach().numpy().reshape(3, 4, 4)
    np.testing.assert_allclose(fields.values, np.stack([weight, weight]), atol=1e-7)
