"""Checkpoints of torch-deep-retina: which layers they hold is seen from their weights.

Files do not say in which order layers that have no weights come, so every known order is compared
with the numbers and kinds of the layers that have some. Exactly one has to fit.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from retina_codec.stimuli import Normalisation

from ._about import About
from ._published_layers import (
    STACK_EPSILON,
    AbsBatchNorm,
    Exponential,
    GrabUnits,
    OneHot,
    Stack,
    composed,
    convolution,
    one_to_one,
)
from ._stored_values import Unreadable, shown, tensors
from ._torch_files import TorchFile
from .architectures import EPSILON

KIND = "torch-deep-retina checkpoint"
STATE = "model_state_dict"
KEY = re.compile(r"sequential\.(?P<number>\d{1,3})\.(?P<rest>[\w.]+)", re.ASCII)
MAX_LAYERS = 8
MAX_PRUNED = 4096
IMG_SHAPE = (40, 50, 50)
ACTIVATIONS = {"ReLU": nn.ReLU, "Softplus": nn.Softplus, "Tanh": nn.Tanh, "ELU": nn.ELU}
CLASSES = (
    "BNCNN", "BNCNN2D", "LinearStackedBNCNN", "VaryModel", "RetinotopicModel", "LN",
    "AbsBNBNCNN", "AbsBNBNCNN2D",
)  # fmt: skip
SCORES = ("test_pearson", "val_acc", "val_loss", "loss", "epoch")
TORCH_NORM = {"weight", "bias", "running_mean", "running_var"}
OWN_NORM = {"scale", "shift", "running_mean", "running_var"}
HIDDEN = {
    "BN, noise, ReLU": ("conv", "norm", "noise", "act"),
    "BN of units, reshape, noise, ReLU": ("conv", "flatten", "norm", "reshape", "noise", "act"),
    "BN of units, noise, ReLU, reshape": ("conv", "flatten", "norm", "noise", "act", "reshape"),
    "noise, ReLU, BN": ("conv", "noise", "act", "norm"),
}
FINAL = {
    "dense": ("flatten", "linear", "norm", "out"),
    "convolution": ("conv", "grab", "norm", "out"),
    "map": ("conv", "norm", "out", "onehot"),
}
LN = ("flatten", "dropout", "linear", "out")
ERAS = {
    "BN, noise, ReLU": "A to C, norms of channels",
    "BN of units, reshape, noise, ReLU": "C, norms of units",
    "BN of units, noise, ReLU, reshape": "A or B, norms of units",
    "noise, ReLU, BN": "D, norms behind the activation",
}
Places = Callable[[Sequence[tuple[int, int]], Sequence[int], Sequence[int]], list[tuple[int, int]]]


@dataclass(frozen=True)
class Layout:
    """Layers in their order, and what this order is called."""

    layers: tuple[str, ...]
    era: str


class PublishedRetina(nn.Module):
    """A network of torch-deep-retina; its layers are named as in the checkpoint.

    Attributes
    ----------
    sequential
        The layers.
    history
        Frames in a window.
    normalisation
        How the windows that it sees were normalised.
    default_layers
        Activations of the interneurons.
    about
        What the checkpoint says.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        *,
        history: int,
        normalisation: Normalisation,
        default_layers: tuple[str, ...],
        about: About,
        in_the_end: nn.Module,
    ):
        super().__init__()
        self.sequential, self.in_the_end = nn.Sequential(*layers), in_the_end
        self.history, self.normalisation, self.about = history, normalisation, about
        self.default_layers = default_layers

    def forward(
        self, window: Float[torch.Tensor, "batch lag y x"]
    ) -> Float[torch.Tensor, "batch cell"]:
        """Return the response of each cell."""
        return self.in_the_end(self.sequential(window))


def recognises(objects: Any) -> bool:
    """Tell whether a file is a checkpoint of this package."""
    return isinstance(objects, dict) and STATE in objects


def hyperparameters(objects: dict[str, Any]) -> dict[str, Any]:
    """Return all settings: those beside the weights, and over them those kept together."""
    together = [objects.get(key) for key in ("model_hyps", "hyps")]
    merged = {key: value for key, value in objects.items() if isinstance(key, str)}
    for part in together:
        merged |= part if isinstance(part, dict) else {}
    return merged


def about(objects: dict[str, Any]) -> About:
    """Return what a checkpoint says about its network."""
    hyps = hyperparameters(objects)
    pruned = objects.get("zero_dict")
    pruned = pruned if isinstance(pruned, dict) else {}
    numbers = {key: objects.get(key) for key in SCORES}
    return About(
        kind=KIND,
        model_type=_name(hyps.get("model_type", hyps.get("model_class", ""))),
        dataset=_text(hyps.get("dataset")),
        stim_type=_text(hyps.get("stim_type")),
        cells=tuple(one for one in _plain_list(hyps.get("cells")) if isinstance(one, (int, str))),
        scores={key: float(value) for key, value in numbers.items() if _is_number(value)},
        pruned={
            str(layer): tuple(sorted(int(one) for one in channels if _is_number(one)))
            for layer, channels in list(pruned.items())[:MAX_PRUNED]
            if isinstance(channels, (set, list, tuple)) and len(channels) <= MAX_PRUNED
        },
    )


def normalisation(objects: dict[str, Any]) -> Normalisation:
    """Return how windows were normalised; as they were shown where the file does not say."""
    stats = objects.get("norm_stats")
    if stats is None:
        return Normalisation()
    if not isinstance(stats, dict) or not all(_is_number(stats.get(k)) for k in ("mean", "std")):
        msg = f"'norm_stats' is {shown(stats)}; expected a mean and a std"
        raise Unreadable(msg)
    return Normalisation(mean=float(stats["mean"]), std=float(stats["std"]))


def build(file: TorchFile, positions: Places) -> PublishedRetina:
    """Make the network of a checkpoint, in evaluation mode."""
    facts = about(file.objects)
    if facts.model_type and facts.model_type not in CLASSES:
        msg = f"its class is {facts.model_type}; supported are {', '.join(CLASSES)}"
        raise Unreadable(msg)
    hyps = hyperparameters(file.objects)
    _refuse_settings(hyps)
    layout = stored_layout(file.objects)
    parts = by_layer(file.weights(file.objects[STATE]))
    facts = About(**{**vars(facts), "era": layout.era})
    builder = _Builder(hyps, parts, layout, positions)
    hidden = [number for number, name in enumerate(layout.layers) if name == "act"]
    return PublishedRetina(
        builder.layers(),
        history=builder.history,
        normalisation=normalisation(file.objects),
        default_layers=tuple(f"sequential.{number}" for number in hidden or [len(LN) - 1]),
        about=facts,
        in_the_end=Exponential() if hyps.get("inference_exp") else nn.Identity(),
    ).eval()


def stored_layout(objects: dict[str, Any]) -> Layout:
    """Return the order of layers of a checkpoint, from names and shapes of its weights alone."""
    state = objects[STATE]
    if not isinstance(state, dict):
        msg = f"its {STATE!r} is a {type(state).__name__}"
        raise Unreadable(msg)
    parts = by_layer(dict(tensors(state)))
    return layout_of({number: kind(part) for number, part in parts.items()})


def by_layer(weights: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Sort weights by the layer that they belong to."""
    parts: dict[int, dict[str, Any]] = {}
    for key, value in weights.items():
        found = KEY.fullmatch(key)
        if found is None:
            msg = f"it has the weights {shown(key)}; supported are layers called sequential.NUMBER"
            raise Unreadable(msg)
        parts.setdefault(int(found["number"]), {})[found["rest"]] = value
    if not parts:
        msg = "it has no weights"
        raise Unreadable(msg)
    return parts


def kind(part: dict[str, Any]) -> str:
    """Say which kind of layer has weights of these names and shapes."""
    names = set(part) - {"num_batches_tracked"}
    if names in (TORCH_NORM, OWN_NORM):
        return "norm"
    if names in ({"sigma"}, {"cuda_param"}):
        return "noise"
    if names == {"w"}:
        return "onehot"
    if names in ({"weight"}, {"weight", "bias"}):
        known = {2: "linear", 4: "conv"}.get(len(part["weight"].shape))
        if known:
            return known
    inner = ("convs.", "seqs.", "first_conv.")
    if names and all(name.startswith(inner) for name in names):
        return "conv"
    msg = (
        f"a layer has the weights {', '.join(sorted(names))}; supported are convolutions, stacks "
        "of them, dense layers, batch norms, noise and one-hot layers"
    )
    raise Unreadable(msg)


def layout_of(kinds: dict[int, str]) -> Layout:
    """Return the one known order of layers that fits the layers with weights."""
    fitting = [one for one in layouts() if _fits(one.layers, kinds)]
    if len(fitting) != 1:
        found = ", ".join(f"{number} {kinds[number]}" for number in sorted(kinds))
        msg = (
            f"its layers with weights ({found}) are in no order that is known here; supported are "
            f"the orders of {', '.join(CLASSES[:6])}"
        )
        raise Unreadable(msg)
    return fitting[0]


def layouts() -> list[Layout]:
    """All known orders of layers."""
    found = [Layout(LN, "LN")]
    for name, hidden in HIDDEN.items():
        for count in range(1, MAX_LAYERS):
            for last in FINAL.values():
                end = last
                before = hidden * count
                if name.endswith("reshape"):
                    if last is not FINAL["dense"]:
                        continue
                    before, end = before[:-1], last[1:]
                found.append(Layout(before + end, ERAS[name]))
    return found


def _fits(layers: tuple[str, ...], kinds: dict[int, str]) -> bool:
    with_weights = {n for n, name in enumerate(layers) if name in ("conv", "linear", "norm")}
    with_weights |= {n for n, name in enumerate(layers) if name == "onehot"}
    if not with_weights <= set(kinds) or max(kinds) >= len(layers):
        return False
    return all(layers[number] == name for number, name in kinds.items())


class _Builder:
    """Makes the layers of a network one after the other, and keeps their sizes."""

    def __init__(self, hyps, parts, layout: Layout, positions: Places):
        self.hyps, self.parts, self.layout, self.positions = hyps, parts, layout, positions
        shape = _plain_list(hyps.get("img_shape")) or list(IMG_SHAPE)
        if len(shape) != 3 or not all(type(size) is int and 0 < size < 10_000 for size in shape):
            msg = f"'img_shape' is {shown(shape)}; expected three numbers"
            raise Unreadable(msg)
        self.history, self.stimulus = shape[0], tuple(shape[1:])
        self.size = tuple(shape)
        self.kernels: list[int] = []

    def layers(self) -> list[nn.Module]:
        return [self.layer(number, name) for number, name in enumerate(self.layout.layers)]

    def layer(self, number: int, name: str) -> nn.Module:
        part = self.parts.get(number, {})
        return getattr(self, f"_{name}")(part)

    def _conv(self, part) -> nn.Module:
        padding = self._padding(len(self.kernels))
        if "first_conv.weight" in part:
            made = one_to_one(part, padding=padding)
        elif any(name.startswith("convs.") for name in part):
            made = composed(self._stack(part, padding))
        else:
            made = self._plain(part, padding)
        side, reach = _side(made)
        self.kernels.append(side)
        if _first(made) != self.size[0]:
            msg = f"a convolution takes {_first(made)} channels, there are {self.size[0]}"
            raise Unreadable(msg)
        after = [size - side + 1 + 2 * padding for size in self.size[1:]]
        if min(after) < 1:
            msg = f"a filter of {side} pixels is larger than its input {self.size[1:]}"
            raise Unreadable(msg)
        self.size = (reach, *after)
        return made

    def _padding(self, number: int) -> int:
        paddings = _plain_list(self.hyps.get("paddings"))
        value = paddings[number] if number < len(paddings) else 0
        if value is None:
            return 0
        if type(value) is not int or not 0 <= value < 1000:
            msg = f"'paddings' holds {shown(value)}; expected small numbers"
            raise Unreadable(msg)
        return value

    def _plain(self, part, padding: int) -> nn.Module:
        weight = part["weight"]
        groups, rest = divmod(self.size[0], weight.shape[1])
        if rest or groups < 1 or weight.shape[0] % groups or weight.shape[2] != weight.shape[3]:
            msg = f"a filter has the shape {tuple(weight.shape)} on {self.size[0]} channels"
            raise Unreadable(msg)
        return convolution(weight, part.get("bias"), padding=padding, groups=groups)

    def _stack(self, part, padding: int) -> Stack:
        inner = _inside(part)
        last = max(inner)
        layers, left = [], padding
        for number in range(last + 1):
            found = inner.get(number)
            if found is None:
                layer = nn.Identity()
            elif "weight" in found and found["weight"].ndim == 4:
                own = left if number == last else min(left, found["weight"].shape[-1] // 2)
                left -= own
                layer = convolution(found["weight"], found.get("bias"), padding=own)
            else:
                layer = _norm(found, STACK_EPSILON)
            layers.append((str(number), layer))
        if not isinstance(layers[-1][1], nn.Conv2d):
            msg = "a stack does not end with a convolution"
            raise Unreadable(msg)
        return Stack(layers)

    def _norm(self, part) -> nn.Module:
        count = self.size[0]
        if part["running_mean"].shape != (count,):
            shape = tuple(part["running_mean"].shape)
            msg = f"a batch norm has the shape {shape}, expected ({count},)"
            raise Unreadable(msg)
        plain = nn.BatchNorm1d if len(self.size) == 1 else nn.BatchNorm2d
        return _norm(part, EPSILON, plain, absolute_shift=self.hyps.get("abs_bias") is True)

    def _flatten(self, part) -> nn.Module:
        self.before, self.size = self.size, (math.prod(self.size),)
        return nn.Flatten()

    def _reshape(self, part) -> nn.Module:
        self.size = self.before
        return nn.Unflatten(1, self.before)

    def _linear(self, part) -> nn.Module:
        weight, bias = part["weight"], part.get("bias")
        if weight.shape[1:] != self.size:
            shape = tuple(weight.shape)
            msg = f"a dense layer has the shape {shape} on {self.size} inputs; is 'img_shape' right"
            raise Unreadable(msg)
        made = nn.Linear(weight.shape[1], len(weight), bias=bias is not None, dtype=weight.dtype)
        made.load_state_dict(part)
        self.size = (len(weight),)
        return made

    def _grab(self, part) -> nn.Module:
        centers = self.hyps.get("centers")
        centers = centers.tolist() if isinstance(centers, np.ndarray) else centers
        if not _are_places(centers, self.size[0]):
            msg = (
                f"its convolution reads one place for each of {self.size[0]} cells, but 'centers' "
                f"is {shown(centers)}; expected row and column of each cell"
            )
            raise Unreadable(msg)
        places = self.positions([tuple(one) for one in centers], self.stimulus, self.kernels)
        inside = all(0 <= r < self.size[1] and 0 <= c < self.size[2] for r, c in places)
        if len(places) != self.size[0] or not inside:
            msg = f"'positions' gave {shown(places)} for a map of {self.size[1:]}"
            raise Unreadable(msg)
        self.size = self.size[:1]
        return GrabUnits(places)

    def _onehot(self, part) -> nn.Module:
        expected = (self.size[0], math.prod(self.size[1:]))
        if part["w"].shape != expected:
            msg = f"a one-hot layer has the shape {tuple(part['w'].shape)}, expected {expected}"
            raise Unreadable(msg)
        self.size = self.size[:1]
        return OneHot(part["w"])

    def _noise(self, part) -> nn.Module:
        return nn.Identity()

    def _dropout(self, part) -> nn.Module:
        return nn.Identity()

    def _act(self, part) -> nn.Module:
        name = self.hyps.get("activ_fxn", self.hyps.get("activ", "ReLU"))
        if not isinstance(name, str) or name not in ACTIVATIONS:
            msg = f"its activation is {shown(name)}; supported are {', '.join(ACTIVATIONS)}"
            raise Unreadable(msg)
        return ACTIVATIONS[name]()

    def _out(self, part) -> nn.Module:
        soft = self.hyps.get("softplus", True)
        other = nn.ELU() if self.layout.era == "LN" else Exponential()
        made = nn.Softplus() if soft else other
        return made


def _norm(
    part: dict[str, torch.Tensor],
    eps: float,
    of_maps: type[nn.Module] = nn.BatchNorm2d,
    *,
    absolute_shift: bool = False,
) -> nn.Module:
    names = set(part) - {"num_batches_tracked"}
    if len({tuple(part[name].shape) for name in names}) != 1:
        msg = "the weights of a batch norm differ in shape"
        raise Unreadable(msg)
    if names == OWN_NORM:
        return AbsBatchNorm(part, eps, absolute_shift=absolute_shift)
    if names != TORCH_NORM:
        msg = f"a layer in a stack has the weights {', '.join(sorted(names))}"
        raise Unreadable(msg)
    made = of_maps(len(part["weight"]), eps=eps, dtype=part["weight"].dtype)
    counted = {"num_batches_tracked": torch.tensor(0)}
    made.load_state_dict(counted | part)
    return made


def _inside(part: dict[str, Any]) -> dict[int, dict[str, Any]]:
    inner: dict[int, dict[str, Any]] = {}
    for name, value in part.items():
        found = re.fullmatch(r"convs\.(\d{1,2})\.(\w+)", name, re.ASCII)
        if found is None:
            msg = f"a stack has the weights {shown(name)}"
            raise Unreadable(msg)
        inner.setdefault(int(found[1]), {})[found[2]] = value
    return inner


def _side(conv: nn.Module) -> tuple[int, int]:
    """Side of the filter, and the number of its channels."""
    if isinstance(conv, nn.Conv2d):
        return conv.kernel_size[0], conv.out_channels
    convs = [one for one in conv.convs if isinstance(one, nn.Conv2d)]
    return 1 + sum(one.kernel_size[0] - 1 for one in convs), convs[-1].out_channels


def _first(conv: nn.Module) -> int:
    return (conv if isinstance(conv, nn.Conv2d) else conv.convs[0]).in_channels


def _refuse_settings(hyps: dict[str, Any]) -> None:
    for name in ("recurrent", "kinetic", "self_attn", "prob_attn"):
        if hyps.get(name):
            msg = f"its setting {name!r} is on; networks with it are not supported"
            raise Unreadable(msg)
    strides = hyps.get("strides", hyps.get("stride"))
    strides = strides if isinstance(strides, (list, tuple)) else [strides]
    if any(one is not None and not (_is_number(one) and one == 1) for one in strides):
        msg = f"it has strides {shown(strides)}; only 1 is supported"
        raise Unreadable(msg)


def _are_places(centers: Any, count: int) -> bool:
    if not isinstance(centers, (list, tuple)) or len(centers) != count:
        return False
    return all(
        isinstance(one, (list, tuple)) and len(one) == 2 and all(map(_is_number, one))
        for one in centers
    )


def _plain_list(values: Any) -> list[Any]:
    values = values.tolist() if isinstance(values, np.ndarray) else values
    return list(values) if isinstance(values, (list, tuple)) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> str | None:
    return value[:200] if isinstance(value, str) else None


def _name(value: Any) -> str:
    return value if isinstance(value, str) else str(getattr(value, "name", "")).rsplit(".", 1)[-1]
