"""What removing or keeping channels and modes does to the output of a network."""

from ._doses import dose_curve, dose_summary
from ._effects import channels_of_mode, effects, selectivity
from ._insertion import (
    blurred,
    grey_image,
    insertion_deletion,
    insertion_summary,
    mean_colour,
)
from ._masks import ablated, preserved
from ._minimal import minimal_circuit
from ._regions import region_effects, region_summary
from ._replacements import grey, mean, resampled, zero

__all__ = [
    "ablated",
    "blurred",
    "channels_of_mode",
    "dose_curve",
    "dose_summary",
    "effects",
    "grey",
    "grey_image",
    "insertion_deletion",
    "insertion_summary",
    "mean",
    "mean_colour",
    "minimal_circuit",
    "preserved",
    "region_effects",
    "region_summary",
    "resampled",
    "selectivity",
    "zero",
]
