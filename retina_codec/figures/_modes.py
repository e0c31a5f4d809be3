"""Pictures of modes: what they are made of, when they are active, which cells go with them."""

import numpy as np
import pandas as pd
from jaxtyping import Int
from matplotlib.axes import Axes

from retina_codec.datatypes import Modes

from ._heat_maps import (
    draw_heat_map,
    feature_names,
    feature_order,
    mark_groups,
    name_ticks,
    sign_words,
)
from ._samples import Span, rows_of, sample_axis, samples_in
from ._style import axes_or_new, fitting_scale, height_of, plain, signed_scale

UPRIGHT_ABOVE = 20
UNSTABLE = "?"
RELATIVE = "weight relative to the feature's size"


def plot_dictionary(modes: Modes, *, most: int = 40, ax: Axes | None = None) -> Axes:
    """Draw the weight of each feature in each mode that is ever active.

    Weights are relative to the size of the feature where the method had features count the same.
    Modes that repeated fits did not find again have a question mark.

    Parameters
    ----------
    modes
        Of one layer.
    most
        How many modes to draw, those that are active in most samples; they keep their numbers.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Heat map: modes (rows) and features (columns).

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_samples=50, n_modes=3, n_features=4)
    >>> ax = plot_dictionary(modes, ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.images[0].get_array().shape
    ('feature (channel and sign)', (3, 4))
    """
    shown = _shown_modes(modes, most)
    order = feature_order(np.asarray(modes.channel), np.asarray(modes.sign))
    channel, sign = np.asarray(modes.channel)[order], np.asarray(modes.sign)[order]
    weights = modes.relative_dictionary[np.ix_(shown, order)]
    ax = axes_or_new(ax, (6.0, height_of(len(shown))))
    label = RELATIVE if modes.feature_scale is not None else modes.label("dictionary")
    draw_heat_map(ax, weights, scale=fitting_scale(weights), bar_label=label)
    rotation = 90.0 if len(order) > UPRIGHT_ABOVE else 0.0
    name_ticks(ax.xaxis, feature_names(channel, sign), rotation=rotation)
    mark_groups(ax.xaxis, sign_words(sign))
    _name_modes(ax, modes, shown)
    ax.set_xlabel("feature (channel and sign)")
    return ax


def plot_loadings(
    modes: Modes, *, most: int = 40, span_s: Span | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how much of each mode there is over time.

    Modes that repeated fits did not find again have a question mark.

    Parameters
    ----------
    modes
        Of one layer.
    most
        How many modes to draw, those that are active in most samples; they keep their numbers.
    span_s
        First and last time drawn; None draws all.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Heat map: modes (rows) over time.

    Raises
    ------
    ValueError
        If there is no sample in the span.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_samples=50, n_modes=3)
    >>> ax = plot_loadings(modes, span_s=(0.1, 0.3), ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.images[0].get_array().shape
    ('time (s)', (3, 21))
    """
    shown = _shown_modes(modes, most)
    drawn = samples_in(np.asarray(modes.sample), span_s)
    x, x_label = sample_axis(np.asarray(modes.sample)[drawn])
    loadings = rows_of(modes.loadings, drawn)[:, shown].T
    ax = axes_or_new(ax, (7.2, height_of(len(shown))))
    label = modes.label("loadings")
    draw_heat_map(ax, loadings, x=x, scale=fitting_scale(loadings), bar_label=label)
    _name_modes(ax, modes, shown)
    ax.set_xlabel(x_label)
    return ax


def plot_mode_cells(correlations: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how the loading of each mode goes with the rate of each cell, cells by cluster.

    Parameters
    ----------
    correlations
        One row for each cell: columns "cell", "cluster", and one Pearson r for each mode.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Heat map: cells (rows) and modes (columns).

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"cell": [0, 1], "cluster": [1, 0], "mode 0": [0.2, -0.1]})
    >>> plot_mode_cells(table, ax=Figure().subplots()).images[0].get_array().data.tolist()
    [[-0.1], [0.2]]
    """
    ordered = correlations.sort_values("cluster", kind="stable")
    by_mode = ordered.drop(columns=["cell", "cluster"])
    values = by_mode.to_numpy(dtype=float)
    ax = axes_or_new(ax, (5.6, height_of(len(values))))
    draw_heat_map(ax, values, scale=signed_scale(values), bar_label="Pearson r")
    names = [plain(name).removeprefix("mode ") for name in by_mode.columns]
    name_ticks(ax.xaxis, names, rotation=90.0 if len(names) > UPRIGHT_ABOVE else 0.0)
    name_ticks(ax.yaxis, [plain(cell) for cell in ordered["cell"]])
    mark_groups(ax.yaxis, [str(cluster) for cluster in ordered["cluster"]], name="cluster")
    ax.set(xlabel="mode", ylabel="cell")
    return ax


def _shown_modes(modes: Modes, most: int) -> Int[np.ndarray, " shown"]:
    firing = np.asarray(modes.firing)
    active = np.flatnonzero(firing > 0) if (firing > 0).any() else np.arange(len(firing))
    often = np.argsort(-firing[active], kind="stable")[:most]
    return np.sort(active[often])


def _name_modes(ax: Axes, modes: Modes, shown: Int[np.ndarray, " shown"]) -> None:
    n_modes, unstable = len(np.asarray(modes.firing)), modes.is_unstable[shown]
    marks = [f"{mode}{UNSTABLE if bad else ''}" for mode, bad in zip(shown, unstable, strict=True)]
    name_ticks(ax.yaxis, marks)
    label = "mode" if len(shown) == n_modes else f"mode ({len(shown)} of {n_modes})"
    ax.set_ylabel(f"{label}, {UNSTABLE} unstable" if unstable.any() else label)
