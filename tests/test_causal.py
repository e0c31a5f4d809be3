import numpy as np
import pandas as pd
import pytest
import torch

from retina_codec.causal import ablated, channels_of_mode, effects, preserved, selectivity
from retina_codec.datatypes import Effects, Modes
from retina_codec.networks import DeepRetina, predict
from retina_codec.stimuli import Screen, white_noise, windows


@pytest.fixture
def network():
    network = DeepRetina(
        shape=(12, 12), history=5, typical_rate_hz=[30.0, 30.0], channels=(4, 3), kernels=(5, 3)
    )
    return network.eval()


@pytest.fixture
def samples():
    return windows(white_noise(n_frames=150, screen=Screen((12, 12))), 5)


def modes_of(dictionary, layer="relu1"):
    dictionary = np.asarray(dictionary, dtype=float)
    n_modes, n_features = dictionary.shape
    n_channels = n_features // 2
    return Modes(
        dictionary=dictionary,
        loadings=np.ones((10, n_modes)),
        sample=np.arange(10),
        held_out=np.zeros(10, dtype=bool),
        channel=np.tile(np.arange(n_channels), 2),
        sign=np.repeat([1, -1], n_channels),
        offset=np.zeros(n_features),
        firing=np.full(n_modes, 10),
        r2=1.0,
        r2_train=1.0,
        scale=1.0,
        n_dead=0,
        layer=layer,
        target="test",
        method="test",
        seed=0,
    )


def with_zeroed_weights(network, channels):
    """Remove channels of the first layer by cutting what reads them: the slow, obvious way."""
    before = network.conv2.weight.data.clone()
    network.conv2.weight.data[:, list(channels)] = 0
    return before


@pytest.mark.parametrize("channels", [[0], [1, 3], []])
def test_ablation_is_cutting_the_wires(network, samples, channels):
    with ablated(network, "relu1", channels):
        found = predict(network, samples)
    with_zeroed_weights(network, channels)
    np.testing.assert_allclose(found, predict(network, samples), rtol=1e-5)


def test_preserving_is_cutting_all_others(network, samples):
    with preserved(network, "relu1", [2]):
        found = predict(network, samples)
    with_zeroed_weights(network, [0, 1, 3])
    np.testing.assert_allclose(found, predict(network, samples), rtol=1e-5)


@pytest.mark.parametrize("change", [ablated, preserved])
def test_network_comes_back_even_after_an_error(network, samples, change):
    before = predict(network, samples)
    with pytest.raises(RuntimeError, match="on purpose"), change(network, "relu2", [0]):
        raise RuntimeError("on purpose")
    np.testing.assert_array_equal(predict(network, samples), before)
    assert not any(module._forward_hooks for module in network.modules())


def test_wrong_names_are_told(network, samples):
    with (
        pytest.raises(ValueError, match="there is no 4"),
        ablated(network, "relu1", [4]),
    ):
        predict(network, samples)
    with pytest.raises(ValueError, match="Did you mean 'relu1'"), ablated(network, "rely1", [0]):
        pass


def test_channels_of_a_mode_carry_its_weight():
    modes = modes_of([[5, 0, 0, 1, 0, 0, 4, 0], [1, 1, 1, 1, 1, 1, 1, 1]])
    assert channels_of_mode(modes, 0, share=0.5) == [0]
    assert channels_of_mode(modes, 0, share=0.9) == [0, 2]
    assert channels_of_mode(modes, 0, share=1.0) == [0, 2, 3]
    assert len(channels_of_mode(modes, 1, share=0.5)) == 2


def test_effects_are_predictions_without_the_channels(network, samples):
    modes = modes_of([[9, 0, 0, 0, 0, 0, 0, 0], [0, 4, 0, 5, 0, 0, 0, 0]])
    record = effects(network, samples, modes, share=0.9, n_controls=3, progress=False)
    table = record.conditions
    np.testing.assert_array_equal(record.baseline, predict(network, samples))
    assert table.groupby("mode")["control"].sum().tolist() == [3, 3]
    for row, perturbed in zip(table.itertuples(), record.perturbed, strict=True):
        channels = [int(c) for c in row.channels.split(", ")]
        with ablated(network, "relu1", channels):
            np.testing.assert_array_equal(perturbed, predict(network, samples))
    own = table[table["control"] == 0]
    assert own["channels"].tolist() == ["0", "1, 3"]
    controls = table[table["control"] == 1]
    assert not set(controls["channels"]) & set(own["channels"])
    assert not controls.duplicated(["mode", "channels"]).any()


def test_effects_take_samples_evenly(network, samples):
    modes = modes_of([[1, 0, 0, 0, 0, 0, 0, 0]])
    record = effects(network, samples, modes, n_samples=10, progress=False)
    assert len(record.sample) == 10
    assert record.sample[0] == samples.sample[0] and record.sample[-1] == samples.sample[-1]


def test_effects_can_be_done_again(network, samples):
    modes = modes_of([[1, 0, 0, 0, 0, 2, 0, 0]])
    one, two = (effects(network, samples, modes, seed=4, progress=False) for _ in range(2))
    np.testing.assert_array_equal(one.perturbed, two.perturbed)


def test_wide_layers_get_random_controls():
    torch.manual_seed(0)
    network = DeepRetina(
        shape=(12, 12), history=5, typical_rate_hz=[30.0], channels=(20, 3), kernels=(5, 3)
    )
    samples = windows(white_noise(n_frames=20, screen=Screen((12, 12))), 5)
    dictionary = np.zeros((1, 40))
    dictionary[0, [3, 7]] = 1
    record = effects(
        network, samples, modes_of(dictionary), share=1.0, n_controls=8, progress=False
    )
    controls = record.conditions[record.conditions["control"] == 1]
    assert 6 <= len(controls) <= 8
    assert (controls["n_channels"] == 2).all()


# ---- selectivity


def effects_of(lost):
    """Effects of two modes and one control each on three cells; what each condition takes away."""
    lost = np.asarray(lost, dtype=float)
    conditions = pd.DataFrame({"mode": [0, 0, 1, 1], "control": [0, 1, 0, 1], "draw": [0, 1, 0, 1]})
    baseline = np.full((5, 3), 10.0)
    return Effects(
        baseline=baseline,
        perturbed=baseline[None] * (1 - lost[:, None, :]),
        conditions=conditions,
        sample=np.arange(5),
        layer="relu1",
    )


def test_selectivity_is_what_a_cell_loses_beyond_others_and_beyond_chance():
    effects = effects_of([[0.9, 0.2, 0.1], [0.5, 0.4, 0.3], [0.0, 0.6, 0.6], [0.0, 0.0, 0.0]])
    correlations = np.array([[0.8, 0.1], [0.1, 0.9], [np.nan, 0.3]])
    first = (0.9 - 0.15) - (0.5 - 0.35)
    np.testing.assert_allclose(selectivity(effects, correlations), [first, 0.3, 0.3])


def test_selectivity_is_nan_for_silent_cells_and_without_controls(as_user):
    effects = effects_of(np.zeros((4, 3)))
    effects.baseline[:, 1], effects.perturbed[:, :, 1] = 0, 0
    correlations = np.eye(3)[:, :2]
    np.testing.assert_array_equal(np.isnan(selectivity(effects, correlations)), [0, 1, 0])
    effects.conditions["control"] = 0
    assert np.isnan(selectivity(effects, correlations)).all()
    with pytest.raises(ValueError, match="3 cells and 3 modes, the effects of 3 and 2"):
        selectivity(effects, np.eye(3))
