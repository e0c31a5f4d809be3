"""Descriptions of fields that were drawn with known numbers."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import curve_fit

from retina_codec.datatypes import Fields
from retina_codec.export import load
from retina_codec.receptive_fields import (
    cropped,
    describe_fields,
    instantaneous_fields,
    separate_space_time,
    stream_fields,
)
from retina_codec.simulation import Circuit
from retina_codec.stimuli import Screen, white_noise, windows

Y, X = np.mgrid[:31, :31].astype(float)
COURSE = np.array([0.0, -0.4, 1.0, 0.5])


def spot(y=14.0, x=15.0, sigma=2.0, weight=1.0):
    return weight * np.exp(-((Y - y) ** 2 + (X - x) ** 2) / (2 * sigma**2))


def described(*maps, course=COURSE, cells=None):
    values = np.stack([np.multiply.outer(course, one) for one in maps])
    return describe_fields(separate_space_time(fields_of(values, cells)))


def fields_of(values, cells=None):
    items = pd.DataFrame({"cell": range(len(values)) if cells is None else cells})
    return Fields(values=values, items=items, frame_rate_hz=100.0)


def test_place_size_and_sign_of_a_spot():
    table = described(spot(), spot(y=9.3, x=20.6, sigma=1.5, weight=-3.0))
    np.testing.assert_allclose(table["y_px"], [14, 9.3], atol=0.01)
    np.testing.assert_allclose(table["x_px"], [15, 20.6], atol=0.01)
    np.testing.assert_allclose(table["size_px"], [2, 1.5], rtol=0.01)
    np.testing.assert_allclose(table["polarity"], [1, -1])
    np.testing.assert_allclose(table["surround"], 0, atol=1e-10)
    np.testing.assert_allclose(table["time_to_peak_s"], 0.02)
    np.testing.assert_allclose(table["biphasic"], 0.4)


def test_size_is_that_of_a_least_squares_fit():
    """The slow way: fit a Gaussian with curve_fit to a noisy elongated spot."""
    rng = np.random.default_rng(0)
    field = np.exp(-((Y - 14) ** 2) / (2 * 2.5**2) - (X - 16) ** 2 / (2 * 1.5**2))
    field += 0.01 * rng.normal(size=field.shape)

    def gaussian(at, a, y, x, sy, sx):
        return a * np.exp(-((at[0] - y) ** 2) / (2 * sy**2) - (at[1] - x) ** 2 / (2 * sx**2))

    found, _ = curve_fit(
        gaussian, np.stack([Y.ravel(), X.ravel()]), field.ravel(), [1, 14, 16, 2, 2]
    )
    row = described(field).iloc[0]
    assert row["size_px"] == pytest.approx(np.sqrt(found[3] * found[4]), rel=0.05)
    assert np.hypot(row["y_px"] - found[1], row["x_px"] - found[2]) < 0.1


def test_surround_is_the_weight_of_the_other_sign():
    centre, around = spot(sigma=1.5), spot(sigma=4.0)
    field = centre - 0.1 * around
    expected = -field[field < 0].sum() / field[field > 0].sum()
    table = describe_fields(separate_space_time(fields_of(field[None, None])), crop_px=31)
    assert table["surround"][0] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("angle", [0, 30, 90, 135])
def test_orientation_is_that_of_the_stripes(angle):
    across = np.deg2rad(angle + 90)
    along = (X - 15) * np.cos(across) + (Y - 15) * np.sin(across)
    row = described(spot(y=15, sigma=4.0) * np.cos(2 * np.pi * along / 6), spot()).iloc[0]
    assert row["orientation_selectivity"] > 0.8
    assert abs((row["orientation_deg"] - angle + 90) % 180 - 90) < 3


def test_round_and_separable_fields_are_not_selective():
    row = described(spot()).iloc[0]
    assert row["orientation_selectivity"] < 0.01
    assert row["direction_selectivity"] < 1e-6


@pytest.mark.parametrize("direction", [0, 90, 200])
def test_direction_is_that_of_the_motion(direction):
    angle = np.deg2rad(direction)
    lags = np.arange(12)[:, None, None]
    along = (X - 15) * np.cos(angle) + (Y - 15) * np.sin(angle)
    values = spot(y=15, sigma=4.0) * np.cos(2 * np.pi * (along - 1.5 * lags) / 6)
    table = describe_fields(separate_space_time(fields_of(values[None])))
    assert table["direction_selectivity"][0] > 0.7
    assert abs((table["direction_deg"][0] - direction + 180) % 360 - 180) < 6


def test_drift_is_relative_to_the_cells_own_centre():
    table = described(spot(x=12), spot(x=14), spot(x=17), spot(x=3), cells=[0, 0, 0, 1])
    np.testing.assert_allclose(table["drift_px"], [2, 0, 3, 0], atol=0.02)


def test_fields_that_are_not_there_have_no_description():
    values = np.stack([np.multiply.outer(COURSE, spot()), np.full((4, 31, 31), np.nan)])
    table = describe_fields(separate_space_time(fields_of(values)))
    assert np.isnan(table.loc[1, "size_px"]) and np.isnan(table.loc[1, "time_to_peak_s"])
    assert np.isfinite(table.loc[0, "size_px"])


def test_fields_must_be_separated():
    with pytest.raises(ValueError, match="call separate_space_time first"):
        describe_fields(fields_of(np.ones((1, 2, 5, 5))))
    with pytest.raises(ValueError, match="call separate_space_time first"):
        cropped(fields_of(np.ones((1, 2, 5, 5))))


def test_crops_are_padded_at_the_border():
    fields = cropped(
        separate_space_time(fields_of(np.multiply.outer([1.0], spot(y=0))[None])), side_px=9
    )
    assert fields.values.shape == (1, 1, 9, 9)
    assert fields.items[["top_px", "left_px"]].iloc[0].tolist() == [-4, 11]
    assert (fields.space[0, :4] == 0).all() and fields.space[0, 4, 4] == fields.space.max()


def test_a_store_holds_the_same_fields(tmp_path):
    circuit = Circuit(shape=(20, 20), history=10, cells_per_type=1)
    samples = windows(white_noise(n_frames=160, screen=Screen((20, 20))), 10)
    index = range(1, 150, 2)
    stored = stream_fields(
        circuit, samples, tmp_path / "f.zarr", cells=[0, 2], index=index, side_px=7, progress=False
    )
    fields = instantaneous_fields(circuit, samples, cells=[0, 2], index=index)
    expected = cropped(separate_space_time(fields), side_px=7)
    np.testing.assert_allclose(stored.space, expected.space, atol=1e-6)
    np.testing.assert_allclose(stored.time_course, expected.time_course, atol=1e-6)
    pd.testing.assert_frame_equal(stored.items, expected.items, check_dtype=False)
    assert load(tmp_path / "f.zarr").space.shape == (150, 7, 7)
    again, once = describe_fields(stored, crop_px=7), describe_fields(expected, crop_px=7)
    whole = describe_fields(separate_space_time(fields), crop_px=7)
    for column in ("size_px", "y_px", "x_px", "drift_px"):
        np.testing.assert_allclose(again[column], once[column], atol=1e-3)
        np.testing.assert_allclose(again[column], whole[column], atol=1e-3)
    with pytest.raises(FileExistsError, match="Choose a new folder"):
        stream_fields(circuit, samples, tmp_path / "f.zarr", cells=[0], index=[0], progress=False)
