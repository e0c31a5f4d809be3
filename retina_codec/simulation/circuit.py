"""A retina whose interneurons, wiring and cell types are known, as a torch network."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import nn

from retina_codec.stimuli import Normalisation

BIPOLAR = ("ON fast", "OFF fast", "ON slow", "OFF slow")
AMACRINE = ("wide-field ON-OFF", "narrow-field ON", "narrow-field OFF")

TYPES: dict[str, dict[str, float]] = {
    "OFF transient": {"OFF fast": 2.0, "wide-field ON-OFF": -1.2},
    "OFF sustained": {"OFF slow": 2.0, "narrow-field ON": -1.2},
    "ON sustained": {"ON slow": 2.0, "narrow-field OFF": -1.2},
    "ON-OFF transient": {"ON fast": 1.4, "OFF fast": 1.4, "wide-field ON-OFF": -1.6},
}
"""What each type of ganglion cell receives from bipolar (excitation) and amacrine cells."""

POOLS = {
    "wide-field ON-OFF": ("ON fast", "OFF fast"),
    "narrow-field ON": ("ON slow",),
    "narrow-field OFF": ("OFF slow",),
}
"""Which bipolar cells each type of amacrine cell pools."""

CENTRE_PX, SURROUND_PX, SURROUND_WEIGHT = 0.9, 2.5, 0.9
WIDE_PX, NARROW_PX, GANGLION_PX = 3.0, 1.2, 1.3
BIPOLAR_THRESHOLD, AMACRINE_THRESHOLD, GANGLION_THRESHOLD = 0.3, 0.1, 1.0
FAST_GAIN, SLOW_GAIN, AMACRINE_GAIN, SLOPE, GAIN_HZ = 1.6, 0.5, 1.5, 3.0, 8.0


class Circuit(nn.Module):
    """Bipolar, amacrine and ganglion cells: "batch lag y x" (contrast) -> "batch cell" (Hz).

    `bipolar` filters the window with centre-surround fields, ON or OFF, fast or slow, and
    rectifies. `amacrine` pools bipolar channels over a wide or a narrow disc and rectifies.
    `ganglion` adds bipolar excitation and amacrine inhibition around the position of each cell;
    `output` turns this drive into a firing rate, softplus(slope * (drive - threshold)) * gain. The
    layer `bipolar` cuts the network: everything passes through it. `amacrine` does not: bipolar
    cells reach the ganglion cells past it.

    Parameters
    ----------
    shape
        Height and width of the movie in pixels.
    history
        Frames in a window.
    frame_rate_hz
        Of the movie; the filters keep their time course in seconds.
    types
        Wiring of each type: weight of each bipolar (positive) and amacrine channel (negative).
    cells_per_type
        Cells of each type, at random positions away from the border.
    seed
        Of the positions.

    Raises
    ------
    ValueError
        If the movie is too small or a type names an unknown channel.

    Examples
    --------
    >>> circuit = Circuit(shape=(20, 20), history=20)
    >>> circuit(torch.zeros(3, 20, 20, 20)).shape
    torch.Size([3, 12])
    >>> float(circuit.wiring().loc["ON sustained", "narrow-field OFF"])
    -1.2
    """

    channel_names = {"bipolar": BIPOLAR, "amacrine": AMACRINE}

    def __init__(
        self,
        *,
        shape: Sequence[int] = (32, 32),
        history: int = 30,
        frame_rate_hz: float = 100.0,
        types: Mapping[str, Mapping[str, float]] = TYPES,
        cells_per_type: int = 3,
        seed: int = 0,
    ):
        super().__init__()
        self.settings: dict[str, Any] = {
            "shape": list(shape),
            "history": history,
            "frame_rate_hz": frame_rate_hz,
            "types": {name: dict(weights) for name, weights in types.items()},
            "cells_per_type": cells_per_type,
            "seed": seed,
        }
        self.history = history
        self.normalisation = Normalisation()
        self.bipolar = nn.Sequential(*_bipolar_filters(history, frame_rate_hz), nn.ReLU())
        self.amacrine = nn.Sequential(_amacrine_pools(), nn.ReLU())
        maps = tuple(size - 2 * self.margin_px for size in shape)
        self.cells = _positions(types, cells_per_type, maps, self.margin_px, seed)
        self.ganglion = _ganglion_weights(self.cells, self.wiring(), maps, self.margin_px)
        self.output = FiringRate()
        self.requires_grad_(False)

    @property
    def margin_px(self) -> int:
        """Pixels that the bipolar maps lose at each border."""
        return self.bipolar[1].kernel_size[0] // 2

    def forward(
        self, window: Float[torch.Tensor, "batch lag y x"]
    ) -> Float[torch.Tensor, "batch cell"]:
        """Return the firing rate of each cell in Hz.

        Parameters
        ----------
        window
            Contrast of the last frames, oldest lag first.
        """
        bipolar = self.bipolar(window)
        both = torch.cat([bipolar, self.amacrine(bipolar)], dim=1)
        return self.output(self.ganglion(both.flatten(1)))

    def wiring(self) -> pd.DataFrame:
        """Weight of every interneuron channel (columns) on every type of ganglion cell (rows)."""
        table = pd.DataFrame.from_dict(self.settings["types"], orient="index")
        return table.reindex(columns=[*BIPOLAR, *AMACRINE]).fillna(0.0)


class FiringRate(nn.Module):
    """Rectifying output of a ganglion cell: softplus(slope * (drive - threshold)) * gain, in Hz."""

    def forward(
        self, drive: Float[torch.Tensor, "batch cell"]
    ) -> Float[torch.Tensor, "batch cell"]:
        """Return the rate in Hz."""
        return nn.functional.softplus(SLOPE * (drive - GANGLION_THRESHOLD)) * GAIN_HZ


def _time_course(history: int, frame_rate_hz: float, peak_s: float, undershoot: float):
    """Difference of two gamma functions, the second twice as slow; oldest lag first, unit norm."""
    before_s = (np.arange(history, 0, -1) - 0.5) / frame_rate_hz

    def gamma(peak):
        return (before_s / peak) ** 5 * np.exp(5 - 5 * before_s / peak)

    course = gamma(peak_s) - undershoot * gamma(2 * peak_s)
    return course / np.linalg.norm(course)


def _gaussian(radius: int, sigma: float) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    weights = np.exp(-(y**2 + x**2) / (2 * sigma**2))
    return weights / weights.sum()


def _bipolar_filters(history: int, frame_rate_hz: float) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Fast and slow time course of each pixel, then centre minus surround of each, ON and OFF."""
    radius = round(2 * SURROUND_PX)
    space = _gaussian(radius, CENTRE_PX) - SURROUND_WEIGHT * _gaussian(radius, SURROUND_PX)
    space /= np.linalg.norm(space)
    fast = FAST_GAIN * _time_course(history, frame_rate_hz, peak_s=0.05, undershoot=0.45)
    slow = SLOW_GAIN * _time_course(history, frame_rate_hz, peak_s=0.10, undershoot=0.05)
    in_time = nn.Conv2d(history, 2, 1, bias=False)
    in_time.weight.data = torch.tensor(np.stack([fast, slow]), dtype=torch.float32)[
        :, :, None, None
    ]
    in_space = nn.Conv2d(2, len(BIPOLAR), 2 * radius + 1, groups=2)
    fields = np.stack([space, -space, space, -space])[:, None]
    in_space.weight.data = torch.tensor(fields, dtype=torch.float32)
    in_space.bias.data.fill_(-BIPOLAR_THRESHOLD)
    return in_time, in_space


def _amacrine_pools() -> nn.Conv2d:
    radius = round(2 * WIDE_PX)
    conv = nn.Conv2d(len(BIPOLAR), len(AMACRINE), 2 * radius + 1, padding=radius)
    conv.weight.data.zero_()
    for a, name in enumerate(AMACRINE):
        disc = _gaussian(radius, WIDE_PX if name.startswith("wide") else NARROW_PX)
        for pooled in POOLS[name]:
            weight = AMACRINE_GAIN / len(POOLS[name]) * disc
            conv.weight.data[a, BIPOLAR.index(pooled)] = torch.from_numpy(weight)
    conv.bias.data.fill_(-AMACRINE_THRESHOLD)
    return conv


def _positions(types, cells_per_type, maps, margin_px, seed) -> pd.DataFrame:
    """Random positions in pixels of the movie, at least two ganglion sigmas inside the maps."""
    border = 2 * GANGLION_PX
    if min(maps) < 2 * border + 1:
        smallest = int(np.ceil(2 * border + 1)) + 2 * margin_px
        msg = (
            f"The circuit needs a movie of at least {smallest} x {smallest} pixels, "
            f"got {maps[0] + 2 * margin_px} x {maps[1] + 2 * margin_px}. Show a larger one."
        )
        raise ValueError(msg)
    unknown = {name for weights in types.values() for name in weights} - {*BIPOLAR, *AMACRINE}
    if unknown:
        msg = (
            f"No interneuron {sorted(unknown)[0]!r}. Interneurons: {', '.join(BIPOLAR + AMACRINE)}."
        )
        raise ValueError(msg)
    rng = np.random.default_rng(seed)
    rows = [
        {"cell_type": name, "y_px": float(y), "x_px": float(x)}
        for name in types
        for y, x in rng.uniform(border, np.array(maps) - 1 - border, (cells_per_type, 2))
        + margin_px
    ]
    return pd.DataFrame(rows)


def _ganglion_weights(cells: pd.DataFrame, wiring: pd.DataFrame, maps, margin_px) -> nn.Linear:
    """Dense layer over all maps: a Gaussian around each cell times the wiring of its type."""
    y, x = np.mgrid[: maps[0], : maps[1]]
    weights = []
    for cell_type, y_px, x_px in cells.itertuples(index=False):
        squares = (y + margin_px - y_px) ** 2 + (x + margin_px - x_px) ** 2
        disc = np.exp(-squares / (2 * GANGLION_PX**2))
        channels = wiring.loc[cell_type].to_numpy()
        weights.append(np.multiply.outer(channels, disc / disc.sum()).ravel())
    linear = nn.Linear(len(weights[0]), len(cells), bias=False)
    linear.weight.data = torch.tensor(np.stack(weights), dtype=torch.float32)
    return linear
