"""Classifiers of torchvision, with their preparation and class names."""

from torchvision import models

from ._of_others import Transformed, children, imagenet_synonyms
from .image_networks import ImageNetwork

TOKENS = "encoder.layers"
STAGES = ("layer1", "layer2", "layer3", "layer4", "features", TOKENS)
"""Modules whose children are blocks: of residual networks, of other convolutional networks, of
vision transformers."""


def from_torchvision(name: str) -> ImageNetwork:
    """Load a classifier with its default weights.

    Raises
    ------
    ValueError
        If torchvision has none of this name.
    """
    weights = models.get_model_weights(name).DEFAULT
    network = models.get_model(name, weights=weights).eval()
    layers, class_names = children(network, STAGES), tuple(weights.meta["categories"])
    tokens = layers and layers[0].startswith(TOKENS)
    block = network.get_submodule(layers[0]) if tokens else None
    return ImageNetwork(
        network=network,
        prepare=Transformed(weights.transforms()),
        class_names=class_names,
        layers=layers,
        channel_axis=-1 if tokens else 1,
        n_heads=getattr(block, "num_heads", None),
        name=name,
        synonyms=imagenet_synonyms(len(class_names)),
    )
