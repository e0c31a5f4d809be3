"""Networks from normalised windows "batch lag y x" to the rates of cells "batch cell" in Hz."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from retina_codec.datatypes import Recording
from retina_codec.stimuli import Normalisation
from retina_codec.stimuli import normalisation as normalisation_of

EPSILON = 1e-3  # of all batch norms, as in the published networks
AS_SHOWN = Normalisation()
Rates = Sequence[float] | Float[np.ndarray, " cell"]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers from a seed inside the block, and leave the global ones alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class GaussianNoise(nn.Module):
    """Adds noise of a given standard deviation while training; does nothing in evaluation."""

    def __init__(self, std: float):
        super().__init__()
        self.std = std

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values, noisy in training."""
        return values + self.std * torch.randn_like(values) if self.training else values


class FiringRate(nn.Module):
    """Output nonlinearity: softplus(x) times a typical rate of each cell, in Hz.

    The typical rate is no parameter; with it, x is of order one for every cell.
    """

    def __init__(self, typical_rate_hz: Rates):
        super().__init__()
        rates = torch.as_tensor(np.asarray(typical_rate_hz), dtype=torch.float32)
        self.register_buffer("typical_rate_hz", rates)

    def forward(self, x: Float[torch.Tensor, "batch cell"]) -> Float[torch.Tensor, "batch cell"]:
        """Return rates in Hz."""
        return nn.functional.softplus(x) * self.typical_rate_hz


class ConvolutionalGanglion(nn.Module):
    """Ganglion cells of one mosaic each: a convolution per cell, read at the position of the cell.

    Parameters
    ----------
    in_channels
        Channels of the layer below.
    kernel
        Side of the filters.
    positions
        Row and column of each cell on the map that the convolution gives.
    """

    def __init__(self, in_channels: int, kernel: int, positions: Sequence[tuple[int, int]]):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, len(positions), kernel, bias=False)
        self.register_buffer("positions", torch.as_tensor(positions, dtype=torch.long))

    def forward(
        self, maps: Float[torch.Tensor, "batch channel y x"]
    ) -> Float[torch.Tensor, "batch cell"]:
        """Return the drive of each cell."""
        cells = torch.arange(len(self.positions), device=maps.device)
        return self.conv(maps)[:, cells, self.positions[:, 0], self.positions[:, 1]]


class DeepRetina(nn.Sequential):
    """The convolutional network of the retina: two layers of interneurons and the ganglion cells.

    Layers, by name: conv1, norm1, noise1, relu1, conv2, norm2, noise2, relu2 (the interneurons),
    then flatten and ganglion (dense), or ganglion (convolutional, when `kernels` has three sizes),
    norm3, rate.

    Parameters
    ----------
    shape
        Height and width of the stimulus in pixels.
    history
        Frames in a window.
    typical_rate_hz
        One number for each cell, such as its mean rate: the scale of its output.
    channels
        Interneuron types in the two layers.
    kernels
        Sides of the filters of the two layers and, for a convolutional ganglion layer, of the
        third.
    positions
        Row and column of each cell in the stimulus; needed with three kernels.
    noise
        Standard deviation of the noise that is added to interneurons in training.
    normalisation
        How the windows that it sees were normalised.
    seed
        Of the initial weights.

    Raises
    ------
    ValueError
        If the kernels do not fit the stimulus, or positions are missing.

    References
    ----------
    McIntosh et al. (2016), Advances in Neural Information Processing Systems 29.
    Maheswaranathan et al. (2023), Neuron 111:2742-2755, doi:10.1016/j.neuron.2023.06.007.

    Examples
    --------
    >>> network = DeepRetina(shape=(20, 20), history=10, typical_rate_hz=[5.0, 8.0], kernels=(7, 5))
    >>> network(torch.zeros(3, 10, 20, 20)).shape
    torch.Size([3, 2])
    """

    default_layers = ("relu1", "relu2")

    def __init__(
        self,
        *,
        shape: Sequence[int],
        history: int,
        typical_rate_hz: Rates,
        channels: Sequence[int] = (8, 8),
        kernels: Sequence[int] = (15, 11),
        positions: Sequence[Sequence[int]] | None = None,
        noise: float = 0.05,
        normalisation: Normalisation = AS_SHOWN,
        seed: int = 0,
    ):
        _check(shape, kernels, positions)
        with seeded(seed):
            layers = self._layers(
                shape, history, typical_rate_hz, channels, kernels, positions, noise
            )
        super().__init__(layers)
        self.history = history
        self.normalisation = normalisation
        self.settings: dict[str, Any] = {
            "shape": list(shape),
            "history": history,
            "typical_rate_hz": [float(rate) for rate in typical_rate_hz],
            "channels": list(channels),
            "kernels": list(kernels),
            "positions": None if positions is None else [list(map(int, at)) for at in positions],
            "noise": noise,
            "normalisation": asdict(normalisation),
        }

    @classmethod
    def for_recording(
        cls,
        recording: Recording,
        *,
        history: int = 40,
        channels: Sequence[int] = (8, 8),
        seed: int = 0,
    ) -> "DeepRetina":
        """Return an untrained network that fits a recording.

        Filters are 0.3 times as wide as the stimulus, as in the published network; normalisation
        and typical rates are those of the training split.

        Parameters
        ----------
        recording
            With a split "train".
        history
            Frames in a window.
        channels
            Interneuron types in the two layers.
        seed
            Of the initial weights.

        Examples
        --------
        >>> from retina_codec.simulation import simulate_recording
        >>> DeepRetina.for_recording(simulate_recording(n_frames=200), history=10).conv1
        Conv2d(10, 8, kernel_size=(9, 9), stride=(1, 1))
        """
        shape = recording.stimulus.frames.shape[1:]
        side = max(1, round(0.15 * min(shape) - 0.5)) * 2 + 1
        return cls(
            shape=shape,
            history=history,
            channels=channels,
            kernels=(side,) * len(channels),
            seed=seed,
            **_of_training_split(recording),
        )

    @staticmethod
    def _layers(shape, history, typical_rate_hz, channels, kernels, positions, noise):
        layers: dict[str, nn.Module] = {}
        below = history
        for i, (width, kernel) in enumerate(zip(channels, kernels[:2], strict=True), start=1):
            layers[f"conv{i}"] = nn.Conv2d(below, width, kernel)
            layers[f"norm{i}"] = nn.BatchNorm2d(width, eps=EPSILON)
            layers[f"noise{i}"] = GaussianNoise(noise)
            layers[f"relu{i}"] = nn.ReLU()
            below = width
        n_cells = len(typical_rate_hz)
        maps = [size - sum(kernels[:2]) + 2 for size in shape]
        if len(kernels) == 2:
            layers["flatten"] = nn.Flatten()
            layers["ganglion"] = nn.Linear(below * maps[0] * maps[1], n_cells, bias=False)
        else:
            inside = _inside(positions, shape, kernels)
            layers["ganglion"] = ConvolutionalGanglion(below, kernels[2], inside)
        layers["norm3"] = nn.BatchNorm1d(n_cells, eps=EPSILON)
        layers["rate"] = FiringRate(typical_rate_hz)
        return OrderedDict(layers)


class LinearNonlinear(nn.Module):
    """The baseline: one space-time separable filter for each cell, then a soft rectification.

    Parameters
    ----------
    shape
        Height and width of the stimulus in pixels.
    history
        Frames in a window.
    typical_rate_hz
        One number for each cell: the scale of its output.
    normalisation
        How the windows that it sees were normalised.
    seed
        Of the initial weights.

    References
    ----------
    Chichilnisky (2001), Network: Computation in Neural Systems 12:199-213, doi:10.1080/713663221.

    Examples
    --------
    >>> network = LinearNonlinear(shape=(20, 20), history=10, typical_rate_hz=[5.0, 8.0])
    >>> network(torch.zeros(3, 10, 20, 20)).shape
    torch.Size([3, 2])
    """

    default_layers = ("rate",)

    def __init__(
        self,
        *,
        shape: Sequence[int],
        history: int,
        typical_rate_hz: Rates,
        normalisation: Normalisation = AS_SHOWN,
        seed: int = 0,
    ):
        super().__init__()
        n_cells = len(typical_rate_hz)
        with seeded(seed):
            self.space = nn.Linear(shape[0] * shape[1], n_cells, bias=False)
            self.time = nn.Conv1d(n_cells, n_cells, history, groups=n_cells)
        self.rate = FiringRate(typical_rate_hz)
        self.history = history
        self.normalisation = normalisation
        self.settings: dict[str, Any] = {
            "shape": list(shape),
            "history": history,
            "typical_rate_hz": [float(rate) for rate in typical_rate_hz],
            "normalisation": asdict(normalisation),
        }

    @classmethod
    def for_recording(
        cls, recording: Recording, *, history: int = 40, seed: int = 0
    ) -> "LinearNonlinear":
        """Return an untrained model that fits a recording.

        Parameters
        ----------
        recording
            With a split "train".
        history
            Frames in a window.
        seed
            Of the initial weights.

        Examples
        --------
        >>> from retina_codec.simulation import simulate_recording
        >>> LinearNonlinear.for_recording(simulate_recording(n_frames=200), history=10).history
        10
        """
        shape = recording.stimulus.frames.shape[1:]
        return cls(shape=shape, history=history, seed=seed, **_of_training_split(recording))

    def forward(
        self, window: Float[torch.Tensor, "batch lag y x"]
    ) -> Float[torch.Tensor, "batch cell"]:
        """Return the firing rate of each cell in Hz.

        Parameters
        ----------
        window
            Normalised contrast of the last frames, oldest lag first.
        """
        drive = self.time(self.space(window.flatten(2)).transpose(1, 2))
        return self.rate(drive[:, :, 0])


def _of_training_split(recording: Recording) -> dict[str, Any]:
    """Normalisation, and the mean rate of each cell; 1 Hz for a cell that never fired."""
    start, stop = recording.splits["train"]
    rates = np.asarray(recording.rates[start:stop], dtype=np.float64)
    seen = np.isfinite(rates)
    means = np.where(seen, rates, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    return {
        "typical_rate_hz": np.where(means > 0, means, 1.0),
        "normalisation": normalisation_of(recording.stimulus, frames=(start, stop)),
    }


def _inside(positions, shape, kernels) -> list[tuple[int, int]]:
    """Where each cell lies on the last map; moved inside when it is too close to the border."""
    border = sum(kernel - 1 for kernel in kernels) // 2
    last = [size - sum(kernels) + len(kernels) - 1 for size in shape]
    return [
        tuple(int(np.clip(place[axis] - border, 0, last[axis])) for axis in (0, 1))
        for place in positions
    ]


def _check(shape, kernels, positions) -> None:
    smallest = sum(kernels) - len(kernels) + 1
    if min(shape) < smallest:
        msg = (
            f"Kernels {tuple(kernels)} need a stimulus of at least {smallest} pixels a side, "
            f"got {tuple(shape)}. Choose smaller kernels."
        )
        raise ValueError(msg)
    if len(kernels) == 3 and positions is None:
        msg = "A convolutional ganglion layer needs 'positions': row and column of each cell."
        raise ValueError(msg)
