"""Contributions beside activations: what the table says, held against loops."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from retina_codec import pipeline, statistics
from retina_codec.contributions import activations, integrated_gradients, population_sum
from retina_codec.decomposition import SparseModes
from retina_codec.networks import DeepRetina, predict
from retina_codec.pipeline import _comparison, compare
from retina_codec.stimuli import Screen, white_noise, windows


@pytest.fixture(scope="module")
def network():
    made = DeepRetina(
        shape=(12, 12), history=5, typical_rate_hz=[30.0] * 4, channels=(4, 3), kernels=(5, 3)
    )
    return made.eval()


@pytest.fixture(scope="module")
def samples():
    return windows(white_noise(n_frames=305, screen=Screen((12, 12))), 5)


@pytest.fixture(scope="module")
def pair(network, samples):
    given = {"layers": ["relu1"], "target": population_sum(), "progress": False}
    contributions = integrated_gradients(network, samples, n_steps=4, **given)["relu1"]
    return contributions, activations(network, samples, **given)["relu1"]


@pytest.fixture(scope="module")
def rates(network, samples):
    return predict(network, samples)


@pytest.fixture(scope="module")
def compared(network, samples, pair, rates):
    return compare(
        network, samples, *pair, rates=rates, method=SparseModes(), n_bootstraps=50, progress=False
    )


def test_values_are_those_of_loops(compared, pair):
    table, modes, alike = compared
    table = table.set_index("quantity")
    for name, record in zip(("contributions", "activations"), pair, strict=True):
        sums = np.stack(
            [record.values[:, record.channel == c].sum(axis=1) for c in range(4)], axis=1
        )
        promoting = np.maximum(record.values[:, record.sign == 1], 0)
        for suffix, values in (("", sums), (" of promoting parts", promoting)):
            sparsity = statistics.hoyer_sparsity(values).mean()
            assert table.loc[f"sparsity{suffix}", name] == pytest.approx(sparsity)
            dimensions = statistics.participation_ratio(values)
            assert table.loc[f"participation ratio{suffix}", name] == pytest.approx(dimensions)
    assert table.loc["modes alive"].tolist()[:2] == [len(modes.dictionary), len(alike.dictionary)]
    difference = table["contributions"] - table["activations"]
    np.testing.assert_allclose(table["difference"], difference)


def test_activations_are_as_sparse_as_contributions_and_hold_out_the_same(compared):
    _, modes, alike = compared
    assert alike.active_per_sample == pytest.approx(modes.active_per_sample, rel=0.2)
    np.testing.assert_array_equal(modes.held_out, alike.held_out)
    assert alike.method == "SparseModes"


def test_intervals_hold_the_difference_and_shrink_with_it(compared, network, samples, pair, rates):
    table = compared[0].dropna(subset=["low"])
    inside = (table["low"] <= table["difference"]) & (table["difference"] <= table["high"])
    assert inside[table["quantity"].str.startswith("sparsity")].all()
    assert set(table["over"]) == {"blocks of time", "cells"}
    same, _, _ = compare(
        network,
        samples,
        pair[0],
        pair[0],
        rates=rates,
        method=SparseModes(),
        n_bootstraps=5,
        progress=False,
    )
    of_values = same[same["over"] == "blocks of time"]
    assert not of_values[["difference", "low", "high"]].to_numpy().any()


def test_bootstrap_draws_whole_groups():
    seen = []

    def statistic(index):
        seen.append(index)
        return float(index.sum())

    groups = [np.array([0, 1]), np.array([2, 3]), np.array([4, 5])]
    quantity = _comparison.Quantity("x", statistic, lambda index: 0.0, groups)
    row = _comparison._compared(quantity, 30, np.random.default_rng(0))
    assert row["contributions"] == 15
    for index in seen:
        assert all(tuple(part) in {(0, 1), (2, 3), (4, 5)} for part in index.reshape(-1, 2))
    sums = [index.sum() for index in seen[:-1]]
    np.testing.assert_allclose([row["low"], row["high"]], np.percentile(sums, [2.5, 97.5]))


def test_best_correlation_is_beyond_chance_only_where_there_is_something():
    rng = np.random.default_rng(0)
    loadings = rng.gamma(1.0, size=(2000, 30))
    rates = np.stack([loadings[:, 3] + rng.normal(size=2000), rng.normal(size=2000)], axis=1)
    found = _comparison.best_beyond_chance(rates, loadings, seed=0)
    assert found[0] > 0.5
    assert abs(found[1]) < 0.03
    assert statistics.pearson(loadings, rates).max(axis=0)[1] > 0.03


def test_records_must_belong_together(as_user, network, samples, pair, rates):
    other = replace(pair[1], layer="relu2")
    with pytest.raises(ValueError, match="of the same samples, the first two of one layer"):
        compare(network, samples, pair[0], other, rates=rates, method=SparseModes())
    with pytest.raises(ValueError, match="10 samples of rates"):
        compare(network, samples, *pair, rates=rates[:10], method=SparseModes())


def test_methods_that_cannot_be_matched_are_refused(monkeypatch, tmp_path):
    config = pipeline.Config(recording="x.nwb", method="NonNegativeFactors")
    monkeypatch.setattr(_comparison, "kept_modes", lambda folder: (config, None, {"relu1": None}))
    with pytest.raises(ValueError, match="NonNegativeFactors has no 'smallest_loading' to match"):
        pipeline.compare_run(tmp_path)


def test_tables_are_frames_that_csv_keeps(compared, tmp_path):
    path = tmp_path / "table.csv"
    compared[0].to_csv(path, index=False)
    pd.testing.assert_frame_equal(
        pd.read_csv(path, keep_default_na=True).fillna({"over": ""}), compared[0]
    )
