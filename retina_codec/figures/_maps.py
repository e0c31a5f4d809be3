"""Pictures of which parts of images modes use, and of how well maps do."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from retina_codec.datatypes import Maps

from ._style import (
    BASELINE,
    CONTROL,
    INK,
    NETWORK,
    ON_COLOURS,
    figure_or_new,
    open_frame,
    plain,
)

MOST_ITEMS = 8
KINDS = {"inserted": "pixels are inserted", "deleted": "pixels are deleted"}
CHANCE = "random order"
COLOURS = (NETWORK, BASELINE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
DIMMED = 0.35
LETTERS_ACROSS = 16
EDGE = "#F0E442"
FINER = 4
"""Points a side of a pixel, so that outlines follow its corners also in very small images."""


def plot_maps(
    maps: Maps,
    pictures: Any,
    *,
    items: Sequence[int] | None = None,
    saturated: float = 0.005,
    figure: FigureBase | None = None,
) -> np.ndarray:
    r"""Draw each map beside its picture: what raises the target, and what lowers it.

    Parameters
    ----------
    maps
        Of modes or channels in images.
    pictures
        Images as people see them, "sample y x 3" or "sample y x" from 0 to 1; `sample` of the maps
        counts them.
    items
        Which maps, by row; None draws the first eight.
    saturated
        Share of the pixels that are drawn in the darkest colour. Maps of the same image have the
        same scale, so that their strengths compare.
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        Three axes for each map: picture, positive part, negative part.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> values = np.random.default_rng(0).normal(size=(2, 1, 8, 8))
    >>> items = pd.DataFrame({"sample": [0, 0], "mode": [3, 7], "label": ["mode 3", "mode 7"]})
    >>> maps = Maps(values=values, items=items, layer="conv2", target="top class")
    >>> axes = plot_maps(maps, np.zeros((1, 8, 8)), figure=Figure())
    >>> axes.shape, axes[1, 0].get_ylabel(), axes[0, 1].get_title()
    ((2, 3), 'image 0\nmode 7', 'raises the target')
    """
    shown = list(range(min(len(maps.items), MOST_ITEMS)) if items is None else items)
    positive, negative = maps.positive[shown], -maps.negative[shown]
    table = maps.items.iloc[shown]
    figure = figure_or_new(figure, (4.6, 0.5 + 1.45 * len(shown)))
    grid = figure.subplots(len(shown), 3, squeeze=False)
    for row, (axes, (_, about)) in enumerate(zip(grid, table.iterrows(), strict=True)):
        same = (table["sample"] == about["sample"]).to_numpy()
        limit = _limit(np.concatenate([positive[same], negative[same]]), saturated)
        draw_picture(axes[0], pictures[int(about["sample"])])
        axes[1].imshow(positive[row], cmap="Blues", vmin=0, vmax=limit)
        axes[2].imshow(negative[row], cmap="Oranges", vmin=0, vmax=limit)
        axes[0].set_ylabel(f"image {about['sample']}\n{_label(about)}")
    for ax in grid.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(color=CONTROL, linewidth=0.5)
    titles = ("picture", "raises the target", "lowers the target")
    for ax, title in zip(grid[0], titles, strict=True):
        ax.set_title(title)
    figure.supxlabel(
        f"target: {plain(maps.target)}; one scale for each image, {saturated:.1%} saturate"
    )
    return grid


def plot_gallery(
    maps: Maps,
    pictures: Any,
    *,
    area: float = 0.1,
    figure: FigureBase | None = None,
) -> np.ndarray:
    """Draw the images that excite each mode, lit where the mode uses them.

    Parameters
    ----------
    maps
        Of `receptive_fields.gallery_maps`: items with `mode`, `rank`, `sample`, and, if known, the
        `name` of the image's class and whether it is `of_class`. Blur them when they are made
        (`smoothing`).
    pictures
        As in `plot_maps`.
    area
        Share of the pixels that is lit and framed: where the positive part is largest.
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        One axes for each mode (rows) and rank.

    Raises
    ------
    ValueError
        If the area is not above 0 and up to 1.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> values = np.random.default_rng(0).normal(size=(2, 1, 8, 8))
    >>> items = pd.DataFrame({"sample": [0, 1], "mode": 3, "rank": [0, 1], "name": ["cat", "ox"]})
    >>> items = items.assign(of_class=[1, 0])
    >>> maps = Maps(values=values, items=items, layer="conv2", target="top class")
    >>> axes = plot_gallery(maps, np.full((2, 8, 8, 3), 0.5), figure=Figure())
    >>> [ax.get_title() for ax in axes[0]]
    ['cat', 'other: ox']
    """
    table, inside = maps.items.reset_index(drop=True), maps.regions(area)
    modes = list(dict.fromkeys(table["mode"]))
    n_across = int(table["rank"].max()) + 1
    figure = figure_or_new(figure, (0.5 + 1.35 * n_across, 0.4 + 1.55 * len(modes)))
    grid = figure.subplots(len(modes), n_across, squeeze=False)
    for ax in grid.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for row, about in table.iterrows():
        ax = grid[modes.index(about["mode"]), int(about["rank"])]
        draw_picture(ax, lit(pictures[int(about["sample"])], inside[row]))
        _outline(ax, inside[row])
        other = not about.get("of_class", 1)
        words = f"other: {about.get('name', '')}" if other else about.get("name", "")
        lines = wrap(plain(words), LETTERS_ACROSS, max_lines=2, placeholder=" …")
        ax.set_title("\n".join(lines), color=BASELINE if other else INK)
    for mode, axes in zip(modes, grid, strict=True):
        first = table[table["mode"] == mode].iloc[0]
        r = f"\nr = {first['r']:.2f}" if "r" in table else ""
        axes[0].set_ylabel(f"mode {mode}{r}")
    lit_words = f"lit: the {area:.0%} of the pixels that the mode uses most"
    r_words = "\nr: of the mode's loading with being of the class" if "r" in table else ""
    figure.supxlabel(f"images that excite the mode most; {lit_words}{r_words}")
    return grid


def plot_insertion(
    table: pd.DataFrame, summary: pd.DataFrame, *, method: str, figure: FigureBase | None = None
) -> np.ndarray:
    """Draw how the target grows and falls in the order of maps, and the advantage of one of them.

    Parameters
    ----------
    table
        Of `causal.insertion_deletion`.
    summary
        Of `causal.insertion_summary`.
    method
        Whose advantage over the others is drawn.
    figure
        Where to draw; None makes a new one.

    Returns
    -------
    np.ndarray
        Above: mean curves when pixels are inserted and deleted; below: advantages with their 95 %
        intervals.

    Raises
    ------
    ValueError
        If there is no such method.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> rows = [
    ...     (kind, method, 0, dose, dose)
    ...     for kind in ("inserted", "deleted")
    ...     for method in ("modes", "Grad-CAM")
    ...     for dose in (0.0, 0.5, 1.0)
    ... ]
    >>> table = pd.DataFrame(rows, columns=["kind", "method", "sample", "dose", "value"])
    >>> summary = pd.DataFrame({"kind": ["inserted"] * 2 + ["deleted"] * 2})
    >>> summary = summary.assign(method=["modes", "Grad-CAM"] * 2, rival=["Grad-CAM", "modes"] * 2)
    >>> summary = summary.assign(advantage=[0.2, -0.2] * 2, low=-0.3, high=0.3)
    >>> figure = Figure(layout="constrained")
    >>> axes = plot_insertion(table, summary, method="modes", figure=figure)
    >>> axes.shape, axes[0, 0].get_ylabel()
    ((2, 2), 'target, mean over images')
    """
    known = list(dict.fromkeys(summary["method"]))
    if method not in known:
        msg = f"No method {method!r}. Methods: {', '.join(known)}."
        raise ValueError(msg)
    others = [name for name in known if name != method]
    colours = dict(zip([method, *others], COLOURS * (1 + len(others)), strict=False))
    figure = figure_or_new(figure, (6.6, 2.9 + 0.17 * len(known)))
    grid = figure.subplots(
        2, len(KINDS), squeeze=False, height_ratios=[1.6, 0.4 + 0.13 * len(known)]
    )
    for (kind, title), (curves, bars) in zip(KINDS.items(), grid.T, strict=True):
        _draw_curves(curves, table[table["kind"] == kind], colours, first=method)
        curves.set_title(title, loc="left")
        _draw_advantages(bars, summary, kind, method, colours)
    grid[0, 0].set_ylabel("target, mean over images")
    grid[0, 1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    grid[1, 1].set_yticklabels([])
    return grid


def draw_picture(ax: Axes, picture: Float[np.ndarray, "y x ..."]) -> None:
    """Draw an image as people see it, from 0 to 1."""
    ax.imshow(np.clip(np.asarray(picture, dtype=float), 0, 1), cmap="gray", vmin=0, vmax=1)


def lit(picture: Float[np.ndarray, "y x ..."], inside: np.ndarray) -> Float[np.ndarray, "y x 3"]:
    """Return the picture in colour inside a region, and grey and dimmed elsewhere."""
    picture = np.clip(np.asarray(picture, dtype=float), 0, 1)
    colour = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
    outside = DIMMED * colour.mean(axis=2, keepdims=True) + 0.5 * (1 - DIMMED)
    return np.where(inside[..., None], colour, outside)


def _outline(ax: Axes, inside) -> None:
    """Two lines, dark under light, so that the edge is seen on any picture."""
    if inside.any() and not inside.all():
        n_y, n_x = inside.shape
        fine = inside.repeat(FINER, axis=0).repeat(FINER, axis=1).astype(float)
        y, x = ((np.arange(n * FINER) + 0.5) / FINER - 0.5 for n in (n_y, n_x))
        for colour, width in ((ON_COLOURS, 1.6), (EDGE, 0.8)):
            drawn = ax.contour(x, y, fine, [0.5], colors=colour, linewidths=width)
            drawn.set_rasterized(True)


def _limit(values, saturated: float) -> float:
    return float(np.quantile(values, 1 - saturated)) or float(values.max()) or 1.0


def _label(about) -> str:
    return plain(about["label"]) if "label" in about.index else ""


def _draw_curves(ax: Axes, part: pd.DataFrame, colours, *, first: str) -> None:
    wide = part.pivot_table(index="dose", columns="method", values="value", sort=False)
    for name, colour in reversed(colours.items()):
        ax.plot(
            100 * wide.index,
            wide[name],
            color=colour,
            linewidth=1.8 if name == first else 1.0,
            label=plain(name),
        )
    if CHANCE in wide:
        ax.plot(100 * wide.index, wide[CHANCE], "--", color=CONTROL, label=CHANCE)
    ax.set_xlabel("pixels (%)")
    open_frame(ax)


def _draw_advantages(ax: Axes, summary: pd.DataFrame, kind: str, method: str, colours) -> None:
    rows = summary[(summary["kind"] == kind) & (summary["method"] == method)]
    for place, (_, row) in enumerate(rows.iterrows()):
        colour = colours.get(row["rival"], CONTROL)
        ax.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.5)
        ax.plot(row["advantage"], place, "o", color=colour, markersize=4)
    ax.axvline(0, color=CONTROL, linewidth=0.6)
    ax.set_yticks(range(len(rows)), labels=[f"over {plain(name)}" for name in rows["rival"]])
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlabel=f"advantage of {plain(method)} (area)")
    open_frame(ax)
