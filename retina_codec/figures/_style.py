"""How all pictures look: colours, colour scales, sizes of text. The only file that decides that."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import RLock
from typing import Any

import matplotlib.style
import numpy as np
from jaxtyping import Real
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

# Okabe and Ito (2008): told apart by colour-blind readers and in greyscale.
NETWORK = "#0072B2"
"""What the network says, in all pictures."""
BASELINE = "#D55E00"
RECORDED = "#C4C4C4"
CONTROL = "#8A8A8A"
INK = "#222222"
"""Text and lines on the page: light where the page is dark."""
ON_COLOURS = "#000000"
"""Text and lines on a heat map: dark on every page."""
SERIES = (NETWORK, BASELINE, "#56B4E9", "#E69F00", "#009E73", "#CC79A7")
# "Muted" of Tol (2021), Colour Schemes, SRON/EPS/TN/09-002: told apart by colour-blind readers.
MODE_COLOURS = (
    "#CC6677",
    "#332288",
    "#DDCC77",
    "#117733",
    "#88CCEE",
    "#882255",
    "#44AA99",
    "#999933",
    "#AA4499",
)
MARKERS = "osoD^v"

SIGNED_MAP = "RdBu_r"
POSITIVE_MAP = "BuPu"
STIMULUS_MAP = "gray"
CLIPPED_PERCENTILE = 99.5
OUTLIER = 1.25
LONGEST_NAME = 28

SETTINGS = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "figure.labelsize": 8,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "hatch.linewidth": 0.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.dpi": 160,
    "svg.fonttype": "none",
    "svg.hashsalt": "retina_codec",
}
_ONE_AT_A_TIME = RLock()


@contextmanager
def style() -> Iterator[None]:
    """Draw and save in the look of the report, whatever matplotlib was told before.

    The settings of matplotlib are as before afterwards. They belong to the whole process, so two
    threads take turns.

    Examples
    --------
    >>> with style():
    ...     figure, ax = plt.subplots(figsize=(3, 2), layout="constrained")
    >>> plt.close(figure)
    """
    with _ONE_AT_A_TIME, matplotlib.style.context(["default", SETTINGS]):
        yield


def mode_colour(mode: int) -> str:
    """Return the colour of a mode, the same in all pictures; it comes back every nine modes.

    Parameters
    ----------
    mode
        Its number.

    Returns
    -------
    str
        As matplotlib and web pages take it.

    Examples
    --------
    >>> mode_colour(0) == mode_colour(9) != mode_colour(1)
    True
    """
    return MODE_COLOURS[mode % len(MODE_COLOURS)]


def axes_or_new(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return the axes given, or those of a new pyplot figure of this size in inches."""
    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def figure_or_new(figure: FigureBase | None, size: tuple[float, float]) -> FigureBase:
    """Return the figure given, or a new pyplot figure of this size in inches."""
    return plt.figure(figsize=size, layout="constrained") if figure is None else figure


def height_of(n_rows: int) -> float:
    """Height in inches of a figure with a heat map of so many rows."""
    return 1.0 + 0.15 * min(max(n_rows, 6), 45)


def open_frame(ax: Axes) -> None:
    """Leave only the lines at the left and at the bottom."""
    ax.spines[["top", "right"]].set_visible(False)


def plain(name: Any) -> str:
    """Return a name from a file as text that matplotlib draws as it is, shortened if very long."""
    text = " ".join(str(name).split())
    if len(text) > LONGEST_NAME:
        text = f"{text[: LONGEST_NAME - 1]}…"
    return text.replace("$", r"\$")


def signed_scale(values: Real[np.ndarray, "..."]) -> dict[str, Any]:
    """Diverging colour scale with 0 in the middle; rare outliers saturate."""
    limit = _upper(np.abs(values))
    return {"cmap": SIGNED_MAP, "vmin": -limit, "vmax": limit}


def positive_scale(values: Real[np.ndarray, "..."]) -> dict[str, Any]:
    """Sequential colour scale from 0; rare outliers saturate."""
    return {"cmap": POSITIVE_MAP, "vmin": 0.0, "vmax": _upper(values)}


def fitting_scale(values: Real[np.ndarray, "..."]) -> dict[str, Any]:
    """Sequential scale where nothing is below 0, otherwise the diverging one."""
    return signed_scale(values) if np.any(values < 0) else positive_scale(values)


def saturation(values: Real[np.ndarray, "..."], scale: Mapping[str, Any]) -> str:
    """Which ends of a colour bar need an arrow because there are values beyond."""
    low, high = bool(np.any(values < scale["vmin"])), bool(np.any(values > scale["vmax"]))
    return {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[(low, high)]


def _upper(values: Real[np.ndarray, "..."]) -> float:
    observed = values[np.isfinite(values)]
    if not observed.size:
        return 1.0
    usual, highest = float(np.percentile(observed, CLIPPED_PERCENTILE)), float(observed.max())
    return (usual if highest > OUTLIER * usual > 0 else max(highest, 0.0)) or 1.0
