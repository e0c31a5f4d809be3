"""What is looked at: a cell, a layer, a moment, a mode, a stretch of time."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True)
class View:
    """What is looked at in a run.

    Attributes
    ----------
    cell
        Its number in the recording.
    layer
        Whose contributions and modes are shown.
    time_s
        The moment, in seconds; None where none is chosen yet.
    mode
        Number of the mode; None where none is chosen yet.
    span_s
        First and last time in view; None for all.

    Examples
    --------
    >>> view = View(cell=2, layer="relu1", time_s=1.5)
    >>> view.query()
    {'cell': '2', 'layer': 'relu1', 'time': '1.5'}
    """

    cell: int
    layer: str
    time_s: float | None = None
    mode: int | None = None
    span_s: tuple[float, float] | None = None

    def query(self) -> dict[str, str]:
        """Return the view as words for the address of a page."""
        first, last = self.span_s or (None, None)
        given = {
            "cell": self.cell,
            "layer": self.layer,
            "time": self.time_s,
            "mode": self.mode,
            "from": first,
            "to": last,
        }
        return {name: f"{value}" for name, value in given.items() if value is not None}

    def code(self) -> str:
        """Return the line of Python that makes this view."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return f"View({', '.join(f'{name}={value!r}' for name, value in given.items())})"


QUERY = ("cell", "layer", "time", "mode", "from", "to")
"""Names that `View.query` uses."""


def view_from(query: Mapping[str, str], default: View) -> View:
    """Read a view from an address; what is missing or makes no sense is as in the default.

    Parameters
    ----------
    query
        What stands behind the question mark, by name, as `View.query` writes it.
    default
        Its cell and layer are taken where the address says nothing about them.

    Examples
    --------
    >>> view_from({"cell": "2", "time": "soon"}, View(cell=0, layer="relu1"))
    View(cell=2, layer='relu1', time_s=None, mode=None, span_s=None)
    """
    cell, mode = number_in(query.get("cell"), int), number_in(query.get("mode"), int)
    first, last = number_in(query.get("from"), float), number_in(query.get("to"), float)
    given = first is not None and last is not None and first < last
    return View(
        cell=default.cell if cell is None else cell,
        layer=query.get("layer", default.layer),
        time_s=number_in(query.get("time"), float),
        mode=mode,
        span_s=(first, last) if given else None,
    )


def number_in(text: str | None, kind: type) -> int | float | None:
    """Return the number that a word is; None where it is none."""
    try:
        number = None if text is None else kind(text)
    except ValueError:
        return None
    return number if number is not None and isfinite(number) else None
