"""Spikes beyond the rate: a planted effect is found, and nothing where there is none."""

import time

import numpy as np
import pytest
from sklearn.linear_model import PoissonRegressor

from retina_codec.simulation import planted_contributions
from retina_codec.statistics import poisson_regression, pooled_p, spikes_beyond_rate

BIN_S = 0.01


def cells(*, effect=0.0, n_cells=8, n_modes=10, n_samples=2500, seed=0):
    """Poisson cells; the first two also follow mode 3."""
    _, modes = planted_contributions(n_modes=n_modes, n_samples=n_samples, burst=10.0, seed=seed)
    rng = np.random.default_rng(seed + 100)
    noise = rng.normal(size=(n_samples, n_cells))
    slow = np.stack([np.convolve(x, np.hanning(20) / 3, mode="same") for x in noise.T], axis=1)
    predicted = 15 * np.exp(slow)
    rate = predicted * BIN_S
    loading = modes.loadings[:, [3]] / modes.loadings[:, 3].std()
    rate[:, :2] = rate[:, :2] * np.exp(effect * loading)
    return rng.poisson(rate) / BIN_S, predicted, modes


def test_planted_effect_is_found_and_only_it():
    recorded, predicted, modes = cells(effect=0.3)
    recorded[:400, 1] = np.nan
    table = spikes_beyond_rate(recorded, predicted, modes, bin_s=BIN_S, n_draws=20)
    planted = (table["cell"] < 2) & (table["mode"] == 3)
    assert (table["q"][planted] < 0.05).all()
    assert np.mean(table["q"][~planted] < 0.05) < 0.05
    np.testing.assert_allclose(table["coefficient"][planted], 0.3, atol=0.1)
    assert (table["low"][planted] > 0).all()
    assert (table["low"] <= table["gain"]).all() and (table["gain"] <= table["high"]).all()


def test_no_effect_is_called_as_often_as_p_says():
    tables = [
        spikes_beyond_rate(*cells(seed=seed), bin_s=BIN_S, n_draws=10, seed=seed)
        for seed in range(3)
    ]
    p = np.concatenate([table["p"] for table in tables])
    assert 0.01 < np.mean(p < 0.05) < 0.11
    assert sum((table["q"] < 0.05).sum() for table in tables) <= 2


def test_mode_that_is_the_rate_itself_adds_nothing():
    recorded, predicted, modes = cells()
    modes.loadings[:, 0] = np.log(predicted[:, 0])
    table = spikes_beyond_rate(recorded, predicted, modes, bin_s=BIN_S, n_draws=5)
    assert abs(table["gain"][0]) < 0.005


def test_regression_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(400, 1)), rng.normal(size=(400, 3))
    counts = rng.poisson(np.exp(0.3 + 0.5 * x[:, 0] - 0.4 * z[:, 1])).astype(float)
    found = poisson_regression(counts, np.column_stack([np.ones(400), x]), z)
    for mode in range(3):
        slow = PoissonRegressor(alpha=0, tol=1e-8).fit(np.column_stack([x, z[:, mode]]), counts)
        expected = [slow.intercept_, *slow.coef_]
        np.testing.assert_allclose(found[mode], expected, atol=1e-4)


def test_regression_survives_outliers_and_silence():
    rng = np.random.default_rng(0)
    z = np.zeros((500, 1))
    z[7], z[300] = 60.0, -20.0
    counts = rng.poisson(0.2, size=500).astype(float)
    for each in (counts, np.zeros(500)):
        assert np.isfinite(poisson_regression(each, np.ones((500, 1)), z)).all()


def test_cells_without_spikes_and_rare_modes_are_not_tested():
    recorded, predicted, modes = cells(n_cells=3, n_modes=4)
    recorded[:, 2] = 0.0
    modes.firing[1] = 5
    table = spikes_beyond_rate(recorded, predicted, modes, bin_s=BIN_S, n_draws=5)
    untested = (table["cell"] == 2) | (table["mode"] == 1)
    assert table["p"][untested].isna().all() and table["p"][~untested].notna().all()


def test_pooled_p_is_even_without_an_effect_and_small_with_one():
    rng = np.random.default_rng(0)
    spread, centre = rng.uniform(0.1, 5, 400), rng.normal(size=400)
    draws = rng.normal(size=(30, 400)) * spread + centre
    values = rng.normal(size=400) * spread + centre
    p = pooled_p(values, draws)
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.025)
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)
    values[0] = centre[0] + 8 * spread[0]
    values[1] = np.nan
    p = pooled_p(values, draws)
    assert p[0] < 1e-3 and np.isnan(p[1])


def test_many_pairs_are_fast():
    recorded, predicted, modes = cells(n_cells=4, n_modes=20, n_samples=5000)
    start = time.perf_counter()
    spikes_beyond_rate(recorded, predicted, modes, bin_s=BIN_S, n_draws=10)
    assert time.perf_counter() - start < 60 / 4 / 5 * 3


def test_messages():
    recorded, predicted, modes = cells(n_cells=2)
    with pytest.raises(ValueError, match="must have the same cells and the 2500 samples"):
        spikes_beyond_rate(recorded[1:], predicted[1:], modes, bin_s=BIN_S)
    with pytest.raises(ValueError, match="must be above 0, got 0"):
        spikes_beyond_rate(recorded, predicted, modes, bin_s=0.0)
    predicted[0, 0] = np.nan
    with pytest.raises(ValueError, match="'predicted' holds NaN; only 'recorded' may"):
        spikes_beyond_rate(recorded, predicted, modes, bin_s=BIN_S)
