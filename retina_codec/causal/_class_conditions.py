"""Choose channels for a class, and measure what the network makes of its images without them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from retina_codec.contributions import frozen, hooked
from retina_codec.networks import predict
from retina_codec.receptive_fields import as_input

from ._conditions import responses_under, shared_part
from ._replacements import Replacement

EQUAL_MASS, EQUAL_NUMBER = "random of equal mass", "random of equal number"
KINDS = "ablated", "preserved"
MEASURES = "accuracy", "probability"
IMAGES_AT_ONCE = 32
IMAGES_FOR_REPLACEMENT = 256

Probabilities = Callable[[np.ndarray], np.ndarray]


class Target(NamedTuple):
    name: int | str
    number: int
    members: list[int]


class Setting(NamedTuple):
    doses: Sequence[float]
    towards: Replacement
    n_random: int
    n_others: int
    channel_axis: int
    probabilities: Probabilities
    seed: int
    progress: bool


class Condition(NamedTuple):
    """Channels of each layer that are chosen, as "channel" masks."""

    ranking: str
    dose: float
    chosen: dict[str, np.ndarray]


def replaced(
    network: nn.Module, samples: Any, layers: Sequence[str], towards: Replacement
) -> dict[str, torch.Tensor]:
    """Return what each layer puts out instead, from some of the images, evenly spread."""
    spread = np.linspace(0, len(samples) - 1, min(IMAGES_FOR_REPLACEMENT, len(samples)))
    reference = samples[np.unique(spread.astype(int))]
    return {layer: towards(network, layer, reference) for layer in layers}


def drawn(instead: Mapping[str, torch.Tensor], n: int, rng) -> dict[str, torch.Tensor]:
    """Return a random row for each of n images, where a replacement has several rows."""
    return {
        layer: one[rng.integers(len(one), size=n)] if len(one) > 1 else one
        for layer, one in instead.items()
    }


def images_of(labels, members: Sequence[int], setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """All images of the target, and some of other classes: never of the target or unknown."""
    is_own = np.isin(labels, members)
    own, others = np.flatnonzero(is_own), np.flatnonzero(~is_own & (labels >= 0))
    rng = np.random.default_rng([setting.seed, *members])
    return own, np.sort(rng.permutation(others)[: setting.n_others])


def masses_of(
    network, samples, own, instead, channel_axis
) -> dict[str, Float[np.ndarray, " channel"]]:
    """Mean absolute deviation of each channel from its replacement, in these images."""
    sums: dict[str, np.ndarray] = {}
    first = 0

    def add(layer, output):
        there = instead[layer].to(output)
        there = there[first : first + len(output)] if len(there) > 1 else there
        away = (output - there).abs().movedim(channel_axis, 1)[..., None].flatten(2).mean(2).sum(0)
        sums[layer] = sums.get(layer, 0) + away.double().cpu().numpy()
        return output

    with frozen(network), torch.no_grad(), hooked(network, list(instead), add):
        for first in range(0, len(own), IMAGES_AT_ONCE):
            network(as_input(network, samples[own[first : first + IMAGES_AT_ONCE]]))
    return {layer: total / len(own) for layer, total in sums.items()}


def conditions_of(target, rankings, masses, setting, rng) -> Iterator[Condition]:
    names = list(next(iter(rankings.values())))
    orders = {
        (layer, name): _order(of_layer[name](target.number), layer, name, masses[layer], rng)
        for layer, of_layer in rankings.items()
        for name in of_layer
    }
    for dose in setting.doses:
        numbers = {layer: max(1, round(dose * len(mass))) for layer, mass in masses.items()}
        for name in names:
            top = {layer: orders[layer, name][:n] for layer, n in numbers.items()}
            yield Condition(name, dose, _masks(top, masses))
        first = {layer: orders[layer, names[0]][:n] for layer, n in numbers.items()}
        for _ in range(setting.n_random):
            random = {layer: rng.permutation(len(mass)) for layer, mass in masses.items()}
            equal = {layer: random[layer][:n] for layer, n in numbers.items()}
            yield Condition(EQUAL_NUMBER, dose, _masks(equal, masses))
            heavy = {
                layer: random[layer][: _n_of_mass(mass[random[layer]], mass[first[layer]].sum())]
                for layer, mass in masses.items()
            }
            yield Condition(EQUAL_MASS, dose, _masks(heavy, masses))


def _order(scores, layer, name, mass, rng) -> Int[np.ndarray, " channel"]:
    """Channels from the most to the least important; equal ones in random order."""
    if len(scores) != len(mass) or not np.isfinite(scores).all():
        msg = (
            f"Ranking {name!r} gives {len(scores)} scores, {np.isfinite(scores).sum()} of them "
            f"finite, but layer {layer!r} has {len(mass)} channels; expected a finite score for "
            "each. Make the ranking from this layer, or change 'channel_axis'."
        )
        raise ValueError(msg)
    return np.lexsort((rng.permutation(len(scores)), -np.asarray(scores)))


def _n_of_mass(masses: Float[np.ndarray, " channel"], wanted: float) -> int:
    """How many of the channels, in this order, together come nearest to a mass; at least one."""
    return int(np.argmin(np.abs(np.cumsum(masses) - wanted))) + 1


def _masks(chosen, masses) -> dict[str, np.ndarray]:
    return {layer: np.isin(np.arange(len(mass)), chosen[layer]) for layer, mass in masses.items()}


def measured(network, samples, labels, index, conditions, instead, setting):
    """Whether each image is right, and the probability of its class, before and after.

    Before "measure sample"; after "kind condition measure sample".
    """
    masks = {
        layer: np.stack([condition.chosen[layer] for condition in conditions])
        for layer in conditions[0].chosen
    }
    both = {layer: np.concatenate([~mask, mask]) for layer, mask in masks.items()}
    stacked = np.concatenate(list(both.values()), axis=1)
    _, once, back = np.unique(stacked, axis=0, return_index=True, return_inverse=True)
    factors = {layer: one[once][:, None].astype(np.float32) for layer, one in both.items()}
    shared = shared_part(network, np.asarray(samples[index[:2]]), list(factors))
    before, after = [], []
    for first in range(0, len(index), IMAGES_AT_ONCE):
        part = slice(first, first + IMAGES_AT_ONCE)
        batch = np.asarray(samples[index[part]])
        there = {k: one[part] if len(one) > 1 else one for k, one in instead.items()}
        reduced = partial(_of_labels, labels=labels[index[part]], setting=setting)
        before.append(reduced(predict(network, batch)[None])[0])
        after.append(
            responses_under(
                network,
                batch,
                factors,
                there,
                channel_axis=setting.channel_axis,
                reduced=reduced,
                shared=shared,
            )
        )
    whole = np.concatenate(after, axis=2)[back.ravel()]
    return np.concatenate(before, axis=1), whole.reshape(2, len(conditions), *whole.shape[1:])


def _of_labels(outputs, *, labels, setting) -> Float[np.ndarray, "condition measure sample"]:
    if outputs.ndim != 3 or labels.max() >= outputs.shape[2]:
        msg = (
            f"The network puts out {outputs.shape[2:]}, but there is a label {labels.max()}; "
            "expected one output for each class, counted from 0. Give labels of this network."
        )
        raise ValueError(msg)
    right = (outputs.argmax(axis=2) == labels).astype(float)
    probability = setting.probabilities(outputs)[:, np.arange(len(labels)), labels]
    return np.stack([right, probability.astype(float)], axis=1)
