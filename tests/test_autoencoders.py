"""The autoencoders beside slow formulas; what all decompositions share is tested elsewhere."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from stored import Lazy

from retina_codec.decomposition import (
    BatchTopKAutoencoder,
    JumpReluAutoencoder,
    SparseAutoencoder,
    ThresholdAutoencoder,
    TopKAutoencoder,
    _rows,
    decompose,
    match_modes,
)
from retina_codec.decomposition import _autoencoders as sparsifiers
from retina_codec.decomposition._rows import Rows
from retina_codec.simulation import planted_contributions

FAMILY = (SparseAutoencoder, TopKAutoencoder, BatchTopKAutoencoder, JumpReluAutoencoder)
every_class = pytest.mark.parametrize("cls", FAMILY, ids=lambda cls: cls.__name__)
RECOVERY = {
    SparseAutoencoder: 0.95,
    TopKAutoencoder: 0.97,
    BatchTopKAutoencoder: 0.93,
    JumpReluAutoencoder: 0.92,
}


@pytest.fixture(scope="module")
def planted():
    return planted_contributions()


@pytest.fixture(scope="module")
def X():
    return np.abs(planted_contributions(n_samples=400)[0].values)


@every_class
def test_planted_modes_come_back(planted, cls):
    modes = decompose(planted[0], cls(n_modes=24))
    cosine = match_modes(planted[1], modes)[1]
    assert cosine.sum() / 12 > RECOVERY[cls]
    assert (cosine > 0.9).mean() > 0.8
    assert modes.r2 > 0.9
    assert modes.curve[-100:].mean() < 0.2 * modes.curve[:10].mean()


@every_class
def test_signed_modes_come_back(cls):
    record, truth = planted_contributions(n_modes=6, n_features=10, n_samples=3000, signed=True)
    modes = decompose(record, cls(n_modes=8, nonnegative=False, n_steps=1000))
    assert match_modes(truth, modes)[1].sum() / 6 > 0.85


@every_class
def test_parameters_are_those_of_scikit_learn(cls):
    method = cls(7, n_steps=3, seed=2)
    assert clone(method).get_params() == method.get_params()
    assert method.get_params()["n_modes"] == 7
    assert repr(method) == f"{cls.__name__}(n_modes=7, n_steps=3, seed=2)"
    with pytest.raises(TypeError):
        cls(7, 3)


@every_class
def test_modes_have_unit_norm_and_the_sign_asked_for(X, cls):
    method = cls(n_modes=6, n_steps=40).fit(X)
    np.testing.assert_allclose(np.linalg.norm(method.components_, axis=1), 1, rtol=1e-5)
    assert method.components_.min() >= 0
    signed = cls(n_modes=6, n_steps=40, nonnegative=False, centred=True).fit(X)
    assert signed.components_.min() < 0
    np.testing.assert_allclose(signed.offset_, X.mean(axis=0), rtol=1e-5)


# ---- what makes codes sparse, beside loops


def slow_codes(method, X):
    network, scale = method.network_, method.scale_ * method.length_
    W, c = network.encoder.detach().numpy(), network.bias.detach().numpy()
    return [
        [sum(W[m, f] * x[f] / scale[f] for f in range(len(x))) + c[m] for m in range(len(W))]
        for x in X
    ]


def slow_loadings(method, X):
    codes = slow_codes(method, X)
    if isinstance(method, SparseAutoencoder):
        found = [[max(u, 0) for u in row] for row in codes]
    elif isinstance(method, TopKAutoencoder):
        found = [[u if u > 0 and u >= sorted(row)[-method.k] else 0 for u in row] for row in codes]
    elif isinstance(method, BatchTopKAutoencoder):
        threshold = method.network_.sparsifier.threshold.item()
        found = [[u if u > 0 and u >= threshold else 0 for u in row] for row in codes]
    else:
        thresholds = method.network_.sparsifier.log_threshold.exp().tolist()
        found = [[u if u > t else 0 for u, t in zip(row, thresholds, strict=True)] for row in codes]
    return np.array(found) * method.length_ * method.norm_


@every_class
def test_loadings_are_those_of_the_formula(X, cls):
    method = cls(n_modes=6, n_steps=60).fit(X)
    found = method.transform(X[:40])
    np.testing.assert_allclose(found, slow_loadings(method, X[:40]), rtol=1e-4, atol=1e-5)
    assert found.dtype == np.float32
    assert (found > 0).any() and (found == 0).any()


def test_numbers_of_active_modes(X):
    top = TopKAutoencoder(n_modes=8, k=2, n_steps=60).fit_transform(X)
    assert np.count_nonzero(top, axis=1).max() == 2
    batch = BatchTopKAutoencoder(n_modes=8, k=2, n_steps=300).fit_transform(X)
    numbers = np.count_nonzero(batch, axis=1)
    assert numbers.mean() == pytest.approx(2, abs=0.5)
    assert len(set(numbers)) > 2


def test_penalties_make_loadings_sparser(X):
    for cls, weak, strong in (
        (SparseAutoencoder, 0.01, 0.3),
        (JumpReluAutoencoder, 0.001, 0.05),
    ):
        few, many = (
            np.count_nonzero(cls(n_modes=8, sparsity=s, n_steps=500).fit_transform(X))
            for s in (strong, weak)
        )
        assert few < many


def test_gradient_of_jumps_is_that_of_thresholds_smoothed_over_the_bandwidth():
    """With many codes spread evenly, the pseudo-gradient is the true one of the expected loss."""
    codes = torch.linspace(0, 1, 100_001, dtype=torch.float64)[:, None]
    threshold = torch.tensor([0.4], dtype=torch.float64, requires_grad=True)
    number = sparsifiers._Step.apply(codes, threshold, 0.1).mean()
    (gradient,) = torch.autograd.grad(number, threshold)
    assert gradient.item() == pytest.approx(-1, abs=0.01)
    total = sparsifiers._Jump.apply(codes, threshold, 0.1).mean()
    (gradient,) = torch.autograd.grad(total, threshold)
    assert gradient.item() == pytest.approx(-0.4, abs=0.01)


def test_signed_loadings_are_odd(X):
    """Of samples turned round, the loadings are turned round."""
    centred = X - X.mean(axis=0)
    method = SparseAutoencoder(n_modes=6, nonnegative=False, signed_loadings=True, n_steps=60)
    loadings = method.fit(centred).transform(centred)
    assert loadings.min() < 0 < loadings.max()
    np.testing.assert_allclose(method.transform(-centred), -loadings, atol=1e-5)


def test_an_offset_is_learned():
    record, truth = planted_contributions(n_modes=5, n_features=8, n_samples=2000, signed=True)
    offset = np.linspace(-2, 2, 8)
    method = SparseAutoencoder(n_modes=6, nonnegative=False, learn_offset=True, n_steps=1500)
    method.fit(record.values + offset)
    np.testing.assert_allclose(method.offset_, offset, atol=0.4)
    assert match_modes(truth.dictionary, method.components_)[1].mean() > 0.95


@pytest.mark.parametrize("cls", [TopKAutoencoder, BatchTopKAutoencoder, JumpReluAutoencoder])
def test_signed_loadings_are_chosen_by_their_size(X, cls):
    method = cls(n_modes=6, nonnegative=False, centred=True, signed_loadings=True, n_steps=60)
    loadings = method.fit(X).transform(X)
    assert loadings.min() < 0 < loadings.max()
    network = method.network_
    x = (X - X.mean(axis=0)) / X.std(axis=0) / method.length_
    drive = x @ network.encoder.detach().numpy().T
    sizes = np.abs(drive) + network.bias.detach().numpy()
    assert network.bias.max() <= 0
    if cls is TopKAutoencoder:
        active = (sizes >= np.sort(sizes, axis=1)[:, [-method.k]]) & (sizes > 0)
    elif cls is BatchTopKAutoencoder:
        active = sizes >= max(network.sparsifier.threshold.item(), 1e-12)
    else:
        active = sizes > network.sparsifier.log_threshold.exp().detach().numpy()
    expected = np.sign(drive) * sizes * active * method.length_ * method.norm_
    assert np.mean(np.abs(loadings - expected) < 1e-4) > 0.999


def test_a_batch_keeps_as_many_codes_as_k_says_while_learning():
    codes = torch.as_tensor(np.random.default_rng(0).normal(size=(40, 10)) + 1)
    sparsifier = sparsifiers._BatchTopK(2.5).train()
    loadings, penalty = sparsifier(codes)
    kept = loadings > 0
    assert kept.sum() == 100 and penalty == 0
    assert torch.equal(loadings[kept], codes[kept])
    assert loadings[kept].min() >= codes[~kept].max()
    assert sparsifier.threshold == loadings[kept].min()
    torch.testing.assert_close(sparsifier.eval()(codes)[0], loadings)
    nothing, _ = sparsifiers._BatchTopK(2).train()(-codes.abs())
    assert not nothing.any()


@pytest.mark.parametrize("bandwidth", [0.2, 0.5])
def test_jump_gradients_agree_with_finite_differences_of_the_smoothed_loss(bandwidth):
    """The loss of a batch, as codes wobble by a rectangle of the bandwidth, has this gradient."""
    rng = np.random.default_rng(0)
    codes = torch.as_tensor(rng.uniform(0, 1, size=(200_000, 2)))
    atoms, target = torch.tensor([[1.0, 0.3], [0.2, 1.0]]).double(), torch.tensor([0.9, 0.4])

    def loss(threshold):
        loadings = sparsifiers._Jump.apply(codes, threshold, bandwidth)
        number = sparsifiers._Step.apply(codes, threshold, bandwidth).sum(dim=1).mean()
        return (loadings @ atoms - target).square().sum(dim=1).mean() / 2 + 0.05 * number

    threshold = torch.tensor([0.35, 0.45], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(threshold), threshold)
    one_side = {}
    for sign in (1, -1):
        steps = sign * 0.5 * bandwidth * torch.eye(2, dtype=torch.float64)
        one_side[sign] = torch.stack([loss(threshold.detach() + step) for step in steps])
    expected = (one_side[1] - one_side[-1]) / bandwidth
    torch.testing.assert_close(gradient, expected, atol=0.12 * bandwidth, rtol=0)


# ---- modes that start again


@every_class
def test_dead_modes_start_again(X, cls):
    method = cls(n_modes=6, n_steps=400, revive_every=20)
    method._set_units(Rows(X))
    method._begin(Rows(X / method.scale_))
    with torch.no_grad():
        method.network_.encoder[2], method.network_.bias[2] = 0.0, -5.0
    method._train(Rows(X / method.scale_).pools(method.generator_), 400)
    alive = method.network_.eval().encode(method._scaled(X / method.scale_))[0][:, 2]
    assert (alive > 0).any()


def test_revived_modes_point_to_what_is_unexplained():
    network = sparsifiers.TopKAutoencoder(n_modes=3, n_steps=1).fit(np.eye(3) + 0.1).network_
    residual = torch.tensor([[0.0, 1e-6, 0.0], [0.0, 3.0, 4.0]])
    before = network.dictionary.detach().clone()
    network.revive(torch.tensor([True, False, False]), residual, torch.Generator().manual_seed(0))
    expected = torch.tensor([0.0, 0.6, 0.8])
    torch.testing.assert_close(network.dictionary[0].detach(), expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(network.encoder[0].detach(), expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(network.dictionary[1:].detach(), before[1:])


# ---- learning piece by piece


@every_class
def test_pieces_teach_as_the_whole_does(cls):
    record, truth = planted_contributions(n_modes=4, n_features=8, n_samples=4000)
    X = np.abs(record.values)
    method = cls(n_modes=6, n_steps=600)
    for _ in range(10):
        for piece in np.array_split(X, 10):
            method.partial_fit(piece)
    cosine = match_modes(truth.dictionary, method.components_)[1]
    assert cosine.mean() > 0.85
    assert len(method.curve_) == 100


@every_class
def test_a_store_is_read_block_by_block(cls, monkeypatch):
    monkeypatch.setattr(_rows, "BLOCK", 100)
    record, truth = planted_contributions(n_modes=4, n_features=8, n_samples=4000)
    store = Lazy(np.abs(record.values).astype(np.float32))
    method = cls(n_modes=6, n_steps=800).fit(Rows(store))
    assert store.most == 100
    assert match_modes(truth.dictionary, method.components_)[1].mean() > 0.9
    again = cls(n_modes=6, n_steps=800).fit(Rows(store))
    np.testing.assert_array_equal(method.components_, again.components_)


@every_class
def test_portions_are_reproduced_bit_for_bit(X, cls):
    a, b = (cls(n_modes=6, n_steps=100, batch_size=64) for _ in range(2))
    for method in (a, b):
        for portion in np.array_split(X, 4):
            method.partial_fit(portion)
    np.testing.assert_array_equal(a.components_, b.components_)
    np.testing.assert_array_equal(a.transform(X), b.transform(X))
    assert a.curve_ == b.curve_
    with pytest.raises(ValueError, match="must not be negative"):
        a.partial_fit(-X)


def test_equal_samples_cannot_teach_an_offset():
    method = SparseAutoencoder(n_modes=2, learn_offset=True)
    with pytest.raises(ValueError, match="All 20 samples are the same; there is nothing"):
        method.fit(np.full((20, 3), 0.1))


def test_negative_samples_suit_centred_modes_that_are_not(X):
    method = TopKAutoencoder(n_modes=6, n_steps=40, centred=True).fit(X - 5)
    assert method.components_.min() >= 0
    same = TopKAutoencoder(n_modes=6, n_steps=40, centred=True).fit(X)
    np.testing.assert_allclose(method.components_, same.components_, atol=1e-3)


@every_class
def test_the_curve_is_the_loss_of_each_step(X, cls):
    """With batches of one sample that is always the same, it is the loss of the first network."""
    one = X[:1]
    method = cls(n_modes=4, n_steps=1, batch_size=3, learning_rate=0.0).fit(one)
    network = method.network_.train()
    x = method._scaled(one / method.scale_)
    loadings, penalty = network.encode(x)
    loss = ((x - loadings @ network.dictionary).square().sum() / 2 + penalty).item()
    assert method.curve_ == [pytest.approx(loss, abs=1e-4)]


def test_parameters_are_checked(X):
    cases = [
        (SparseAutoencoder(sparsity=-1.0), "'sparsity' must be between 0 and inf, got -1.0"),
        (TopKAutoencoder(k=0), "'k' must be a whole number of at least 1, got 0"),
        (BatchTopKAutoencoder(k=-1.0), "'k' must be between 0 and inf, got -1.0"),
        (JumpReluAutoencoder(bandwidth=0.0), "'bandwidth' must be between"),
        (SparseAutoencoder(n_steps=0), "'n_steps' must be a whole number of at least 1, got 0"),
        (SparseAutoencoder(learning_rate=-1.0), "'learning_rate' must be between"),
    ]
    for method, message in cases:
        with pytest.raises(ValueError, match=message):
            method.fit(X)


# ---- the published one


def test_leaking_thresholds_bring_dead_modes_to_life(planted):
    settings = {"n_modes": 24, "n_hidden": 64, "learning_rate": 1e-3, "decay": 1.0, "n_epochs": 60}
    tight, leaking = (
        decompose(planted[0], ThresholdAutoencoder(nonnegative=True, leak=leak, **settings))
        for leak in (0.0, 0.1)
    )
    assert len(tight.dictionary) < 6 and tight.r2 < 0.2
    assert len(leaking.dictionary) > 20 and leaking.r2 > 0.7
    assert len(leaking.curve) == 60 and leaking.curve[-1] < leaking.curve[0] / 3


def test_a_leak_changes_gradients_only(X):
    tight, leaking = (
        ThresholdAutoencoder(n_modes=6, n_epochs=1, learning_rate=0.0, leak=leak).fit(X)
        for leak in (0.0, 0.5)
    )
    np.testing.assert_array_equal(tight.transform(X), leaking.transform(X))
    network, x = leaking.network_.eval(), torch.as_tensor(X[:5], dtype=torch.float32)
    codes = network.encoder(x)
    (found,) = torch.autograd.grad(network.loadings(x).sum(), network.encoder[-2].weight)
    weights = torch.where(codes >= 0.9, 1.0, 0.5).detach()
    codes = network.encoder(x)
    (expected,) = torch.autograd.grad((weights * codes).sum(), network.encoder[-2].weight)
    torch.testing.assert_close(found, expected)
