"""Small classifiers of images: normalised images "batch channel y x" to logits "batch class".

Images come normalised, so that 0, the baseline of contributions, is the mean grey of the training
images; `mean` and `std` say what normalised means.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import nn

from .architectures import seeded

Images = Float[torch.Tensor, "batch channel y x"]
Tokens = Float[torch.Tensor, "batch token feature"]
Logits = Float[torch.Tensor, "batch class"]


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut; what both give is added and rectified.

    Layers, by name: conv1, norm1, relu1, conv2, norm2, shortcut, relu2. Only the output of the
    block (that of relu2) cuts the network: the stimulus passes all others by the shortcut.

    References
    ----------
    He et al. (2016), IEEE Conference on Computer Vision and Pattern Recognition, arXiv:1512.03385.
    """

    def __init__(self, below: int, width: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(below, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        same = below == width and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(below, width, 1, stride)
        self.relu2 = nn.ReLU()

    def forward(self, maps: Images) -> Float[torch.Tensor, "batch width down across"]:
        """Return maps of the width of the block."""
        inside = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(maps)))))
        return self.relu2(inside + self.shortcut(maps))


class ImageCNN(nn.Sequential):
    """A residual network: a convolution, blocks, the mean over space, a dense layer.

    Layers, by name: conv, norm, relu, block1 ... blockN (`ResidualBlock`), pool, flatten, head.
    The output of each block cuts the network; its axes are "sample channel y x". Every block but
    the first halves the size of the maps.

    Parameters
    ----------
    image_shape
        Channels, height and width of an image.
    class_names
        One for each output.
    channels
        Of each block.
    mean, std
        How the images that it sees were normalised: ``(pixels - mean) / std``.
    seed
        Of the initial weights.

    Raises
    ------
    ValueError
        If the images are too small for so many blocks.

    References
    ----------
    He et al. (2016), IEEE Conference on Computer Vision and Pattern Recognition, arXiv:1512.03385.

    Examples
    --------
    >>> network = ImageCNN(image_shape=(1, 8, 8), class_names="0123456789")
    >>> network(torch.zeros(5, 1, 8, 8)).shape, network.default_layers
    (torch.Size([5, 10]), ('block1', 'block2', 'block3'))
    """

    channel_axis = 1
    n_heads = None

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        class_names: Sequence[str],
        channels: Sequence[int] = (32, 40, 48),
        mean: float = 0.0,
        std: float = 1.0,
        seed: int = 0,
    ):
        if min(image_shape[1:]) < 2 ** (len(channels) - 1):
            msg = (
                f"{len(channels)} blocks need images of at least {2 ** (len(channels) - 1)} pixels "
                f"a side, got {tuple(image_shape[1:])}. Choose fewer blocks."
            )
            raise ValueError(msg)
        with seeded(seed):
            layers = self._layers(image_shape[0], channels, len(class_names))
        super().__init__(layers)
        self.image_shape, self.class_names = tuple(image_shape), tuple(class_names)
        self.mean, self.std = mean, std
        self.default_layers = tuple(name for name in layers if name.startswith("block"))
        self.settings: dict[str, Any] = {
            "image_shape": list(image_shape),
            "class_names": list(class_names),
            "channels": list(channels),
            "mean": mean,
            "std": std,
        }

    @staticmethod
    def _layers(n_colours, channels, n_classes):
        layers: dict[str, nn.Module] = {
            "conv": nn.Conv2d(n_colours, channels[0], 3, padding=1, bias=False),
            "norm": nn.BatchNorm2d(channels[0]),
            "relu": nn.ReLU(),
        }
        for i, (below, width) in enumerate(
            zip(channels[:1] + channels[:-1], channels, strict=True)
        ):
            layers[f"block{i + 1}"] = ResidualBlock(below, width, stride=2 if i else 1)
        layers["pool"], layers["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        layers["head"] = nn.Linear(channels[-1], n_classes)
        return OrderedDict(layers)


class Attention(nn.Module):
    """Every token takes what it needs from all others, in several heads at once.

    Layers, by name: qkv, heads (what the heads put out, "sample token feature", head after head:
    features 0 to d-1 are those of the first), project.

    References
    ----------
    Vaswani et al. (2017), Advances in Neural Information Processing Systems 30, arXiv:1706.03762.
    """

    def __init__(self, width: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.heads = nn.Identity()
        self.project = nn.Linear(width, width)

    def forward(self, tokens: Tokens) -> Tokens:
        """Return what is added to the tokens."""
        query, key, value = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for part in self.qkv(tokens).chunk(3, dim=-1)
        )
        scale = query.shape[-1] ** -0.5
        weights = (query @ key.transpose(-2, -1) * scale).softmax(dim=-1)
        return self.project(self.heads((weights @ value).transpose(1, 2).flatten(2)))


class TransformerBlock(nn.Module):
    """Attention, then two dense layers on each token; what each gives is added to the tokens.

    Layers, by name: norm1, attention (`Attention`), norm2, mlp (expand, hidden, project). Only the
    output of the block cuts the network.
    """

    def __init__(self, width: int, n_heads: int, n_hidden: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, n_heads)
        self.norm2 = nn.LayerNorm(width)
        layers = {
            "expand": nn.Linear(width, n_hidden),
            "hidden": nn.GELU(),
            "project": nn.Linear(n_hidden, width),
        }
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, tokens: Tokens) -> Tokens:
        """Return the tokens of the next block."""
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class VisionTransformer(nn.Module):
    """A vision transformer: patches become tokens, blocks, a dense layer on the class token.

    Layers, by name: patches, tokens, blocks.0 ... blocks.N (`TransformerBlock`), norm, head. The
    output of each block cuts the network; its axes are "sample token feature", of which token 0 is
    the class token and the others are the patches, row by row. Inside a block the stimulus also
    goes round ``blocks.i.attention`` (output of the attention), ``blocks.i.attention.heads``
    (outputs of the heads, before they are projected) and ``blocks.i.mlp.hidden`` (hidden units
    after their nonlinearity).

    Parameters
    ----------
    image_shape
        Channels, height and width of an image.
    class_names
        One for each output.
    patch
        Side of a patch in pixels. A token also sees half a patch around its own.
    width
        Features of a token.
    depth
        Blocks.
    n_heads
        Heads of each block.
    n_hidden
        Hidden units of each block.
    mean, std
        How the images that it sees were normalised: ``(pixels - mean) / std``.
    seed
        Of the initial weights.

    Raises
    ------
    ValueError
        If patches do not fill the image, or heads do not share the width.

    References
    ----------
    Dosovitskiy et al. (2021), International Conference on Learning Representations,
    arXiv:2010.11929.

    Examples
    --------
    >>> network = VisionTransformer(image_shape=(1, 8, 8), class_names="0123456789", depth=2)
    >>> network(torch.zeros(5, 1, 8, 8)).shape, network.default_layers
    (torch.Size([5, 10]), ('blocks.0', 'blocks.1'))
    """

    channel_axis = -1

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        class_names: Sequence[str],
        patch: int = 2,
        width: int = 48,
        depth: int = 4,
        n_heads: int = 4,
        n_hidden: int = 96,
        mean: float = 0.0,
        std: float = 1.0,
        seed: int = 0,
    ):
        _check_tokens(image_shape, patch, width, n_heads)
        super().__init__()
        n_colours, height, across = image_shape
        self.grid = (height // patch, across // patch)
        with seeded(seed):
            border = patch // 2
            self.patches = nn.Conv2d(n_colours, width, patch + 2 * border, patch, border)
            self.tokens = ClassAndPlaces(self.grid[0] * self.grid[1], width)
            self.blocks = nn.ModuleList(
                TransformerBlock(width, n_heads, n_hidden) for _ in range(depth)
            )
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, len(class_names))
        self.image_shape, self.class_names = tuple(image_shape), tuple(class_names)
        self.mean, self.std, self.n_heads = mean, std, n_heads
        self.default_layers = tuple(f"blocks.{i}" for i in range(depth))
        self.head_layers = tuple(f"blocks.{i}.attention.heads" for i in range(depth))
        self.settings: dict[str, Any] = {
            "image_shape": list(image_shape),
            "class_names": list(class_names),
            "patch": patch,
            "width": width,
            "depth": depth,
            "n_heads": n_heads,
            "n_hidden": n_hidden,
            "mean": mean,
            "std": std,
        }

    def forward(self, images: Images) -> Logits:
        """Return the logit of each class.

        Parameters
        ----------
        images
            Normalised, "batch channel y x".
        """
        tokens = self.tokens(self.patches(images).flatten(2).transpose(1, 2))
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens)[:, 0])


class ClassAndPlaces(nn.Module):
    """Puts the class token before the patches, and adds to each token where it is."""

    def __init__(self, n_patches: int, width: int):
        super().__init__()
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.places = nn.Parameter(0.3 * torch.randn(1, n_patches + 1, width))

    def forward(self, patches: Tokens) -> Float[torch.Tensor, "batch tokens feature"]:
        """Return one token more than there are patches."""
        first = self.class_token.expand(patches.shape[0], -1, -1)
        return torch.cat([first, patches], dim=1) + self.places


def _check_tokens(image_shape, patch, width, n_heads) -> None:
    if any(side % patch for side in image_shape[1:]):
        msg = (
            f"Patches of {patch} pixels do not fill images of {tuple(image_shape[1:])}. "
            "Choose a patch that divides both."
        )
        raise ValueError(msg)
    if width % n_heads:
        msg = f"{n_heads} heads cannot share {width} features. Choose a multiple for 'width'."
        raise ValueError(msg)
