"""Pictures of what recorded cells add: spikes beyond the rate, interneurons beside units."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ._heat_maps import name_ticks
from ._style import CONTROL, INK, NETWORK, axes_or_new, open_frame

CALLED = 0.05
SPREAD = 0.7
USUAL, BEYOND = 0.9, 3.0
"""What lies below so many times the gain at this quantile is off the axis."""


def plot_spike_gains(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    r"""Draw how much each mode says about the spikes of each cell beyond the model's rate.

    A few pairs whose fit fails on other data lie far below 0; they are marks at the lower edge.

    Parameters
    ----------
    table
        One row for each pair: columns "cell", "mode", "gain", "low", "high", "chance", "q". Pairs
        called at a false discovery rate of 5 % have their 95 % interval.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Modes side by side, and the cells of each.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"cell": [0, 1, 0, 1], "mode": [0, 0, 1, 1]})
    >>> table = table.assign(gain=[0.0, 0.01, 0.2, 0.3], low=-0.1, high=0.4, chance=0.0)
    >>> ax = plot_spike_gains(table.assign(q=[0.8, 0.8, 0.01, 0.01]), ax=Figure().subplots())
    >>> ax.get_ylabel(), [text.get_text() for text in ax.get_legend().get_texts()]
    ('gain beyond the rate\n(bits per spike)', ['chance (mean)', 'not called', 'q < 0.05'])
    """
    ax = axes_or_new(ax, (6.4, 2.6))
    modes, cells = np.unique(table["mode"]), np.unique(table["cell"])
    beside = SPREAD * ((np.searchsorted(cells, table["cell"]) + 0.5) / len(cells) - 0.5)
    x = pd.Series(np.searchsorted(modes, table["mode"]) + beside, index=table.index)
    called = table["q"] < CALLED
    floor = -BEYOND * table["gain"][table["q"].notna()].abs().quantile(USUAL)
    below = (table["gain"] < floor) & table["q"].notna()
    ax.axhline(0, color=INK, linewidth=0.6)
    ax.plot(
        x,
        table["chance"].clip(lower=floor),
        "_",
        color=CONTROL,
        markersize=3,
        label="chance (mean)",
    )
    others = ~called & table["q"].notna() & ~below
    grey = {"color": CONTROL, "markersize": 2.5}
    ax.plot(x[others], table["gain"][others], "o", label="not called", **grey)
    if below.any():
        edge = np.full(int(below.sum()), floor)
        ax.plot(x[below], edge, "v", label=f"below the axis (n = {len(edge)})", **grey)
        ax.set_ylim(bottom=1.1 * floor)
    _points(ax, x[called], table[called], "gain", label=f"q < {CALLED}")
    name_ticks(ax.xaxis, [str(mode) for mode in modes])
    ax.set_xlim(-0.6, len(modes) - 0.4)
    ax.set(xlabel="mode (cells side by side)", ylabel="gain beyond the rate\n(bits per spike)")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.2)
    open_frame(ax)
    return ax


def plot_interneuron_matches(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    r"""Draw how well each recorded interneuron goes with its best unit, beside chance.

    Parameters
    ----------
    table
        One row for each interneuron: columns "interneuron", "unit", "r", "low", "high", "chance",
        "chance_high", "q".
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Interneurons side by side.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"interneuron": [0, 1], "unit": [17, 250], "r": [0.7, 0.4]})
    >>> table = table.assign(low=0.3, high=0.8, chance=0.02, chance_high=0.1, q=[0.01, 0.2])
    >>> ax = plot_interneuron_matches(table, ax=Figure().subplots())
    >>> ax.get_ylabel(), ax.get_xticklabels()[0].get_text()
    ('Pearson r, held out', '0\nunit 17')
    """
    ax = axes_or_new(ax, (4.8, 2.6))
    x, called = np.arange(len(table)), (table["q"] < CALLED).to_numpy()
    ax.axhline(0, color=INK, linewidth=0.6)
    ax.bar(
        x,
        table["chance_high"] - table["chance"],
        bottom=table["chance"],
        width=0.6,
        color=CONTROL,
        alpha=0.35,
        label="chance (mean to 95 %)",
    )
    _points(ax, x[~called], table[~called], "r", label="not called", fillstyle="none")
    _points(ax, x[called], table[called], "r", label=f"q < {CALLED}")
    names = [f"{i}\nunit {u}" for i, u in zip(table["interneuron"], table["unit"], strict=True)]
    ax.set_xticks(x, labels=names, rotation=90 if len(names) > 10 else 0)
    ax.set_xlim(-0.6, len(table) - 0.4)
    ax.set(xlabel="interneuron and its best unit", ylabel="Pearson r, held out")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.2)
    open_frame(ax)
    return ax


def _points(ax: Axes, x, rows: pd.DataFrame, value: str, *, label: str, fillstyle="full") -> None:
    """Values with their interval; nothing where there are no rows."""
    if not len(rows):
        return
    reach = np.abs(rows[["low", "high"]].to_numpy().T - rows[value].to_numpy())
    ax.errorbar(
        x,
        rows[value],
        yerr=reach,
        fmt="o",
        color=NETWORK,
        markersize=4,
        elinewidth=1,
        fillstyle=fillstyle,
        label=label,
    )
