"""Maps of modes sum to what they split, on networks of all kinds, beside slow versions."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from retina_codec.contributions import by_sign, integrated_gradients, top_class
from retina_codec.datatypes import Contributions, Maps, Modes
from retina_codec.decomposition import NonNegativeFactors, decompose
from retina_codec.receptive_fields import (
    at_units,
    centre_map,
    channel_map,
    edge_map,
    gallery_items,
    gallery_maps,
    grad_cam,
    gradient_times_input,
    integrated_gradients_map,
    map_overlap,
    midpoints,
    mode_map,
    mode_maps,
    overlap_summary,
    random_map,
    shares_of_modes,
)

SIZE = 8


class Residual(nn.Module):
    """Its layer `branch` is passed by: images also reach the output round it."""

    def __init__(self):
        super().__init__()
        self.stem, self.branch = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4 * SIZE * SIZE, 3)

    def forward(self, x):
        x = torch.tanh(self.stem(x))
        return self.head((x + torch.relu(self.branch(x))).flatten(1))


class Tokens(nn.Module):
    """Patches of 4 x 4 pixels as tokens "sample token feature"."""

    def __init__(self):
        super().__init__()
        self.cut = nn.Conv2d(3, 5, 4, stride=4)
        self.mix, self.head = nn.Sequential(nn.Linear(5, 6), nn.GELU()), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.mix(self.cut(x).flatten(2).transpose(1, 2)).mean(dim=1))


def convolutional():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(4, 5, 3, stride=2),
        nn.Softplus(),
        nn.Flatten(),
        nn.Linear(45, 3),
    )


CASES = {
    "maps": (convolutional, "1", 1),
    "late maps": (convolutional, "3", 1),
    "dense": (convolutional, "5", 1),
    "tokens": (Tokens, "mix", -1),
    "bypassed": (Residual, "branch", 1),
}


def made(name, n_images=24, seed=0):
    build, layer, axis = CASES[name]
    torch.manual_seed(seed)
    network = build().double().eval()
    images = np.random.default_rng(seed).normal(size=(n_images, 3, SIZE, SIZE))
    with torch.no_grad(), _units(network, layer) as kept:
        network(torch.as_tensor(images))
    n_channels = kept[0].shape[axis]
    modes, contributions = records(n_images, n_channels, layer)
    return network, images, modes, contributions, {"channel_axis": axis}


class _units:
    def __init__(self, network, layer):
        self.module, self.kept = network.get_submodule(layer), []

    def __enter__(self):
        self.handle = self.module.register_forward_hook(
            lambda module, inputs, output: self.kept.append(output)
        )
        return self.kept

    def __exit__(self, *_):
        self.handle.remove()


def records(n_images, n_channels, layer, n_modes=2, seed=1):
    """Modes with both signs of each channel, and contributions that they explain in part."""
    rng = np.random.default_rng(seed)
    channel, sign = np.tile(np.arange(n_channels), 2), np.repeat([1, -1], n_channels)
    dictionary, loadings = rng.random((n_modes, 2 * n_channels)), rng.random((n_images, n_modes))
    values = sign * (loadings @ dictionary + 0.3 * rng.random((n_images, 2 * n_channels)))
    about = {"channel": channel, "sign": sign, "layer": layer, "target": "top class"}
    contributions = Contributions(
        values=values,
        sample=np.arange(n_images),
        target_value=np.ones(n_images),
        baseline_value=np.zeros(n_images),
        gap=np.zeros(n_images),
        method="made up",
        **about,
    )
    modes = Modes(
        dictionary=dictionary,
        loadings=loadings,
        sample=np.arange(n_images),
        held_out=np.zeros(n_images, dtype=bool),
        offset=np.zeros(2 * n_channels),
        firing=(loadings > 0).sum(axis=0),
        r2=0.5,
        r2_train=0.5,
        scale=1.0,
        n_dead=0,
        method="made up",
        seed=0,
        **about,
    )
    return modes, contributions


def slow_map(network, image, layer, axis, weights):
    """One backward pass for each unit of the layer, as slow as it gets."""
    x = torch.as_tensor(image[None]).requires_grad_()
    with _units(network, layer) as kept:
        output = network(x)
    winner = int(output.argmax())
    (slopes,) = torch.autograd.grad(output[0, winner], kept[0], retain_graph=True)
    units, slopes = kept[0].movedim(axis, 1)[0], slopes.movedim(axis, 1)[0]
    total = torch.zeros_like(x)
    for channel in range(len(units)):
        for unit, slope in zip(units[channel].flatten(), slopes[channel].flatten(), strict=True):
            (part,) = torch.autograd.grad(unit, x, retain_graph=True)
            total += weights[channel] * slope * part
    return (total * x).detach().numpy()[0]


@pytest.mark.parametrize("name", CASES)
def test_maps_are_those_of_units_one_by_one(name):
    network, images, modes, contributions, how = made(name)
    shares = shares_of_modes(contributions, modes)[7]
    maps = mode_maps(
        network,
        images,
        target=top_class(),
        contributions=contributions,
        modes=modes,
        index=[7],
        which=[1, -1],
        **how,
    )
    for found, weights in zip(maps.values, (shares[:, 1], shares[:, -1]), strict=True):
        expected = slow_map(network, images[7], modes.layer, how["channel_axis"], weights)
        np.testing.assert_allclose(found, expected, atol=1e-12)
    channels = channel_map(
        network, images[[7]], layer=modes.layer, channels=[0, 2], target=top_class(), **how
    )
    chosen = np.isin(np.arange(len(shares)), [0, 2]).astype(float)
    expected = slow_map(network, images[7], modes.layer, how["channel_axis"], chosen)
    np.testing.assert_allclose(channels.values[0], expected, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("baseline", [0.0, 0.3, "image"])
def test_all_maps_sum_to_gradient_times_difference(name, baseline):
    network, images, modes, contributions, how = made(name)
    if baseline == "image":
        baseline = np.random.default_rng(5).normal(size=images.shape[1:])
    maps = mode_maps(
        network,
        images,
        target=top_class(),
        contributions=contributions,
        modes=modes,
        index=[3, 20, 4],
        baseline=baseline,
        batch_size=2,
        **how,
    )
    labels = ["mode 0", "mode 1", "unexplained", *(["bypassed"] if name == "bypassed" else [])]
    assert maps.items["label"].tolist() == 3 * labels
    assert maps.items["sample"].tolist() == np.repeat([3, 20, 4], len(labels)).tolist()
    x = torch.as_tensor(images[[3, 20, 4]]).requires_grad_()
    best = network(x).max(dim=1).values
    (gradient,) = torch.autograd.grad(best.sum(), x)
    expected = gradient.numpy() * (images[[3, 20, 4]] - baseline)
    np.testing.assert_allclose(
        maps.values.reshape(3, -1, *images.shape[1:]).sum(axis=1), expected, atol=1e-12
    )
    np.testing.assert_allclose(maps.items["target"][:: len(labels)], best.detach(), atol=1e-12)
    np.testing.assert_allclose(maps.positive + maps.negative, maps.net, atol=1e-12)
    assert (maps.positive >= 0).all() and (maps.negative <= 0).all()


@pytest.mark.parametrize("name", ["late maps", "tokens", "bypassed"])
def test_along_the_path_maps_sum_to_the_change_of_the_target(name):
    network, images, modes, contributions, how = made(name)
    maps = mode_maps(
        network,
        images,
        target=top_class(),
        contributions=contributions,
        modes=modes,
        index=[2, 9],
        points=midpoints(80),
        baseline=0.1,
        smoothing=1.5,
        **how,
    )
    with torch.no_grad():
        at_image = network(torch.as_tensor(images[[2, 9]]))
        grey = network(torch.full((1, *images.shape[1:]), 0.1).double())[0]
    change = at_image.max(dim=1).values - grey[at_image.argmax(dim=1)]
    total = maps.values.reshape(2, -1).sum(axis=1)
    np.testing.assert_allclose(total, change, atol=2e-3 * float(change.abs().max()))
    whole = integrated_gradients_map(80, baseline=0.1)(network, images[[2, 9]], top_class())
    np.testing.assert_allclose(total, whole.sum(axis=(1, 2)), rtol=1e-9)


def test_linear_network_has_a_closed_form():
    """A network without nonlinearity: a map is weights through the channel times the image."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(48, 4, bias=False), nn.Linear(4, 1, bias=False)
    ).double()
    images = np.random.default_rng(0).normal(size=(20, 3, 4, 4))
    modes, contributions = records(20, 4, "1")
    first, second = (network[i].weight.detach().numpy() for i in (1, 2))
    shares = shares_of_modes(contributions, modes)[11]
    maps = mode_maps(
        network,
        images,
        target=lambda output, _: output[:, 0],
        contributions=contributions,
        modes=modes,
        index=[11],
    )
    expected = ((second[0, :, None] * shares).T @ first).reshape(3, 3, 4, 4) * images[11]
    np.testing.assert_allclose(maps.values, expected, atol=1e-12)


def test_smoothing_keeps_sums_and_network_is_left_alone():
    network, images, modes, contributions, how = made("maps")
    network.train()
    given = {"target": top_class(), "contributions": contributions, "modes": modes, "index": [1]}
    sharp = mode_maps(network, images, **given, **how)
    blurred = mode_maps(network, images, **given, **how, smoothing=2.0)
    np.testing.assert_allclose(blurred.values.sum((2, 3)), sharp.values.sum((2, 3)), atol=1e-12)
    assert blurred.values.std() < 0.5 * sharp.values.std()
    assert network.training and all(p.requires_grad for p in network.parameters())
    assert not network.get_submodule("1")._forward_hooks
    assert blurred.settings == {
        "points": [1.0],
        "baseline": 0.0,
        "smoothing": 2.0,
        "seen_at": "at_pixels",
    }


def test_order_of_asked_modes_and_control():
    network, images, modes, contributions, how = made("bypassed")
    given = {"target": top_class(), "contributions": contributions, "modes": modes, "index": [4]}
    every = mode_maps(network, images, **given)
    some = mode_maps(network, images, **given, which=[-2, 1, -1, 0])
    np.testing.assert_allclose(some.values, every.values[[3, 1, 2, 0]], atol=1e-12)
    control = mode_maps(network, images, **given, control=3)
    assert np.abs(control.values[0] - every.values[0]).max() > 1e-3
    np.testing.assert_allclose(control.values.sum(0), every.values.sum(0), atol=1e-12)


def test_maps_at_units_by_hand():
    network, images, modes, contributions, _ = made("maps")
    given = {"target": top_class(), "contributions": contributions, "modes": modes, "index": [6]}
    maps = mode_maps(network, images, **given, seen_at=at_units, baseline=0.2)
    assert maps.settings["seen_at"] == "at_units" and maps.values.shape[:2] == (3, 1)
    below, above = network[:2], network[2:]
    z = below(torch.as_tensor(images[[6]])).detach().requires_grad_()
    grey = below(torch.full((1, 3, SIZE, SIZE), 0.2, dtype=torch.double))
    (slope,) = torch.autograd.grad(above(z).max(), z)
    product = (slope * (z - grey)).detach().numpy()[0]
    expected = np.einsum("cyx,cm->myx", product, shares_of_modes(contributions, modes)[6])
    np.testing.assert_allclose(maps.net, expected, atol=1e-12)


def test_enlarged_maps_keep_their_sums(as_user):
    network = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(48, 3)).double()
    image = np.random.default_rng(0).normal(size=(1, 3, SIZE, SIZE))
    where = {"layer": "0", "channels": [0, 2], "target": top_class()}
    coarse = channel_map(network, image, **where, seen_at=at_units)
    fine = channel_map(network, image, **where)
    assert coarse.values.shape == (1, 1, SIZE, SIZE)
    np.testing.assert_allclose(coarse.values.sum(), fine.values.sum(), atol=1e-12)
    with pytest.raises(ValueError, match=r"has places, .*'2' puts out \(1, 3\). Use at_pixels"):
        channel_map(network, image, **{**where, "layer": "2"}, seen_at=at_units)


def test_gallery_maps_are_the_mode_maps_of_their_rows():
    network, images, modes, contributions, how = made("late maps")
    given = {"target": top_class(), "contributions": contributions, "modes": modes}
    items = pd.DataFrame({"mode": [1, 0, 1], "sample": [5, 5, 2], "rank": [0, 0, 1]})
    found = gallery_maps(network, images, items, **given, batch_size=2)
    every = mode_maps(network, images, **given, index=[5, 2])
    np.testing.assert_allclose(found.values, every.values[[1, 0, 4]], atol=1e-12)
    assert found.items["rank"].tolist() == [0, 0, 1]
    together = mode_map(contributions, modes, which=[0, 1], index=[5, 2])
    np.testing.assert_allclose(
        together(network, images[[5, 2]], top_class()),
        every.net[[0, 3]] + every.net[[1, 4]],
        atol=1e-12,
    )


def test_modes_of_a_decomposition():
    network, images, _, _, _ = made("late maps")
    found = integrated_gradients(
        network, images, layers=["3"], target=top_class(), pooling=by_sign, progress=False
    )["3"]
    modes = decompose(found, NonNegativeFactors(n_modes=3))
    maps = mode_maps(
        network, images, target=top_class(), contributions=found, modes=modes, index=[0]
    )
    expected = gradient_times_input(network, images[:1], top_class())
    np.testing.assert_allclose(maps.net.sum(0), expected[0], atol=1e-10)


def test_errors_say_what_to_do(as_user):
    network, images, modes, contributions, how = made("maps")
    given = {"target": top_class(), "contributions": contributions, "modes": modes, "index": [0]}
    with pytest.raises(ValueError, match="There are 5 images, contributions of 24 and modes of 24"):
        mode_maps(network, images[:5], **given)
    with pytest.raises(ValueError, match="There are modes 0 to 1 .*got 2"):
        mode_maps(network, images, **given, which=[2])
    with pytest.raises(ValueError, match="'3' has 5 channels along axis 1, the modes 4"):
        mode_maps(network, images, **{**given, "modes": replace(modes, layer="3")})
    with pytest.raises(ValueError, match="channels 0 to 3; there is no 4"):
        channel_map(network, images, layer="1", channels=[4], target=top_class())
    with pytest.raises(ValueError, match="No layer '9' in the network"):
        channel_map(network, images, layer="9", channels=[0], target=top_class())
    with pytest.raises(ValueError, match="from -1 with what is left\\), got -2"):
        items = pd.DataFrame({"sample": [0], "mode": [-2]})
        given.pop("index")
        gallery_maps(network, images, items, **given)
    with pytest.raises(ValueError, match="2 images, but 'index' tells of 3"):
        mode_map(contributions, modes, which=[0], index=[0, 1, 2])(network, images[:2], top_class())
    dense = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"Expected images .*shape \(2, 4\)"):
        channel_map(
            dense, np.zeros((2, 4), np.float32), layer="1", channels=[0], target=top_class()
        )


def test_grad_cam_by_hand():
    """Two channels, the image and its negative; the class takes 3 and -1 times their sums."""
    network = nn.Sequential(
        nn.Conv2d(1, 2, 1, bias=False), nn.Identity(), nn.Flatten(), nn.Linear(18, 1, bias=False)
    ).double()
    with torch.no_grad():
        network[0].weight[:] = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
        network[3].weight[:] = torch.cat([torch.full((9,), 3.0), torch.full((9,), -1.0)])
    image = np.arange(-4.0, 5.0).reshape(1, 1, 3, 3)
    found = grad_cam("1")(network, image, top_class())
    np.testing.assert_allclose(found[0], np.maximum(3 * image[0, 0] + image[0, 0], 0))
    with pytest.raises(ValueError, match=r"Grad-CAM needs .*'2' puts out \(1, 18\)"):
        grad_cam("2")(network, image, top_class())


def test_grad_cam_is_enlarged():
    network, images, *_ = made("late maps")
    found = grad_cam("3")(network, images, top_class())
    assert found.shape == (24, SIZE, SIZE) and (found >= 0).all() and found.max() > 0


def test_maps_without_network():
    images = np.zeros((2, 3, 5, 5))
    images[:, :, :, 3:] = 1.0
    edges = edge_map(nn.Identity(), images, top_class())
    assert edges[0].argmax() % 5 in (2, 3) and edges[0, :, 0].max() == 0
    assert centre_map(nn.Identity(), images, top_class())[1].argmax() == 12
    a, b = random_map(1)(None, images, None), random_map(1)(None, images, None)
    np.testing.assert_array_equal(a, b)


def some_maps(values, sample, mode):
    return Maps(
        values=np.asarray(values, dtype=float)[:, None],
        items=pd.DataFrame({"sample": sample, "mode": mode}),
        layer="x",
        target="y",
    )


def test_regions_are_the_largest_positive_pixels():
    maps = some_maps([[[1.0, 3.0], [0.0, 2.0]], [[-1.0, -3.0], [0.5, -2.0]]], [0, 1], [0, 0])
    np.testing.assert_array_equal(
        maps.regions(0.5), [[[False, True], [False, True]], [[False, False], [True, False]]]
    )
    with pytest.raises(ValueError, match="share of the pixels, above 0 and up to 1, got 10.0"):
        maps.regions(10.0)


def test_overlap_tells_modes_from_images():
    """Mode 0 is on the left and mode 1 on the right of every image, with noise."""
    rng = np.random.default_rng(0)
    left = np.zeros((10, 10))
    left[:, :2] = 1.0
    values = [
        place + 0.1 * rng.random((10, 10)) for _ in range(6) for place in (left, left[:, ::-1])
    ]
    maps = some_maps([*values, left], [*np.repeat(range(6), 2), 0], [*[0, 1] * 6, -1])
    table = map_overlap(maps, area=0.2)
    assert table["kind"].value_counts().to_dict() == {
        "two modes, one image": 6,
        "one mode, two images": 30,
        "two modes, two images": 30,
    }
    assert (table["chance_iou"] == 0.2 / 1.8).all()
    of_kind = table.groupby("kind")[["r", "iou"]].mean()
    assert of_kind.loc["one mode, two images", "iou"] == 1
    assert of_kind.loc["two modes, one image", "iou"] == 0
    row = table.iloc[0]
    expected = np.corrcoef(values[0].ravel(), values[1].ravel())[0, 1]
    assert row["r"] == pytest.approx(expected)
    summary = overlap_summary(table).set_index(["kind", "measure"])
    assert (summary["low"] <= summary["value"] + 1e-12).all()
    assert summary.loc[("one mode, two images", "r"), "low"] > 0.9
    assert (
        summary["chance"].loc[:, "r"] == summary.loc[("two modes, two images", "r"), "value"]
    ).all()
    with pytest.raises(ValueError, match="at least two modes or images, got 1"):
        map_overlap(some_maps([left], [0], [0]))


def test_overlap_of_independent_maps_is_chance():
    rng = np.random.default_rng(1)
    maps = some_maps(rng.random((12, 30, 30)), np.repeat(range(6), 2), [0, 1] * 6)
    summary = overlap_summary(map_overlap(maps))
    assert np.abs(summary.loc[summary["measure"] == "r", "value"]).max() < 0.05
    iou = summary.loc[summary["measure"] == "iou", "value"]
    assert np.abs(iou - 0.1 / 1.9).max() < 0.02


def test_empty_maps_overlap_with_nothing():
    table = map_overlap(some_maps(np.zeros((2, 4, 4)), [0, 0], [0, 1]))
    assert table[["r", "iou"]].isna().all(axis=None)


def test_gallery_chooses_modes_of_the_class_and_its_most_exciting_images():
    modes, _ = records(12, 3, "1", n_modes=3)
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, -1, -1, -1])
    loadings = np.zeros((12, 3))
    loadings[:, 0] = [3, 1, 2, 0, 0, 0.5, 0.2, 0.4, 0, 5, 0, 0]
    loadings[:, 2] = [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    modes = replace(modes, loadings=loadings)
    table = gallery_items(
        modes, labels, class_=0, n_modes=2, n_images=2, n_others=3, class_names=["cat", "dog", "ox"]
    )
    first = table[table["mode"] == 0]
    assert table["mode"].unique().tolist() == [2, 0]
    assert first["sample"].tolist() == [0, 2, 5, 7]
    assert first["name"].tolist() == ["cat", "cat", "dog", "ox"]
    assert first["class"].tolist() == [0, 0, 1, 2]
    assert first["of_class"].tolist() == [1, 1, 0, 0] and first["rank"].tolist() == [0, 1, 2, 3]
    expected = np.corrcoef(loadings[:, 0], labels == 0)[0, 1]
    assert first["r"].iloc[0] == pytest.approx(expected)
    assert 1 not in gallery_items(modes, labels, class_=0, n_modes=9)["mode"].tolist()
    with pytest.raises(ValueError, match=r"No image is of class 7. Classes: \[0, 1, 2\]"):
        gallery_items(modes, labels, class_=7)
    with pytest.raises(ValueError, match="There are 3 labels, but loadings of 12 images"):
        gallery_items(modes, labels[:3], class_=0)
