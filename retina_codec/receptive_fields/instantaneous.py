"""The field of a moment: the gradient of a cell's response with respect to its stimulus window."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import nn

from retina_codec.contributions import frozen
from retina_codec.datatypes import Fields

BATCH = 64


def instantaneous_fields(
    network: nn.Module,
    samples: Any,
    *,
    cells: Sequence[int] | Int[np.ndarray, " chosen"],
    index: Sequence[int] | Int[np.ndarray, " moment"],
    frame_rate_hz: float | None = None,
) -> Fields:
    """Gradient of each cell's response with respect to its window, at chosen samples.

    Parameters
    ----------
    network
        From windows to rates in Hz; it is left as it was.
    samples
        Windows that slice into batches, such as `stimuli.windows`.
    cells
        Outputs of the network.
    index
        Numbers of the samples.
    frame_rate_hz
        Of the stimulus, when the samples do not know it.

    Returns
    -------
    Fields
        For each sample all cells, in Hz for a unit of the normalised stimulus; the table says which
        cell, which sample and its rate.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557.

    Examples
    --------
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    >>> fields = instantaneous_fields(
    ...     network, np.ones((5, 3, 2, 2), np.float32), cells=[0, 1], index=[4], frame_rate_hz=100.0
    ... )
    >>> bool(np.allclose(fields.values[1].ravel(), network[1].weight[1].detach()))
    True
    """
    index = np.asarray(index, dtype=int)
    values, rates = [], []
    with frozen(network):
        for first in range(0, len(index), BATCH):
            gradient, rate = gradients(network, samples[index[first : first + BATCH]], cells)
            values.append(gradient)
            rates.append(rate)
    times = np.asarray(getattr(samples, "sample", np.arange(len(samples))))[index]
    items = pd.DataFrame(
        {
            "cell": np.tile(np.asarray(cells), len(index)),
            "sample": np.repeat(index, len(cells)),
            "time_s": np.repeat(times, len(cells)),
            "rate_hz": np.concatenate(rates).ravel(),
        }
    )
    items["label"] = [
        f"cell {cell}, {t:.2f} s" for cell, t in zip(items.cell, items.time_s, strict=True)
    ]
    stimulus = getattr(samples, "stimulus", None)
    stacked = np.concatenate(values)
    return Fields(
        values=stacked.reshape(-1, *stacked.shape[2:]),
        items=items,
        frame_rate_hz=stimulus.frame_rate_hz if stimulus else frame_rate_hz,
        pixel_um=stimulus.pixel_um if stimulus else None,
        unit="Hz / s.d.",
    )


def mean_fields(
    network: nn.Module,
    samples: Any,
    *,
    cells: Sequence[int] | Int[np.ndarray, " chosen"],
    n_samples: int = 500,
) -> Fields:
    """Mean instantaneous field of each cell: what the network computes, whatever was shown.

    Unlike the spike-triggered average it does not blur with the correlations of natural scenes.

    Parameters
    ----------
    network
        From windows to rates in Hz; it is left as it was.
    samples
        Windows of `stimuli.windows`.
    cells
        Outputs of the network.
    n_samples
        Over how many samples the mean is taken, evenly spread.

    Examples
    --------
    >>> from retina_codec.simulation import Circuit
    >>> from retina_codec.stimuli import Screen, white_noise, windows
    >>> circuit = Circuit(shape=(20, 20), history=10)
    >>> movie = white_noise(n_frames=50, screen=Screen((20, 20)))
    >>> mean_fields(circuit, windows(movie, 10), cells=[0, 1], n_samples=5).values.shape
    (2, 10, 20, 20)
    """
    index = np.unique(np.linspace(0, len(samples) - 1, min(n_samples, len(samples))).astype(int))
    total = np.zeros((len(cells), *np.shape(samples[:1])[1:]))
    with frozen(network):
        for first in range(0, len(index), BATCH):
            total += gradients(network, samples[index[first : first + BATCH]], cells)[0].sum(axis=0)
    items = pd.DataFrame({"cell": np.asarray(cells)})
    items["label"] = [f"cell {cell}" for cell in cells]
    return Fields(
        values=(total / len(index)).astype(np.float32),
        items=items,
        frame_rate_hz=samples.stimulus.frame_rate_hz,
        pixel_um=samples.stimulus.pixel_um,
        unit="Hz / s.d.",
    )


def gradients(
    network: nn.Module, batch: np.ndarray, cells: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient "sample cell lag y x" of chosen outputs of a frozen network, and these outputs."""
    like = next(network.parameters(), torch.zeros(1))
    window = torch.as_tensor(batch).to(like).requires_grad_()
    with torch.enable_grad():
        output = network(window)
        parts = [
            torch.autograd.grad(output[:, cell].sum(), window, retain_graph=True)[0]
            for cell in cells
        ]
    chosen = output.detach()[:, list(cells)]
    return torch.stack(parts, dim=1).cpu().numpy(), chosen.cpu().numpy()
