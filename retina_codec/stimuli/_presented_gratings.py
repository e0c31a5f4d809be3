"""Gratings of which a recording keeps nothing but the parameters, made again frame by frame."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from retina_codec.datatypes import Stimulus

from .movies import GREY_SCREEN, Screen

REQUIRED = ("start_time", "stop_time", "orientation", "spatial_frequency")
DEFAULTS = {"temporal_frequency": 0.0, "contrast": 1.0, "phase": 0.0}


def presented_gratings(
    table: pd.DataFrame, *, degrees_per_pixel: float, screen: Screen = GREY_SCREEN
) -> Stimulus:
    """Gratings as a table of presentations describes them, grey between them.

    Parameters
    ----------
    table
        One row for each presentation: `start_time` and `stop_time` (s), `orientation` (degrees; the
        direction in which the grating drifts, 0 to larger x, 90 to larger y), `spatial_frequency`
        (cycles per degree) and, where they are not 0, 1 and 0, `temporal_frequency` (Hz),
        `contrast` and `phase` (cycles). Rows whose orientation is no number are blank. Made by
        `recordings.load_intervals`.
    degrees_per_pixel
        Side of a pixel in degrees of visual angle.
    screen
        Where the gratings are shown; the phase belongs to the middle of the field.

    Returns
    -------
    A stimulus from the first start to the last stop; frames are made when they are asked for. A
    sinusoid of a contrast of 1 goes from -1 to 1.

    Raises
    ------
    ValueError
        If columns or presentations are missing, or presentations overlap.

    Examples
    --------
    >>> times = {"start_time": [1.0], "stop_time": [1.5]}
    >>> table = pd.DataFrame({**times, "orientation": [0], "spatial_frequency": [0.1]})
    >>> movie = presented_gratings(table, degrees_per_pixel=2.0, screen=Screen((4, 4)))
    >>> movie.frames.shape, movie.start_s
    ((50, 4, 4), 1.0)
    """
    rows = _checked(table)
    start_s, stop_s = float(rows["start_time"].iloc[0]), float(rows["stop_time"].max())
    n_frames = max(1, screen.frames_in(stop_s - start_s))
    return Stimulus(
        frames=GratingFrames(rows, n_frames, degrees_per_pixel, screen),
        frame_rate_hz=screen.frame_rate_hz,
        pixel_um=screen.pixel_um,
        start_s=start_s,
        name="gratings",
    )


class GratingFrames:
    """Frames of gratings, computed when they are asked for."""

    def __init__(self, rows: pd.DataFrame, n_frames: int, degrees_per_pixel: float, screen: Screen):
        self.rows, self.screen = rows, screen
        self.shape, self.ndim, self.dtype = (n_frames, *screen.shape), 3, np.dtype(np.float32)
        self.degrees_per_pixel = degrees_per_pixel

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        chosen = np.arange(len(self))[key]
        if np.ndim(chosen) == 0:
            return self[[int(chosen)]][0]
        out = np.zeros((len(chosen), *self.shape[1:]), self.dtype)
        # The middle of a frame says which row it belongs to, however its edges were rounded.
        seconds = self.rows["start_time"].iloc[0] + chosen / self.screen.frame_rate_hz
        middles = seconds + 0.5 / self.screen.frame_rate_hz
        row = np.searchsorted(self.rows["start_time"], middles, side="right") - 1
        shown = (row >= 0) & (middles < self.rows["stop_time"].to_numpy()[row])
        for number in np.unique(row[shown]):
            inside = shown & (row == number)
            out[inside] = self._grating(self.rows.iloc[number], seconds[inside])
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def _grating(
        self, row: pd.Series, seconds: Float[np.ndarray, " time"]
    ) -> Float[np.ndarray, "time y x"]:
        if not np.isfinite(row["orientation"]):
            return np.zeros((len(seconds), *self.shape[1:]), self.dtype)
        degrees = self.screen.distance_along(float(row["orientation"])) * self.degrees_per_pixel
        drift = row["temporal_frequency"] * (seconds - row["start_time"]) - row["phase"]
        cycles = row["spatial_frequency"] * degrees[np.newaxis] - drift[:, np.newaxis, np.newaxis]
        return row["contrast"] * np.sin(2 * np.pi * cycles)


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in REQUIRED if name not in table]
    if missing or not len(table):
        lack = f"the column {', '.join(missing)}" if missing else "rows"
        msg = f"'table' lacks {lack}. Columns: {', '.join(table)}."
        raise ValueError(msg)
    given = table.assign(**{k: v for k, v in DEFAULTS.items() if k not in table})
    given = given[[*REQUIRED, *DEFAULTS]].apply(pd.to_numeric, errors="coerce")
    rows = given.fillna(DEFAULTS).sort_values("start_time").reset_index(drop=True)
    starts, stops = rows["start_time"].to_numpy(), rows["stop_time"].to_numpy()
    if not (stops > starts).all() or (starts[1:] < stops[:-1] - 0.5 * (stops - starts).min()).any():
        msg = "'table': presentations must stop after they start, and not overlap."
        raise ValueError(msg)
    return rows
