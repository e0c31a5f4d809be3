import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax
from torch import nn

from retina_codec import causal
from retina_codec.causal import (
    ablated,
    by_class_mean,
    by_class_mode,
    by_gradient,
    by_summed_class_modes,
    class_control,
    control_costs,
    control_scores,
    in_sets,
    mean,
    preserved,
    resampled,
    superclass_control,
    zero,
)
from retina_codec.causal._class_conditions import EQUAL_MASS, EQUAL_NUMBER, Setting, images_of
from retina_codec.causal._class_scores import expanded_levels
from retina_codec.causal._conditions import responses_under
from retina_codec.contributions import activations
from retina_codec.datatypes import Modes
from retina_codec.networks import predict

N_CLASSES = 6


class OneChannelEach(nn.Module):
    """Channel k of "maps" shows pattern k, and drives class k and nothing else."""

    def __init__(self):
        super().__init__()
        self.enter = nn.Identity()
        self.maps = nn.Conv2d(N_CLASSES, N_CLASSES, 1, bias=False)
        self.maps.weight.data = torch.eye(N_CLASSES)[:, :, None, None]

    def forward(self, images):
        return self.maps(self.enter(images)).mean(dim=(2, 3)) + 0.01


def easy_images(n=60, seed=0, n_classes=N_CLASSES):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    images = rng.uniform(0, 0.1, size=(n, N_CLASSES, 4, 4)).astype(np.float32)
    images[np.arange(n), labels] += 5
    return images, labels


def by_identity(number):
    return np.eye(N_CLASSES)[number]


@pytest.fixture(scope="module")
def mixed():
    """A network in which nothing is simple: two layers, a bypass, tokens at the end."""

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Conv2d(N_CLASSES, 8, 3)
            self.two = nn.Conv2d(8, 8, 1)
            self.tokens = nn.Linear(8, 10)
            self.out = nn.Linear(10, N_CLASSES)

        def forward(self, images):
            one = torch.relu(self.one(images))
            two = one + torch.relu(self.two(one))
            tokens = torch.tanh(self.tokens(two.flatten(2).mT))
            return 5 * self.out(tokens.mean(dim=1))

    torch.manual_seed(3)
    network, images = Mixed().eval(), hard_images(200, seed=9)
    found = torch.from_numpy(predict(network, images)) / 5
    scale = found.std(dim=0)
    network.out.weight.data /= scale[:, None]
    network.out.bias.data = (network.out.bias.data - found.mean(dim=0)) / scale
    return network  # sees all classes about equally often


def hard_images(n=40, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, N_CLASSES, 4, 4)).astype(np.float32)


def modes_of(dictionary, loadings, sign=None):
    dictionary, loadings = np.asarray(dictionary, float), np.asarray(loadings, float)
    n_features = dictionary.shape[1]
    n_channels = n_features // 2 if sign is None else n_features
    return Modes(
        dictionary=dictionary,
        loadings=loadings,
        sample=np.arange(len(loadings)),
        held_out=np.zeros(len(loadings), bool),
        channel=np.tile(np.arange(n_channels), n_features // n_channels),
        sign=np.repeat([1, -1], n_channels) if sign is None else np.asarray(sign),
        offset=np.zeros(n_features),
        firing=(loadings > 0).sum(axis=0),
        r2=1.0,
        r2_train=1.0,
        scale=1.0,
        n_dead=0,
        layer="maps",
        target="test",
        method="test",
        seed=0,
    )


# ---- masks


@pytest.mark.parametrize("replacement", [zero, mean, resampled(2)])
@pytest.mark.parametrize(("change", "kept"), [(ablated, False), (preserved, True)])
def test_masks_put_out_a_replacement_on_any_axis(mixed, replacement, change, kept):
    images = hard_images(6)
    towards, outputs = replacement(mixed, "tokens", images), {}
    handle = mixed.tokens.register_forward_hook(lambda m, i, out: outputs.update(plain=out))
    predict(mixed, images)
    handle.remove()
    expected = outputs["plain"].clone()
    for channel in range(10):
        if (channel in (1, 7)) != kept:
            expected[:, :, channel] = towards.expand_as(expected)[:, :, channel]
    with change(mixed, "tokens", [1, 7], towards=towards, channel_axis=-1):
        found = predict(mixed, images)
    with torch.no_grad():
        wanted = 5 * mixed.out(torch.tanh(expected).mean(dim=1))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


# ---- many conditions in a pass


@pytest.mark.parametrize(
    ("layers", "axis"), [(["one"], 1), (["two"], 1), (["two", "one"], 1), (["tokens"], -1)]
)
@pytest.mark.parametrize("n_images", [1, 5])
def test_conditions_in_one_pass_are_as_one_by_one(mixed, layers, axis, n_images, monkeypatch):
    monkeypatch.setattr(causal._conditions, "ROWS_AT_ONCE", 10)  # several passes
    images, rng = hard_images(n_images), np.random.default_rng(0)
    n_channels = 10 if layers == ["tokens"] else 8
    towards = {layer: mean(mixed, layer, hard_images(9)) for layer in layers}
    kept = {layer: rng.random((7, n_channels)) < 0.5 for layer in layers}
    factors = {layer: one[:, None].astype(np.float32) for layer, one in kept.items()}
    found = responses_under(mixed, images, factors, towards, channel_axis=axis)
    for condition in range(7):
        undone = []
        for layer in layers:
            channels = np.flatnonzero(kept[layer][condition]).tolist()
            undone.append(
                preserved(mixed, layer, channels, towards=towards[layer], channel_axis=axis)
            )
            undone[-1].__enter__()
        expected = predict(mixed, images)
        for one in reversed(undone):
            one.__exit__(None, None, None)
        np.testing.assert_allclose(found[condition], expected, rtol=1e-4, atol=1e-5)


# ---- a class that needs one channel


def test_a_channel_is_necessary_and_sufficient_for_its_class():
    images, labels = easy_images()
    table = class_control(
        OneChannelEach(),
        images,
        labels,
        layer="maps",
        rankings={"mode": by_identity},
        classes=range(N_CLASSES),
        doses=[1 / N_CLASSES],
        progress=False,
    )
    own = table[table["ranking"] == "mode"].set_index("kind")
    assert (own["n_channels"] == 1).all() and len(own) == 2 * N_CLASSES
    assert (own.loc["ablated", "own_cost"] == 1).all()
    assert (own.loc["ablated", "others_cost"] == 0).all()
    assert (own.loc["preserved", "own_cost"] == 0).all()
    assert (own.loc["preserved", "others_cost"] == 1).all()
    assert (own.loc["ablated", "own_probability_cost"] > 0.5).all()
    assert (table["n_own"] == 10).all() and (table["n_others"] == 50).all()


def slow_control(network, images, labels, *, layer, ranking, number, dose, kind, axis):
    """Use `ablated` and `preserved`, one condition after the other."""
    scores = ranking(number)
    n = max(1, round(dose * len(scores)))
    channels = np.argsort(-scores)[:n].tolist()
    change = {"ablated": ablated, "preserved": preserved}[kind]
    before = predict(network, images)
    with change(network, layer, channels, channel_axis=axis):
        after = predict(network, images)
    found = {"own": [], "others": []}
    for was, now, label in zip(before, after, labels, strict=True):
        if label >= 0:
            found["own" if label == number else "others"].append(
                [one.argmax() == label for one in (was, now)]
                + [softmax(one)[label] for one in (was, now)]
            )
    return {whose: np.mean(rows, axis=0) for whose, rows in found.items()}


@pytest.mark.parametrize(("layer", "axis"), [("one", 1), ("two", 1), ("tokens", -1)])
def test_control_is_what_a_slow_loop_finds(mixed, layer, axis):
    images = hard_images(30)
    labels = np.where(np.arange(30) % 4, predict(mixed, images).argmax(axis=1), np.arange(30) % 6)
    labels[7] = -1
    n_channels = 10 if layer == "tokens" else 8
    scores = np.random.default_rng(5).normal(size=(N_CLASSES, n_channels))
    classes = [int(c) for c in np.unique(labels[labels >= 0])][:3]
    table = class_control(
        mixed,
        images,
        labels,
        layer=layer,
        rankings={"any": lambda number: scores[number]},
        classes=classes,
        doses=[0.1, 0.5],
        n_random=0,
        channel_axis=axis,
        progress=False,
    )
    assert len(table) == len(classes) * 4
    for row in table.to_dict("records"):
        slow = slow_control(
            mixed,
            images,
            labels,
            layer=layer,
            ranking=lambda number: scores[number],
            number=row["class"],
            dose=row["dose"],
            kind=row["kind"],
            axis=axis,
        )
        for whose, (was, now, p_was, p_now) in slow.items():
            assert row[f"{whose}_before"] == pytest.approx(was)
            assert row[f"{whose}_after"] == pytest.approx(now)
            assert row[f"{whose}_probability_before"] == pytest.approx(p_was, rel=1e-4)
            assert row[f"{whose}_probability_after"] == pytest.approx(p_now, rel=1e-4)


@pytest.mark.parametrize("replacement", [mean, resampled(0)])
def test_other_replacements_are_used(mixed, replacement):
    images = hard_images(20)
    labels = predict(mixed, images).argmax(axis=1)
    number = int(np.bincount(labels).argmax())
    about = dict(
        layer="one",
        rankings={"any": lambda _: np.arange(8.0)},
        classes=[number],
        doses=[1.0],
        progress=False,
    )
    there = class_control(mixed, images, labels, towards=replacement, **about)
    nothing = class_control(mixed, images, labels, **about)
    gone = there["kind"] == "ablated"
    assert (
        there.loc[gone, "own_probability_after"] != nothing.loc[gone, "own_probability_after"]
    ).all()
    np.testing.assert_allclose(
        there.loc[~gone, "own_probability_after"], there.loc[~gone, "own_probability_before"], 1e-4
    )


# ---- images and random channels


def setting(n_others=5, seed=0):
    return Setting([0.1], zero, 0, n_others, 1, lambda x: x, seed, False)


def test_images_of_others_are_never_of_the_target_nor_unknown():
    labels = np.array([0, 1, 2, 3, -1] * 6)
    for members in ([0], [1, 3], [2, 0, 1]):
        for seed in range(5):
            own, others = images_of(labels, members, setting(seed=seed))
            assert np.isin(labels[own], members).all()
            assert len(own) == np.isin(labels, members).sum()
            assert len(others) == 5 == len(set(others))
            assert not np.isin(labels[others], [*members, -1]).any()
    again = images_of(labels, [0], setting())[1]
    np.testing.assert_array_equal(again, images_of(labels, [0], setting())[1])


def test_random_channels_have_equal_mass_or_number():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(12, 200), nn.ReLU(), nn.Linear(200, 4)).eval()
    images = np.random.default_rng(0).normal(size=(80, 12)).astype(np.float32)
    labels = predict(network, images).argmax(axis=1)
    own = images[labels == 1]
    with torch.no_grad():
        mass = network[:2](torch.from_numpy(own)).mean(dim=0).numpy()
    table = class_control(
        network,
        images,
        labels,
        layer="1",
        rankings={"strong": lambda _: mass.astype(float), "weak": lambda _: -mass.astype(float)},
        classes=[1],
        doses=[0.1, 0.3],
        n_random=4,
        progress=False,
    ).set_index(["ranking", "kind", "dose"])
    for dose, kind in itertools.product([0.1, 0.3], ["ablated", "preserved"]):
        strong, weak, random, number = (
            table.loc[(name, kind, dose)] for name in ("strong", "weak", EQUAL_MASS, EQUAL_NUMBER)
        )
        top = np.sort(mass)[::-1][: round(200 * dose)].sum() / mass.sum()
        assert strong["mass"] == pytest.approx(top, rel=1e-4)
        assert random["mass"] == pytest.approx(
            strong["mass"], abs=float(mass.max() / mass.sum() / 2)
        )
        assert random["n_channels"] > 1.2 * strong["n_channels"] == 1.2 * number["n_channels"]
        assert weak["mass"] < number["mass"] < strong["mass"]


def test_table_can_be_made_again(mixed):
    images = hard_images(30)
    labels = predict(mixed, images).argmax(axis=1)
    about = dict(
        layer="two",
        rankings={"equal": lambda _: np.zeros(8)},
        classes=[int(labels[0])],
        doses=[0.2, 0.5],
        n_others=6,
        progress=False,
    )
    one, two = (class_control(mixed, images, labels, seed=4, **about) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    assert one["others_probability_before"].nunique() == 1


def test_nothing_right_before_is_nan_and_counted():
    images, labels = easy_images()
    labels = np.where(labels == 2, 3, labels)
    labels[2] = 2  # the network says 2 where the label is 3, but also 2 for this one
    images[2, 2], images[2, 5] = 0, 9
    table = class_control(
        OneChannelEach(),
        images,
        labels,
        layer="maps",
        rankings={"mode": by_identity},
        classes=[0, 1, 2],
        doses=[0.2, 0.9],
        progress=False,
    )
    lost = table[table["class"] == 2]
    assert (lost["own_before"] == 0).all() and lost["own_cost"].isna().all()
    assert np.isfinite(lost["own_probability_cost"]).all()
    scores = control_scores(table).set_index("measure")
    assert (scores.loc["accuracy", ["n_classes", "n_nan"]] == [2, 1]).all(axis=None)
    assert (scores.loc["probability", ["n_classes", "n_nan"]] == [3, 0]).all(axis=None)
    only = control_costs(lost)
    only = only[only["measure"] == "accuracy"]
    assert only["ratio"].isna().all() and only["low"].isna().all() and (only["n_nan"] == 1).all()


def test_errors_say_what_to_do(as_user):
    images, labels = easy_images()
    network = OneChannelEach()

    def control(labels=labels, rank=by_identity, classes=(0,), doses=(0.2,)):
        return class_control(
            network,
            images,
            labels,
            layer="maps",
            rankings={"mode": rank},
            classes=classes,
            doses=doses,
            progress=False,
        )

    with pytest.raises(ValueError, match="Got 3 labels for 60 images"):
        control(labels=labels[:3])
    with pytest.raises(ValueError, match="0 images are of class 9, of 60"):
        control(classes=[9])
    with pytest.raises(ValueError, match=r"Expected doses above 0, up to 1, .* doses \[1.5\]"):
        control(doses=[1.5])
    with pytest.raises(ValueError, match="'mode' gives 3 scores, 3 of them finite, .* 6 channels"):
        control(rank=lambda _: np.zeros(3))
    with pytest.raises(ValueError, match="6 scores, 0 of them finite"):
        control(rank=lambda _: np.full(6, np.nan))
    with pytest.raises(ValueError, match="there is a label 11; expected one output for each"):
        control(labels=np.where(labels == 1, 11, labels))
    with pytest.raises(ValueError, match="Expected the same rankings"):
        superclass_control(network, images, labels, rankings={"maps": {}}, sets={"a": [0]})
    with pytest.raises(ValueError, match="at least two doses for an area, got one"):
        control_scores(control())


# ---- rankings


def test_class_mode_is_the_one_that_goes_best_with_the_class_on_selected_samples():
    labels = np.array([0, 1, 0, 1, -1, 0, 1, 1])
    loadings = np.zeros((8, 3))
    loadings[:4, 0] = labels[:4] == 1  # mode 0 knows class 1 in the first half
    loadings[4:, 1] = labels[4:] == 1  # mode 1 in the second
    loadings[4, 0] = 50  # unknown: must not count
    dictionary = [[3, 0, 1, 0], [0, 2, 5, 0], [1, 1, 1, 1]]  # +0, +1, -0, -1
    modes = modes_of(dictionary, loadings)
    first = by_class_mode(modes, labels, index=range(4))
    second = by_class_mode(modes, labels, index=range(4, 8))
    np.testing.assert_array_equal(first(1), [3 - 1, 0])
    np.testing.assert_array_equal(second(1), [-5, 2])
    np.testing.assert_array_equal(
        by_summed_class_modes(modes, labels)(1), [3 - 1 - 5, 2]
    )  # both go with class 1 at r > 0.2
    np.testing.assert_array_equal(
        by_summed_class_modes(modes, labels, least_r=2.0)(1), by_class_mode(modes, labels)(1)
    )
    unsigned = modes_of(dictionary, loadings, sign=[0, 0, 0, 0])
    np.testing.assert_array_equal(by_class_mode(unsigned, labels, index=range(4))(1), [3, 0, 1, 0])


def test_dead_modes_are_never_chosen():
    labels = np.array([0, 0, 1, 1])
    modes = modes_of([[1, 0, 0, 0], [0, 1, 0, 0]], [[0, 1], [0, 1], [0, 0], [0, 2]])
    np.testing.assert_array_equal(by_class_mode(modes, labels)(0), [0, 1])


def test_means_over_classes():
    images, labels = easy_images()
    labels[0] = -1
    record = activations(
        OneChannelEach(), images, layers=["maps"], target=lambda out, _: out[:, 0], progress=False
    )["maps"]
    maps = np.zeros((60, N_CLASSES))
    np.add.at(maps, (slice(None), record.channel), np.asarray(record.values, float))
    own, others = maps[labels == 2], maps[(labels != 2) & (labels >= 0)]
    np.testing.assert_allclose(by_class_mean(record, labels)(2), own.mean(0) - others.mean(0))
    np.testing.assert_allclose(by_gradient(record, labels)(2), own.mean(0))
    half = by_gradient(record, labels, index=range(30))(2)
    np.testing.assert_allclose(half, maps[:30][labels[:30] == 2].mean(0))
    with pytest.raises(ValueError, match="0 images are of class 2|0 of 12 images are of class 2"):
        by_gradient(record, labels, index=np.flatnonzero(labels == 3)[:12])(2)


# ---- scores


def curves(n_classes=8, seed=0):
    """A table in which the after / before ratios are known."""
    rng, rows = np.random.default_rng(seed), []
    for number, ranking, dose in itertools.product(
        range(n_classes), ["good", "bad"], [0.1, 0.5, 1]
    ):
        own = (1 - dose) * 0.5 if ranking == "good" else 1 - dose / 2
        rows.append(
            {
                "class": number,
                "layer": "maps",
                "ranking": ranking,
                "kind": "ablated",
                "dose": dose,
                "own_before": 0.8,
                "own_after": 0.8 * own + 0.01 * rng.normal(),
                "others_before": 0.5,
                "others_after": 0.5 * (1 - dose / 4),
            }
        )
    table = pd.DataFrame(rows)
    for name in ("own", "others"):
        for when in ("before", "after"):
            table[f"{name}_probability_{when}"] = table[f"{name}_{when}"] / 2
    return table


def test_scores_are_areas_with_paired_intervals():
    table = curves()
    scores = control_scores(table)
    accuracy = scores[scores["measure"] == "accuracy"].set_index("ranking")
    good = table[table["ranking"] == "good"]
    own = (good["own_after"] / good["own_before"]).groupby(good["dose"]).mean()
    auc = 0.4 * (own[0.1] + own[0.5]) / 2 + 0.5 * (own[0.5] + own[1.0]) / 2
    others = 0.4 * (0.975 + 0.875) / 2 + 0.5 * (0.875 + 0.75) / 2
    assert accuracy.loc["good", "auc_own"] == pytest.approx(auc)
    assert accuracy.loc["good", "auc_others"] == pytest.approx(others)
    assert accuracy.loc["good", "score"] == pytest.approx((auc - others) / others)
    assert accuracy.loc["good", "difference"] == pytest.approx(auc - others)
    assert accuracy.loc["good", "low"] < auc - others < accuracy.loc["good", "high"]
    assert np.isnan(accuracy.loc["good", "first_difference"])
    beyond = accuracy.loc["bad"]
    gap = accuracy.loc["good", "difference"] - beyond["difference"]
    assert beyond["first_difference"] == pytest.approx(gap)
    assert beyond["first_difference_low"] < gap < beyond["first_difference_high"] < 0
    probability = scores[scores["measure"] == "probability"].set_index("ranking")
    np.testing.assert_allclose(probability["score"], accuracy["score"])


def test_equal_rankings_have_no_paired_difference():
    table = curves()
    twin = table[table["ranking"] == "good"].assign(ranking="twin")
    scores = control_scores(pd.concat([table, twin])).set_index("ranking").loc["twin"]
    assert (scores[["first_difference_low", "first_difference_high"]] == 0).all(axis=None)
    assert (scores["low"] < scores["high"]).all()


def test_costs_of_each_dose():
    table = curves()
    costs = control_costs(table)
    row = costs[(costs["dose"] == 0.5) & (costs["measure"] == "accuracy")].set_index("ranking")
    part = table[(table["dose"] == 0.5) & (table["ranking"] == "good")]
    own = (1 - part["own_after"] / part["own_before"]).mean()
    assert row.loc["good", "own_cost"] == pytest.approx(own)
    assert row.loc["good", "ratio"] == pytest.approx(own / 0.125)
    assert row.loc["good", "ratio_low"] < own / 0.125 < row.loc["good", "ratio_high"]
    assert row.loc["bad", "first_difference_low"] > 0
    unhurt = table.assign(others_after=table["others_before"])
    assert np.isinf(control_costs(unhurt)["ratio"].iloc[0])


# ---- superclasses


def test_superclass_needs_the_channels_of_its_classes_in_all_layers():
    network = nn.Sequential(OneChannelEach(), nn.Linear(N_CLASSES, N_CLASSES, bias=False)).eval()
    network[1].weight.data = torch.eye(N_CLASSES)
    images, labels = easy_images()
    sets = {"even": [0, 2, 4], "first": [1]}
    numbers = in_sets(labels, sets)

    def of_set(number):
        return np.isin(np.arange(N_CLASSES), list(sets.values())[number]).astype(float)

    def last(number):
        return -of_set(number)

    record = activations(
        network, images, layers=["0.maps"], target=lambda out, _: out[:, 0], progress=False
    )["0.maps"]
    found = by_class_mean(record, numbers)(0)
    assert set(np.argsort(-found)[:3]) == {0, 2, 4}
    table = superclass_control(
        network,
        images,
        labels,
        rankings={"0.maps": {"set": of_set}, "1": {"set": of_set}},
        sets=sets,
        doses=[0.5],
        progress=False,
    )
    even = table[(table["class"] == "even") & (table["ranking"] == "set")].set_index("kind")
    assert even.loc["ablated", ["own_cost", "others_cost"]].tolist() == [1, 0]
    assert even.loc["preserved", ["own_cost", "others_cost"]].tolist() == [0, 1]
    assert (even["n_channels"] == 6).all() and (even["n_own"] == 30).all()
    both = superclass_control(
        network,
        images,
        labels,
        rankings={"0.maps": {"set": of_set}, "1": {"set": last}},
        sets=sets,
        doses=[0.5],
        n_random=0,
        progress=False,
    )
    gone = both[(both["class"] == "even") & (both["kind"] == "ablated")].iloc[0]
    assert gone["others_cost"] == 1  # their channels are gone in the second layer


def test_a_class_in_two_sets_is_refused():
    with pytest.raises(ValueError, match="Class 1 is in the sets 'a' and 'b'"):
        in_sets(np.array([0, 1]), {"a": [0, 1], "b": [1]})


@pytest.mark.parametrize("n", [5, 10])
def test_intervals_of_few_classes_exclude_what_is_true_rarely(n):
    """Plain percentiles exclude it in about 15 and 10 % of the cases."""
    rng, missed = np.random.default_rng(0), 0
    for _ in range(600):
        values = rng.normal(size=n)
        means = values[rng.integers(n, size=(500, n))].mean(axis=1)
        low, high = np.percentile(means, expanded_levels(n))
        missed += not low <= 0 <= high
    assert 0.02 < missed / 600 < 0.085


def test_there_is_no_interval_of_three_classes():
    assert expanded_levels(3) is None and expanded_levels(4) is not None
