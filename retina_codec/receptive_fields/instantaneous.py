"""The field of a moment: the gradient of a cell's response with respect to its stimulus window."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import nn

from retina_codec.contributions import frozen, probed
from retina_codec.datatypes import Fields

from .entrance import Entrance, LazyFields, entrance_of

BATCH = 64
AT_THE_SAMPLE = (1.0,)

Cells = Sequence[int] | Int[np.ndarray, " chosen"]


def midpoints(n_steps: int) -> list[float]:
    """Places on the path from the baseline to the sample: the middle of each of its steps.

    The mean of the field over them is the integrated IRF, the field that times the stimulus gives
    the change of the response from grey.

    Parameters
    ----------
    n_steps
        Into how many equal steps the path is cut.

    Returns
    -------
    Between 0, the baseline, and 1, the sample.

    Examples
    --------
    >>> midpoints(2)
    [0.25, 0.75]
    """
    return [(i + 0.5) / n_steps for i in range(n_steps)]


def instantaneous_fields(
    network: nn.Module,
    samples: Any,
    *,
    cells: Cells,
    index: Sequence[int] | Int[np.ndarray, " moment"],
    points: Sequence[float] = AT_THE_SAMPLE,
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
    points
        Places on the path from grey (0) to the sample (1) over which the field is averaged; by
        default the sample itself. With `midpoints` the field is the integrated IRF.
    frame_rate_hz
        Of the stimulus, when the samples do not know it.

    Returns
    -------
    Fields
        For each sample all cells, in Hz for a unit of the normalised stimulus; the table says which
        cell, which sample and its rate. Values are lazy where the stimulus enters the network
        through one convolution: only gradients behind it are kept, from which fields are made,
        exactly, when they are sliced.

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
    with frozen(network):
        entrance = entrance_of(network, as_input(network, samples[:1]))
        values, rates = in_batches(
            index,
            lambda chosen: gradients(network, samples[chosen], cells, entrance, points),
        )
    items = items_of(samples, cells, index, rates)
    items["label"] = [
        f"cell {cell}, {t:.2f} s" for cell, t in zip(items.cell, items.time_s, strict=True)
    ]
    return fields_of(samples, values.reshape(-1, *values.shape[2:]), items, entrance, frame_rate_hz)


def in_batches(
    index: np.ndarray, compute: Callable[[np.ndarray], Sequence[np.ndarray]], size: int = BATCH
) -> list[np.ndarray]:
    """Compute arrays for some samples at a time, and put them together without a second copy."""
    arrays: list[np.ndarray] = []
    for first in range(0, max(len(index), 1), size):
        parts = compute(index[first : first + size])
        if first == 0:
            arrays = [np.empty((len(index), *part.shape[1:]), part.dtype) for part in parts]
        for array, part in zip(arrays, parts, strict=True):
            array[first : first + size] = part
    return arrays


def mean_fields(network: nn.Module, samples: Any, *, cells: Cells, n_samples: int = 500) -> Fields:
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

    Returns
    -------
    Fields
        One for each cell, in Hz for a unit of the normalised stimulus.

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
    with frozen(network):
        entrance = entrance_of(network, as_input(network, samples[:1]))
        sums = sum(
            gradients(network, samples[index[first : first + BATCH]], cells, entrance)[0].sum(
                axis=0
            )
            for first in range(0, len(index), BATCH)
        )
    items = pd.DataFrame({"cell": np.asarray(cells)})
    items["label"] = [f"cell {cell}" for cell in cells]
    mean = (sums / len(index)).astype(np.float32)
    return fields_of(samples, entrance.fields(mean) if entrance else mean, items, None)


def gradients(
    network: nn.Module,
    batch: np.ndarray,
    cells: Cells,
    entrance: Entrance | None,
    points: Sequence[float] = AT_THE_SAMPLE,
) -> tuple[Float[np.ndarray, "sample cell *field"], Float[np.ndarray, "sample cell"]]:
    """Gradients of chosen outputs of a frozen network, and these outputs.

    The gradient is that behind the entrance, or "lag y x" if there is none; its mean over points.
    """
    window, total = as_input(network, batch), 0.0
    for point in points:
        with begun(network, point * window, entrance) as (output, begin, _):
            parts = [
                torch.autograd.grad(output[:, cell].sum(), begin, retain_graph=True)[0]
                for cell in cells
            ]
        total = total + torch.stack(parts, dim=1) / len(points)
    if points[-1] != 1:
        output = network(window)
    return total.cpu().numpy(), output.detach()[:, list(cells)].cpu().numpy()


@contextmanager
def begun(
    network: nn.Module,
    window: Float[torch.Tensor, "sample lag y x"],
    entrance: Entrance | None,
    *layers: str,
) -> Iterator[tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]]:
    """Run a network whose graph begins behind the entrance, or at the window if there is none.

    Yields
    ------
    The output, the tensor that the graph begins with, and what the layers put out.
    """
    names = dict.fromkeys([*([entrance.layer] if entrance else []), *layers])
    with torch.enable_grad(), probed(network, list(names)) as kept:
        begin = window if entrance else window.detach().requires_grad_()
        output = network(begin)
        yield output, kept[entrance.layer] if entrance else begin, kept


def as_input(network: nn.Module, batch: Any) -> torch.Tensor:
    """Return windows or images as a tensor of the network's precision, on its device.

    Parameters
    ----------
    network
        The first of its parameters, or buffers, tells precision and device.
    batch
        Some samples: an array, or a tensor.

    Returns
    -------
    The same numbers.

    Examples
    --------
    >>> as_input(nn.Linear(2, 1).double(), np.ones((3, 2), np.float32)).dtype
    torch.float64
    """
    like = next(network.parameters(), next(network.buffers(), torch.zeros(1)))
    return torch.as_tensor(np.ascontiguousarray(batch)).to(like)


def items_of(samples: Any, cells: Cells, index: np.ndarray, rates: np.ndarray) -> pd.DataFrame:
    """One row for each sample and cell."""
    times = np.asarray(getattr(samples, "sample", np.arange(len(samples))))[index]
    return pd.DataFrame(
        {
            "cell": np.tile(np.asarray(cells), len(index)),
            "sample": np.repeat(index, len(cells)),
            "time_s": np.repeat(times, len(cells)),
            "rate_hz": rates.ravel(),
        }
    )


def fields_of(
    samples: Any,
    values: np.ndarray,
    items: pd.DataFrame,
    entrance: Entrance | None,
    frame_rate_hz: float | None = None,
) -> Fields:
    """Return a record of what `gradients` found."""
    stimulus = getattr(samples, "stimulus", None)
    return Fields(
        values=LazyFields(values, entrance) if entrance else values,
        items=items,
        frame_rate_hz=stimulus.frame_rate_hz if stimulus else frame_rate_hz,
        pixel_um=stimulus.pixel_um if stimulus else None,
        unit="Hz / s.d.",
    )
