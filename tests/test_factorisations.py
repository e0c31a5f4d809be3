"""Decompositions that scikit-learn does, beside what they are defined by."""

import numpy as np
import pytest
from scipy.stats import skew

from retina_codec.decomposition import (
    Clusters,
    IndependentComponents,
    NonNegativeFactors,
    PrincipalComponents,
    SparseDictionary,
    decompose,
    match_modes,
)
from retina_codec.simulation import planted_contributions


@pytest.fixture(scope="module")
def planted():
    return planted_contributions()


@pytest.fixture(scope="module")
def X():
    return np.abs(planted_contributions(n_samples=400)[0].values)


@pytest.mark.parametrize(
    ("method", "least"),
    [
        (SparseDictionary(n_modes=24, n_passes=10), 0.99),
        (IndependentComponents(), 0.99),
        (Clusters(n_modes=24), 0.95),
        (NonNegativeFactors(n_modes=12), 0.93),
    ],
    ids=lambda value: type(value).__name__,
)
def test_planted_modes_come_back(planted, method, least):
    assert match_modes(planted[1], decompose(planted[0], method))[1].sum() / 12 > least


def test_a_sparse_dictionary_solves_its_lasso(X):
    """No loading can be changed a little without making the objective worse."""
    method = SparseDictionary(n_modes=8, sparsity=0.1, n_passes=5).fit(X)
    D = method.components_ / method.scale_
    norm = np.linalg.norm(D, axis=1)
    x = X[:30] / method.scale_ / method.length_
    z = method.transform(X[:30]) / method.length_
    gradient = (z @ D - x) @ D.T + 0.1 * norm
    assert (z >= 0).all()
    # the objective is in the model's own atoms, whose norm is at most 1
    own = method.model_.components_
    z = z / method.norm_
    gradient = (z @ own - x) @ own.T + 0.1
    np.testing.assert_allclose(gradient[z > 0], 0, atol=5e-3)
    assert (gradient[z == 0] > -5e-3).all()


def test_a_sparse_dictionary_learns_from_pieces():
    record, truth = planted_contributions(n_modes=4, n_features=8, n_samples=4000)
    values, method = np.abs(record.values), SparseDictionary(n_modes=6)
    for _ in range(5):
        for piece in np.array_split(values, 7):
            method.partial_fit(piece)
    assert match_modes(truth.dictionary, method.components_)[1].mean() > 0.95


def test_independent_components_rebuild_samples_and_have_the_longer_tail_above(X):
    method = IndependentComponents().fit(X)
    loadings = method.transform(X)
    np.testing.assert_allclose(method.inverse_transform(loadings), X, atol=1e-8)
    assert (skew(loadings, axis=0) > 0).all()
    np.testing.assert_allclose(np.corrcoef(loadings.T), np.eye(16), atol=1e-6)


def test_clusters_are_projections_on_the_mean_of_the_nearest(X):
    method = Clusters(n_modes=5).fit(X)
    centres = method.model_.cluster_centers_
    for x, loadings in zip(X[:30] / method.scale_, method.transform(X[:30]), strict=True):
        own = np.argmin([np.sum((x - centre) ** 2) for centre in centres])
        mode = centres[own] / np.linalg.norm(centres[own])
        expected = np.zeros(5)
        expected[own] = x @ mode * method.norm_[own]
        np.testing.assert_allclose(loadings, expected, rtol=1e-6)


def test_principal_components_are_those_of_the_covariance(X):
    method = PrincipalComponents(n_modes=3).fit(X)
    values, vectors = np.linalg.eigh(np.cov(X.T))
    for mode, vector in zip(method.components_, vectors.T[::-1], strict=False):
        assert abs(mode @ vector) == pytest.approx(1)
    np.testing.assert_allclose(method.offset_, X.mean(axis=0))


def test_parameters_are_checked(X):
    cases = [
        (SparseDictionary(sparsity=-0.1), "'sparsity' must be between 0 and inf, got -0.1"),
        (SparseDictionary(n_passes=0), "'n_passes' must be a whole number of at least 1, got 0"),
        (IndependentComponents(n_modes=17), "'n_modes' must be between 1 and 16, got 17"),
        (IndependentComponents(max_iter=0), "'max_iter' must be a whole number"),
        (Clusters(n_modes=401), "'n_modes' must be between 1 and 400, got 401"),
    ]
    for method, message in cases:
        with pytest.raises(ValueError, match=message):
            method.fit(X)
