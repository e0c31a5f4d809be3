"""The smallest sets of channels, against brute force and against a known wiring."""

from itertools import combinations

import numpy as np
import pytest

from retina_codec.causal import minimal_circuit, preserved
from retina_codec.networks import DeepRetina, predict, windows_for
from retina_codec.simulation import Circuit
from retina_codec.stimuli import Screen, white_noise, windows


@pytest.fixture(scope="module")
def samples():
    return windows(white_noise(n_frames=90, screen=Screen((12, 12))), 5)


def deep_retina(n_channels):
    return DeepRetina(
        shape=(12, 12),
        history=5,
        typical_rate_hz=[30.0, 30.0],
        channels=(n_channels, 3),
        kernels=(5, 3),
    ).eval()


def brute_force(network, samples, layer, n_channels, size, outputs):
    whole = predict(network, samples)[:, outputs]
    errors = {}
    for channels in combinations(range(n_channels), size):
        with preserved(network, layer, channels):
            kept = predict(network, samples)[:, outputs]
        errors[channels] = ((whole - kept) ** 2).sum() / ((whole - whole.mean(0)) ** 2).sum()
    return errors


@pytest.mark.parametrize("outputs", [None, [1]])
def test_small_layers_give_the_true_minimum(samples, outputs):
    network = deep_retina(4)
    table = minimal_circuit(network, samples, "relu1", outputs=outputs, progress=False)
    assert table["n_channels"].tolist() == [1, 2, 3, 4]
    for row in table.itertuples():
        errors = brute_force(network, samples, "relu1", 4, row.n_channels, outputs or [0, 1])
        best = min(errors, key=errors.get)
        assert row.channels == ", ".join(map(str, best))
        assert row.error == pytest.approx(errors[best], rel=1e-4, abs=1e-9)
        others = [error for channels, error in errors.items() if channels != best]
        if others:
            assert row.random_error == pytest.approx(np.mean(others), rel=1e-4)
            assert row.error <= row.random_low <= row.random_high
    assert table["error"].iloc[-1] == 0


def test_large_layers_are_thinned_out_step_by_step(samples):
    network = deep_retina(12)
    table = minimal_circuit(network, samples, "relu1", n_controls=3, n_samples=40, progress=False)
    sets = [set(row.split(", ")) for row in table["channels"]]
    assert [len(channels) for channels in sets] == list(range(1, 13))
    assert all(small < large for small, large in zip(sets, sets[1:], strict=False))
    assert (table["error"] <= table["random_error"].fillna(np.inf) + 1e-9)[3:].all()


def test_wiring_of_the_circuit_comes_back():
    """Off sustained cells read OFF slow (3), and ON slow (2) through their amacrine cell."""
    circuit = Circuit(shape=(24, 24), history=25, cells_per_type=1)
    movie = white_noise(n_frames=150, check_px=3, screen=Screen((24, 24)))
    samples = windows_for(circuit, movie)
    for cell, wanted in enumerate(({0, 1}, {2, 3}, {2, 3}, {0, 1})):
        table = minimal_circuit(
            circuit, samples, "bipolar", error=1e-9, outputs=[cell], progress=False
        )
        found = table.loc[table["minimal"] == 1, "channels"].item()
        assert set(map(int, found.split(", "))) == wanted
    assert circuit.cells["cell_type"].tolist()[1] == "OFF sustained"


def test_a_looser_error_needs_fewer_channels(samples):
    network = deep_retina(4)
    sizes = [
        minimal_circuit(network, samples, "relu1", error=error, progress=False)
        .query("minimal == 1")["n_channels"]
        .item()
        for error in (1e-6, 0.5, 1e9)
    ]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] == 1


def test_errors(samples):
    network = deep_retina(3)
    with pytest.raises(ValueError, match="'error' must be above 0, got 0"):
        minimal_circuit(network, samples, "relu1", error=0.0)
    with pytest.raises(ValueError, match=r"outputs 0 to 1; expected some of them, got \[2\]"):
        minimal_circuit(network, samples, "relu1", outputs=[2], progress=False)
    with pytest.raises(ValueError, match="do not vary over 10 samples"):
        minimal_circuit(network, samples[[0] * 10], "relu1", progress=False)
    assert not any(module._forward_hooks for module in network.modules())
