"""Receptive fields: of cells, of moments, and of the combinations of modes that make them."""

from .attribution import attribute_to_channels, attribute_to_modes, shares_of_modes
from .averages import peak_position, spike_triggered_average
from .combinations import active_modes, combinations, fields_of_combinations
from .cropping import cropped
from .description import DESCRIPTIONS, describe_fields
from .entrance import Entrance, LazyFields, entrance_of
from .gallery import gallery_items
from .instantaneous import as_input, instantaneous_fields, mean_fields, midpoints
from .maps import channel_map, gallery_maps, mode_maps
from .overlap import map_overlap, overlap_summary
from .parts import mean_parts, moment_maps, share_of_field, two_moments
from .pixels import at_pixels, at_units
from .saliency import (
    centre_map,
    edge_map,
    grad_cam,
    gradient_times_input,
    integrated_gradients_map,
    mode_map,
    random_map,
)
from .separation import separate_space_time
from .states import states, transitions
from .streaming import stream_fields

__all__ = [
    "DESCRIPTIONS",
    "Entrance",
    "LazyFields",
    "active_modes",
    "as_input",
    "at_pixels",
    "at_units",
    "attribute_to_channels",
    "attribute_to_modes",
    "centre_map",
    "channel_map",
    "combinations",
    "cropped",
    "describe_fields",
    "edge_map",
    "entrance_of",
    "fields_of_combinations",
    "gallery_items",
    "gallery_maps",
    "grad_cam",
    "gradient_times_input",
    "instantaneous_fields",
    "integrated_gradients_map",
    "map_overlap",
    "mean_fields",
    "mean_parts",
    "midpoints",
    "mode_map",
    "mode_maps",
    "moment_maps",
    "overlap_summary",
    "peak_position",
    "random_map",
    "separate_space_time",
    "share_of_field",
    "shares_of_modes",
    "spike_triggered_average",
    "states",
    "stream_fields",
    "transitions",
    "two_moments",
]
