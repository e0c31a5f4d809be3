import itertools

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.decomposition import NMF
from torch import nn

from retina_codec.causal import (
    flipping_modes,
    grey,
    mean,
    relative_to_largest,
    resampled,
    shares_among_modes,
    steered,
    steering_curve,
    zero,
)
from retina_codec.causal._flips import _fewest, _Outcome
from retina_codec.contributions import class_logit, hooked, integrated_gradients
from retina_codec.datatypes import Contributions, Modes
from retina_codec.networks import predict
from retina_codec.receptive_fields import shares_of_modes

N = 6


def modes_of(dictionary, loadings, layer="0"):
    dictionary, loadings = np.asarray(dictionary, float), np.asarray(loadings, float)
    n_features = dictionary.shape[1]
    return Modes(
        dictionary=dictionary,
        loadings=loadings,
        sample=np.arange(len(loadings)),
        held_out=np.zeros(len(loadings), bool),
        channel=np.tile(np.arange(n_features // 2), 2),
        sign=np.repeat([1, -1], n_features // 2),
        offset=np.zeros(n_features),
        firing=(loadings > 0).sum(axis=0),
        r2=1.0,
        r2_train=1.0,
        scale=1.0,
        n_dead=0,
        layer=layer,
        target="test",
        method="test",
        seed=0,
    )


def contributions_of(values, layer="0"):
    """Contributions whose positive features are these values."""
    values = np.concatenate([values, np.zeros_like(values)], axis=1).astype(float)
    return Contributions(
        values=values,
        sample=np.arange(len(values)),
        target_value=values.sum(axis=1),
        baseline_value=np.zeros(len(values)),
        gap=np.zeros(len(values)),
        channel=np.tile(np.arange(values.shape[1] // 2), 2),
        sign=np.repeat([1, -1], values.shape[1] // 2),
        layer=layer,
        target="test",
        method="test",
    )


@pytest.fixture
def network():
    """Channel k drives class k."""
    network = nn.Sequential(nn.Linear(N, N, bias=False), nn.Linear(N, N, bias=False)).eval()
    for module in network:
        module.weight.data = torch.eye(N)
    return network


def one_channel_each():
    return modes_of(np.eye(N, 2 * N), np.ones((8, N)))


# ---- steering


def test_holds_are_shares_among_modes():
    dictionary = [[3, 0, 0, 1, 0, 0], [1, 2, 0, 1, 0, 0]]  # three channels, the last unused
    loadings = [[1, 0], [1, 1]]  # the second mode is half as strong
    found = shares_among_modes(modes_of(dictionary, loadings))
    np.testing.assert_allclose(found, [[8 / 10, 0, 0], [2 / 10, 1, 0]])


def test_holds_are_relative_to_the_strongest_channel():
    found = relative_to_largest(modes_of([[3, 0, 0, 1, 0, 2], [0] * 6], np.ones((2, 2))))
    np.testing.assert_allclose(found, [[1, 0, 0.5], [0, 0, 0]])


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 3.0])
def test_a_mode_scales_the_class_of_its_channel(network, factor):
    images = np.random.default_rng(0).uniform(1, 2, size=(5, N)).astype(np.float32)
    expected = images.copy()
    expected[:, 2] *= factor
    with steered(network, one_channel_each(), 2, factor):
        np.testing.assert_allclose(predict(network, images), expected, rtol=1e-6)
    np.testing.assert_allclose(predict(network, images), images)


@pytest.mark.parametrize("replacement", [zero, grey, mean, resampled(0)])
def test_all_modes_together_lead_to_the_replacement(network, replacement):
    images = np.random.default_rng(0).normal(size=(7, N)).astype(np.float32)
    rng = np.random.default_rng(1)
    modes = modes_of(rng.uniform(size=(3, 2 * N)), rng.uniform(size=(7, 3)))
    towards = replacement(network, "0", images)
    holds = shares_among_modes(modes)
    np.testing.assert_allclose(holds.sum(axis=0), 1)
    moved = images - sum(holds) * (images - towards.numpy())
    np.testing.assert_allclose(moved, np.broadcast_to(towards, images.shape), atol=1e-6)
    with steered(network, modes, 1, 0.0, holds=shares_among_modes, towards=towards):
        found = predict(network, images)
    np.testing.assert_allclose(found, images - holds[1] * (images - towards.numpy()), atol=1e-6)


def test_tokens_are_steered_along_their_last_axis():
    network = nn.Sequential(nn.Linear(4, N, bias=False), nn.Flatten(1))
    network[0].weight.data = torch.ones(N, 4)
    tokens = np.ones((2, 3, 4), np.float32)
    with steered(network, one_channel_each(), 5, 2.0, channel_axis=-1):
        found = predict(network, tokens).reshape(2, 3, N)
    np.testing.assert_allclose(found, np.broadcast_to([4, 4, 4, 4, 4, 8], found.shape))
    with (
        pytest.raises(ValueError, match="puts out 3 channels, the modes have 6"),
        steered(network, one_channel_each(), 5, 2.0),
    ):
        predict(network, tokens)


def test_network_comes_back_after_an_error(network):
    with (
        pytest.raises(RuntimeError, match="on purpose"),
        steered(network, one_channel_each(), 0, 0.0),
    ):
        raise RuntimeError("on purpose")
    assert not any(module._forward_hooks for module in network.modules())
    with (
        pytest.raises(ValueError, match="There is no mode 6; expected one of 0 to 5"),
        steered(network, one_channel_each(), 6, 0.0),
    ):
        pass


def test_curve_is_what_steered_networks_say(network):
    images = np.random.default_rng(0).normal(size=(70, N)).astype(np.float32)
    modes = one_channel_each()
    table = steering_curve(
        network, images, modes, mode=1, classes=[1, 4], factors=[0.0, 1.0, 2.5], n_controls=20
    )
    assert len(table) == 2 * 3 * 2
    own = table[table["control"] == 0].set_index(["class", "factor"])
    random = table[table["control"] == 1].set_index(["class", "factor"])
    for factor in (0.0, 1.0, 2.5):
        with steered(network, modes, 1, factor):
            expected = softmax(predict(network, images), axis=1)
        for number in (1, 4):
            row = own.loc[(number, factor)]
            assert row["mean"] == pytest.approx(expected[:, number].mean(), rel=1e-5)
            assert row["low"] < row["mean"] < row["high"]
    same = random.loc[(1, 1.0)]
    assert same["low"] == pytest.approx(same["high"]) == pytest.approx(own.loc[(1, 1.0), "mean"])
    up = own.loc[(1, 2.5), "mean"]
    assert up > random.loc[(1, 2.5), "high"]  # other channels never help class 1


def test_an_empty_probability_stays_as_the_network_says(network):
    images = np.ones((4, N), np.float32)
    table = steering_curve(
        network,
        images,
        one_channel_each(),
        mode=0,
        classes=[0],
        factors=[3.0],
        n_controls=0,
        probabilities=lambda outputs: outputs,
    )
    assert table["mean"].tolist() == [3.0] and len(table) == 1


# ---- flips


def flips(network, images, modes, contributions, **about):
    about = {"progress": False, "n_controls": 3} | about
    return flipping_modes(network, images, contributions, modes, **about)


def test_one_mode_is_enough_where_one_channel_drives_the_class(network):
    images = np.ones((8, N), np.float32)
    images[np.arange(8), np.arange(8) % N] = 3
    images[np.arange(8), (np.arange(8) + 1) % N] = 2
    modes = modes_of(np.eye(N, 2 * N), images)
    table = flips(network, images, modes, contributions_of(images))
    expected = np.arange(8) % N
    assert table["predicted"].tolist() == expected.tolist()
    assert table["flipped_to"].tolist() == ((expected + 1) % N).tolist()
    assert table["modes"].tolist() == [str(k) for k in expected]
    assert (table["n_modes"] == 1).all() and (table["proven_smallest"] == 1).all()
    assert (table["random_n_modes"] >= 1).all()
    assert (table["permuted_n_modes"] == 1).all()  # modes still silence single channels


def test_a_class_that_three_channels_drive_needs_three_modes(network):
    network[1].weight.data = torch.zeros(N, N)
    network[1].weight.data[0, :3] = 1  # class 0: channels 0, 1, 2
    network[1].weight.data[1, 3] = 1  # class 1: channel 3, which has no mode
    images = np.array([[2, 2, 2, 1, 0.5, 0.5]], np.float32)
    dictionary = np.eye(N, 2 * N)[[0, 1, 2, 4, 5]]
    modes = modes_of(dictionary, images[:, [0, 1, 2, 4, 5]])
    table = flips(network, images, modes, contributions_of(images))
    row = table.iloc[0]
    assert (row["modes"], row["n_modes"], row["flipped_to"]) == ("0, 1, 2", 3, 1)
    assert row["proven_smallest"] == 1  # all pairs were tried
    assert row["random_n_modes"] >= 3 and row["permuted_n_modes"] >= 3
    unproven = flips(network, images, modes, contributions_of(images), most_pairs=2).iloc[0]
    assert unproven["modes"] == "0, 1, 2" and unproven["proven_smallest"] == 0


def test_what_no_mode_explains_cannot_be_removed(network):
    images = np.array([[3.0, 1, 1, 1, 1, 1]], np.float32)
    modes = modes_of(np.eye(N, 2 * N), 0.1 * images)
    row = flips(network, images, modes, contributions_of(images)).iloc[0]
    assert np.isnan(row["n_modes"]) and row["modes"] == "" and row["flipped_to"] == -1
    assert row["proven_smallest"] == 0 and row["random_n_modes"] == N + 1
    assert row["permuted_n_modes"] == N + 1 and row["permuted_flips"] == 0


def smallest_by_force(network, image, shares, predicted):
    for size in range(1, shares.shape[1] + 1):
        for chosen in itertools.combinations(range(shares.shape[1]), size):
            gone = torch.from_numpy(shares[:, list(chosen)].sum(axis=1)).float()
            with hooked(network, ["0"], lambda _, out, gone=gone: out * (1 - gone)):
                if predict(network, image)[0].argmax() != predicted:
                    return size
    return np.nan


def test_sizes_are_those_of_a_search_through_all_sets():
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    rng = np.random.default_rng(2)
    images = rng.normal(size=(12, 5)).astype(np.float32)
    record = integrated_gradients(
        network, images, layers=["0"], target=class_logit(0), progress=False
    )["0"]
    magnitude = np.abs(record.values)
    factors = NMF(5, init="random", random_state=0, max_iter=5000)
    loadings = factors.fit_transform(magnitude)
    modes = modes_of(factors.components_, loadings)
    shares = shares_of_modes(record, modes)[:, :, :-1]
    table = flips(network, images, modes, record, n_controls=0)
    for row in table.to_dict("records"):
        number = row["sample"]
        best = smallest_by_force(
            network, images[number : number + 1], shares[number], row["predicted"]
        )
        if row["proven_smallest"]:
            assert row["n_modes"] == best
        elif not np.isnan(row["n_modes"]):
            assert row["n_modes"] >= best > 2
    assert table["proven_smallest"].sum() >= 3
    some = flips(network, images, modes, record, n_controls=0, index=[4, 7])
    assert some["sample"].tolist() == [4, 7]
    assert some["modes"].tolist() == table.loc[[4, 7], "modes"].tolist()


def test_modes_that_are_not_needed_are_given_back():
    """Greed takes mode 0 first; modes 1, 2 and 3 do it together without it."""

    def outcome_of(sets):
        margin = np.array([5.0 - 2 * (0 in one) - sum(1.8 for m in one if m) for one in sets])
        return _Outcome(margin, (margin < 0).astype(int), margin < 0)

    found, winner, proven = _fewest(outcome_of, 4, most_pairs=100)
    assert len(found) == 3 and winner == 1 and proven
    stingy = _fewest(lambda sets: outcome_of([(*one, 9) for one in sets]), 4, most_pairs=1)
    assert len(stingy[0]) == 2 and stingy[2]  # singles were tried


def test_pruning_gives_back_a_mode():
    """Mode 0 alone looks best, but 1 and 2 together are enough and 0 is not part of it."""

    def outcome_of(sets):
        margin = np.array([4 - 3 * (0 in one) - 2.5 * ((1 in one) + (2 in one)) for one in sets])
        margin[[{0, 1} == set(one) or {0, 2} == set(one) for one in sets]] = 0.5
        return _Outcome(margin, (margin < 0).astype(int), margin < 0)

    assert _fewest(outcome_of, 3, most_pairs=0) == ((1, 2), 1, True)


def test_images_have_to_be_those_of_the_modes(network, as_user):
    images = np.ones((8, N), np.float32)
    with pytest.raises(ValueError, match="modes have 8 samples, but 5 images were given"):
        flips(network, images[:5], one_channel_each(), contributions_of(images))
