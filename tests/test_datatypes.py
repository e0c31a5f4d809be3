from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from retina_codec.datatypes import (
    RECORDS,
    Contributions,
    Effects,
    Fields,
    Modes,
    Recording,
    Stability,
    Stimulus,
)


def movie(n_frames=30, **changes):
    frames = np.random.default_rng(0).normal(size=(n_frames, 4, 5))
    return Stimulus(**{"frames": frames, "frame_rate_hz": 100.0, **changes})


def recording(**changes):
    given = {
        "stimulus": movie(),
        "rates": np.ones((30, 2)),
        "cells": pd.DataFrame({"depth": [1.5, 2.0], "kind": ["ON", "OFF"], "good": [True, False]}),
        "splits": {"train": (0, 20), "test": (20, 30)},
        "spike_times": (np.arange(3.0), np.zeros(0)),
        "repeats": np.zeros((4, 10, 2)),
    }
    return Recording(**{**given, **changes})


def contributions(**changes):
    given = {
        "values": np.ones((6, 4)),
        "sample": np.arange(6.0),
        "target_value": np.ones(6),
        "baseline_value": np.zeros(6),
        "gap": np.zeros(6),
        "channel": np.array([0, 1, 0, 1]),
        "sign": np.array([1, 1, -1, -1]),
        "layer": "relu1",
        "target": "cell 0",
        "method": "test",
    }
    return Contributions(**{**given, **changes})


def test_axis_lengths_must_agree(as_user):
    with pytest.raises(ValueError, match="axis 'sample' is 6 in 'values' but 5 in 'gap'"):
        contributions(gap=np.zeros(5))


def test_rates_and_frames_must_agree(as_user):
    with pytest.raises(ValueError, match="'time' is 30 in 'stimulus.frames' but 29 in 'rates'"):
        recording(rates=np.ones((29, 2)))


def test_number_of_axes_is_told(as_user):
    with pytest.raises(ValueError, match=r"'frames' must have axes \(time, y, x\), got .*\(3, 3\)"):
        Stimulus(frames=np.zeros((3, 3)), frame_rate_hz=1.0)


def test_kind_of_numbers_is_told(as_user):
    with pytest.raises(ValueError, match="'frames' must hold numbers like int64, got complex128"):
        Stimulus(frames=np.zeros((3, 3, 3), dtype=complex), frame_rate_hz=1.0)


def test_array_is_expected(as_user):
    with pytest.raises(ValueError, match="'gap' must be an array .* got list"):
        contributions(gap=[0.0] * 6)


def test_nan_in_frames_is_named():
    frames = np.zeros((5, 2, 2))
    frames[3, 0, 1] = np.nan
    with pytest.raises(ValueError, match="frame 3 holds NaN"):
        Stimulus(frames=frames, frame_rate_hz=1.0)


@pytest.mark.parametrize("split", [(10, 10), (-1, 5), (0, 31)])
def test_splits_lie_inside(split):
    with pytest.raises(ValueError, match="split 'train' is"):
        recording(splits={"train": split}, repeats=None)


def test_repeats_fit_the_test_split():
    with pytest.raises(ValueError, match="'test' has 10 frames, but 'repeats' has 9"):
        recording(repeats=np.zeros((4, 9, 2)))


def test_records_are_frozen():
    with pytest.raises(AttributeError):
        movie().frame_rate_hz = 3.0


def test_axes_give_dimensions_and_labels():
    record = contributions()
    assert record.axes()["values"][0] == ("sample", "feature")
    assert record.to_xarray()["values"].dims == ("sample", "feature")
    assert record.label("values") == "contribution (units of the target)"
    assert contributions(values=np.ones((6, 4, 2, 2))).axes_of("values") == (
        "sample",
        "feature",
        "y",
        "x",
    )


def test_xarray_and_back_keeps_all():
    before = recording()
    after = Recording.from_xarray(before.to_xarray())
    np.testing.assert_array_equal(after.stimulus.frames, before.stimulus.frames)
    np.testing.assert_array_equal(after.repeats, before.repeats)
    assert [list(times) for times in after.spike_times] == [[0.0, 1.0, 2.0], []]
    assert {name: tuple(split) for name, split in after.splits.items()} == before.splits
    assert after.cells.columns.tolist() == ["depth", "kind", "good"]
    assert after.cells["good"].tolist() == [True, False]
    assert after.circuit is None


def test_wrong_dataset_is_refused():
    with pytest.raises(ValueError, match="Expected a dataset with a Recording, got Stimulus"):
        Recording.from_xarray(movie().to_xarray())
    with pytest.raises(ValueError, match="lacks frames"):
        Stimulus.from_xarray(movie().to_xarray().drop_vars("frames"))


def test_lag_times_are_before_the_response():
    fields = Fields(
        values=np.zeros((1, 4, 2, 2)), items=pd.DataFrame({"cell": [0]}), frame_rate_hz=100.0
    )
    np.testing.assert_allclose(fields.lag_s, [-0.04, -0.03, -0.02, -0.01])


@pytest.fixture
def modes():
    return Modes(
        dictionary=np.array([[0.3, 0.04], [0.0, 0.0]]),
        loadings=np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]),
        sample=np.arange(4),
        held_out=np.zeros(4, dtype=bool),
        channel=np.arange(2),
        sign=np.ones(2, dtype=int),
        offset=np.zeros(2),
        firing=np.array([2, 0]),
        r2=1.0,
        r2_train=1.0,
        scale=1.0,
        n_dead=0,
        layer="conv1",
        target="",
        method="",
        seed=0,
    )


def test_all_records_are_listed():
    assert len(RECORDS) == 12


def test_relative_gap_is_a_share_of_the_change():
    record = contributions(gap=np.full(6, -0.25), target_value=np.array([1.0, 2, 0, -1, 1, 1]))
    np.testing.assert_allclose(record.relative_gap, [0.25, 0.125, np.nan, 0.25, 0.25, 0.25])


def test_relative_change_is_that_of_the_mean():
    record = Effects(
        baseline=np.array([[1.0, 0.0], [3.0, 0.0]]),
        perturbed=np.array([[[1.0, 5.0], [2.0, 5.0]]]),
        conditions=pd.DataFrame({"kind": ["ablated"]}),
        sample=np.arange(2),
        layer="relu1",
    )
    np.testing.assert_allclose(record.relative_change, [[-0.25, np.nan]])


def test_relative_dictionary_has_small_features_count(modes):
    np.testing.assert_array_equal(modes.relative_dictionary, modes.dictionary)
    scaled = replace(modes, feature_scale=np.array([1.0, 0.1]))
    np.testing.assert_allclose(scaled.relative_dictionary, [[3 / 5, 4 / 5], [0, 0]])


def test_modes_are_unstable_below_the_limit_and_active_per_sample(modes):
    assert not modes.is_unstable.any()
    marked = replace(modes, reproducibility=np.array([0.89, 0.9]))
    assert marked.is_unstable.tolist() == [True, False]
    assert modes.active_per_sample == 0.5


def test_reproducibility_is_the_mean_over_fits():
    fits = pd.DataFrame({"kind": ["other seed", "resampled"]})
    cosine = np.array([[1.0, 0.2], [0.8, 0.4]])
    found = Stability(cosine=cosine, fits=fits, layer="conv1", method="SparseModes")
    np.testing.assert_allclose(found.reproducibility, [0.9, 0.3])
