import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from retina_codec import decomposition
from retina_codec.datatypes import Contributions, Modes
from retina_codec.decomposition import (
    METHODS,
    PUBLISHED,
    NonNegativeFactors,
    PrincipalComponents,
    SparseAutoencoder,
    ThresholdAutoencoder,
    _rows,
    decompose,
    match_modes,
)
from retina_codec.decomposition._interface import threads_that_help

N_PLANTED, N_FEATURES, N_MODES = 12, 16, 16
QUICK = {"SparseAutoencoder": {"n_steps": 30}, "ThresholdAutoencoder": {"n_epochs": 2}}
LEARNS = {
    "ThresholdAutoencoder": {
        "threshold": 0.5,
        "learning_rate": 1e-3,
        "n_epochs": 60,
        "nonnegative": True,
        "n_hidden": 64,
    }
}
RECOVERY = {"SparseAutoencoder": 0.99, "ThresholdAutoencoder": 0.8}
every_method = pytest.mark.parametrize("name", METHODS)


def quick(name):
    return METHODS[name](n_modes=6, **QUICK.get(name, {}))


def sparse_loadings(rng, n_samples, n_modes=N_PLANTED, share=0.15):
    return rng.gamma(2.0, size=(n_samples, n_modes)) * (rng.random((n_samples, n_modes)) < share)


def planted_problem(seed=0, n_samples=6000):
    rng = np.random.default_rng(seed)
    dictionary = np.zeros((N_PLANTED, N_FEATURES))
    for row in dictionary:
        row[rng.choice(N_FEATURES, 4, replace=False)] = rng.uniform(0.3, 1, 4)
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    loadings = sparse_loadings(rng, n_samples)
    clean = loadings @ dictionary
    X = np.maximum(clean + 0.03 * clean.std() * rng.normal(size=clean.shape), 0)
    return SimpleNamespace(X=X, dictionary=dictionary, loadings=loadings)


@pytest.fixture(scope="module")
def planted():
    return planted_problem()


@pytest.fixture(scope="module")
def fitted(planted):
    return {
        name: method(n_modes=N_MODES, **LEARNS.get(name, {})).fit(planted.X)
        for name, method in METHODS.items()
    }


@pytest.fixture(scope="module")
def small():
    return planted_problem(n_samples=300).X


def contributions(X, sign=None):
    n, n_features = X.shape
    sign = np.tile([1, -1], n_features // 2) if sign is None else sign
    return Contributions(
        values=X * np.where(sign == 0, 1, sign),
        sample=np.arange(n) / 100,
        target_value=np.zeros(n),
        baseline_value=np.zeros(n),
        gap=np.zeros(n),
        channel=np.arange(n_features) // 2,
        sign=sign,
        layer="conv1",
        target="surprisal",
        method="integrated_gradients",
    )


# ---- recovery


@pytest.mark.parametrize("name", [name for name in METHODS if name != "PrincipalComponents"])
def test_planted_modes_come_back(planted, fitted, name):
    _, cosine = match_modes(planted.dictionary, fitted[name].components_)
    assert cosine.mean() > RECOVERY.get(name, 0.95)


@every_method
def test_transform_and_back_gives_the_samples(planted, fitted, name):
    unseen = planted_problem(seed=0, n_samples=6300).X[6000:]
    method = fitted[name]
    rebuilt = method.inverse_transform(method.transform(unseen))
    residual = np.sum((rebuilt - unseen) ** 2) / np.sum((unseen - unseen.mean(axis=0)) ** 2)
    assert residual < (0.5 if name == "ThresholdAutoencoder" else 0.05)
    np.testing.assert_allclose(
        method.inverse_transform(np.zeros((1, N_MODES))), [method.offset_], rtol=1e-6
    )


def test_sparse_autoencoder_says_when_a_mode_is_active(planted, fitted):
    method = fitted["SparseAutoencoder"]
    loadings = method.transform(planted.X)
    pairs, _ = match_modes(planted.dictionary, method.components_)
    truth, found = planted.loadings[:, pairs[:, 0]] > 0, loadings[:, pairs[:, 1]] > 0
    assert 2 * (truth & found).sum() / (truth.sum() + found.sum()) > 0.9
    true_size = planted.loadings[:, pairs[:, 0]][truth & found]
    np.testing.assert_allclose(
        np.median(loadings[:, pairs[:, 1]][truth & found] / true_size), 1, atol=0.03
    )


def test_sparse_autoencoder_finds_more_modes_than_features():
    rng = np.random.default_rng(1)
    dictionary = rng.gamma(0.3, size=(12, 8))
    X = sparse_loadings(rng, 4000, share=0.08) @ dictionary
    method = SparseAutoencoder(n_modes=16).fit(X)
    assert match_modes(dictionary, method.components_)[1].mean() > 0.95


def test_sparse_autoencoder_learns_signed_modes_and_an_offset():
    rng = np.random.default_rng(2)
    dictionary, offset = rng.normal(size=(6, 10)), rng.normal(size=10)
    X = sparse_loadings(rng, 3000, n_modes=6) @ dictionary + offset
    method = SparseAutoencoder(n_modes=8, nonnegative=False, learn_offset=True, n_steps=800).fit(X)
    assert match_modes(dictionary, method.components_)[1].mean() > 0.98
    np.testing.assert_allclose(method.offset_, offset, atol=0.15)


def test_sparse_autoencoder_revives_idle_modes_from_badly_explained_samples():
    network = decomposition._sparse_autoencoder._CompetingNetwork(torch.eye(3), torch.zeros(3))
    residual = torch.tensor([[0.0, 1e-6, 0.0], [0.0, 3.0, 4.0]])
    network.revive(torch.tensor([True, False, False]), residual, torch.Generator().manual_seed(0))
    expected = torch.tensor([[0.0, 0.6, 0.8], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(network.dictionary.detach(), expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(network.guess.weight.detach(), expected, atol=1e-3, rtol=0)


@every_method
def test_number_of_threads_is_left_alone(small, name):
    before = torch.get_num_threads()
    quick(name).fit(small)
    assert torch.get_num_threads() == before


def test_competition_agrees_with_non_negative_least_squares(planted):
    from scipy.optimize import nnls

    atoms, X = planted.dictionary[:6], planted.X[:20]
    network = decomposition._sparse_autoencoder._CompetingNetwork(
        torch.as_tensor(atoms), torch.zeros(N_FEATURES, dtype=torch.float64)
    )
    start = torch.zeros(20, 6, dtype=torch.float64)
    with threads_that_help(0):
        found = network.compete(torch.as_tensor(X), start, penalty=0.0, n_rounds=500)
    np.testing.assert_allclose(found.detach(), [nnls(atoms.T, x)[0] for x in X], atol=1e-6)


def test_published_settings_start_nearly_dead_where_ours_learn(planted):
    X = planted.X / planted.X.std()
    published = ThresholdAutoencoder(**{**PUBLISHED["retina"], "n_epochs": 1}).fit(X)
    assert published.components_.shape == (160, N_FEATURES)
    n_alive = (published.transform(X) > 0).any(axis=0).sum()
    assert n_alive < 0.1 * 160
    ours = SparseAutoencoder(n_modes=N_MODES, n_steps=300).fit(X)
    rebuilt = ours.inverse_transform(ours.transform(X))
    assert np.mean((X - rebuilt) ** 2) < 0.05


def test_no_gradient_passes_the_threshold(small):
    method = ThresholdAutoencoder(n_modes=6, n_epochs=1, threshold=0.9).fit(small)
    network, x = method.network_, torch.as_tensor(small, dtype=torch.float32)
    network.encoder[-2].weight.data.mul_(0.01)
    network.error(x).backward()
    assert all(weight.grad.abs().max() == 0 for weight in network.encoder.parameters())


def test_threshold_autoencoder_keeps_the_best_state_not_the_last(small):
    settings = {"n_modes": 6, "threshold": 0.5, "learning_rate": 0.05}
    one = ThresholdAutoencoder(n_epochs=1, **settings).fit(small)
    many = [ThresholdAutoencoder(n_epochs=n, **settings).fit(small) for n in (10, 30)]
    validation = torch.as_tensor(small[-30:], dtype=torch.float32)
    errors = [method.network_.error(validation).item() for method in (one, *many)]
    assert errors[0] >= errors[1] >= errors[2]


@pytest.mark.parametrize("settings", PUBLISHED.values(), ids=PUBLISHED)
def test_published_settings_run(small, settings):
    method = ThresholdAutoencoder(**{**settings, "n_epochs": 1, "n_hidden": 8}).fit(small)
    assert len(method.components_) == settings["modes_per_feature"] * N_FEATURES


# ---- manners of scikit-learn


@every_method
def test_shapes_and_parameters(small, name):
    method = quick(name)
    assert clone(method).get_params() == method.get_params()
    loadings = method.fit_transform(small)
    assert loadings.shape == (300, 6)
    assert method.components_.shape == (6, N_FEATURES)
    assert method.offset_.shape == (N_FEATURES,)
    assert method.inverse_transform(loadings).shape == small.shape
    assert len(METHODS[name](**QUICK.get(name, {})).fit(small).components_) >= N_FEATURES
    if name != "PrincipalComponents":
        assert loadings.min() >= 0


@every_method
def test_seeds_reproduce_and_leave_the_global_ones_alone(small, name):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = quick(name).fit(small), quick(name).fit(small)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    np.testing.assert_array_equal(first.components_, again.components_)
    np.testing.assert_array_equal(first.transform(small), again.transform(small))
    if name in QUICK:
        other = quick(name).set_params(seed=1).fit(small)
        assert not np.array_equal(first.components_, other.components_)


@every_method
def test_bad_samples_are_named(as_user, small, name):
    method = quick(name)
    with pytest.raises(NotFittedError):
        method.transform(small)
    with pytest.raises(ValueError, match=r"axes \(sample, feature\), got shape \(4,\)"):
        method.fit(np.ones(4))
    spoiled = small.copy()
    spoiled[3, 2] = np.nan
    with pytest.raises(ValueError, match="1 of 300 samples hold NaN or infinity"):
        method.fit(spoiled)
    with pytest.raises(ValueError, match=f"has 5 features, but {name} was fitted on 16"):
        method.fit(small).transform(small[:, :5])


@every_method
def test_bad_numbers_of_modes_are_named(small, name):
    with pytest.raises(ValueError, match="'n_modes' must be a whole number of at least 1, got 0"):
        METHODS[name](n_modes=0).fit(small)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (SparseAutoencoder(sparsity=2.0), "'sparsity' must be between 0 and 1, got 2.0"),
        (ThresholdAutoencoder(threshold=-1.0), "'threshold' must be between 0 and 1, got -1.0"),
        (PrincipalComponents(n_modes=17), "'n_modes' must be between 1 and 16, got 17"),
    ],
)
def test_bad_parameters_are_named(small, method, message):
    with pytest.raises(ValueError, match=message):
        method.fit(small)


@pytest.mark.parametrize("method", [NonNegativeFactors(), SparseAutoencoder()])
def test_negative_numbers_need_a_signed_method(small, method):
    with pytest.raises(ValueError, match="split signs, or use .*nonnegative=False"):
        method.fit(-small)


def test_equal_samples_cannot_be_decomposed():
    with pytest.raises(ValueError, match="nothing to decompose"):
        SparseAutoencoder().fit(np.zeros((10, 3)))


def test_non_negative_factors_have_unit_norm(small):
    method = quick("NonNegativeFactors").fit(small)
    np.testing.assert_allclose(np.linalg.norm(method.components_, axis=1), 1)
    model = method.model_
    np.testing.assert_allclose(
        method.inverse_transform(method.transform(small)),
        model.inverse_transform(model.transform(small)),
    )


# ---- decompose


@every_method
def test_decompose_fills_the_record(small, name):
    record = contributions(small)
    modes = decompose(record, quick(name), seed=3)
    n_modes = len(modes.dictionary)
    assert n_modes + modes.n_dead == 6
    assert (modes.firing > 0).all()
    np.testing.assert_array_equal(modes.firing, np.count_nonzero(modes.loadings, axis=0))
    energy = (modes.loadings**2).sum(axis=0) * (modes.dictionary**2).sum(axis=1)
    assert (np.diff(energy) <= 1e-6 * energy.max(initial=0)).all()
    assert (modes.method, modes.seed, modes.settings["seed"]) == (name, 3, 3)
    assert json.loads(json.dumps(modes.settings)) == modes.settings
    assert modes.held_out.sum() == 60
    Modes.from_xarray(modes.to_xarray())


@every_method
def test_r2_is_that_of_the_formula(small, name):
    record = contributions(small)
    modes = decompose(record, quick(name))
    X = record.values * record.sign / modes.scale
    assert modes.scale == pytest.approx(record.values[~modes.held_out].std())
    rebuilt = modes.loadings @ modes.dictionary + modes.offset
    means = X[~modes.held_out].mean(axis=0)
    for part, r2 in ((modes.held_out, modes.r2), (~modes.held_out, modes.r2_train)):
        residual = ((X - rebuilt)[part] ** 2).sum() / ((X - means)[part] ** 2).sum()
        assert r2 == pytest.approx(1 - residual, abs=1e-5)


def test_held_out_samples_are_not_seen(planted):
    rng = np.random.default_rng(0)
    X = planted.X[:2000].copy()
    held_out = np.arange(2000) >= 1500
    X[held_out] = rng.gamma(0.3, size=(500, N_FEATURES))
    method = NonNegativeFactors(n_modes=N_PLANTED)
    noise = decompose(contributions(X), method, held_out=held_out)
    clean = decompose(contributions(planted.X[:2000]), method, held_out=held_out)
    assert noise.r2 < 0.7 < 0.9 < noise.r2_train
    assert clean.r2 > 0.9
    same_modes = match_modes(noise, clean)[1]
    np.testing.assert_allclose(same_modes, 1)
    assert len(same_modes) == len(noise.dictionary) == len(clean.dictionary)
    assert noise.r2_train == pytest.approx(clean.r2_train, abs=1e-4)
    assert noise.scale == clean.scale


def test_dead_modes_are_left_out_and_counted(planted):
    X = np.outer(planted.X[:400, 0] + 0.1, np.ones(4))
    modes = decompose(contributions(X), SparseAutoencoder(n_modes=7, n_steps=60))
    assert modes.n_dead == 7 - len(modes.dictionary) > 0
    assert modes.loadings.any(axis=0).all()


def test_features_of_sign_0_are_left_as_they_are(small):
    record = contributions(small, sign=np.zeros(N_FEATURES, dtype=int))
    record = replace(record, values=record.values - 1)
    modes = decompose(record, PrincipalComponents())
    rebuilt = (modes.loadings @ modes.dictionary + modes.offset) * modes.scale
    np.testing.assert_allclose(rebuilt, record.values, atol=1e-8)
    with pytest.raises(ValueError, match="split signs"):
        decompose(record, NonNegativeFactors())


def test_decompose_does_not_change_its_inputs(small):
    record, method = contributions(small), quick("SparseAutoencoder")
    values = record.values.copy()
    decompose(record, method, seed=5)
    np.testing.assert_array_equal(record.values, values)
    assert method.seed == 0
    assert not hasattr(method, "components_")


def test_decompose_says_what_is_wrong(as_user, small):
    record, method = contributions(small), PrincipalComponents()
    maps = replace(record, values=np.ones((300, 16, 2, 2)))
    with pytest.raises(ValueError, match=r"must be pooled .* got \(sample, feature, y, x\)"):
        decompose(maps, method)
    with pytest.raises(ValueError, match="All contributions are 1; there is nothing"):
        decompose(replace(record, values=np.ones((300, 16))), method)
    with pytest.raises(ValueError, match="some but not all of the 300 samples"):
        decompose(record, method, held_out=np.ones(300, dtype=bool))
    with pytest.raises(ValueError, match="samples hold NaN"):
        decompose(replace(record, values=np.full((300, 16), np.nan)), method)


# ---- match_modes


def test_match_modes_undoes_a_permutation(planted):
    order = np.random.default_rng(0).permutation(N_PLANTED)
    pairs, cosine = match_modes(planted.dictionary, 3 * planted.dictionary[order])
    np.testing.assert_array_equal(order[pairs[:, 1]], np.arange(N_PLANTED))
    np.testing.assert_allclose(cosine, 1)


def test_match_modes_takes_records_of_unequal_size(small):
    few = decompose(contributions(small), PrincipalComponents(n_modes=3))
    many = decompose(contributions(small), PrincipalComponents(n_modes=5))
    pairs, cosine = match_modes(few, many)
    np.testing.assert_array_equal(pairs, [[0, 0], [1, 1], [2, 2]])
    np.testing.assert_allclose(cosine, 1)
    assert match_modes(np.zeros((1, 16)), many)[1] == 0


def test_match_modes_needs_the_same_features(as_user):
    with pytest.raises(ValueError, match="same features, got 3 and 4"):
        match_modes(np.eye(3), np.eye(4))


class Lazy:
    """Values that are not in memory; remembers how much was read at once."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.most = values, values.shape, values.dtype, 0

    def __getitem__(self, key):
        start, stop, _ = key.indices(len(self.values))
        self.most = max(self.most, stop - start)
        return self.values[key]


def contributions_of(values, n_samples):
    n_features = values.shape[1]
    return Contributions(
        values=values,
        channel=np.arange(n_features),
        sign=np.ones(n_features, int),
        sample=np.arange(n_samples),
        gap=np.zeros(n_samples),
        target_value=np.zeros(n_samples),
        baseline_value=np.zeros(n_samples),
        layer="conv1",
        target="cell 0",
        method="integrated gradients",
    )


@every_method
def test_modes_of_a_store_are_those_of_memory(name):
    X = planted_problem(n_samples=400).X
    a, b = (
        decompose(contributions_of(values, 400), quick(name), seed=3) for values in (X, Lazy(X))
    )
    np.testing.assert_array_equal(a.dictionary, b.dictionary)
    np.testing.assert_array_equal(a.loadings, b.loadings)
    assert a.r2 == b.r2


def test_training_reads_a_store_block_by_block(monkeypatch):
    monkeypatch.setattr(_rows, "BLOCK", 200)
    problem = planted_problem(n_samples=20_000)
    values = Lazy(problem.X)
    modes = decompose(contributions_of(values, 20_000), SparseAutoencoder())
    assert values.most == 200
    assert match_modes(problem.dictionary, modes)[1].mean() > 0.97
    assert modes.r2 > 0.9 and modes.loadings.shape[0] == 20_000


def test_bad_numbers_in_a_store_are_found():
    X = planted_problem(n_samples=400).X
    X[300, 2] = np.nan
    with pytest.raises(ValueError, match="hold NaN or infinity"):
        decompose(contributions_of(Lazy(X), 400), quick("SparseAutoencoder"))
