"""Networks: of ganglion cells and of images; training, scores, and how they are kept."""

from .architectures import DeepRetina, LinearNonlinear
from .checkpoint import load_network, save_network
from .classifier_training import ClassifierTraining, accuracy, class_scores, train_classifier
from .classifiers import ImageCNN, VisionTransformer
from .scores import evaluate, explainable_variance, pearson_r, predict, windows_for
from .training import LN_TRAINING, TrainingSettings, train

__all__ = [
    "LN_TRAINING",
    "ClassifierTraining",
    "DeepRetina",
    "ImageCNN",
    "LinearNonlinear",
    "TrainingSettings",
    "VisionTransformer",
    "accuracy",
    "class_scores",
    "evaluate",
    "explainable_variance",
    "load_network",
    "pearson_r",
    "predict",
    "save_network",
    "train",
    "train_classifier",
    "windows_for",
]
