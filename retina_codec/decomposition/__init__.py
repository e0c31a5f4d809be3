"""Decompose contributions into modes: sparse motifs of features that act together.

Every method has the manners of scikit-learn (`fit`, `transform`, `inverse_transform`,
`components_`). To add one, derive it from `Decomposition`, with a parameter `seed`, and put it into
`METHODS`: the tests find it there.
"""

from ._alike import decompose_alike
from ._autoencoders import (
    BatchTopKAutoencoder,
    JumpReluAutoencoder,
    SparseAutoencoder,
    TopKAutoencoder,
)
from ._choice import choose_n_modes
from ._class_agreement import class_agreement
from ._decompose import decompose
from ._factorisations import (
    Clusters,
    IndependentComponents,
    NonNegativeFactors,
    PrincipalComponents,
    SparseDictionary,
)
from ._interface import Decomposition, Streaming
from ._loadings import loadings_of
from ._matching import match_modes
from ._sparse_modes import SparseModes
from ._stability import stability
from ._sweep import sweep
from ._threshold_autoencoder import PUBLISHED, ThresholdAutoencoder

METHODS = {
    method.__name__: method
    for method in (
        SparseModes,
        SparseAutoencoder,
        TopKAutoencoder,
        BatchTopKAutoencoder,
        JumpReluAutoencoder,
        ThresholdAutoencoder,
        SparseDictionary,
        NonNegativeFactors,
        PrincipalComponents,
        IndependentComponents,
        Clusters,
    )
}
"""All methods by name."""

__all__ = [
    "METHODS",
    "PUBLISHED",
    "BatchTopKAutoencoder",
    "Clusters",
    "Decomposition",
    "IndependentComponents",
    "JumpReluAutoencoder",
    "NonNegativeFactors",
    "PrincipalComponents",
    "SparseAutoencoder",
    "SparseDictionary",
    "SparseModes",
    "Streaming",
    "ThresholdAutoencoder",
    "TopKAutoencoder",
    "choose_n_modes",
    "class_agreement",
    "decompose",
    "decompose_alike",
    "loadings_of",
    "match_modes",
    "stability",
    "sweep",
]
