"""The page: what is shown where, and what a click does."""

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO

import panel as pn

from ._frame import Frame, from_address
from ._mode_panel import ModePanel
from ._moment_panel import MomentPanel
from ._picture import as_file, draw_view, lines_of_python, name_of
from ._run import ExploredRun
from ._time_panel import TimePanel
from ._view import QUERY, View, view_from
from ._words import WRAP


class Page:
    """The page of a run in one tab of a browser.

    Parameters
    ----------
    runs
        Of `open_run`, by their targets.
    """

    def __init__(self, runs: Mapping[str, ExploredRun]):
        self.frame = Frame(
            "what made this cell fire?", runs, turn=self.turn, draw=self._drawn, names=QUERY
        )
        self.run = run = self.frame.run
        asked, first = from_address(), run.first_view()
        self.view = run.nearest(view_from(asked, first)) if asked.keys() & set(QUERY) else first
        self.time = TimePanel(run, pick=self.pick, zoom=self.zoom)
        self.moment = MomentPanel(run, pick=self.pick)
        self.mode = ModePanel(run, pick=self.pick)
        self.cell = pn.widgets.Select(
            name="cell", options=self._cells(), value=self.view.cell, width=190
        )
        self.layer = pn.widgets.Select(
            name="layer", options=list(run.layers), value=self.view.layer, width=130
        )
        self.layout = self._layout()
        self.cell.param.watch(lambda event: self.pick(cell=event.new), "value")
        self.layer.param.watch(lambda event: self.pick(layer=event.new, mode=None), "value")
        self.show(before=None)

    def pick(self, **changes) -> None:
        """Look at something else."""
        before = self.view
        self.view = self.run.checked(replace(before, **changes))
        if self.view != before:
            self.show(before)

    def turn(self, run: ExploredRun) -> None:
        """Look at the same in another run."""
        # Of the same network, only what belongs to a layer is another.
        before = replace(self.view, layer="") if self.run.predicts_as(run) else None
        for part in (self, self.time, self.moment, self.mode):
            part.run = run
        self.view = run.nearest(replace(self.view, mode=None))
        with pn.io.hold():
            self.cell.options, self.layer.options = self._cells(), list(run.layers)
            self.show(before)

    def zoom(self, first: float | None, last: float | None) -> None:
        """Look at another stretch of time; None is all of it."""
        whole = self.run.times[0], self.run.times[-1]
        if first is None or last is None or (first <= whole[0] and last >= whole[1]):
            self.pick(span_s=None)
            return
        span = round(max(first, whole[0]), 4), round(min(last, whole[1]), 4)
        if span[1] - span[0] > 2 * self.run.step_s:
            self.pick(span_s=span)

    def show(self, before: View | None) -> None:
        """Draw what changed since the view before."""
        with pn.io.hold():
            self.cell.value, self.layer.value = self.view.cell, self.view.layer
            self.time.show(self.view, before)
            self.moment.show(self.view, before)
            self.mode.show(self.view, before)
            lines = lines_of_python(self.run, self.view)
            self.frame.show(self.view, lines=lines, name=name_of(self.view))

    def _cells(self) -> dict[str, int]:
        r = self.run.predictions.scores["pearson_r"].to_numpy(dtype=float)
        return {f"cell {cell}   (r = {r[cell]:.2f})": cell for cell in range(self.run.n_cells)}

    def _layout(self) -> pn.Column:
        columns = pn.Row(
            self.moment.layout,
            self.mode.layout,
            sizing_mode="stretch_width",
            margin=0,
            styles=WRAP,
        )
        return self.frame.page([self.cell, self.layer], self.time.layout, columns)

    def _drawn(self, kind: str) -> BytesIO:
        return as_file(draw_view(self.run, self.view), kind)
