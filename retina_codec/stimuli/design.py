"""Windows and spike counts as the two arrays that generalised linear models are fitted to."""

import numpy as np
from jaxtyping import Float

from retina_codec.datatypes import Recording, did_you_mean

from .windows import Normalisation, windows

WHOLE = 1e-6
AS_IT_IS = Normalisation()


def design(
    recording: Recording,
    *,
    history: int,
    part: str = "train",
    normalisation: Normalisation = AS_IT_IS,
) -> tuple[Float[np.ndarray, "time feature"], Float[np.ndarray, "time cell"]]:
    """Return what each time bin saw and how many spikes came in it, for packages like nemos.

    Parameters
    ----------
    recording
        Movie and rates.
    history
        Frames in a window.
    part
        Split of the recording, or "all".
    normalisation
        Of the movie.

    Returns
    -------
    The windows, each as one row: oldest frame first, and in it y before x, so that a row of weights
    becomes a field by ``reshape(history, y, x)``; and the counts: rates times the duration of the
    frame, NaN where a cell was not observed. From smoothed rates, or the mean of trials, these are
    no whole numbers. All of it is in memory: take `windows` for movies that do not fit.

    Raises
    ------
    ValueError
        If there is no such part, or it is shorter than a window.

    Examples
    --------
    >>> import pandas as pd
    >>> from retina_codec.datatypes import Stimulus
    >>> recording = Recording(
    ...     stimulus=Stimulus(frames=np.zeros((30, 4, 5)), frame_rate_hz=100.0),
    ...     rates=np.full((30, 2), 300.0), cells=pd.DataFrame(index=range(2)),
    ...     splits={"train": (0, 20), "test": (20, 30)},
    ... )
    >>> x, y = design(recording, history=8)
    >>> x.shape, y.shape, y[0].tolist()
    ((12, 160), (12, 2), [3.0, 3.0])
    """
    start, stop = _frames_of(recording, part)
    samples = windows(
        recording.stimulus, history, frames=(start, stop), normalisation=normalisation
    )
    bins = slice(start + history, stop)
    durations = np.diff(recording.stimulus.edges)[bins, None]
    counts = np.asarray(recording.rates[bins], dtype=np.float64) * durations
    whole = np.round(counts)
    rows = np.asarray(samples[:]).reshape(len(samples), -1)
    return rows, np.where(np.abs(counts - whole) < WHOLE, whole, counts)


def _frames_of(recording: Recording, part: str) -> tuple[int, int]:
    if part == "all":
        return 0, recording.rates.shape[0]
    if part not in recording.splits:
        names = ["all", *recording.splits]
        msg = f"No part {part!r} in the recording. Parts: {', '.join(names)}."
        raise ValueError(msg + did_you_mean(part, names))
    start, stop = recording.splits[part]
    return start, stop
