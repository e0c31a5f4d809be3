"""Other attributions beside slow versions of their formulas, one sample at a time."""

import numpy as np
import pytest
import torch

from retina_codec.contributions import (
    activation_times_gradient,
    activation_times_unit_gradient,
    activations,
    integrated_gradients,
    internal_influence,
    one_cell,
    population_sum,
    removal_effects,
    smooth_gradient,
    unpooled,
)
from retina_codec.networks import DeepRetina

LAYERS = ["relu1", "relu2"]


@pytest.fixture(scope="module")
def network():
    made = DeepRetina(
        shape=(14, 14), history=6, typical_rate_hz=[4.0, 9.0, 6.0], kernels=(5, 3), seed=1
    )
    made.train()
    with torch.no_grad():
        for seed in range(5):
            made(torch.randn(64, 6, 14, 14, generator=torch.manual_seed(seed)))
    return made.double().eval()


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).normal(size=(4, 6, 14, 14))


def looked_at(network, sample, layer, instead=None):
    """Rate of cell 1, units of a layer and gradient, for one sample."""
    seen = {}

    def hook(module, inputs, output):
        output = output if instead is None else instead(output)
        seen["z"] = output.detach().requires_grad_()
        return seen["z"]

    handle = network.get_submodule(layer).register_forward_hook(hook)
    value = network(torch.as_tensor(sample)[None])[0, 1]
    handle.remove()
    (gradient,) = torch.autograd.grad(value, seen["z"])
    return value.item(), seen["z"].detach()[0], gradient[0]


def slow_product(network, sample, layer):
    _, units, gradient = looked_at(network, sample, layer)
    return units * gradient


def slow_activations(network, sample, layer):
    return looked_at(network, sample, layer)[1]


def slow_unit_product(network, sample, layer):
    _, units, gradient = looked_at(network, sample, layer)
    return units * gradient / gradient.square().sum().sqrt()


def slow_influence(network, sample, layer):
    seen = [looked_at(network, i / 6 * sample, layer) for i in range(7)]
    total = torch.zeros_like(seen[0][1])
    for i in range(6):
        total += (seen[i][2] + seen[i + 1][2]) / 2
    return (seen[-1][1] - seen[0][1]) * total / 6


def slow_smooth(network, sample, layer):
    generator = torch.Generator().manual_seed(3)
    total = 0.0
    for _ in range(5):
        noise = torch.randn(sample.shape, generator=generator).double().numpy()
        total = total + slow_product(network, sample + 0.3 * noise, layer)
    return total / 5


CASES = {
    "activations": (activations, {}, slow_activations),
    "product": (activation_times_gradient, {}, slow_product),
    "unit product": (activation_times_unit_gradient, {}, slow_unit_product),
    "influence": (internal_influence, {"n_steps": 6}, slow_influence),
    "smooth": (smooth_gradient, {"n_copies": 5, "noise": 0.3, "seed": 3}, slow_smooth),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_formula(network, samples, case, layer):
    method, parameters, slow = CASES[case]
    given = {"layers": LAYERS, "target": one_cell(1), "pooling": unpooled, "progress": False}
    record = method(network, samples, **given, **parameters)[layer]
    for sample, found in zip(samples, record.values, strict=True):
        expected = slow(network, sample, layer).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(expected).max())
    change = record.target_value - record.baseline_value
    np.testing.assert_allclose(record.gap, change - record.values.sum(axis=(1, 2, 3)))


@pytest.mark.parametrize("layer", LAYERS)
def test_removal_is_what_the_rate_loses(network, samples, layer):
    given = {"layers": LAYERS, "target": one_cell(1), "progress": False}
    record = removal_effects(network, samples, **given)[layer]
    assert record.channel.tolist() == list(range(8)) and not record.sign.any()
    for sample, found in zip(samples, record.values, strict=True):
        whole, _, _ = looked_at(network, sample, layer)
        _, blank, _ = looked_at(network, 0 * sample, layer)
        for channel in range(8):

            def without(units, channel=channel, blank=blank):
                units = units.clone()
                units[:, channel] = blank[channel]
                return units

            left, _, _ = looked_at(network, sample, layer, instead=without)
            assert found[channel] == pytest.approx(whole - left, abs=1e-9)


def test_contributions_rank_channels_as_their_removal_does(network, samples):
    given = {"layers": ["relu2"], "target": one_cell(1), "progress": False}
    truth = removal_effects(network, samples, **given)["relu2"].values
    signed = integrated_gradients(network, samples, **given)["relu2"].values
    channels = signed[:, :8] + signed[:, 8:]
    assert np.corrcoef(truth.ravel(), channels.ravel())[0, 1] > 0.9


def test_several_targets_give_what_each_gives_alone(network, samples):
    targets = [one_cell(0), one_cell(2), population_sum()]
    for method in (smooth_gradient, removal_effects, activation_times_gradient):
        together = method(network, samples, layers=LAYERS, target=targets, progress=False)
        assert list(together) == ["cell 0", "cell 2", "population sum"]
        for target, records in zip(targets, together.values(), strict=True):
            alone = method(network, samples, layers=LAYERS, target=target, progress=False)
            for layer in LAYERS:
                np.testing.assert_allclose(
                    records[layer].values, alone[layer].values, rtol=1e-9, atol=1e-12
                )


def test_senseless_numbers_of_copies_are_refused(network, samples):
    with pytest.raises(ValueError, match="'n_copies' >= 1 and 'noise' >= 0, got 0 and -1.0"):
        smooth_gradient(network, samples, layers=LAYERS, target=one_cell(0), n_copies=0, noise=-1.0)
    with pytest.raises(ValueError, match="'n_steps' must be at least 1, got 0"):
        internal_influence(network, samples, layers=LAYERS, target=one_cell(0), n_steps=0)
