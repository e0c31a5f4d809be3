"""Pictures of experiments: responses and pathways of one, signatures of all, minimal circuits."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator

from retina_codec.datatypes import Event

from ._heat_maps import SIGN_MARK, draw_heat_map, mark_groups, name_ticks
from ._style import (
    BASELINE,
    CONTROL,
    INK,
    NETWORK,
    RECORDED,
    STIMULUS_MAP,
    axes_or_new,
    figure_or_new,
    open_frame,
    plain,
    positive_scale,
    signed_scale,
)

MOST_CELLS = 3
BESIDE = (BASELINE, "#009E73", "#CC79A7", "#E69F00", CONTROL)
ROW_INCH = 0.13


def plot_phenomenon(
    event: Event, *, cells: Sequence[int] | None = None, figure: FigureBase | None = None
) -> np.ndarray:
    """Draw the movie of an event, responses to its conditions, and what carried them, in time.

    Everything is of the first repeat, as long as the event was shown. Conditions of the other
    polarity are not drawn.

    Parameters
    ----------
    event
        From a network.
    cells
        Numbers in the output of the network; None draws up to three whose rate changes most.
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        One axes for the movie, one for each cell, and one each for contributions and loadings,
        where there are any.

    Raises
    ------
    ValueError
        If there is no cell of a number.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> event = Event(
    ...     rates=np.random.default_rng(0).poisson(9.0, (1, 2, 30, 1)).astype(float),
    ...     sample=np.arange(-10, 20) / 100,
    ...     movie=np.zeros((2, 30, 8)),
    ...     conditions=pd.DataFrame({"condition": ["dark flash", "dark pair"]}),
    ...     repeats=pd.DataFrame({"value": [0.1]}),
    ...     value=np.ones((1, 1)),
    ...     control=np.zeros((1, 1)),
    ...     signatures=pd.DataFrame({"cell": [0], "value": [1.0], "control": [0.0]}),
    ...     phenomenon="paired flash",
    ...     measure="suppression",
    ...     varied="interval (s)",
    ...     event="dark pair",
    ... )
    >>> axes = plot_phenomenon(event, cells=[0], figure=Figure(layout="constrained"))
    >>> len(axes), axes[-1].get_xlabel()
    (2, 'time from the event (s)')
    """
    event = _while_shown(event)
    columns = _columns(event, cells)
    maps = [drawn for drawn in (_contributions(event), _loadings(event)) if drawn]
    heights = [0.6, *[0.9] * len(columns), *[ROW_INCH * max(len(m[1]), 6) for m in maps]]
    figure = figure_or_new(figure, (7.2, sum(heights) + 0.9))
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    _draw_movie(axes[0], event)
    for ax, column in zip(axes[1:], columns, strict=False):
        _draw_rates(ax, event, column)
    axes[1].legend(loc="upper right", bbox_to_anchor=(1, 1.05), ncols=1, borderaxespad=0)
    for ax, (values, names, groups, label, ylabel) in zip(
        axes[1 + len(columns) :], maps, strict=True
    ):
        scale = signed_scale(values) if np.nanmin(values) < 0 else positive_scale(values)
        draw_heat_map(ax, values, scale=scale, bar_label=label, x=np.asarray(event.sample))
        name_ticks(ax.yaxis, names)
        mark_groups(ax.yaxis, groups)
        ax.set_ylabel(ylabel)
    for ax in axes:
        ax.axvline(0, color=CONTROL, linewidth=0.8, linestyle=":")
    axes[-1].set_xlabel(event.label("sample"))
    axes[-1].set_xlim(event.sample[0], event.sample[-1])
    return axes


def plot_signatures(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    r"""Draw the signature of each cell in each phenomenon, beside its control.

    Parameters
    ----------
    table
        One row for each phenomenon and cell, from `phenomena.signatures`.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        One row for each phenomenon, one point for each cell.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"phenomenon": ["paired flash"] * 2, "cell": [0, 1]})
    >>> table = table.assign(value=[0.5, 0.1], control=0.0, difference=[0.5, 0.1])
    >>> table = table.assign(low=[0.4, -0.1], high=[0.6, 0.3], present=[1, 0])
    >>> ax = plot_signatures(table, ax=Figure().subplots())
    >>> ax.get_yticklabels()[0].get_text()
    'paired flash\nin 1 of 2 cells that respond'
    """
    names = list(dict.fromkeys(table["phenomenon"]))
    ax = axes_or_new(ax, (7.2, 0.8 + 0.5 * len(names)))
    for row, name in enumerate(names):
        _draw_signatures(ax, table[table["phenomenon"] == name], row, first=row == 0)
        if row:
            ax.axhline(row - 0.5, color=RECORDED, linewidth=0.5)
    ax.axvline(0, color=INK, linewidth=0.6, linestyle=":")
    ticks = [_present_in(name, table[table["phenomenon"] == name]) for name in names]
    ax.set_yticks(range(len(names)), labels=ticks)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set(xlabel="signature (index without unit)", ylabel="phenomenon")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.2)
    open_frame(ax)
    return ax


def plot_minimal_circuit(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how far the best channels of each number, alone, miss the responses of the network.

    Parameters
    ----------
    table
        From `causal.minimal_circuit`.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Error, on an axis that is logarithmic above 0.01, over the number of channels.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"n_channels": [1, 2], "channels": ["1", "1, 3"]})
    >>> table = table.assign(error=[0.8, 0.05], random_error=[1.2, 0.8], minimal=[0, 1])
    >>> table = table.assign(random_low=[0.9, 0.6], random_high=[1.4, 1.0])
    >>> ax = plot_minimal_circuit(table, ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.lines[-1].get_label()
    ('number of channels kept', 'smallest within the error: 1, 3')
    """
    ax = axes_or_new(ax, (4.2, 2.6))
    size = table["n_channels"].to_numpy()
    random = table[table["random_error"].notna()]
    ax.fill_between(
        random["n_channels"],
        random["random_low"],
        random["random_high"],
        color=CONTROL,
        alpha=0.25,
        linewidth=0,
    )
    ax.plot(
        random["n_channels"],
        random["random_error"],
        "--",
        color=CONTROL,
        label="other sets (mean, range)",
    )
    ax.plot(size, table["error"], "o-", color=NETWORK, markersize=4, label="best set")
    for row in table[table["minimal"] == 1].itertuples():
        ax.plot(
            row.n_channels,
            row.error,
            "o",
            color=BASELINE,
            markersize=8,
            markerfacecolor="none",
            label=f"smallest within the error: {plain(row.channels)}",
        )
    ax.set_yscale("symlog", linthresh=0.01)
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="number of channels kept", ylabel="error (share of the variance)")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)
    open_frame(ax)
    return ax


def _while_shown(event: Event) -> Event:
    shown = np.isfinite(np.asarray(event.rates)[0, _row_of(event), :, 0])
    first, last = np.flatnonzero(shown)[[0, -1]]
    span = slice(first, last + 1)
    return replace(
        event,
        rates=event.rates[:, :, span],
        sample=event.sample[span],
        movie=event.movie[:, span],
        contributions=None if event.contributions is None else event.contributions[span],
        loadings=None if event.loadings is None else event.loadings[span],
    )


def _columns(event: Event, cells: Sequence[int] | None) -> list[int]:
    numbers = list(event.signatures["cell"])
    if cells is None:
        own = np.asarray(event.rates)[0, _row_of(event)]
        change = np.nanmax(own, axis=0) - np.nanmin(own, axis=0)
        return sorted(int(i) for i in np.argsort(-change, kind="stable")[:MOST_CELLS])
    missing = [cell for cell in cells if cell not in numbers]
    if missing or not len(cells):
        msg = f"The event holds cells {numbers}; expected some of them, got {list(cells)}."
        raise ValueError(msg)
    return [numbers.index(cell) for cell in cells]


def _row_of(event: Event) -> int:
    return list(event.conditions["condition"]).index(event.event)


def _shown_beside(event: Event) -> list[int]:
    """Conditions that begin with the same word as the event, if any do; otherwise all."""
    names, own = list(event.conditions["condition"]), _row_of(event)
    word = event.event.split()[0]
    alike = [i for i, name in enumerate(names) if name.split()[0] == word and i != own]
    others = alike or [i for i in range(len(names)) if i != own]
    return others[: len(BESIDE)]


def _draw_movie(ax: Axes, event: Event) -> None:
    movie = np.asarray(event.movie)[_row_of(event)].T
    limit = np.nanmax(np.abs(movie)) or 1.0
    scale = {"cmap": STIMULUS_MAP, "vmin": -limit, "vmax": limit}
    draw_heat_map(ax, movie, scale=scale, bar_label=None, x=np.asarray(event.sample))
    ax.set_ylabel("x (pixel)")
    ax.set_title(f"{plain(event.phenomenon)}: {event.event}", loc="left")


def _draw_rates(ax: Axes, event: Event, column: int) -> None:
    rates, names = np.asarray(event.rates)[0, :, :, column], list(event.conditions["condition"])
    ax.plot(event.sample, rates[_row_of(event)], color=NETWORK, linewidth=2, label=event.event)
    for colour, row in zip(BESIDE, _shown_beside(event), strict=False):
        ax.plot(event.sample, rates[row], color=colour, linewidth=0.8, label=names[row])
    row = event.signatures.iloc[column]
    found = f"signature {row['value']:.2f}, control {row['control']:.2f}"
    ax.set_title(f"cell {int(row['cell'])}: {found} (all repeats)", loc="left", pad=2)
    ax.set_ylabel(event.label("rates"))
    ax.set_ylim(bottom=0)
    open_frame(ax)


def _contributions(event: Event):
    if event.contributions is None:
        return None
    table = event.features
    order = np.lexsort((table["channel"], table["sign"], pd.factorize(table["layer"])[0]))
    rows = table.iloc[order]
    names = [f"{c}{SIGN_MARK[int(s)]}" for c, s in zip(rows["channel"], rows["sign"], strict=True)]
    values = np.asarray(event.contributions)[:, order].T
    return values, names, list(map(plain, rows["layer"])), event.label("contributions"), "channel"


def _loadings(event: Event):
    if event.loadings is None:
        return None
    names = [str(mode) for mode in event.modes["mode"]]
    groups = list(map(plain, event.modes["layer"]))
    return np.asarray(event.loadings).T, names, groups, event.label("loadings"), "mode"


def _present_in(name: str, part: pd.DataFrame) -> str:
    n_present, n_answered = int(part["present"].sum()), int(part["value"].notna().sum())
    return f"{plain(name)}\nin {n_present} of {n_answered} cells that respond"


def _draw_signatures(ax: Axes, part: pd.DataFrame, row: int, *, first: bool) -> None:
    y = row + np.linspace(-0.35, 0.35, len(part)) if len(part) > 1 else np.array([float(row)])
    value, control = part["value"].to_numpy(), part["control"].to_numpy()
    present = part["present"].to_numpy(dtype=bool)
    answered = np.isfinite(value)
    low, high = control + part["low"].to_numpy(), control + part["high"].to_numpy()
    ax.hlines(y, low, high, color=np.where(present, NETWORK, CONTROL), linewidth=1.0)
    for chosen, style in (
        (present, {"color": NETWORK, "label": "present"}),
        (~present & answered, {"color": CONTROL, "markerfacecolor": "white", "label": "absent"}),
    ):
        style["label"] = style["label"] if first else None
        ax.plot(value[chosen], y[chosen], "o", markersize=3.2, **style)
    label = "control" if first else None
    ax.plot(control[answered], y[answered], "|", color=BASELINE, markersize=5, label=label)
