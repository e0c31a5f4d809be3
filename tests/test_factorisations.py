"""Decompositions that scikit-learn does, beside slow and obvious formulas."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.base import clone
from stored import Lazy

from retina_codec.decomposition import (
    Clusters,
    IndependentComponents,
    NonNegativeFactors,
    PrincipalComponents,
    SparseDictionary,
    _rows,
    match_modes,
)
from retina_codec.decomposition._rows import Rows
from retina_codec.simulation import planted_contributions

METHODS = [
    NonNegativeFactors(n_modes=4),
    SparseDictionary(n_modes=4, n_passes=5),
    IndependentComponents(n_modes=4),
    PrincipalComponents(n_modes=4),
    Clusters(n_modes=4),
]
MORE_THAN_THE_SAMPLES = METHODS[:2]
LESS_THAN_THE_SAMPLES = METHODS[2:]
CENTRED = METHODS[2:4]


def each(methods):
    return pytest.mark.parametrize("method", methods, ids=lambda method: type(method).__name__)


@pytest.fixture(scope="module")
def planted():
    record, truth = planted_contributions()
    return np.abs(record.values), truth.dictionary


@pytest.fixture(scope="module")
def small(planted):
    return planted[0][:400, :8]


# ---- what all of them promise


@each(METHODS)
def test_parameters_can_be_read_set_and_copied(method):
    copied = clone(method).set_params(n_modes=3, seed=5)
    assert copied.get_params() == {**method.get_params(), "n_modes": 3, "seed": 5}
    assert "n_modes=4" in repr(method)


@each(METHODS)
def test_fits_are_equal_bit_for_bit(small, method):
    a, b = clone(method).fit(small), clone(method).fit(small)
    np.testing.assert_array_equal(a.components_, b.components_)
    np.testing.assert_array_equal(a.transform(small), b.transform(small))


@each([SparseDictionary(n_modes=4, n_passes=2), Clusters(n_modes=7)])
def test_another_seed_is_another_fit(small, method):
    a, b = clone(method).fit(small), clone(method).set_params(seed=1).fit(small)
    assert not np.array_equal(a.components_, b.components_)


@each(METHODS)
def test_modes_have_unit_norm_and_the_samples_come_back(small, method):
    fitted = clone(method).fit(small)
    np.testing.assert_allclose(np.linalg.norm(fitted.components_, axis=1), 1, rtol=1e-9)
    rebuilt = fitted.inverse_transform(fitted.transform(small))
    unexplained = np.square(small - rebuilt).sum() / np.square(small - small.mean(axis=0)).sum()
    assert unexplained < 0.6
    if method in CENTRED:
        np.testing.assert_allclose(fitted.offset_, small.mean(axis=0))
    else:
        assert not fitted.offset_.any()


@each(METHODS[1:])
def test_units_of_the_samples_do_not_matter(small, method):
    """Non-negative factors end in another minimum: `decompose` gives all methods equal units."""
    a, b = clone(method).fit(small), clone(method).fit(1024 * small)
    np.testing.assert_allclose(a.components_, b.components_, atol=1e-6)
    np.testing.assert_allclose(1024 * a.transform(small), b.transform(1024 * small), rtol=1e-3)


@each(METHODS)
def test_features_that_never_change_get_no_weight(small, method):
    X = np.concatenate([np.zeros((400, 1)), small, np.zeros((400, 1))], axis=1)
    fitted = clone(method).fit(X)
    np.testing.assert_allclose(fitted.components_[:, [0, -1]], 0, atol=1e-12)
    alone = clone(method).fit(small)
    np.testing.assert_allclose(
        np.square(X - fitted.inverse_transform(fitted.transform(X))).sum(),
        np.square(small - alone.inverse_transform(alone.transform(small))).sum(),
        rtol=0.15,
    )
    X[:, [0, -1]] = 2.0
    fitted = clone(method).fit(X)
    assert np.isfinite(fitted.transform(X)).all()
    if method in CENTRED:
        np.testing.assert_allclose(fitted.components_[:, [0, -1]], 0, atol=1e-12)
        np.testing.assert_allclose(fitted.offset_[[0, -1]], 2)


@each(METHODS)
def test_nothing_to_decompose_is_said(small, method):
    with pytest.raises(ValueError, match="All 400 samples are 0; there is nothing to decompose"):
        clone(method).fit(np.zeros_like(small))


@each(CENTRED)
def test_equal_samples_have_no_directions(method):
    with pytest.raises(ValueError, match="All 9 samples are the same; there is nothing"):
        clone(method).fit(np.full((9, 5), 0.1))


@each(METHODS)
def test_samples_that_are_not_numbers_are_named(as_user, small, method):
    spoiled = small.copy()
    spoiled[7, 2], spoiled[9, 0] = np.nan, np.inf
    with pytest.raises(ValueError, match="2 of 400 samples hold NaN or infinity"):
        clone(method).fit(spoiled)
    with pytest.raises(ValueError, match="2 of 400 samples hold NaN or infinity"):
        clone(method).fit(small).transform(spoiled)


@each(LESS_THAN_THE_SAMPLES)
def test_more_modes_than_samples_are_refused(small, method):
    with pytest.raises(ValueError, match="between 1 and 3, got 4: there are 3 samples with 8 feat"):
        clone(method).fit(small[:3])
    assert len(clone(method).set_params(n_modes=None).fit(small[:9]).components_) == 8


@each(MORE_THAN_THE_SAMPLES)
def test_more_modes_than_samples_are_possible(small, method):
    fitted = clone(method).fit(small[:3])
    assert fitted.components_.shape == (4, 8)
    assert np.isfinite(fitted.components_).all()
    assert np.isfinite(fitted.transform(small)).all()


@each(METHODS[:2])
def test_negative_samples_need_another_method(small, method):
    for wrong in (-small, small - 1):
        with pytest.raises(ValueError, match="must not be negative, but its minimum is -"):
            clone(method).fit(wrong)
    with pytest.raises(ValueError, match=r"split signs, or use .*nonnegative=False"):
        clone(method).fit(small).transform(-small)


@each(METHODS)
def test_global_random_numbers_are_left_alone(small, method):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    clone(method).fit(small).transform(small)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@each(METHODS[:2] + METHODS[4:])
def test_recovery_of_planted_modes(planted, method):
    X, truth = planted
    fitted = clone(method).set_params(n_modes=24).fit(X)
    cosine = match_modes(truth, fitted.components_)[1]
    assert (
        cosine.mean()
        > {NonNegativeFactors: 0.8, SparseDictionary: 0.99, Clusters: 0.94}[type(method)]
    )


# ---- non-negative factors


def test_non_negative_factors_solve_non_negative_least_squares(small):
    fitted = NonNegativeFactors(n_modes=3).fit(small)
    assert fitted.components_.min() >= 0
    new, atoms = small[:20], fitted.components_
    for x, loadings in zip(new, fitted.transform(new), strict=True):
        assert loadings.min() >= 0
        gradient = atoms @ (atoms.T @ loadings - x)
        np.testing.assert_allclose(gradient[loadings > 1e-6], 0, atol=0.02)
        assert gradient.min() > -0.02


@pytest.mark.parametrize("method", [NonNegativeFactors, IndependentComponents])
def test_too_few_iterations_are_one_warning(planted, method):
    with pytest.warns(UserWarning, match="was still changing after 2 iterations. Give a larger 'm"):
        method(n_modes=12, max_iter=2).fit(planted[0][:500])


# ---- sparse dictionary


@pytest.mark.parametrize("nonnegative", [True, False])
def test_loadings_of_the_dictionary_solve_the_lasso(small, nonnegative):
    """At the minimum, active modes fit the residual as well as the penalty says, others less."""
    X = small if nonnegative else small - small.mean(axis=0)
    method = SparseDictionary(
        n_modes=5, nonnegative=nonnegative, equal_features=False, n_passes=5, sparsity=0.2
    ).fit(X)
    assert (method.components_.min() >= 0) == nonnegative
    length = np.sqrt(np.square(X).sum() / len(X))
    learned = method.components_ * method.norm_[:, None]
    for x, loadings in zip(X[:30], method.transform(X[:30]) / method.norm_, strict=True):
        assert loadings.min() >= 0
        fit = learned @ (x - loadings @ learned) / length
        np.testing.assert_allclose(fit[loadings > 0], 0.2, atol=5e-3)
        assert fit.max() < 0.2 + 5e-3


def test_penalty_makes_loadings_sparse(small):
    number = [
        np.count_nonzero(SparseDictionary(sparsity=s, n_passes=5).fit_transform(small))
        for s in (0.01, 0.1, 0.5)
    ]
    assert number[0] > number[1] > number[2] > 0


def test_weak_features_count_as_much_as_strong_ones(planted):
    X, truth = planted
    scale = np.geomspace(1, 100, 16)
    method = SparseDictionary(n_modes=20, n_passes=6).fit(X[:3000] * scale)
    assert match_modes(truth, method.components_ / scale)[1].mean() > 0.98


def test_dictionary_learns_from_a_store_block_by_block(planted, monkeypatch):
    monkeypatch.setattr(_rows, "BLOCK", 100)
    X, truth = planted
    store = Lazy(X[:4000])
    method = SparseDictionary(n_modes=16, n_passes=8).fit(Rows(store))
    assert store.most == 100
    assert match_modes(truth, method.components_)[1].mean() > 0.95


def test_dictionary_learns_in_portions(planted):
    X, truth = planted
    method = SparseDictionary(n_modes=16)
    for _ in range(4):
        for portion in np.array_split(X, 6):
            method.partial_fit(portion)
    assert match_modes(truth, method.components_)[1].mean() > 0.98
    with pytest.raises(ValueError, match="must not be negative"):
        method.partial_fit(-X[:50])


# ---- independent components


def test_independent_components_unmix_signals_of_known_sources():
    rng = np.random.default_rng(0)
    sources = rng.exponential(size=(3000, 3))
    mixing = rng.normal(size=(3, 5))
    method = IndependentComponents(n_modes=3).fit(sources @ mixing)
    loadings = method.transform(sources @ mixing)
    r = np.corrcoef(sources.T, loadings.T)[:3, 3:]
    best = max(permutations(range(3)), key=lambda order: r[range(3), order].sum())
    assert (r[range(3), best] > 0.99).all()
    assert method.n_removed_ == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_loadings_have_their_long_tail_above(small, sign):
    method = IndependentComponents(n_modes=4).fit(sign * small)
    loadings = method.transform(sign * small)
    assert (np.mean((loadings - loadings.mean(axis=0)) ** 3, axis=0) > 0).all()
    np.testing.assert_allclose(
        loadings, (sign * small - method.offset_) @ np.linalg.pinv(method.components_), atol=1e-8
    )


def test_directions_that_do_not_exist_are_counted(small):
    X = small[:, :3] @ np.random.default_rng(0).normal(size=(3, 8))
    method = IndependentComponents(n_modes=5).fit(X)
    assert len(method.components_) == 3
    assert method.n_removed_ == 2
    np.testing.assert_allclose(method.inverse_transform(method.transform(X)), X, atol=1e-8)


# ---- principal components


def test_principal_components_are_eigenvectors_of_the_covariance(small):
    method = PrincipalComponents(n_modes=3).fit(small)
    _, vectors = np.linalg.eigh(np.cov(small.T))
    np.testing.assert_allclose(
        np.abs(np.sum(method.components_ * vectors[:, :-4:-1].T, axis=1)), 1, rtol=1e-9
    )
    np.testing.assert_allclose(
        method.transform(small[:9]), (small[:9] - small.mean(axis=0)) @ method.components_.T
    )


# ---- clusters


@pytest.mark.parametrize("equal_features", [True, False])
def test_a_sample_is_projected_on_the_mean_of_the_nearest_cluster(small, equal_features):
    method = Clusters(n_modes=4, equal_features=equal_features).fit(small)
    scale = np.sqrt(np.square(small).mean(axis=0)) if equal_features else np.ones(8)
    centres = method.model_.cluster_centers_
    for x, loadings in zip(small[:50], method.transform(small[:50]), strict=True):
        own = np.argmin(np.linalg.norm(x / scale - centres, axis=1))
        expected = np.zeros(4)
        unit = centres[own] / np.linalg.norm(centres[own])
        expected[own] = (x / scale) @ unit * np.linalg.norm(unit * scale)
        np.testing.assert_allclose(loadings, expected, atol=1e-9)


def test_fewer_different_samples_than_clusters_leave_modes_dead(small):
    method = Clusters(n_modes=6).fit(small[np.arange(100) % 2])
    loadings = method.transform(small[np.arange(100) % 2])
    assert (loadings > 0).any(axis=0).sum() == 2
    np.testing.assert_allclose(
        method.inverse_transform(loadings), small[np.arange(100) % 2], atol=1e-9
    )


# ---- parameters


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (SparseDictionary(sparsity=-0.1), "'sparsity' must be between 0 and inf, got -0.1"),
        (SparseDictionary(n_passes=0), "'n_passes' must be a whole number of at least 1, got 0"),
        (NonNegativeFactors(max_iter=0), "'max_iter' must be a whole number of at least 1, got 0"),
        (IndependentComponents(max_iter=0), "'max_iter' must be a whole number"),
        (IndependentComponents(n_modes=9), "'n_modes' must be between 1 and 8, got 9"),
        (Clusters(n_modes=401), "'n_modes' must be between 1 and 400, got 401"),
    ],
)
def test_parameters_are_checked(small, method, message):
    with pytest.raises(ValueError, match=message):
        method.fit(small)
