"""The pictures of the page: made once, then only their numbers change."""

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from bokeh.core.properties import value
from bokeh.events import DoubleTap, RangesUpdate, Tap
from bokeh.models import (
    Axis,
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    FixedTicker,
    LinearColorMapper,
    Range1d,
    Span,
)
from bokeh.plotting import figure
from matplotlib.colors import to_hex

INK, FAINT, NETWORK, RECORDED = "#222222", "#8A8A8A", "#0072B2", "#C4C4C4"
FONT = "system-ui, sans-serif"
GAP, WORDS_HEIGHT = 0.08, 22
LEFT, RIGHT = 66, 92
SCROLLED_MS = 100
"""How long after the last turn of the wheel finer columns are asked for."""


def palette(name: str) -> list[str]:
    """Return a colour map of matplotlib, so that page and pictures look alike."""
    return [to_hex(colour) for colour in matplotlib.colormaps[name](np.linspace(0, 1, 256))]


SIGNED, POSITIVE, GREY = palette("RdBu_r"), palette("BuPu"), palette("gray")


def plain_figure(**settings: Any) -> figure:
    """Return a figure without anything that distracts."""
    given: dict[str, Any] = {"toolbar_location": None, "tools": "", "sizing_mode": "stretch_width"}
    plot = figure(**{**given, **settings})
    plot.outline_line_color = None
    plot.grid.visible = False
    plot.background_fill_color = plot.border_fill_color = None
    for axis in plot.axis:
        axis.axis_line_color = axis.major_tick_line_color = FAINT
        axis.minor_tick_line_color = None
        axis.major_label_text_color = axis.axis_label_text_color = INK
        axis.major_label_text_font = axis.axis_label_text_font = FONT
        axis.major_label_text_font_size, axis.axis_label_text_font_size = "11px", "12px"
        axis.axis_label_text_font_style = "normal"
    return plot


def time_figure(x_range: Range1d, moment: Span, *, height: int, label: str) -> figure:
    """Return a figure over time, that zooms and moves with the others."""
    plot = plain_figure(
        height=height,
        x_range=x_range,
        tools="xpan,xwheel_zoom",
        active_drag="xpan",
        active_scroll="xwheel_zoom",
        lod_timeout=SCROLLED_MS,
        min_border_left=LEFT,
        min_border_right=RIGHT,
    )
    plot.yaxis.axis_label = label
    plot.add_layout(moment)
    return plot


class Rates:
    """Recorded and predicted rate over time."""

    def __init__(self, x_range: Range1d, moment: Span):
        self.plot = time_figure(x_range, moment, height=132, label="rate (Hz)")
        self.plot.xaxis.visible = False
        self.source = ColumnDataSource({"x": [], "recorded": [], "predicted": []})
        self.plot.varea(
            "x", 0, "recorded", source=self.source, color=RECORDED, legend_label="recorded"
        )
        self.plot.line(
            "x",
            "predicted",
            source=self.source,
            color=NETWORK,
            line_width=1.6,
            legend_label="predicted by the network",
        )
        self.plot.y_range = Range1d(0, 1)
        legend = self.plot.legend[0]
        legend.orientation, legend.location, legend.border_line_color = (
            "horizontal",
            "top_right",
            None,
        )
        legend.label_text_font_size, legend.padding, legend.background_fill_alpha = "11px", 2, 0.7

    def show(self, x: np.ndarray, recorded: np.ndarray, predicted: np.ndarray) -> None:
        """Draw other rates."""
        self.source.data = {"x": x, "recorded": recorded, "predicted": predicted}
        highest = float(np.nanmax([np.nanmax(predicted), np.nanmax(np.nan_to_num(recorded))]))
        self.plot.y_range.end = 1.08 * max(highest, 1.0)


class Names:
    """Names along an axis.

    New ones cost the browser a layout, so they are sent only if they are others; a new ticker would
    cost the server a walk through all that is on the page, so it stays.
    """

    def __init__(self, axis: Axis):
        self.axis, self.places = axis, {}
        axis.ticker = FixedTicker(ticks=[])

    def show(self, names: Sequence[str], places: Sequence[float], *, every: int) -> None:
        """Write every so many of them at their places."""
        shown = dict(zip(places[::every], names[::every], strict=True))
        if shown != self.places:
            self.places = shown
            self.axis.ticker.ticks = list(shown)
            self.axis.major_label_overrides = shown


class Rows:
    """A heat map over time, whose rows have names."""

    def __init__(
        self, x_range: Range1d, moment: Span, *, height: int, label: str, bar: str, signed: bool
    ):
        self.signed = signed
        self.plot = time_figure(x_range, moment, height=height, label=label)
        self.plot.yaxis.axis_line_color = self.plot.yaxis.major_tick_line_color = None
        self.names = Names(self.plot.yaxis[0])
        self.plot.y_range = Range1d(0, 1)
        self.mapper = LinearColorMapper(palette=SIGNED if signed else POSITIVE, low=0, high=1)
        empty = {"image": [], "x": [], "y": [], "dw": [], "dh": []}
        self.source = ColumnDataSource(empty)
        self.plot.image("image", "x", "y", "dw", "dh", source=self.source, color_mapper=self.mapper)
        self.chosen = ColumnDataSource({"bottom": [], "top": [], "colour": []})
        self.plot.hstrip(
            "bottom",
            "top",
            source=self.chosen,
            fill_alpha=0,
            line_color="colour",
            line_width=2,
            level="overlay",
        )
        self._add_bar(bar)
        self.numbers: list[int] = []

    def _add_bar(self, title: str) -> None:
        bar = ColorBar(
            color_mapper=self.mapper,
            width=7,
            title=title,
            title_text_font_size="11px",
            title_text_font_style="normal",
            title_text_font=FONT,
            major_label_text_font_size="10px",
            ticker=BasicTicker(desired_num_ticks=5),
            padding=4,
            bar_line_color=None,
            background_fill_alpha=0,
        )
        self.plot.add_layout(bar, "right")

    def name_rows(self, numbers: Sequence[int], names: Sequence[str]) -> None:
        """Give rows their numbers and names, from the top."""
        n, self.numbers = len(names), list(numbers)
        self.plot.y_range.end = n
        every = max(1, int(np.ceil(13 * n / max(self.plot.height - 45, 20))))
        self.names.show(names, [n - i - 0.5 for i in range(n)], every=every)

    def show(self, x: np.ndarray, step: float, values: np.ndarray) -> None:
        """Draw other values "row column", from the top."""
        limit = highest(values)
        self.mapper.update(low=-limit if self.signed else 0.0, high=limit)
        n_rows, n_columns = values.shape
        self.source.data = {
            "image": [np.ascontiguousarray(values[::-1], dtype=np.float32)],
            "x": [float(x[0])],
            "y": [0],
            "dw": [step * n_columns],
            "dh": [n_rows],
        }

    def choose(self, number: int | None, colour: str) -> None:
        """Frame a row."""
        place = self.numbers.index(number) if number in self.numbers else None
        n = len(self.numbers)
        self.chosen.data = (
            {"bottom": [], "top": [], "colour": []}
            if place is None
            else {"bottom": [n - place - 1], "top": [n - place], "colour": [colour]}
        )

    def row_at(self, y: float) -> int | None:
        """Return the number of the row at a height."""
        place = len(self.numbers) - 1 - int(np.floor(y))
        return self.numbers[place] if 0 <= place < len(self.numbers) else None


class Strip:
    """Maps side by side, all with one colour scale; each has words above it.

    Parameters
    ----------
    room
        For how many maps; the strip keeps its proportions at any width.
    width
        In pixels, when there is enough room on the page.
    signed
        Whether 0 is white in the middle of the colours.
    coloured
        Whether maps are pictures with colours of their own, "y x 4" in bytes.
    lines
        Of words above each map.
    """

    def __init__(
        self, *, room: int, width: int, signed: bool, coloured: bool = False, lines: int = 1
    ):
        self.signed, self.room, self.coloured = signed, room, coloured
        side = (width - 4) / (room * (1 + GAP))
        height = round(side + WORDS_HEIGHT * lines)
        self.plot = plain_figure(
            width=width, height=height, sizing_mode="scale_width", min_border=0, max_width=width
        )
        self.plot.x_range = Range1d(-0.02, room * (1 + GAP) - GAP + 0.02)
        self.plot.y_range = Range1d(-0.02, -0.02 + height / side * (1 + 0.04 / room))
        self.plot.axis.visible = False
        self.mapper = LinearColorMapper(palette=SIGNED if signed else GREY, low=0, high=1)
        self.source = ColumnDataSource({"image": [], "x": [], "colour": []})
        self.words = ColumnDataSource({"x": [], "text": []})
        if coloured:
            self.plot.image_rgba("image", "x", 0, 1, 1, source=self.source)
        else:
            self.plot.image("image", "x", 0, 1, 1, source=self.source, color_mapper=self.mapper)
        self.plot.rect(
            x="middle",
            y=0.5,
            width=1,
            height=1,
            source=self.source,
            fill_alpha=0,
            line_color="colour",
            line_width=2.5,
        )
        self.source.data = {"image": [], "x": [], "middle": [], "colour": []}
        self.plot.text(
            "x",
            1.04,
            "text",
            source=self.words,
            text_font_size="11px",
            text_font=value(FONT),
            text_color=INK,
            text_align="center",
            text_baseline="bottom",
        )
        self.n = 0

    def show(
        self, maps: Sequence[np.ndarray], words: Sequence[str], colours: Sequence[str]
    ) -> None:
        """Draw other maps "y x"."""
        self.n = len(maps)
        stack = self._stack(maps)
        left = np.arange(self.n) * (1 + GAP)
        self.source.data = {
            "image": stack,
            "x": left,
            "middle": left + 0.5,
            "colour": list(colours),
        }
        self.words.data = {"x": left + 0.5, "text": list(words)}

    def clear(self) -> None:
        """Draw none."""
        self.n = 0
        self.source.data = {"image": [], "x": [], "middle": [], "colour": []}
        self.words.data = {"x": [], "text": []}

    def _stack(self, maps: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return maps as Bokeh wants them, and fit the colours to them."""
        if self.coloured:
            flipped = [np.ascontiguousarray(one[::-1]) for one in maps]
            return [one.view(np.uint32)[..., 0] for one in flipped]
        stack = np.stack([np.asarray(one, dtype=np.float32)[::-1] for one in maps])
        limit = float(np.abs(stack).max()) or 1.0
        low, high = (-limit, limit) if self.signed else (float(stack.min()), float(stack.max()))
        self.mapper.update(low=low, high=high if high > low else low + 1)
        return list(stack)

    def item_at(self, x: float) -> int | None:
        """Return the number of the map at a place."""
        item = int(np.floor(x / (1 + GAP)))
        return item if 0 <= item < self.n else None


class Bars:
    """A bar for each of some names."""

    def __init__(self, *, height: int, label: str, x_label: str, width: float = 0.7):
        self.plot = plain_figure(height=height, x_range=Range1d(-0.6, 1), min_border_right=8)
        self.plot.y_range = Range1d(0, 1)
        self.plot.xaxis.axis_label, self.plot.yaxis.axis_label = x_label, label
        self.names = Names(self.plot.xaxis[0])
        self.source = ColumnDataSource({"x": [], "top": [], "fill": [], "line": []})
        self.range = ColumnDataSource({"x": [], "low": [], "high": []})
        self.plot.vbar(
            "x",
            0.8,
            "high",
            "low",
            source=self.range,
            fill_color=FAINT,
            fill_alpha=0.35,
            line_color=None,
        )
        self.plot.vbar("x", width, "top", source=self.source, fill_color="fill", line_color="line")
        self.plot.add_layout(Span(location=0, dimension="width", line_color=FAINT, line_width=1))

    def show(
        self,
        values: np.ndarray,
        names: Sequence[str],
        *,
        fill: Sequence[str],
        line: str,
        low: np.ndarray | None = None,
        high: np.ndarray | None = None,
    ) -> None:
        """Draw other bars."""
        n = len(values)
        self.source.data = {
            "x": np.arange(n),
            "top": np.asarray(values, dtype=float),
            "fill": list(fill),
            "line": [line] * n,
        }
        drawn = low is not None and high is not None
        self.range.data = {
            "x": np.arange(n) if drawn else [],
            "low": low if drawn else [],
            "high": high if drawn else [],
        }
        self.plot.x_range.update(start=-0.6, end=n - 0.4)
        all_values = np.concatenate([values, low, high] if drawn else [values])
        self.plot.y_range.update(**room_for(all_values))
        every = max(1, int(np.ceil(len(names) / 18)))
        self.names.show(names, range(n), every=every)


class Course:
    """A time course over lags."""

    def __init__(self, *, height: int):
        self.plot = plain_figure(height=height, min_border_right=8)
        self.plot.x_range, self.plot.y_range = Range1d(-1, 0), Range1d(0, 1)
        self.plot.xaxis.axis_label = "time before the response (ms)"
        self.source = ColumnDataSource({"x": [], "y": []})
        self.plot.add_layout(Span(location=0, dimension="width", line_color=FAINT, line_width=1))
        self.plot.line("x", "y", source=self.source, color=NETWORK, line_width=2)
        self.lag = Span(location=0, dimension="height", line_color=INK, line_dash="dotted")
        self.plot.add_layout(self.lag)

    def show(self, lag_ms: np.ndarray, course: np.ndarray, unit: str) -> None:
        """Draw another course."""
        self.source.data = {"x": lag_ms, "y": course}
        self.plot.x_range.update(start=float(lag_ms[0]), end=0)
        self.plot.y_range.update(**room_for(course))
        self.plot.yaxis.axis_label = unit


def room_for(values: np.ndarray) -> dict[str, float]:
    """Return a range from 0 or below to 0 or above that holds all values."""
    seen = values[np.isfinite(values)]
    low, high = float(min(seen.min(initial=0), 0)), float(max(seen.max(initial=0), 0))
    more = 0.06 * (high - low) or 1.0
    return {"start": low - more if low < 0 else 0.0, "end": high + more if high > 0 else more}


def highest(values: np.ndarray) -> float:
    """Return where the colours end; rare outliers saturate."""
    size = np.abs(values[np.isfinite(values)])
    if not size.size:
        return 1.0
    usual, most = float(np.percentile(size, 99.5)), float(size.max())
    return (usual if most > 1.25 * usual > 0 else most) or 1.0


def on_tap(plot: figure, call: Callable[[float, float], object]) -> None:
    """Call a function with the place of each click, also of one that soon follows another."""
    for kind in (Tap, DoubleTap):
        plot.on_event(kind, lambda event: call(event.x, event.y))


def on_zoom(plot: figure, call: Callable[[float, float], object]) -> None:
    """Call a function with the first and last x when somebody zoomed or moved."""
    plot.on_event(RangesUpdate, lambda event: call(event.x0, event.x1))
