"""Types of cells: planted ones come back, and where there are none, none are found."""

from functools import cache

import numpy as np
import pytest

from retina_codec.contributions import integrated_gradients, one_cell, surprisal
from retina_codec.datatypes import CellTypes
from retina_codec.decomposition import SparseModes, decompose
from retina_codec.networks import predict, windows_for
from retina_codec.simulation import Circuit, planted_contributions
from retina_codec.simulation.circuit import TYPES
from retina_codec.statistics import (
    agglomerative,
    agreement_with_types,
    cell_clusters,
    cell_types,
    channel_profiles,
    clusterings,
    directions,
    gap_statistic,
    k_means,
    type_recovery,
    z_scored,
)
from retina_codec.stimuli import Screen, natural_scenes


@cache
def retina(types, cells_per_type, seed, n_frames):
    """Rates, modes and true types of a circuit that watches natural scenes."""
    wiring = {name: TYPES[name] for name in types}
    circuit = Circuit(
        shape=(24, 24), history=25, types=wiring, cells_per_type=cells_per_type, seed=seed
    )
    movie = natural_scenes(n_frames=n_frames, screen=Screen((24, 24)), seed=seed + 10)
    samples = windows_for(circuit, movie)
    rates = predict(circuit, samples)
    record = integrated_gradients(
        circuit,
        samples,
        layers=["bipolar"],
        target=surprisal(rates),
        n_steps=5,
        progress=False,
    )["bipolar"]
    return rates, decompose(record, SparseModes()), circuit.cells["cell_type"].to_numpy()


def planted(n_types=3, cells_per_type=4, noise=0.5, seed=0):
    """Each type goes with a mode of its own."""
    _, modes = planted_contributions(n_modes=n_types, n_samples=1200, burst=8.0, seed=seed)
    rates = np.repeat(modes.loadings, cells_per_type, axis=1)
    rates = rates + noise * np.random.default_rng(seed).normal(size=rates.shape)
    return rates, modes, np.repeat(np.arange(n_types), cells_per_type)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_modes_find_the_types_of_a_circuit_where_responses_do_not(seed):
    rates, modes, truth = retina(tuple(TYPES), 4, seed, 4000)
    found = cell_types(rates, modes, n_bootstraps=1, n_references=5, n_nulls=19)
    assert found.choices["silhouette"] == 4
    table = type_recovery(found, truth).set_index("by")
    assert table.loc["modes, k known", "agreement"] >= 0.9
    assert table.loc["modes, k known", "p"] <= 0.05
    assert table.loc["responses", "agreement"] < 0.6
    assert table.loc["shifted loadings", "high"] < 0.7


@pytest.mark.parametrize(("types", "n_types"), [(tuple(TYPES), 4), (("OFF sustained",), 1)])
def test_number_of_types_is_that_of_the_circuit_whatever_the_silhouette_says(types, n_types):
    """In cells of one type the silhouette finds groups that lie near each other."""
    rates, modes, truth = retina(types, 16 // n_types, 1, 4000 if n_types > 1 else 2000)
    found = cell_types(rates, modes, method=agglomerative, n_nulls=2)
    assert found.choices["silhouette"] > 1
    assert found.choices["chosen"] == n_types
    assert agreement_with_types(found.labels, truth) == 1


def test_channel_profiles_find_types_that_correlations_confuse():
    circuit = Circuit(shape=(24, 24), history=25, cells_per_type=4, seed=0)
    movie = natural_scenes(n_frames=250, screen=Screen((24, 24)), seed=10)
    records = integrated_gradients(
        circuit,
        windows_for(circuit, movie),
        layers=["bipolar"],
        target=[one_cell(i) for i in range(16)],
        n_steps=5,
        progress=False,
    )
    profiles = channel_profiles([of_layer["bipolar"] for of_layer in records.values()])
    labels, _ = cell_clusters(profiles)
    assert len(set(labels)) == 4
    assert agreement_with_types(labels, circuit.cells["cell_type"]) == 1


@pytest.mark.parametrize("method", [k_means, agglomerative])
@pytest.mark.parametrize("points", [z_scored, directions])
def test_planted_types_come_back_with_every_method(method, points):
    rates, modes, truth = planted()
    rates[:300, 2] = np.nan
    found = cell_types(
        rates, modes, method=method, points=points, n_bootstraps=5, n_references=10, n_nulls=5
    )
    assert found.choices["chosen"] == 3
    assert agreement_with_types(found.labels, truth) == 1
    assert (found.method, found.points) == (method.__name__, points.__name__)
    assert CellTypes.from_xarray(found.to_xarray()).choices == found.choices


@pytest.mark.slow
def test_silhouette_of_shifted_loadings_is_not_called():
    """Rates that have nothing to do with the modes."""
    rates, modes, _ = planted()
    p = [
        cell_types(
            np.roll(rates, 400 + 60 * i, axis=0),
            modes,
            method=agglomerative,
            n_bootstraps=1,
            n_references=2,
            n_nulls=19,
            seed=i,
        ).p_value
        for i in range(6)
    ]
    assert sum(each <= 0.05 for each in p) <= 1
    assert cell_types(rates, modes, method=agglomerative, n_nulls=40).p_value <= 0.05


def test_gap_statistic_agrees_with_a_slow_version():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(6, 2)), rng.normal(size=(6, 2)) + 8])
    labels = clusterings(points, method=agglomerative, most=4)
    gap, error = gap_statistic(points, labels, method=agglomerative, n_references=200)

    def slow(x, k):
        groups = agglomerative(x, k) if k > 1 else np.zeros(len(x), dtype=int)
        pairs = [
            sum(np.sum((a - b) ** 2) for a in x[groups == g] for b in x[groups == g])
            / (2 * np.sum(groups == g))
            for g in set(groups)
        ]
        return np.log(sum(pairs))

    centre = points.mean(axis=0)
    _, _, axes = np.linalg.svd(points - centre)
    along = (points - centre) @ axes.T
    boxes = [rng.uniform(along.min(0), along.max(0), along.shape) for _ in range(200)]
    for k in range(1, 5):
        reference = [slow(box, k) for box in boxes]
        assert gap[k - 1] == pytest.approx(np.mean(reference) - slow(points, k), abs=0.15)
        assert error[k - 1] == pytest.approx(np.std(reference) * np.sqrt(1 + 1 / 200), abs=0.08)
    assert np.argmax(gap) == 1


def test_points_without_clusters_have_no_gap():
    one = 0
    for seed in range(10):
        points = np.random.default_rng(seed).normal(size=(16, 6))
        labels = clusterings(points, method=agglomerative)
        gap, error = gap_statistic(points, labels, method=agglomerative, n_references=20)
        one += not (gap[1:] - error[1:] > gap[0]).any()
    assert one >= 9


def test_two_cells_are_one_cluster():
    rates, modes, _ = planted(n_types=2, cells_per_type=1)
    found = cell_types(rates, modes, n_bootstraps=1, n_references=1, n_nulls=1)
    assert found.labels.tolist() == [0, 0]
    assert found.p_value == 1


def test_messages():
    rates, modes, truth = planted()
    with pytest.raises(ValueError, match="'n_draws' must be at least 1, got 0"):
        cell_types(rates, modes, n_nulls=0)
    found = cell_types(rates, modes, n_bootstraps=1, n_references=2, n_nulls=2)
    with pytest.raises(ValueError, match="one type for each of 12 cells, got 11"):
        type_recovery(found, truth[1:])
    record, _ = planted_contributions(n_samples=50)
    other, _ = planted_contributions(n_samples=50, n_features=4)
    with pytest.raises(ValueError, match="got 2 sets of features"):
        channel_profiles([record, other])
