"""Modes beside classes, class means, attention heads, samples held out at random."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from retina_codec import statistics
from retina_codec.datatypes import Contributions
from retina_codec.simulation import planted_contributions


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def planted(labels, *, n_modes=6, seed=0):
    """Modes of which mode k is active in class k, and in one in twenty other samples."""
    n_samples, rng = len(labels), np.random.default_rng(seed)
    contributions, modes = planted_contributions(n_modes=n_modes, n_samples=n_samples, seed=seed)
    active = (labels[:, None] == np.arange(n_modes)) | (rng.random((n_samples, n_modes)) < 0.05)
    loadings = active * rng.gamma(4.0, size=active.shape)
    values = (loadings @ modes.dictionary) * modes.sign
    firing = np.count_nonzero(loadings, axis=0)
    return replace(contributions, values=values), replace(modes, loadings=loadings, firing=firing)


def with_loadings(loadings):
    _, modes = planted_contributions(n_modes=loadings.shape[1], n_samples=len(loadings))
    return replace(modes, loadings=loadings, firing=np.count_nonzero(loadings, axis=0))


def contributions_of(values, channel, sign):
    n = len(values)
    return Contributions(
        values=values,
        sample=np.arange(n),
        target_value=np.arange(n, dtype=float),
        baseline_value=np.zeros(n),
        gap=np.zeros(n),
        channel=np.asarray(channel),
        sign=np.asarray(sign),
        layer="conv1",
        target="top class",
        method="integrated gradients",
    )


# ---- correlations with classes


def slow_correlations(loadings, labels, n_classes):
    r = np.full((loadings.shape[1], n_classes), np.nan)
    known = labels >= 0
    for column in range(loadings.shape[1]):
        for number in set(labels[known].tolist()):
            x, mask = loadings[known, column], (labels[known] == number).astype(float)
            r[column, number] = np.corrcoef(x, mask)[0, 1] if x.std() > 1e-9 else 0
    return r


def test_class_correlations_agree_with_a_loop(rng):
    labels = rng.choice([-1, 0, 1, 2, 4, 5], 80)
    loadings = rng.gamma(1.0, size=(80, 5)) * (rng.random((80, 5)) < 0.4)
    loadings[:, 3] = 7.1
    found = statistics.class_correlations(loadings, labels, n_classes=7)
    np.testing.assert_allclose(found, slow_correlations(loadings, labels, 7), atol=1e-12)
    assert np.isnan(found[:, [3, 6]]).all()
    assert statistics.class_correlations(loadings, labels).shape == (5, 6)


def test_class_correlations_are_pearson_with_the_masks(rng):
    labels, loadings = rng.integers(3, size=50), rng.normal(5, 1, (50, 4))
    masks = (labels[:, None] == np.arange(3)).astype(float)
    expected = statistics.pearson(loadings, masks)
    np.testing.assert_allclose(statistics.class_correlations(loadings, labels), expected)


def test_permuted_correlations_are_those_of_permuted_labels(rng):
    labels, loadings = rng.integers(-1, 3, size=50), rng.normal(size=(50, 4))
    known = labels >= 0
    order = np.random.default_rng(7).permutation(int(known.sum()))
    (found,) = statistics.permuted_correlations(loadings, labels, n_draws=1, seed=7)
    expected = statistics.class_correlations(loadings[known][order], labels[known])
    np.testing.assert_allclose(found, expected)


def test_labels_that_cannot_be(as_user):
    loadings = np.ones((4, 1))
    cases = {
        r"one label for each of 4 samples, got \(3,\)": ([0, 1, 1], None),
        "from 0, or -1 where unknown, got -2": ([0, 1, -2, 0], None),
        "below 3, the number of classes, or -1 where unknown, got 3": ([0, 3, 1, 0], 3),
        "at least 2 classes are needed, got 1": ([1, 1, -1, 1], None),
    }
    for message, (labels, n_classes) in cases.items():
        with pytest.raises(ValueError, match=message):
            statistics.class_correlations(loadings, np.array(labels), n_classes=n_classes)


# ---- tables of modes


def slow_p(loadings, labels, n_draws, seed):
    """One-sided p of the largest r over classes, and its mean by chance."""
    n_classes = labels.max() + 1
    largest = slow_correlations(loadings, labels, n_classes).max(axis=1)
    generator = np.random.default_rng(seed)
    draws = []
    for _ in range(n_draws):
        shuffled = loadings[generator.permutation(len(labels))]
        draws.append(slow_correlations(shuffled, labels, n_classes).max(axis=1))
    reached = (np.array(draws) >= largest - 1e-9).sum(axis=0)
    return (1 + reached) / (1 + n_draws), np.mean(draws, axis=0)


def test_p_and_chance_agree_with_a_loop(rng):
    labels = rng.integers(4, size=60)
    loadings = rng.gamma(1.0, size=(60, 5)) + 0.5 * (labels[:, None] == np.arange(5))
    table = statistics.class_modes(with_loadings(loadings), labels, n_draws=30, seed=3)
    p, chance = slow_p(loadings, labels, 30, 3)
    np.testing.assert_allclose(table["p"], p)
    np.testing.assert_allclose(table["chance"], chance)


def test_planted_classes_come_back(rng):
    labels = rng.integers(6, size=300)
    _, modes = planted(labels)
    table = statistics.class_modes(modes, labels, n_draws=200)
    assert table["best_class"].tolist() == list(range(6))
    assert statistics.is_class_mode(table).all()
    assert (table["r"] > 3 * table["chance"]).all()
    assert (table["entropy_specificity"] > table["entropy_chance"] + 0.2).all()


def test_labels_without_meaning_give_even_p_and_no_class_modes(rng):
    loadings = rng.gamma(1.0, size=(500, 200)) * (rng.random((500, 200)) < 0.2)
    table = statistics.class_modes(with_loadings(loadings), rng.integers(8, size=500), n_draws=200)
    assert table["p"].mean() == pytest.approx(0.5, abs=0.08)
    assert (table["p"] <= 0.1).mean() < 0.17
    assert (table["q"] < 0.05).sum() <= 2
    assert table["r"].mean() == pytest.approx(table["chance"].mean(), abs=0.01)


def test_a_mode_in_two_images_of_a_small_class_is_rare_however_large_its_r(rng):
    labels = np.repeat(np.arange(100), 3)
    loadings = rng.gamma(1.0, size=(300, 2))
    loadings[:, 1] = np.isin(np.arange(300), [30, 31])
    table = statistics.class_modes(with_loadings(loadings), labels, n_draws=50)
    assert table["rare"].tolist() == [False, True]
    assert table["r"][1] > 0.8 and table["best_class"][1] == 10
    assert np.isnan(table.loc[1, ["p", "q"]].to_numpy(dtype=float)).all()
    assert not statistics.is_class_mode(table)[1]


def test_only_samples_that_are_asked_for_and_labelled_count(rng):
    labels = rng.integers(-1, 5, size=240)
    _, modes = planted(labels)
    chosen = rng.random(240) < 0.5
    table = statistics.class_modes(modes, labels, samples=chosen, test=~chosen, n_draws=20)
    used = chosen & (labels >= 0)
    r = statistics.class_correlations(modes.loadings[used], labels[used])
    np.testing.assert_allclose(table["r"], r.max(axis=1))
    np.testing.assert_array_equal(table["firing"], (modes.loadings[used] != 0).sum(axis=0))
    test = statistics.class_correlations(modes.loadings[~chosen], labels[~chosen])
    np.testing.assert_allclose(table["r_test"], test[np.arange(6), table["best_class"]])
    numbers = np.flatnonzero(chosen)
    again = statistics.class_modes(modes, labels, samples=numbers, test=~chosen, n_draws=20)
    pd.testing.assert_frame_equal(again, table)


def test_r_of_modes_without_meaning_is_too_large_where_the_class_was_chosen(rng):
    loadings, labels = rng.gamma(1.0, size=(400, 60)), rng.integers(10, size=400)
    half = np.arange(400) < 200
    modes = with_loadings(loadings)
    table = statistics.class_modes(modes, labels, samples=half, test=~half, n_draws=50)
    assert table["r"].mean() > 0.08
    assert abs(table["r_test"].mean()) < 0.03


def test_specificity_of_known_shares():
    r = np.array([[0.5, -0.2, 0.0, -0.1], [0.1, 0.1, 0.1, 0.1], [-0.1, -0.2, 0.0, 0.0]])
    found = statistics._classes._specificity(r)
    np.testing.assert_allclose(found["entropy_specificity"], [1, 0, np.nan], atol=1e-12)
    np.testing.assert_allclose(found["gini"], [0.75, 0, np.nan], atol=1e-12)
    np.testing.assert_allclose(found["top_1"], [1, 0.25, np.nan])
    np.testing.assert_allclose(found["top_5"], [1, 1, np.nan])


def test_gini_is_half_the_relative_mean_difference(rng):
    r = rng.random((3, 9))
    slow = [np.abs(x[:, None] - x).mean() / (2 * x.mean()) for x in r]
    np.testing.assert_allclose(statistics._classes._specificity(r)["gini"], slow)


def test_features_count_by_their_magnitude(rng):
    labels = rng.integers(2, size=100)
    suppresses = -1.0 * (labels == 1) - 0.1 * rng.random(100)
    values = np.stack([rng.random(100), suppresses, suppresses], axis=1)
    record = contributions_of(values, [0, 0, 1], [1, -1, 0])
    table = statistics.class_features(record, labels, n_draws=50)
    assert table["best_class"].tolist()[1:] == [1, 0]
    assert table[["channel", "sign"]].to_numpy().tolist() == [[0, 1], [0, -1], [1, 0]]
    with pytest.raises(ValueError, match=r"must be pooled .* got \(sample, feature, y, x\)"):
        statistics.class_features(replace(record, values=np.ones((100, 3, 2, 2))), labels)


def test_modes_go_with_planted_classes_more_than_features_do(rng):
    labels = rng.integers(6, size=400)
    contributions, modes = planted(labels)
    tables = {
        "modes": statistics.class_modes(modes, labels, n_draws=100),
        "features": statistics.class_features(contributions, labels, n_draws=100),
    }
    summary = statistics.class_summary({"planted": tables}).set_index("kind")
    assert summary.loc["modes", "low"] > summary.loc["features", "high"]
    assert summary.loc["modes", "class_modes"] == summary.loc["modes", "classes_covered"] == 6


def test_there_must_be_draws(as_user):
    modes = with_loadings(np.ones((4, 1)))
    with pytest.raises(ValueError, match="'n_draws' must be at least 1, got 0"):
        statistics.class_modes(modes, np.array([0, 1, 0, 1]), n_draws=0)


# ---- coverage and summary


def test_coverage_agrees_with_a_loop(rng):
    r = rng.normal(size=(5, 4))
    r[:, 2] = np.nan
    present = [0, 1, 3]
    by_class = np.mean([sorted(r[:, c], reverse=True) for c in present], axis=0)
    by_mode = np.mean([sorted(row[present], reverse=True) for row in r], axis=0)
    table = statistics.class_coverage(r)
    np.testing.assert_allclose(table["class_averaged"], by_class)
    np.testing.assert_allclose(table["mode_averaged"], [*by_mode, np.nan, np.nan])
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]
    assert len(statistics.class_coverage(r, most=2)) == 2


def test_coverage_beside_chance(rng):
    labels = rng.integers(6, size=300)
    _, modes = planted(labels)
    draws = list(statistics.permuted_correlations(modes.loadings, labels, n_draws=10))
    found = statistics.class_correlations(modes.loadings, labels)
    table = statistics.class_coverage(found, chance=draws)
    assert table["class_averaged"][0] > 3 * table["class_chance"][0]
    expected = np.mean([statistics.class_coverage(r)["mode_averaged"] for r in draws], axis=0)
    np.testing.assert_allclose(table["mode_chance"], expected)


def test_summary_counts_modes_that_are_tested_and_called():
    table = pd.DataFrame(
        {
            "best_class": [3, 3, 1, 2, 0],
            "r": [0.5, 0.3, 0.1, 0.4, 0.9],
            "q": [0.01, 0.04, 0.01, 0.2, np.nan],
            "chance": [0.1, 0.1, 0.1, 0.2, 0.9],
            "rare": [False] * 4 + [True],
            "n_classes": 6,
        }
    )
    summary = statistics.class_summary({"a": {"modes": table}, "b": {"modes": table.iloc[4:]}})
    first, second = summary.to_dict("records")
    wanted = {"n_modes": 5, "n_tested": 4, "r": 0.35, "chance": 0.1, "class_modes": 2}
    wanted |= {"share": 0.5, "classes_covered": 1, "n_classes": 6}
    assert {name: first[name] for name in wanted} == pytest.approx(wanted)
    assert 0.1 <= first["low"] < 0.35 < first["high"] <= 0.5
    assert second["class_modes"] == 0 and np.isnan([second["r"], second["share"]]).all()


# ---- class means


def test_class_means_agree_with_a_loop(rng):
    labels = rng.choice([-1, 0, 2, 3], 40)
    record = contributions_of(rng.normal(size=(40, 3)), range(3), [0] * 3)
    means = statistics.class_means(record, labels)
    assert means.sample.tolist() == [0, 2, 3]
    for number, row, target in zip((0, 2, 3), means.values, means.target_value, strict=True):
        np.testing.assert_allclose(row, record.values[labels == number].mean(axis=0))
        assert target == pytest.approx(record.target_value[labels == number].mean())
    table = statistics.layer_statistics({"conv1": means}, n_controls=2)
    assert table.set_index("statistic").loc["components to 95 %", "value"] == 2


def test_dimensionality_of_planted_classes(rng):
    labels = np.repeat(np.arange(20), 30)
    centres = rng.normal(size=(20, 2)) @ rng.normal(size=(2, 12))
    values = np.hstack([centres[labels] + 0.3 * rng.normal(size=(600, 12)), np.zeros((600, 3))])
    record = contributions_of(values, range(15), [0] * 15)
    row = statistics.class_dimensionality({"conv1": record}, labels).iloc[0]
    assert (row["n_classes"], row["n_features"], row["components"]) == (20, 12, 2)
    assert row["low"] <= row["chance"] <= row["high"]
    assert row["components"] <= row["chance"]
    assert row["normalised"] == pytest.approx(2 / 12)
    assert row["normalised_chance"] == pytest.approx(row["chance"] / 12)


def test_noise_alone_has_the_dimensions_of_chance(rng):
    labels = np.repeat(np.arange(20), 10)
    record = contributions_of(rng.normal(size=(200, 12)), range(12), [0] * 12)
    row = statistics.class_dimensionality({"conv1": record}, labels).iloc[0]
    assert row["low"] <= row["components"] <= row["high"]
    with pytest.raises(ValueError, match="'n_controls' must be at least 1, got 0"):
        statistics.class_dimensionality({"conv1": record}, labels, n_controls=0)


# ---- heads


def test_heads_agree_with_a_loop(rng):
    values = np.abs(rng.normal(size=(30, 24))) * np.repeat([1, -1], 12)
    order = rng.permutation(24)
    record = contributions_of(
        values[:, order], np.tile(range(12), 2)[order], np.repeat([1, -1], 12)[order]
    )
    net = values[:, :12] + values[:, 12:]
    slow = [[sum(row[h * 3 : h * 3 + 3]) for h in range(4)] for row in net]
    expected = np.median(statistics.hoyer_sparsity(np.array(slow)))
    table = statistics.head_sparsity(record, 4, n_draws=5)
    assert table["sparsity"][0] == pytest.approx(expected)


def test_planted_heads_are_sparser_than_random_groups(rng):
    strength = np.zeros((200, 4))
    strength[np.arange(200), rng.integers(4, size=200)] = 1
    heads = np.repeat(strength, 6, axis=1) + 0.1 * rng.normal(size=(200, 24))
    planted, noise = (
        contributions_of(values, range(24), [0] * 24)
        for values in (heads, rng.normal(size=(200, 24)))
    )
    table = statistics.head_sparsity({"planted": planted, "noise": noise}, 4).set_index("layer")
    assert table.loc["planted", "sparsity"] > table.loc["planted", "high"]
    assert table.loc["planted", "p"] == pytest.approx(1 / 101)
    noise = table.loc["noise"]
    assert abs(noise["difference"]) < 0.1 * table.loc["planted", "difference"]
    assert noise["chance"] == pytest.approx(noise["gaussian"], abs=0.05)
    assert table["difference"].tolist() == (table["sparsity"] - table["chance"]).tolist()


def test_twelve_gaussian_heads_have_their_known_sparsity(rng):
    record = contributions_of(rng.normal(size=(20, 24)), range(24), [0] * 24)
    found = statistics.head_sparsity(record, 12, n_draws=1)["gaussian"][0]
    assert found == pytest.approx(0.25, abs=0.01)


def test_channels_must_fit_into_heads(rng):
    record = contributions_of(rng.normal(size=(20, 24)), range(24), [0] * 24)
    for n_heads in (1, 5):
        with pytest.raises(ValueError, match=f"24 channels cannot be divided into {n_heads} heads"):
            statistics.head_sparsity(record, n_heads)


# ---- samples held out


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_the_same_share_of_each_class_is_held_out(rng, share):
    labels = np.sort(rng.choice([-1, 0, 1, 2], 200, p=[0.1, 0.5, 0.3, 0.1]))
    held_out = statistics.random_held_out(200, share, labels=labels)
    assert abs(held_out.sum() - 200 * share) <= 1
    for number in (-1, 0, 1, 2):
        own = held_out[labels == number]
        assert abs(own.sum() - share * len(own)) < 1 + 1e-9


def test_every_sample_is_held_out_as_often():
    labels = np.array([0] * 7 + [1] * 2 + [2])
    draws = [statistics.random_held_out(10, 0.3, seed=s, labels=labels) for s in range(2000)]
    np.testing.assert_allclose(np.mean(draws, axis=0), 0.3, atol=0.05)
    again = statistics.random_held_out(10, 0.3, seed=0, labels=labels)
    np.testing.assert_array_equal(draws[0], again)


def test_held_out_says_what_is_wrong():
    for share in (0.0, 1.0, 20.0):
        with pytest.raises(ValueError, match=f"some but not all of 50 samples, got {share}"):
            statistics.random_held_out(50, share)
    with pytest.raises(ValueError, match=r"one label for each of 50 samples, got \(49,\)"):
        statistics.random_held_out(50, labels=np.zeros(49, dtype=int))
