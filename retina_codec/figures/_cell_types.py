"""Picture of types of cells: how many there are by each criterion, and which modes they go with."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from retina_codec.datatypes import CellTypes

from ._modes import plot_mode_cells
from ._style import BASELINE, CONTROL, INK, NETWORK, figure_or_new, height_of, open_frame

BAND = 5, 95
CRITERIA_HEIGHT = 2.1


def plot_cell_types(found: CellTypes, *, figure: FigureBase | None = None) -> np.ndarray:
    """Draw the criteria for the number of types, and the modes that the cells of each go with.

    Parameters
    ----------
    found
        Types of cells.
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        Four axes: silhouette, gap, stability, correlations of cells with modes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> criteria = pd.DataFrame({"n_clusters": [1, 2], "gap": [0.1, 0.4], "gap_error": 0.05})
    >>> criteria = criteria.assign(silhouette=[np.nan, 0.8], stability=[np.nan, 1.0])
    >>> found = CellTypes(
    ...     correlations=np.array([[0.5, 0.0], [0.4, 0.1], [0.0, 0.6]]),
    ...     labels=np.array([0, 0, 1]),
    ...     candidates=np.array([[0, 0, 0], [0, 0, 1]]),
    ...     criteria=criteria.assign(response_silhouette=[np.nan, 0.3]),
    ...     choices={"chosen": 2},
    ...     null_silhouette=np.array([[np.nan, 0.3], [np.nan, 0.2]]),
    ...     null_labels=np.array([[0, 1, 0], [1, 0, 0]]),
    ...     response_labels=np.array([0, 0, 1]),
    ...     layer="conv1",
    ...     target="surprisal",
    ...     method="k_means",
    ...     points="z_scored",
    ... )
    >>> axes = plot_cell_types(found, figure=Figure(layout="constrained"))
    >>> [ax.get_ylabel() for ax in axes[[0, 1, 3]]], axes[3].images[0].get_array().shape
    (['silhouette', 'gap statistic', 'cell'], (3, 2))
    """
    below = height_of(len(found.labels))
    figure = figure_or_new(figure, (7.2, CRITERIA_HEIGHT + below))
    grid = figure.add_gridspec(2, 3, height_ratios=(CRITERIA_HEIGHT, below))
    axes = [figure.add_subplot(grid[0, column]) for column in range(3)]
    axes.append(figure.add_subplot(grid[1, :]))
    _draw_silhouette(axes[0], found)
    _draw_gap(axes[1], found.criteria)
    _draw_stability(axes[2], found.criteria)
    for ax in axes[:3]:
        _finish(ax, found)
    plot_mode_cells(_mode_cells(found), ax=axes[3])
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=4)
    return np.array(axes)


def _draw_silhouette(ax: Axes, found: CellTypes) -> None:
    criteria, by_chance = found.criteria, np.asarray(found.null_silhouette)
    several = ~np.isnan(by_chance).all(axis=0)
    low, high = np.nanpercentile(by_chance[:, several], BAND, axis=0)
    k = criteria["n_clusters"].to_numpy()
    label = f"shifted loadings ({BAND[0]}–{BAND[1]} %)"
    ax.fill_between(k[several], low, high, color=CONTROL, alpha=0.3, linewidth=0, label=label)
    without = criteria["response_silhouette"]
    ax.plot(k, without, "s--", color=BASELINE, markersize=3.5, linewidth=1, label="responses")
    ax.plot(k, criteria["silhouette"], "o-", color=NETWORK, markersize=4, label="modes")
    ax.set_ylabel("silhouette")


def _draw_gap(ax: Axes, criteria: pd.DataFrame) -> None:
    k, gap, error = (criteria[name] for name in ("n_clusters", "gap", "gap_error"))
    ax.errorbar(k, gap, yerr=error, fmt="o-", color=NETWORK, markersize=4, capsize=2)
    ax.set_ylabel("gap statistic")


def _draw_stability(ax: Axes, criteria: pd.DataFrame) -> None:
    ax.plot(criteria["n_clusters"], criteria["stability"], "o-", color=NETWORK, markersize=4)
    ax.set_ylim(0, 1.05)
    ax.set_ylabel("stability\n(adjusted Rand index)")


def _finish(ax: Axes, found: CellTypes) -> None:
    k = found.criteria["n_clusters"].to_numpy()
    ax.axvline(found.choices["chosen"], color=INK, linewidth=0.8, linestyle=":", label="chosen")
    ax.set_xticks(k)
    ax.set_xlim(k[0] - 0.4, k[-1] + 0.4)
    ax.set_xlabel("number of clusters")
    open_frame(ax)


def _mode_cells(found: CellTypes) -> pd.DataFrame:
    r = np.asarray(found.correlations)
    table = pd.DataFrame(r, columns=[f"mode {mode}" for mode in range(r.shape[1])])
    table.insert(0, "cluster", np.asarray(found.labels))
    table.insert(0, "cell", np.arange(len(r)))
    return table
