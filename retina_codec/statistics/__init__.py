"""Numbers that describe contributions and modes, beside what chance alone would give."""

from ._blocks import time_blocks
from ._cells import cell_clusters, mode_cells
from ._correlation import circular_shift, correlations_with, pearson, permutation
from ._layers import (
    excitation_inhibition_correlation,
    hoyer_sparsity,
    layer_statistics,
    n_components,
    participation_ratio,
    resampled_features,
    shuffled_features,
)
from ._modes import co_occurrence, describe_modes
from ._predicted import explained_by, trees

__all__ = [
    "cell_clusters",
    "circular_shift",
    "co_occurrence",
    "correlations_with",
    "describe_modes",
    "excitation_inhibition_correlation",
    "explained_by",
    "hoyer_sparsity",
    "layer_statistics",
    "mode_cells",
    "n_components",
    "participation_ratio",
    "pearson",
    "permutation",
    "resampled_features",
    "shuffled_features",
    "time_blocks",
    "trees",
]
