"""The fast engine beside the plain one, its rules, its tolerance, and networks of all kinds."""

import logging

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from retina_codec.contributions import (
    engine,
    frozen,
    integrated_gradients,
    named,
    one_cell,
    over_space,
    population_sum,
    top_class,
    unpooled,
)
from retina_codec.contributions import job as job_module
from retina_codec.contributions import passes as passes_module
from retina_codec.contributions.passes import WAYS, Passes
from retina_codec.contributions.probe import hooked
from retina_codec.networks import DeepRetina


class Residual(nn.Module):
    """A small residual network; `inplace` as in the published ResNets."""

    def __init__(self, inplace=True):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6))
        self.relu = nn.ReLU(inplace=inplace)
        self.pool = nn.MaxPool2d(2)
        self.block1, self.block2 = Block(6, 6, 1, inplace), Block(6, 9, 2, inplace)
        self.head = nn.Linear(9, 4)

    def forward(self, x):
        x = self.pool(self.relu(self.stem(x)))
        x = self.block2(self.block1(x))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Block(nn.Module):
    def __init__(self, n_in, n_out, stride, inplace):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.norm1, self.relu1 = nn.BatchNorm2d(n_out), nn.ReLU(inplace=inplace)
        self.conv2, self.norm2 = nn.Conv2d(n_out, n_out, 3, 1, 1), nn.BatchNorm2d(n_out)
        self.skip = nn.Conv2d(n_in, n_out, 1, stride) if n_in != n_out else nn.Identity()
        self.relu2 = nn.ReLU(inplace=inplace)

    def forward(self, x):
        out = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        out += self.skip(x)
        return self.relu2(out)


class Transformer(nn.Module):
    """A small vision transformer, as torchvision writes them."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 4, 4)
        self.cls = nn.Parameter(torch.randn(1, 1, 12))
        self.places = nn.Parameter(0.3 * torch.randn(1, 17, 12))
        self.block1, self.block2 = TokenBlock(12, 3), OwnAttention(12)
        self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, 4)

    def forward(self, x):
        n = x.shape[0]
        x = self.patches(x).reshape(n, 12, 16).permute(0, 2, 1)
        x = torch.cat([self.cls.expand(n, -1, -1), x], dim=1) + self.places
        x = self.block2(self.block1(x))
        return self.head(self.norm(x)[:, 0])


class TokenBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 24), nn.GELU(), nn.Linear(24, width))

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class OwnAttention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return x + self.out(weights @ v)


class Movie(nn.Module):
    """Convolutions in space and time: a movie in, rates per time out, "batch time cell"."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv3d(1, 4, (5, 3, 3)), nn.BatchNorm3d(4)
        self.conv2 = nn.Conv3d(4, 5, (3, 3, 3))
        self.readout = nn.Linear(5 * 4 * 4, 3)

    def forward(self, x):
        x = F.elu(self.norm1(self.conv1(x)))
        x = self.relu2_(self.conv2(x)).permute(0, 2, 1, 3, 4)
        return F.softplus(self.readout(x.flatten(2)))

    def relu2_(self, x):
        return torch.relu_(x)


@named("rate of cell 1 at time 2")
def one_rate(output, at_sample):
    return output[:, 2, 1]


def settled(network, shape, seed=0):
    """A network whose norms have seen data."""
    torch.manual_seed(seed)
    network.train()
    with torch.no_grad():
        for _ in range(4):
            network(torch.randn(32, *shape))
    return network.eval()


def retina():
    return DeepRetina(shape=(22, 22), history=6, typical_rate_hz=[4.0, 9.0], kernels=(11, 9))


CASES = {
    "retina": (retina, (6, 22, 22), ["conv1", "relu1", "norm2", "relu2"], population_sum()),
    "residual": (Residual, (3, 16, 16), ["stem", "relu", "block1", "block2"], top_class()),
    "transformer": (Transformer, (3, 16, 16), ["patches", "block1", "block2"], one_cell(2)),
    "movie": (Movie, (1, 10, 8, 8), ["norm1", "conv2"], one_rate),
}


@pytest.fixture(params=CASES)
def case(request):
    """Network, samples, layers and target."""
    make, shape, layers, target = CASES[request.param]
    torch.manual_seed(1)
    network = settled(make(), shape)
    samples = np.random.default_rng(0).normal(size=(5, *shape)).astype(np.float32)
    return network, samples, layers, target


def each_unit(maps):
    """Every unit as a channel of its own: suits maps, tokens and movies alike."""
    return unpooled(maps.flatten(1))


def explained(case, **changes):
    network, samples, layers, target = case
    given = {"layers": layers, "target": target, "pooling": each_unit, "progress": False}
    return integrated_gradients(network, samples, **{**given, **changes})


def in_double(case):
    network, samples, layers, target = case
    return network.double(), samples.astype(np.float64), layers, target


@pytest.mark.parametrize("rule", ["trapezoid", "secant"])
@pytest.mark.parametrize("way", WAYS[:2])
def test_every_way_gives_the_plain_result(case, way, rule, monkeypatch):
    case = in_double(case)
    monkeypatch.setattr(passes_module, "WAYS", WAYS[2:])
    plain = explained(case, rule=rule, n_steps=5)
    monkeypatch.setattr(passes_module, "WAYS", (way, WAYS[2]))
    fast = explained(case, rule=rule, n_steps=5)
    for layer, record in plain.items():
        scale = np.abs(record.values).max()
        np.testing.assert_allclose(fast[layer].values, record.values, atol=1e-9 * scale)


def test_known_networks_are_followed(case, caplog):
    layers = [layer for layer in case[2] if layer != "patches"]  # `n` is read before it.
    with caplog.at_level(logging.INFO, logger="retina_codec"):
        explained(case, layers=layers, rule="secant", n_steps=2)
    assert "not run with" not in caplog.text


@pytest.mark.parametrize("rule", ["trapezoid", "secant"])
def test_contributions_sum_to_the_change_of_the_target(case, rule):
    results = explained(case, rule=rule, n_steps=200 if rule == "trapezoid" else 20)
    for record in results.values():
        change = np.abs(record.target_value - record.baseline_value).sum()
        assert np.abs(record.gap).sum() < 0.02 * change
        assert record.bypassed is False


def test_secant_rule_has_no_gap_without_norms_of_layers(case):
    if isinstance(case[0], (Transformer, Residual)):
        pytest.skip("softmax, layer norm and max pooling are averaged, not exact")
    for record in explained(in_double(case), rule="secant", n_steps=1).values():
        np.testing.assert_allclose(record.gap, 0, atol=1e-9 * np.abs(record.target_value).max())


def power_of_an_output(i):
    return named(f"power {i}")(lambda output, at_sample: output.flatten(1)[:, i % 2] ** (i + 1))


@pytest.mark.parametrize("rule", ["trapezoid", "secant"])
def test_channels_that_are_pushed_on_give_the_same_sums(case, rule, monkeypatch):
    network, samples, layers, _ = in_double(case)
    targets = [power_of_an_output(i) for i in range(4)]
    given = {"rule": rule, "pooling": over_space, "target": targets}
    pushed = explained((network, samples, layers, None), **given)
    monkeypatch.setattr(job_module, "FEWEST_TARGETS_TO_PUSH", 5)
    taken_back = explained((network, samples, layers, None), **given)
    for name, records in taken_back.items():
        for layer, record in records.items():
            scale = np.abs(record.values).max()
            np.testing.assert_allclose(pushed[name][layer].values, record.values, atol=1e-9 * scale)
            np.testing.assert_allclose(pushed[name][layer].gap, record.gap, atol=1e-8 * scale)


def test_only_layers_before_a_convolution_are_pushed_on():
    network = retina().eval()
    passes = Passes(network, ("relu1", "relu2"), (one_cell(0),), 0.0, WAYS[0])
    with frozen(network), hooked(network, passes.layers, passes.keep):
        seen = passes.along(torch.randn(2, 6, 22, 22), torch.tensor([0.0, 1.0]), push=True)
    assert list(seen.pushes) == ["relu1"]


def test_slopes_of_tiny_steps_are_not_lost_in_rounding():
    """A cell that hardly moves, with large contributions that cancel."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1), nn.Softplus())
    network[0].weight.data = torch.eye(2)
    network[0].bias.data = torch.tensor([0.1, 0.1])
    network[2].weight.data = torch.tensor([[1.0, -1.0]])
    samples = np.array([[1.0, 1.0 - 3e-6]], np.float32)
    given = {"layers": ["1"], "target": one_cell(0), "rule": "secant", "progress": False}
    found = integrated_gradients(network, samples, **given)["1"].values
    slope = torch.sigmoid(network[2].bias).item()
    np.testing.assert_allclose(found, [[slope, 0, 0, -slope]], atol=1e-4)


@pytest.mark.parametrize("rule", ["trapezoid", "secant"])
@pytest.mark.parametrize("memory_gb", [1e-9, 2e-3])
@pytest.mark.parametrize("many", [False, True])
def test_long_paths_go_piece_by_piece(case, rule, memory_gb, many):
    network, samples, layers, target = in_double(case)
    targets = [power_of_an_output(i) for i in range(4)] if many else [target]
    given = {"rule": rule, "n_steps": 7, "target": targets, "pooling": over_space}
    whole = explained((network, samples, layers, None), **given)
    pieces = explained((network, samples, layers, None), memory_gb=memory_gb, **given)
    for name, records in whole.items():
        for layer, record in records.items():
            scale = np.abs(record.values).max()
            np.testing.assert_allclose(pieces[name][layer].values, record.values, atol=1e-9 * scale)


class Opaque(nn.Module):
    """Hides what it does from everybody who looks."""

    def __init__(self, network):
        super().__init__()
        self.network, self.last = network, nn.Linear(2, 2)

    def forward(self, x):
        with torch._C.DisableTorchFunction():
            x = self.network(x)
        return self.last(x)


def test_network_that_cannot_be_followed_runs_plainly(caplog):
    torch.manual_seed(0)
    network = Opaque(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2), nn.Tanh()))
    samples = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    given = {"layers": ["network.1"], "target": one_cell(0), "progress": False}
    with caplog.at_level(logging.INFO, logger="retina_codec"):
        record = integrated_gradients(network, samples, n_steps=50, **given)["network.1"]
    assert "not run with 'ends where affine'" in caplog.text
    assert np.abs(record.gap).max() < 1e-2
    with pytest.raises(ValueError, match="cannot be followed .* Use rule='trapezoid'"):
        integrated_gradients(network, samples, rule="secant", **given)
    record = integrated_gradients(network, samples, tolerance=0.05, **given)["network.1"]
    assert record.settings["rule"] == "trapezoid" and (record.n_steps > 0).all()


@pytest.mark.parametrize("rule", ["trapezoid", "secant"])
def test_tolerance_holds_for_every_sample(rule):
    network = settled(retina(), (6, 22, 22))
    samples = np.random.default_rng(0).normal(size=(12, 6, 22, 22)).astype(np.float32)
    given = {"layers": ["relu1", "relu2"], "target": one_cell(0), "rule": rule, "progress": False}
    coarse = integrated_gradients(network, samples, tolerance=0.2, **given)
    tolerance = {"trapezoid": 0.01, "secant": 0.002}[rule]
    fine = integrated_gradients(network, samples, tolerance=tolerance, **given)
    truth = integrated_gradients(
        network.double(), samples.astype(float), n_steps=1000, **{**given, "rule": "trapezoid"}
    )
    for layer, record in fine.items():
        change = np.abs(record.target_value - record.baseline_value)
        scale = np.maximum(change, 0.1 * change.mean())
        assert (np.abs(record.gap) <= 1.01 * tolerance * scale).all()
        error = np.abs(record.values - truth[layer].values).max(axis=1) / scale
        assert np.median(error) < tolerance and error.max() < 4 * tolerance
        assert (record.n_steps >= coarse[layer].n_steps).all()
        assert len(set(record.n_steps.tolist())) > 1, "every sample takes its own time"
        assert set(record.n_steps.tolist()) <= {4, 8, 16, 32, 64, 128, 256}


def test_samples_that_do_not_arrive_are_counted(monkeypatch):
    monkeypatch.setattr(engine, "MOST_STEPS", 4)
    network = settled(retina(), (6, 22, 22))
    samples = np.random.default_rng(0).normal(size=(12, 6, 22, 22)).astype(np.float32)
    with pytest.warns(UserWarning, match=r"\d+ of 12 samples did not reach the tolerance with 4"):
        record = integrated_gradients(
            network,
            samples,
            layers=["relu1"],
            target=one_cell(0),
            tolerance=1e-4,
            progress=False,
        )["relu1"]
    assert (record.n_steps < 0).any()


@pytest.mark.parametrize("layer", ["block1.mlp.1", "block1.attention"])
def test_layer_beside_a_skip_is_said_to_be_bypassed(layer):
    network = settled(Transformer(), (3, 16, 16))
    samples = np.random.default_rng(0).normal(size=(2, 3, 16, 16)).astype(np.float32)
    if layer == "block1.attention":
        with pytest.raises(ValueError, match="puts out a tuple, expected one tensor"):
            integrated_gradients(
                network, samples, layers=[layer], target=one_cell(0), progress=False
            )
        return
    with pytest.warns(UserWarning, match="also round layer block1.mlp.1: contributions there sum"):
        record = integrated_gradients(
            network, samples, layers=[layer], target=one_cell(0), progress=False
        )[layer]
    assert record.bypassed is True


def test_half_precision_stays_where_it_was_asked_for():
    network = settled(retina(), (6, 22, 22))
    samples = np.random.default_rng(0).normal(size=(3, 6, 22, 22)).astype(np.float32)
    given = {"layers": ["relu2"], "target": one_cell(0), "progress": False}
    exact = integrated_gradients(network, samples, **given)["relu2"].values
    rough = integrated_gradients(network.bfloat16(), samples, **given)["relu2"].values
    assert rough.dtype == np.float32
    np.testing.assert_allclose(rough, exact, atol=0.2 * np.abs(exact).max())


@pytest.mark.parametrize("rule", ["trapezoid", "secant"])
@pytest.mark.parametrize("norm", [nn.Identity(), nn.BatchNorm2d(4)])
def test_channels_are_pushed_on_before_operations_in_place(rule, norm):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3), norm, nn.ReLU(inplace=True),
        nn.Flatten(), nn.Linear(64, 4),
    ).double()  # fmt: skip
    samples = np.random.default_rng(0).normal(size=(5, 2, 8, 8))
    cells = [one_cell(i) for i in range(4)]
    given = {"layers": ["1"], "rule": rule, "pooling": over_space, "progress": False}
    pushed = integrated_gradients(network, samples, target=cells, **given)
    for cell, records in zip(cells, pushed.values(), strict=True):
        alone = integrated_gradients(network, samples, target=cell, **given)["1"]
        np.testing.assert_allclose(records["1"].values, alone.values, atol=1e-12)


class TakesAway(nn.Module):
    def forward(self, x):
        x -= 1.0
        return x


@pytest.mark.parametrize("settings", [{}, {"tolerance": 0.1}, {"memory_gb": 1e-9}])
def test_samples_stay_as_they_are(settings):
    torch.manual_seed(0)
    network = nn.Sequential(TakesAway(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    samples = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    before = samples.copy()
    integrated_gradients(
        network, samples, layers=["2"], target=one_cell(0), progress=False, **settings
    )
    np.testing.assert_array_equal(samples, before)


class OwnPower(nn.Module):
    """Each channel has an exponent of its own."""

    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv2d(2, 6, 3), nn.Linear(6 * 36, 1)
        self.exponent = nn.Parameter(torch.linspace(0.5, 2.5, 6).view(6, 1, 1))

    def forward(self, x):
        x = (F.softplus(self.conv(x)) + 0.5).pow(self.exponent)
        return self.last(x.flatten(1))


class SequenceFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(5, 12), nn.Linear(12, 2)

    def forward(self, x):
        return self.last(torch.sigmoid(3 * self.first(x).transpose(0, 1)[-1]))


class Maxout(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.last = nn.Linear(5, 4), nn.Linear(5, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(torch.stack([self.a(x), self.b(x)]).amax(0))


class ConstantFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.last = nn.Parameter(torch.randn(5, 5)), nn.Linear(5, 2)

    def forward(self, x):
        return self.last(torch.relu(torch.einsum("oc,nc->on", self.weight, x).T))


@pytest.mark.parametrize("n_steps", [4, 64])
def test_slopes_of_functions_with_a_number_for_each_channel(n_steps):
    """In single precision, where many steps are so short that their slopes are derivatives."""
    torch.manual_seed(0)
    network = OwnPower()
    samples = np.random.default_rng(0).normal(size=(4, 2, 8, 8)).astype(np.float32)
    given = {"layers": ["conv"], "target": one_cell(0), "progress": False}
    truth = integrated_gradients(network, samples, n_steps=500, **given)["conv"]
    found = integrated_gradients(network, samples, rule="secant", n_steps=n_steps, **given)["conv"]
    np.testing.assert_allclose(found.gap, 0, atol=0.02 * np.abs(truth.values).max())
    np.testing.assert_allclose(found.values, truth.values, atol=0.05 * np.abs(truth.values).max())


@pytest.mark.parametrize("rule", ["trapezoid", "secant"])
@pytest.mark.parametrize(
    ("make", "layer", "shape"),
    [
        (SequenceFirst, "first", (7, 5)),
        (Maxout, "last", (5,)),
        (ConstantFirst, "last", (5,)),
    ],
)
def test_numbers_of_samples_that_look_like_channels(make, layer, shape, rule):
    torch.manual_seed(0)
    network = make().double()
    samples = np.random.default_rng(0).normal(size=(7, *shape))
    given = {"layers": [layer], "target": one_cell(0), "rule": rule, "n_steps": 2}
    given |= {"pooling": each_unit, "progress": False}
    results = []
    for batch_size in (1, 2, 3, 4, 5, 6, 7):
        try:
            found = integrated_gradients(network, samples, batch_size=batch_size, **given)
        except ValueError as error:  # Refused rather than guessed; the trapezoid rule never is.
            assert rule == "secant", error
            continue
        results.append(found[layer].values)
    for values in results[1:]:
        np.testing.assert_allclose(values, results[0], atol=1e-12)
    assert results or rule == "secant"


@pytest.mark.parametrize("senseless", [{"batch_size": -1}, {"batch_size": 0}, {"memory_gb": 0.0}])
def test_senseless_room_is_refused(senseless):
    with pytest.raises(ValueError, match="'memory_gb' must be above 0 and 'batch_size' at least 1"):
        integrated_gradients(
            nn.Linear(2, 1), np.ones((3, 2)), layers=[""], target=one_cell(0), **senseless
        )
