"""Pictures of what channels and modes do to classes: dose curves, scores, steering, flips."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator

from ._style import BASELINE, CONTROL, INK, NETWORK, axes_or_new, figure_or_new, open_frame, plain

COLOURS = NETWORK, BASELINE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
RANDOM_LINES = "--", ":", "-."
TITLES = {"ablated": "without the channels", "preserved": "with these channels only"}


def plot_class_control(
    table: pd.DataFrame, *, measure: str = "accuracy", figure: FigureBase | None = None
) -> np.ndarray:
    """Draw what is left of a class, and of the others, at each dose: means over classes.

    Parameters
    ----------
    table
        Of `causal.class_control` or `superclass_control`, of one layer.
    measure
        "accuracy" or "probability".
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        Axes: a row for each kind; the class, and the others.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"kind": "ablated", "ranking": "class mode", "dose": [0.1, 0.5]})
    >>> table = table.assign(**{"class": 3, "own_cost": [0.4, 0.9], "others_cost": [0.0, 0.1]})
    >>> axes = plot_class_control(table, figure=Figure(layout="constrained"))
    >>> axes[0, 0].get_ylabel(), axes[0, 0].lines[0].get_ydata().round(3).tolist()
    ('accuracy left (%)', [60.0, 10.0])
    """
    kinds = list(dict.fromkeys(table["kind"]))
    figure = figure_or_new(figure, (6.4, 1.0 + 2.0 * len(kinds)))
    grid = figure.subplots(len(kinds), 2, sharex=True, sharey=True, squeeze=False)
    looks = _looks(table["ranking"])
    for axes, kind in zip(grid, kinds, strict=True):
        part = table[table["kind"] == kind]
        for ax, whose in zip(axes, ("own", "others"), strict=True):
            for ranking, rows in _left(part, whose, measure).groupby("ranking", sort=False):
                ax.plot(rows["dose"], rows["left"], label=plain(ranking), **looks[ranking])
            ax.axhline(100, color=CONTROL, linewidth=0.5)
            name = "the class" if whose == "own" else "other classes"
            ax.set_title(f"{name}, {TITLES.get(kind, kind)}", loc="left")
            open_frame(ax)
        axes[0].set_ylabel(f"{measure} left (%)")
    grid[0, 0].set(xlim=(0, 100))
    grid[0, 0].set_ylim(bottom=min(0, grid[0, 0].get_ylim()[0]))
    for ax in grid[-1]:
        ax.set_xlabel("dose: share of the channels (%)")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return grid


def plot_control_scores(
    scores: pd.DataFrame,
    *,
    measure: str = "accuracy",
    value: str = "difference",
    figure: FigureBase | None = None,
) -> np.ndarray:
    """Draw how far the areas of a class and of the others are apart, with 95 % intervals.

    Parameters
    ----------
    scores
        Of `causal.control_scores`; tables of several layers one below the other make curves over
        layers.
    measure
        "accuracy" or "probability".
    value
        "difference" or "score", the difference relative to the area of the others.
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        One axes for each kind.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"layer": ["conv1", "conv2"], "kind": "ablated"})
    >>> table = table.assign(measure="accuracy", ranking="class mode")
    >>> table = table.assign(difference=[-0.1, -0.4], low=-0.5, high=0.0)
    >>> (ax,) = plot_control_scores(table, figure=Figure(layout="constrained"))
    >>> ax.get_ylabel(), [tick.get_text() for tick in ax.get_xticklabels()]
    ('area of the class - area of others', ['conv1', 'conv2'])
    """
    chosen = scores[scores["measure"] == measure]
    kinds, layers, rankings = (
        list(dict.fromkeys(chosen[column])) for column in ("kind", "layer", "ranking")
    )
    figure = figure_or_new(figure, (6.8, 3.0))
    axes = figure.subplots(1, len(kinds), squeeze=False)[0]
    prefix = "score_" if value == "score" else ""
    looks = _looks(chosen["ranking"])
    for ax, kind in zip(axes, kinds, strict=True):
        for place, ranking in enumerate(rankings):
            rows = chosen[(chosen["kind"] == kind) & (chosen["ranking"] == ranking)]
            x = np.array([layers.index(layer) for layer in rows["layer"]])
            x = x + 0.4 * ((place + 0.5) / len(rankings) - 0.5)
            ends = [rows[f"{prefix}low"], rows[f"{prefix}high"]]
            ax.vlines(x, *ends, color=looks[ranking]["color"], linewidth=1.2)
            ax.plot(x, rows[value], **looks[ranking], label=plain(ranking))
        ax.axhline(0, color=INK, linewidth=0.6)
        ax.set_xticks(range(len(layers)), [plain(layer) for layer in layers])
        ax.set(xlabel="layer", xlim=(-0.5, len(layers) - 0.5))
        ax.set_title(TITLES.get(kind, kind), loc="left")
        open_frame(ax)
    label = "area of the class - area of others"
    axes[0].set_ylabel(f"({label})\n/ area of others" if value == "score" else label)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return axes


def plot_steering(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the probabilities of classes when a mode is scaled, beside random channels.

    Parameters
    ----------
    table
        Of `causal.steering_curve`, of one mode; `class` may have been replaced by names.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        One curve for each class.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"mode": 3, "class": "dog", "factor": [0.0, 1.0, 2.0], "control": 0})
    >>> table = table.assign(mean=[0.1, 0.4, 0.8], low=[0.0, 0.3, 0.7], high=[0.2, 0.5, 0.9])
    >>> ax = plot_steering(table, ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.lines[0].get_label()
    ('factor of mode 3', 'dog')
    """
    ax = axes_or_new(ax, (4.6, 2.8))
    classes = list(dict.fromkeys(table["class"]))
    for place, one in enumerate(classes):
        colour = COLOURS[place % len(COLOURS)]
        rows = table[table["class"] == one].sort_values("factor")
        own, random = rows[rows["control"] == 0], rows[rows["control"] == 1]
        ax.fill_between(own["factor"], own["low"], own["high"], color=colour, alpha=0.2, lw=0)
        name = f"class {one}" if isinstance(one, int | np.integer) else plain(one)
        ax.plot(own["factor"], own["mean"], "o-", color=colour, markersize=3.5, label=name)
        ax.vlines(random["factor"], random["low"], random["high"], color=colour, linewidth=0.8)
        ax.plot(random["factor"], random["mean"], ":", color=colour, linewidth=1)
    ax.plot([], [], ":", color=CONTROL, label="random channels")
    ax.axvline(1, color=CONTROL, linewidth=0.5)
    ax.set(xlabel=f"factor of mode {table['mode'].iloc[0]}", ylabel="mean probability")
    ax.set_ylim(bottom=0)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    open_frame(ax)
    return ax


def plot_flips(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw in how many images so many modes are enough to change the predicted class.

    Parameters
    ----------
    table
        Of `causal.flipping_modes`.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Steps: the share of images over the number of modes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"n_modes": [1.0, 2.0], "proven_smallest": [1, 0]})
    >>> table = table.assign(permuted_n_modes=[3.0, np.nan], random_n_modes=[2.0, 3.0])
    >>> ax = plot_flips(table, ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.lines[0].get_ydata().tolist()
    ('modes removed', [0.0, 50.0, 100.0, 100.0])
    """
    ax = axes_or_new(ax, (4.6, 2.6))
    columns = {
        "n_modes": ("smallest set found", NETWORK, "-"),
        "permuted_n_modes": ("same search, random channels", CONTROL, "--"),
        "random_n_modes": ("modes in random order", CONTROL, ":"),
    }
    most = int(np.nanmax(np.ceil(table[list(columns)].to_numpy(dtype=float)), initial=1))
    sizes = np.arange(most + 1)
    for column, (label, colour, line) in columns.items():
        if table[column].notna().any():
            flipped = [100 * float((table[column] <= size).mean()) for size in sizes]
            ax.step(sizes, flipped, line, where="post", color=colour, label=label)
    proven = table[table["proven_smallest"] == 1]
    known = [100 * float((proven["n_modes"] <= s).sum()) / len(table) for s in sizes]
    ax.fill_between(
        sizes, known, step="post", color=NETWORK, alpha=0.15, lw=0, label="proven smallest"
    )
    ax.set(xlabel="modes removed", ylabel=f"images with another class\n(% of {len(table)})")
    ax.set(xlim=(0, most + 0.3), ylim=(0, 103))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    open_frame(ax)
    return ax


def _left(table: pd.DataFrame, whose: str, measure: str) -> pd.DataFrame:
    """Mean over classes of what is left, in percent; classes of which nothing was there are out."""
    name = whose if measure == "accuracy" else f"{whose}_{measure}"
    left = 100 * (1 - table[f"{name}_cost"])
    part = table[["ranking", "dose"]].assign(left=left)
    means = part.groupby(["ranking", "dose"], sort=False)["left"].mean().reset_index()
    means["dose"] = 100 * means["dose"]
    return means.sort_values("dose", kind="stable")


def _looks(rankings: pd.Series) -> dict[str, dict]:
    """Colour and line of each ranking; random channels are grey."""
    names = list(dict.fromkeys(rankings))
    random = [name for name in names if name.startswith("random")]
    others = [name for name in names if name not in random]
    looks = {
        name: {"color": COLOURS[i % len(COLOURS)], "linestyle": "-", "marker": "o", "markersize": 3}
        for i, name in enumerate(others)
    }
    for i, name in enumerate(random):
        line = RANDOM_LINES[i % len(RANDOM_LINES)]
        looks[name] = {"color": CONTROL, "linestyle": line, "marker": "s", "markersize": 2.5}
    return looks
