"""A picture inside the page: an SVG as a data address, its caption and its words."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from matplotlib.figure import Figure

CSS_PIXELS_PER_INCH = 110


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One drawn figure, its caption and the text that replaces it for a screen reader."""

    address: str
    width_px: int
    caption: str
    alt: str


def height_of(n_rows: int) -> float:
    """Height in inches of a picture with a heat map of so many rows."""
    return 1.0 + 0.14 * min(max(n_rows, 8), 50)


def picture(
    draw: Callable[[Figure], object],
    *,
    size: tuple[float, float],
    caption: str,
    alt: str,
) -> Picture:
    """Draw on a figure of its own (size in inches) that pyplot does not know, and keep the SVG.

    Heat maps are pixels inside the SVG, lines and text stay sharp at any size.
    """
    figure = Figure(figsize=size, layout="constrained")
    draw(figure)
    drawn = BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    return Picture(
        address=f"data:image/svg+xml;base64,{b64encode(drawn.getvalue()).decode('ascii')}",
        width_px=round(size[0] * CSS_PIXELS_PER_INCH),
        caption=caption,
        alt=alt,
    )
