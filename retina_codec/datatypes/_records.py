"""The records that flow through the analysis. Axes are written once, in the annotations."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Real

from ._record import Record
from ._tables import dictionary_table, feature_names, sample_table

RATE = {"long_name": "firing rate", "units": "Hz"}
REPRODUCES = 0.9
REGULAR_S = 1e-6
CONTRIBUTION = {"long_name": "contribution", "units": "units of the target"}
SAMPLE = {"long_name": "time or number of the sample", "units": "s"}


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions(Record):
    """Recorded and predicted rates of the same samples, and how well they agree.

    Attributes
    ----------
    recorded, predicted
        NaN in `recorded` where a cell was not observed.
    sample
        Time of each sample in seconds.
    scores
        One row for each cell: pearson_r and, where there are repeats, explainable_variance and
        normalised_r.
    network
        Which network predicted.
    """

    recorded: Float[Any, "sample cell"] = field(metadata=RATE)
    predicted: Float[Any, "sample cell"] = field(metadata={**RATE, "long_name": "predicted rate"})
    sample: Real[Any, " sample"] = field(metadata=SAMPLE)
    scores: Annotated[pd.DataFrame, "cell"]
    network: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Contributions(Record):
    """How much of the target's change went through each unit of one layer.

    Attributes
    ----------
    values
        Pooled into features, or one map for each channel.
    sample
        Time of each sample in seconds, or its number.
    target_value, baseline_value
        The target at the sample and at the baseline.
    gap
        target_value - baseline_value - sum of all contributions: what the steps missed, and what
        bypassed the layer where it does not cut the network.
    channel, sign
        What each feature is made of: a channel, and +1 (promotes), -1 (suppresses) or 0 (both
        together). Without pooling, the channels with sign 0.
    layer, target, method
        What was explained, where and how.
    n_steps
        Steps from baseline to sample that were needed; None where nobody counted.
    bypassed
        Whether the stimulus reaches the target also round the layer, so that the gap is meant to be
        there; None where nobody looked.
    settings
        The numbers behind the method.
    """

    values: (
        Float[Any, "sample feature"]
        | Float[Any, "sample feature y x"]
        | Float[Any, "sample feature t y x"]
        | Float[Any, "sample token feature"]
    ) = field(metadata=CONTRIBUTION)
    sample: Real[Any, " sample"] = field(metadata=SAMPLE)
    target_value: Float[Any, " sample"] = field(metadata={"long_name": "target"})
    baseline_value: Float[Any, " sample"] = field(metadata={"long_name": "target at the baseline"})
    gap: Float[Any, " sample"] = field(metadata={"long_name": "completeness gap"})
    channel: Int[Any, " feature"] = field(metadata={"long_name": "channel"})
    sign: Int[Any, " feature"] = field(metadata={"long_name": "sign"})
    layer: str
    target: str
    method: str
    n_steps: Int[Any, " sample"] | None = field(default=None, metadata={"long_name": "steps"})
    bypassed: bool | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def relative_gap(self) -> Float[np.ndarray, " sample"]:
        """Size of the gap relative to the change of the target; NaN where it did not change."""
        change = np.abs(np.asarray(self.target_value) - np.asarray(self.baseline_value))
        return np.divide(
            np.abs(np.asarray(self.gap)), change, out=np.full_like(change, np.nan), where=change > 0
        )

    def to_pandas(self) -> pd.DataFrame:
        """Return pooled contributions as a table: one row for each sample, a column per feature.

        Raises
        ------
        ValueError
            If contributions are maps: pool them first.
        """
        if len(self.values.shape) != 2:
            msg = (
                f"Only pooled contributions (sample, feature) make a table; these have axes "
                f"{self.axes_of('values')}. Pool over space first."
            )
            raise ValueError(msg)
        return sample_table(self.values, self.sample, feature_names(self.channel, self.sign))


@dataclass(frozen=True, kw_only=True, eq=False)
class Modes(Record):
    """Sparse motifs of features that together make up the contributions of one layer.

    Contributions are described by their magnitude: ``values * sign / scale`` is about
    ``loadings @ dictionary + offset``. A feature with sign -1 thus counts how much its channel
    suppresses.

    Attributes
    ----------
    dictionary
        One row for each mode.
    loadings
        How much of each mode there is in each sample.
    sample, channel, sign
        As in the contributions.
    held_out
        Samples that the fit has not seen.
    r2, r2_train
        1 - residual / variance around the mean of each feature, on samples held out and on those
        fitted.
    firing
        In how many samples each mode is active.
    scale, offset
        Number that all contributions were divided by; value of each feature when no mode is active.
    feature_scale
        Size of each feature that the method divided by, so that small features counted like large
        ones; None where features counted as they are.
    n_dead
        Modes that are never active, or that the method removed.
    curve
        Training loss of the method at each of its steps; None for methods without one.
    reproducibility
        Mean cosine of each mode with its match in fits repeated with other seeds and other data
        (see `Stability`); None where nobody repeated the fit.
    layer, target, method, seed, settings
        Where the modes come from.
    """

    dictionary: Float[Any, "mode feature"] = field(metadata={"long_name": "weight"})
    loadings: Float[Any, "sample mode"] = field(metadata={"long_name": "loading", "units": "a.u."})
    sample: Real[Any, " sample"] = field(metadata=SAMPLE)
    held_out: Bool[Any, " sample"] = field(metadata={"long_name": "held out"})
    channel: Int[Any, " feature"] = field(metadata={"long_name": "channel"})
    sign: Int[Any, " feature"] = field(metadata={"long_name": "sign"})
    offset: Float[Any, " feature"] = field(metadata={"long_name": "offset"})
    firing: Int[Any, " mode"] = field(metadata={"long_name": "samples in which the mode is active"})
    r2: float
    r2_train: float
    scale: float
    n_dead: int
    layer: str
    target: str
    method: str
    seed: int
    settings: dict[str, Any] = field(default_factory=dict)
    feature_scale: Float[Any, " feature"] | None = field(
        default=None, metadata={"long_name": "size of the feature"}
    )
    curve: Float[Any, " step"] | None = field(default=None, metadata={"long_name": "training loss"})
    reproducibility: Float[Any, " mode"] | None = field(
        default=None, metadata={"long_name": "reproducibility"}
    )

    @property
    def relative_dictionary(self) -> Float[np.ndarray, "mode feature"]:
        """Modes as the method saw them: weights relative to the size of the feature, unit norm."""
        if self.feature_scale is None:
            return np.asarray(self.dictionary)
        relative = np.asarray(self.dictionary) / np.asarray(self.feature_scale)
        norm = np.linalg.norm(relative, axis=1, keepdims=True)
        return relative / np.where(norm > 0, norm, 1)

    @property
    def active_per_sample(self) -> float:
        """Mean number of modes that are active in a sample (L0)."""
        return float(np.sum(self.firing) / self.loadings.shape[0])

    @property
    def is_unstable(self) -> Bool[np.ndarray, " mode"]:
        """Modes that repeated fits do not find again: reproducibility below `REPRODUCES`."""
        if self.reproducibility is None:
            return np.zeros(self.dictionary.shape[0], dtype=bool)
        return np.asarray(self.reproducibility) < REPRODUCES

    def to_pandas(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return two tables: loadings, a row for each sample; the dictionary, one for each mode."""
        names = [f"mode {number}" for number in range(self.dictionary.shape[0])]
        return sample_table(self.loadings, self.sample, names), dictionary_table(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class Stability(Record):
    """How far the modes of a fit come back when it is repeated.

    Attributes
    ----------
    cosine
        Of each mode with the mode of a repeated fit that it is matched with; 0 without a match.
    fits
        One row for each repeated fit: `kind` ("other seed" or "resampled"), `seed`,
        `n_modes` alive, `r2` held out, and `agreement`: the sum of the cosines divided by
        the larger number of modes.
    layer, method
        Whose modes they are.
    """

    cosine: Float[Any, "fit mode"] = field(metadata={"long_name": "cosine with the matched mode"})
    fits: Annotated[pd.DataFrame, "fit"]
    layer: str
    method: str

    @property
    def reproducibility(self) -> Float[np.ndarray, " mode"]:
        """Mean over repeated fits of the cosine."""
        return np.asarray(self.cosine).mean(axis=0)


@dataclass(frozen=True, kw_only=True, eq=False)
class CellTypes(Record):
    """Cells grouped by the modes they go with, and how much the groups are worth.

    Attributes
    ----------
    correlations
        Pearson's r of the rate of each cell with the loading of each mode.
    labels
        Cluster of each cell at the number of clusters that was chosen.
    candidates
        Cluster of each cell at each number of clusters.
    criteria
        One row for each number of clusters `n_clusters`: `silhouette` (NaN for 1), `gap` and
        `gap_error`, `stability` (mean adjusted Rand index of clusterings of resampled time with
        this one; NaN for 1), `response_silhouette` (see `response_labels`).
    choices
        Number of clusters by each rule, and what was `chosen`.
    null_silhouette
        Silhouettes where each loading was shifted in time by itself, at each number of clusters.
    null_labels
        Clusters of the same draws, at their number of largest silhouette.
    response_labels
        Clusters of the cells by the correlation of their rates with one another, without modes, at
        the number of largest silhouette.
    layer, target, method, points
        Whose modes they are, how cells were grouped, and what was made of the correlations first.
    """

    correlations: Float[Any, "cell mode"] = field(metadata={"long_name": "Pearson r"})
    labels: Int[Any, " cell"] = field(metadata={"long_name": "cluster"})
    candidates: Int[Any, "k cell"] = field(metadata={"long_name": "cluster"})
    criteria: Annotated[pd.DataFrame, "k"]
    choices: dict[str, Any]
    null_silhouette: Float[Any, "draw k"] = field(metadata={"long_name": "silhouette by chance"})
    null_labels: Int[Any, "draw cell"] = field(metadata={"long_name": "cluster by chance"})
    response_labels: Int[Any, " cell"] = field(metadata={"long_name": "cluster of responses"})
    layer: str
    target: str
    method: str
    points: str

    def __post_init__(self):
        super().__post_init__()
        n_clusters = int(np.asarray(self.labels).max(initial=-1)) + 1
        if n_clusters != self.choices.get("chosen"):
            msg = (
                f"CellTypes: 'labels' go up to {n_clusters - 1}, but 'choices' says "
                f"{self.choices.get('chosen')} clusters were chosen, numbered from 0."
            )
            raise ValueError(msg)

    @property
    def p_value(self) -> float:
        """How often shifted loadings have so large a best silhouette: (1 + such) / (1 + draws)."""
        best = np.nanmax(self.criteria["silhouette"].to_numpy(dtype=float), initial=0.0)
        by_chance = np.nanmax(np.asarray(self.null_silhouette), axis=1, initial=0.0)
        return float((1 + np.sum(by_chance >= best)) / (1 + len(by_chance)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Fields(Record):
    """Receptive fields: of cells, of moments, of modes.

    Attributes
    ----------
    values
        Oldest lag first; the last lag is the frame just before the response. None where only the
        separation was kept.
    items
        What each field belongs to: one row each.
    frame_rate_hz, pixel_um
        Of the stimulus.
    space, time_course, separability
        The best product of one spatial map and one time course (the map has unit norm and the sign
        that makes the time course positive at its strongest lag), and its share of the field's
        power; None until `separate_space_time` made them.
    time_course_band
        Low and high end of a 95 % interval of the time course, for mean fields; None where nobody
        looked.
    unit
        Of the values.
    """

    values: Float[Any, "item lag y x"] | None = field(
        default=None, metadata={"long_name": "receptive field"}
    )
    items: Annotated[pd.DataFrame, "item"]
    frame_rate_hz: float
    space: Float[Any, "item y x"] | None = field(
        default=None, metadata={"long_name": "spatial map"}
    )
    time_course: Float[Any, "item lag"] | None = field(
        default=None, metadata={"long_name": "time course"}
    )
    separability: Float[Any, " item"] | None = field(
        default=None, metadata={"long_name": "share of power in one space-time product"}
    )
    time_course_band: Float[Any, "item bound lag"] | None = field(
        default=None, metadata={"long_name": "95 % interval of the time course"}
    )
    pixel_um: float | None = None
    unit: str = "a.u."

    @property
    def lag_s(self) -> Float[np.ndarray, " lag"]:
        """Time of each lag before the response in seconds, negative."""
        n_lags = (self.time_course if self.values is None else self.values).shape[1]
        return (np.arange(n_lags) - n_lags) / self.frame_rate_hz


@dataclass(frozen=True, kw_only=True, eq=False)
class Effects(Record):
    """What removing or keeping channels did to the output.

    Attributes
    ----------
    baseline
        Output of the untouched network.
    perturbed
        Output under each condition.
    conditions
        One row for each condition: what was done, to which channels, for which mode or control.
    sample
        Time of each sample in seconds, or its number.
    layer
        Where it was done.
    """

    baseline: Float[Any, "sample output"] = field(metadata=RATE)
    perturbed: Float[Any, "condition sample output"] = field(metadata=RATE)
    conditions: Annotated[pd.DataFrame, "condition"]
    sample: Real[Any, " sample"] = field(metadata=SAMPLE)
    layer: str

    @property
    def relative_change(self) -> Float[np.ndarray, "condition output"]:
        """Change of the mean output relative to the untouched network's; NaN where that is 0."""
        untouched = np.asarray(self.baseline).mean(axis=0)
        change = np.asarray(self.perturbed).mean(axis=1) - untouched
        return np.divide(change, untouched, out=np.full_like(change, np.nan), where=untouched != 0)


def check_finite(frames: Real[np.ndarray, "time y x"], *, first_frame: int = 0) -> None:
    """Raise an error that names the first frame with NaN or infinity.

    Raises
    ------
    ValueError
        If there is one.
    """
    if frames.dtype.kind == "f" and not np.isfinite(frames).all():
        bad = first_frame + int(np.flatnonzero(~np.isfinite(frames).all(axis=(1, 2)))[0])
        msg = f"Stimulus: frame {bad} holds NaN or infinity. Replace or cut such frames first."
        raise ValueError(msg)
