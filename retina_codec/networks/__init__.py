"""Networks that predict ganglion cells: architectures, training, scores, and how they are kept."""

from .architectures import DeepRetina, LinearNonlinear
from .checkpoint import load_network, save_network
from .scores import evaluate, explainable_variance, pearson_r, predict, windows_for
from .training import LN_TRAINING, TrainingSettings, train

__all__ = [
    "LN_TRAINING",
    "DeepRetina",
    "LinearNonlinear",
    "TrainingSettings",
    "evaluate",
    "explainable_variance",
    "load_network",
    "pearson_r",
    "predict",
    "save_network",
    "train",
    "windows_for",
]
