"""Numbers that describe contributions and modes, beside what chance alone would give."""

from ._blocks import block_draws, block_numbers, resampled_blocks, time_blocks
from ._cell_types import agreement_with_types, cell_types, gap_statistic, type_recovery
from ._cells import cell_clusters, channel_profiles, mode_cells
from ._channels import net_of_channels, promoting, sample_correlations
from ._class_correlations import class_correlations, permuted_correlations
from ._class_coverage import class_coverage, class_summary, is_class_mode
from ._class_means import class_dimensionality, class_means
from ._classes import class_features, class_modes
from ._clusters import agglomerative, clusterings, directions, k_means, silhouette, z_scored
from ._correlation import circular_shift, correlations_with, pearson, permutation
from ._heads import head_sparsity
from ._held_out import random_held_out
from ._interneurons import interneuron_matches
from ._labels import doubtful_labels
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
from ._pathways import effective_number, overlap, pathways
from ._predicted import explained_by, trees
from ._profile_types import ProfileTypes, profile_types
from ._spikes import poisson_regression, pooled_p, spikes_beyond_rate

__all__ = [
    "ProfileTypes",
    "agglomerative",
    "agreement_with_types",
    "block_draws",
    "block_numbers",
    "cell_clusters",
    "cell_types",
    "channel_profiles",
    "circular_shift",
    "class_correlations",
    "class_coverage",
    "class_dimensionality",
    "class_features",
    "class_means",
    "class_modes",
    "class_summary",
    "clusterings",
    "co_occurrence",
    "correlations_with",
    "describe_modes",
    "directions",
    "doubtful_labels",
    "effective_number",
    "excitation_inhibition_correlation",
    "explained_by",
    "gap_statistic",
    "head_sparsity",
    "hoyer_sparsity",
    "interneuron_matches",
    "is_class_mode",
    "k_means",
    "layer_statistics",
    "mode_cells",
    "n_components",
    "net_of_channels",
    "overlap",
    "participation_ratio",
    "pathways",
    "pearson",
    "permutation",
    "permuted_correlations",
    "poisson_regression",
    "pooled_p",
    "profile_types",
    "promoting",
    "random_held_out",
    "resampled_blocks",
    "resampled_features",
    "sample_correlations",
    "shuffled_features",
    "silhouette",
    "spikes_beyond_rate",
    "time_blocks",
    "trees",
    "type_recovery",
    "z_scored",
]
