"""The field that is the same at all moments: the spike-triggered average."""

import numpy as np
from jaxtyping import Float

from retina_codec.datatypes import Fields, Recording, check_finite

BLOCK_FRAMES = 2000


def spike_triggered_average(
    recording: Recording, *, history: int = 40, split: str = "train"
) -> Fields:
    """Average stimulus before the spikes of each cell, relative to the average stimulus.

    With rates r and frames s, the value at lag l is ``sum_t r_t (s_{t-l} - mean s) / sum_t r_t``.
    Bins in which a cell was not observed do not count. A cell without spikes has a field of NaN.

    Parameters
    ----------
    recording
        Lazy frames are read block by block.
    history
        Lags in frames; the last one is the frame just before the response.
    split
        Which part of the recording.

    Returns
    -------
    Fields
        One item for each cell, in the units of the stimulus.

    Raises
    ------
    ValueError
        If the split is shorter than the history.

    References
    ----------
    Chichilnisky (2001), Network: Computation in Neural Systems 12:199-213.

    Examples
    --------
    >>> from retina_codec.simulation import simulate_recording
    >>> fields = spike_triggered_average(simulate_recording(n_frames=200), history=10)
    >>> fields.values.shape
    (12, 10, 32, 32)
    """
    start, stop = recording.splits[split]
    if stop - start <= history:
        msg = f"Split {split!r} has {stop - start} frames; a history of {history} needs more."
        raise ValueError(msg)
    n_cells, shape = recording.rates.shape[1], recording.stimulus.frames.shape[1:]
    sums = np.zeros((n_cells, history, shape[0] * shape[1]))
    spikes, frame_sum, n_frames = np.zeros(n_cells), np.zeros(shape[0] * shape[1]), 0
    for first in range(start + history, stop, BLOCK_FRAMES):
        last = min(first + BLOCK_FRAMES, stop)
        frames = np.asarray(recording.stimulus.frames[first - history : last - 1])
        check_finite(frames, first_frame=first - history)
        pixels = frames.reshape(len(frames), -1).astype(np.float32)
        rates = np.nan_to_num(np.asarray(recording.rates[first:last], dtype=np.float32))
        for lag in range(history):
            sums[:, lag] += rates.T @ pixels[lag : lag + last - first]
        spikes += rates.sum(axis=0)
        frame_sum += pixels[-(last - first) :].sum(axis=0)
        n_frames += last - first
    return _fields(recording, sums, spikes, frame_sum / n_frames, history)


def _fields(recording: Recording, sums, spikes, mean_frame, history) -> Fields:
    with np.errstate(invalid="ignore", divide="ignore"):
        values = sums / spikes[:, None, None] - mean_frame.mean()
    shape = (len(spikes), history, *recording.stimulus.frames.shape[1:])
    items = recording.cells.drop(columns=["cell", "label"], errors="ignore").reset_index(drop=True)
    items.insert(0, "cell", np.arange(len(spikes)))
    items["label"] = [f"cell {cell}" for cell in items["cell"]]
    return Fields(
        values=values.reshape(shape).astype(np.float32),
        items=items,
        frame_rate_hz=recording.stimulus.frame_rate_hz,
        pixel_um=recording.stimulus.pixel_um,
        unit="stimulus units",
    )


def peak_position(field: Float[np.ndarray, "lag y x"]) -> tuple[int, int]:
    """Row and column where a field is strongest: the pixel with the largest power over lags.

    Parameters
    ----------
    field
        Of one cell or moment; NaN counts as 0.

    Returns
    -------
    Row and column in pixels.

    Examples
    --------
    >>> field = np.zeros((3, 4, 5))
    >>> field[1, 2, 3] = -1.0
    >>> peak_position(field)
    (2, 3)
    """
    power = np.nan_to_num(np.square(field).sum(axis=0))
    row, column = np.unravel_index(int(power.argmax()), power.shape)
    return int(row), int(column)
