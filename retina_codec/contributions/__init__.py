"""The contribution of hidden units to a target: engine, targets, poolings, other attributions."""

from .attributions import (
    activation_times_gradient,
    activation_times_unit_gradient,
    activations,
    internal_influence,
    removal_effects,
    smooth_gradient,
)
from .engine import (
    integrated_gradients,
)
from .layers import (
    matching_layers,
)
from .pooling import (
    ALL,
    CLS,
    PATCHES,
    Pooled,
    Pooling,
    Poolings,
    by_sign,
    heads_by_sign,
    over_space,
    patches_by_sign,
    tokens_by_sign,
    unpooled,
)
from .probe import (
    bypassed,
    frozen,
    hooked,
    named_module,
    probed,
)
from .store import (
    load_contributions,
)
from .targets import (
    Target,
    class_logit,
    class_probability,
    contrast,
    contrast_top2,
    entropy,
    named,
    of_probabilities,
    one_cell,
    population_sum,
    superclass,
    surprisal,
    top_class,
)

__all__ = [
    "ALL",
    "CLS",
    "PATCHES",
    "Pooled",
    "Pooling",
    "Poolings",
    "Target",
    "activation_times_gradient",
    "activation_times_unit_gradient",
    "activations",
    "by_sign",
    "bypassed",
    "class_logit",
    "class_probability",
    "contrast",
    "contrast_top2",
    "entropy",
    "frozen",
    "heads_by_sign",
    "hooked",
    "integrated_gradients",
    "internal_influence",
    "load_contributions",
    "matching_layers",
    "named",
    "named_module",
    "of_probabilities",
    "one_cell",
    "over_space",
    "patches_by_sign",
    "population_sum",
    "probed",
    "removal_effects",
    "smooth_gradient",
    "superclass",
    "surprisal",
    "tokens_by_sign",
    "top_class",
    "unpooled",
]
