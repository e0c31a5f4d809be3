"""What was shown, and what ganglion cells did: the records that an analysis begins with."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Real

from ._labels import RATE
from ._record import Record

REGULAR_S = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Stimulus(Record):
    """A movie as it was shown.

    Attributes
    ----------
    frames
        Any array that slices: NumPy, HDF5, Zarr.
    frame_rate_hz
        Frames per second.
    pixel_um
        Side of a pixel on the retina in micrometres; None when nobody said.
    start_s
        Time of the first frame.
    times
        Begin of each frame in seconds, where frames came irregularly; None where they did not.
    name
        What was shown.

    Raises
    ------
    ValueError
        If an array has the wrong axes, the frame rate is not above 0, or a frame in memory holds
        NaN or infinity.

    Examples
    --------
    >>> Stimulus(frames=np.zeros((300, 8, 8)), frame_rate_hz=100.0).duration_s
    3.0
    """

    frames: Real[Any, "time y x"] = field(metadata={"long_name": "contrast"})
    frame_rate_hz: float
    pixel_um: float | None = None
    start_s: float = 0.0
    times: Real[Any, " time"] | None = field(
        default=None, metadata={"long_name": "begin of the frame", "units": "s"}
    )
    name: str = "stimulus"

    def __post_init__(self):
        super().__post_init__()
        if not self.frame_rate_hz > 0:
            msg = f"Stimulus: 'frame_rate_hz' must be above 0, got {self.frame_rate_hz}."
            raise ValueError(msg)
        if isinstance(self.frames, np.ndarray):
            check_finite(self.frames)

    @property
    def duration_s(self) -> float:
        """Length of the movie in seconds."""
        return self.frames.shape[0] / self.frame_rate_hz

    @property
    def edges(self) -> Float[np.ndarray, " edge"]:
        """Begin of each frame and end of the last, in seconds."""
        if self.times is None:
            return self.start_s + np.arange(self.frames.shape[0] + 1) / self.frame_rate_hz
        times = np.asarray(self.times, dtype=np.float64)
        return np.append(times, times[-1] + 1 / self.frame_rate_hz)


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording(Record):
    """Stimulus and responses of ganglion cells from one retina.

    Attributes
    ----------
    stimulus
        The movie that all rates refer to.
    rates
        Firing rate of each cell during each frame; NaN where a cell was not observed. In a split
        with repeats it is the mean over trials.
    cells
        One row for each cell, with whatever columns the file had.
    splits
        Name of each part of the movie ("train", "test", ...): its first frame and the one after its
        last.
    spike_times
        One array for each cell, in seconds, where they are known.
    repeats
        Rates in the single trials of the split "test".
    source
        Where the recording came from.
    circuit
        For simulated recordings: the settings from which the true circuit is made again.

    Raises
    ------
    ValueError
        If arrays disagree in length, a split lies outside the movie, or `repeats` are not as long
        as the split "test".

    Examples
    --------
    >>> movie = Stimulus(frames=np.zeros((300, 8, 8)), frame_rate_hz=100.0)
    >>> recording = Recording(
    ...     stimulus=movie,
    ...     rates=np.zeros((300, 2)),
    ...     cells=pd.DataFrame({"cell_type": ["ON", "OFF"]}),
    ...     splits={"train": (0, 250), "test": (250, 300)},
    ... )
    >>> recording.label("rates"), recording.axes_of("rates")
    ('firing rate (Hz)', ('time', 'cell'))
    """

    stimulus: Stimulus
    rates: Real[Any, "time cell"] = field(metadata=RATE)
    cells: Annotated[pd.DataFrame, "cell"]
    splits: dict[str, Any]
    spike_times: Annotated[tuple, "cell"] | None = field(
        default=None, metadata={"long_name": "spike times", "units": "s"}
    )
    repeats: Real[Any, "trial test_time cell"] | None = field(default=None, metadata=RATE)
    source: str = ""
    circuit: dict[str, Any] | None = None

    def __post_init__(self):
        super().__post_init__()
        n_frames = self.rates.shape[0]
        for name, (start, stop) in self.splits.items():
            if not 0 <= start < stop <= n_frames:
                msg = (
                    f"Recording: split {name!r} is {start} to {stop}, "
                    f"but the movie has {n_frames} frames."
                )
                raise ValueError(msg)
        start, stop = self.splits.get("test", (0, 0))
        if self.repeats is not None and self.repeats.shape[1] != stop - start:
            msg = (
                f"Recording: split 'test' has {stop - start} frames, "
                f"but 'repeats' has {self.repeats.shape[1]} time bins."
            )
            raise ValueError(msg)

    def to_pynapple(self) -> dict[str, Any]:
        """Return the parts of the recording as objects of pynapple.

        Returns
        -------
        `stimulus`, a TsdTensor whose frames stay where they are until they are sliced; `rates`, a
        TsdFrame in Hz; `splits`, an IntervalSet for each; and, where they are known, `spikes`, a
        TsGroup with the table of cells as metadata. Frames and rates are at the begin of the frame.

        Raises
        ------
        ImportError
            If the optional package pynapple is missing.
        """
        return _pynapple().of_recording(self)

    @classmethod
    def from_pynapple(
        cls,
        stimulus: Any,
        *,
        spikes: Any = None,
        rates: Any = None,
        splits: Mapping[str, Any] | None = None,
        pixel_um: float | None = None,
        source: str = "pynapple",
    ) -> "Recording":
        """Make a recording of objects of pynapple.

        Parameters
        ----------
        stimulus
            TsdTensor of frames (y, x), each at its begin.
        spikes
            TsGroup, one train for each cell; its metadata become the table of cells.
        rates
            TsdFrame in Hz at the times of the frames; spikes are counted where there is none.
        splits
            An IntervalSet of one interval for each part of the movie.
        pixel_um, source
            As in the recording.

        Returns
        -------
        Recording
            Frames stay where they are until they are sliced.

        Raises
        ------
        ImportError
            If the optional package pynapple is missing.
        ValueError
            If there are no responses, or times do not fit.
        """
        parts = _pynapple().parts_of_recording(stimulus, spikes, rates, splits or {})
        movie = _movie(parts.pop("times"), stimulus.values, pixel_um)
        if parts["rates"] is None:
            parts["rates"] = _counted(parts["spike_times"], movie.edges)
        return cls(stimulus=movie, source=source, **parts)


def _pynapple() -> ModuleType:
    try:
        return importlib.import_module("._pynapple", __package__)
    except ImportError as error:
        msg = "Going to and from pynapple needs it: pip install 'retina-codec[pynapple]'"
        raise ImportError(msg) from error


def _movie(
    times: Float[np.ndarray, " time"], frames: Any, pixel_um: float | None, name: str = "stimulus"
) -> Stimulus:
    """Return frames on their clock; a regular one is kept as its start and rate."""
    if len(times) < 2:
        msg = f"Expected a movie of at least 2 frames, got {len(times)}."
        raise ValueError(msg)
    rate = 1 / float(np.median(np.diff(times)))
    mean_rate = (len(times) - 1) / float(times[-1] - times[0])
    regular = times[0] + np.arange(len(times)) / mean_rate
    is_regular = np.abs(times - regular).max() < REGULAR_S
    return Stimulus(
        frames=frames,
        frame_rate_hz=mean_rate if is_regular else rate,
        pixel_um=pixel_um,
        start_s=float(times[0]),
        times=None if is_regular else times,
        name=name,
    )


def _counted(
    spike_times: tuple[np.ndarray, ...], edges: Float[np.ndarray, " edge"]
) -> Float[np.ndarray, "time cell"]:
    counts = [np.diff(np.searchsorted(np.sort(spikes), edges)) for spikes in spike_times]
    return np.stack(counts, axis=1) / np.diff(edges)[:, None]


def check_finite(frames: Real[np.ndarray, "time y x"], *, first_frame: int = 0) -> None:
    """Raise an error that names the first frame with NaN or infinity.

    Parameters
    ----------
    frames
        Of a movie, or of a stretch of one.
    first_frame
        Number of the first of them in the whole movie.

    Raises
    ------
    ValueError
        If there is one.

    Examples
    --------
    >>> check_finite(np.full((2, 1, 1), np.nan), first_frame=100)
    Traceback (most recent call last):
    ValueError: Stimulus: frame 100 holds NaN or infinity. Replace or cut such frames first.
    """
    if frames.dtype.kind == "f" and not np.isfinite(frames).all():
        bad = first_frame + int(np.flatnonzero(~np.isfinite(frames).all(axis=(1, 2)))[0])
        msg = f"Stimulus: frame {bad} holds NaN or infinity. Replace or cut such frames first."
        raise ValueError(msg)
