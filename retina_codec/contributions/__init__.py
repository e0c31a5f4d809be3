"""The contribution of hidden units to a target: engine, targets and poolings."""

from .engine import activation_times_gradient, integrated_gradients
from .pooling import Pooled, by_sign, over_space, unpooled
from .probe import frozen, named_module, probed
from .targets import Target, class_logit, named, one_cell, population_sum, surprisal, top_class

__all__ = [
    "Pooled",
    "Target",
    "activation_times_gradient",
    "by_sign",
    "class_logit",
    "frozen",
    "integrated_gradients",
    "named",
    "named_module",
    "one_cell",
    "over_space",
    "population_sum",
    "probed",
    "surprisal",
    "top_class",
    "unpooled",
]
