import numpy as np
import pytest
from sklearn.decomposition import PCA

from retina_codec import statistics
from retina_codec.datatypes import Contributions, Modes


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


def test_r2_agrees_with_a_loop(rng):
    values, guess = rng.normal(2, 1, (30, 4)), rng.normal(2, 1, (30, 4))
    means = np.array([0.0, 1.0, 2.0, 3.0])
    residual = variance = 0.0
    for i in range(30):
        for j in range(4):
            residual += (values[i, j] - guess[i, j]) ** 2
            variance += (values[i, j] - means[j]) ** 2
    assert statistics.r2(values, guess, means=means) == pytest.approx(1 - residual / variance)


def test_r2_does_not_reward_knowing_the_mean_of_each_feature(rng):
    values = rng.normal(size=(100, 3)) + [0, 50, 100]
    means = values.mean(axis=0)
    assert statistics.r2(values, np.tile(means, (100, 1)), means=means) == pytest.approx(0)
    assert statistics.r2(values, values, means=means) == 1
    assert statistics.r2(np.ones((5, 3)), np.zeros((5, 3)), means=np.ones(3)) == 0


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
