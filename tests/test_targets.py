"""Targets of classifiers: their values, along the whole path, in any process."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from retina_codec.contributions import (
    class_logit,
    class_probability,
    contrast,
    contrast_top2,
    entropy,
    integrated_gradients,
    of_probabilities,
    superclass,
    top_class,
)

LOGITS = torch.tensor([[2.0, -1.0, 0.5, 3.0], [0.0, 4.0, 4.5, -2.0]])
AT_SAMPLE = torch.tensor([[0.0, 5.0, 1.0, 2.0], [3.0, 0.0, 1.0, 4.0]])


def softmax(row):
    weights = [np.exp(float(x)) for x in row]
    return [weight / sum(weights) for weight in weights]


def slow_contrast_top2(row, at):
    order = sorted(range(len(at)), key=lambda i: -float(at[i]))
    return float(row[order[0]]) - float(row[order[1]])


CASES = {
    "class_probability": (class_probability(2), lambda row, at: softmax(row)[2]),
    "contrast": (contrast(3, 1), lambda row, at: float(row[3]) - float(row[1])),
    "contrast_top2": (contrast_top2(), slow_contrast_top2),
    "superclass": (superclass([0, 3]), lambda row, at: float(row[0]) + float(row[3])),
    "entropy": (entropy(), lambda row, at: -sum(p * np.log(p) for p in softmax(row))),
    "probability of a set": (
        of_probabilities(superclass([0, 3])),
        lambda row, at: softmax(row)[0] + softmax(row)[3],
    ),
    "probability of the top class": (
        of_probabilities(top_class()),
        lambda row, at: softmax(row)[int(at.argmax())],
    ),
}


@pytest.mark.parametrize(("target", "slow"), CASES.values(), ids=CASES)
def test_values_are_those_of_the_definition(target, slow):
    expected = [slow(row, at) for row, at in zip(LOGITS, AT_SAMPLE, strict=True)]
    np.testing.assert_allclose(target(LOGITS, AT_SAMPLE), expected, rtol=1e-5)


@pytest.mark.parametrize("target", [case[0] for case in CASES.values()], ids=CASES)
def test_targets_can_be_sent_with_their_names(target):
    again = pickle.loads(pickle.dumps(target))
    assert again.__name__ == target.__name__
    assert torch.equal(again(LOGITS, AT_SAMPLE), target(LOGITS, AT_SAMPLE))


def test_names_tell_targets_apart():
    names = [case[0].__name__ for case in CASES.values()]
    assert len(set(names)) == len(names)
    assert names[:3] == [
        "probability of class 2",
        "class 3 minus class 1",
        "top class minus second",
    ]


def overtaken():
    """Class 1 wins early on the path, class 0 at the sample; class 2 ends second."""
    network = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 3))
    network[0].weight.data = torch.tensor([[1.0], [1.0], [1.0]])
    network[0].bias.data = torch.tensor([0.0, -0.5, -0.7])
    network[2].weight.data = torch.tensor([[1.0, 6.0, 0.0], [4.0, -6.0, 0.0], [1.0, 2.0, 3.0]])
    network[2].bias.data = torch.tensor([0.0, 0.1, 0.0])
    return network.double().eval()


def test_choice_is_that_of_the_sample_although_another_class_leads_on_the_way():
    network, end = overtaken(), torch.ones(1, 1, dtype=torch.float64)
    with torch.no_grad():
        last, middle = network(end), network(0.4 * end)
    assert last.argsort(descending=True).tolist() == [[0, 2, 1]]
    assert middle.argmax().item() == 1
    fixed = {
        contrast_top2(): contrast(0, 2),
        top_class(): class_logit(0),
        of_probabilities(top_class()): class_probability(0),
    }
    given = {"layers": ["1"], "n_steps": 50, "progress": False}
    for chooses, same in fixed.items():
        found, expected = (
            integrated_gradients(network, end.numpy(), target=target, **given)["1"]
            for target in (chooses, same)
        )
        np.testing.assert_allclose(found.values, expected.values)
        assert found.baseline_value[0] == pytest.approx(expected.baseline_value[0])


@pytest.mark.parametrize("rule", ["trapezoid", "secant"])
def test_contributions_sum_to_the_change_of_every_target(rule):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 4)).double().eval()
    network[2].weight.data *= 6
    samples = np.random.default_rng(0).normal(size=(12, 6))
    targets = [case[0] for case in CASES.values()]
    found = integrated_gradients(
        network, samples, layers=["1"], target=targets, n_steps=100, rule=rule, progress=False
    )
    with torch.no_grad():
        ends = [network(torch.as_tensor(x)) for x in (np.zeros_like(samples), samples)]
    for target in targets:
        record = found[target.__name__]["1"]
        change = (target(ends[1], ends[1]) - target(ends[0], ends[1])).numpy()
        np.testing.assert_allclose(record.values.sum(axis=1), change, atol=5e-3 * abs(change).max())


def test_entropy_is_finite_where_a_class_is_sure():
    sure = torch.tensor([[500.0, -500.0, 0.0]], requires_grad=True)
    value = entropy()(sure, sure)
    (gradient,) = torch.autograd.grad(value.sum(), sure)
    assert value.item() == pytest.approx(0.0) and torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: contrast(2, 2), "two different classes, got 2 twice"),
        (lambda: superclass([]), r"at least one, got \[\]"),
        (lambda: superclass([1, 1]), r"all different, at least one, got \[1, 1\]"),
        (lambda: contrast(0, 4)(LOGITS, LOGITS), "has 4 outputs, numbered from 0; there is no 4"),
        (lambda: superclass([9])(LOGITS, LOGITS), "there is no 9"),
        (lambda: class_probability(4)(LOGITS, LOGITS), "there is no 4"),
        (lambda: contrast_top2()(LOGITS[:, :1], LOGITS[:, :1]), "at least 2 outputs, got 1"),
    ],
)
def test_what_makes_no_target_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
