"""Picture of the channels that stimuli engage."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from ._heat_maps import name_ticks
from ._style import BASELINE, CONTROL, INK, NETWORK, figure_or_new, open_frame, plain

COLOURS = (NETWORK, BASELINE, CONTROL, INK)
LABELS = {
    "effective channels": "effective channels",
    "channels per sample": "channels per sample\n(participation ratio)",
    "channels above share": "channels above\nthe least share",
}
SPREAD = 0.5


def plot_pathways(table: pd.DataFrame, *, figure: FigureBase | None = None) -> np.ndarray:
    """Draw how many channels each stimulus engages, and which.

    Parameters
    ----------
    table
        One row for each number: columns "statistic", "stimulus", "channel", "value", "low", "high",
        "p". With two stimuli, p of their difference is written above.
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        One axes for each number of channels, and one for the shares of the channels.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> counts = ["effective channels", "channels per sample", "channels above share"]
    >>> rows = [("share", "scenes", channel, 0.5) for channel in (0, 1)]
    >>> rows += [(count, "scenes", -1, 2.0) for count in counts]
    >>> table = pd.DataFrame(rows, columns=["statistic", "stimulus", "channel", "value"])
    >>> table = table.assign(low=table["value"] - 0.1, high=table["value"] + 0.1, p=np.nan)
    >>> axes = plot_pathways(table, figure=Figure(layout="constrained"))
    >>> len(axes), axes[-1].get_xlabel()
    (4, 'channel')
    """
    shares = table[table["statistic"] == "share"]
    stimuli = list(dict.fromkeys(shares["stimulus"]))
    figure = figure_or_new(figure, (7.2, 4.2))
    grid = figure.add_gridspec(2, len(LABELS))
    axes = [figure.add_subplot(grid[0, i]) for i in range(len(LABELS))]
    for ax, (statistic, label) in zip(axes, LABELS.items(), strict=True):
        rows = table[table["statistic"] == statistic].set_index("stimulus")
        _draw_number(ax, rows.loc[stimuli], label)
        difference = _tested(rows.drop(index=stimuli))
        ax.set_title(difference and f"difference, {difference}", loc="left")
    axes.append(figure.add_subplot(grid[1, :]))
    _draw_shares(axes[-1], shares, stimuli)
    both = table[table["statistic"] == "overlap"]
    if len(both) == 1:
        overlap = f"overlap {both['value'].item():.2f}, {_tested(both)}"
        axes[-1].set_title(overlap, loc="left")
    return np.array(axes)


def _draw_number(ax: Axes, rows: pd.DataFrame, label: str) -> None:
    for i in range(len(rows)):
        _errorbar(ax, [i], rows.iloc[[i]], i)
    ax.set_xticks(range(len(rows)), labels=[plain(stimulus) for stimulus in rows.index])
    ax.set_xlim(-0.5, len(rows) - 0.5)
    ax.set_ylim(bottom=0, top=1.1 * rows["high"].max())
    ax.set(xlabel="stimulus", ylabel=label)
    open_frame(ax)


def _draw_shares(ax: Axes, shares: pd.DataFrame, stimuli: list[str]) -> None:
    channels = np.unique(shares["channel"])
    for i, stimulus in enumerate(stimuli):
        rows = shares[shares["stimulus"] == stimulus]
        x = np.searchsorted(channels, rows["channel"])
        beside = SPREAD * ((i + 0.5) / len(stimuli) - 0.5)
        _errorbar(ax, x + beside, rows, i, label=plain(stimulus))
    name_ticks(ax.xaxis, [str(channel) for channel in channels])
    ax.set_xlim(-0.6, len(channels) - 0.4)
    ax.set_ylim(bottom=0)
    ax.set(xlabel="channel", ylabel="share of all |contributions|")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.2)
    open_frame(ax)


def _errorbar(ax: Axes, x, rows: pd.DataFrame, number: int, label: str | None = None) -> None:
    reach = np.abs(rows[["low", "high"]].to_numpy().T - rows["value"].to_numpy())
    colour = COLOURS[number % len(COLOURS)]
    style = {"fmt": "o", "color": colour, "markersize": 4, "elinewidth": 1, "capsize": 2}
    ax.errorbar(x, rows["value"], yerr=reach, label=label, **style)


def _tested(rows: pd.DataFrame) -> str:
    return f"p = {rows['p'].item():.2g}" if len(rows) == 1 else ""
