from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA

from retina_codec import statistics
from retina_codec.datatypes import Contributions, Modes
from retina_codec.simulation import planted_contributions


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def contributions(values, channel, sign):
    n = len(values)
    return Contributions(
        values=values,
        sample=np.arange(n) / 100,
        target_value=np.zeros(n),
        baseline_value=np.zeros(n),
        gap=np.zeros(n),
        channel=np.array(channel),
        sign=np.array(sign),
        layer="conv1",
        target="surprisal",
        method="integrated_gradients",
    )


def slow_pearson(a, b):
    r = np.zeros((a.shape[1], b.shape[1]))
    for i in range(a.shape[1]):
        for j in range(b.shape[1]):
            seen = ~np.isnan(b[:, j])
            x, y = a[seen, i], b[seen, j]
            if len(x) > 1 and x.std() > 1e-9 and y.std() > 1e-9:
                r[i, j] = np.corrcoef(x, y)[0, 1]
    return r


def test_pearson_agrees_with_a_loop_also_where_rates_are_missing(rng):
    a, b = rng.normal(5, 1, (50, 4)), rng.normal(-300, 2, (50, 3))
    b[:, 0] += a[:, 1]
    b[:20, 1] = np.nan
    b[rng.random(50) < 0.5, 2] = np.nan
    np.testing.assert_allclose(statistics.pearson(a, b), slow_pearson(a, b), atol=1e-10)


def test_pearson_is_0_where_a_column_does_not_vary_among_the_samples_seen():
    a = np.array([[0.0, 7.1], [1.0, 7.1], [2.0, 7.1], [2.0, 7.1]])
    b = np.array([[1.0, 0.3, np.nan], [5.0, 0.3, np.nan], [9.0, 0.3, np.nan], [9.0, 0.3, 1.0]])
    b = np.hstack([b, [[np.nan], [np.nan], [1.0], [2.0]]])
    np.testing.assert_allclose(statistics.pearson(a, b), [[1, 0, 0, 0], [0, 0, 0, 0]], atol=1e-12)


def test_pearson_says_what_is_wrong(as_user):
    with pytest.raises(ValueError, match="same number of samples, got 3 and 4"):
        statistics.pearson(np.zeros((3, 1)), np.zeros((4, 1)))
    with pytest.raises(ValueError, match="'a' holds NaN; only 'b' may"):
        statistics.pearson(np.full((3, 1), np.nan), np.zeros((3, 1)))


def test_hoyer_sparsity_agrees_with_a_loop(rng):
    values = rng.normal(size=(10, 7))
    slow = [
        (7**0.5 - sum(abs(x) for x in row) / sum(x * x for x in row) ** 0.5) / (7**0.5 - 1)
        for row in values
    ]
    np.testing.assert_allclose(statistics.hoyer_sparsity(values), slow)


def test_hoyer_sparsity_has_its_known_chance_values_and_limits(rng):
    noise = rng.normal(size=(500, 1000))
    assert np.median(statistics.hoyer_sparsity(noise)) == pytest.approx(0.21, abs=0.01)
    assert np.median(statistics.hoyer_sparsity(noise + 2)) == pytest.approx(0.10, abs=0.01)
    assert statistics.hoyer_sparsity(np.zeros((1, 4))) == 0
    with pytest.raises(ValueError, match="at least 2 features, got 1"):
        statistics.hoyer_sparsity(np.ones((3, 1)))


@pytest.mark.parametrize("shape", [(200, 12), (12, 200)])
def test_n_components_agrees_with_scikit_learn(rng, shape):
    values = rng.normal(size=shape) * np.linspace(0.1, 5, shape[1]) + 3
    share = np.cumsum(PCA().fit(values).explained_variance_ratio_)
    for wanted in (0.3, 0.8, 0.95):
        assert statistics.n_components(values, wanted) == np.argmax(share >= wanted) + 1


def test_n_components_of_planted_dimensions(rng):
    values = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 20)) + 100
    assert statistics.n_components(values, 1.0) == 3
    assert statistics.n_components(np.full((10, 4), 0.1)) == 0
    with pytest.raises(ValueError, match="above 0 and at most 1, got 95"):
        statistics.n_components(values, 95.0)


def test_excitation_inhibition_correlation_pairs_features_by_channel(rng):
    promote, suppress = rng.gamma(1.0, size=(6, 5)), -rng.gamma(1.0, size=(6, 5))
    promote[0] = -3 * suppress[0]
    suppress[1] = 0
    order = np.array([3, 1, 4, 0, 2])
    record = contributions(
        np.hstack([suppress[:, order], promote]), [*order, *range(5)], [-1] * 5 + [1] * 5
    )
    slow = [1.0, 0.0] + [
        np.corrcoef(p, -s)[0, 1] for p, s in zip(promote[2:], suppress[2:], strict=True)
    ]
    np.testing.assert_allclose(statistics.excitation_inhibition_correlation(record), slow)


@pytest.mark.parametrize(
    ("shape", "channel", "sign"),
    [
        ((4, 2), [0, 1], [0, 0]),
        ((4, 2), [0, 1], [1, -1]),
        ((4, 3), [0, 0, 1], [1, -1, 1]),
        ((4, 2, 3, 3), [0, 0], [1, -1]),
    ],
)
def test_excitation_inhibition_correlation_needs_split_signs(shape, channel, sign):
    with pytest.raises(ValueError, match="Pool the contributions with split signs"):
        statistics.excitation_inhibition_correlation(contributions(np.ones(shape), channel, sign))


def test_time_blocks_are_whole_and_of_equal_share():
    held_out = statistics.time_blocks(1003, n_blocks=20, held_out_every=5)
    assert held_out.sum() == pytest.approx(1003 / 5, abs=4)
    assert np.abs(np.diff(held_out.astype(int))).sum() == 7
    assert not held_out[0] and held_out[-1]


def test_time_blocks_say_what_is_wrong():
    with pytest.raises(ValueError, match="at least 20 samples, got 19"):
        statistics.time_blocks(19)
    with pytest.raises(ValueError, match=r"number of blocks \(4\), got 5"):
        statistics.time_blocks(100, n_blocks=4, held_out_every=5)


def test_cell_clusters_find_planted_groups(rng):
    truth = np.repeat([0, 1, 2], [9, 5, 3])
    centres = rng.random((3, 10))
    correlations = centres[truth] + 0.03 * rng.normal(size=(17, 10))
    correlations[:, 7] = np.nan
    labels, silhouette = statistics.cell_clusters(correlations, seed=1)
    same = truth[:, None] == truth
    np.testing.assert_array_equal(labels[:, None] == labels, same)
    assert silhouette > 0.6


@pytest.mark.parametrize("correlations", [np.eye(2), np.full((5, 3), 0.2), np.zeros((4, 0))])
def test_few_or_equal_cells_are_one_cluster(correlations):
    labels, silhouette = statistics.cell_clusters(correlations)
    assert labels.tolist() == [0] * len(correlations)
    assert silhouette == 0


def test_three_cells_can_be_two_clusters():
    assert statistics.cell_clusters(np.array([[1.0], [0.9], [0.0]]))[0].tolist() in (
        [0, 0, 1],
        [1, 1, 0],
    )


def test_mode_cells_tells_correlations_and_clusters():
    rng = np.random.default_rng(0)
    loadings = rng.gamma(1.0, size=(500, 2))
    rates = np.repeat(loadings, 3, axis=1) + 0.3 * rng.normal(size=(500, 6))
    modes = Modes(
        dictionary=np.eye(2),
        loadings=loadings,
        sample=np.arange(500),
        held_out=np.zeros(500, dtype=bool),
        channel=np.arange(2),
        sign=np.ones(2, dtype=int),
        offset=np.zeros(2),
        firing=np.full(2, 500),
        r2=1.0,
        r2_train=1.0,
        scale=1.0,
        n_dead=0,
        layer="planted",
        target="planted",
        method="planted",
        seed=0,
    )
    table = statistics.mode_cells(rates, modes)
    assert table.columns.tolist() == ["cell", "cluster", "mode 0", "mode 1"]
    expected = np.corrcoef(rates[:, 4], loadings[:, 1])[0, 1]
    assert table["mode 1"][4] == pytest.approx(expected)
    first, last = set(table["cluster"][:3]), set(table["cluster"][3:])
    assert len(first) == len(last) == 1 and first != last


# ---- nulls


def slow_series(rng, n, memory):
    """A series whose neighbours are alike."""
    noise = rng.normal(size=n)
    series = np.zeros(n)
    for t in range(1, n):
        series[t] = memory * series[t - 1] + noise[t]
    return series


def with_loadings(loadings):
    _, modes = planted_contributions(n_modes=2, n_samples=20)
    n_samples, n_modes = loadings.shape
    return replace(
        modes,
        loadings=loadings,
        sample=np.arange(n_samples) / 100,
        held_out=np.zeros(n_samples, dtype=bool),
        dictionary=np.ones((n_modes, 16)),
        firing=np.count_nonzero(loadings, axis=0),
    )


@pytest.fixture(scope="module")
def unrelated():
    """Slow series that have nothing to do with each other: 12 modes and 25 columns."""
    rng = np.random.default_rng(1)
    series = np.stack([slow_series(rng, 1500, 0.95) for _ in range(37)], axis=1)
    return with_loadings(series[:, :12]), series[:, 12:]


def test_shifts_keep_false_alarms_at_their_level_where_permutations_do_not(unrelated):
    alarms = {
        null.__name__: (
            statistics.correlations_with(*unrelated, null=null, n_draws=200)["p"] < 0.05
        ).mean()
        for null in (statistics.circular_shift, statistics.permutation)
    }
    assert 0.01 < alarms["circular_shift"] < 0.10
    assert alarms["permutation"] > 0.4


def test_permutations_are_right_for_samples_without_order(rng):
    modes = with_loadings(rng.normal(size=(300, 12)))
    table = statistics.correlations_with(
        modes, rng.normal(size=(300, 25)), null=statistics.permutation, n_draws=200
    )
    assert 0.02 < (table["p"] < 0.05).mean() < 0.09
    assert not (table["q"] < 0.05).any()


def test_shifts_are_circular_and_far(rng):
    for _ in range(200):
        order = statistics.circular_shift(100, rng)
        assert 5 <= order[0] < 95
        np.testing.assert_array_equal(order, (np.arange(100) + order[0]) % 100)
    assert sorted(statistics.circular_shift(3, rng)) == [0, 1, 2]


# ---- correlations of modes


def test_correlations_agree_with_a_loop(rng):
    modes, others = with_loadings(rng.normal(size=(60, 3))), rng.normal(size=(60, 2))
    others[:, 0] += modes.loadings[:, 1]
    table = statistics.correlations_with(modes, others, n_draws=50, seed=4)
    draws = np.random.default_rng(4)
    orders = [statistics.circular_shift(60, draws) for _ in range(50)]
    for row in table.itertuples():
        x, y = modes.loadings[:, row.mode], others[:, row.column]
        r = np.corrcoef(x, y)[0, 1]
        reached = sum(abs(np.corrcoef(x[order], y)[0, 1]) >= abs(r) for order in orders)
        assert row.r == pytest.approx(r)
        assert row.p == pytest.approx((1 + reached) / 51)


def test_true_pairs_are_called_and_rare_modes_are_not_tested(rng):
    loadings = np.zeros((2000, 3))
    loadings[rng.choice(2000, 300, replace=False), 0] = 1
    loadings[rng.choice(2000, 300, replace=False), 1] = 1
    loadings[[7, 900], 2] = 5
    label = np.zeros((2000, 2))
    label[:, 0] = loadings[:, 0]
    label[[7, 900], 1] = 1
    table = statistics.correlations_with(
        with_loadings(loadings), label, null=statistics.permutation, n_draws=300
    ).set_index(["mode", "column"])
    assert table.loc[(0, 0), "q"] < 0.05
    assert table.loc[(2, 1), "r"] == pytest.approx(1)
    assert table.loc[2][["p", "q"]].isna().all(axis=None)
    assert (table.drop(index=(0, 0))["q"].dropna() > 0.05).all()


def test_false_discovery_rates_are_those_of_benjamini_and_hochberg():
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.5])
    ordered = np.array([0.01, 0.03, 0.04, 0.5])
    raw = ordered * 4 / np.arange(1, 5)
    expected = np.minimum.accumulate(raw[::-1])[::-1]
    found = statistics._correlation.q_values(p)
    np.testing.assert_allclose(found[[0, 3, 2, 4]], expected)
    assert np.isnan(found[1])


def test_draws_are_needed(as_user, unrelated):
    with pytest.raises(ValueError, match="'n_draws' must be at least 1, got 0"):
        statistics.correlations_with(*unrelated, n_draws=0)
    with pytest.raises(ValueError, match="'n_draws' must be at least 1, got 0"):
        statistics.co_occurrence(unrelated[0], n_draws=0)


# ---- modes


def test_modes_that_come_together_are_found_and_no_others():
    _, modes = planted_contributions(n_modes=8, burst=5.0, together=0.5, n_samples=4000)
    table = statistics.co_occurrence(modes, n_draws=400)
    called = table[table["q"] < 0.05]
    assert called[["a", "b"]].to_numpy().tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert (called["ratio"] > 1.5).all()


def test_co_occurrence_counts_samples(rng):
    loadings = rng.random((200, 3)) * (rng.random((200, 3)) < 0.5)
    table = statistics.co_occurrence(with_loadings(loadings), n_draws=300).set_index(["a", "b"])
    for a, b in ((0, 1), (0, 2), (1, 2)):
        both = sum(x > 0 and y > 0 for x, y in loadings[:, [a, b]])
        chance = (loadings[:, a] > 0).mean() * (loadings[:, b] > 0).mean() * 200
        assert table.loc[(a, b), "together"] == both
        assert table.loc[(a, b), "expected"] == pytest.approx(chance, rel=0.05)


def test_modes_are_described():
    loadings = np.zeros((30, 2))
    loadings[[2, 3, 4, 10, 11, 29], 0] = 2.0
    loadings[5, 1] = 1.0
    modes = replace(
        with_loadings(loadings),
        dictionary=np.array([[0.9, 0.1, 0.0, 0.1], [0.4, 0.0, -0.4, 0.4]]),
        channel=np.array([3, 3, 5, 5]),
        sign=np.array([1, -1, 0, 0]),
        offset=np.zeros(4),
        reproducibility=np.array([0.99, 0.3]),
    )
    table = statistics.describe_modes(modes, least_firing=5)
    assert table["features"].tolist() == ["3+", "3+ 5−"]
    assert table["firing"].tolist() == [6, 1]
    assert table["share"].tolist() == [0.2, 1 / 30]
    assert table["episodes"].tolist() == [3, 1]
    np.testing.assert_allclose(table["duration"], [0.02, 0.01])
    np.testing.assert_allclose(table["energy"], [24 * 0.83 / (24 * 0.83 + 0.48), 0.0235], rtol=0.01)
    assert table["rare"].tolist() == [False, True]
    assert table["reproducibility"].tolist() == [0.99, 0.3]


def test_an_episode_ends_where_samples_are_missing():
    modes = with_loadings(np.ones((6, 1)))
    modes = replace(modes, sample=np.array([0.0, 0.01, 0.02, 1.0, 1.01, 1.02]))
    table = statistics.describe_modes(modes)
    assert table["episodes"].tolist() == [2]
    assert table["duration"].tolist() == pytest.approx([0.03])


# ---- layers


def test_participation_ratio_agrees_with_the_covariance(rng):
    x = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6))
    variances = np.linalg.eigvalsh(np.cov(x.T))
    expected = variances.sum() ** 2 / (variances**2).sum()
    assert statistics.participation_ratio(x) == pytest.approx(expected)
    assert statistics.participation_ratio(x[:3]) <= 2
    assert statistics.participation_ratio(np.ones((5, 3))) == 0


def test_controls_keep_what_they_say(rng):
    x = np.abs(rng.normal(size=(4000, 3))) * [1.0, -2.0, 0.0] + [0, 0, 5.0]
    x[:, 2] += rng.normal(size=4000)
    shuffled = statistics.shuffled_features(x, rng)
    np.testing.assert_array_equal(np.sort(shuffled, axis=0), np.sort(x, axis=0))
    drawn = statistics.resampled_features(x, rng)
    assert (drawn[:, 0] >= 0).all() and (drawn[:, 1] <= 0).all()
    assert drawn[:, 2].mean() == pytest.approx(5, abs=0.1)
    assert drawn[:, 2].std() == pytest.approx(1, abs=0.1)


def test_layers_beside_chance(rng):
    """Sparse signals in few dimensions, noise with an offset, and channels with both signs."""
    sparse = rng.gamma(2.0, size=(800, 3)) * (rng.random((800, 3)) < 0.1)
    mixed = np.abs(sparse @ rng.gamma(0.5, size=(3, 8)))
    noise = np.abs(rng.normal(3, 1, size=(800, 8)))
    channel, sign = [0, 1, 2, 3] * 2, [1] * 4 + [-1] * 4
    layers = {
        "mixed": contributions(mixed * sign, channel, sign),
        "noise": contributions(noise * sign, channel, sign),
        "whole": contributions(noise, range(8), [0] * 8),
    }
    table = statistics.layer_statistics(layers, n_controls=10).set_index(["layer", "statistic"])
    few = table.loc[("mixed", "participation ratio")]
    assert few["value"] < 3.2 < few["low"]
    usual = table.loc[("noise", "participation ratio")]
    assert usual["low"] * 0.98 < usual["value"] < usual["high"] * 1.02
    offset = table.loc[("noise", "sparsity")]
    assert offset["value"] == pytest.approx(offset["chance"], abs=0.02)
    assert table.loc[("noise", "components to 90 %"), "value"] == 8
    assert ("mixed", "excitation-inhibition correlation") in table.index
    assert ("whole", "excitation-inhibition correlation") not in table.index


def test_zero_features_and_many_samples_are_handled(rng):
    values = np.zeros((6000, 4))
    values[:, :2] = rng.normal(size=(6000, 2))
    record = contributions(values, range(4), [0] * 4)
    table = statistics.layer_statistics({"a": record}, n_controls=2).set_index("statistic")
    assert table.loc["components to 95 %", "value"] == 2
    expected = np.median(statistics.hoyer_sparsity(values[:, :2]))
    assert table.loc["sparsity", "value"] == pytest.approx(expected, abs=0.03)


def test_layers_must_be_pooled(as_user):
    record = contributions(np.ones((5, 2)), [0, 1], [0, 0])
    with pytest.raises(
        ValueError, match=r"layer 'conv1' must be pooled .* got \(sample, feature, y"
    ):
        statistics.layer_statistics({"conv1": replace(record, values=np.ones((5, 2, 2, 2)))})
    with pytest.raises(ValueError, match="'n_controls' must be at least 1, got 0"):
        statistics.layer_statistics({"conv1": record}, n_controls=0)


def test_folds_hold_out_every_block_once():
    folds = [statistics.time_blocks(203, fold=fold) for fold in range(5)]
    assert (np.sum(folds, axis=0) == 1).all()
    np.testing.assert_array_equal(folds[4], statistics.time_blocks(203))
    with pytest.raises(ValueError, match="'fold' must be between 0 and 4, got 5"):
        statistics.time_blocks(203, fold=5)
