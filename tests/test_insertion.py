"""Insertion and deletion on networks whose class depends on known pixels."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from retina_codec.causal import (
    blurred,
    grey_image,
    insertion_deletion,
    insertion_summary,
    mean_colour,
    region_effects,
    region_summary,
)
from retina_codec.contributions import one_cell
from retina_codec.datatypes import Maps

SIZE, SIDE = 20, 10
DOSES = np.linspace(0, 1, 101)


class Square(nn.Module):
    """Output 0 is the mean over a square of SIDE pixels; output 1 is its negative."""

    def __init__(self, top=5, left=3):
        super().__init__()
        where = torch.zeros(SIZE, SIZE)
        where[top : top + SIDE, left : left + SIDE] = 1 / SIDE**2
        self.register_buffer("where", where)

    def forward(self, x):
        value = (x.mean(dim=1) * self.where).sum(dim=(1, 2))
        return torch.stack([value, -value], dim=1)


def true_maps(network, n_images):
    return np.tile(network.where.numpy(), (n_images, 1, 1))


def curves(network, images, maps, **settings):
    settings = {"target": one_cell(0), "block": 1, "doses": DOSES, "progress": False, **settings}
    return insertion_deletion(network, images, maps, **settings)


def test_the_true_map_reaches_the_analytic_area_and_beats_chance():
    """A quarter of the pixels count alike: areas are 1 - 1/8 and 1/8, and 1/2 in random order."""
    network, images = Square(), np.ones((6, 3, SIZE, SIZE), np.float32)
    maps = {"true": true_maps(network, 6), "wrong": -true_maps(network, 6)}
    summary = insertion_summary(curves(network, images, maps))
    own = summary.set_index(["kind", "method", "rival"])
    assert own.loc[("inserted", "true", "wrong"), "auc"] == pytest.approx(7 / 8, abs=1e-6)
    assert own.loc[("deleted", "true", "wrong"), "auc"] == pytest.approx(1 / 8, abs=1e-6)
    assert own.loc[("inserted", "true", "wrong"), "advantage"] == pytest.approx(6 / 8, abs=1e-6)
    for kind in ("inserted", "deleted"):
        chance = own.loc[(kind, "true", "random order")]
        assert chance["rival_auc"] == pytest.approx(0.5, abs=0.03)
        assert chance["low"] > 0.3 and chance["low"] <= chance["advantage"] <= chance["high"]
        assert own.loc[(kind, "wrong", "random order"), "high"] < -0.3
    assert (summary["n_images"] == 6).all()


def test_each_value_is_that_of_a_masked_image():
    """Slow version: one image, one dose, one order at a time, pixel by pixel."""
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 3), nn.Softplus())
    images = rng.normal(size=(3, 3, 4, 4)).astype(np.float32)
    maps, doses = rng.normal(size=(3, 4, 4)), (0.0, 0.3, 0.7, 1.0)
    table = curves(network, images, {"some": maps}, doses=doses, towards=mean_colour, n_random=0)
    assert set(table["method"]) == {"some"}
    for row in table.itertuples():
        order = np.argsort(-maps[row.sample].ravel())[: round(row.dose * 16)]
        image = images[row.sample].reshape(3, 16)
        mean = np.repeat(image.mean(axis=1, keepdims=True), 16, axis=1)
        base, other = (mean, image) if row.kind == "inserted" else (image, mean)
        shown = base.copy()
        shown[:, order] = other[:, order]
        with torch.no_grad():
            expected = network(torch.as_tensor(shown.reshape(1, 3, 4, 4)))[0, 0]
        assert row.value == pytest.approx(float(expected), abs=1e-5)


def test_squares_come_together_by_their_mean():
    seen = []

    class Keeps(nn.Module):
        def forward(self, x):
            seen.append(x.clone())
            return x.mean(dim=(2, 3))

    values = np.zeros((1, 5, 6))
    values[0, 0, 5], values[0, 4, 0] = 5.0, 4.0  # the second square is smaller: a larger mean
    curves(
        Keeps(),
        np.ones((1, 2, 5, 6)),
        {"one": values},
        doses=(0.0, 1 / 9, 1.0),
        block=2,
        n_random=0,
    )
    inserted = seen[1][1, 0].numpy()
    expected = np.zeros((5, 6))
    expected[4:, :2] = 1
    np.testing.assert_array_equal(inserted, expected)


def test_the_choice_of_the_target_stays_that_of_the_whole_image():
    network, images = Square(), np.ones((1, 3, SIZE, SIZE), np.float32)

    def value_of_winner(output, at_sample):
        return output.gather(1, at_sample.argmax(dim=1, keepdim=True))[:, 0]

    table = curves(
        network,
        images,
        {"true": true_maps(network, 1)},
        target=value_of_winner,
        towards=lambda images: -np.ones_like(images),
    )
    start = table[(table["kind"] == "inserted") & (table["dose"] == 0)]
    np.testing.assert_allclose(start["value"], -1, atol=1e-5)


def test_ways_to_hide_pixels():
    images = np.random.default_rng(0).normal(2, 1, size=(2, 3, 16, 16))
    assert not grey_image(images).any()
    np.testing.assert_allclose(mean_colour(images)[1, 2], images[1, 2].mean())
    blur = blurred(3.0)(images)
    np.testing.assert_allclose(blur.mean(axis=(2, 3)), images.mean(axis=(2, 3)))
    assert blur.std(axis=(2, 3)).max() < 0.3


def test_equal_pixels_come_in_random_order_that_the_seed_fixes():
    network, images = Square(), np.ones((4, 3, SIZE, SIZE), np.float32)
    flat = {"flat": np.zeros((4, SIZE, SIZE))}
    first, again = (curves(network, images, flat, seed=s)["value"] for s in (1, 1))
    np.testing.assert_array_equal(first, again)
    other = insertion_summary(curves(network, images, flat, seed=2))
    np.testing.assert_allclose(other["auc"], 0.5, atol=0.03)


def test_errors_say_what_to_do():
    network, images = Square(), np.ones((2, 3, SIZE, SIZE), np.float32)
    good = np.zeros((2, SIZE, SIZE))
    with pytest.raises(ValueError, match=r"'bad' has the shape \(1, 20, 20\), .* 2 images of \(20"):
        curves(network, images, {"bad": good[:1]})
    with pytest.raises(ValueError, match="'random order' is the name of chance"):
        curves(network, images, {"random order": good})
    with pytest.raises(ValueError, match="doses that grow from 0 to 1, got"):
        curves(network, images, {"good": good}, doses=(0.0, 0.5))


def region_maps(network, n_images):
    return Maps(
        values=true_maps(network, n_images)[:, None],
        items=pd.DataFrame({"sample": range(n_images), "mode": [2] * n_images}),
        layer="x",
        target="y",
    )


def test_regions_hold_the_class_and_shifted_ones_their_overlap_with_it():
    """A shifted square of half the side shares a quarter of the pixels, on average."""
    network, images = Square(), np.ones((12, 3, SIZE, SIZE), np.float32)
    maps = region_maps(network, 12)
    table = region_effects(
        network, images, maps, target=one_cell(0), area=0.25, n_controls=40, progress=False
    )
    np.testing.assert_allclose(table["change"] / table["whole"], 1, atol=1e-5)
    summary = region_summary(table).set_index("kind")
    np.testing.assert_allclose(summary["control_share"], 0.25, atol=0.03)
    np.testing.assert_allclose(summary["difference"], 1 - summary["control_share"], atol=1e-5)
    assert (summary["low"] <= summary["difference"]).all() and (summary["low"] > 0.6).all()


def test_images_whose_target_hardly_differs_hardly_count():
    """Shares are sums of changes over sums of differences, not means of ratios."""
    table = pd.DataFrame(
        {
            "sample": [0, 1],
            "mode": 0,
            "kind": "removed",
            "change": [0.5, 0.3],
            "control_change": [0.1, 0.3],
            "whole": [0.99, 0.01],
        }
    )
    summary = region_summary(table).iloc[0]
    np.testing.assert_allclose(summary[["share", "control_share"]].astype(float), [0.8, 0.4])


def test_a_target_that_does_not_change_has_no_share():
    network, images = Square(), np.zeros((1, 3, SIZE, SIZE), np.float32)
    table = region_effects(
        network, images, region_maps(network, 1), target=one_cell(0), progress=False
    )
    assert (table[["change", "whole"]] == 0).all(axis=None)
    assert region_summary(table)["share"].isna().all()
