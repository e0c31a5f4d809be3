"""Classifiers of images, their training, the digits, and how the engine follows them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from retina_codec.contributions import (
    contrast_top2,
    heads_by_sign,
    integrated_gradients,
    over_space,
    probed,
    tokens_by_sign,
    top_class,
)
from retina_codec.networks import (
    ClassifierTraining,
    ImageCNN,
    VisionTransformer,
    accuracy,
    class_scores,
    load_network,
    save_network,
    train_classifier,
)
from retina_codec.networks.classifier_training import _shifted, validation_images
from retina_codec.stimuli import DIGITS, digits

MODELS = Path(__file__).parents[1] / "models"
STORED = ("digits_cnn", "digits_vit")
SMALL = {"image_shape": (2, 8, 8), "class_names": ("cat", "dog", "owl"), "mean": 0.4, "std": 0.2}
NETWORKS = {
    "cnn": lambda: ImageCNN(**SMALL, channels=(4, 6)),
    "vit": lambda: VisionTransformer(
        **SMALL, patch=4, width=12, depth=2, n_heads=3, n_hidden=10, seed=1
    ),
}


@pytest.fixture(scope="module", params=STORED)
def stored(request):
    return load_network(MODELS / request.param)


@pytest.fixture(scope="module")
def few():
    images, labels = digits("test")
    return images[::60], labels[::60]


# The digits


def test_splits_of_the_digits_are_apart_and_whole():
    parts = {split: digits(split) for split in ("train", "selection", "test")}
    counts = [np.bincount(labels) for _, labels in parts.values()]
    assert [count.sum() for count in counts] == [1078, 360, 359]
    assert all(abs(count / count.sum() - 0.1).max() < 0.005 for count in counts)
    everything = np.concatenate([images for images, _ in parts.values()]).reshape(1797, -1)
    grey = everything * DIGITS.std + DIGITS.mean
    assert grey.min() == pytest.approx(0, abs=1e-6) and grey.max() == pytest.approx(1)
    assert len(np.unique(everything, axis=0)) == 1797


def test_zero_is_the_mean_grey_of_the_training_images():
    images, _ = digits("train")
    assert images.dtype == np.float32
    assert abs(images.mean()) < 1e-3 and images.std() == pytest.approx(1, abs=1e-3)


def test_other_splits_are_refused():
    with pytest.raises(ValueError, match="No split 'validation' .* train, selection, test"):
        digits("validation")


# Architectures


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_network_says_what_it_is(make):
    network = make().eval()
    assert network(torch.zeros(5, 2, 8, 8)).shape == (5, 3)
    assert network.class_names == ("cat", "dog", "owl") and network.image_shape == (2, 8, 8)
    assert (network.mean, network.std) == (0.4, 0.2)
    with probed(network, network.default_layers) as kept:
        network(torch.zeros(5, 2, 8, 8))
    widths = {kept[layer].shape[network.channel_axis] for layer in kept}
    assert widths == ({12} if network.n_heads else {4, 6})
    assert json.loads(json.dumps(network.settings)) == network.settings


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_saved_classifier_is_the_same(make, tmp_path):
    network = make().eval()
    again = load_network(save_network(network, tmp_path / "network"))
    images = torch.randn(3, 2, 8, 8)
    assert torch.equal(again(images), network(images))
    for name in ("class_names", "default_layers", "mean", "std", "image_shape", "n_heads"):
        assert getattr(again, name) == getattr(network, name)


def slow_attention(attention, tokens):
    """One sample, one head, one query at a time."""
    width, n_heads = tokens.shape[2], attention.n_heads
    d = width // n_heads
    out = torch.zeros_like(tokens)
    for sample, x in enumerate(tokens):
        q, k, v = (
            x @ w.T + b
            for w, b in zip(
                attention.qkv.weight.split(width), attention.qkv.bias.split(width), strict=True
            )
        )
        for head in range(n_heads):
            of_head = slice(head * d, head * d + d)
            for i in range(len(x)):
                scores = torch.stack([q[i, of_head] @ k[j, of_head] for j in range(len(x))])
                weights = torch.exp(scores / d**0.5)
                weights = weights / weights.sum()
                out[sample, i, of_head] = sum(w * v[j, of_head] for j, w in enumerate(weights))
    return out


def test_heads_are_attention_from_its_definition():
    attention = NETWORKS["vit"]().blocks[1].attention
    tokens = torch.randn(2, 5, 12, generator=torch.manual_seed(0))
    with probed(attention, ["heads"]) as kept, torch.no_grad():
        out = attention(tokens)
        heads = slow_attention(attention, tokens)
        torch.testing.assert_close(kept["heads"].detach(), heads, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(out, attention.project(heads), atol=1e-5, rtol=1e-4)


def test_hidden_units_are_after_their_nonlinearity():
    network, images = NETWORKS["vit"]().eval(), torch.randn(3, 2, 8, 8)
    layers = ["blocks.0.mlp.expand", "blocks.0.mlp.hidden", "blocks.0", "blocks.0.attention"]
    with probed(network, layers) as kept:
        network(images)
    expand, hidden, block, attention = (kept[layer] for layer in layers)
    torch.testing.assert_close(hidden, nn.functional.gelu(expand))
    assert hidden.shape == (3, 5, 10) and block.shape == attention.shape == (3, 5, 12)


def test_patches_are_tokens_row_by_row():
    network = NETWORKS["vit"]().eval()
    seen = []
    for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        images = torch.zeros(2, 2, 8, 8)
        images[1, :, y, x] = 1.0
        with probed(network, ["tokens"]) as kept:
            network(images)
        changed = (kept["tokens"][1] != kept["tokens"][0]).any(dim=1)
        seen.append(changed.nonzero().ravel().tolist())
    assert seen == [[1], [2], [3], [4]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ImageCNN(image_shape=(1, 3, 8), class_names="ab"),
            r"3 blocks need images of at least 4 pixels a side, got \(3, 8\)",
        ),
        (
            lambda: VisionTransformer(image_shape=(1, 8, 9), class_names="ab"),
            r"Patches of 2 pixels do not fill images of \(8, 9\)",
        ),
        (
            lambda: VisionTransformer(image_shape=(1, 8, 8), class_names="ab", n_heads=5),
            "5 heads cannot share 48 features",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Contributions


@pytest.mark.parametrize("rule", [None, "trapezoid"])
def test_blocks_cut_the_network_and_close_their_gap(stored, few, rule):
    """Rule None is the secant rule, if the engine can follow the network."""
    pooling = over_space if stored.channel_axis == 1 else tokens_by_sign()
    tolerance = 0.02
    found = integrated_gradients(
        stored,
        few[0],
        layers=stored.default_layers,
        target=[top_class(), contrast_top2()],
        rule=rule,
        tolerance=tolerance,
        pooling=pooling,
        progress=False,
    )
    for records in found.values():
        for record in records.values():
            assert record.settings["rule"] == (rule or "secant")
            change = np.abs(record.target_value - record.baseline_value)
            scale = np.maximum(change, 0.1 * change.mean())
            assert record.bypassed is False and (record.n_steps > 0).all()
            assert (np.abs(record.gap) <= 1.05 * tolerance * scale).all()
            total = record.values.sum(axis=1) + record.gap
            np.testing.assert_allclose(
                total, record.target_value - record.baseline_value, atol=1e-3
            )


INSIDE = {
    "digits_cnn": ["block2.relu1"],
    "digits_vit": [
        "blocks.2.mlp.hidden",
        "blocks.2.attention",
        "blocks.2.attention.heads",
    ],
}


@pytest.mark.parametrize("name", INSIDE)
def test_layers_inside_a_block_are_bypassed(name, few):
    network = load_network(MODELS / name)
    pooling = dict.fromkeys(INSIDE[name], tokens_by_sign() if network.n_heads else over_space)
    if network.n_heads:
        pooling["blocks.2.attention.heads"] = heads_by_sign(network.n_heads)
    with pytest.warns(UserWarning, match=f"round layer {', '.join(INSIDE[name])}:"):
        found = integrated_gradients(
            network,
            few[0],
            layers=INSIDE[name],
            target=top_class(),
            rule="secant",
            n_steps=8,
            pooling=pooling,
            progress=False,
        )
    for record in found.values():
        change = np.abs(record.target_value - record.baseline_value).sum()
        assert record.bypassed and np.abs(record.gap).sum() > 0.1 * change


# Training


def squares(n=120, seed=0):
    """Images of two classes: a bright square on the left or on the right."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    images = random.normal(size=(n, 1, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        image[0, 3:6, 1 + 4 * label : 4 + 4 * label] += 2
    return images, labels


def test_training_finds_the_classes_and_changes_nothing_else():
    network = ImageCNN(image_shape=(1, 8, 8), class_names="ab", channels=(8, 8))
    before = [p.clone() for p in network.state_dict().values()]
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    settings = ClassifierTraining(epochs=8, batch_size=16)
    trained, log = train_classifier(network, *squares(), settings=settings, progress=False)
    again, log_again = train_classifier(network, *squares(), settings=settings, progress=False)
    assert torch.equal(torch.rand(1), expected)
    unchanged = zip(before, network.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in unchanged)
    pd.testing.assert_frame_equal(log, log_again)
    same = zip(trained.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert accuracy(trained, *squares(seed=1)) > 0.9 > accuracy(network, *squares(seed=1))
    assert not trained.training and list(log["epoch"]) == list(range(8))


def test_best_state_on_validation_is_returned():
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    images, labels = squares()
    labels = np.random.default_rng(1).integers(0, 2, len(labels))  # nothing to learn but noise
    given = {"label_smoothing": 0.0, "shift": 0, "validation_share": 0.5}
    short = ClassifierTraining(epochs=1, learning_rate=1e-3, **given)
    wild = ClassifierTraining(epochs=30, learning_rate=0.05, **given)
    start, _ = train_classifier(network, images, labels, settings=short, progress=False)
    end, log = train_classifier(start, images, labels, settings=wild, progress=False)
    best = log["validation_loss"].min()
    held_out = np.flatnonzero(validation_images(labels, wild))
    with torch.no_grad():
        logits = end(torch.as_tensor(images[held_out]))
    loss = nn.functional.cross_entropy(logits, torch.as_tensor(labels[held_out])).item()
    assert loss == pytest.approx(best, rel=1e-4)
    assert log["validation_loss"].iloc[-1] > best


def test_unknown_labels_are_left_out():
    images, labels = squares()
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    settings = ClassifierTraining(epochs=2)
    known, _ = train_classifier(network, images, labels, settings=settings, progress=False)
    some = np.concatenate([labels, np.full(5, -1)])
    more = np.concatenate([images, 1e6 * images[:5]])
    also, _ = train_classifier(network, more, some, settings=settings, progress=False)
    assert torch.equal(known[1].weight, also[1].weight)
    assert accuracy(known, images, labels) == accuracy(known, more, some)


def test_shifted_images_are_the_old_ones_moved():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    torch.manual_seed(0)
    moved = _shifted(image.expand(200, -1, -1, -1), 1)
    padded = nn.functional.pad(image, (1, 1, 1, 1), mode="replicate")[0]
    possible = [padded[:, i : i + 4, j : j + 4] for i in range(3) for j in range(3)]
    found = [[torch.equal(one, other) for other in possible].index(True) for one in moved]
    assert set(found) == set(range(9))
    assert torch.equal(_shifted(image, 0), image)


def test_scores_count_what_is_right():
    network = nn.Identity()
    network.class_names = ("cat", "dog")
    outputs = np.eye(2, dtype=np.float32)[[0, 1, 1, 1]]
    scores = class_scores(network, outputs, np.array([0, 0, 1, -1])).set_index("class")
    assert scores.loc["cat", "accuracy"] == 0.5 and scores.loc["dog", "accuracy"] == 1.0
    assert scores.loc["all", "images"] == 3
    # From the formula of Wilson with 1 of 2: 0.5 -+ 0.4055.
    assert scores.loc["cat", "low"] == pytest.approx(0.0945, abs=1e-3)
    assert scores.loc["cat", "high"] == pytest.approx(0.9055, abs=1e-3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 0, 1, 1, 1], "one label for each image, got 4 images, 5 labels"),
        ([0, 0, 0, 1], r"at least two images, .* got \{0: 3, 1: 1\}"),
        ([-1, -1, -1, -1], r"at least two images, .* got \{\}"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    images = np.zeros((4, 1, 2, 2), np.float32)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ValueError, match=message):
        train_classifier(network, images, np.array(labels), progress=False)


def test_accuracy_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one that is known, got 3 images and 0 known"):
        accuracy(nn.Identity(), np.zeros((3, 2), np.float32), np.full(3, -1))


# Trained networks


@pytest.mark.parametrize("name", STORED)
def test_stored_weights_give_the_stored_scores(name):
    network = load_network(MODELS / name)
    found = class_scores(network, *digits("test"))
    kept = pd.DataFrame(json.loads((MODELS / name / "scores.json").read_text()))
    pd.testing.assert_frame_equal(found, kept, check_dtype=False, rtol=1e-8)
    assert found["accuracy"].iloc[-1] >= 0.97
    assert (MODELS / name / "weights.safetensors").stat().st_size < 400_000


def test_retraining_gives_the_scores_again():
    """A quarter of the epochs of the stored network is within three points of it."""
    network = ImageCNN(
        image_shape=(1, 8, 8), class_names="0123456789", mean=DIGITS.mean, std=DIGITS.std
    )
    settings = ClassifierTraining(epochs=5)
    trained, _ = train_classifier(network, *digits("train"), settings=settings, progress=False)
    kept = accuracy(load_network(MODELS / "digits_cnn"), *digits("test"))
    assert accuracy(trained, *digits("test")) == pytest.approx(kept, abs=0.03)
