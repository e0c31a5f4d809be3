"""Names that the shell completes, known here without loading what they belong to.

The tests hold them against the tables that they come from.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

METHODS = (
    "SparseModes",
    "SparseAutoencoder",
    "TopKAutoencoder",
    "BatchTopKAutoencoder",
    "JumpReluAutoencoder",
    "ThresholdAutoencoder",
    "SparseDictionary",
    "NonNegativeFactors",
    "PrincipalComponents",
    "IndependentComponents",
    "Clusters",
)
TARGETS = ("surprisal", "population-sum", "cell-0")
IMAGE_TARGETS = (
    "top-class",
    "top-class-probability",
    "entropy",
    "class-0",
    "class-0-probability",
)
REPLACEMENTS = ("grey", "zero", "mean", "resampled")
PHENOMENA = (
    "paired flash suppression",
    "response after a beat",
    "omitted stimulus response",
    "latency coding",
    "contrast adaptation",
    "frequency doubling",
    "object motion sensitivity",
    "motion reversal response",
    "motion anticipation",
)
SPLITS = ("train", "test", "all")
MODELS = ("deep-retina", "ln")
NETWORKS = ("simulated_retina",)
IMAGE_NETWORKS = ("digits_cnn", "digits_vit", "efficientnet-lite0", "torchvision:", "timm:")
AXES = ("time y x", "time x y", "x y time", "y x time")
LAYERS = ("relu1", "relu2")
PUBLIC = Path(__file__).parents[1] / "recordings" / "public_data.json"


def some_of(names: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Return a function that completes what was begun with one of the names."""

    def completed(incomplete: str) -> list[str]:
        return [as_typed(name) for name in names if name.startswith(incomplete)]

    return completed


def as_typed(name: str) -> str:
    """Return a name as one word; bash, unlike other shells, does not see to that by itself."""
    is_bash = os.environ.get("_RETINA_CODEC_COMPLETE") == "complete_bash"
    return name.replace(" ", "\\ ") if is_bash else name


def public_sets(incomplete: str) -> list[tuple[str, str]]:
    """Complete the name of a public recording; its title is shown beside it."""
    sets = json.loads(PUBLIC.read_text(encoding="utf-8"))["sets"]
    return [(one["name"], one["title"]) for one in sets if one["name"].startswith(incomplete)]
