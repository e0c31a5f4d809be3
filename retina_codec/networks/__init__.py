"""Networks that predict ganglion cells, how they are trained and kept; networks for images."""

from .architectures import DeepRetina, LinearNonlinear
from .checkpoint import load_network, save_network
from .image_networks import (
    SOURCES,
    ImageNetwork,
    Source,
    image_network,
    images_for,
    load_image_network,
)
from .scores import evaluate, explainable_variance, pearson_r, predict, windows_for
from .training import LN_TRAINING, TrainingSettings, train

__all__ = [
    "LN_TRAINING",
    "SOURCES",
    "DeepRetina",
    "ImageNetwork",
    "LinearNonlinear",
    "Source",
    "TrainingSettings",
    "evaluate",
    "explainable_variance",
    "image_network",
    "images_for",
    "load_image_network",
    "load_network",
    "pearson_r",
    "predict",
    "save_network",
    "train",
    "windows_for",
]
