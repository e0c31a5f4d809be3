"""Classifiers of timm, with their preparation and, for ImageNet, class names."""

import timm
from timm.data import ImageNetInfo, create_transform, infer_imagenet_subset
from timm.data import resolve_model_data_config as data_config_of
from torch import nn

from ._of_others import Transformed, children, short_names
from .image_networks import ImageNetwork

BLOCKS = ("blocks",)
STAGES = ("layer1", "layer2", "layer3", "layer4", "stages", "features")


def from_timm(name: str) -> ImageNetwork:
    """Load a classifier with its pretrained weights.

    Raises
    ------
    ValueError
        If timm has none of this name.
    """
    if not timm.is_model(name):
        close = ", ".join(timm.list_models(f"*{name}*")[:5])
        msg = f"timm has no model {name!r}." + (f" Similar: {close}." if close else "")
        raise ValueError(msg)
    network = timm.create_model(name, pretrained=True).eval()
    layers = children(network, BLOCKS) or children(network, STAGES)
    attention = getattr(network.get_submodule(layers[0]), "attn", None) if layers else None
    class_names, synonyms = _classes(network)
    return ImageNetwork(
        network=network,
        prepare=Transformed(create_transform(**data_config_of(network), is_training=False)),
        class_names=class_names,
        layers=layers,
        channel_axis=1 if attention is None else -1,
        n_heads=getattr(attention, "num_heads", None),
        head_layers=() if attention is None else tuple(f"{one}.attn.proj:input" for one in layers),
        name=name,
        synonyms=synonyms,
    )


def _classes(network: nn.Module) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...] | None]:
    subset = infer_imagenet_subset(network)
    if subset is None:
        return tuple(f"class {number}" for number in range(network.num_classes)), None
    known = ImageNetInfo(subset)
    ids, names = known.label_names(), known.label_descriptions()
    synonyms = tuple((one, *every.split(", ")) for one, every in zip(ids, names, strict=True))
    return short_names(names, ids), synonyms
