"""What removing or keeping channels does to the output of a network."""

from ._effects import channels_of_mode, effects, selectivity
from ._masks import ablated, preserved

__all__ = ["ablated", "channels_of_mode", "effects", "preserved", "selectivity"]
