"""A finished run, opened to be looked at: nothing is read or computed before it is asked for."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from torch import nn

from retina_codec.datatypes import (
    Contributions,
    Fields,
    Modes,
    Predictions,
    Recording,
    Stimulus,
    did_you_mean,
)
from retina_codec.networks import load_network, windows_for
from retina_codec.pipeline import Config, recording_of_run
from retina_codec.receptive_fields import (
    attribute_to_channels,
    attribute_to_modes,
    instantaneous_fields,
    moment_maps,
    separate_space_time,
)

from ._layer import Layer, lazy, strongest
from ._thinning import Thinned
from ._view import View

COLUMNS = 800
MOST_ALIKE = 8
N_FRAMES = 8
N_PARTS = 4


class Moment(NamedTuple):
    """What made a cell respond at one moment.

    Attributes
    ----------
    frames
        The stimulus that the network saw before the moment.
    irf
        The instantaneous receptive field, separated into map and time course.
    parts
        What each mode holds of it: the maps of `receptive_fields.moment_maps`; None where the cell
        is silent, so that the field is zero.
    active
        Modes that are active: the combination.
    alike
        Other moments with the same combination: `sample`, `time_s`, `rate_hz`.

    Examples
    --------
    >>> import retina_codec as rc
    >>> run = rc.explorer.open_run("my_run")  # doctest: +SKIP
    >>> run.moment(rc.explorer.View(cell=0, layer="relu1", time_s=1.5)).active  # doctest: +SKIP
    [2, 5]
    >>> Moment._fields
    ('frames', 'irf', 'parts', 'active', 'alike')
    """

    frames: Stimulus
    irf: Fields
    parts: Fields | None
    active: list[int]
    alike: pd.DataFrame


@dataclass(frozen=True, eq=False)
class ExploredRun:
    """A finished run of `pipeline.run`, opened by `open_run`.

    Attributes
    ----------
    folder
        Of the run.
    config
        Its settings, with the place where the recording is now.
    kept_recording
        Where the recording was when the run was made.
    recording
        That it was made of.
    network
        That explains the recording.
    samples
        Windows of the part that was explained.
    predictions
        Recorded and predicted rates of these samples; large ones stay in the file.
    layers
        What was found, by the name of the layer.

    Examples
    --------
    >>> import retina_codec as rc
    >>> recording = rc.simulation.simulate_recording(n_frames=200, seed=0)
    >>> scores = pd.DataFrame({"pearson_r": [0.4, 0.7]})
    >>> rates = {"recorded": recording.rates[:50, :2], "predicted": recording.rates[:50, :2]}
    >>> predictions = Predictions(**rates, sample=np.arange(50) / 100, scores=scores, network="LN")
    >>> config = Config(recording="retina.nwb")
    >>> where = {"folder": Path("my_run"), "config": config, "kept_recording": config.recording}
    >>> found = {"network": nn.Identity(), "samples": [], "predictions": predictions, "layers": {}}
    >>> run = ExploredRun(**where, recording=recording, **found)
    >>> run.at(0.117), round(run.step_s, 6)
    (12, 0.01)
    """

    folder: Path
    config: Config
    kept_recording: str
    recording: Recording
    network: nn.Module
    samples: Any
    predictions: Predictions
    layers: dict[str, Layer]
    _rates: dict[tuple[str, int], np.ndarray] = field(default_factory=dict, repr=False)

    @cached_property
    def times(self) -> np.ndarray:
        """Time of each sample in seconds."""
        return np.asarray(self.predictions.sample)

    @cached_property
    def step_s(self) -> float:
        """Time from sample to sample in seconds."""
        return float(np.median(np.diff(self.times[:1000])))

    @property
    def n_cells(self) -> int:
        """How many cells were predicted."""
        return self.predictions.recorded.shape[1]

    def first_view(self) -> View:
        """Return the view to begin with: the best predicted cell, when it should fire most.

        Its mode is the one that is strongest then, or the most frequent one where all are 0.
        """
        r = np.nan_to_num(self.predictions.scores["pearson_r"].to_numpy(dtype=float), nan=-1.0)
        cell, (name, layer) = int(r.argmax()), next(iter(self.layers.items()))
        sample = int(self._rate("predicted", cell).argmax())
        loading = np.asarray(layer.modes.loadings[sample : sample + 1])[0]
        mode = np.lexsort((np.asarray(layer.modes.firing), loading))[-1]
        return View(cell, name, time_s=round(float(self.times[sample]), 6), mode=int(mode))

    def is_beside(self, other: Any) -> bool:
        """Return whether the other run explains the same samples."""
        return (
            isinstance(other, ExploredRun)
            and np.array_equal(self.times, other.times)
            and np.array_equal(
                np.asarray(self.predictions.recorded),
                np.asarray(other.predictions.recorded),
                equal_nan=True,
            )
        )

    def predicts_as(self, other: "ExploredRun") -> bool:
        """Return whether the other run explains the same network."""
        rates = (np.asarray(run.predictions.predicted) for run in (self, other))
        return np.array_equal(*rates)

    def nearest(self, view: View) -> View:
        """Return the view, or as much of it as there is in this run."""
        first = self.first_view()
        here = replace(view, mode=None)
        for attempt in (view, here, replace(here, span_s=None), replace(here, layer=first.layer)):
            try:
                return self.checked(attempt)
            except ValueError:
                continue
        return first

    def checked(self, view: View) -> View:
        """Return the view with its moment at a sample.

        Raises
        ------
        ValueError
            If there is no such layer, cell or mode, or no sample in the span.
        """
        if view.layer not in self.layers:
            guess = did_you_mean(view.layer, self.layers)
            msg = f"No layer {view.layer!r} in this run; it has {', '.join(self.layers)}.{guess}"
            raise ValueError(msg)
        if not 0 <= view.cell < self.n_cells:
            msg = f"No cell {view.cell}; the run has {self.n_cells}, from 0 to {self.n_cells - 1}."
            raise ValueError(msg)
        n_modes = len(np.asarray(self.layers[view.layer].modes.firing))
        if view.mode is not None and not 0 <= view.mode < n_modes:
            msg = f"No mode {view.mode} in layer {view.layer!r}; it has {n_modes}, from 0."
            raise ValueError(msg)
        first, stop = self.stretch(view)
        if stop - first < 2:
            msg = f"Fewer than two samples in {view.span_s}; they go from {self.times[0]:g} "
            raise ValueError(msg + f"to {self.times[-1]:g} s.")
        if view.time_s is None:
            return view
        return replace(view, time_s=round(float(self.times[self.at(view.time_s)]), 6))

    def at(self, time_s: float) -> int:
        """Return the number of the sample that is nearest to a time."""
        after = int(np.clip(np.searchsorted(self.times, time_s), 1, len(self.times) - 1))
        return after - int(time_s - self.times[after - 1] < self.times[after] - time_s)

    def stretch(self, view: View) -> tuple[int, int]:
        """Return the samples in view: the first, and the one after the last."""
        if view.span_s is None:
            return 0, len(self.times)
        first, stop = np.searchsorted(self.times, view.span_s)
        return int(first), int(min(stop + 1, len(self.times)))

    def rates(self, view: View, *, n: int = COLUMNS) -> Predictions:
        """Return both rates of the cell in view, with two samples for each column.

        Where samples are fewer than columns they are all there; otherwise the lowest and the
        highest of each column follow each other. Other cells are NaN.
        """
        both = [self._thinned_rate(name, view.cell) for name in ("recorded", "predicted")]
        first, stop = self.stretch(view)
        starts, *bounds = both[0].columns(first, stop, n)
        bounds += both[1].columns(first, stop, n)[1:]
        width = int(starts[1] - starts[0]) if len(starts) > 1 else 1
        if width == 1:
            sample, values = starts, (bounds[0], bounds[2])
        else:
            last = len(self.times) - 1
            sample = np.stack([starts, np.minimum(starts + width // 2, last)], axis=1).ravel()
            values = tuple(
                np.concatenate(pair, axis=1).reshape(-1, 1) for pair in (bounds[:2], bounds[2:])
            )
        recorded, predicted = (self._among_cells(one, view.cell) for one in values)
        return replace(
            self.predictions, recorded=recorded, predicted=predicted, sample=self.times[sample]
        )

    def contributions(self, view: View, *, n: int = COLUMNS) -> Contributions:
        """Contributions in view, the strongest of each column."""
        layer = self.layers[view.layer]
        starts, low, high = layer.thinned_contributions.columns(*self.stretch(view), n)
        record = layer.contributions
        scalars = {
            name: np.asarray(getattr(record, name)[starts])
            for name in ("sample", "target_value", "baseline_value", "gap")
        }
        values = np.where(-low > high, low, high)
        return replace(record, values=values, n_steps=None, **scalars)

    def modes(self, view: View, *, n: int = COLUMNS) -> Modes:
        """Modes with their loadings in view, the highest of each column."""
        layer = self.layers[view.layer]
        starts, _, high = layer.thinned_loadings.columns(*self.stretch(view), n)
        record = layer.modes
        sample, held_out = (np.asarray(part[starts]) for part in (record.sample, record.held_out))
        return replace(record, loadings=high, sample=sample, held_out=held_out)

    def moment(self, view: View) -> Moment:
        """Compute what made the cell respond at the moment in view.

        Raises
        ------
        ValueError
            If no moment is chosen.
        """
        if view.time_s is None:
            msg = "No moment is chosen: give the view a 'time_s'."
            raise ValueError(msg)
        sample, layer = self.at(view.time_s), self.layers[view.layer]
        one = self.samples.part(sample, sample + 1)
        where = {"cells": [view.cell], "index": [0]}
        irf = separate_space_time(instantaneous_fields(self.network, one, **where))
        channels = attribute_to_channels(self.network, one, layer=view.layer, **where)
        parts = attribute_to_modes(channels, *_at_one(layer, sample))
        silent = not np.asarray(parts.values).any()
        return Moment(
            frames=one.stimulus,
            irf=irf,
            parts=None if silent else moment_maps(parts, most=N_PARTS),
            active=layer.active(sample),
            alike=self._alike(view, sample),
        )

    def recorded_hz(self, view: View) -> float:
        """Return the recorded rate of the cell at the moment in view; NaN where none was."""
        return float(self._rate("recorded", view.cell)[self.at(view.time_s)])

    def warm(self) -> None:
        """Do once what takes long the first time, so that the first click is as fast as others."""
        view = self.first_view()
        middle = float(self.times[len(self.times) // 2])
        for layer in self.layers:
            seen = replace(view, layer=layer, time_s=middle, mode=0)
            self.rates(seen), self.contributions(seen), self.modes(seen), self.moment(seen)
            self.recorded_hz(seen)
            self.layers[layer].cells_of(0, self.n_cells)
            self.layers[layer].fields_of(0)

    def _rate(self, kind: str, cell: int) -> np.ndarray:
        if (kind, cell) not in self._rates:
            self._rates[kind, cell] = np.asarray(getattr(self.predictions, kind)[:, cell])
        return self._rates[kind, cell]

    @cached_property
    def _thinned(self) -> dict[str, Thinned]:
        both = {name: getattr(self.predictions, name) for name in ("recorded", "predicted")}
        return {name: Thinned(values) for name, values in both.items()}

    def _thinned_rate(self, name: str, cell: int) -> "_OneRow":
        return _OneRow(self._thinned[name], cell)

    def _among_cells(self, values: np.ndarray, cell: int) -> np.ndarray:
        table = np.full((len(values), self.n_cells), np.nan, dtype=np.float32)
        table[:, cell] = values[:, 0]
        return table

    def _alike(self, view: View, sample: int) -> pd.DataFrame:
        rate = self._rate("predicted", view.cell)
        found = strongest(rate, self.layers[view.layer].alike(sample), MOST_ALIKE + 1)
        found = found[np.abs(found - sample) > 0][:MOST_ALIKE]
        return pd.DataFrame({"sample": found, "time_s": self.times[found], "rate_hz": rate[found]})


class _OneRow(NamedTuple):
    """One row of something thinned."""

    thinned: Thinned
    row: int

    def columns(self, first: int, stop: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        starts, low, high = self.thinned.columns(first, stop, n)
        return starts, low[:, [self.row]], high[:, [self.row]]


def open_run(folder: str | PathLike, *, recording: str | PathLike | None = None) -> ExploredRun:
    """Open a finished run to look at it; large results stay in their files until asked for.

    Parameters
    ----------
    folder
        Of `pipeline.run`, ``retina-codec run`` or ``retina-codec demo``.
    recording
        Where the recording is now, if it was moved since.

    Raises
    ------
    FileNotFoundError
        If the recording is not where it was.
    ValueError
        If the folder holds no run, or one that is not finished, or the recording has changed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     open_run(folder)
    Traceback (most recent call last):
    ValueError: ... holds no run: expected run.toml in it. Begin one with 'retina-codec run'.
    """
    folder = Path(folder).expanduser().resolve()
    if (folder / "predictions.csv").exists() and not (folder / "predictions.nc").exists():
        msg = f"{folder} holds a run on images. Open it with 'open_gallery'."
        raise ValueError(msg)
    try:
        config, opened = recording_of_run(folder, recording=recording)
    except FileNotFoundError as error:
        msg = f"The recording of this run is gone: {error} Say where it is with 'recording'."
        raise FileNotFoundError(msg) from error
    names = _finished_layers(folder)
    network = load_network(config.network or folder / "network")
    samples = windows_for(network, opened.stimulus, frames=opened.splits["test"])
    predictions: Predictions = lazy(folder / "predictions.nc", "Predictions")
    if len(samples) != predictions.recorded.shape[0]:
        msg = (
            f"The run explains {predictions.recorded.shape[0]} samples, the recording has "
            f"{len(samples)} for tests. Give the recording that the run was made of."
        )
        raise ValueError(msg)
    layers = {name: Layer(folder, name) for name in names}
    kept = Config.kept_in(folder).recording
    return ExploredRun(folder, config, kept, opened, network, samples, predictions, layers)


def _finished_layers(folder: Path) -> list[str]:
    """Names of the layers that were explained.

    Raises
    ------
    ValueError
        If something is missing that is looked at.
    """
    names = sorted(path.stem.removeprefix("modes_") for path in folder.glob("modes_*.nc"))
    needed = ["predictions.nc", *(f"contributions_{name}.nc" for name in names)]
    missing = [name for name in needed if not (folder / name).exists()]
    if not names or missing:
        what = missing[0] if missing else "modes_LAYER.nc"
        msg = f"The run in {folder} is not finished ({what} is missing). Finish it with "
        raise ValueError(msg + f"'retina-codec fields {folder}'.")
    return names


def _at_one(layer: Layer, sample: int) -> tuple[Contributions, Modes]:
    """Contributions and modes of one sample alone."""
    here = slice(sample, sample + 1)
    record, modes = layer.contributions, layer.modes
    names = ("values", "sample", "target_value", "baseline_value", "gap")
    one = {name: np.asarray(getattr(record, name)[here]) for name in names}
    of_modes = {
        name: np.asarray(getattr(modes, name)[here]) for name in ("loadings", "sample", "held_out")
    }
    return replace(record, n_steps=None, **one), replace(modes, **of_modes)
