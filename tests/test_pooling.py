"""Poolings of tokens, a pooling for each layer, and layers that are the input of a module."""

import pickle
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from retina_codec.causal import ablated
from retina_codec.contributions import (
    ALL,
    CLS,
    PATCHES,
    activations,
    by_sign,
    heads_by_sign,
    integrated_gradients,
    load_contributions,
    one_cell,
    over_space,
    patches_by_sign,
    probed,
    tokens_by_sign,
    unpooled,
)
from retina_codec.networks import VisionTransformer

UNITS = torch.randn(3, 5, 6, generator=torch.manual_seed(0))


def slow_tokens(units, tokens):
    """Sample by sample, feature by feature, one unit after the other."""
    n_samples, n_tokens, n_features = units.shape
    values = np.zeros((n_samples, 2 * n_features))
    for sample in range(n_samples):
        for feature in range(n_features):
            for token in range(n_tokens)[tokens]:
                unit = float(units[sample, token, feature])
                values[sample, feature if unit > 0 else n_features + feature] += unit
    return values


def slow_heads(units, n_heads):
    n_samples, n_tokens, n_features = units.shape
    values = np.zeros((n_samples, 2 * n_heads))
    for sample in range(n_samples):
        for feature in range(n_features):
            head = feature // (n_features // n_heads)
            for token in range(n_tokens):
                unit = float(units[sample, token, feature])
                values[sample, head if unit > 0 else n_heads + head] += unit
    return values


@pytest.mark.parametrize("tokens", [ALL, CLS, PATCHES, slice(1, 4, 2)], ids=str)
def test_tokens_are_summed_after_the_split(tokens):
    pooled = tokens_by_sign(tokens)(UNITS)
    np.testing.assert_allclose(pooled.values, slow_tokens(UNITS, tokens), rtol=1e-5, atol=1e-6)
    assert pooled.channel.tolist() == [*range(6), *range(6)]
    assert pooled.sign.tolist() == [1] * 6 + [-1] * 6


@pytest.mark.parametrize("n_heads", [1, 2, 3, 6])
def test_heads_are_summed_after_the_split(n_heads):
    pooled = heads_by_sign(n_heads)(UNITS)
    np.testing.assert_allclose(pooled.values, slow_heads(UNITS, n_heads), rtol=1e-5, atol=1e-6)
    assert pooled.channel.tolist() == [*range(n_heads), *range(n_heads)]
    assert pooled.sign.tolist() == [1] * n_heads + [-1] * n_heads


def test_patches_lie_where_they_are_in_the_image():
    pooled = patches_by_sign((2, 2))(UNITS)
    assert pooled.values.shape == (3, 12, 2, 2)
    for place, token in {(0, 0): 1, (0, 1): 2, (1, 0): 3, (1, 1): 4}.items():
        both = pooled.values[:, :6, *place] + pooled.values[:, 6:, *place]
        torch.testing.assert_close(both, UNITS[:, token])
    torch.testing.assert_close(pooled.values.sum(dim=(2, 3)), tokens_by_sign(PATCHES)(UNITS).values)
    assert (pooled.values[:, :6] >= 0).all() and (pooled.values[:, 6:] <= 0).all()


POOLINGS = [
    tokens_by_sign(),
    tokens_by_sign(CLS),
    tokens_by_sign(PATCHES),
    heads_by_sign(2),
    heads_by_sign(3),
    patches_by_sign((2, 2)),
]


def test_poolings_can_be_sent_and_told_apart():
    assert [pooling.__name__ for pooling in POOLINGS] == [
        "tokens by sign",
        "tokens 0:1 by sign",
        "tokens 1: by sign",
        "2 heads by sign",
        "3 heads by sign",
        "patches 2 x 2 by sign",
    ]
    for pooling in POOLINGS:
        again = pickle.loads(pickle.dumps(pooling))
        assert again.__name__ == pooling.__name__
        assert torch.equal(again(UNITS).values, pooling(UNITS).values)


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (lambda: tokens_by_sign()(UNITS[0]), r"got axes of \(5, 6\). Pool maps with 'by_sign'"),
        (lambda: tokens_by_sign(slice(5, None))(UNITS), "has 5 tokens, none of which"),
        (lambda: heads_by_sign(4)(UNITS), "4 heads do not share 6 features evenly"),
        (lambda: heads_by_sign(0), "at least one head, got 0"),
        (lambda: patches_by_sign((3, 2))(UNITS), "3 x 2 patches needs more than 5 tokens"),
        (lambda: patches_by_sign((0, 2)), "at least 1 x 1 patches, got 0 x 2"),
    ],
)
def test_units_that_do_not_fit_are_refused(pool, message, as_user):
    with pytest.raises(ValueError, match=message):
        pool()


@pytest.fixture(scope="module")
def transformer():
    network = VisionTransformer(
        image_shape=(1, 4, 4), class_names="abc", width=8, depth=2, n_heads=2, n_hidden=12
    )
    return network.eval()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(6, 1, 4, 4)).astype(np.float32)


GIVEN = {"target": one_cell(1), "n_steps": 6, "progress": False}
HEADS = "blocks.1.attention.heads"
MIXED = {"patches": by_sign, "blocks.1": tokens_by_sign(CLS), HEADS: heads_by_sign(2)}


def test_every_layer_has_its_own_pooling_in_one_pass(transformer, images):
    with pytest.warns(UserWarning, match=f"round layer {HEADS}"):
        mixed = integrated_gradients(
            transformer, images, layers=list(MIXED), pooling=MIXED, **GIVEN
        )
    for layer, pooling in MIXED.items():
        bypassed = layer == HEADS
        with pytest.warns(UserWarning) if bypassed else nullcontext():
            alone = integrated_gradients(
                transformer, images, layers=[layer], pooling=pooling, **GIVEN
            )[layer]
        np.testing.assert_allclose(mixed[layer].values, alone.values, atol=1e-6)
        assert mixed[layer].settings["pooling"] == pooling.__name__
        np.testing.assert_array_equal(mixed[layer].channel, alone.channel)
    assert mixed[HEADS].values.shape == (6, 4) and mixed["blocks.1"].values.shape == (6, 16)


def test_channels_are_pushed_only_if_all_layers_are_pooled_over_space(images):
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 2), nn.Flatten())
    targets = [_power(i) for i in range(4)]
    given = {"layers": ["0", "1"], "target": targets, "n_steps": 4, "progress": False}
    one = integrated_gradients(network, images, pooling=over_space, **given)
    each = integrated_gradients(network, images, pooling={"0": over_space, "1": unpooled}, **given)
    for name, records in one.items():
        np.testing.assert_allclose(each[name]["0"].values, records["0"].values, atol=1e-5)
        summed = each[name]["1"].values.sum(axis=(2, 3))
        np.testing.assert_allclose(summed, records["1"].values, atol=1e-5)


def _power(i):
    def target(output, at_sample):
        return output[:, i % 2] ** (1 + i)

    target.__name__ = f"power {i}"
    return target


def test_layer_without_a_pooling_is_told(transformer, images):
    with pytest.raises(ValueError, match="No pooling for layer 'blocks.0', only for patches"):
        integrated_gradients(
            transformer,
            images,
            layers=["patches", "blocks.0"],
            pooling={"patches": by_sign},
            **GIVEN,
        )


def test_store_knows_the_pooling_of_each_layer(transformer, images, tmp_path):
    layers = ["patches", "blocks.1"]
    cls, both = MIXED, {**MIXED, "blocks.1": tokens_by_sign()}
    given = {**GIVEN, "layers": layers, "store": tmp_path / "store"}
    first = integrated_gradients(transformer, images, pooling=cls, **given)
    again = integrated_gradients(
        transformer, images, pooling=pickle.loads(pickle.dumps(cls)), **given
    )
    np.testing.assert_array_equal(first["blocks.1"].values[:], again["blocks.1"].values[:])
    with pytest.raises(ValueError, match="pooling is .*'blocks.1': 'tokens 0:1 by sign'.* there"):
        integrated_gradients(transformer, images, pooling=both, **given)


def test_store_that_has_one_pooling_for_all_takes_the_same_for_each(images, tmp_path):
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    given = {**GIVEN, "layers": ["0", "1"], "store": tmp_path / "store"}
    one = integrated_gradients(network, images, pooling=by_sign, **given)
    each = integrated_gradients(network, images, pooling={"0": by_sign, "1": by_sign}, **given)
    np.testing.assert_array_equal(one["1"].values[:], each["1"].values[:])


@pytest.mark.parametrize("settings", [{"rule": "secant"}, {"rule": "trapezoid"}], ids=str)
def test_input_of_a_module_is_the_output_of_the_one_before(transformer, images, settings):
    taken = "blocks.1.attention.project:input"
    pooling = heads_by_sign(2)
    with pytest.warns(UserWarning, match="reaches the target also round"):
        found = integrated_gradients(
            transformer, images, layers=[HEADS, taken], pooling=pooling, **GIVEN, **settings
        )
    np.testing.assert_allclose(found[taken].values, found[HEADS].values, atol=1e-6)
    np.testing.assert_allclose(found[taken].gap, found[HEADS].gap, atol=1e-6)
    assert np.abs(found[taken].values).max() > 1e-4
    assert found[taken].layer == taken and found[taken].bypassed


class Side(nn.Module):
    """A module beside a shortcut of the same tensor, which is changed in place later."""

    def __init__(self):
        super().__init__()
        self.first, self.side, self.last = nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        x = self.first(x)
        out = self.side(x)
        x += 1.0
        return self.last(torch.relu(out) + x)


@pytest.mark.parametrize("layers", [["side:input"], ["first", "side:input"]], ids=str)
def test_input_of_a_module_is_what_this_one_alone_takes(layers):
    torch.manual_seed(0)
    network, samples = Side(), np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    with pytest.warns(UserWarning, match="also round layer side:input"):
        found = integrated_gradients(
            network,
            samples,
            layers=layers,
            pooling=over_space,
            n_steps=400,
            target=one_cell(0),
            progress=False,
        )["side:input"]
    with torch.no_grad():
        drive = [network.side(network.first(torch.as_tensor(x))) for x in (0 * samples, samples)]
        through = (drive[1].relu() - drive[0].relu()) @ network.last.weight[0]
    np.testing.assert_allclose(found.values.sum(axis=1), through, atol=1e-3)


def test_input_of_a_module_can_be_stored_probed_and_removed(transformer, images, tmp_path):
    taken = "head:input"
    integrated_gradients(transformer, images, layers=[taken], store=tmp_path / "store", **GIVEN)
    stored = load_contributions(tmp_path / "store")["cell 1"][taken]
    assert stored.layer == taken and stored.values.shape == (6, 16)
    found = activations(transformer, images, layers=[taken], target=one_cell(1), progress=False)
    with probed(transformer, [taken]) as kept:
        plain = transformer(torch.as_tensor(images))
    pooled = by_sign(kept[taken].detach()).values
    np.testing.assert_allclose(found[taken].values, pooled, atol=1e-5)
    with ablated(transformer, taken, range(8)), torch.no_grad():
        removed = transformer(torch.as_tensor(images))
    torch.testing.assert_close(removed, transformer.head.bias.detach().expand(6, -1))
    torch.testing.assert_close(transformer(torch.as_tensor(images)), plain)
    assert not transformer.head._forward_pre_hooks


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.last = Named(), nn.Linear(2, 2)

    def forward(self, x):
        return self.last(self.inner(values=x))


class Named(nn.Module):
    def forward(self, *, values):
        return values


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("inner:input", "'inner:input' takes in a NoneType, expected one tensor"),
        ("lust:input", "No layer 'lust:input' in the network.* Did you mean 'last'"),
    ],
)
def test_input_that_is_no_layer_is_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        integrated_gradients(
            TwoInputs(),
            np.ones((2, 2), np.float32),
            layers=[layer],
            target=one_cell(0),
            progress=False,
        )
