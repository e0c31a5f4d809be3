"""Networks in models/: what their cards say is true, and training them again gives the same."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from retina_codec.networks import (
    class_scores,
    evaluate,
    load_network,
    shipped_networks,
    train,
    train_classifier,
)
from retina_codec.stimuli import digits

PROJECT = Path(__file__).parents[1]
MARGIN = 0.02
DIGITS = ("digits_cnn", "digits_vit")


def stored(name):
    return json.loads((PROJECT / "models" / name / "scores.json").read_text())


@pytest.fixture(scope="module")
def retina():
    return runpy.run_path(str(PROJECT / "data" / "train_retina.py"))


@pytest.fixture(scope="module")
def of_digits():
    return runpy.run_path(str(PROJECT / "data" / "train_digits.py"))["NETWORKS"]


@pytest.mark.parametrize("name", shipped_networks())
def test_card_says_what_is_needed(name):
    network = load_network(name)
    card = (PROJECT / "models" / name / "card.md").read_text()
    for what in ("Data:", "Input:", "Training: `python data/train_", "Score:", "Limits:"):
        assert what in card
    assert f"{sum(p.numel() for p in network.parameters()):,} parameters" in card
    assert all(layer in card for layer in network.default_layers)


@pytest.mark.parametrize("name", DIGITS)
def test_stored_weights_give_the_stored_scores(name):
    scores = class_scores(load_network(name), *digits("test"))
    assert scores["accuracy"].to_numpy() == pytest.approx([row["accuracy"] for row in stored(name)])
    card = (PROJECT / "models" / name / "card.md").read_text()
    assert f"{100 * scores['accuracy'].iloc[-1]:.1f} % right" in card


def test_stored_weights_of_the_retina_give_the_stored_scores(retina):
    scores = evaluate(load_network(retina["NAME"]), retina["recording"]()).scores
    expected = [row["pearson_r"] for row in stored(retina["NAME"])]
    assert scores["pearson_r"].to_numpy() == pytest.approx(expected, abs=1e-4)
    card = (PROJECT / "models" / retina["NAME"] / "card.md").read_text()
    assert re.search(r"mean r ([\d.]+)", card)[1] == f"{np.mean(expected):.3f}"


@pytest.mark.slow
def test_training_the_retina_again_gives_its_scores(retina):
    recording, name = retina["recording"](), retina["NAME"]
    network = type(load_network(name)).for_recording(recording, history=retina["HISTORY"])
    network, _ = train(network, recording, settings=retina["SETTINGS"], progress=False)
    again = evaluate(network, recording).scores["pearson_r"].mean()
    expected = np.mean([row["pearson_r"] for row in stored(name)])
    assert again == pytest.approx(expected, abs=MARGIN)


@pytest.mark.slow
@pytest.mark.parametrize("name", DIGITS)
def test_training_on_digits_again_gives_the_scores(name, of_digits):
    network, settings = of_digits[name]
    network, _ = train_classifier(network, *digits("train"), settings=settings, progress=False)
    again = class_scores(network, *digits("test"))["accuracy"].iloc[-1]
    assert again == pytest.approx(stored(name)[-1]["accuracy"], abs=MARGIN)
