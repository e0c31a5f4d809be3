"""Pictures of records: one function each, which draws what is there and computes no science."""

from ._cell_types import plot_cell_types
from ._classes import plot_class_coverage, plot_class_dimensionality, plot_class_modes, plot_heads
from ._contributions import plot_contributions, plot_gap
from ._control import plot_class_control, plot_control_scores, plot_flips, plot_steering
from ._dynamics import plot_doses, plot_explained, plot_field_shares, plot_mode_fields, plot_moments
from ._effects import plot_effect_summary, plot_effects
from ._fields import plot_combinations, plot_fields
from ._fits import plot_curve, plot_stability
from ._layers import plot_layer_statistics
from ._maps import plot_gallery, plot_insertion, plot_maps
from ._modes import plot_dictionary, plot_loadings, plot_mode_cells
from ._one_mode import plot_mode_features, plot_mode_removed
from ._pathways import plot_pathways
from ._phenomena import plot_minimal_circuit, plot_phenomenon, plot_signatures
from ._predictions import plot_prediction, plot_scores
from ._recording import plot_rates, plot_stimulus
from ._spikes import plot_interneuron_matches, plot_spike_gains
from ._style import INK, NETWORK, mode_colour, style
from ._sweep import plot_sweep

__all__ = [
    "INK",
    "NETWORK",
    "mode_colour",
    "plot_cell_types",
    "plot_class_control",
    "plot_class_coverage",
    "plot_class_dimensionality",
    "plot_class_modes",
    "plot_combinations",
    "plot_contributions",
    "plot_control_scores",
    "plot_curve",
    "plot_dictionary",
    "plot_doses",
    "plot_effect_summary",
    "plot_effects",
    "plot_explained",
    "plot_field_shares",
    "plot_fields",
    "plot_flips",
    "plot_gallery",
    "plot_gap",
    "plot_heads",
    "plot_insertion",
    "plot_interneuron_matches",
    "plot_layer_statistics",
    "plot_loadings",
    "plot_maps",
    "plot_minimal_circuit",
    "plot_mode_cells",
    "plot_mode_features",
    "plot_mode_fields",
    "plot_mode_removed",
    "plot_moments",
    "plot_pathways",
    "plot_phenomenon",
    "plot_prediction",
    "plot_rates",
    "plot_scores",
    "plot_signatures",
    "plot_spike_gains",
    "plot_stability",
    "plot_steering",
    "plot_stimulus",
    "plot_sweep",
    "style",
]
