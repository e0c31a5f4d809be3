"""One moment: the stimulus before it, the field, its parts, the combination."""

from collections.abc import Callable

import numpy as np
import panel as pn
from bokeh.models import CustomJS, Slider, Toggle

from retina_codec.figures import mode_colour

from ._picture import shown_frames
from ._plots import FAINT, INK, Course, Strip, on_tap
from ._run import N_FRAMES, N_PARTS, ExploredRun, Moment
from ._view import View
from ._words import HALF, HIDDEN, SEEN, WRAP, Choices, chip, paragraph, words

NOTHING = "None is chosen yet: click the time line."
SHORT = {"other modes": "others", "unexplained": "no mode"}
SHOW_LAG = """
const stack = lags.data.image;
if (!stack.shape) { return; }
const [n, height, width] = stack.shape;
const k = Math.min(slider.value, n - 1), size = height * width;
const one = new stack.constructor(stack.slice(k * size, (k + 1) * size), [height, width]);
const data = Object.assign({}, map.data);
data.image = [one];
map.data = data;
line.location = lags.data.ms[k];
slider.title = "lag " + lags.data.ms[k].toFixed(0) + " ms";
"""
PLAY = """
if (window.retinaPlayer) { clearInterval(window.retinaPlayer); window.retinaPlayer = null; }
if (toggle.active) {
  window.retinaPlayer = setInterval(() => {
    slider.value = slider.value >= slider.end ? slider.start : slider.value + 1;
  }, 120);
}
toggle.label = toggle.active ? "pause" : "play";
"""


class MomentPanel:
    """What made the cell respond at the moment in view."""

    def __init__(self, run: ExploredRun, *, pick: Callable):
        self.run, self.pick = run, pick
        self.moment: Moment | None = None
        self.head = words(sizing_mode="stretch_width")
        self.frames = Strip(room=N_FRAMES, width=600, signed=False)
        self.parts = Strip(room=N_PARTS + 3, width=600, signed=True, lines=2)
        self.map = Strip(room=1, width=190, signed=True)
        self.course = Course(height=170)
        self.alike_words = words(sizing_mode="stretch_width")
        self.alike = Choices(self._to_alike)
        self.lags = self.map.source.__class__({"image": [], "ms": []})
        self.slider = Slider(
            start=0, end=1, value=1, step=1, title="lag", show_value=False, width=150
        )
        play = Toggle(label="play", width=60)
        shown = {
            "lags": self.lags,
            "map": self.map.source,
            "line": self.course.lag,
            "slider": self.slider,
        }
        self.slider.js_on_change("value", CustomJS(args=shown, code=SHOW_LAG))
        self.lags.js_on_change("data", CustomJS(args=shown, code=SHOW_LAG))
        play.js_on_change(
            "active", CustomJS(args={"slider": self.slider, "toggle": play}, code=PLAY)
        )
        on_tap(self.parts.plot, self._tap_part)
        movie = pn.Row(pn.pane.Bokeh(self.slider), pn.pane.Bokeh(play), margin=0)
        self.field_words = words(sizing_mode="stretch_width")
        left = pn.Column(_pane(self.map.plot), movie, width=240, margin=0)
        self.body = pn.Column(
            words("<p>The stimulus before it</p>"),
            _pane(self.frames.plot),
            self.field_words,
            pn.Row(
                left,
                pn.Column(_pane(self.course.plot), styles={"flex": "1 1 240px"}),
                sizing_mode="stretch_width",
                margin=0,
                styles=WRAP,
            ),
            words(
                "<p>Its parts, and their shares of the field: click a mode to see what it is</p>"
            ),
            _pane(self.parts.plot),
            self.alike_words,
            self.alike,
            sizing_mode="stretch_width",
            margin=0,
            styles=HIDDEN,
        )
        self.layout = pn.Column(
            self.head, self.body, sizing_mode="stretch_width", margin=0, styles=HALF
        )

    def show(self, view: View, before: View | None) -> None:
        """Draw what changed."""
        seen = None if before is None else (before.cell, before.layer, before.time_s)
        if seen == (view.cell, view.layer, view.time_s):
            return
        self.body.styles = HIDDEN if view.time_s is None else SEEN
        if view.time_s is None:
            self.head.text = "<h2>Moment</h2>" + paragraph(NOTHING)
            return
        self.moment = self.run.moment(view)
        self.head.text = self._title(view)
        if seen is None or (seen[0], seen[2]) != (view.cell, view.time_s):
            self._show_frames()
            self._show_field()
        self._show_parts()
        self._show_alike()

    def _title(self, view: View) -> str:
        about = self.moment.irf.items.iloc[0]
        recorded = self.run.recorded_hz(view)
        beside = "" if np.isnan(recorded) else f", recorded {recorded:.0f} Hz"
        modes = " ".join(map(chip, self.moment.active)) or "no mode"
        return (
            f"<h2>Moment {view.time_s:.2f} s</h2><p>Cell {view.cell}: predicted "
            f"{about['rate_hz']:.0f} Hz{beside}. Active in {_safe(view.layer)}: {modes}</p>"
        )

    def _show_frames(self) -> None:
        frames = np.asarray(self.moment.frames.frames)
        first, step = shown_frames(self.moment.irf.lag_s.size)
        chosen = np.arange(first, self.moment.irf.lag_s.size, step)[:N_FRAMES]
        labels = [f"{1000 * self.moment.irf.lag_s[k]:.0f} ms" for k in chosen]
        self.frames.show(frames[chosen], labels, [INK] * len(chosen))

    def _show_field(self) -> None:
        field, ms = np.asarray(self.moment.irf.values[0]), 1000 * self.moment.irf.lag_s
        best = int(np.abs(field).max(axis=(1, 2)).argmax())
        limit = float(np.abs(field).max()) or 1.0
        self.map.show([field[best]], [""], [FAINT])
        self.map.mapper.update(low=-limit, high=limit)
        self.course.show(ms, np.asarray(self.moment.irf.time_course[0]), self.moment.irf.unit)
        title = f"lag {ms[best]:.0f} ms"
        self.slider.update(end=len(field) - 1, value=best, title=title)
        self.field_words.text = (
            "<p>The receptive field just then (IRF): its map at each lag, its time course</p>"
            + paragraph(f"{_extent(self.moment)} wide; red: light there raises the rate.")
        )
        flipped = np.ascontiguousarray(field[:, ::-1], dtype=np.float32)
        self.lags.data = {"image": flipped, "ms": ms}
        self.course.lag.location = float(ms[best])

    def _show_parts(self) -> None:
        self.parts.plot.visible = self.moment.parts is not None
        if self.moment.parts is None:
            return
        items, maps = self.moment.parts.items, np.asarray(self.moment.parts.values)[:, 0]
        names = [
            f"{SHORT.get(a['label'], a['label'])}\n{a['share']:.0%}" for _, a in items.iterrows()
        ]
        colours = [FAINT if np.isnan(m) else mode_colour(int(m)) for m in items["mode"]]
        self.parts.show(maps, names, colours)

    def _show_alike(self) -> None:
        table = self.moment.alike
        names = [
            f"{t:.2f} s · {r:.0f} Hz" for t, r in zip(table.time_s, table.rate_hz, strict=True)
        ]
        self.alike.labels = names
        which = "the same modes" if self.moment.active else "no mode"
        found = f"Other moments with {which} active, where the cell fires most"
        self.alike_words.text = f"<p>{found if names else f'No other moment with {which}'}</p>"

    def _tap_part(self, x: float, y: float) -> None:
        item = self.parts.item_at(x)
        if item is None or self.moment is None or self.moment.parts is None:
            return
        mode = self.moment.parts.items["mode"].iloc[item]
        if not np.isnan(mode):
            self.pick(mode=int(mode))

    def _to_alike(self, place: int) -> None:
        self.pick(time_s=float(self.moment.alike["time_s"].iloc[place]))


def _pane(plot) -> pn.pane.Bokeh:
    return pn.pane.Bokeh(plot, sizing_mode="stretch_width", margin=0)


def _extent(moment: Moment) -> str:
    width, pixel_um = moment.irf.values.shape[-1], moment.irf.pixel_um
    return f"{width} pixels" if pixel_um is None else f"{width * pixel_um:.0f} µm"


def _safe(name: str) -> str:
    return name.replace("&", "&amp;").replace("<", "&lt;")
