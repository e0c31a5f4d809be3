"""The time line: rates, contributions of features, loadings of modes."""

from collections.abc import Callable

import numpy as np
import panel as pn
from bokeh.models import Range1d, Span

from retina_codec.figures import mode_colour

from ._plots import INK, Rates, Rows, on_tap, on_zoom
from ._run import COLUMNS, ExploredRun
from ._view import View
from ._words import BUTTON, WRAP, words

HINT = (
    "Click the time line to see what made the cell fire just then, and a row of the loadings to "
    "see what the mode is; drag to move, scroll to zoom."
)
SIGN = {-1: "−", 0: "", 1: "+"}
LEAST_HEIGHT, ROW_HEIGHT, MOST_HEIGHT = 120, 9, 250


class TimePanel:
    """Rates, contributions and loadings over time, which zoom together.

    Parameters
    ----------
    run
        Of `open_run`.
    pick, zoom
        What to call when somebody clicks, or changes the stretch of time.
    """

    def __init__(self, run: ExploredRun, *, pick: Callable, zoom: Callable):
        self.run, self.pick = run, pick
        first, last = float(run.times[0]), float(run.times[-1])
        self.whole = first, last
        self.x_range = Range1d(first, last, bounds=(first, last), min_interval=10 * run.step_s)
        self.moment = [
            Span(
                location=first,
                dimension="height",
                line_color=INK,
                line_dash="dashed",
                level="overlay",  # moves without a new picture of what is below it
            )
            for _ in range(3)
        ]
        self.rates = Rates(self.x_range, self.moment[0])
        features = max(len(_features(layer)[0]) for layer in run.layers.values())
        modes = max(len(layer.shown_modes) for layer in run.layers.values())
        self.contributions = Rows(
            self.x_range,
            self.moment[1],
            height=_height(features),
            label="feature",
            bar="contribution",
            signed=True,
        )
        self.loadings = Rows(
            self.x_range,
            self.moment[2],
            height=_height(modes) + 34,
            label="mode",
            bar="loading",
            signed=False,
        )
        self.contributions.plot.xaxis.visible = False
        self.loadings.plot.xaxis.axis_label = "time (s)"
        self.caption = words(margin=(0, 10), styles={"flex": "1 1 300px"})
        plots = [self.rates.plot, self.contributions.plot, self.loadings.plot]
        for plot in plots:
            on_zoom(plot, zoom)
        on_tap(self.rates.plot, lambda x, y: pick(time_s=x))
        on_tap(self.contributions.plot, lambda x, y: pick(time_s=x))
        on_tap(self.loadings.plot, self._tap_loadings)
        buttons = [
            pn.widgets.Button(name=name, width=width, stylesheets=[BUTTON], margin=(0, 3))
            for name, width in (("zoom in", 70), ("zoom out", 76), ("whole", 60))
        ]
        buttons[0].on_click(lambda _: zoom(*self._wider(0.4)))
        buttons[1].on_click(lambda _: zoom(*self._wider(2.5)))
        buttons[2].on_click(lambda _: zoom(None, None))
        bar = pn.Row(self.caption, *buttons, sizing_mode="stretch_width", margin=0, styles=WRAP)
        panes = [pn.pane.Bokeh(plot, sizing_mode="stretch_width", margin=0) for plot in plots]
        self.layout = pn.Column(bar, *panes, sizing_mode="stretch_width", margin=0)

    def show(self, view: View, before: View | None) -> None:
        """Draw what changed."""
        if before is None or view.layer != before.layer:
            self._name_rows(view)
        moved = before is None or view.span_s != before.span_s
        if moved:
            first, last = view.span_s or self.whole
            self.x_range.update(start=first, end=last)
        if moved or view.cell != before.cell:
            self._draw_rates(view)
        if moved or view.layer != before.layer:
            self._draw_rows(view)
        for line in self.moment:
            line.location = self.whole[0] if view.time_s is None else view.time_s
            line.visible = view.time_s is not None
        self.loadings.choose(view.mode, INK if view.mode is None else mode_colour(view.mode))

    def _draw_rates(self, view: View) -> None:
        wide, n = self._margin(view)
        rates = self.run.rates(wide, n=n)
        self.rates.show(
            np.asarray(rates.sample),
            rates.recorded[:, view.cell],
            rates.predicted[:, view.cell],
        )

    def _draw_rows(self, view: View) -> None:
        wide, n = self._margin(view)
        contributions, modes = self.run.contributions(wide, n=n), self.run.modes(wide, n=n)
        step = _step(np.asarray(contributions.sample), self.run.step_s)
        values = np.asarray(contributions.values).T[self._order(view)]
        self.contributions.show(np.asarray(contributions.sample), step, values)
        shown = self.run.layers[view.layer].shown_modes
        self.loadings.show(np.asarray(modes.sample), step, np.asarray(modes.loadings).T[shown])

    def _margin(self, view: View) -> tuple[View, int]:
        """Draw half of the stretch more on both sides, so that moving shows something at once."""
        if view.span_s is None:
            return view, COLUMNS
        first, last = view.span_s
        more = (last - first) / 2
        span = max(first - more, self.whole[0]), min(last + more, self.whole[1])
        return View(view.cell, view.layer, span_s=span), 2 * COLUMNS

    def _name_rows(self, view: View) -> None:
        layer = self.run.layers[view.layer]
        order = self._order(view)
        channel, sign = (np.asarray(part)[order] for part in _features(layer))
        names = [f"{int(c)} {SIGN[int(s)]}" for c, s in zip(channel, sign, strict=True)]
        self.contributions.name_rows(range(len(order)), names)
        shown = layer.shown_modes
        unstable = layer.modes.is_unstable
        names = [f"{mode}{'?' if unstable[mode] else ''}" for mode in shown]
        self.loadings.name_rows(shown.tolist(), names)
        target = self.run.config.target
        doubt = "; ? marks modes that did not come back in repeated fits" if any(unstable) else ""
        self.caption.text = (
            '<p class="small">Rates; contributions of the layer\'s features (channel and sign) to '
            f"the target ({target}); loadings of its modes{doubt}.</p>"
            f'<div class="hint">{HINT}</div>'
        )

    def _order(self, view: View) -> np.ndarray:
        channel, sign = (np.asarray(part) for part in _features(self.run.layers[view.layer]))
        return np.lexsort((channel, sign))

    def _tap_loadings(self, x: float, y: float) -> None:
        self.pick(time_s=x, mode=self.loadings.row_at(y))

    def _wider(self, factor: float) -> tuple[float, float]:
        first, last = self.x_range.start, self.x_range.end
        shown = self.moment[0].visible and first <= self.moment[0].location <= last
        middle = self.moment[0].location if shown else (first + last) / 2
        half = factor * (last - first) / 2
        return middle - half, middle + half


def _features(layer) -> tuple[np.ndarray, np.ndarray]:
    return layer.contributions.channel, layer.contributions.sign


def _height(n_rows: int) -> int:
    return int(np.clip(ROW_HEIGHT * n_rows + 10, LEAST_HEIGHT, MOST_HEIGHT))


def _step(sample: np.ndarray, otherwise: float) -> float:
    return float(sample[1] - sample[0]) if len(sample) > 1 else otherwise
