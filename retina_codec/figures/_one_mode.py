"""Pictures of one mode: what it is made of, and what removing it does to each cell."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from retina_codec.datatypes import Modes

from ._heat_maps import feature_names, feature_order, name_ticks
from ._style import CONTROL, axes_or_new, mode_colour, open_frame

MOST_UPRIGHT = 20


def plot_mode_features(modes: Modes, *, mode: int, ax: Axes | None = None) -> Axes:
    """Draw the weight of each feature in one mode; suppressing features are hollow.

    Parameters
    ----------
    modes
        Of one layer.
    mode
        Its number.
    ax
        Where to draw; None makes a new figure.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=3, n_samples=50)
    >>> plot_mode_features(modes, mode=1, ax=Figure().subplots()).get_title(loc="left")
    'mode 1: features'
    """
    ax = axes_or_new(ax, (3.6, 1.8))
    order = feature_order(np.asarray(modes.channel), np.asarray(modes.sign))
    channel, sign = np.asarray(modes.channel)[order], np.asarray(modes.sign)[order]
    weights, colour = modes.relative_dictionary[mode, order], mode_colour(mode)
    faces = ["white" if one < 0 else colour for one in sign]
    ax.bar(range(len(order)), weights, width=0.7, color=faces, edgecolor=colour, linewidth=1.0)
    ax.axhline(0, color=CONTROL, linewidth=0.6)
    rotation = 90.0 if len(order) > MOST_UPRIGHT else 0.0
    name_ticks(ax.xaxis, feature_names(channel, sign), rotation=rotation)
    relative = modes.feature_scale is not None
    ax.set(xlabel="feature (channel and sign)", ylabel="relative weight" if relative else "weight")
    ax.set_title(f"mode {mode}: features", loc="left")
    open_frame(ax)
    return ax


def plot_mode_removed(table: pd.DataFrame, *, mode: int, ax: Axes | None = None) -> Axes:
    """Draw the change of each cell's mean rate without a mode, beside random channels.

    Parameters
    ----------
    table
        One row for each cell: `cell`, `change` in percent, and the range `low` to `high` of as many
        random channels. Cells without numbers stay empty.
    mode
        Its number, for the colour.
    ax
        Where to draw; None makes a new figure.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"cell": [0], "change": [-9.0], "low": [-2.0], "high": [1.0]})
    >>> plot_mode_removed(table, mode=0, ax=Figure().subplots()).get_xlabel()
    'cell'
    """
    ax = axes_or_new(ax, (3.6, 1.8))
    place, colour = np.arange(len(table)), mode_colour(mode)
    ax.vlines(place, table["low"], table["high"], color=CONTROL, linewidth=6, alpha=0.4)
    ax.plot(place, table["change"], "o", color=colour, markersize=4.5)
    ax.axhline(0, color=CONTROL, linewidth=0.6)
    name_ticks(ax.xaxis, [str(cell) for cell in table["cell"]])
    ax.set(xlabel="cell", ylabel="change of the\nmean rate (%)", xlim=(-0.6, len(table) - 0.4))
    ax.set_title(f"without the channels of mode {mode}; grey: random channels", loc="left")
    open_frame(ax)
    return ax
