"""What removing or keeping channels and modes does to the output of a network."""

from ._class_scores import control_costs, control_scores
from ._classes import class_control, superclass_control
from ._doses import dose_curve, dose_summary
from ._effects import channels_of_mode, effects, selectivity
from ._flips import flipping_modes
from ._insertion import blurred, grey_image, insertion_deletion, insertion_summary, mean_colour
from ._masks import ablated, preserved
from ._minimal import minimal_circuit
from ._rankings import (
    Ranking,
    by_class_mean,
    by_class_mode,
    by_gradient,
    by_summed_class_modes,
    in_sets,
)
from ._regions import region_effects, region_summary
from ._replacements import Replacement, grey, mean, resampled, zero
from ._steering import relative_to_largest, shares_among_modes, steered, steering_curve

__all__ = [
    "Ranking",
    "Replacement",
    "ablated",
    "blurred",
    "by_class_mean",
    "by_class_mode",
    "by_gradient",
    "by_summed_class_modes",
    "channels_of_mode",
    "class_control",
    "control_costs",
    "control_scores",
    "dose_curve",
    "dose_summary",
    "effects",
    "flipping_modes",
    "grey",
    "grey_image",
    "in_sets",
    "insertion_deletion",
    "insertion_summary",
    "mean",
    "mean_colour",
    "minimal_circuit",
    "preserved",
    "region_effects",
    "region_summary",
    "relative_to_largest",
    "resampled",
    "selectivity",
    "shares_among_modes",
    "steered",
    "steering_curve",
    "superclass_control",
    "zero",
]
