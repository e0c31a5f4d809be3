"""Lightning checkpoints of open-retina: a core of convolutions in space and time, and readouts.

Such a network turns a movie into the responses at all its frames. Here it is a network of windows:
a window is a movie, and the response is that at its last frame.
"""

import math
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from retina_codec.datatypes import did_you_mean
from retina_codec.stimuli import Normalisation

from ._about import About
from ._stored_values import Foreign, Unreadable, scalar, shown
from ._torch_files import TorchFile

KIND = "open-retina checkpoint"
STATE, SETTINGS = "state_dict", "hyper_parameters"
LAYER = re.compile(r"core\.features\.layer(?P<number>\d{1,2})\.(?P<rest>[\w.]+)", re.ASCII)
READOUT = re.compile(r"readout\.(?P<session>.+)\.(?P<rest>\w+)", re.ASCII)
UNUSED = ("regularizer", "num_batches_tracked")
"""In names of weights that change nothing in evaluation."""
CONFIGURATIONS = ("omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig")
NODES = ("omegaconf.nodes.", "omegaconf.base.")
MAX_DEPTH, MAX_VALUES = 12, 20_000
GAUSSIAN = {"mask_mean", "mask_log_var", "grid", "features", "scale_param", "bias"}
FACTORISED = {"mask_weights", "feature_weights", "bias"}
MAX_KERNEL = 1000


class Shift(nn.Module):
    """Adds a number to each channel."""

    def __init__(self, bias: torch.Tensor):
        super().__init__()
        self.bias = nn.Parameter(bias)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the shifted values."""
        return values + self.bias


class Readout(nn.Module):
    """Weighs space and channels of the last maps for each cell, then softplus."""

    def __init__(
        self,
        masks: Float[torch.Tensor, "cell place"],
        features: Float[torch.Tensor, "cell channel"],
        scale: Float[torch.Tensor, " cell"],
        bias: Float[torch.Tensor, " cell"],
    ):
        super().__init__()
        for name, value in {"masks": masks, "features": features, "bias": bias}.items():
            self.register_buffer(name, value)
        self.register_buffer("scale", scale)

    def forward(
        self, maps: Float[torch.Tensor, "batch channel y x"]
    ) -> Float[torch.Tensor, "batch cell"]:
        """Return the response of each cell."""
        seen = nn.functional.linear(maps.flatten(2), self.masks)
        drive = (seen * self.features.T).sum(dim=1)
        return nn.functional.softplus(drive * self.scale + self.bias)


class WindowedCore(nn.Module):
    """A network of movies as one of windows: the response at the last frame of each.

    Attributes
    ----------
    core, readout
        Its parts; `readout` is that of one session.
    history
        Frames in a window: all that the last response depends on.
    normalisation, default_layers, about
        As of all networks here.
    """

    def __init__(
        self,
        features: nn.Module,
        readout: Readout,
        *,
        channels: int,
        downsample: tuple[int, ...] | None,
        history: int,
        normalisation: Normalisation,
        about: About,
    ):
        super().__init__()
        self.core = nn.Module()
        self.core.features = features
        self.readout, self.channels, self.downsample = readout, channels, downsample
        self.history, self.normalisation, self.about = history, normalisation, about
        self.default_layers = tuple(f"core.features.layer{n}" for n in range(len(features)))

    def forward(self, window: torch.Tensor) -> Float[torch.Tensor, "batch cell"]:
        """Return the response of each cell to "batch lag y x" or "batch channel lag y x".

        Without an axis of channels, the window is the first channel and the others are 0 (grey).
        """
        movie = window if window.ndim == 5 else window[:, None]
        missing = self.channels - movie.shape[1]
        movie = nn.functional.pad(movie, (0, 0, 0, 0, 0, 0, 0, missing)) if missing else movie
        if self.downsample:
            movie = nn.functional.avg_pool3d(movie, self.downsample)
        return self.readout(self.core.features(movie)[:, :, -1])


def recognises(objects: Any) -> bool:
    """Tell whether a file is a Lightning checkpoint of a core and readouts."""
    return isinstance(objects, dict) and STATE in objects and SETTINGS in objects


def plain(value: Any) -> Any:
    """Return the plain values in settings; other objects become None."""
    return _plain(value, MAX_DEPTH, iter(range(MAX_VALUES)))


def _plain(value: Any, depth: int, left: Iterator[int]) -> Any:
    if not depth or next(left, None) is None:
        msg = "its settings are nested too deeply, or too many"
        raise Unreadable(msg)
    if isinstance(value, Foreign):
        state = value.state if isinstance(value.state, dict) else {}
        if value.name in CONFIGURATIONS:
            return _plain(state.get("_content"), depth - 1, left)
        return _plain(state.get("_val"), depth - 1, left) if value.name.startswith(NODES) else None
    if isinstance(value, dict):
        return {str(key): _plain(one, depth - 1, left) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one, depth - 1, left) for one in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value if value is None or isinstance(value, (str, int, float, bool)) else None


def settings(objects: dict[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint says about its network, as far as it is needed."""
    stored = _entries(objects[SETTINGS])
    kept = {key: plain(stored.get(key)) for key in ("core", "readout", "in_shape")}
    info = _entries(stored.get("data_info"))
    names = ("stim_mean", "stim_std", "pretrained_performance")
    return kept | {key: plain(info.get(key)) for key in names}


def _entries(value: Any) -> dict[Any, Any]:
    """Entries of a dictionary, or of what stands for one; none where it is something else."""
    if isinstance(value, Foreign) and isinstance(value.state, dict):
        value = value.state.get("_content" if value.name in CONFIGURATIONS else "_val")
    elif isinstance(value, Foreign):
        pairs = zip(value.items[::2], value.items[1::2], strict=False)
        value = {scalar(key): one for key, one in pairs}
    return value if isinstance(value, dict) else {}


def describe(objects: dict[str, Any]) -> dict[str, object]:
    """Say what a checkpoint holds, as plain values."""
    known = settings(objects)
    facts = _about(known, None)
    n_cells = {}
    for name, part in _readouts(_names(objects)).items():
        first = next(iter(part.values()))
        n_cells[name] = int(first.shape[-1] if "mask_weights" in part else first.shape[0])
    return {
        **asdict(facts),
        "sessions": n_cells,
        "normalisation": asdict(_normalisation(known)),
    }


def build(file: TorchFile, session: str | None) -> WindowedCore:
    """Make the network of one session, in evaluation mode."""
    known = settings(file.objects)
    core = known["core"]
    if not isinstance(core, dict):
        msg = f"its {SETTINGS!r} hold no settings of the core; only files with them are supported"
        raise Unreadable(msg)
    names = _names(file.objects)
    session = _session(_readouts(names), session)
    wanted = {key: one for key, one in names.items() if _needed(key, session)}
    weights = file.weights(wanted)
    layers = _layers(weights)
    features = nn.Sequential(
        OrderedDict((f"layer{n}", _layer(n, part, core)) for n, part in layers.items())
    )
    channels = features[0].conv_in
    downsample = _downsample(core)
    readout = _readout(_readouts(weights)[session], known["readout"])
    _check_shapes(known["in_shape"], features, downsample, readout)
    return WindowedCore(
        features,
        readout,
        channels=channels,
        downsample=downsample,
        history=_history(features, core),
        normalisation=_normalisation(known),
        about=_about(known, session, len(readout.bias)),
    ).eval()


class Layer(nn.Sequential):
    """A convolution, a norm, a shift and ELU, and what pooling follows.

    Attributes
    ----------
    conv_in, kernel, padded, pools
        Its channels, sides of its filter, whether its input is padded, whether it pools.
    """

    def __init__(self, parts: dict[str, nn.Module], conv_in: int, kernel, *, padded: bool):
        super().__init__(OrderedDict(parts))
        self.conv_in, self.kernel, self.padded = conv_in, kernel, padded
        self.pools = "pool" in parts


def _layer(number: int, part: dict[str, torch.Tensor], core: dict[str, Any]) -> Layer:
    padded = core.get("hidden_padding", True) if number else core.get("input_padding", False)
    if padded in ("same", True):
        padded = True
    elif padded in (0, None, False):
        padded = False
    else:
        msg = f"the padding of layer {number} is {shown(padded)}; supported are none and 'same'"
        raise Unreadable(msg)
    conv, conv_in, kernel = _convolution(number, _below("conv", part), core, padded=padded)
    norm = _below("norm", part)
    made = nn.BatchNorm3d(len(norm["weight"]), dtype=norm["weight"].dtype)
    made.load_state_dict({"num_batches_tracked": torch.tensor(0)} | norm)
    parts = {"conv": conv, "norm": made}
    if "bias.bias" in part:
        parts["bias"] = Shift(part["bias.bias"])
    parts["nonlin"] = nn.ELU()
    pools = core.get("maxpool_every_n_layers")
    if pools is not None and number % int(pools) == 0:
        parts["pool"] = nn.MaxPool3d((1, 2, 2))
    left = {name for name in part if not name.startswith(("conv.", "norm."))} - {"bias.bias"}
    if left:
        msg = f"layer {number} has the weights {', '.join(sorted(left))}, which are not known here"
        raise Unreadable(msg)
    return Layer(parts, conv_in, kernel, padded=padded)


def _convolution(number: int, part, core, *, padded: bool):
    names = set(part)
    if {"weight_spatial", "sin_weights", "cos_weights"} <= names:
        sizes = core.get("temporal_kernel_sizes")
        length = sizes[number] if isinstance(sizes, list) and number < len(sizes) else None
        if type(length) is not int or not 0 < length < MAX_KERNEL:
            msg = f"'temporal_kernel_sizes' is {shown(sizes)}; layer {number} needs its own"
            raise Unreadable(msg)
        speed = part.get("_log_speed_default", torch.zeros(1)).exp()
        time = temporal_kernel(part["sin_weights"], part["cos_weights"], length, speed=speed)
        weight = time[..., None, None] * part["weight_spatial"]
        return _conv3d(weight, part.get("bias"), padded), weight.shape[1], weight.shape[2:]
    if {"space_conv.weight", "time_conv.weight"} <= names:
        speed = part.get("_log_speed_default", torch.zeros(1)).exp()
        space, time = part["space_conv.weight"], part["time_conv.weight"] * speed
        after = part.get("time_conv.bias")
        both = nn.Sequential(
            OrderedDict(
                space_conv=_conv3d(space, part.get("space_conv.bias"), padded),
                time_conv=_conv3d(time, None if after is None else after * speed, padded),
            )
        )
        return both, space.shape[1], (time.shape[2], *space.shape[3:])
    if "conv.weight" in names:
        weight = part["conv.weight"]
        return _conv3d(weight, part.get("conv.bias"), padded), weight.shape[1], weight.shape[2:]
    msg = (
        f"the convolution of layer {number} has the weights {', '.join(sorted(names))}; supported "
        "are custom_separable, separable and full"
    )
    raise Unreadable(msg)


def _conv3d(weight: torch.Tensor, bias: torch.Tensor | None, padded: bool) -> nn.Conv3d:
    made = nn.Conv3d(
        weight.shape[1],
        weight.shape[0],
        tuple(weight.shape[2:]),
        padding="same" if padded else 0,
        bias=bias is not None,
        dtype=weight.dtype,
    )
    made.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
    return made


def temporal_kernel(
    sines: Float[torch.Tensor, "unit channel frequency"],
    cosines: Float[torch.Tensor, "unit channel frequency"],
    length: int,
    *,
    speed: Float[torch.Tensor, " 1"],
) -> Float[torch.Tensor, "unit channel lag"]:
    """Filter in time from weights of sines and cosines.

    With time t from -length to -1, wave k is ``sin(2 pi k speed t / length)``, and a mask fades the
    oldest lags out: ``1 / (1 + exp(-t - int(0.95 length) / speed))``.

    References
    ----------
    Hoefling et al. (2024), eLife 13:e86860, doi:10.7554/eLife.86860.
    """
    time = torch.arange(length, dtype=sines.dtype) - length
    fading = torch.sigmoid(time + int(0.95 * length) / speed)
    waves = torch.arange(sines.shape[2], dtype=sines.dtype)[:, None]
    phase = 2 * math.pi * waves * speed * time / length
    return sines @ (fading * phase.sin()) + cosines @ (fading * phase.cos())


def _readout(part: dict[str, torch.Tensor], given: Any) -> Readout:
    given, names = given if isinstance(given, dict) else {}, set(part)
    if names == GAUSSIAN:
        return _gaussian(part, given)
    if names == FACTORISED:
        return _factorised(part, given)
    kind = "a point Gaussian readout; " if {"_mu", "_features"} & names else ""
    msg = (
        f"the readout has the weights {', '.join(sorted(names))}: {kind}supported are Gaussian "
        "masks and factorised readouts"
    )
    raise Unreadable(msg)


def _gaussian(part: dict[str, torch.Tensor], given: dict[str, Any]) -> Readout:
    scales = [given.get(name) for name in ("gaussian_mean_scale", "gaussian_var_scale")]
    if not all(isinstance(one, (int, float)) for one in scales):
        msg = (
            f"its Gaussian masks need 'gaussian_mean_scale' and 'gaussian_var_scale', got {scales}"
        )
        raise Unreadable(msg)
    variance = (part["mask_log_var"] * scales[1]).clamp(-20, 20).exp()[:, None, None]
    away = part["grid"] - part["mask_mean"][:, None, None, :] * scales[0]
    distance = away.square().sum(dim=-1) / (variance + 1e-8)
    masks = (-0.5 * distance.clamp(max=20)).exp()
    masks = masks / masks.sum(dim=(1, 2), keepdim=True)
    features = part["features"][0, :, 0].T
    features = features.clamp(min=0) if given.get("positive") else features
    return Readout(masks.flatten(1), features, part["scale_param"], part["bias"])


def _factorised(part: dict[str, torch.Tensor], given: dict[str, Any]) -> Readout:
    masks, features = part["mask_weights"].T, part["feature_weights"].T
    on_masks, on_features = given.get("mask_constraint"), given.get("weights_constraint")
    if on_masks not in (None, "abs") or on_features not in (None, "abs", "norm", "absnorm"):
        msg = f"its readout has the constraints {shown(on_masks)} and {shown(on_features)}"
        raise Unreadable(msg)
    masks = masks.abs() if on_masks == "abs" else masks
    features = features.abs() if on_features in ("abs", "absnorm") else features
    if on_features in ("norm", "absnorm"):
        features = features / (features.square().sum(dim=1, keepdim=True) + 1e-5).sqrt()
    bias = part["bias"] if given.get("readout_bias") else torch.zeros_like(part["bias"])
    return Readout(masks.contiguous(), features.contiguous(), torch.ones_like(bias), bias)


def _check_shapes(in_shape: Any, features: nn.Module, downsample, readout: Readout) -> None:
    if not isinstance(in_shape, list) or len(in_shape) != 4:
        msg = f"'in_shape' is {shown(in_shape)}; expected channels, time, height and width"
        raise Unreadable(msg)
    size = [
        int(one) // by for one, by in zip(in_shape[2:], (downsample or (1, 1, 1))[1:], strict=True)
    ]
    for layer in features:
        size = [
            s if layer.padded else s - k + 1 for s, k in zip(size, layer.kernel[1:], strict=True)
        ]
        size = [s // 2 for s in size] if layer.pools else size
    if math.prod(size) != readout.masks.shape[1] or min(size) < 1:
        msg = f"the maps have {size} places, the readout {readout.masks.shape[1]}"
        raise Unreadable(msg)


def _history(features: nn.Module, core: dict[str, Any]) -> int:
    """Frames on which the last response depends, and enough for a movie to have a response."""
    depends = 1 + sum(layer.kernel[0] - 1 for layer in features)
    lost = sum(layer.kernel[0] - 1 for layer in features if not layer.padded)
    cut = core.get("cut_first_n_frames", 0) or 0
    return max(depends, lost + int(cut) + 1)


def _downsample(core: dict[str, Any]) -> tuple[int, ...] | None:
    by = core.get("downsample_input_kernel_size")
    if by is None:
        return None
    if not isinstance(by, list) or len(by) != 3 or by[0] != 1 or not all(map(_is_count, by)):
        msg = f"'downsample_input_kernel_size' is {shown(by)}; supported is a mean over space"
        raise Unreadable(msg)
    return tuple(by)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value < MAX_KERNEL


def _names(objects: dict[str, Any]) -> dict[str, Any]:
    """Return the weights that matter; unknown ones are refused."""
    state = objects[STATE]
    if not isinstance(state, dict):
        msg = f"its {STATE!r} is a {type(state).__name__}"
        raise Unreadable(msg)
    kept = {}
    for key, value in state.items():
        if any(word in str(key) for word in UNUSED):
            continue
        if not LAYER.fullmatch(str(key)) and not READOUT.fullmatch(str(key)):
            msg = f"it has the weights {shown(key)}; supported are core.features and readout"
            raise Unreadable(msg)
        kept[key] = value
    return kept


def _needed(key: str, session: str) -> bool:
    found = READOUT.fullmatch(key)
    return found is None or found["session"] == session


def _readouts(weights: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for key, value in weights.items():
        if match := READOUT.fullmatch(key):
            found.setdefault(match["session"], {})[match["rest"]] = value
    return found


def _layers(weights: dict[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    found: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in weights.items():
        if match := LAYER.fullmatch(key):
            found.setdefault(int(match["number"]), {})[match["rest"]] = value
    if not found or sorted(found) != list(range(len(found))):
        msg = f"its core has the layers {sorted(found)}; expected 0, 1, ..."
        raise Unreadable(msg)
    return dict(sorted(found.items()))


def _below(prefix: str, part: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    start = f"{prefix}."
    return {k.removeprefix(start): one for k, one in part.items() if k.startswith(start)}


def _session(readouts: dict[str, Any], session: str | None) -> str:
    names = sorted(readouts)
    listed = ", ".join(names[:10])
    if session is None and len(names) == 1:
        return names[0]
    if session in readouts:
        return session
    asked = "'session' is needed" if session is None else f"no session {session!r}"
    guess = did_you_mean(session or "", names)
    msg = f"{asked}: it has {len(names)} ({listed}).{guess}".removesuffix(".")
    raise Unreadable(msg)


def _normalisation(known: dict[str, Any]) -> Normalisation:
    mean, std = known.get("stim_mean"), known.get("stim_std")
    if mean is None and std is None:
        return Normalisation()
    if not all(isinstance(one, (int, float)) for one in (mean, std)):
        msg = f"'stim_mean' and 'stim_std' are {shown(mean)} and {shown(std)}; expected numbers"
        raise Unreadable(msg)
    return Normalisation(mean=float(mean), std=float(std))


def _about(known: dict[str, Any], session: str | None, n_cells: int = 0) -> About:
    core = known["core"] if isinstance(known["core"], dict) else {}
    score = known.get("pretrained_performance")
    scores = {"pretrained_performance": float(score)} if isinstance(score, (int, float)) else {}
    return About(
        kind=KIND,
        model_type=str(core.get("_target_", "")),
        dataset=session,
        cells=tuple(range(n_cells)),
        scores=scores,
    )
