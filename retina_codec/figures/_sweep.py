"""Picture of what modes depend on the settings and seeds of their decomposition."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator

from ._style import CONTROL, NETWORK, figure_or_new, open_frame, plain


class Panel(NamedTuple):
    """A column of the table, how it is called, and the column with what chance gives."""

    column: str
    label: str
    chance: str | None = None
    between: tuple[float | None, float | None] = (0, None)
    integer: bool = False


PANELS = (
    Panel("r2", "R², held out", between=(None, 1)),
    Panel("n_modes", "modes", integer=True),
    Panel("active_per_sample", "active in\na sample"),
    Panel("agreement", "agreement\nwith first fit", "agreement_chance", (0, 1)),
    Panel("agreement_of_seeds", "agreement\nof seeds", None, (0, 1)),
    Panel("class_modes", "class modes", integer=True),
    Panel("classes_covered", "classes with a\nclass mode", integer=True),
    Panel("class_agreement", "agreement of\nclasses (r)", "class_agreement_chance", (None, 1)),
)
ACROSS, IN_ONE_ROW = 4, 5
SPREAD, ROOM = 0.5, 0.06


def plot_sweep(table: pd.DataFrame, *, figure: FigureBase | None = None) -> np.ndarray:
    """Draw what each setting gives, one point for each seed.

    Parameters
    ----------
    table
        One row for each setting and seed: columns "setting", "seed", "r2", "n_modes",
        "active_per_sample", "agreement", "agreement_chance", "agreement_of_seeds"; with labels also
        "class_modes", "classes_covered", "class_agreement", "class_agreement_chance".
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        One axes for each number; grey points are what chance gives.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"setting": ["few", "few", "many", "many"], "seed": [0, 1, 0, 1]})
    >>> table = table.assign(r2=[0.8, 0.81, 0.9, 0.92], n_modes=[3, 3, 6, 5])
    >>> axes = plot_sweep(table, figure=Figure(layout="constrained"))
    >>> [ax.get_xlabel() for ax in axes], [tick.get_text() for tick in axes[0].get_yticklabels()]
    (['R², held out', 'modes'], ['few', 'many'])
    """
    panels = [panel for panel in PANELS if panel.column in table]
    settings = list(dict.fromkeys(table["setting"]))
    across = len(panels) if len(panels) <= IN_ONE_ROW else ACROSS
    n_rows = -(-len(panels) // across)
    height = 0.5 + n_rows * (0.75 + 0.17 * len(settings))
    figure = figure_or_new(figure, (7.2, height))
    grid = figure.subplots(n_rows, across, sharey=True, squeeze=False)
    axes = grid.ravel()
    for ax, panel in zip(axes, panels, strict=False):
        _draw(ax, table, settings, panel)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    axes[0].set_yticks(range(len(settings)), labels=[plain(name) for name in settings])
    axes[0].set_ylim(len(settings) - 0.5, -0.5)
    for ax in grid[:, 0]:
        ax.set_ylabel("setting")
    axes[0].plot([], [], "o", color=NETWORK, markersize=3.5, label="seed")
    axes[0].plot([], [], "o", color=CONTROL, markersize=3.5, label="chance")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return axes[: len(panels)]


def _draw(ax: Axes, table: pd.DataFrame, settings: list[str], panel: Panel) -> None:
    seeds = list(dict.fromkeys(table["seed"]))
    beside = SPREAD * ((table["seed"].map(seeds.index) + 0.5) / len(seeds) - 0.5)
    y = table["setting"].map(settings.index) + beside
    if panel.chance is not None:
        ax.plot(table[panel.chance], y, "o", color=CONTROL, markersize=3)
    ax.plot(table[panel.column], y, "o", color=NETWORK, markersize=3.5)
    ax.set_xlabel(panel.label)
    _set_limits(ax, panel)
    ax.xaxis.set_major_locator(MaxNLocator(3, integer=panel.integer, min_n_ticks=2))
    ax.grid(axis="y", color=CONTROL, linewidth=0.4, alpha=0.4)
    ax.tick_params(axis="y", length=0)
    open_frame(ax)


def _set_limits(ax: Axes, panel: Panel) -> None:
    low, high = (
        drawn if wanted is None else wanted
        for drawn, wanted in zip(ax.get_xlim(), panel.between, strict=True)
    )
    room = ROOM * (high - low)
    ax.set_xlim(low - room, high + room)
