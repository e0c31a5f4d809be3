"""What removing or keeping channels does to the output of a network."""

from ._effects import channels_of_mode, effects, selectivity
from ._masks import ablated, preserved
from ._minimal import minimal_circuit

__all__ = ["ablated", "channels_of_mode", "effects", "minimal_circuit", "preserved", "selectivity"]
