"""A picture inside the page: an inline SVG, its caption, its words, and the files behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO

from markupsafe import Markup
from matplotlib.figure import Figure

from ._svg import inline_svg

CSS_PIXELS_PER_INCH = 110


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One drawn figure, its caption, and the files of the run that hold what it shows."""

    svg: Markup
    caption: str
    data: tuple[str, ...] = ()


def height_of(n_rows: int) -> float:
    """Height in inches of a picture with a heat map of so many rows."""
    return 1.0 + 0.14 * min(max(n_rows, 8), 50)


def picture(
    draw: Callable[[Figure], object],
    *,
    size: tuple[float, float],
    caption: str,
    alt: str,
    data: tuple[str, ...] = (),
) -> Picture:
    """Draw on a figure of its own (size in inches) that pyplot does not know, and keep the SVG.

    Heat maps are pixels inside the SVG; lines and text stay sharp at any size.

    Parameters
    ----------
    draw
        What to do with the figure.
    size
        Width and height in inches.
    caption
        What is shown, its unit and its n.
    alt
        Words for a screen reader.
    data
        Names of the files in the folder of the run that hold what is shown.
    """
    figure = Figure(figsize=size, layout="constrained")
    draw(figure)
    drawn = StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    width_px = round(size[0] * CSS_PIXELS_PER_INCH)
    svg = inline_svg(drawn.getvalue(), alt=alt, width_px=width_px)
    return Picture(svg=Markup(svg), caption=caption, data=data)
