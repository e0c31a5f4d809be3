"""One mode: its features, its field, its cells, its moments, and what removing it does."""

from collections.abc import Callable

import numpy as np
import panel as pn

from retina_codec.figures import mode_colour

from ._layer import Layer
from ._plots import FAINT, Bars, Strip, on_tap
from ._run import ExploredRun
from ._time_panel import SIGN
from ._view import View
from ._words import HALF, HIDDEN, SEEN, Choices, chip, paragraph, words

NOTHING = (
    "None is chosen yet: click one in the list, in the loadings above, or in the parts of a field."
)
MOST_FIELDS, NO_MODE = 6, -1


class ModePanel:
    """What the mode in view is."""

    def __init__(self, run: ExploredRun, *, pick: Callable):
        self.run, self.pick = run, pick
        self.view: View | None = None
        self.cells: list[int] = []
        self.list = pn.widgets.Select(name="mode", width=330)
        self.list.param.watch(self._chosen, "value")
        self.head = words(sizing_mode="stretch_width")
        self.features = Bars(height=150, label="weight", x_label="feature (channel and sign)")
        self.fields = Strip(room=MOST_FIELDS, width=590, signed=True)
        self.removed = Bars(height=160, label="rate change (%)", x_label="cell", width=0.35)
        self.removed_words = words(sizing_mode="stretch_width")
        self.fields_words = words(sizing_mode="stretch_width")
        self.peaks = Choices(self._to_peak)
        on_tap(self.fields.plot, self._tap_field)
        on_tap(self.removed.plot, lambda x, y: self._to_cell(round(x)))
        self.body = pn.Column(
            words("<p>What it is made of; hollow bars suppress the target</p>"),
            _pane(self.features.plot),
            self.fields_words,
            _pane(self.fields.plot),
            self.removed_words,
            _pane(self.removed.plot),
            words("<p>Its strongest moments</p>"),
            self.peaks,
            sizing_mode="stretch_width",
            margin=0,
            styles=HIDDEN,
        )
        self.layout = pn.Column(
            self.list, self.head, self.body, sizing_mode="stretch_width", margin=0, styles=HALF
        )

    def show(self, view: View, before: View | None) -> None:
        """Draw what changed."""
        self.view = view
        layer = self.run.layers[view.layer]
        if before is None or before.layer != view.layer:
            self.list.options = self._options(layer)
        elif before.mode == view.mode:
            return
        self.list.value = NO_MODE if view.mode is None else view.mode
        self.body.styles = HIDDEN if view.mode is None else SEEN
        if view.mode is None:
            self.head.text = "<h2>Mode</h2>" + paragraph(NOTHING)
            return
        self.head.text = f"<h2>{chip(view.mode)}</h2>" + paragraph(_sentence(layer, view.mode))
        self._show_features(layer, view.mode)
        self._show_fields(layer, view.mode)
        self._show_removed(layer, view.mode)
        samples = layer.peaks(view.mode)["sample"]
        self.peaks.labels = [f"{self.run.times[sample]:.2f} s" for sample in samples]

    def _options(self, layer: Layer) -> dict[str, int]:
        options = {"choose a mode": NO_MODE}
        for mode in range(len(np.asarray(layer.modes.firing))):
            options[f"mode {mode}   {layer.made_of.get(mode, '')}".rstrip()] = mode
        return options

    def _show_features(self, layer: Layer, mode: int) -> None:
        modes, colour = layer.modes, mode_colour(mode)
        channel, sign = np.asarray(modes.channel), np.asarray(modes.sign)
        order = np.lexsort((channel, sign))
        names = [f"{int(channel[k])} {SIGN[int(sign[k])]}" for k in order]
        fill = ["white" if sign[k] < 0 else colour for k in order]
        weights = modes.relative_dictionary[mode, order]
        self.features.show(weights, names, fill=fill, line=colour)

    def _show_fields(self, layer: Layer, mode: int) -> None:
        fields = layer.fields_of(mode)
        self.fields.plot.visible = fields is not None
        if fields is None:
            self.fields_words.text = paragraph("The run has no fields of modes.")
            return
        strength = np.linalg.norm(fields.time_course, axis=1)[:, None, None]
        maps = np.nan_to_num(np.asarray(fields.space) * strength)[:MOST_FIELDS]
        self.cells = fields.items["cell"].tolist()[:MOST_FIELDS]
        self.fields_words.text = "<p>Its mean part in the fields of cells (click one)</p>"
        names = [f"cell {cell}" for cell in self.cells]
        self.fields.show(maps, names, [FAINT] * len(names))

    def _show_removed(self, layer: Layer, mode: int) -> None:
        table, colour = layer.cells_of(mode, self.run.n_cells), mode_colour(mode)
        known = bool(table["change"].notna().any())
        self.removed.plot.visible = known
        if not known:
            self.removed_words.text = paragraph("The run did not remove this mode.")
            return
        said = "Without its channels; grey: as many random channels"
        self.removed_words.text = f"<p>{said}</p>" + paragraph(_dose(layer, mode))
        random = {"low": table["low"].to_numpy(), "high": table["high"].to_numpy()}
        values, names = table["change"].to_numpy(), [str(cell) for cell in table["cell"]]
        self.removed.show(values, names, fill=[colour] * len(names), line=colour, **random)

    def _chosen(self, event) -> None:
        mode = None if event.new == NO_MODE else event.new
        if self.view is not None and mode != self.view.mode:
            self.pick(mode=mode)

    def _to_peak(self, place: int) -> None:
        peaks = self.run.layers[self.view.layer].peaks(self.view.mode)
        self.pick(time_s=float(self.run.times[peaks["sample"].iloc[place]]))

    def _tap_field(self, x: float, y: float) -> None:
        item = self.fields.item_at(x)
        if item is not None and item < len(self.cells):
            self._to_cell(self.cells[item])

    def _to_cell(self, cell: int) -> None:
        if 0 <= cell < self.run.n_cells:
            self.pick(cell=int(cell))


def _sentence(layer: Layer, mode: int) -> str:
    about = layer.about(mode)
    firing = int(np.asarray(layer.modes.firing)[mode])
    if about is None:
        return f"Active in {firing} samples."
    found = (
        f"Active in {about['share']:.1%} of the samples, in {about['episodes']:.0f} episodes of "
        f"{1000 * about['duration']:.0f} ms (median). "
    )
    again = about.get("reproducibility", np.nan)
    return (
        found
        if np.isnan(again)
        else found + f"Repeated fits find it again with a similarity of {again:.2f}."
    )


def _dose(layer: Layer, mode: int) -> str:
    row = layer.dose(mode)
    if row is None:
        return ""
    return (
        f"When {row['dose']:.0%} of it is removed, responses change as predicted with r = "
        f"{row['r']:.2f}; random channels {row['control_r']:.2f}."
    )


def _pane(plot) -> pn.pane.Bokeh:
    return pn.pane.Bokeh(plot, sizing_mode="stretch_width", margin=0)
