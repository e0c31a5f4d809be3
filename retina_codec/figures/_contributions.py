"""Pictures of contributions over time, and of what they miss."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from retina_codec.datatypes import Contributions

from ._heat_maps import (
    draw_heat_map,
    feature_names,
    feature_order,
    mark_groups,
    name_ticks,
    sign_words,
)
from ._samples import Span, rows_of, sample_axis, samples_in
from ._style import INK, NETWORK, axes_or_new, height_of, open_frame, plain, signed_scale

SMALLEST_GAP = 1e-9


def plot_contributions(
    contributions: Contributions, *, span_s: Span | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the contribution of each feature over time, suppressing above promoting features.

    Parameters
    ----------
    contributions
        Pooled over space.
    span_s
        First and last time drawn; None draws all.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Heat map: features (rows) over time.

    Raises
    ------
    ValueError
        If the contributions are not pooled, or there is no sample in the span.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_samples=50, n_features=4)
    >>> ax = plot_contributions(contributions, ax=Figure().subplots())
    >>> ax.get_xlabel(), [tick.get_text() for tick in ax.get_yticklabels()]
    ('time (s)', ['0 −', '1 −', '0 +', '1 +'])
    """
    if contributions.axes_of("values") != ("sample", "feature"):
        axes = ", ".join(contributions.axes_of("values"))
        msg = (
            f"plot_contributions draws values with axes (sample, feature), got ({axes}). Pool them."
        )
        raise ValueError(msg)
    sample = np.asarray(contributions.sample)
    drawn = samples_in(sample, span_s)
    x, x_label = sample_axis(sample[drawn])
    order = feature_order(np.asarray(contributions.channel), np.asarray(contributions.sign))
    channel, sign = np.asarray(contributions.channel)[order], np.asarray(contributions.sign)[order]
    values = rows_of(contributions.values, drawn)[:, order].T
    ax = axes_or_new(ax, (7.2, height_of(len(values))))
    label = contributions.label("values")
    draw_heat_map(ax, values, x=x, scale=signed_scale(values), bar_label=label)
    name_ticks(ax.yaxis, feature_names(channel, sign))
    mark_groups(ax.yaxis, sign_words(sign), rotation=270.0)
    ax.set(xlabel=x_label, ylabel="feature (channel and sign)")
    return ax


def plot_gap(contributions: Mapping[str, Contributions], *, ax: Axes | None = None) -> Axes:
    """Draw how much of the target's change the contributions of each layer miss.

    Parameters
    ----------
    contributions
        One for each layer.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        One row for each layer.

    Notes
    -----
    Bars hold half of the samples, lines 90 %; the mark is the median. Samples in which the target
    did not change are left out; gaps below 1e-9 are drawn there, since a logarithm has no 0.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from matplotlib.figure import Figure
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_samples=50)
    >>> contributions = replace(contributions, gap=0.01 * contributions.target_value)
    >>> ax = plot_gap({"conv1": contributions}, ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.get_yticklabels()[0].get_text()
    ('|gap| / |target − target at the baseline|', 'conv1 (n = 50)')
    """
    ax = axes_or_new(ax, (5.6, 0.7 + 0.36 * len(contributions)))
    gaps = {
        layer: np.maximum(gap[np.isfinite(gap)], SMALLEST_GAP)
        for layer, gap in ((layer, record.relative_gap) for layer, record in contributions.items())
    }
    for row, values in enumerate(gaps.values()):
        if values.size:
            low, first, median, third, high = np.percentile(values, [5, 25, 50, 75, 95])
            ax.hlines(row, low, high, color=INK, linewidth=0.9)
            ax.hlines(row, first, third, color=NETWORK, linewidth=9)
            ax.plot(median, row, "|", color="white", markersize=9, markeredgewidth=1.8)
    ax.set_xscale("log")
    names = [f"{plain(layer)} (n = {values.size})" for layer, values in gaps.items()]
    ax.set_yticks(range(len(names)), labels=names)
    ax.set(xlabel="|gap| / |target − target at the baseline|", ylabel="layer")
    ax.set_ylim(len(names) - 0.5, -0.5)
    open_frame(ax)
    return ax
