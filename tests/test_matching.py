"""Matching, stability, the choice of a number of modes, and decompositions that are alike."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from retina_codec.datatypes import Modes, Stability
from retina_codec.decomposition import (
    NonNegativeFactors,
    PrincipalComponents,
    SparseModes,
    _rows,
    choose_n_modes,
    decompose,
    decompose_alike,
    match_modes,
    stability,
)
from retina_codec.simulation import planted_contributions

FEW = {"n_modes": 5, "n_features": 10, "n_samples": 1500}


@pytest.fixture(scope="module")
def planted():
    return planted_contributions(**FEW)


@pytest.fixture(scope="module")
def modes(planted):
    return decompose(planted[0], SparseModes())


def with_noise_mode(modes, seed=0):
    """Add a mode that no other fit can find."""
    rng = np.random.default_rng(seed)
    invented = rng.normal(size=(1, modes.dictionary.shape[1]))
    return replace(
        modes,
        dictionary=np.concatenate([modes.dictionary, invented]),
        loadings=np.concatenate([modes.loadings, modes.loadings[:, :1]], axis=1),
        firing=np.append(modes.firing, modes.firing[0]),
    )


# ---- matching


def test_match_modes_undoes_a_permutation(planted):
    dictionary = planted[1].dictionary
    order = np.random.default_rng(0).permutation(len(dictionary))
    pairs, cosine = match_modes(dictionary, 3 * dictionary[order])
    np.testing.assert_array_equal(order[pairs[:, 1]], np.arange(len(dictionary)))
    np.testing.assert_allclose(cosine, 1)


def test_match_modes_is_the_best_of_all_permutations():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 6)), rng.normal(size=(5, 6))
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    best = max(
        sum(unit[0][i] @ unit[1][j] for i, j in enumerate(order))
        for order in permutations(range(5), 4)
    )
    assert match_modes(a, b)[1].sum() == pytest.approx(best)


def test_match_modes_takes_records_of_unequal_size(planted):
    few = decompose(planted[0], PrincipalComponents(n_modes=3))
    many = decompose(planted[0], PrincipalComponents(n_modes=5))
    pairs, cosine = match_modes(few, many)
    np.testing.assert_array_equal(pairs, [[0, 0], [1, 1], [2, 2]])
    np.testing.assert_allclose(cosine, 1)
    assert match_modes(np.zeros((1, 10)), many)[1] == 0


def test_modes_are_matched_in_the_units_in_which_the_first_was_learned(modes):
    large, small = np.eye(10)[0], np.eye(10)[1:3]
    a = replace(
        modes,
        dictionary=large + 0.01 * small,
        loadings=modes.loadings[:, :2],
        firing=modes.firing[:2],
        feature_scale=np.array([1.0] + [0.01] * 9),
    )
    b = replace(a, dictionary=a.dictionary[::-1])
    assert match_modes(a, b)[0].tolist() == [[0, 1], [1, 0]]
    np.testing.assert_allclose(match_modes(a, b)[1], 1)
    cosine = a.relative_dictionary @ a.relative_dictionary.T
    assert cosine[0, 1] == pytest.approx(0.5)
    assert match_modes(replace(a, feature_scale=None), b)[1].min() > 0.999


def test_match_modes_needs_the_same_features(as_user):
    with pytest.raises(ValueError, match="same features, got 3 and 4"):
        match_modes(np.eye(3), np.eye(4))


# ---- stability


def test_planted_modes_are_stable_and_an_invented_one_is_not(planted, modes):
    found = stability(planted[0], with_noise_mode(modes), SparseModes(), n_seeds=2, n_resampled=2)
    assert found.cosine.shape == (4, 6)
    assert list(found.fits["kind"]) == ["other seed"] * 2 + ["resampled"] * 2
    assert list(found.fits["seed"]) == [1, 2, 0, 0]
    marked = replace(with_noise_mode(modes), reproducibility=found.reproducibility)
    np.testing.assert_array_equal(marked.is_unstable, [False] * 5 + [True])
    np.testing.assert_allclose(found.fits["agreement"], 5 / 6, atol=0.01)
    assert not modes.is_unstable.any()


def test_stability_and_its_mark_survive_a_file(planted, modes):
    found = stability(planted[0], modes, SparseModes(), n_seeds=1, n_resampled=0)
    again = Stability.from_xarray(found.to_xarray())
    np.testing.assert_array_equal(again.cosine, found.cosine)
    assert again.fits.equals(found.fits)
    marked = replace(modes, reproducibility=found.reproducibility)
    again = Modes.from_xarray(marked.to_xarray())
    np.testing.assert_array_equal(again.reproducibility, marked.reproducibility)
    np.testing.assert_array_equal(again.curve, modes.curve)


def test_modes_of_pure_noise_are_marked():
    record, _ = planted_contributions(**FEW)
    rng = np.random.default_rng(0)
    values, whole = rng.normal(size=record.values.shape), np.zeros_like(record.sign)
    noise, method = replace(record, values=values, sign=whole), SparseModes(nonnegative=False)
    modes = decompose(noise, method)
    found = stability(noise, modes, method, n_seeds=2, n_resampled=2)
    marked = replace(modes, reproducibility=found.reproducibility)
    assert marked.is_unstable.mean() > 0.5


def test_resampled_rows_are_blocks_of_the_rows_drawn_again():
    values = np.arange(60.0).reshape(30, 2)
    chosen = np.arange(30) % 10 != 9
    rows = _rows.Rows(values, factor=10.0, chosen=chosen)
    drawn = np.asarray(rows.resampled(9, np.random.default_rng(0)))
    blocks = np.array_split(10 * values[chosen], 9)
    expected = [blocks[i] for i in np.random.default_rng(0).integers(9, size=9)]
    np.testing.assert_array_equal(drawn, np.concatenate(expected))
    assert len(np.unique(drawn, axis=0)) < len(drawn) == 27


def test_stability_says_what_is_wrong(as_user, planted, modes):
    with pytest.raises(ValueError, match="at least one fit"):
        stability(planted[0], modes, SparseModes(), n_seeds=0, n_resampled=0)
    other, _ = planted_contributions(n_samples=100)
    with pytest.raises(ValueError, match=r"shape \(100, 16\), but .* found in \(1500, 10\)"):
        stability(other, modes, SparseModes())


# ---- how many modes


def test_the_planted_number_of_modes_is_chosen(planted):
    number, table = choose_n_modes(planted[0], NonNegativeFactors(), [3, 5, 9])
    assert number == 5
    assert list(table["n_modes"]) == [3, 5, 9]
    r2 = table["r2"].to_numpy()
    assert r2[0] < 0.95 < r2[1]
    assert table["agreement"][1] > 0.95 > table["agreement"][2]


def test_without_stable_fits_the_most_stable_is_chosen():
    rng = np.random.default_rng(0)
    record, _ = planted_contributions(**FEW)
    noise = replace(record, values=np.abs(rng.normal(size=record.values.shape)) * record.sign)
    number, table = choose_n_modes(noise, NonNegativeFactors(), [4, 6])
    assert (table["agreement"] < 0.9).all()
    assert number == table["n_modes"][table["agreement"].idxmax()]
    with pytest.raises(ValueError, match="'numbers' is empty"):
        choose_n_modes(noise, NonNegativeFactors(), [])


# ---- alike


def test_alike_is_as_sparse_or_as_exact(planted, modes):
    other, _ = planted_contributions(**FEW, active=0.3, seed=1)
    assert decompose(other, SparseModes()).active_per_sample > 1.5 * modes.active_per_sample
    sparse = decompose_alike(other, SparseModes(), modes)
    assert sparse.active_per_sample == pytest.approx(modes.active_per_sample, rel=0.15)
    goal = replace(modes, r2=0.8)
    exact = decompose_alike(other, SparseModes(), goal, measure=lambda found: found.r2)
    assert exact.r2 == pytest.approx(0.8, abs=0.05)
    np.testing.assert_array_equal(exact.held_out, modes.held_out)


def test_alike_needs_growing_bounds(planted, modes):
    with pytest.raises(ValueError, match="two growing numbers above 0"):
        decompose_alike(planted[0], SparseModes(), modes, between=(0.5, 0.1))
