"""Doses of modes: conditions beside a slow version, predictions where they are exact."""

import numpy as np
import pytest
import torch
from torch import nn

from retina_codec.causal import dose_curve, dose_summary, grey, mean, resampled, zero
from retina_codec.causal._conditions import fields_under, responses_under
from retina_codec.contributions import hooked, integrated_gradients, population_sum, surprisal
from retina_codec.decomposition import SparseModes, decompose
from retina_codec.networks import DeepRetina, predict, windows_for
from retina_codec.simulation import Circuit
from retina_codec.stimuli import Screen, natural_scenes, white_noise, windows


@pytest.fixture(scope="module")
def network():
    made = DeepRetina(shape=(14, 14), history=6, typical_rate_hz=[20.0] * 3, kernels=(5, 3), seed=2)
    return made.eval()


@pytest.fixture(scope="module")
def samples():
    return windows(white_noise(n_frames=40, screen=Screen((14, 14))), 6)


@pytest.mark.parametrize("layer", ["relu1", "relu2"])
@pytest.mark.parametrize("replacement", [grey, zero, mean, resampled(3)])
def test_conditions_agree_with_one_pass_for_each(network, samples, layer, replacement):
    batch = samples[:6]
    factors = np.random.default_rng(0).uniform(size=(4, 6, 8))
    instead = replacement(network, layer, batch)
    found = responses_under(network, batch, {layer: factors}, {layer: instead})
    fields = list(fields_under(network, batch, layer, factors, instead, [2, 0]))
    for condition, factor in enumerate(factors):
        by = torch.as_tensor(factor[:, :, None, None]).float()

        def scale(_, output, by=by):
            return instead + by * (output - instead)

        window = torch.as_tensor(batch).requires_grad_()
        with hooked(network, [layer], scale):
            output = network(window)
        np.testing.assert_allclose(found[condition], output.detach(), rtol=1e-4, atol=1e-4)
        for place, cell in enumerate([2, 0]):
            (expected,) = torch.autograd.grad(output[:, cell].sum(), window, retain_graph=True)
            np.testing.assert_allclose(fields[condition][:, place], expected, atol=1e-4)


def test_replacements_are_what_they_say(network, samples):
    batch, kept = samples[:5], {}
    with hooked(network, ["relu1"], lambda name, output: kept.setdefault(name, output)):
        network(torch.as_tensor(batch))
    units = kept["relu1"].detach()
    torch.testing.assert_close(mean(network, "relu1", batch)[0], units.mean(dim=0))
    assert not zero(network, "relu1", batch).any()
    shuffled = resampled(1)(network, "relu1", batch)
    assert sorted(shuffled.sum(dim=(1, 2, 3)).tolist()) == pytest.approx(
        sorted(units.sum(dim=(1, 2, 3)).tolist())
    )
    assert grey(network, "relu1", batch).shape == (1, *units.shape[1:])


def test_factors_of_another_layer_are_refused(network, samples):
    with pytest.raises(ValueError, match="puts out 8 channels, but the factors are for 3"):
        responses_under(
            network,
            samples[:2],
            {"relu1": np.ones((1, 2, 3))},
            {"relu1": torch.zeros(1, 1, 1, 1)},
        )


class Linear(nn.Sequential):
    """Convolution and dense layer, without any nonlinearity."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(nn.Conv2d(6, 5, 5), nn.Flatten(), nn.Linear(500, 4))


def curve_of(network, samples, layer, **options):
    record = integrated_gradients(
        network, samples, layers=[layer], target=population_sum(), n_steps=5, progress=False
    )[layer]
    modes = decompose(record, SparseModes(n_modes=6))
    return dose_curve(
        network, samples, record, modes, cells=[0, 1], progress=False, n_moments=8, **options
    )


def test_predictions_are_exact_in_a_linear_network():
    samples = windows(white_noise(n_frames=300, screen=Screen((14, 14)), check_px=2), 6)
    table = curve_of(Linear().eval(), samples, "0", target=population_sum(), n_steps=2)
    own = table[table["r"].notna()]
    assert set(own["quantity"]) == {"target", "response", "field"}
    np.testing.assert_allclose(own["r"], 1, atol=1e-4)
    np.testing.assert_allclose(own["slope"], 1, atol=1e-3)
    assert own["control_r_beyond"].mean() < 0.5


@pytest.fixture(scope="module")
def of_circuit():
    circuit = Circuit(shape=(24, 24), history=25, cells_per_type=2, seed=1)
    samples = windows_for(circuit, natural_scenes(n_frames=1500, screen=Screen((24, 24)), seed=2))
    target = surprisal(predict(circuit, samples))
    return curve_of(circuit, samples, "bipolar", target=target)


def test_modes_of_the_circuit_do_what_is_predicted_and_random_ones_do_not(of_circuit):
    summary = dose_summary(of_circuit)
    small = summary[(summary["dose"] <= 0.25) & (summary["kind"] == "removed")]
    for quantity in ("response", "field"):
        rows = small[small["quantity"] == quantity].set_index(["dose", "measure"])
        assert (rows["mode"].xs("r", level="measure") >= 0.8).all()
        beyond = rows.xs("r_beyond", level="measure")
        assert (beyond["mode"] >= 0.8).all() and (beyond["control"] < 0.3).all()
        assert (beyond["low"] > 0).all()


def test_more_of_a_mode_removes_more(of_circuit):
    responses = of_circuit[of_circuit["quantity"] == "response"]
    changes = responses.pivot_table(index="dose", columns=["kind", "mode"], values="change")
    assert (changes.abs().diff().dropna() > -1e-6).all().all()
    assert (of_circuit["low"] <= of_circuit["r"] + 1e-9)[of_circuit["low"].notna()].all()


def test_what_does_not_belong_together_is_told():
    samples = windows(white_noise(n_frames=300, screen=Screen((14, 14)), check_px=2), 6)
    network = Linear().eval()
    with pytest.raises(ValueError, match="doses above 0, up to 1, and at least one cell"):
        curve_of(network, samples, "0", doses=(5.0,))
    record = integrated_gradients(
        network, samples, layers=["0"], target=population_sum(), n_steps=2, progress=False
    )["0"]
    modes = decompose(record, SparseModes(n_modes=4))
    with pytest.raises(ValueError, match="294 samples, but 94 samples were given"):
        dose_curve(network, samples.part(0, 94), record, modes, cells=[0], progress=False)
