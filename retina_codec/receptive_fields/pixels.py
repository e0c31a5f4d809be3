"""How a target's change is followed down to the pixels, or to the places of a layer's units."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from torch import nn

from retina_codec.contributions import Target

from .attribution import parts_through
from .instantaneous import AT_THE_SAMPLE, as_input, begun, in_batches

BATCH = 16

Baseline = float | np.ndarray
Weights = Callable[[np.ndarray], Float[np.ndarray, "sample channel item"]]


def fixed(
    network: nn.Module, images: torch.Tensor, target: Target
) -> tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]:
    """Fix what a target chooses at images; return it as a function of outputs, and its value."""
    with torch.no_grad():
        at_image = network(images)
        return lambda output: target(output, at_image), target(at_image, at_image)


def along_path(
    network: nn.Module,
    images: torch.Tensor,
    points: Sequence[float],
    baseline: Baseline,
    *layers: str,
) -> Iterator[tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]]:
    """Run a frozen network at points of the path from the baseline to images.

    Yields
    ------
    At each point the output, the tensor that gradients are taken at, and what the layers put out.
    """
    grey = as_baseline(baseline, images)
    for point in points:
        with begun(network, grey + point * (images - grey), None, *layers) as found:
            yield found


def as_baseline(baseline: Baseline, images: torch.Tensor) -> torch.Tensor:
    """Return the baseline as a tensor like the images."""
    return torch.as_tensor(baseline, dtype=images.dtype, device=images.device)


def at_pixels(
    network: nn.Module,
    batch: torch.Tensor,
    how: "How",
    weights: Float[np.ndarray, "sample channel item"],
    *,
    rest: bool,
) -> tuple[Float[torch.Tensor, "sample map colour y x"], Float[torch.Tensor, " sample"]]:
    """Follow gradients through the weighted units down to the pixels; see `mode_maps`.

    Maps sum exactly; but gradients of deep networks are speckled, and neighbours cancel.

    Parameters
    ----------
    network
        Frozen.
    batch
        Images "sample colour y x".
    how
        The settings of `mode_maps`.
    weights
        How much of each channel counts, "sample channel item".
    rest
        Whether a last item is asked for: what goes round the layer.

    Returns
    -------
    Maps "sample item colour y x", and the target at each image.

    Raises
    ------
    ValueError
        If the layer has other channels than the weights.

    Examples
    --------
    >>> from retina_codec.contributions import top_class
    >>> from retina_codec.receptive_fields import channel_map
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    >>> images = np.ones((1, 3, 8, 8), np.float32)
    >>> how = {"layer": "0", "channels": [0], "target": top_class()}
    >>> channel_map(network, images, **how, seen_at=at_pixels).values.shape
    (1, 3, 8, 8)
    """
    value_of, at_image = fixed(network, batch, how.target)
    total = 0.0
    for output, begin, kept in along_path(network, batch, how.points, how.baseline, how.layer):
        units = kept[how.layer]
        each = _like_units(weights, units, how)
        if rest:
            each.append(torch.ones_like(units))
        parts, whole = parts_through(value_of(output), units, begin, each)
        if rest:
            parts[-1] = whole - parts[-1]
        total = total + torch.stack(parts, dim=1) / len(how.points)
    return total * (batch - as_baseline(how.baseline, batch))[:, None], at_image


def at_units(
    network: nn.Module,
    batch: torch.Tensor,
    how: "How",
    weights: Float[np.ndarray, "sample channel item"],
    *,
    rest: bool,
) -> tuple[Float[torch.Tensor, "sample map colour y x"], Float[torch.Tensor, " sample"]]:
    """Stop at the positions of the weighted units, and enlarge the layer's map to the image.

    Coarse, but calm: ``sum over channels of w (dT / dz) (z - z at the baseline)``, with one colour,
    for layers of maps. Sums stay where the image is a whole multiple of the map.

    Parameters
    ----------
    network, batch, how, weights
        As in `at_pixels`.
    rest
        False: what goes round a layer has no places there.

    Returns
    -------
    Maps "sample item 1 y x", and the target at each image.

    Raises
    ------
    ValueError
        If the layer has no maps or other channels than the weights, or for what goes round it.

    References
    ----------
    Draelos & Carin (2020), arXiv:2011.08891.

    Examples
    --------
    >>> from retina_codec.contributions import top_class
    >>> from retina_codec.receptive_fields import channel_map
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    >>> images = np.ones((1, 3, 8, 8), np.float32)
    >>> how = {"layer": "0", "channels": [0], "target": top_class()}
    >>> channel_map(network, images, **how, seen_at=at_units).values.shape
    (1, 1, 8, 8)
    """
    value_of, at_image = fixed(network, batch, how.target)
    slopes, (grey, units) = 0.0, _units(network, batch, how)
    if units.ndim != 4 or rest:
        msg = (
            f"Only a layer that puts out (sample, channel, y, x) has places, and only for what "
            f"goes through it; {how.layer!r} puts out {tuple(units.shape)}. Use at_pixels."
        )
        raise ValueError(msg)
    for output, _, kept in along_path(network, batch, how.points, how.baseline, how.layer):
        (slope,) = torch.autograd.grad(value_of(output).sum(), kept[how.layer])
        slopes = slopes + slope / len(how.points)
    each = _like_units(weights, units, how)
    parts = torch.stack([(w * slopes * (units - grey)).sum(how.channel_axis) for w in each], dim=1)
    size, share = batch.shape[2:], parts[0, 0].numel() / batch[0, 0].numel()
    large = nn.functional.interpolate(parts, size, mode="bilinear") * share
    return large[:, :, None], at_image


class How(NamedTuple):
    """How maps are made; see `mode_maps`."""

    layer: str
    target: Target
    channel_axis: int = 1
    points: Sequence[float] = AT_THE_SAMPLE
    baseline: Baseline = 0.0
    smoothing: float = 0.0
    batch_size: int = BATCH
    seen_at: Callable = at_pixels


def maps_through(
    network: nn.Module, images: Any, index: np.ndarray, how: How, weights: Weights, *, rest: bool
) -> list[np.ndarray]:
    """Return maps "sample item colour y x" of a frozen network, and the target at each image.

    The last item is of what goes round the layer, if that `rest` is asked for.
    """

    def compute(rows):
        batch = as_input(network, images[index[rows]])
        if batch.ndim != 4:
            shape = tuple(batch.shape)
            msg = f"Expected images (sample, colour, y, x), got a batch of shape {shape}."
            raise ValueError(msg)
        values, at_image = how.seen_at(network, batch, how, weights(rows), rest=rest)
        values = values.cpu().numpy()
        if how.smoothing:
            values = gaussian_filter(values, how.smoothing, axes=(-2, -1), mode="reflect")
        return values, at_image.cpu().numpy()

    return in_batches(np.arange(len(index)), compute, how.batch_size)


def _units(network, batch, how) -> list[torch.Tensor]:
    """Return what the layer puts out at the baseline and at the images."""
    path = along_path(network, batch, (0.0, 1.0), how.baseline, how.layer)
    return [kept[how.layer].detach() for _, _, kept in path]


def _like_units(weights, units, how: How) -> list[torch.Tensor]:
    """Weights "sample channel" of each item, in the form of the units."""
    n_channels = units.shape[how.channel_axis]
    if weights.shape[1] != n_channels:
        msg = (
            f"Layer {how.layer!r} has {n_channels} channels along axis {how.channel_axis}, "
            f"the modes {weights.shape[1]}. Give modes of this layer, and its channel_axis."
        )
        raise ValueError(msg)
    shape = [1] * units.ndim
    shape[0], shape[how.channel_axis] = len(units), n_channels
    return [torch.as_tensor(w.copy()).to(units).view(shape) for w in np.moveaxis(weights, 2, 0)]
