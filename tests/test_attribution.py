"""Channels sum to the field, modes and what they leave sum to it, on networks of all kinds."""

import numpy as np
import pytest
import torch
from torch import nn

from retina_codec.contributions import integrated_gradients, population_sum
from retina_codec.decomposition import NonNegativeFactors, SparseModes, decompose
from retina_codec.networks import DeepRetina, load_network, predict, windows_for
from retina_codec.receptive_fields import (
    attribute_to_channels,
    attribute_to_modes,
    instantaneous_fields,
    mean_parts,
    midpoints,
    separate_space_time,
    share_of_field,
    shares_of_modes,
    two_moments,
)
from retina_codec.simulation import Circuit
from retina_codec.stimuli import Screen, natural_scenes, white_noise

MODELS = __file__.replace("tests/test_attribution.py", "models")


def simulated():
    return Circuit(shape=(24, 24), history=25, cells_per_type=2, seed=1), ["bipolar"]


def fitted():
    return load_network(f"{MODELS}/simulated_retina"), ["relu1", "relu2"]


def of_published_size():
    network = DeepRetina(
        shape=(50, 50), history=40, typical_rate_hz=np.full(17, 10.0), kernels=(15, 11), seed=3
    )
    return network, ["conv1", "relu1", "relu2"]


NETWORKS = [simulated, fitted, pytest.param(of_published_size, marks=pytest.mark.slow)]


def movie_for(network, n_frames, seed=4):
    return windows_for(
        network,
        natural_scenes(
            n_frames=n_frames, screen=Screen(tuple(network.settings["shape"])), seed=seed
        ),
    )


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def summed(parts, n_items):
    values = np.asarray(parts.values, dtype=float)
    return values.reshape(n_items, -1, *values.shape[1:]).sum(axis=1)


@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: getattr(make, "__name__", None))
def test_channels_and_modes_sum_to_the_field(make):
    network, layers = make()
    samples = movie_for(network, network.history + 60)
    cells = range(0, predict(network, samples[:1]).shape[1], 4)
    index = np.random.default_rng(0).choice(len(samples), 4, replace=False)
    fields = np.asarray(instantaneous_fields(network, samples, cells=cells, index=index).values)
    records = integrated_gradients(
        network, samples, layers=layers, target=population_sum(), n_steps=3, progress=False
    )
    for layer in layers:
        parts = attribute_to_channels(network, samples, layer=layer, cells=cells, index=index)
        modes = decompose(records[layer], NonNegativeFactors(n_modes=3))
        shared = attribute_to_modes(parts, records[layer], modes)
        total = summed(parts, len(fields))
        of_modes = summed(shared, len(fields))
        for item, field in enumerate(fields):
            if np.abs(field).max() > 0:
                assert relative(total[item], field) < 1e-5, (layer, item)
                assert relative(of_modes[item], field) < 1e-5, (layer, item)
        assert shared.items["label"].tolist()[:4] == ["mode 0", "mode 1", "mode 2", "unexplained"]


@pytest.mark.parametrize("make", NETWORKS[:2], ids=lambda make: make.__name__)
def test_lazy_fields_are_the_gradients(make):
    """One backward pass at the window for each cell and moment: slow and obvious."""
    network, _ = make()
    network.eval()
    samples = movie_for(network, network.history + 20)
    fields = separate_space_time(
        instantaneous_fields(network, samples, cells=[3, 0], index=[5, 11])
    )
    for item, (moment, cell) in enumerate([(5, 3), (5, 0), (11, 3), (11, 0)]):
        window = torch.as_tensor(samples[[moment]]).requires_grad_()
        (expected,) = torch.autograd.grad(network(window)[0, cell], window)
        expected = expected[0].numpy()
        assert relative(fields.values[item], expected) < 1e-5
        u, s, v = np.linalg.svd(expected.reshape(len(expected), -1), full_matrices=False)
        found = np.outer(fields.time_course[item], fields.space[item])
        assert relative(found, s[0] * np.outer(u[:, 0], v[0])) < 1e-4
        assert fields.separability[item] == pytest.approx(s[0] ** 2 / (s**2).sum(), rel=1e-4)
        course = fields.time_course[item]
        assert course[np.abs(course).argmax()] > 0
    assert fields.values[1:3, -1].shape == (2, *network.settings["shape"])
    np.testing.assert_array_equal(fields.values[..., 3], np.asarray(fields.values)[..., 3])


def test_integrated_field_times_stimulus_is_the_change_of_the_response():
    network, _ = fitted()
    samples = movie_for(network, network.history + 20)
    fields = instantaneous_fields(
        network, samples, cells=[0, 1], index=[3, 9], points=midpoints(200)
    )
    parts = attribute_to_channels(
        network, samples, layer="relu2", cells=[0, 1], index=[3, 9], points=midpoints(200)
    )
    values = np.asarray(fields.values)
    assert relative(summed(parts, 4), values) < 1e-5
    grey = predict(network, np.zeros_like(samples[:1]))[0, :2]
    change = (predict(network, samples[[3, 9]])[:, :2] - grey).ravel()
    found = (values * samples[[3, 3, 9, 9]]).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(found, change, atol=0.02 * np.abs(change).max())
    at_sample = instantaneous_fields(network, samples, cells=[0, 1], index=[3, 9]).items
    np.testing.assert_allclose(fields.items["rate_hz"], at_sample["rate_hz"], rtol=1e-5)


def test_what_bypasses_a_layer_is_an_item_of_its_own():
    network, _ = simulated()
    samples = movie_for(network, network.history + 60)
    where = {"cells": [2], "index": [7]}
    parts = attribute_to_channels(network, samples, layer="amacrine", **where)
    assert parts.items["label"].tolist()[-2:] == ["channel 2", "bypassed"]
    field = instantaneous_fields(network, samples, **where).values[0]
    assert relative(summed(parts, 1)[0], field) < 1e-5
    with pytest.warns(UserWarning, match="also round layer amacrine"):
        record = integrated_gradients(
            network, samples, layers=["amacrine"], target=population_sum(), progress=False
        )["amacrine"]
    shared = attribute_to_modes(parts, record, decompose(record, NonNegativeFactors(n_modes=2)))
    assert shared.items["mode"].tolist() == [0, 1, -1, -2]
    assert relative(shared.values[3], parts.values[3]) < 1e-6
    assert relative(summed(shared, 1)[0], field) < 1e-5


def test_networks_without_a_convolution_are_split_too():
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 5), nn.Tanh(), nn.Linear(5, 2))
    batch = np.random.default_rng(0).normal(size=(6, 3, 4, 4)).astype(np.float32)
    where = {"cells": [1], "index": [0, 5], "frame_rate_hz": 10.0}
    fields = instantaneous_fields(network, batch, **where)
    assert isinstance(fields.values, np.ndarray)
    parts = attribute_to_channels(network, batch, layer="2", **where)
    assert relative(summed(parts, 2), fields.values) < 1e-5


def test_a_stimulus_that_enters_twice_is_not_taken_for_one_entrance():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.dense = nn.Conv2d(3, 2, 3), nn.Linear(48, 1)

        def forward(self, window):
            return (
                self.dense(window.flatten(1)) + self.conv(window).relu().sum(dim=(1, 2, 3))[:, None]
            )

    network = Skip()
    batch = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    where = {"cells": [0], "index": [1], "frame_rate_hz": 10.0}
    window = torch.as_tensor(batch[1:]).requires_grad_()
    (expected,) = torch.autograd.grad(network(window)[0, 0], window)
    fields = instantaneous_fields(network, batch, **where)
    assert relative(fields.values, expected.numpy()) < 1e-6
    parts = attribute_to_channels(network, batch, layer="conv", **where)
    assert parts.items["channel"].tolist() == [0, 1, -1]
    assert relative(summed(parts, 1), expected.numpy()) < 1e-5


@pytest.fixture(scope="module")
def explained():
    network, _ = simulated()
    samples = windows_for(
        network, white_noise(n_frames=400, screen=Screen((24, 24)), check_px=3, seed=0)
    )
    record = integrated_gradients(
        network, samples, layers=["bipolar"], target=population_sum(), n_steps=5, progress=False
    )["bipolar"]
    return network, samples, record, decompose(record, SparseModes(n_modes=6))


def test_shares_follow_their_rule(explained):
    _, _, record, modes = explained
    shares = shares_of_modes(record, modes)
    np.testing.assert_allclose(shares.sum(axis=2), 1)
    assert shares.min() >= 0
    moment, channel = 123, 2
    own = np.flatnonzero(modes.channel == channel)
    explain = [
        sum(abs(modes.loadings[moment, m] * modes.dictionary[m, f]) for f in own)
        for m in range(len(modes.dictionary))
    ]
    missed = 0
    for f in own:
        magnitude = record.values[moment, f] * modes.sign[f] / modes.scale
        missed += abs(magnitude - modes.loadings[moment] @ modes.dictionary[:, f])
    expected = np.array([*explain, missed]) / (sum(explain) + missed)
    np.testing.assert_allclose(shares[moment, channel], expected, rtol=1e-5)


def test_what_does_not_belong_together_is_refused(explained):
    network, samples, record, modes = explained
    fields = instantaneous_fields(network, samples, cells=[0], index=[1])
    with pytest.raises(ValueError, match="not split onto channels"):
        attribute_to_modes(fields, record, modes)
    parts = attribute_to_channels(network, samples, layer="amacrine", cells=[0], index=[1])
    with pytest.raises(ValueError, match="split onto 3 channels"):
        attribute_to_modes(parts, record, modes)
    with pytest.raises(ValueError, match="No layer 'bipola'"):
        attribute_to_channels(network, samples, layer="bipola", cells=[0], index=[1])


def test_shares_of_the_field_sum_to_one_and_two_moments_to_their_field(explained):
    network, samples, record, modes = explained
    index = np.arange(0, len(samples), 12)
    parts = attribute_to_channels(network, samples, layer="bipolar", cells=[2, 6], index=index)
    shared = attribute_to_modes(parts, record, modes)
    table = share_of_field(shared)
    np.testing.assert_allclose(table.groupby("cell")["share"].sum(), 1)
    assert (table["low"] <= table["share"]).all() and (table["share"] <= table["high"]).all()
    means = mean_parts(shared)
    fields = instantaneous_fields(network, samples, cells=[6], index=index)
    of_cell = np.asarray(means.values)[means.items["cell"] == 6].sum(axis=0)
    assert relative(of_cell, np.asarray(fields.values).mean(axis=0)) < 1e-4
    moments = two_moments(shared, cell=6, most=2)
    assert moments.items["label"].tolist()[:1] + moments.items["label"].tolist()[3:6] == [
        "IRF",
        "other modes",
        "unexplained",
        "IRF",
    ]
    maps = np.asarray(moments.values)[:, 0].reshape(2, 5, -1)
    np.testing.assert_allclose(maps[:, 1:].sum(axis=1), maps[:, 0], atol=1e-5)
    assert moments.items["sample"].nunique() == 2
    own = moments.items.groupby("sample")["share"].sum()
    np.testing.assert_allclose(own, 2)


def test_a_layer_before_the_entrance_is_split_too():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Identity(), nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(8, 1))
    batch = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    where = {"cells": [0], "index": [1], "frame_rate_hz": 10.0}
    parts = attribute_to_channels(network, batch, layer="0", **where)
    fields = instantaneous_fields(network, batch, **where)
    assert relative(summed(parts, 1), np.asarray(fields.values)) < 1e-5
    assert np.abs(parts.values).max() > 0


def test_lazy_fields_end():
    network, _ = simulated()
    samples = movie_for(network, network.history + 20)
    fields = instantaneous_fields(network.double(), samples, cells=[3, 0], index=[5])
    assert len(list(fields.values)) == 2
    with pytest.raises(IndexError, match="There are 2 fields, got number 2"):
        fields.values[2]
    assert np.isfinite(separate_space_time(fields).space).all()
    by_hand = (fields.values[0] + fields.values[1]) / 2
    assert relative(fields.values.mean(axis=0), by_hand) < 1e-12
