"""Pictures of where the field of a moment comes from, and of the test by doses."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from retina_codec.datatypes import Fields

from ._fields import draw_map, extent_words, largest
from ._heat_maps import draw_heat_map, name_ticks
from ._style import (
    BASELINE,
    CONTROL,
    INK,
    NETWORK,
    ON_COLOURS,
    axes_or_new,
    figure_or_new,
    height_of,
    open_frame,
    plain,
    positive_scale,
    signed_scale,
)

QUANTITY_COLOURS = {"response": NETWORK, "field": BASELINE, "target": INK}
MEASURES = {
    "r": "r of predicted and\nmeasured change",
    "r_beyond": "the same beyond what\nremoving all alike does",
}
UNITS = ("px", "s", "deg")
FURTHER = {-1: "unexplained", -2: "bypassed"}


def plot_moments(fields: Fields, *, figure: FigureBase | None = None) -> np.ndarray:
    r"""Draw the field of two moments and the parts of it that modes hold.

    Parameters
    ----------
    fields
        Of `receptive_fields.two_moments`.
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        One row of axes for each moment; its maps have one colour scale, and all but the first sum
        to the first.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> items = pd.DataFrame({"sample": [7, 7, 7, 9, 9, 9], "label": ["IRF", "mode 3", "rest"] * 2})
    >>> items = items.assign(time_s=0.5, rate_hz=20.0, share=[1.0, 0.7, 0.3] * 2)
    >>> values = np.random.default_rng(0).normal(size=(6, 1, 8, 8))
    >>> fields = Fields(values=values, items=items, frame_rate_hz=100.0)
    >>> axes = plot_moments(fields, figure=Figure())
    >>> axes.shape, axes[0, 1].get_title()
    ((2, 3), 'mode 3\n70%')
    """
    maps = np.asarray(fields.values)[:, 0]
    moments = list(dict.fromkeys(fields.items["sample"]))
    n_across = len(fields.items) // len(moments)
    figure = figure_or_new(figure, (1.15 * n_across, 0.5 + 1.5 * len(moments)))
    grid = figure.subplots(len(moments), n_across, squeeze=False)
    for row, axes in enumerate(grid):
        first = row * n_across
        limit = largest(maps[first : first + n_across])
        for ax, item in zip(axes, range(first, first + n_across), strict=True):
            about = fields.items.iloc[item]
            draw_map(ax, maps[item], pixel_um=fields.pixel_um, limit=limit)
            ax.set(xticks=[], yticks=[])
            ax.set_title(f"{plain(about['label'])}\n{about['share']:.0%}")
        about = fields.items.iloc[first]
        axes[0].set_ylabel(f"{about['time_s']:.2f} s\n{about['rate_hz']:.0f} Hz")
    figure.supxlabel(f"parts of the field ({extent_words(maps, fields.pixel_um)}) and their shares")
    return grid


def plot_mode_fields(fields: Fields, *, figure: FigureBase | None = None) -> np.ndarray:
    """Draw the mean part of each mode in the fields of each cell: single-mode fields.

    Maps are as strong as the part: the spatial map times the norm of the time course.

    Parameters
    ----------
    fields
        Separated into space and time; items have the columns "cell" and "mode".
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        One axes for each cell (rows) and mode.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from retina_codec.receptive_fields import separate_space_time
    >>> items = pd.DataFrame({"cell": [4, 4, 5, 5], "mode": [0, 1, 0, 1]})
    >>> values = np.random.default_rng(0).normal(size=(4, 5, 8, 8))
    >>> fields = separate_space_time(Fields(values=values, items=items, frame_rate_hz=100.0))
    >>> axes = plot_mode_fields(fields, figure=Figure())
    >>> axes.shape, axes[0, 0].get_ylabel()
    ((2, 2), 'cell 4')
    """
    strength = np.linalg.norm(np.asarray(fields.time_course), axis=1)
    maps = np.asarray(fields.space) * strength[:, None, None]
    cells = list(dict.fromkeys(fields.items["cell"]))
    modes = list(dict.fromkeys(fields.items["mode"]))
    figure = figure_or_new(figure, (0.8 + 0.6 * len(modes), 0.5 + 0.7 * len(cells)))
    grid = figure.subplots(len(cells), len(modes), squeeze=False)
    pairs = zip(fields.items["cell"], fields.items["mode"], strict=True)
    rows = {pair: row for row, pair in enumerate(pairs)}
    for cell, axes in zip(cells, grid, strict=True):
        limit = largest(maps[[rows[cell, mode] for mode in modes]])
        for mode, ax in zip(modes, axes, strict=True):
            draw_map(ax, np.nan_to_num(maps[rows[cell, mode]]), pixel_um=None, limit=limit)
            ax.set(xticks=[], yticks=[])
        axes[0].set_ylabel(f"cell {cell}", rotation=0, ha="right", va="center")
    for mode, ax in zip(modes, grid[0], strict=True):
        ax.set_title(FURTHER.get(mode, str(mode)), rotation=90.0 if mode < 0 else 0.0)
    figure.supxlabel("mode (one colour scale for each cell)")
    return grid


def plot_field_shares(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how much of the fields of each cell each mode holds.

    Parameters
    ----------
    table
        Columns "cell", "mode" (below 0: unexplained, bypassed) and "share".
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Heat map: cells (rows) and modes (columns).

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"cell": [4, 4, 5, 5], "mode": [0, -1, 0, -1]})
    >>> ax = plot_field_shares(table.assign(share=[0.8, 0.2, 0.9, 0.1]), ax=Figure().subplots())
    >>> [tick.get_text() for tick in ax.get_xticklabels()]
    ['0', 'unexplained']
    """
    wide = table.pivot(index="cell", columns="mode", values="share")
    wide = wide[sorted(wide.columns, key=lambda mode: (mode < 0, abs(mode)))]
    ax = axes_or_new(ax, (6.8, height_of(len(wide))))
    values = 100 * wide.to_numpy()
    draw_heat_map(ax, values, scale=signed_scale(values), bar_label="share of the field (%)")
    name_ticks(ax.yaxis, [str(cell) for cell in wide.index])
    name_ticks(ax.xaxis, [FURTHER.get(mode, str(mode)) for mode in wide.columns], rotation=90.0)
    ax.set(xlabel="mode", ylabel="cell")
    return ax


def plot_explained(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how well each set of predictors explains each feature of the field, on moments held out.

    Parameters
    ----------
    table
        Columns "feature", "predictor", "r2"; means over cells are drawn, and what is below 0 as 0.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Heat map: predictors (rows) and features of the field (columns).

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"predictor": ["rate", "modes"], "r2": [0.1, 0.7]})
    >>> table = table.assign(feature="size_px")
    >>> ax = plot_explained(table, ax=Figure().subplots())
    >>> [text.get_text() for text in ax.texts], ax.get_xticklabels()[0].get_text()
    (['0.10', '0.70'], 'size (px)')
    """
    wide = table.groupby(["predictor", "feature"], sort=False)["r2"].mean().unstack()
    ax = axes_or_new(ax, (6.0, height_of(len(wide))))
    values = np.clip(wide.to_numpy(), 0, None)
    scale = positive_scale(values)
    draw_heat_map(ax, values, scale=scale, bar_label="variance explained (R²)")
    for (row, column), value in np.ndenumerate(wide.to_numpy()):
        colour = "white" if value > 0.6 * scale["vmax"] else ON_COLOURS
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=6.5)
    name_ticks(ax.yaxis, [plain(name) for name in wide.index])
    ax.set_xticks(range(wide.shape[1]), labels=[_feature(name) for name in wide.columns])
    ax.set(xlabel="feature of the field", ylabel="predictor")
    return ax


def _feature(name: str) -> str:
    """Name of a description of a field, with its unit in brackets."""
    words, _, unit = plain(name).rpartition("_")
    text = f"{words} ({unit})" if unit in UNITS else plain(name)
    return text.replace("_", "\n")


def plot_doses(summary: pd.DataFrame, *, figure: FigureBase | None = None) -> np.ndarray:
    """Draw how well the change was predicted at each dose of a mode, beside random channels.

    Parameters
    ----------
    summary
        Of `causal.dose_summary`; modes removed are drawn.
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        Two axes: the correlation, and the same beyond what removing all channels alike would do.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> rows = [("response", "removed", dose, "r", 0.9, 0.3) for dose in (0.1, 1.0)]
    >>> columns = ["quantity", "kind", "dose", "measure", "mode", "control"]
    >>> axes = plot_doses(pd.DataFrame(rows, columns=columns), figure=Figure(layout="constrained"))
    >>> axes[0].get_xlabel(), axes[0].lines[0].get_xdata().tolist()
    ('dose of the mode that is removed', [0.1, 1.0])
    """
    figure = figure_or_new(figure, (6.8, 2.6))
    axes = figure.subplots(1, 2, sharey=True)
    removed = summary[summary["kind"] == "removed"]
    for ax, (measure, label) in zip(axes, MEASURES.items(), strict=True):
        for quantity, rows in removed[removed["measure"] == measure].groupby("quantity"):
            colour = QUANTITY_COLOURS.get(str(quantity), CONTROL)
            ax.plot(rows["dose"], rows["mode"], "o-", color=colour, markersize=4, label=quantity)
            ax.plot(
                rows["dose"],
                rows["control"],
                "s:",
                color=colour,
                markersize=3,
                markerfacecolor="white",
                label=f"{quantity}, random channels",
            )
        ax.axhline(0, color=CONTROL, linewidth=0.6)
        ax.set(xlabel="dose of the mode that is removed", ylabel=label, xlim=(0, 1.05))
        open_frame(ax)
    axes[0].set_ylim(top=1.05)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return axes
