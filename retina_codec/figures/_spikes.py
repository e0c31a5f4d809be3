"""Pictures of what recorded cells add: spikes beyond the rate, interneurons beside units."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ._heat_maps import name_ticks
from ._style import CONTROL, INK, NETWORK, axes_or_new, open_frame

CALLED = 0.05
SPREAD = 0.7


def plot_spike_gains(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how much each mode says about the spikes of each cell beyond the model's rate.

    Parameters
    ----------
    table
        One row for each pair: columns "cell", "mode", "gain", "low", "high", "chance", "q". Pairs
        called at a false discovery rate of 5 % have their 95 % interval.
    ax
        Where to draw; None makes a new figure.
    """
    ax = axes_or_new(ax, (6.4, 2.6))
    modes, cells = np.unique(table["mode"]), np.unique(table["cell"])
    beside = SPREAD * ((np.searchsorted(cells, table["cell"]) + 0.5) / len(cells) - 0.5)
    x = pd.Series(np.searchsorted(modes, table["mode"]) + beside, index=table.index)
    called = table["q"] < CALLED
    ax.axhline(0, color=INK, linewidth=0.6)
    ax.plot(x, table["chance"], "_", color=CONTROL, markersize=3, label="chance (mean)")
    others = ~called & table["q"].notna()
    grey = {"color": CONTROL, "markersize": 2.5}
    ax.plot(x[others], table["gain"][others], "o", label="not called", **grey)
    _points(ax, x[called], table[called], "gain", label=f"q < {CALLED}")
    name_ticks(ax.xaxis, [str(mode) for mode in modes])
    ax.set_xlim(-0.6, len(modes) - 0.4)
    ax.set(xlabel="mode (cells side by side)", ylabel="gain beyond the rate\n(bits per spike)")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.2)
    open_frame(ax)
    return ax


def plot_interneuron_matches(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how well each recorded interneuron goes with its best unit, beside chance.

    Parameters
    ----------
    table
        One row for each interneuron: columns "interneuron", "unit", "r", "low", "high", "chance",
        "chance_high", "q".
    ax
        Where to draw; None makes a new figure.
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
