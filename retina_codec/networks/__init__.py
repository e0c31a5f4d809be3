"""Networks that predict ganglion cells, how they are trained and kept; networks for images."""

from ._about import (
    About,
)
from ._published_layers import (
    as_published,
    centred,
)
from .architectures import (
    DeepRetina,
    LinearNonlinear,
)
from .checkpoint import (
    save_network,
    shipped_networks,
)
from .classifier_training import (
    ClassifierTraining,
    accuracy,
    class_scores,
    train_classifier,
)
from .classifiers import (
    ImageCNN,
    VisionTransformer,
)
from .image_networks import (
    SOURCES,
    ImageNetwork,
    Source,
    image_network,
    images_for,
    load_image_network,
    runs_code,
)
from .loading import (
    CHECKPOINTS,
    Checkpoint,
    describe_checkpoint,
    load_network,
)
from .scores import (
    evaluate,
    explainable_variance,
    pearson_r,
    predict,
    windows_for,
)
from .training import (
    LN_TRAINING,
    TrainingSettings,
    train,
)

__all__ = [
    "About",
    "CHECKPOINTS",
    "Checkpoint",
    "ClassifierTraining",
    "DeepRetina",
    "ImageCNN",
    "ImageNetwork",
    "LN_TRAINING",
    "LinearNonlinear",
    "SOURCES",
    "Source",
    "TrainingSettings",
    "VisionTransformer",
    "accuracy",
    "as_published",
    "centred",
    "class_scores",
    "describe_checkpoint",
    "evaluate",
    "explainable_variance",
    "image_network",
    "images_for",
    "load_image_network",
    "load_network",
    "pearson_r",
    "predict",
    "runs_code",
    "save_network",
    "shipped_networks",
    "train",
    "train_classifier",
    "windows_for",
]
