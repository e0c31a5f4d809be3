"""The contribution of hidden units to a target: engine, targets, poolings, other attributions."""

from .attributions import (
    activation_times_gradient,
    activation_times_unit_gradient,
    activations,
    internal_influence,
    removal_effects,
    smooth_gradient,
)
from .engine import integrated_gradients
from .layers import matching_layers
from .pooling import Pooled, by_sign, over_space, unpooled
from .probe import bypassed, frozen, hooked, named_module, probed
from .store import load_contributions
from .targets import Target, class_logit, named, one_cell, population_sum, surprisal, top_class

__all__ = [
    "Pooled",
    "Target",
    "activation_times_gradient",
    "activation_times_unit_gradient",
    "activations",
    "by_sign",
    "bypassed",
    "class_logit",
    "frozen",
    "hooked",
    "integrated_gradients",
    "internal_influence",
    "load_contributions",
    "matching_layers",
    "named",
    "named_module",
    "one_cell",
    "over_space",
    "population_sum",
    "probed",
    "removal_effects",
    "smooth_gradient",
    "surprisal",
    "top_class",
    "unpooled",
]
