"""A network along the straight paths from a baseline to samples, computed once where it can be.

Up to its first nonlinearity a network is affine, so that along a straight path everything is known
from the two ends. `Path` runs any network on the ends (of which the baseline is the same for all
samples) for as long as this lasts, and then goes on with all points. It looks at the operations
while they run, so it needs no graph of the network and minds no control flow; what it does not know
runs as it would have. Results are checked against the plain network before they are used
(`engine`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from . import fourier
from .slopes import averaged, secant

TURNING = {"permute", "transpose", "movedim", "moveaxis", "swapaxes", "swapdims", "t"}
SHAPING = TURNING | {
    "flatten", "unflatten", "reshape", "reshape_as", "view", "view_as", "squeeze", "unsqueeze",
    "contiguous", "clone", "detach", "expand", "expand_as",
    "__getitem__", "select", "narrow", "cat", "concat", "stack", "chunk", "split", "unbind", "pad",
    "to", "float", "double", "flip", "gather", "index_select", "take_along_dim", "roll", "repeat",
    "tile", "pixel_shuffle",
}  # fmt: skip
ADDING = {
    "add", "sub", "__add__", "__radd__", "__sub__", "__rsub__", "__iadd__", "__isub__", "add_",
    "sub_", "neg", "__neg__", "rsub",
}  # fmt: skip
SCALING = {
    "mul", "__mul__", "__rmul__", "__imul__", "mul_", "matmul", "__matmul__", "__rmatmul__", "mm",
    "bmm", "einsum", "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "tensordot",
}  # fmt: skip
DIVIDING = {"div", "__truediv__", "__itruediv__", "div_", "true_divide"}
SUMMING = {
    "mean", "sum", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_avg_pool3d",
}  # fmt: skip
SWITCHED_OFF_IN_EVALUATION = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"}
ELEMENTWISE = {
    "relu", "relu_", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus",
    "sigmoid", "tanh", "exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "square", "pow", "abs",
    "hardtanh", "relu6", "hardswish", "hardsigmoid", "clamp", "clamp_min", "sin", "cos", "erf",
    "softsign", "logsigmoid", "threshold", "reciprocal", "__pow__",
}  # fmt: skip


LAYOUT = defaultdict(lambda: torch.contiguous_format, {4: torch.channels_last})
"""Fastest order in memory of weights with so many axes."""


class Unfit(ValueError):
    """The network cannot be run along a path in this way."""


Push = Callable[[torch.Tensor], torch.Tensor]
"""From maps "row channel ..." to what each channel adds downstream, "row channel out ..."."""


class Path(TorchFunctionMode):
    """Runs a network at points between baseline and samples, while the block lasts.

    Parameters
    ----------
    points
        Places on the path, from 0 (baseline) to 1 (sample).
    kernels
        What is kept of the weights between batches.
    share
        Whether affine operations are done at the ends alone.
    secants
        Whether gradients belong to the intervals between points (see `slopes`).
    """

    def __init__(self, points: torch.Tensor, kernels: "Kernels", *, share: bool, secants: bool):
        super().__init__()
        self.points, self.kernels, self.share, self.secants = points, kernels, share, secants
        self.n_ends = 0
        self._uses: dict[int, list[tuple[Push | None, Any, int | None]]] = {}

    def begin(self, baseline: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
        """Return the input of the network: baseline "1 ...", then samples "sample ..."."""
        ends = torch.cat([baseline, samples])
        self.n_ends = len(ends)
        ends.ray = True
        return ends if self.share else self.everywhere(ends)

    def everywhere(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor at all points "point x sample ..."; one that is known there stays."""
        if not getattr(tensor, "ray", False):
            return tensor
        known = getattr(tensor, "known", None)
        if known is None:
            start, end = tensor[:1], tensor[1:]
            along = self.points.to(tensor).view(-1, *[1] * tensor.ndim)
            known = torch.lerp(start[None], end[None], along).flatten(0, 1)
            tensor.known = known
            known.on_path = 0
        return known

    def guarded(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensor; operations in place will work on a copy of it."""
        tensor.on_path, tensor.guarded = 0, True
        self._uses[id(tensor)] = []
        return tensor

    def push_of(self, tensor: torch.Tensor) -> tuple["Push", torch.Tensor] | None:
        """Return the convolution that alone took a guarded tensor, and its output; None if none."""
        uses = self._uses[id(tensor)]
        if len(uses) != 1 or uses[0][0] is None:
            return None
        push, out, version = uses[0]
        return (push, out) if out._version == version else None

    def knows(self, output: torch.Tensor, n_rows: int) -> bool:
        """Whether the output was followed through the network."""
        return getattr(output, "on_path", None) == 0 and len(output) == n_rows

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        moving = [t for t in tensors(args, kwargs) if hasattr(t, "ray") or hasattr(t, "on_path")]
        if not moving:
            return func(*args, **kwargs)
        if not any(getattr(t, "ray", False) for t in moving):
            return self._at_points(func, args, kwargs, moving)
        name = func.__name__
        all_rays = all(getattr(t, "ray", False) for t in moving)
        if all_rays and is_linear(name, args, kwargs, moving):
            out = self.kernels.call(func, args, kwargs)
            if changes_its_input(name, kwargs):
                out.known = None
            if self._still_rays(out, moving[0], name, args):
                return out
        elif all_rays and not changes_its_input(name, kwargs):
            out = func(*args, **kwargs)
            if not any(True for _ in tensors((out,), {})):
                return out
        args, kwargs = replaced(args, self.everywhere), replaced(kwargs, self.everywhere)
        moving = [t for t in tensors(args, kwargs) if hasattr(t, "on_path")]
        return self._at_points(func, args, kwargs, moving)

    def _still_rays(self, out, before, name, args):
        """Mark results that still have the ends on their first axis."""
        found = list(tensors((out,), {}))
        if any(tensor.ndim == 0 or len(tensor) != self.n_ends for tensor in found):
            return False
        if name in TURNING and out.stride(0) != before.stride(0):
            return False
        if not keeps_order(name, args, before):
            return False
        for tensor in found:
            tensor.ray = True
        return True

    def _at_points(self, func, args, kwargs, moving):
        out = self._followed(func, args, kwargs, moving)
        for tensor in moving:
            if id(tensor) in self._uses:
                is_first = bool(args) and args[0] is tensor
                push = self.kernels.push(func, args, kwargs) if is_first else None
                if push is not None:
                    out.guarded = True
                version = None if push is None else out._version
                self._uses[id(tensor)].append((push, out, version))
        return out

    def _followed(self, func, args, kwargs, moving):
        name = func.__name__
        if changes_its_input(name, kwargs) and getattr(args[0], "guarded", False):
            axis = args[0].on_path
            args = (args[0].clone(), *args[1:])
            args[0].on_path = axis
            moving = [t for t in tensors(args, kwargs) if hasattr(t, "on_path")]
        ordered = keeps_order(name, args, moving[0])
        if not self.secants or is_linear(name, args, kwargs, moving):
            out = self.kernels.call(func, args, kwargs)
        elif any(tensor.on_path is None for tensor in moving):
            msg = f"{name} works on a tensor in which the samples were lost"
            raise Unfit(msg)
        elif name in ELEMENTWISE and works_on_one(args, kwargs, moving):
            out = secant(func, args, kwargs, len(self.points), moving[0].on_path)
        else:
            axis_of = partial(self._axis, before=moving[0], ordered=ordered)
            out = averaged(func, args, kwargs, moving, len(self.points), axis_of)
        for tensor in tensors((out,), {}):
            tensor.on_path = self._axis(tensor, moving[0], ordered)
        return out

    def _axis(self, tensor, before, ordered):
        """Axis of a result that holds the points: that of the argument, wherever it went.

        None where it is lost or cannot be told from another of the same length.
        """
        known, axis = getattr(tensor, "on_path", None), before.on_path
        if known is not None or axis is None:
            return known
        n_rows, step = before.shape[axis], before.stride(axis)
        places = [i for i in range(tensor.ndim) if tensor.shape[i] == n_rows]
        if tensor.untyped_storage().data_ptr() == before.untyped_storage().data_ptr():
            places = [i for i in places if tensor.stride(i) == step]
        elif ordered and axis in places and (axis == 0 or tensor.ndim == before.ndim):
            return axis
        return places[0] if len(places) == 1 else None


def keeps_order(name: str, args: tuple, before: torch.Tensor) -> bool:
    """Whether the first axis of an argument is the first of the result, unless it is turned."""
    if name in ("stack", "einsum", "tensordot"):
        return False
    return "mat" not in name and name not in ("mm", "bmm") or bool(args) and args[0] is before


def works_on_one(args: tuple, kwargs: dict, moving: list[torch.Tensor]) -> bool:
    """Whether all tensors but the first argument are single numbers that stay."""
    if len(moving) != 1 or not args or args[0] is not moving[0]:
        return False
    return all(one is args[0] or one.numel() == 1 for one in tensors(args, kwargs))


def is_linear(name: str, args: tuple, kwargs: dict, moving: list[torch.Tensor]) -> bool:
    """Whether an operation is affine in those of its arguments that change along the path."""
    if name in SHAPING or name in ADDING or name in SUMMING:
        return True
    if name in SWITCHED_OFF_IN_EVALUATION:
        return not (args[2] if len(args) > 2 else kwargs.get("training", True))
    if name == "batch_norm":
        norm = norm_arguments(args, kwargs)
        return not norm.get("training") and norm.get("running_mean") is not None
    if name in DIVIDING:
        return len(moving) == 1 and args[0] is moving[0]
    return name in SCALING and len(moving) == 1


def changes_its_input(name: str, kwargs: dict) -> bool:
    """Whether an operation works in place."""
    in_place = name.endswith("_") and not name.endswith("__") or name.startswith("__i")
    return in_place or bool(kwargs.get("inplace"))


def tensors(args: Any, kwargs: Any) -> Iterator[torch.Tensor]:
    """All tensors among arguments, also those in lists and tuples."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from tensors(value, {})


def replaced(value: Any, by: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Return arguments with every tensor replaced."""
    if isinstance(value, torch.Tensor):
        return by(value)
    if isinstance(value, dict):
        return {key: replaced(inner, by) for key, inner in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(replaced(inner, by) for inner in value)
    return value


class Kernels:
    """Convolutions in the layout that is fastest, with batch norms folded in.

    The first pass of a network shows which convolution or dense layer feeds a batch norm and
    nothing else; once that is `learned`, its weights hold that norm. Prepared weights are kept.

    Parameters
    ----------
    weights
        Those that stay what they are; operations with other weights run as they would have.
    """

    def __init__(self, weights: Iterable[torch.Tensor]):
        self.watching = True
        self._constant = {id(weight): weight for weight in weights}
        self._used_by: dict[int, list[dict]] = {}
        self._norm_of: dict[int, dict] = {}
        self._prepared: dict[Any, Any] = {}

    def learned(self) -> None:
        """Fold the norms that were seen from now on."""
        self.watching = False
        for key, uses in self._used_by.items():
            if len(uses) == 1 and uses[0]:
                self._norm_of[key] = uses[0]
        self._used_by.clear()

    def call(self, func, args, kwargs):
        """Run an operation, in a faster way if there is one."""
        name = func.__name__
        if self.watching:
            return self._watched(func, name, args, kwargs)
        if name == "batch_norm" and getattr(args[0], "normed", False):
            return args[0]
        if self._is_weighted(name, args, kwargs):
            return self._weighted(func, name, *args)
        return func(*args, **kwargs)

    def push(self, func, args, kwargs) -> Push | None:
        """Return what a convolution does to each channel alone; None for other operations."""
        if func.__name__ == "linear" or not self._is_weighted(func.__name__, args, kwargs):
            return None
        weight, bias, rest = args[1], args[2] if len(args) > 2 else None, args[3:]
        if weight.shape[1] != args[0].shape[1]:  # Channels are in groups.
            return None
        weight = self._folded(weight, bias)[0]

        def push(maps):
            channels = range(maps.shape[1])
            alone = [func(maps[:, c : c + 1], weight[:, c : c + 1], None, *rest) for c in channels]
            return torch.stack(alone, dim=1)

        return push

    def _is_weighted(self, name, args, kwargs):
        weighted = name in ("conv1d", "conv2d", "conv3d", "linear")
        return weighted and not kwargs and id(args[1]) in self._constant

    def _watched(self, func, name, args, kwargs):
        out = func(*args, **kwargs)
        if not any(True for _ in tensors((out,), {})):
            return out
        for tensor in tensors(args, kwargs):
            if hasattr(tensor, "made_by"):
                is_norm = name == "batch_norm" and is_linear(name, args, kwargs, [])
                use = norm_arguments((None, *args[1:]), kwargs) if is_norm else {}
                self._used_by[tensor.made_by].append(use)
        if self._is_weighted(name, args, kwargs):
            out.made_by = id(args[1])
            # A weight that is used twice is not folded.
            self._used_by[out.made_by] = [{}] if out.made_by in self._used_by else []
        return out

    def _folded(self, weight, bias):
        norm = self._norm_of.get(id(weight))
        if norm is None:
            return weight, bias
        return self._kept((id(weight), "folded"), lambda: folded(weight, bias, norm))

    def _weighted(self, func, name, maps, weight, bias=None, *rest):
        key = id(weight)
        weight, bias = self._folded(weight, bias)
        out = None
        if name == "conv2d":
            out = self._convolved(key, maps, weight, bias, *rest)
        if out is None:
            out = func(maps, weight, bias, *rest)
        out.normed = key in self._norm_of
        return out

    def _convolved(self, key, maps, weight, bias, stride=1, padding=0, dilation=1, groups=1):
        plain = all(is_one(n) for n in (stride, dilation, groups)) and not isinstance(padding, str)
        if maps.ndim != 4 or groups != 1 or weight.device.type != "cpu":
            return None
        if plain:
            up, left = (padding, padding) if isinstance(padding, int) else padding
            size = (maps.shape[2] + 2 * up, maps.shape[3] + 2 * left)
            if fourier.pays(weight, size) and maps.dtype in (torch.float32, torch.float64):
                maps = nn.functional.pad(maps, (left, left, up, up)) if up or left else maps
                prepared = self._kept((key, size), lambda: fourier.spectra(weight, bias, size))
                return fourier.convolution(maps, prepared)
        last = LAYOUT[4]
        if not weight.is_contiguous(memory_format=last):
            weight = self._kept((key, "last"), lambda: weight.contiguous(memory_format=last))
        maps = maps.contiguous(memory_format=last)
        return nn.functional.conv2d(maps, weight, bias, stride, padding, dilation, groups)

    def _kept(self, key, make):
        if key not in self._prepared:
            self._prepared.setdefault(key, make())  # The first one stays, also between threads.
        return self._prepared[key]


def is_one(value: int | tuple[int, ...]) -> bool:
    """Whether a stride, a dilation or a number of groups changes nothing."""
    return value == 1 or (isinstance(value, tuple) and set(value) == {1})


def norm_arguments(args: tuple, kwargs: dict) -> dict[str, Any]:
    """Arguments of `batch_norm` by name."""
    names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum")
    return dict(zip((*names, "eps"), args, strict=False)) | kwargs


def folded(weight, bias, norm: dict[str, Any]):
    """Weight and bias of a layer that also does the batch norm (in evaluation) after it."""
    factor = (norm["running_var"] + norm.get("eps", 1e-5)).rsqrt()
    if norm.get("weight") is not None:
        factor = factor * norm["weight"]
    offset = (0.0 if bias is None else bias) - norm["running_mean"]
    offset = offset * factor + (0.0 if norm.get("bias") is None else norm["bias"])
    weight = weight * factor.view(-1, *[1] * (weight.ndim - 1))
    return weight.contiguous(memory_format=LAYOUT[weight.ndim]), offset
