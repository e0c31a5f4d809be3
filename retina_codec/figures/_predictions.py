"""Pictures of how well a network predicts the recorded rates, beside a simpler one."""

import numpy as np
from matplotlib.axes import Axes

from retina_codec.datatypes import Predictions

from ._heat_maps import name_ticks
from ._samples import Span, rows_of, sample_axis, samples_in
from ._style import BASELINE, NETWORK, RECORDED, axes_or_new, open_frame, plain


def plot_prediction(
    predictions: Predictions,
    *,
    cell: int,
    baseline: Predictions | None = None,
    span_s: Span | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the recorded rate of one cell and what the networks say, with their r.

    Parameters
    ----------
    predictions
        Of the network.
    cell
        Its row in the table of scores.
    baseline
        Predictions of a simpler model, such as an LN model.
    span_s
        First and last time drawn; None draws all.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Recorded rate as an area, predictions as lines.

    Raises
    ------
    ValueError
        If there is no sample in the span.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> rates = np.random.default_rng(0).poisson(5.0, (50, 1)).astype(float)
    >>> predictions = Predictions(
    ...     recorded=rates,
    ...     predicted=rates + 1,
    ...     sample=np.arange(50) / 100,
    ...     scores=pd.DataFrame({"pearson_r": [1.0]}),
    ...     network="deep-retina network",
    ... )
    >>> ax = plot_prediction(predictions, cell=0, ax=Figure().subplots())
    >>> ax.get_ylabel(), ax.lines[0].get_label()
    ('firing rate (Hz)', 'deep-retina network, r = 1.00')
    """
    ax = axes_or_new(ax, (7.2, 1.9))
    drawn = samples_in(np.asarray(predictions.sample), span_s)
    x, label = sample_axis(np.asarray(predictions.sample)[drawn])
    recorded = rows_of(predictions.recorded, drawn)[:, cell]
    ax.fill_between(x, recorded, color=RECORDED, linewidth=0, label="recorded")
    if baseline is not None:
        _draw_rate(ax, baseline, cell=cell, span_s=span_s, color=BASELINE)
    _draw_rate(ax, predictions, cell=cell, span_s=span_s, color=NETWORK)
    ax.set(xlabel=label, ylabel=predictions.label("recorded"), xlim=(x[0], x[-1]))
    ax.set_ylim(bottom=0)
    ax.set_title(f"cell {cell}", loc="left")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 0.97), ncols=3, borderaxespad=0.2)
    open_frame(ax)
    return ax


def plot_scores(
    predictions: Predictions, baseline: Predictions | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw the r of each cell for the network and, beside it, for a simpler model.

    Parameters
    ----------
    predictions
        Of the network.
    baseline
        Predictions of a simpler model for the same cells.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        One point for each cell and network.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> predictions = Predictions(
    ...     recorded=np.ones((50, 2)),
    ...     predicted=np.ones((50, 2)),
    ...     sample=np.arange(50) / 100,
    ...     scores=pd.DataFrame({"pearson_r": [0.6, 0.7]}),
    ...     network="deep-retina network",
    ... )
    >>> ax = plot_scores(predictions, ax=Figure().subplots())
    >>> ax.get_ylabel(), ax.lines[0].get_ydata().tolist()
    ('Pearson r', [0.6, 0.7])
    """
    ax = axes_or_new(ax, (5.6, 2.4))
    cells = np.arange(len(predictions.scores))
    if baseline is not None:
        low, high = _pearson_r(baseline), _pearson_r(predictions)
        ax.vlines(cells, low, high, color=RECORDED, linewidth=1.5, zorder=1)
        _draw_scores(ax, baseline, color=BASELINE, marker="s")
    _draw_scores(ax, predictions, color=NETWORK, marker="o")
    name_ticks(ax.xaxis, [str(cell) for cell in cells])
    ax.set(xlabel="cell", ylabel="Pearson r", xlim=(-0.6, len(cells) - 0.4))
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]), top=1.0)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
    open_frame(ax)
    return ax


def _draw_rate(
    ax: Axes, predictions: Predictions, *, cell: int, span_s: Span | None, color: str
) -> None:
    drawn = samples_in(np.asarray(predictions.sample), span_s)
    x, _ = sample_axis(np.asarray(predictions.sample)[drawn])
    score = _pearson_r(predictions)[cell]
    ax.plot(
        x,
        rows_of(predictions.predicted, drawn)[:, cell],
        color=color,
        linewidth=1.1,
        label=f"{plain(predictions.network)}, r = {score:.2f}",
    )


def _draw_scores(ax: Axes, predictions: Predictions, *, color: str, marker: str) -> None:
    scores = _pearson_r(predictions)
    mean = np.nanmean(scores) if np.isfinite(scores).any() else np.nan
    label = f"{plain(predictions.network)}, mean r = {mean:.2f}"
    ax.plot(range(len(scores)), scores, marker, color=color, markersize=4.5, label=label)
    ax.axhline(mean, color=color, linewidth=0.9, linestyle="--")


def _pearson_r(predictions: Predictions) -> np.ndarray:
    return predictions.scores["pearson_r"].to_numpy(dtype=float)
