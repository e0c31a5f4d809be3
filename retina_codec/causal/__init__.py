"""What removing or keeping channels and modes does to the output of a network."""

from ._doses import dose_curve, dose_summary
from ._effects import channels_of_mode, effects, selectivity
from ._masks import ablated, preserved
from ._minimal import minimal_circuit
from ._replacements import grey, mean, resampled, zero

__all__ = [
    "ablated",
    "channels_of_mode",
    "dose_curve",
    "dose_summary",
    "effects",
    "grey",
    "mean",
    "minimal_circuit",
    "preserved",
    "resampled",
    "selectivity",
    "zero",
]
