import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from stored import Lazy

from retina_codec.datatypes import Contributions, Modes
from retina_codec.decomposition import (
    METHODS,
    PUBLISHED,
    NonNegativeFactors,
    PrincipalComponents,
    SparseModes,
    ThresholdAutoencoder,
    _rows,
    _sparse_coding,
    decompose,
    match_modes,
)
from retina_codec.simulation import planted_contributions

N_FEATURES = 16
QUICK = {
    "SparseModes": {"n_passes": 8},
    "SparseAutoencoder": {"n_steps": 30},
    "TopKAutoencoder": {"n_steps": 30},
    "BatchTopKAutoencoder": {"n_steps": 30},
    "JumpReluAutoencoder": {"n_steps": 30},
    "ThresholdAutoencoder": {"n_epochs": 2},
    "SparseDictionary": {"n_passes": 3},
}
KNOWS_NO_SEED = {"PrincipalComponents", "NonNegativeFactors"}
SIGNED = {"PrincipalComponents", "IndependentComponents"}
every_method = pytest.mark.parametrize("name", METHODS)


def quick(name):
    return METHODS[name](n_modes=6, **QUICK.get(name, {}))


@pytest.fixture(scope="module")
def planted():
    return planted_contributions()


@pytest.fixture(scope="module")
def small():
    return np.abs(planted_contributions(n_samples=300)[0].values)


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


# ---- recovery of planted modes by the default method


def false_energy(modes, truth):
    """Largest share of the energy that a mode has without a true mode like it."""
    energy = (modes.loadings**2).sum(axis=0)
    pairs, cosine = match_modes(truth, modes)
    true = pairs[cosine > 0.9, 1]
    return np.delete(energy, true).max(initial=0.0) / energy.sum()


PROBLEMS = {
    "dense": (0.99, {}),
    "sparse": (0.99, {"features_per_mode": 4}),
    "scales of 100 to 1": (0.99, {"scale_ratio": 100.0}),
    "signed, in bursts, together, 10 % noise": (
        0.98,
        {
            "n_modes": 24,
            "n_features": 32,
            "signed": True,
            "burst": 8.0,
            "together": 0.5,
            "noise": 0.1,
        },
    ),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_planted_modes_come_back(problem):
    least, settings = PROBLEMS[problem]
    record, truth = planted_contributions(**settings)
    modes = decompose(record, SparseModes(nonnegative=not settings.get("signed", False)))
    pairs, cosine = match_modes(truth, modes)
    assert cosine.sum() / len(truth.dictionary) > least
    assert false_energy(modes, truth) < 0.05
    true, found = truth.loadings[:, pairs[:, 0]], modes.loadings[:, pairs[:, 1]] * modes.scale
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(true.T, found.T, strict=True)]
    assert np.mean(r) > 0.97
    strong = true > 0.2 * true.mean()
    assert np.median(found[strong] / true[strong]) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("factor", [2, 4])
def test_too_many_modes_are_removed(planted, factor):
    record, truth = planted
    modes = decompose(record, SparseModes(n_modes=12 * factor))
    assert match_modes(truth, modes)[1].mean() > 0.99
    assert len(modes.dictionary) == 12
    assert modes.n_dead == 12 * (factor - 1)


def test_three_seeds_agree(planted):
    fits = [decompose(planted[0], SparseModes(), seed=seed) for seed in range(3)]
    for a, b in pairwise(fits):
        assert match_modes(a, b)[1].sum() / max(len(a.dictionary), len(b.dictionary)) > 0.98


def test_more_modes_than_features_can_be_found():
    record, truth = planted_contributions(n_modes=20, n_features=12, active=0.06)
    modes = decompose(record, SparseModes())
    assert match_modes(truth, modes)[1].sum() / 20 > 0.95


def test_a_mode_in_two_parts_is_found_whole():
    """Of few modes in many, one is often learned as two that are alike and active together."""
    record, truth = planted_contributions(n_modes=5, n_features=10, n_samples=1500)
    for seed in range(3):
        modes = decompose(record, SparseModes(), seed=seed)
        assert len(modes.dictionary) == 5
        assert match_modes(truth, modes)[1].min() > 0.99


def test_twins_are_found_with_the_mode_between_them():
    loadings = torch.tensor([[2.0, 2.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    dictionary = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
    ((a, b, between),) = _sparse_coding.twins(loadings, dictionary, 0.7)
    assert (a, b) == (0, 1)
    torch.testing.assert_close(between, torch.tensor([1.8, 0.6]) / 3.6**0.5)


def test_training_curve_falls(planted):
    curve = decompose(planted[0], SparseModes()).curve
    assert curve[-1] < 0.01 < 0.3 < curve[0]


@every_method
def test_number_of_threads_is_left_alone(small, name):
    before = torch.get_num_threads()
    quick(name).fit(small)
    assert torch.get_num_threads() == before


# ---- sparse coding


def test_competition_agrees_with_non_negative_least_squares(planted, small):
    atoms, X = planted[1].dictionary[:6], small[:20]
    found = _sparse_coding.competition(
        torch.as_tensor(X), torch.as_tensor(atoms), penalty=0.0, n_rounds=2000
    )
    np.testing.assert_allclose(found, [nnls(atoms.T, x)[0] for x in X], atol=1e-5)


def test_sparse_loadings_are_large_and_fitted_without_penalty(planted, small):
    atoms, X = planted[1].dictionary, small[:50]
    found = _sparse_coding.sparse_loadings(
        torch.as_tensor(X), torch.as_tensor(atoms), threshold=0.3, n_rounds=2000
    ).numpy()
    for x, loadings in zip(X, found, strict=True):
        active = loadings > 0
        if active.any():
            np.testing.assert_allclose(loadings[active], nnls(atoms[active].T, x)[0], atol=0.02)


def test_worth_tells_modes_from_copies_and_sums():
    rng = np.random.default_rng(0)
    true = torch.eye(4)
    loadings = torch.as_tensor(rng.gamma(2.0, size=(500, 4)) * (rng.random((500, 4)) < 0.3))
    x = (loadings @ true.double()).float()
    mixture = (true[0] + true[1]) / 2**0.5
    dictionary = torch.cat([true, mixture[None], true[3:]])
    found = _sparse_coding.sparse_loadings(x, dictionary, threshold=0.1)
    worth = _sparse_coding.worth(x, found, dictionary, threshold=0.1)
    assert (worth[:3] > 2).all()
    assert worth[4] < 2 and worth[3] < 0.1 and worth[5] < 0.1


# ---- the published autoencoder


def test_published_settings_start_nearly_dead_where_ours_learn(small):
    X = small / small.std()
    published = ThresholdAutoencoder(**{**PUBLISHED["retina"], "n_epochs": 1}).fit(X)
    assert published.components_.shape == (160, N_FEATURES)
    n_alive = (published.transform(X) > 0).any(axis=0).sum()
    assert n_alive < 0.1 * 160
    ours = SparseModes().fit(X)
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
    n_modes = 6 - method.n_removed_
    assert loadings.shape == (300, n_modes)
    assert method.components_.shape == (n_modes, N_FEATURES)
    assert method.offset_.shape == (N_FEATURES,)
    assert method.inverse_transform(loadings).shape == small.shape
    many = METHODS[name](**QUICK.get(name, {})).fit(small)
    assert len(many.components_) + many.n_removed_ >= N_FEATURES
    if name not in SIGNED:
        assert loadings.min() >= 0


@every_method
def test_seeds_reproduce_and_leave_the_global_ones_alone(small, name):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = quick(name).fit(small), quick(name).fit(small)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    np.testing.assert_array_equal(first.components_, again.components_)
    np.testing.assert_array_equal(first.transform(small), again.transform(small))
    if name not in KNOWS_NO_SEED:
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
def test_features_that_do_not_vary_do_no_harm(small, name):
    X = small.copy()
    X[:, 3], X[:, 4] = 0.0, 2.0
    method = quick(name).fit(X)
    loadings = method.transform(X)
    assert np.isfinite(loadings).all() and np.isfinite(method.components_).all()
    rebuilt = method.inverse_transform(loadings)
    assert np.isfinite(rebuilt).all()
    if name != "ThresholdAutoencoder":  # its signed modes begin with random weights
        np.testing.assert_allclose(rebuilt[:, 3], 0, atol=1e-6)


@every_method
def test_fewer_samples_than_modes_give_finite_modes_or_a_message(small, name):
    X, method = small[:4], quick(name)
    if name in {"PrincipalComponents", "IndependentComponents", "Clusters"}:
        with pytest.raises(ValueError, match="'n_modes' must be between 1 and 4, got 6"):
            method.fit(X)
    elif name == "ThresholdAutoencoder":
        with pytest.raises(ValueError, match="10 blocks need at least 10 samples, got 4"):
            method.fit(X)
    else:
        loadings = method.fit_transform(X)
        assert loadings.shape == (4, 6 - method.n_removed_)
        assert np.isfinite(method.components_).all() and np.isfinite(loadings).all()


@every_method
def test_samples_that_are_all_0_cannot_be_decomposed(name):
    with pytest.raises(ValueError, match="All 12 samples are 0; there is nothing to decompose"):
        quick(name).fit(np.zeros((12, 3)))


@every_method
def test_bad_numbers_of_modes_are_named(small, name):
    with pytest.raises(ValueError, match="'n_modes' must be a whole number of at least 1, got 0"):
        METHODS[name](n_modes=0).fit(small)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (SparseModes(smallest_loading=2.0), "'smallest_loading' must be between 0 and 1, got 2.0"),
        (ThresholdAutoencoder(threshold=-1.0), "'threshold' must be between 0 and 1, got -1.0"),
        (PrincipalComponents(n_modes=17), "'n_modes' must be between 1 and 16, got 17"),
    ],
)
def test_bad_parameters_are_named(small, method, message):
    with pytest.raises(ValueError, match=message):
        method.fit(small)


@pytest.mark.parametrize(
    "name",
    [
        "SparseModes",
        "SparseAutoencoder",
        "TopKAutoencoder",
        "BatchTopKAutoencoder",
        "JumpReluAutoencoder",
        "SparseDictionary",
        "NonNegativeFactors",
    ],
)
def test_negative_numbers_need_a_signed_method(small, name):
    with pytest.raises(ValueError, match="split signs, or use .*nonnegative=False"):
        quick(name).fit(-small)
    method = quick(name).fit(small)
    with pytest.raises(ValueError, match="must not be negative, but its minimum is -"):
        method.transform(-small)
    if name != "NonNegativeFactors":
        signed = quick(name).set_params(nonnegative=False).fit(-small)
        assert np.isfinite(signed.transform(-small)).all()


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


def test_held_out_samples_are_not_seen():
    rng = np.random.default_rng(0)
    clean_X = np.abs(planted_contributions(n_samples=2000)[0].values)
    X = clean_X.copy()
    held_out = np.arange(2000) >= 1500
    X[held_out] = rng.gamma(0.3, size=(500, N_FEATURES))
    noise = decompose(contributions(X), SparseModes(), held_out=held_out)
    clean = decompose(contributions(clean_X), SparseModes(), held_out=held_out)
    assert noise.r2 < 0.7 < 0.9 < noise.r2_train
    assert clean.r2 > 0.9
    same_modes = match_modes(noise, clean)[1]
    np.testing.assert_allclose(same_modes, 1, rtol=1e-6)
    assert len(same_modes) == len(noise.dictionary) == len(clean.dictionary)
    assert noise.r2_train == pytest.approx(clean.r2_train, abs=1e-4)
    assert noise.scale == clean.scale


def test_dead_modes_are_left_out_and_counted(small):
    X = np.outer(small[:, 0] + 0.1, np.ones(4))
    modes = decompose(contributions(X), SparseModes(n_modes=7))
    assert len(modes.dictionary) == 1
    assert modes.n_dead == 6
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
    record, method = contributions(small), quick("SparseModes")
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


def stored(X):
    return replace(contributions(X, sign=np.ones(X.shape[1], int)), values=Lazy(X))


@every_method
def test_modes_of_a_store_are_those_of_memory(name):
    X = np.abs(planted_contributions(n_samples=400)[0].values)
    in_memory = replace(stored(X), values=X)
    a, b = (decompose(record, quick(name), seed=3) for record in (in_memory, stored(X)))
    np.testing.assert_allclose(a.dictionary, b.dictionary, atol=1e-9)
    np.testing.assert_allclose(a.loadings, b.loadings, atol=1e-9)
    assert a.r2 == pytest.approx(b.r2)


def test_training_reads_a_store_block_by_block(monkeypatch):
    monkeypatch.setattr(_rows, "BLOCK", 200)
    record, truth = planted_contributions(n_samples=20_000)
    record = stored(np.abs(record.values))
    modes = decompose(record, SparseModes())
    assert record.values.most == 200
    assert match_modes(truth, modes)[1].mean() > 0.99
    assert modes.r2 > 0.9 and modes.loadings.shape[0] == 20_000


def test_bad_numbers_in_a_store_are_found():
    X = np.abs(planted_contributions(n_samples=400)[0].values)
    X[300, 2] = np.nan
    with pytest.raises(ValueError, match="hold NaN or infinity"):
        decompose(stored(X), quick("SparseModes"))


MEMORY_OF_A_FIT = """
import resource
import numpy as np
from retina_codec.datatypes import Contributions
from retina_codec.decomposition import SparseModes, decompose
from retina_codec.simulation import planted_contributions

N = 500_000

class Store:
    "A gigabyte of contributions that are made when they are read."
    def __init__(self, rows):
        self.rows, self.shape, self.dtype = rows, (N, rows.shape[1]), rows.dtype
    def __getitem__(self, key):
        start, stop, _ = key.indices(N)
        return self.rows[np.arange(start, stop) % len(self.rows)]

planted, _ = planted_contributions(n_modes=8, n_features=512, n_samples=5000, features_per_mode=40)
values, zeros = Store(np.abs(planted.values).astype(np.float32)), np.zeros(N)
feature = np.arange(512)
record = Contributions(values=values, sample=np.arange(N), target_value=zeros, baseline_value=zeros,
    gap=zeros, channel=feature, sign=np.ones_like(feature), layer="", target="", method="")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
modes = decompose(record, SparseModes(n_modes=16, n_passes=10))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(len(modes.dictionary), (after - before) / 1e6)
"""


def test_a_store_is_decomposed_in_less_memory_than_it_has():
    """One gigabyte in less than half of one: what is held are 16 blocks of 8 MB, and loadings."""
    command = [sys.executable, "-c", MEMORY_OF_A_FIT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    n_modes, gigabytes = map(float, done.stdout.split())
    assert n_modes == 8
    assert gigabytes < 0.5
