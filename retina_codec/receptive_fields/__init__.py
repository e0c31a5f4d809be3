"""Receptive fields: of cells, of moments, and of the combinations of modes that make them."""

from .attribution import attribute_to_channels, attribute_to_modes, shares_of_modes
from .averages import peak_position, spike_triggered_average
from .combinations import active_modes, combinations, fields_of_combinations
from .cropping import cropped
from .description import DESCRIPTIONS, describe_fields
from .entrance import Entrance, LazyFields, entrance_of
from .instantaneous import as_input, instantaneous_fields, mean_fields, midpoints
from .parts import mean_parts, share_of_field, two_moments
from .separation import separate_space_time
from .states import states, transitions
from .streaming import stream_fields

__all__ = [
    "DESCRIPTIONS",
    "Entrance",
    "LazyFields",
    "active_modes",
    "as_input",
    "attribute_to_channels",
    "attribute_to_modes",
    "combinations",
    "cropped",
    "describe_fields",
    "entrance_of",
    "fields_of_combinations",
    "instantaneous_fields",
    "mean_fields",
    "mean_parts",
    "midpoints",
    "peak_position",
    "separate_space_time",
    "share_of_field",
    "shares_of_modes",
    "spike_triggered_average",
    "states",
    "stream_fields",
    "transitions",
    "two_moments",
]
