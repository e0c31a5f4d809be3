"""Channels that stimuli engage: known numbers, a difference that is planted and one that is not."""

from dataclasses import replace

import numpy as np
import pytest

from retina_codec.contributions import integrated_gradients, population_sum
from retina_codec.datatypes import Contributions
from retina_codec.networks import windows_for
from retina_codec.simulation import Circuit
from retina_codec.statistics import effective_number, overlap, pathways
from retina_codec.stimuli import Screen, natural_scenes, white_noise


def record(sizes, *, n_samples=600, memory=15, seed=0, **changes):
    """Channels of these mean sizes that come and go; each with a feature of either sign."""
    rng = np.random.default_rng(seed)
    n_channels = len(sizes)
    fresh = rng.gamma(1.0, size=(n_samples + memory, 2 * n_channels))
    slow = np.stack([np.convolve(x, np.ones(memory) / memory, "valid") for x in fresh.T], 1)
    sign = np.repeat([1, -1], n_channels)
    given = {
        "values": slow[:n_samples] * np.tile(sizes, 2) * sign,
        "sample": np.arange(n_samples) / 100,
        "target_value": np.zeros(n_samples),
        "baseline_value": np.zeros(n_samples),
        "gap": np.zeros(n_samples),
        "channel": np.tile(np.arange(n_channels), 2),
        "sign": sign,
        "layer": "conv1",
        "target": "population sum",
        "method": "test",
    }
    return Contributions(**{**given, **changes})


def rows(table, statistic):
    return table[table["statistic"] == statistic].set_index("stimulus")


def test_numbers_are_those_of_the_formulas():
    few = record([2.0, 1.0, 1.0, 0.0])
    table = pathways({"few": few}, least_share=0.3, n_draws=50)
    size = np.abs(few.values[:, :4]) + np.abs(few.values[:, 4:])
    share = size.mean(axis=0) / size.mean(axis=0).sum()
    used = share[share > 0]
    expected = {
        "effective channels": np.exp(-np.sum(used * np.log(used))),
        "channels per sample": np.mean(size.sum(1) ** 2 / (size**2).sum(1)),
        "channels above share": np.sum(share >= 0.3),
    }
    for statistic, value in expected.items():
        assert rows(table, statistic).loc["few", "value"] == pytest.approx(value)
    np.testing.assert_allclose(table[table["statistic"] == "share"]["value"], share)
    inside = table[table["statistic"] != "channels above share"]
    assert (inside["low"] <= inside["value"]).all() and (inside["value"] <= inside["high"]).all()


def test_planted_difference_is_found_with_its_size():
    many, few = record([1.0] * 6), record([1.0, 1.0, 0.01, 0.01, 0.01, 0.01], seed=1)
    table = pathways({"many": many, "few": few}, n_draws=200)
    for statistic in ("effective channels", "channels per sample", "channels above share"):
        row = rows(table, statistic).loc["many - few"]
        assert row["p"] < 0.03 and row["low"] > 0
        assert row["value"] == pytest.approx(4, abs=0.6)
    row = rows(table, "overlap").loc["many - few"]
    assert row["p"] < 0.01 and row["value"] == pytest.approx(1 / 3, abs=0.05)


def test_same_channels_are_called_as_often_as_p_says():
    p = np.array(
        [
            rows(
                pathways(
                    {
                        "a": record([3.0, 2.0, 1.0], seed=2 * i),
                        "b": record([30.0, 20.0, 10.0], seed=2 * i + 1),
                    },
                    n_draws=60,
                ),
                statistic,
            ).loc["a - b", "p"]
            for i in range(40)
            for statistic in ("effective channels", "overlap")
        ]
    )
    assert np.mean(p < 0.05) < 0.14
    assert 0.35 < np.mean(p) < 0.65


def test_natural_scenes_engage_more_bipolar_channels_than_white_noise():
    circuit = Circuit(shape=(24, 24), history=25, cells_per_type=2, seed=1)
    screen = Screen((24, 24))
    movies = {
        "natural scenes": natural_scenes(n_frames=900, screen=screen, seed=2),
        "white noise": white_noise(n_frames=900, check_px=2, screen=screen, seed=3),
    }
    records = {
        name: integrated_gradients(
            circuit,
            windows_for(circuit, movie),
            layers=["bipolar"],
            target=population_sum(),
            n_steps=5,
            progress=False,
        )["bipolar"]
        for name, movie in movies.items()
    }
    table = pathways(records, n_draws=200)
    row = rows(table, "effective channels").loc["natural scenes - white noise"]
    assert row["value"] > 0.5 and row["p"] < 0.05
    noise = table[(table["statistic"] == "share") & (table["stimulus"] == "white noise")]
    assert noise["value"][noise["channel"] < 2].sum() > 0.8  # fast channels: noise has no slow part


def test_three_stimuli_are_compared_in_pairs():
    table = pathways({name: record([1.0, 1.0]) for name in "abc"}, n_draws=10)
    pairs = rows(table, "overlap").index.tolist()
    assert pairs == ["a - b", "a - c", "b - c"]
    np.testing.assert_allclose(rows(table, "overlap")["value"], 1)


def test_effective_number_and_overlap_have_their_limits():
    assert effective_number(np.full(8, 1 / 8)) == pytest.approx(8)
    assert effective_number(np.eye(8)[0]) == pytest.approx(1)
    assert overlap(np.eye(3)[0], np.eye(3)[1]) == pytest.approx(0)


def test_messages():
    a = record([1.0, 1.0])
    with pytest.raises(ValueError, match="'contributions' is empty"):
        pathways({})
    with pytest.raises(ValueError, match="must have the same layer, target and channels; 'a' has"):
        pathways({"a": a, "b": replace(a, layer="conv2")})
    with pytest.raises(ValueError, match=r"to 'a' must be pooled .* got \(sample, feature, y, x\)"):
        pathways({"a": replace(a, values=np.zeros((600, 4, 2, 2)))})
    with pytest.raises(ValueError, match="20 blocks need at least 20 samples, got 10"):
        pathways({"a": record([1.0, 1.0], n_samples=10)})
