"""Pictures of how modes go with classes, across layers, beside what chance gives."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D

from ._style import (
    CONTROL,
    INK,
    MARKERS,
    SERIES,
    axes_or_new,
    figure_or_new,
    open_frame,
    plain,
)

PERCENT = 100
BESIDE = 0.07
PARTS = ("layer", "kind")
DASHES = ("-", "--", "-.")
ABOVE = "outside upper right"
OPEN = {"marker": "s", "markersize": 4, "markerfacecolor": "white", "linestyle": "none"}
RANK_TICKS = (1, 2, 5, 10, 20, 50, 100)


def plot_class_modes(summary: pd.DataFrame, *, figure: FigureBase | None = None) -> np.ndarray:
    r"""Draw how far the modes of each layer go with classes, for each kind of modes or channels.

    Parameters
    ----------
    summary
        One row for each layer and kind: columns "layer", "kind", "r", "low", "high", "chance",
        "share", "classes_covered", "n_classes".
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        Three axes: median best r with its 95 % interval, beside chance; class modes; classes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"layer": ["conv1", "conv2"], "kind": "modes", "r": [0.2, 0.6]})
    >>> table = table.assign(low=[0.1, 0.5], high=[0.3, 0.7], chance=0.1, share=[0.1, 0.8])
    >>> table = table.assign(classes_covered=[1, 8], n_classes=10)
    >>> axes = plot_class_modes(table, figure=Figure(layout="constrained"))
    >>> axes[2].get_ylabel(), axes[2].lines[0].get_ydata().tolist()
    ('classes that have\na class mode (%)', [10.0, 80.0])
    """
    figure = figure_or_new(figure, (7.2, 2.9))
    axes = figure.subplots(1, 3)
    layers = list(dict.fromkeys(summary["layer"]))
    for number, (kind, rows) in enumerate(_series(summary, ["kind"])):
        x, rows = _at_layers(rows, layers, number)
        look = _look(number)
        axes[0].errorbar(x, rows["r"], yerr=_reach(rows, "r"), label=kind, capsize=2, **look)
        axes[0].plot(x, rows["chance"], ":", color=look["color"], linewidth=1.2)
        axes[1].plot(x, PERCENT * rows["share"], **look)
        covered = PERCENT * rows["classes_covered"] / rows["n_classes"]
        axes[2].plot(x, covered, **look)
    labels = ("best r with a class,\nmedian over modes", "class modes\n(% of those tested)")
    for ax, label in zip(axes, (*labels, "classes that have\na class mode (%)"), strict=True):
        _name_layers(ax, layers)
        ax.set_ylim(bottom=min(0, ax.get_ylim()[0]) if ax is axes[0] else 0)
        ax.set_ylabel(label)
    for ax in axes[1:]:
        ax.set_ylim(-3, 103)
    figure.legend(**_legend_of(axes[0], "chance", linestyle=":"), loc=ABOVE)
    return axes


def plot_class_coverage(table: pd.DataFrame, *, figure: FigureBase | None = None) -> np.ndarray:
    r"""Draw how many modes go with a class, and how many classes with a mode.

    Parameters
    ----------
    table
        Columns "rank", "class_averaged", "mode_averaged", where known "class_chance" and
        "mode_chance", and, if there are several curves, "layer", "kind" or both.
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        Two axes: r over the rank of modes, and over the rank of classes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"rank": [1, 2], "class_averaged": [0.7, 0.2]})
    >>> table = table.assign(mode_averaged=[0.6, 0.1])
    >>> axes = plot_class_coverage(table, figure=Figure(layout="constrained"))
    >>> axes[0].get_ylabel(), axes[1].get_xlabel()
    ('Pearson r', 'rank of the class\n(1: goes best with the mode)')
    """
    figure = figure_or_new(figure, (6.0, 2.9))
    axes = figure.subplots(1, 2, sharey=True)
    with_chance = "class_chance" in table
    for ax, what in zip(axes, ("class", "mode"), strict=True):
        for number, (name, rows) in enumerate(_series(table, PARTS)):
            look = _look_of_kind(number, rows, table) | {"markersize": 3}
            ax.plot(rows["rank"], rows[f"{what}_averaged"], label=name or "modes", **look)
            if with_chance:
                ax.plot(rows["rank"], rows[f"{what}_chance"], ":", color=look["color"])
        _rank_axis(ax, int(table["rank"][table[f"{what}_averaged"].notna()].max()))
    axes[0].set(xlabel="rank of the mode\n(1: goes best with the class)", ylabel="Pearson r")
    axes[0].set_title("mean over classes", loc="left")
    axes[1].set_xlabel("rank of the class\n(1: goes best with the mode)")
    axes[1].set_title("mean over modes", loc="left")
    figure.legend(**_legend_of(axes[0], "chance" if with_chance else "", linestyle=":"), loc=ABOVE)
    return axes


def plot_class_dimensionality(
    table: pd.DataFrame, *, figure: FigureBase | None = None
) -> np.ndarray:
    r"""Draw how many dimensions the class means of each layer span, beside labels by chance.

    Parameters
    ----------
    table
        One row for each layer: columns "layer", "components", "chance", "low", "high" and the same
        as "normalised", "normalised_chance", ...; and, if there are several curves, "kind".
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        Two axes: number of components; as a share of the largest number possible.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"layer": ["conv1", "conv2"], "components": [3, 7], "chance": 6.5})
    >>> table = table.assign(low=6.0, high=7.0, normalised=[1 / 3, 7 / 9])
    >>> table = table.assign(normalised_chance=0.7, normalised_low=0.6, normalised_high=0.8)
    >>> axes = plot_class_dimensionality(table, figure=Figure(layout="constrained"))
    >>> axes[0].lines[0].get_ydata().tolist(), axes[1].get_ylabel()
    ([3, 7], '% of the largest\nnumber possible')
    """
    figure = figure_or_new(figure, (6.0, 2.9))
    axes = figure.subplots(1, 2)
    layers = list(dict.fromkeys(table["layer"]))
    for number, (kind, rows) in enumerate(_series(table, ["kind"])):
        x, rows = _at_layers(rows, layers, number)
        shares = rows[[name for name in rows if name.startswith("normalised")]]
        shares = shares.rename(columns=lambda name: name.removeprefix("normalised_"))
        shares = shares.rename(columns={"normalised": "components"})
        for ax, numbers in zip(axes, (rows, PERCENT * shares), strict=True):
            _beside_chance(ax, x, numbers, "components", number, kind or "class means")
    axes[0].set_ylabel("components to 95 % of the\nvariance of class means")
    axes[1].set_ylabel("% of the largest\nnumber possible")
    for ax in axes:
        _name_layers(ax, layers)
        ax.set_ylim(bottom=0)
    figure.legend(**_legend_of(axes[0], "labels in another order (95 %)", **OPEN), loc=ABOVE)
    return axes


def plot_heads(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how few attention heads carry a sample, beside random groups of channels.

    Parameters
    ----------
    table
        One row for each layer: columns "layer", "sparsity", "chance", "low", "high", "gaussian";
        and, if there are several curves, "kind".
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        One curve over layers for each kind.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"layer": ["block 0", "block 1"], "sparsity": [0.3, 0.4]})
    >>> table = table.assign(chance=0.25, low=0.2, high=0.3, gaussian=0.24)
    >>> ax = plot_heads(table, ax=Figure().subplots())
    >>> ax.get_xlabel(), [tick.get_text() for tick in ax.get_xticklabels()]
    ('layer', ['block 0', 'block 1'])
    """
    ax = axes_or_new(ax, (4.6, 2.9))
    layers = list(dict.fromkeys(table["layer"]))
    ax.axhline(
        table["gaussian"].iloc[0], color=CONTROL, linestyle="--", linewidth=0.8, label="Gaussian"
    )
    for number, (kind, rows) in enumerate(_series(table, ["kind"])):
        x, rows = _at_layers(rows, layers, number)
        _beside_chance(ax, x, rows, "sparsity", number, kind or "heads")
    _name_layers(ax, layers)
    ax.set_ylim(bottom=0)
    ax.set_ylabel("Hoyer sparsity over heads,\nmedian over samples")
    legend = _legend_of(ax, "random groups (95 %)", **OPEN)
    ax.legend(**{**legend, "ncols": 2}, loc="lower left", bbox_to_anchor=(-0.1, 1))
    return ax


def _beside_chance(ax: Axes, x, rows: pd.DataFrame, value: str, number: int, name: str) -> None:
    """Draw a line of values, and in open squares what chance gives."""
    look = _look(number)
    ax.plot(x, rows[value], label=name, **look)
    reach = _reach(rows, "chance")
    bars = {"color": look["color"], "elinewidth": 1, "capsize": 2}
    ax.errorbar(x, rows["chance"], yerr=reach, **bars, **OPEN)


def _series(table: pd.DataFrame, names: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each curve in the order of the table, with its name; all if unnamed."""
    names = [name for name in names if name in table]
    if not names:
        yield "", table
        return
    for key, rows in table.groupby(names, sort=False):
        yield ", ".join(plain(part) for part in key), rows


def _look(number: int) -> dict:
    return {
        "color": SERIES[number % len(SERIES)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 4,
        "linewidth": 1.2,
    }


def _look_of_kind(number: int, rows: pd.DataFrame, table: pd.DataFrame) -> dict:
    """Return a colour for each layer and a dash for each kind, where curves have both."""
    if not {"layer", "kind"} <= set(table):
        return _look(number)
    layer, kind = (list(table[name].unique()).index(rows[name].iloc[0]) for name in PARTS)
    return _look(layer) | {"linestyle": DASHES[kind % len(DASHES)]}


def _at_layers(
    rows: pd.DataFrame, layers: Sequence[str], number: int
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return where to draw a curve, a little beside the one before, and its row for each layer."""
    return np.arange(len(layers)) + BESIDE * number, rows.set_index("layer").reindex(layers)


def _reach(rows: pd.DataFrame, middle: str) -> np.ndarray:
    return np.abs(rows[["low", "high"]].to_numpy(dtype=float).T - rows[middle].to_numpy())


def _name_layers(ax: Axes, layers: Sequence[str]) -> None:
    names = [plain(layer) for layer in layers]
    upright = len(names) > 4 or max(map(len, names)) > 8
    ax.set_xticks(np.arange(len(names)), labels=names, rotation=90 if upright else 0)
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_xlabel("layer")
    open_frame(ax)


def _rank_axis(ax: Axes, last: int) -> None:
    ticks = [rank for rank in RANK_TICKS if rank <= last]
    ax.set_xscale("log")
    ax.set_xticks(ticks, labels=[str(rank) for rank in ticks])
    ax.minorticks_off()
    ax.axhline(0, color=INK, linewidth=0.6, zorder=0)
    open_frame(ax)


def _legend_of(ax: Axes, chance: str, **look) -> dict:
    """Return what a legend needs: the named curves, then one entry for what chance gives."""
    handles, labels = ax.get_legend_handles_labels()
    named = [pair for pair in zip(handles, labels, strict=True) if pair[1]]
    if chance:
        named.append((Line2D([], [], color=INK, linewidth=1.2, **look), chance))
    handles, labels = ([pair[i] for pair in named] for i in (0, 1))
    return {"handles": handles, "labels": labels, "ncols": 3 if len(named) != 4 else 2}
