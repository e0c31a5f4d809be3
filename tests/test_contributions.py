import re
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerConductance
from torch import nn

from retina_codec import contributions
from retina_codec.contributions import (
    activation_times_gradient,
    by_sign,
    class_logit,
    class_probability,
    contrast,
    contrast_top2,
    entropy,
    integrated_gradients,
    of_probabilities,
    one_cell,
    over_space,
    population_sum,
    superclass,
    surprisal,
    top_class,
    unpooled,
)
from retina_codec.networks import DeepRetina
from retina_codec.simulation import Circuit
from retina_codec.stimuli import Screen, natural_scenes, windows

LAYERS = ["conv1", "relu1", "conv2", "relu2"]


@pytest.fixture
def network():
    """A small network with running statistics as after some training."""
    network = DeepRetina(
        shape=(14, 14), history=6, typical_rate_hz=[4.0, 9.0, 6.0], kernels=(5, 3), seed=1
    )
    network.train()
    with torch.no_grad():
        for seed in range(5):
            network(torch.randn(64, 6, 14, 14, generator=torch.manual_seed(seed)))
    return network.eval()


@pytest.fixture
def samples():
    return np.random.default_rng(0).normal(size=(9, 6, 14, 14)).astype(np.float32)


def slow_contributions(network, sample, layer, target, n_steps, baseline=0.0):
    """One sample, one layer, one step at a time, from the definition."""
    network = network.double()
    module = dict(network.named_modules())[layer]
    sample = torch.as_tensor(sample).double()
    at_sample = network(sample[None]).detach()
    units, gradients, values = [], [], []
    for i in range(n_steps + 1):
        seen = {}

        def keep(module, inputs, output, seen=seen):
            output.retain_grad()
            seen["z"] = output

        handle = module.register_forward_hook(keep)
        point = (baseline + i / n_steps * (sample - baseline))[None].requires_grad_()
        value = target(network(point), at_sample)[0]
        value.backward()
        handle.remove()
        units.append(seen["z"].detach()[0])
        gradients.append(seen["z"].grad[0])
        values.append(value.item())
    total = torch.zeros_like(units[0])
    for i in range(n_steps):
        total += 0.5 * (gradients[i] + gradients[i + 1]) * (units[i + 1] - units[i])
    network.float()
    return total.numpy(), values[-1] - values[0] - total.sum().item()


def training_output(network):
    draws = torch.randn(300, 6, 14, 14, generator=torch.manual_seed(3))
    return network(draws).detach().numpy()


def of_scaled(target):
    """The same target of outputs that are small, as logits are: rates of many Hz saturate it."""
    return lambda output, at_sample: target(output / 10, at_sample / 10)


TARGETS = {
    "one_cell": lambda network: one_cell(1),
    "class_logit": lambda network: class_logit(2),
    "population_sum": lambda network: population_sum(),
    "top_class": lambda network: top_class(),
    "class_probability": lambda network: of_scaled(class_probability(0)),
    "contrast": lambda network: contrast(2, 0),
    "contrast_top2": lambda network: contrast_top2(),
    "superclass": lambda network: superclass([0, 2]),
    "entropy": lambda network: of_scaled(entropy()),
    "of_probabilities": lambda network: of_scaled(of_probabilities(superclass([0, 1]))),
    "surprisal": lambda network: surprisal(training_output(network)),
    "users_own": lambda network: lambda output, at_sample: output[:, 0] * output[:, 1],
}


@pytest.mark.parametrize("make", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("layer", LAYERS)
def test_agrees_with_slow_definition(network, samples, make, layer):
    target = make(network)
    fast = integrated_gradients(
        network,
        samples[:3],
        layers=LAYERS,
        target=target,
        n_steps=7,
        pooling=unpooled,
        progress=False,
    )[layer]
    for i in range(3):
        slow, gap = slow_contributions(network, samples[i], layer, target, 7)
        scale = np.abs(slow).max()
        np.testing.assert_allclose(fast.values[i], slow, atol=1e-5 * scale)
        assert fast.gap[i] == pytest.approx(gap, abs=1e-4 * float(abs(slow).sum()))


def test_linear_network_gives_weight_times_input():
    network = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False))
    batch = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    for n_steps in (1, 6):
        result = integrated_gradients(
            network,
            batch,
            layers=["0"],
            target=one_cell(0),
            n_steps=n_steps,
            pooling=unpooled,
            progress=False,
        )["0"]
        first, second = (layer.weight.detach().numpy() for layer in network)
        np.testing.assert_allclose(result.values, second[0] * (batch @ first.T), atol=1e-6)
        np.testing.assert_allclose(result.gap, 0, atol=1e-6)


def relative_gap(network, samples, n_steps, layers=LAYERS):
    results = integrated_gradients(
        network, samples, layers=layers, target=population_sum(), n_steps=n_steps, progress=False
    )
    change = [np.abs(r.target_value - r.baseline_value).sum() for r in results.values()]
    return np.array([np.abs(r.gap).sum() for r in results.values()]) / change


def test_gap_falls_as_steps_rise(network, samples):
    gaps = np.array([relative_gap(network, samples, n) for n in (2, 8, 32, 128)])
    assert (np.diff(gaps, axis=0) < 0).all()
    assert gaps[-1].max() < 0.002


def test_gap_and_features_make_up_the_change(network, samples):
    for result in integrated_gradients(
        network, samples, layers=LAYERS, target=one_cell(0), progress=False
    ).values():
        total = result.values.sum(axis=1) + result.gap
        np.testing.assert_allclose(total, result.target_value - result.baseline_value, atol=1e-4)


def test_correlates_with_captum(network, samples):
    result = integrated_gradients(
        network,
        samples,
        layers=["relu1", "relu2"],
        target=one_cell(1),
        n_steps=50,
        pooling=unpooled,
        progress=False,
    )
    for layer, record in result.items():
        conductance = LayerConductance(network, getattr(network, layer))
        theirs = conductance.attribute(torch.as_tensor(samples), target=1, n_steps=50)
        r = np.corrcoef(theirs.detach().numpy().ravel(), record.values.ravel())[0, 1]
        assert r > 0.99


def test_batches_do_not_matter(network, samples):
    given = {"layers": LAYERS, "target": one_cell(0), "progress": False}
    one = integrated_gradients(network, samples, batch_size=1, **given)
    all_at_once = integrated_gradients(network, samples, batch_size=100, **given)
    for layer in LAYERS:
        np.testing.assert_allclose(one[layer].values, all_at_once[layer].values, atol=1e-4)


def test_baseline_is_where_the_path_begins(network, samples):
    given = {"layers": ["relu1"], "target": one_cell(0), "progress": False}
    mean = samples.mean(axis=0)
    result = integrated_gradients(network, samples, baseline=mean, n_steps=40, **given)["relu1"]
    at_mean = network(torch.as_tensor(mean)[None])[0, 0].item()
    np.testing.assert_allclose(result.baseline_value, at_mean, rtol=1e-5)
    to_itself = integrated_gradients(network, mean[None], baseline=mean, **given)["relu1"]
    np.testing.assert_allclose(to_itself.values, 0, atol=1e-6)


def test_top_class_stays_the_class_of_the_sample():
    network = nn.Sequential(nn.Linear(1, 2))
    network[0].weight.data = torch.tensor([[1.0], [3.0]])
    network[0].bias.data = torch.tensor([1.0, 0.0])
    result = integrated_gradients(
        network, np.ones((1, 1), np.float32), layers=["0"], target=top_class(), progress=False
    )["0"]
    assert result.target_value[0] == 3.0 and result.baseline_value[0] == 0.0


def test_surprisal_is_the_gaussian_likelihood():
    rng = np.random.default_rng(0)
    output = rng.multivariate_normal([5, 2], [[4, 1], [1, 9]], size=20_000)
    value = surprisal(output)(torch.tensor([[9.0, -1.0]]), torch.zeros(1, 2))
    away = np.array([9.0, -1.0]) - output.mean(axis=0)
    expected = 0.5 * away @ np.linalg.inv(np.cov(output.T)) @ away
    assert value.item() == pytest.approx(expected, rel=0.02)


def test_surprisal_survives_twins_and_silence():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(500, 1))
    output = np.hstack([one, one, np.zeros((500, 1))])
    value = surprisal(output)(torch.tensor([[1.0, 1.0, 0.0]]), torch.zeros(1, 3))
    assert torch.isfinite(value).all() and value.item() < 10


def test_split_by_sign_comes_before_the_sum():
    maps = torch.tensor([[[[1.0, -2.0], [3.0, -4.0]], [[0.0, 5.0], [0.0, 0.0]]]])
    pooled = by_sign(maps)
    assert pooled.values.tolist() == [[4.0, 5.0, -6.0, 0.0]]
    assert pooled.channel.tolist() == [0, 1, 0, 1]
    assert pooled.sign.tolist() == [1, 1, -1, -1]
    assert over_space(maps).values.tolist() == [[-2.0, 5.0]]
    assert by_sign(torch.tensor([[1.0, -2.0]])).values.tolist() == [[1.0, 0.0, 0.0, -2.0]]


def test_activation_times_gradient(network, samples):
    result = activation_times_gradient(
        network, samples[:1], layers=["relu2"], target=one_cell(0), pooling=unpooled, progress=False
    )["relu2"]
    kept = {}
    handle = network.relu2.register_forward_hook(lambda m, i, o: kept.update(z=o))
    value = network(torch.as_tensor(samples[:1]))[0, 0]
    handle.remove()
    (gradient,) = torch.autograd.grad(value, kept["z"])
    np.testing.assert_allclose(result.values, (kept["z"] * gradient).detach().numpy(), atol=1e-5)


def test_layer_that_is_no_cut_shows_its_bypass():
    circuit = Circuit(shape=(20, 20), history=20)
    movie = natural_scenes(n_frames=400, screen=Screen((20, 20)))
    with pytest.warns(UserWarning, match="reaches the target also round layer amacrine:"):
        results = integrated_gradients(
            circuit,
            windows(movie, 20),
            layers=["bipolar", "amacrine"],
            target=population_sum(),
            n_steps=40,
            progress=False,
        )
    assert (results["bipolar"].bypassed, results["amacrine"].bypassed) == (False, True)
    change = np.abs(results["bipolar"].target_value - results["bipolar"].baseline_value).sum()
    assert np.abs(results["bipolar"].gap).sum() < 0.01 * change
    assert np.abs(results["amacrine"].gap).sum() > 0.1 * change
    assert (results["amacrine"].values <= 1e-4).all()


def state(network):
    return (
        [module.training for module in network.modules()],
        [parameter.requires_grad for parameter in network.parameters()],
        [parameter.grad for parameter in network.parameters()],
        [parameter.dtype for parameter in network.parameters()],
        [len(module._forward_hooks) for module in network.modules()],
        [tensor.clone() for tensor in network.state_dict().values()],
    )


def assert_same_state(before, after):
    assert before[:-1] == after[:-1]
    assert all(torch.equal(a, b) for a, b in zip(before[-1], after[-1], strict=True))


def failing_target(output, at_sample):
    raise RuntimeError("on purpose")


@pytest.mark.parametrize("fails", [False, True])
def test_network_is_left_as_it_was(network, samples, fails):
    network.train()
    network.norm1.eval()
    network.conv2.weight.requires_grad_(False)
    before = state(network)
    given = {"layers": ["relu1"], "progress": False}
    if fails:
        with pytest.raises(RuntimeError, match="on purpose"):
            integrated_gradients(network, samples, target=failing_target, **given)
    else:
        integrated_gradients(network, samples, target=one_cell(0), **given)
    assert_same_state(before, state(network))


def test_gradients_begin_at_the_earliest_layer(network, samples):
    asked = []
    network.conv1.register_full_backward_hook(lambda *args: asked.append("conv1"))
    network.conv2.register_full_backward_hook(lambda *args: asked.append("conv2"))
    integrated_gradients(network, samples, layers=["relu1"], target=one_cell(0), progress=False)
    assert set(asked) == {"conv2"}


def test_operations_in_place_do_no_harm(samples):
    def build(inplace):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(6, 3, 3), nn.ReLU(inplace=inplace), nn.Flatten(), nn.Linear(432, 2)
        )

    given = {"layers": ["0", "1"], "target": one_cell(1), "progress": False}
    safe = integrated_gradients(build(False), samples, **given)
    risky = integrated_gradients(build(True), samples, **given)
    for layer in ("0", "1"):
        np.testing.assert_array_equal(safe[layer].values, risky[layer].values)


def test_dtype_of_the_network_is_kept(network, samples):
    result = integrated_gradients(
        network.double(), samples, layers=["relu1"], target=one_cell(0), progress=False
    )
    assert result["relu1"].values.dtype == np.float64


def test_layer_without_influence_contributes_nothing(samples):
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, x):
            self.unused(x)
            return self.used(x)

    batch = np.ones((2, 4), np.float32)
    with pytest.warns(UserWarning, match="also round layer unused:"):
        result = integrated_gradients(
            Branches(), batch, layers=["used", "unused"], target=one_cell(0), progress=False
        )
    assert (result["unused"].values == 0).all() and (result["used"].values != 0).any()


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.relu, self.idle = nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)

    def forward(self, x):
        return self.relu(self.linear(self.relu(x)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": ["line"]}, "No layer 'line' .* Did you mean 'linear'"),
        ({"layers": ["relu"]}, "'relu' runs more than once"),
        ({"layers": ["idle"]}, "'idle' did not run"),
        ({"n_steps": 0}, "'n_steps' must be at least 1, got 0"),
        ({"target": one_cell(7)}, "has 3 outputs, numbered from 0; there is no 7"),
        ({"target": lambda output, at_sample: output}, r"must give one number .* got \(\d+, 3\)"),
        ({"target": lambda output, at_sample: at_sample[:, 0]}, "does not depend on the layers"),
    ],
)
def test_bad_input_gets_a_clear_line(changes, message):
    given = {"layers": ["linear"], "target": one_cell(0), "progress": False}
    with pytest.raises(ValueError, match=message):
        integrated_gradients(Twice(), np.ones((2, 3), np.float32), **{**given, **changes})


def test_no_samples_are_refused(network, samples):
    with pytest.raises(ValueError, match="no samples"):
        integrated_gradients(
            network, samples[:0], layers=["relu1"], target=one_cell(0), progress=False
        )


def test_every_target_is_tested():
    path = Path(contributions.targets.__file__)
    public = re.findall(r"^def ([a-z]\w+)", path.read_text(), re.MULTILINE)
    assert set(public) - {"named", "name_of"} <= set(TARGETS)
