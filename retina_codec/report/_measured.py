"""Sections on what was measured and how well it is predicted."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from retina_codec.datatypes import Predictions, Recording
from retina_codec.figures import plot_prediction, plot_rates, plot_scores, plot_stimulus

from ._picture import Picture, height_of, picture
from ._section import Part, Section
from ._spans import prediction_span, recording_span, span_words

N_FRAMES = 8
STIMULUS_FILE, RATES_FILE = "shown_frames.csv", "shown_rates.csv"
PREDICTION_FILES = "predictions.nc", "baseline_predictions.nc"


def recording_section(recording: Recording) -> Section:
    """Stimulus, rates and the table of cells."""
    stimulus, (n_frames, n_cells) = recording.stimulus, recording.rates.shape
    parts = ", ".join(
        f"{name} (frames {start} to {stop - 1})" for name, (start, stop) in recording.splits.items()
    )
    lead = (
        f"{n_cells} cells, {n_frames} frames at {stimulus.frame_rate_hz:g} Hz "
        f"({stimulus.duration_s:.1f} s) of the stimulus {stimulus.name!r}. "
        f"Source: {recording.source or 'not known'}. Splits: {parts or 'none'}."
    )
    pictures = (_stimulus_picture(recording), _rates_picture(recording))
    tables = {"Table of cells": recording.cells} if len(recording.cells.columns) else {}
    files = {STIMULUS_FILE: _shown_frames(recording), RATES_FILE: _shown_rates(recording)}
    part = Part(pictures=pictures, tables=tables, files=files)
    return Section(name="recording", title="Recording", lead=lead, parts=(part,))


def prediction_section(predictions: Predictions, baseline: Predictions | None) -> Section:
    """Show recorded and predicted rates, beside the LN model where there is one."""
    beside = f" beside the simpler model {baseline.network!r}" if baseline is not None else ""
    lead = (
        f"How well the network {predictions.network!r} predicts the recorded rates{beside}. "
        "Contributions explain the network, so they say as much about the retina as the network "
        "does."
    )
    pictures = (_scores_picture(predictions, baseline), _prediction_picture(predictions, baseline))
    scores = predictions.scores
    if "cell" not in scores.columns:
        scores = scores.rename_axis("cell").reset_index()
    part = Part(pictures=pictures, tables={"Scores of the network, by cell": scores})
    return Section(name="prediction", title="Prediction", lead=lead, parts=(part,))


def _step(recording: Recording) -> int:
    """Frames from one that is shown to the next: 0.1 s."""
    return max(1, round(0.1 * recording.stimulus.frame_rate_hz))


def _shown_frames(recording: Recording) -> pd.DataFrame:
    """Return the frames that are shown: a row for each row of pixels."""
    stimulus, step = recording.stimulus, _step(recording)
    frames = np.asarray(stimulus.frames[: N_FRAMES * step : step])
    n_frames, n_y, n_x = frames.shape
    times = stimulus.start_s + np.arange(n_frames) * step / stimulus.frame_rate_hz
    table = pd.DataFrame(frames.reshape(-1, n_x), columns=[f"x{x}" for x in range(n_x)])
    table.insert(0, "y", np.tile(np.arange(n_y), n_frames))
    table.insert(0, "time_s", np.repeat(times, n_y))
    return table


def _shown_rates(recording: Recording) -> pd.DataFrame:
    """Return the rates that are shown in Hz: a row for each frame, a column for each cell."""
    stimulus, (first, last) = recording.stimulus, recording_span(recording)
    times = stimulus.start_s + np.arange(len(recording.rates)) / stimulus.frame_rate_hz
    shown = (times >= first) & (times <= last)
    rates = np.asarray(recording.rates)[shown]
    table = pd.DataFrame(rates, columns=[f"cell_{cell}_hz" for cell in range(rates.shape[1])])
    table.insert(0, "time_s", times[shown])
    return table


def _stimulus_picture(recording: Recording) -> Picture:
    stimulus, step = recording.stimulus, _step(recording)
    n_y, n_x = stimulus.frames.shape[1:]
    pixel = f", pixels of {stimulus.pixel_um:g} µm" if stimulus.pixel_um else ""
    return picture(
        lambda figure: plot_stimulus(stimulus, n_frames=N_FRAMES, step=step, ax=figure.subplots()),
        size=(7.6, 1.5),
        caption=(
            f"Stimulus from its start, one frame in {step}, with its time in s. n = "
            f"{len(stimulus.frames[: N_FRAMES * step : step])} frames of {n_y} × {n_x} "
            f"pixels{pixel}; one grey scale for all."
        ),
        alt=f"A strip of up to {N_FRAMES} frames of the stimulus.",
        data=(STIMULUS_FILE,),
    )


def _rates_picture(recording: Recording) -> Picture:
    span, (n_frames, n_cells) = recording_span(recording), recording.rates.shape
    missing = 100 * float(np.isnan(np.asarray(recording.rates)).mean())
    times = np.arange(n_frames) / recording.stimulus.frame_rate_hz + recording.stimulus.start_s
    hatched = f" Hatched: not observed, {missing:.1f} % of the whole recording." if missing else ""
    return picture(
        lambda figure: plot_rates(recording, span_s=span, ax=figure.subplots()),
        size=(7.6, height_of(n_cells)),
        caption=(
            f"Recorded firing rate in Hz of n = {n_cells} cells around the moment with the highest "
            f"summed rate, {span_words(span, times, noun='frames')}.{hatched}"
        ),
        alt=f"Heat map of firing rates, time by {n_cells} cells.",
        data=(RATES_FILE,),
    )


def _scores_picture(predictions: Predictions, baseline: Predictions | None) -> Picture:
    scores = predictions.scores["pearson_r"]
    beside = ", squares the simpler model" if baseline is not None else ""
    both = [predictions] if baseline is None else [predictions, baseline]
    words = [f"{record.network}: {record.scores['pearson_r'].mean():.2f}" for record in both]
    return picture(
        lambda figure: plot_scores(predictions, baseline, ax=figure.subplots()),
        size=(6.4, 2.5),
        caption=(
            "Pearson r (no unit) between recorded and predicted rate of each cell "
            f"(n = {len(scores)} cells, {len(predictions.sample)} samples). Discs show the network"
            f"{beside}; dashed lines are means over cells."
        ),
        alt=f"Pearson r of each cell. Mean r of {', of '.join(words)}.",
        data=(*PREDICTION_FILES[: 1 if baseline is None else 2],),
    )


def _prediction_picture(predictions: Predictions, baseline: Predictions | None) -> Picture:
    cells, span = _example_cells(predictions), prediction_span(predictions)

    def draw(figure: Figure) -> None:
        for ax, cell in zip(figure.subplots(len(cells), squeeze=False)[:, 0], cells, strict=True):
            plot_prediction(predictions, cell=cell, baseline=baseline, span_s=span, ax=ax)
            if cell != cells[-1]:
                ax.set_xlabel("")

    names = "best, in the middle and worst" if len(cells) == 3 else "from best to worst"
    return picture(
        draw,
        size=(7.6, 0.4 + 1.6 * len(cells)),
        caption=(
            f"Recorded (grey) and predicted firing rate in Hz of n = {len(cells)} cells, "
            f"predicted {names} (by r): {span_words(span, np.asarray(predictions.sample))}. "
            "The r in the legend is that of all samples."
        ),
        alt=f"Recorded and predicted rates over time of cells {', '.join(map(str, cells))}.",
        data=(*PREDICTION_FILES[: 1 if baseline is None else 2],),
    )


def _example_cells(predictions: Predictions) -> list[int]:
    """Best, median and worst cell; all cells where there are fewer than three."""
    r = predictions.scores["pearson_r"].to_numpy(dtype=float)
    order = np.argsort(-np.nan_to_num(r, nan=-np.inf), kind="stable")
    chosen = order[[0, len(order) // 2, -1]] if len(order) >= 3 else order
    return [int(cell) for cell in chosen]
