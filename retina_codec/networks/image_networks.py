"""Networks that classify images, with all that is needed to show them pictures and explain them."""

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from retina_codec.datatypes import did_you_mean, shipped
from retina_codec.stimuli import ImageFolder, Preparation, image_folder

from ._code import IMPORT_PATH, made_by
from .checkpoint import read_folder, shipped_networks

ATTRIBUTES = ("class_names", "default_layers", "image_shape", "mean", "std")
CHANNEL_AXES = (1, -1)


@dataclass(frozen=True, eq=False)
class ImageNetwork:
    """A network that classifies images, and how to use it.

    Attributes
    ----------
    network
        In evaluation mode: from "sample channel y x" to one number for each class.
    prepare
        From a picture (Pillow) to float32 "channel y x".
    class_names
        One for each output.
    layers
        Layers to explain unless told otherwise, in order of depth.
    channel_axis
        Of what these layers put out: 1 for maps "sample channel y x", -1 for tokens "sample token
        feature".
    n_heads
        Attention heads in each layer of a transformer.
    head_layers
        Layers that put out what the heads say, side by side, before it is projected.
    name
        What to call it in tables and figures.
    synonyms
        Further names of each class by which folders may call it, such as WordNet ids.

    Raises
    ------
    ValueError
        If the network is in training mode, lacks one of the layers, or numbers do not fit one
        another.

    Examples
    --------
    >>> from retina_codec.networks import ImageCNN
    >>> cnn = ImageCNN(image_shape=(1, 8, 8), class_names="0123456789")
    >>> network = ImageNetwork(
    ...     network=cnn.eval(),
    ...     prepare=Preparation(size=(8, 8), mean=(0.5,), std=(0.5,)),
    ...     class_names=cnn.class_names,
    ...     layers=cnn.default_layers,
    ... )
    >>> network.prepare(Image.new("RGB", (40, 30))).shape
    (1, 8, 8)
    """

    network: nn.Module
    prepare: Callable[[Image.Image], np.ndarray]
    class_names: tuple[str, ...]
    layers: tuple[str, ...] = ()
    channel_axis: int = 1
    n_heads: int | None = None
    head_layers: tuple[str, ...] = ()
    name: str = "network"
    synonyms: tuple[tuple[str, ...], ...] | None = None

    def __post_init__(self):
        if self.network.training:
            msg = f"The network {self.name!r} is in training mode. Call its eval() first."
            raise ValueError(msg)
        known = dict(self.network.named_modules())
        for layer in self.layers:
            if layer not in known:
                guess = did_you_mean(layer, known)
                msg = f"No layer {layer!r} in the network {self.name!r}.{guess}"
                raise ValueError(msg)
        if self.channel_axis not in CHANNEL_AXES:
            msg = f"'channel_axis' must be 1 (maps) or -1 (tokens), got {self.channel_axis}."
            raise ValueError(msg)
        if self.synonyms is not None and len(self.synonyms) != len(self.class_names):
            msg = f"{len(self.class_names)} class names but {len(self.synonyms)} sets of synonyms."
            raise ValueError(msg)


@dataclass(frozen=True)
class Source:
    """Where networks of a kind come from.

    Attributes
    ----------
    module
        Of this subpackage; it imports optional packages, so it is loaded when it is needed.
    load
        Function in it that returns an `ImageNetwork`, given what stands behind the colon, if
        anything does.
    install
        What to install where the packages are missing.
    takes_name
        Whether a name stands behind the colon.

    Examples
    --------
    >>> SOURCES["timm"].install
    'timm'
    """

    module: str
    load: str
    install: str
    takes_name: bool = False


SOURCES = {
    "efficientnet-lite0": Source("_efficientnet", "efficientnet_lite0", "'retina-codec[vision]'"),
    "torchvision": Source("_torchvision", "from_torchvision", "torchvision", takes_name=True),
    "timm": Source("_timm", "from_timm", "timm", takes_name=True),
}
"""Where image networks come from, by what stands before the colon."""


def load_image_network(source: str | os.PathLike) -> ImageNetwork:
    """Load a network that classifies images.

    Parameters
    ----------
    source
        - ``"efficientnet-lite0"``: trained on ImageNet, weights in a package of the extra `vision`;
        - ``"torchvision:resnet50"``, ``"timm:vit_base_patch16_224"``: any classifier of these
          packages, if they are installed; they fetch weights when they do not have them;
        - a folder that `save_network` wrote, or the name of one of `shipped_networks`, if its
          network is one for images;
        - ``"package.module:function"``: a function without arguments that returns an
          `ImageNetwork`, or a module with the attributes that `image_network` asks for. **This
          imports and runs that code**: name only what you trust.

    Returns
    -------
    ImageNetwork
        In evaluation mode.

    Raises
    ------
    ImportError
        If a package is missing; the message tells what to install.
    ValueError
        If there is no such source, or what it gives is no network for images.

    Notes
    -----
    A new source is one line in `SOURCES`.

    Examples
    --------
    >>> import tempfile
    >>> from retina_codec.networks import ImageCNN, save_network
    >>> cnn = ImageCNN(image_shape=(1, 8, 8), class_names="0123456789")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     network = load_image_network(save_network(cnn, f"{folder}/digits"))
    >>> network.name, network.class_names[:3], network.channel_axis
    ('digits', ('0', '1', '2'), 1)
    """
    kind, _, name = str(source).partition(":")
    if kind in SOURCES and SOURCES[kind].takes_name == bool(name):
        return _from_source(SOURCES[kind], name)
    path, ours = Path(source).expanduser(), shipped_networks()
    if kind not in SOURCES and (path.is_dir() or str(source) in ours):
        path = path if path.is_dir() else shipped("models") / path
        return image_network(read_folder(path), name=path.resolve().name)
    if runs_code(source):
        return _from_code(str(source))
    known = [f"{kind}:NAME" if one.takes_name else kind for kind, one in SOURCES.items()] + ours
    msg = (
        f"No image network {str(source)!r}. Expected {', '.join(known)}, the folder of a network, "
        f"or package.module:function.{did_you_mean(str(source), known)}"
    )
    raise ValueError(msg)


def runs_code(source: str | os.PathLike) -> bool:
    """Tell whether `load_image_network` would import and run code that the source names.

    Parameters
    ----------
    source
        As for `load_image_network`.

    Examples
    --------
    >>> runs_code("package.module:function"), runs_code("timm:vit_base_patch16_224")
    (True, False)
    """
    kind = str(source).partition(":")[0]
    is_folder = Path(source).expanduser().is_dir()
    return kind not in SOURCES and not is_folder and bool(IMPORT_PATH.fullmatch(str(source)))


def image_network(network: nn.Module, *, name: str = "network") -> ImageNetwork:
    """Take what there is to know about a network from its attributes.

    Parameters
    ----------
    network
        With `class_names`, `default_layers`, `image_shape` (channel, y, x), `mean` and `std` of
        each channel for pixels from 0 to 1, and where they differ from 1, None and (),
        `channel_axis`, `n_heads` and `head_layers`. It is put into evaluation mode.
    name
        What to call it.

    Returns
    -------
    ImageNetwork
        The network with its preparation, classes and layers.

    Raises
    ------
    ValueError
        If an attribute is missing.

    Examples
    --------
    >>> from retina_codec.networks import VisionTransformer
    >>> transformer = VisionTransformer(image_shape=(1, 8, 8), class_names="0123456789", depth=2)
    >>> network = image_network(transformer, name="digits")
    >>> network.channel_axis, network.n_heads, network.network.training
    (-1, 4, False)
    """
    missing = [one for one in ATTRIBUTES if getattr(network, one, None) is None]
    if missing:
        msg = (
            f"{name!r} is a {type(network).__name__} without {', '.join(missing)}: not a network "
            "for images. Return an ImageNetwork, or give it these attributes."
        )
        raise ValueError(msg)
    n_channels, *size = network.image_shape
    mean, std = (
        tuple(float(one) for one in np.broadcast_to(np.ravel(values), n_channels))
        for values in (network.mean, network.std)
    )
    return ImageNetwork(
        network=network.eval(),
        prepare=Preparation(size=tuple(size), mean=mean, std=std),
        class_names=tuple(map(str, network.class_names)),
        layers=tuple(network.default_layers),
        channel_axis=getattr(network, "channel_axis", 1),
        n_heads=getattr(network, "n_heads", None),
        head_layers=tuple(getattr(network, "head_layers", ())),
        name=name,
    )


def images_for(
    network: ImageNetwork, path: str | os.PathLike, **options: int | Sequence[str]
) -> ImageFolder:
    """Take a folder of pictures as samples of a network: prepared for it, labelled as its classes.

    Parameters
    ----------
    network
        From `load_image_network`.
    path
        The folder.
    options
        Further arguments of `stimuli.image_folder`.

    Returns
    -------
    ImageFolder
        Samples, with the number of the class of each as label.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If its pictures or their classes do not fit the network.

    Examples
    --------
    >>> import tempfile
    >>> from retina_codec.networks import ImageCNN
    >>> network = image_network(ImageCNN(image_shape=(1, 8, 8), class_names="0123456789"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "7").mkdir()
    ...     Image.new("L", (20, 20)).save(Path(folder, "7", "seven.png"))
    ...     images = images_for(network, folder)
    ...     images[:].shape, images.labels.tolist()
    ((1, 1, 8, 8), [7])
    """
    known = {"class_names": network.class_names, "synonyms": network.synonyms}
    return image_folder(path, prepare=network.prepare, **{**known, **options})


def _from_source(source: Source, name: str) -> ImageNetwork:
    try:
        module = importlib.import_module(f"{__package__}.{source.module}")
    except ImportError as error:
        msg = f"This network needs {error.name or 'more packages'}: pip install {source.install}"
        raise ImportError(msg) from error
    return getattr(module, source.load)(*([name] if source.takes_name else []))


def _from_code(source: str) -> ImageNetwork:
    made = made_by(source)
    if isinstance(made, ImageNetwork):
        return replace(made, name=source) if made.name == "network" else made
    if isinstance(made, nn.Module):
        return image_network(made, name=source)
    msg = f"{source!r} returned a {type(made).__name__}, expected an ImageNetwork or nn.Module."
    raise ValueError(msg)
