"""Heat maps with rows and columns that have names, and borders between groups of them."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from jaxtyping import Int, Real
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.image import AxesImage
from matplotlib.patches import Patch

from ._style import CONTROL, ON_COLOURS, open_frame, saturation

LABEL_HEIGHT_INCH = 0.125
LETTER_WIDTH_INCH = 0.065
CRISP_COLUMNS = 1000
BAR_WIDTH_INCH = 0.1
SIGN_WORD = {-1: "suppressing", 0: "both signs", 1: "promoting"}
SIGN_MARK = {-1: " −", 0: "", 1: " +"}


def draw_heat_map(
    ax: Axes,
    values: Real[np.ndarray, "row column"],
    *,
    scale: Mapping[str, Any],
    bar_label: str | None,
    x: Real[np.ndarray, " column"] | None = None,
) -> AxesImage:
    """Draw rows from top to bottom; missing values are hatched. `x` are the column centres."""
    n_rows, n_columns = values.shape
    centres = np.arange(n_columns) if x is None else x
    half = (centres[-1] - centres[0]) / (2 * max(n_columns - 1, 1)) or 0.5
    extent = (centres[0] - half, centres[-1] + half, n_rows - 0.5, -0.5)
    interpolation = "nearest" if n_columns <= CRISP_COLUMNS else "auto"
    image = ax.imshow(values, aspect="auto", extent=extent, interpolation=interpolation, **scale)
    open_frame(ax)
    if np.isnan(values).any():
        hatch_missing(ax)
    if bar_label is not None:
        colour_bar(image, [ax], label=bar_label, extend=saturation(values, scale))
    return image


def colour_bar(image: AxesImage, axes: list[Axes], *, label: str, extend: str) -> None:
    """Put a thin colour bar beside one or more axes, equally thin beside tall and low ones."""
    figure = axes[0].figure
    height = axes[0].bbox.height / figure.dpi
    bar = figure.colorbar(
        image,
        ax=axes,
        label=label,
        extend=extend,
        extendfrac=min(0.05, 0.1 / height),
        pad=0.02,
        aspect=height / BAR_WIDTH_INCH,
    )
    bar.outline.set_visible(False)


def hatch_missing(ax: Axes) -> None:
    """Let the background, which shows through missing values, be hatched."""
    ax.patch.set(facecolor="white", edgecolor=CONTROL, hatch="//////", linewidth=0)


def missing_key(label: str) -> Patch:
    """Legend entry for what `hatch_missing` drew."""
    return Patch(facecolor="white", edgecolor=CONTROL, hatch="//////", linewidth=0, label=label)


def name_ticks(axis: Axis, names: Sequence[str], *, rotation: float = 0.0) -> None:
    """Put names on rows or columns; every second, third, ... where there is too little room."""
    longest = max((len(name) for name in names), default=0)
    along_x = axis.axis_name == "x" and not rotation
    needed = (longest + 1.5) * LETTER_WIDTH_INCH if along_x else LABEL_HEIGHT_INCH
    box = axis.axes.bbox
    room = (box.width if axis.axis_name == "x" else box.height) / axis.axes.figure.dpi
    step = max(1, ceil(len(names) * needed / room))
    axis.set_ticks(range(0, len(names), step), labels=list(names)[::step], rotation=rotation)
    axis.set_tick_params(length=0)


def feature_order(
    channel: Int[np.ndarray, " feature"], sign: Int[np.ndarray, " feature"]
) -> Int[np.ndarray, " feature"]:
    """Order of features in all pictures: suppressing first, then promoting, each by channel."""
    return np.lexsort((channel, sign))


def feature_names(
    channel: Int[np.ndarray, " feature"], sign: Int[np.ndarray, " feature"]
) -> list[str]:
    """Name of each feature: its channel and its sign."""
    return [f"{int(c)}{SIGN_MARK[int(s)]}" for c, s in zip(channel, sign, strict=True)]


def sign_words(sign: Int[np.ndarray, " feature"]) -> list[str]:
    """Say what each feature does to the target."""
    return [SIGN_WORD[int(s)] for s in sign]


def mark_groups(
    axis: Axis, groups: Sequence[str], *, name: str = "", rotation: float = 0.0
) -> None:
    """Draw a line where the group changes, and write its name on the side opposite to the ticks."""
    changes = [i for i in range(1, len(groups)) if groups[i] != groups[i - 1]]
    borders = np.array([0, *changes, len(groups)])
    across = axis.axis_name == "x"
    for border in changes:
        line = axis.axes.axvline if across else axis.axes.axhline
        line(border - 0.5, color=ON_COLOURS, linewidth=1.0)
    beside = axis.axes.secondary_xaxis("top") if across else axis.axes.secondary_yaxis("right")
    inner = beside.xaxis if across else beside.yaxis
    centres = (borders[:-1] + borders[1:] - 1) / 2
    inner.set_ticks(centres, labels=[groups[i] for i in borders[:-1]], rotation=rotation)
    inner.set_tick_params(length=0)
    inner.set_label_text(name)
    if not across:
        for text in inner.get_ticklabels():
            text.set_verticalalignment("center")
    beside.spines[:].set_visible(False)
