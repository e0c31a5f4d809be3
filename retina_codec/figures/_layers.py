"""Pictures of numbers that describe layers, beside chance."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from ._style import CONTROL, NETWORK, figure_or_new, open_frame, plain

ACROSS = 3
LABELS = {
    "sparsity": "Hoyer sparsity",
    "components to 90 %": "components to 90 %\nof the variance",
    "components to 95 %": "components to 95 %\nof the variance",
    "participation ratio": "participation ratio\n(dimensions)",
    "excitation-inhibition correlation": "r of excitation\nand inhibition",
}


def plot_layer_statistics(table: pd.DataFrame, *, figure: FigureBase | None = None) -> np.ndarray:
    r"""Draw sparsity, dimensionality and balance of each layer, beside what chance gives.

    Parameters
    ----------
    table
        One row for each layer and statistic: columns "layer", "statistic", "value", "chance",
        "low", "high".
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        One axes for each statistic.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from retina_codec.simulation import planted_contributions
    >>> from retina_codec.statistics import layer_statistics
    >>> layers = {"conv1": planted_contributions(n_samples=100)[0]}
    >>> axes = plot_layer_statistics(layer_statistics(layers), figure=Figure(layout="constrained"))
    >>> [ax.get_ylabel() for ax in axes][:2]
    ['Hoyer sparsity', 'components to 90 %\nof the variance']
    """
    statistics = list(dict.fromkeys(table["statistic"]))
    layers = list(dict.fromkeys(table["layer"]))
    n_rows = -(-len(statistics) // ACROSS)
    figure = figure_or_new(figure, (7.2, 0.4 + 1.9 * n_rows))
    axes = figure.subplots(n_rows, ACROSS, squeeze=False).ravel()
    for ax, statistic in zip(axes, statistics, strict=False):
        rows = table[table["statistic"] == statistic].set_index("layer").reindex(layers)
        _draw(ax, rows, statistic)
    for ax in axes[len(statistics) :]:
        ax.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return axes[: len(statistics)]


def _draw(ax: Axes, rows: pd.DataFrame, statistic: str) -> None:
    x = np.arange(len(rows))
    middle = rows["chance"].to_numpy(dtype=float)
    reach = np.abs(rows[["low", "high"]].to_numpy(dtype=float).T - middle)
    ax.errorbar(
        x,
        middle,
        yerr=reach,
        fmt="s",
        color=CONTROL,
        markersize=4,
        capsize=3,
        label="chance (95 %)",
    )
    ax.plot(x, rows["value"], "o-", color=NETWORK, markersize=5, linewidth=1.2, label="layer")
    names = [plain(layer) for layer in rows.index]
    ax.set_xticks(x, labels=names, rotation=90 if len(names) > 4 else 0)
    ax.set_xlim(-0.5, len(rows) - 0.5)
    low, high = ax.get_ylim()
    ax.set_ylim(min(0.0, low), high + 0.05 * (high - min(0.0, low)))
    ax.set(xlabel="layer", ylabel=LABELS.get(statistic, plain(statistic)))
    open_frame(ax)
