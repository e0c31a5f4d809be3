"""Pictures of what removing or keeping the channels of a mode does, beside random channels."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from retina_codec.datatypes import Effects

from ._heat_maps import colour_bar, draw_heat_map, name_ticks
from ._style import (
    CONTROL,
    NETWORK,
    axes_or_new,
    figure_or_new,
    height_of,
    open_frame,
    saturation,
    signed_scale,
)


def plot_effects(
    effects: Effects, *, kind: str = "ablated", figure: FigureBase | None = None
) -> np.ndarray:
    """Draw the change of each cell's mean rate for each mode, beside its random channels.

    Parameters
    ----------
    effects
        Of one layer.
    kind
        "ablated" or "preserved".
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        Two axes: the modes; the mean over draws of as many random channels.

    Raises
    ------
    ValueError
        If there is no condition of this kind.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> conditions = pd.DataFrame({"kind": "ablated", "control": [0, 1], "mode": [3, 3]})
    >>> effects = Effects(
    ...     baseline=np.full((5, 2), 10.0),
    ...     perturbed=np.stack([np.full((5, 2), 5.0), np.full((5, 2), 9.0)]),
    ...     conditions=conditions,
    ...     sample=np.arange(5) / 100,
    ...     layer="conv1",
    ... )
    >>> axes = plot_effects(effects, figure=Figure(layout="constrained"))
    >>> [(ax.get_title(), ax.images[0].get_array().data.tolist()) for ax in axes]
    [('channels of the mode ablated', [[-50.0, -50.0]]),
     ('random channels ablated', [[-10.0, -10.0]])]
    """
    modes = mode_changes(effects, kind=kind, control=False)
    controls = mode_changes(effects, kind=kind, control=True).groupby(level="mode").mean()
    controls = controls.reindex(modes.index)
    scale = signed_scale(np.concatenate([modes.to_numpy(), controls.to_numpy()]))
    figure = figure_or_new(figure, (7.2, height_of(len(modes))))
    pair = figure.subplots(1, 2, sharey=True)
    titles = (f"channels of the mode {kind}", f"random channels {kind}")
    for ax, table, title in zip(pair, (modes, controls), titles, strict=True):
        image = draw_heat_map(ax, table.to_numpy(), scale=scale, bar_label=None)
        name_ticks(ax.xaxis, [str(cell) for cell in table.columns])
        ax.set(title=title, xlabel="cell")
        ax.tick_params(axis="y", length=0)
    name_ticks(pair[0].yaxis, [str(mode) for mode in modes.index])
    pair[0].set_ylabel("mode")
    extend = saturation(np.concatenate([modes.to_numpy(), controls.to_numpy()]), scale)
    label = "change of the mean rate (%)"
    colour_bar(image, list(pair), label=label, extend=extend)
    return pair


def plot_effect_summary(effects: Effects, *, kind: str = "ablated", ax: Axes | None = None) -> Axes:
    """Draw how much each mode changes the cells on average, beside its random channels.

    Parameters
    ----------
    effects
        Of one layer.
    kind
        "ablated" or "preserved".
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        One point for each mode, and one for each draw of random channels.

    Raises
    ------
    ValueError
        If there is no condition of this kind.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> conditions = pd.DataFrame({"kind": "ablated", "control": [0, 1], "mode": [3, 3]})
    >>> effects = Effects(
    ...     baseline=np.full((5, 2), 10.0),
    ...     perturbed=np.stack([np.full((5, 2), 5.0), np.full((5, 2), 9.0)]),
    ...     conditions=conditions,
    ...     sample=np.arange(5) / 100,
    ...     layer="conv1",
    ... )
    >>> ax = plot_effect_summary(effects, ax=Figure().subplots())
    >>> [(line.get_label(), line.get_ydata()[0].item()) for line in ax.lines]
    [('as many random channels', 10.0), ('mode', 50.0)]
    """
    ax = axes_or_new(ax, (5.6, 2.4))
    modes = mode_changes(effects, kind=kind, control=False).abs().mean(axis=1)
    controls = mode_changes(effects, kind=kind, control=True).abs().mean(axis=1)
    controls = controls[controls.index.isin(modes.index)]
    columns = modes.index.get_indexer(controls.index)
    ranges = controls.groupby(columns).agg(["min", "max"])
    ax.vlines(ranges.index, ranges["min"], ranges["max"], color=CONTROL, linewidth=5, alpha=0.35)
    ax.plot(columns, controls, "o", color=CONTROL, markersize=3, label="as many random channels")
    ax.plot(range(len(modes)), modes, "o", color=NETWORK, markersize=5.5, label="mode")
    name_ticks(ax.xaxis, [str(mode) for mode in modes.index])
    ax.set(xlabel="mode", ylabel="mean |change| of\nthe mean rate (%)")
    ax.set_xlim(-0.6, len(modes) - 0.4)
    ax.set_ylim(bottom=0)
    ax.set_title(kind, loc="left")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
    open_frame(ax)
    return ax


def mode_changes(effects: Effects, *, kind: str, control: bool) -> pd.DataFrame:
    """Change of each cell's mean rate in percent: one row for each condition, named by its mode.

    Raises
    ------
    ValueError
        If there is no condition of this kind.
    """
    conditions = effects.conditions.reset_index(drop=True)
    if kind not in set(conditions["kind"]):
        msg = f"No condition of kind {kind!r}. Kinds: {sorted(set(conditions['kind']))}."
        raise ValueError(msg)
    is_control = conditions["control"].astype(int) == int(control)
    chosen = np.flatnonzero((conditions["kind"] == kind) & is_control)
    modes = pd.Index(conditions["mode"].to_numpy()[chosen], name="mode")
    table = pd.DataFrame(100 * effects.relative_change[chosen], index=modes)
    return table.sort_index(kind="stable")
