"""Which pixels of an image drove a target, and through which modes or channels."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from torch import nn

from retina_codec.contributions import Target, bypassed, frozen
from retina_codec.contributions.targets import name_of
from retina_codec.datatypes import Contributions, Maps, Modes

from .attribution import BYPASSED, UNEXPLAINED, shares_of_modes
from .instantaneous import as_input, begun
from .pixels import How, Weights, at_pixels, maps_through

NO_MODE, NO_UNIT = -1, -2

Numbers = Sequence[int] | Int[np.ndarray, " _"]


def mode_maps(
    network: nn.Module,
    images: Any,
    *,
    target: Target,
    contributions: Contributions,
    modes: Modes,
    index: Numbers,
    which: Numbers | None = None,
    control: int | None = None,
    **how: Any,
) -> Maps:
    """Split what each pixel did to a target onto the modes of a layer.

    Parameters
    ----------
    network
        From images to outputs; left as it was.
    images
        All images that the modes were found in, "sample colour y x"; they slice into batches.
    target
        What is explained.
    contributions, modes
        Modes of one layer, and the contributions that they were found in.
    index
        Which images.
    which
        Which modes; -1 is what no mode explains, -2 what goes round the layer. None takes all that
        there is: these maps sum to gradient x (image - baseline).
    control
        Seed: each channel gets the shares of a random other one. Such maps are made of as many
        channels, and show what any set of channels would.
    **how
        - `channel_axis`: of the layer's output; 1, or -1 for tokens.
        - `points`: places on the path from the baseline (0) to the image (1) over which gradients
          are averaged. By default the image itself; with `midpoints` the maps sum to the change
          of the target (integrated gradients).
        - `baseline`: number or array that broadcasts to an image; by default 0, the mean grey.
        - `smoothing`: standard deviation in pixels of a Gaussian that blurs the products before
          their signs are split; sums stay. By default 0.
        - `seen_at`: `at_pixels` by default; `at_units` stops at the layer's own places, which shows
          better where a mode looks in deep layers.
        - `batch_size`: images in one pass.

    Returns
    -------
    Maps
        For each image one map for each mode.

    Raises
    ------
    ValueError
        If images, contributions and modes do not belong together, or there is no such mode.

    Notes
    -----
    With the target T, the units z of the layer, the image x, the baseline b and the share w of a
    mode in a unit's channel at this image (`shares_of_modes`), the map is
    ``(x - b) * sum over units of w (dT / dz) (dz / dx)``: one vector-Jacobian product for each
    image and mode.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557.
    Sundararajan, Taly & Yan (2017), ICML, arXiv:1703.01365.

    Examples
    --------
    >>> from retina_codec.contributions import integrated_gradients, top_class
    >>> from retina_codec.decomposition import NonNegativeFactors, decompose
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> images = np.random.default_rng(0).normal(size=(20, 3, 8, 8)).astype(np.float32)
    >>> found = integrated_gradients(
    ...     network, images, layers=["1"], target=top_class(), progress=False
    ... )["1"]
    >>> modes = decompose(found, NonNegativeFactors(n_modes=2))
    >>> maps = mode_maps(
    ...     network, images, target=top_class(), contributions=found, modes=modes, index=[5]
    ... )
    >>> maps.items["label"].tolist(), maps.values.shape
    (['mode 0', 'mode 1', 'unexplained'], (3, 3, 8, 8))
    """
    how = How(layer=modes.layer, target=target, **how)
    index = np.asarray(index, dtype=int)
    _check_samples(images, contributions, modes)
    shares = shares_at(contributions, modes, index, control)
    n_modes = len(modes.dictionary)
    chosen = [*range(n_modes), NO_MODE, NO_UNIT] if which is None else [int(m) for m in which]
    check_modes(chosen, n_modes)
    through = [m for m in chosen if m != NO_UNIT]
    with frozen(network):
        rest = NO_UNIT in chosen and (which is not None or _goes_round(network, images, how))
        rest = rest and (which is not None or how.seen_at is at_pixels)
        chosen = chosen if rest else through
        values, at_image = maps_through(
            network, images, index, how, lambda rows: shares(rows)[:, :, through], rest=rest
        )
    order = [through.index(m) if m != NO_UNIT else len(through) for m in chosen]
    items = pd.DataFrame(
        {
            "sample": np.repeat(index, len(chosen)),
            "mode": np.tile(np.asarray(chosen, dtype=int), len(index)),
            "target": np.repeat(at_image, len(chosen)),
        }
    )
    items["label"] = [{-1: UNEXPLAINED, -2: BYPASSED}.get(m, f"mode {m}") for m in items["mode"]]
    return _record(values[:, order], items, how)


def gallery_maps(
    network: nn.Module,
    images: Any,
    items: pd.DataFrame,
    *,
    target: Target,
    contributions: Contributions,
    modes: Modes,
    **how: Any,
) -> Maps:
    """Map each mode of a table in its image.

    Parameters
    ----------
    network, images
        As in `mode_maps`.
    items
        Columns `sample` and `mode`; see `gallery_items`. Further columns are kept, but `label`.
    target, contributions, modes, **how
        As in `mode_maps`.

    Returns
    -------
    Maps
        One for each row of the table.

    Raises
    ------
    ValueError
        If images, contributions and modes do not belong together, or there is no such mode.

    Examples
    --------
    >>> from retina_codec.contributions import integrated_gradients, top_class
    >>> from retina_codec.decomposition import NonNegativeFactors, decompose
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> images = np.random.default_rng(0).normal(size=(20, 3, 8, 8)).astype(np.float32)
    >>> how = {"target": top_class()}
    >>> found = integrated_gradients(network, images, layers=["1"], **how, progress=False)["1"]
    >>> modes = decompose(found, NonNegativeFactors(n_modes=2))
    >>> items = pd.DataFrame({"sample": [5, 7], "mode": [0, 1]})
    >>> maps = gallery_maps(network, images, items, **how, contributions=found, modes=modes)
    >>> maps.items["label"].tolist(), maps.values.shape
    (['mode 0', 'mode 1'], (2, 3, 8, 8))
    """
    how = How(layer=modes.layer, target=target, **how)
    index, chosen = (items[name].to_numpy(dtype=int) for name in ("sample", "mode"))
    check_modes(chosen, len(modes.dictionary), lowest=NO_MODE)
    _check_samples(images, contributions, modes)
    shares = shares_at(contributions, modes, index)

    def weights(rows):
        return shares(rows)[np.arange(len(rows)), :, chosen[rows]][:, :, None]

    with frozen(network):
        values, at_image = maps_through(network, images, index, how, weights, rest=False)
    items = items.reset_index(drop=True).assign(target=at_image)
    items["label"] = [f"mode {mode}" for mode in chosen]
    return _record(values, items, how)


def channel_map(
    network: nn.Module,
    images: Any,
    *,
    layer: str,
    channels: Numbers,
    target: Target,
    **how: Any,
) -> Maps:
    """Map what each pixel did to a target through some channels of a layer.

    Parameters
    ----------
    network
        From images to outputs; left as it was.
    images
        Slice into batches "sample colour y x".
    layer
        A name from ``network.named_modules()``.
    channels
        Numbers along the channel axis of the layer's output.
    target
        What is explained.
    **how
        As in `mode_maps`.

    Returns
    -------
    Maps
        One for each image.

    Raises
    ------
    ValueError
        If there is no such layer or channel.

    Examples
    --------
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Linear(3, 1, bias=False))
    >>> image = np.ones((1, 1, 2, 2), np.float32)
    >>> target = lambda output, _: output[:, 0]
    >>> maps = channel_map(network, image, layer="1", channels=[0, 2], target=target)
    >>> expected = network[2].weight[0, [0, 2]] @ network[1].weight[[0, 2]]
    >>> bool(np.allclose(maps.values.ravel(), expected.detach()))
    True
    """
    how = How(layer=layer, target=target, **how)
    index = np.arange(len(images))
    with frozen(network):
        n_channels = _n_channels(network, images, how)
        wrong = [c for c in channels if not 0 <= c < n_channels]
        if wrong:
            msg = f"Layer {layer!r} has channels 0 to {n_channels - 1}; there is no {wrong[0]}."
            raise ValueError(msg)
        chosen = np.isin(np.arange(n_channels), channels).astype(float)[None, :, None]
        values, at_image = maps_through(
            network, images, index, how, lambda rows: np.repeat(chosen, len(rows), 0), rest=False
        )
    items = pd.DataFrame({"sample": index, "target": at_image})
    items["label"] = f"{len(set(channels))} channels of {layer}"
    return _record(values, items, how)


def shares_at(
    contributions: Contributions, modes: Modes, index: np.ndarray, control: int | None = None
) -> Weights:
    """Shares of modes in channels at some rows of the index, made when they are needed."""
    n_channels = len(np.unique(modes.channel))
    order = np.arange(n_channels)
    if control is not None:
        order = np.random.default_rng(control).permutation(n_channels)

    def shares(rows):
        where = index[rows]
        return shares_of_modes(_at(contributions, where), _at(modes, where))[:, order]

    return shares


def _check_samples(images, contributions, modes) -> None:
    if not len(images) == len(contributions.values) == len(modes.loadings):
        msg = (
            f"There are {len(images)} images, contributions of {len(contributions.values)} and "
            f"modes of {len(modes.loadings)}. Give the images that the modes were found in."
        )
        raise ValueError(msg)


def _at(record, where):
    """Part of a record at some samples."""
    fields = [
        name
        for name in record.axes()
        if getattr(record, name) is not None and record.axes_of(name)[0] == "sample"
    ]
    return replace(record, **{name: np.asarray(getattr(record, name)[where]) for name in fields})


def check_modes(chosen: Numbers, n_modes: int, *, lowest: int = NO_UNIT) -> None:
    """Raise an error if there is no such mode.

    Raises
    ------
    ValueError
        If there is none.
    """
    wrong = [m for m in chosen if not lowest <= m < n_modes]
    if wrong:
        msg = (
            f"There are modes 0 to {n_modes - 1} (from {lowest} with what is left), got {wrong[0]}."
        )
        raise ValueError(msg)


def _goes_round(network, images, how: How) -> bool:
    image = as_input(network, images[:1])
    return bypassed(network, image, [how.layer], lambda out: how.target(out, out.detach()).sum())[
        how.layer
    ]


def _n_channels(network, images, how: How) -> int:
    with begun(network, as_input(network, images[:1]), None, how.layer) as (_, _, kept):
        return kept[how.layer].shape[how.channel_axis]


def _record(values, items, how: How) -> Maps:
    return Maps(
        values=values.reshape(-1, *values.shape[-3:]),
        items=items,
        layer=how.layer,
        target=name_of(how.target),
        settings={
            "points": [float(p) for p in how.points],
            "baseline": how.baseline if isinstance(how.baseline, float | int) else "array",
            "smoothing": how.smoothing,
            "seen_at": how.seen_at.__name__,
        },
    )
