"""Layers of published networks that torch does not have, and stacks of convolutions as one."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

STACK_EPSILON = 1e-5
Place = tuple[int, int]


class AbsBatchNorm(nn.Module):
    """Batch norm with fixed statistics whose scale counts by its size: nothing turns its sign.

    Parameters
    ----------
    tensors
        ``running_mean``, ``running_var``, ``scale`` and ``shift``.
    eps
        Added to the variance.
    absolute_shift
        Whether the shift counts by its size, too.
    """

    def __init__(
        self, tensors: dict[str, torch.Tensor], eps: float, *, absolute_shift: bool = False
    ):
        super().__init__()
        for name in ("running_mean", "running_var", "scale", "shift"):
            self.register_buffer(name, tensors[name])
        self.eps, self.absolute_shift = eps, absolute_shift

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the normalised values."""
        return nn.functional.batch_norm(values, *self.parts(), eps=self.eps)

    def parts(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return mean, variance, the scale and the shift that are applied."""
        shift = self.shift.abs() if self.absolute_shift else self.shift
        return self.running_mean, self.running_var, self.scale.abs(), shift


class Exponential(nn.Module):
    """``exp(x)``."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the exponential."""
        return values.exp()


class GrabUnits(nn.Module):
    """Reads the map of each cell at one place.

    Parameters
    ----------
    places
        Row and column on the map, one for each cell.
    """

    def __init__(self, places: Sequence[Place]):
        super().__init__()
        self.register_buffer("places", torch.as_tensor(places, dtype=torch.long))

    def forward(
        self, maps: Float[torch.Tensor, "batch cell y x"]
    ) -> Float[torch.Tensor, "batch cell"]:
        """Return one number for each cell."""
        cells = torch.arange(len(self.places), device=maps.device)
        return maps[:, cells, self.places[:, 0], self.places[:, 1]]


class OneHot(nn.Module):
    """Weighs the map of each cell over space: ``w - min(w)``, times the sum of these."""

    def __init__(self, w: Float[torch.Tensor, "cell place"]):
        super().__init__()
        self.register_buffer("w", w)

    def forward(
        self, maps: Float[torch.Tensor, "batch cell y x"]
    ) -> Float[torch.Tensor, "batch cell"]:
        """Return one number for each cell."""
        above = self.w - self.w.amin(dim=1, keepdim=True)
        weights = above * above.sum(dim=1, keepdim=True)
        return (maps.flatten(2) * weights).sum(dim=2)


class Stack(nn.Module):
    """Convolutions in a row with nothing but affine layers between them.

    Parameters
    ----------
    layers
        By their names in the checkpoint.
    """

    def __init__(self, layers: Sequence[tuple[str, nn.Module]]):
        super().__init__()
        self.convs = nn.Sequential()
        for name, layer in layers:
            self.convs.add_module(name, layer)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return what the last convolution says."""
        return self.convs(maps)


def as_published(
    centers: Sequence[Place], shape: Sequence[int], kernels: Sequence[int]
) -> list[Place]:
    """Where the published code reads the map of each cell.

    With h = (k0 - 1) + (k1 - 1) + (k2 // 2 - 1) + 1 for three kernels, it takes
    ``min(max(0, c - h), H - 2 (h - 1))`` and counts a negative number from the end. For kernels of
    15, 11, 11 on 50 pixels this is row and column 10 of 16 for every cell, wherever its centre is.
    Weights were trained with it, so it is what `load_network` uses unless told otherwise.

    Parameters
    ----------
    centers
        Row and column of each cell in the stimulus.
    shape
        Height and width of the stimulus.
    kernels
        Sides of the three filters.

    Raises
    ------
    ValueError
        If there are not three kernels, or a place is outside of the map.

    Examples
    --------
    >>> as_published([(19, 22), (40, 5)], (50, 50), (15, 11, 11))
    [(10, 10), (10, 10)]
    """
    if len(kernels) != 3:
        msg = f"The published rule is for three kernels, got {tuple(kernels)}. Try centred."
        raise ValueError(msg)
    border = (kernels[0] - 1) + (kernels[1] - 1) + (kernels[2] // 2 - 1) + 1
    return [
        tuple(
            _counted(min(max(0, int(c) - border), size - 2 * (border - 1)), size, kernels)
            for c, size in zip(center, shape, strict=True)
        )
        for center in centers
    ]


def centred(centers: Sequence[Place], shape: Sequence[int], kernels: Sequence[int]) -> list[Place]:
    """Where the receptive field of a place on the map lies on the centre of each cell.

    That is centre less border, moved inside the map where it is outside.

    Parameters
    ----------
    centers, shape, kernels
        As in `as_published`.

    Examples
    --------
    >>> centred([(19, 22), (40, 5)], (50, 50), (15, 11, 11))
    [(2, 5), (15, 0)]
    """
    border = sum(kernel - 1 for kernel in kernels) // 2
    last = [size - sum(kernel - 1 for kernel in kernels) - 1 for size in shape]
    return [
        tuple(int(np.clip(c - border, 0, end)) for c, end in zip(center, last, strict=True))
        for center in centers
    ]


def _counted(index: int, size: int, kernels: Sequence[int]) -> int:
    side = size - sum(kernel - 1 for kernel in kernels)
    if not -side <= index < side:
        msg = f"The published rule gives place {index} on a map of {side}. Try centred."
        raise ValueError(msg)
    return index % side


def composed(stack: Stack) -> nn.Module:
    """One convolution that does what a stack does, or the stack where there is none.

    Kernels are composed by convolving them, inner biases and norms are carried along. With padding
    inside the stack, no single convolution is the same at borders.
    """
    layers = [one for one in stack.convs if not isinstance(one, nn.Identity)]
    convs = [one for one in layers if isinstance(one, nn.Conv2d)]
    if len(layers) == 1:
        return layers[0]
    if any(max(one.padding) > 0 or one.groups != 1 for one in convs):
        return stack
    with torch.no_grad():
        single = _one_convolution(layers)
        _prove(stack, single)
    return single


def _one_convolution(layers: Sequence[nn.Module]) -> nn.Conv2d:
    weight, bias = layers[0].weight.double(), _bias(layers[0])
    has_bias = any(one.bias is not None for one in layers if isinstance(one, nn.Conv2d))
    for layer in layers[1:]:
        if isinstance(layer, nn.Conv2d):
            after = layer.weight.double()
            bias = _bias(layer) + after.sum(dim=(2, 3)) @ bias
            weight = _kernels(weight, after)
        else:
            scale, shift = _affine(layer)
            weight, bias = weight * scale[:, None, None, None], bias * scale + shift
            has_bias = True
    dtype = layers[0].weight.dtype
    return convolution(weight.to(dtype), bias.to(dtype) if has_bias else None)


def _kernels(
    first: Float[torch.Tensor, "inner below k k"], then: Float[torch.Tensor, "above inner s s"]
) -> torch.Tensor:
    """Kernel of two convolutions in a row: one convolved with the other, summed over channels."""
    side = then.shape[-1] - 1
    flipped = then.flip(2, 3)
    return nn.functional.conv2d(first.transpose(0, 1), flipped, padding=side).transpose(0, 1)


def _bias(conv: nn.Conv2d) -> torch.Tensor:
    zero = torch.zeros(conv.out_channels, dtype=torch.float64)
    return zero if conv.bias is None else conv.bias.double()


def _affine(norm: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    if isinstance(norm, AbsBatchNorm):
        mean, var, weight, bias = norm.parts()
    else:
        mean, var, weight, bias = norm.running_mean, norm.running_var, norm.weight, norm.bias
    scale = weight.double() / (var.double() + norm.eps).sqrt()
    return scale, bias.double() - mean.double() * scale


def _prove(stack: nn.Module, single: nn.Conv2d) -> None:
    side = single.kernel_size[0] + 1
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(2, single.in_channels, side, side, generator=generator)
    probe = probe.to(single.weight.dtype)
    one, other = stack(probe), single(probe)
    allowed = 1e4 * torch.finfo(probe.dtype).eps * max(float(one.abs().max()), 1e-30)
    if float((one - other).abs().max()) > allowed:
        msg = "a stack of convolutions is not the same as the convolution composed from it"
        raise ValueError(msg)


def convolution(
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    *,
    padding: int = 0,
    groups: int = 1,
) -> nn.Conv2d:
    """Return a convolution with these weights."""
    conv = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        padding=padding,
        groups=groups,
        bias=bias is not None,
        dtype=weight.dtype,
    )
    conv.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
    return conv


def one_to_one(tensors: dict[str, torch.Tensor], *, padding: int) -> nn.Conv2d:
    """One convolution from a first one that mixes channels and a chain of them for each channel."""
    first = tensors["first_conv.weight"].double()
    start = tensors.get("first_conv.bias")
    start = torch.zeros(len(first)) if start is None else start
    weights, biases = [], []
    for channel in range(len(first)):
        weight, bias = first[channel : channel + 1], start[channel : channel + 1].double()
        for name in _chain(tensors, channel):
            after = tensors[f"{name}.weight"].double()
            own = tensors.get(f"{name}.bias")
            bias = after.sum(dim=(2, 3)) @ bias + (0 if own is None else own.double())
            weight = _kernels(weight, after)
        weights.append(weight)
        biases.append(bias)
    dtype = tensors["first_conv.weight"].dtype
    has_bias = any(name.endswith("bias") for name in tensors)
    bias = torch.cat(biases).to(dtype) if has_bias else None
    return convolution(torch.cat(weights).to(dtype), bias, padding=padding)


def _chain(tensors: dict[str, torch.Tensor], channel: int) -> list[str]:
    start = f"seqs.{channel}."
    numbers = {int(name.split(".")[2]) for name in tensors if name.startswith(start)}
    if not numbers or numbers != set(range(len(numbers))):
        msg = f"the one-to-one stack of channel {channel} has the layers {sorted(numbers)}"
        raise ValueError(msg)
    return [f"{start}{number}" for number in sorted(numbers)]
