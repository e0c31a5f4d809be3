"""Pictures of receptive fields: where and when the stimulus drives a cell."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from retina_codec.datatypes import Fields

from ._style import CONTROL, NETWORK, SIGNED_MAP, figure_or_new, open_frame, plain

MOST_ITEMS = 12
MOST_CELLS = 5


def plot_fields(
    fields: Fields,
    *,
    items: Sequence[int] | None = None,
    n_across: int = 3,
    figure: FigureBase | None = None,
) -> np.ndarray:
    """Draw the spatial map and the time course of each field.

    Parameters
    ----------
    fields
        With the space-time separation that `separate_space_time` adds.
    items
        Which fields, by row; None draws the first twelve.
    n_across
        How many fields stand in one row of the picture.
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        Two axes, map and time course, for each field.

    Raises
    ------
    ValueError
        If the fields are not separated.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> from retina_codec.receptive_fields import separate_space_time
    >>> values = np.random.default_rng(0).normal(size=(2, 5, 8, 8))
    >>> fields = Fields(values=values, items=pd.DataFrame({"cell": [0, 1]}), frame_rate_hz=100.0)
    >>> axes = plot_fields(separate_space_time(fields), figure=Figure())
    >>> axes.shape, axes[0, 0].get_title(loc="left"), axes[0, 1].get_xlabel()
    ((2, 2), 'cell 0', 'lag (ms)')
    """
    space, time_course = _separated(fields)
    shown = range(min(len(space), MOST_ITEMS)) if items is None else items
    n_down, n_across = -(-len(shown) // n_across), min(n_across, len(shown))
    figure = figure_or_new(figure, (2.4 * n_across, 0.4 + 1.2 * n_down))
    grid = figure.subplots(
        n_down, 2 * n_across, squeeze=False, width_ratios=[1, 1.25] * n_across
    ).reshape(-1, 2)
    for (left, right), item in zip(grid, shown, strict=False):
        draw_map(left, space[item], pixel_um=fields.pixel_um, limit=largest(space[item]))
        left.set_title(_item_name(fields, item), loc="left")
        _draw_time_course(right, 1000 * fields.lag_s, time_course[item])
    for row, (left, right) in enumerate(grid):
        _label_pair(
            left, right, fields, first=row % n_across == 0, last=row + n_across >= len(shown)
        )
    for ax in grid[len(shown) :].flat:
        ax.remove()
    return grid[: len(shown)]


def plot_combinations(
    fields: Fields,
    *,
    cells: Sequence[int] | None = None,
    most: int = 8,
    figure: FigureBase | None = None,
) -> np.ndarray:
    """Draw the spatial map of each cell's IRF under each combination of active modes.

    Maps are as strong as the field: the spatial map times the norm of the time course.

    Parameters
    ----------
    fields
        Items have the columns "combination", "cell" and "n_samples"; NaN where there was none.
    cells
        Which cells; None draws the first five.
    most
        How many combinations, the most frequent first.
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        One axes for each combination and cell.

    Raises
    ------
    ValueError
        If the fields are not separated.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> from retina_codec.receptive_fields import separate_space_time
    >>> items = pd.DataFrame({"combination": ["0", "0, 2"], "cell": [4, 4], "n_samples": [30, 12]})
    >>> values = np.random.default_rng(0).normal(size=(2, 5, 8, 8))
    >>> fields = separate_space_time(Fields(values=values, items=items, frame_rate_hz=100.0))
    >>> axes = plot_combinations(fields, figure=Figure())
    >>> axes.shape, axes[0, 0].get_title().splitlines()
    ((2, 1), ['cell 4', 'n = 30'])
    """
    space, time_course = _separated(fields)
    maps = space * np.linalg.norm(time_course, axis=1)[:, None, None]
    items = fields.items.reset_index(drop=True)
    cells = sorted(set(items["cell"].tolist()))[:MOST_CELLS] if cells is None else list(cells)
    frequency = "n_occurrences" if "n_occurrences" in items else "n_samples"
    counts = items[items["cell"].isin(cells)].groupby("combination", sort=False)[frequency].sum()
    names = counts.sort_values(ascending=False, kind="stable").index[:most].tolist()
    rows = {
        pair: row for row, pair in enumerate(zip(items["combination"], items["cell"], strict=True))
    }
    figure = figure_or_new(figure, (1.2 + 0.95 * len(cells), 0.7 + 1.1 * len(names)))
    grid = figure.subplots(len(names), len(cells), squeeze=False)
    for column, cell in enumerate(cells):
        drawn = [rows[name, cell] for name in names if (name, cell) in rows]
        limit = largest(maps[drawn])
        for ax, name in zip(grid[:, column], names, strict=True):
            row = rows.get((name, cell))
            if row is not None and np.isfinite(maps[row]).all():
                draw_map(ax, maps[row], pixel_um=fields.pixel_um, limit=limit)
                ax.set_title(f"n = {int(items['n_samples'].iloc[row])}")
            else:
                ax.set_box_aspect(1)
                ax.spines[:].set_visible(False)
            ax.set(xticks=[], yticks=[])
        grid[0, column].set_title(f"cell {cell}\n{grid[0, column].get_title()}")
    for ax, name in zip(grid[:, 0], names, strict=True):
        ax.set_ylabel(plain(name), rotation=0, ha="right", va="center")
    figure.supylabel("combination of active modes")
    figure.supxlabel(
        f"spatial map ({extent_words(maps, fields.pixel_um)}), one colour scale for each cell"
    )
    return grid


def _separated(
    fields: Fields,
) -> tuple[Float[np.ndarray, "item y x"], Float[np.ndarray, "item lag"]]:
    if fields.space is None or fields.time_course is None:
        msg = (
            "The fields have no spatial maps and time courses yet: call separate_space_time first."
        )
        raise ValueError(msg)
    return np.asarray(fields.space), np.asarray(fields.time_course)


def largest(space: Float[np.ndarray, "..."]) -> float:
    """Return the largest absolute value, or 1 if there is none."""
    observed = np.abs(space[np.isfinite(space)])
    return float(observed.max(initial=0.0)) or 1.0


def draw_map(
    ax: Axes, space: Float[np.ndarray, "y x"], *, pixel_um: float | None, limit: float
) -> None:
    """Draw a map in the signed colours, 0 white, with its extent."""
    height, width = np.array(space.shape) * (pixel_um or 1.0)
    ax.imshow(space, cmap=SIGNED_MAP, vmin=-limit, vmax=limit, extent=(0, width, height, 0))
    ax.spines[:].set(color=CONTROL, linewidth=0.5)
    ax.set_xticks([0, width], labels=["0", f"{width:g}"])
    ax.set_yticks([0, height], labels=["0", f"{height:g}"])


def _draw_time_course(
    ax: Axes, lag_ms: Float[np.ndarray, " lag"], time_course: Float[np.ndarray, " lag"]
) -> None:
    ax.axhline(0, color=CONTROL, linewidth=0.6)
    ax.plot(lag_ms, time_course, color=NETWORK, linewidth=1.3)
    open_frame(ax)


def _label_pair(left: Axes, right: Axes, fields: Fields, *, first: bool, last: bool) -> None:
    unit = "µm" if fields.pixel_um else "pixel"
    left.set(xlabel=f"x ({unit})" if last else "", ylabel=f"y ({unit})" if first else "")
    right.set_xlabel("lag (ms)" if last else "")
    right.set_ylabel(f"time course\n({plain(fields.unit)})" if first else "")


def _item_name(fields: Fields, item: int) -> str:
    row = fields.items.iloc[item]
    if "label" in row.index:
        return plain(row["label"])
    return plain(f"cell {row['cell']}" if "cell" in row.index else f"field {item}")


def extent_words(maps: Float[np.ndarray, "item y x"], pixel_um: float | None) -> str:
    """Say how large maps are."""
    n_y, n_x = maps.shape[1:]
    if pixel_um:
        return f"{n_x * pixel_um:g} × {n_y * pixel_um:g} µm"
    return f"{n_x} × {n_y} pixel"
