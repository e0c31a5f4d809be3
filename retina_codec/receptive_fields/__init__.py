"""Receptive fields: of cells, of moments, and of the combinations of modes that make them."""

from .averages import peak_position, spike_triggered_average
from .combinations import active_modes, combinations, fields_of_combinations
from .instantaneous import instantaneous_fields, mean_fields
from .separation import separate_space_time

__all__ = [
    "active_modes",
    "combinations",
    "fields_of_combinations",
    "instantaneous_fields",
    "mean_fields",
    "peak_position",
    "separate_space_time",
    "spike_triggered_average",
]
