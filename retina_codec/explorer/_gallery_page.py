"""The page of a run on images: choose a class, a mode of it, and see the pictures it uses."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from html import escape
from io import BytesIO

import numpy as np
import panel as pn
from jaxtyping import UInt8

from retina_codec.datatypes import Maps
from retina_codec.figures import mode_colour

from ._frame import Frame, from_address
from ._gallery import N_PICTURES, ExploredImages, GalleryView, gallery_view_from
from ._gallery_picture import draw_gallery, gallery_lines, gallery_name
from ._picture import as_file
from ._plots import FAINT, INK, Bars, Strip, on_tap
from ._time_panel import SIGN
from ._words import chip, paragraph, words

QUERY = ("layer", "class", "mode")
WIDTH = 900
HINT = (
    '<div class="hint">Choose a class, and click one of its modes to see the pictures that the '
    "mode is strongest in, and what it uses in them. Click a picture to go to its class.</div>"
)


class GalleryPage:
    """The page of a run on images in one tab of a browser.

    Parameters
    ----------
    runs
        Of `open_gallery`, by their targets.
    """

    def __init__(self, runs: Mapping[str, ExploredImages]):
        self.frame = Frame(
            "which features make a class?", runs, turn=self.turn, draw=self._drawn, names=QUERY
        )
        self.run = run = self.frame.run
        self.modes, self.labels = [], []
        self.view = run.with_mode(run.nearest(gallery_view_from(from_address(), run.first_view())))
        options = {_name(run, k): k for k in run.shown_classes}
        self.label = pn.widgets.Select(
            name="class", options=options, value=self.view.label, width=190
        )
        self.layer = pn.widgets.Select(
            name="layer", options=list(run.layers), value=self.view.layer, width=130
        )
        self.class_words, self.head, self.effect = (
            words(sizing_mode="stretch_width") for _ in range(3)
        )
        self.of_class = Bars(height=190, label="r with being of the class", x_label="mode")
        self.features = Bars(height=170, label="weight", x_label="feature (channel and sign)")
        self.pictures = Strip(room=N_PICTURES, width=WIDTH, signed=False, coloured=True)
        self.maps = Strip(room=N_PICTURES, width=WIDTH, signed=True)
        on_tap(self.of_class.plot, lambda x, y: self._tap(self.modes, round(x), "mode"))
        for strip in (self.pictures, self.maps):
            on_tap(strip.plot, self._tap_picture(strip))
        self.layout = self._layout()
        self.label.param.watch(lambda event: self.pick(label=event.new), "value")
        self.layer.param.watch(lambda event: self.pick(layer=event.new), "value")
        self.show(before=None)

    def pick(self, **changes) -> None:
        """Look at something else; another class or layer begins with its closest mode."""
        before = self.view
        if replace(before, **changes) == before:
            return
        self.view = self.run.with_mode(
            self.run.checked(replace(before, **{"mode": None, **changes}))
        )
        self.show(before)

    def turn(self, run: ExploredImages) -> None:
        """Look at the same in another run."""
        self.run, self.view = run, run.with_mode(run.nearest(replace(self.view, mode=None)))
        with pn.io.hold():
            self.layer.options = list(run.layers)
            self.show(before=None)

    def show(self, before: GalleryView | None) -> None:
        """Draw what changed since the view before."""
        view = self.view
        with pn.io.hold():
            self.label.value, self.layer.value = view.label, view.layer
            if before is None or (before.layer, before.label) != (view.layer, view.label):
                self._show_class()
            self._show_mode()
            lines = gallery_lines(self.run, view)
            self.frame.show(view, lines=lines, name=gallery_name(view))

    def _show_class(self) -> None:
        table = self.run.modes_of_class(self.view)
        self.modes = table["mode"].tolist()
        names = [f"{m}{'*' if own else ''}" for m, own in table[["mode", "class_mode"]].values]
        fill = [mode_colour(mode) for mode in self.modes]
        self.of_class.show(table["r"].to_numpy(), names, fill=fill, line=INK)
        name = escape(self.run.names[self.view.label])
        said = (
            "Modes whose loadings go with the class, in images for tests; * marks modes of the "
            "class, chosen on other images."
            if self.run.is_tested(self.view)
            else "No image for tests shows the class, so nothing tells which modes go with it."
        )
        self.class_words.text = f"<h2>Class {name}</h2>" + paragraph(said)

    def _show_mode(self) -> None:
        view, modes = self.view, self.run.layers[self.view.layer]
        table = self.run.strongest(view)
        self.head.text = f"<h2>{chip(view.mode)}</h2>" + paragraph(
            "Images that it is strongest in, and below each what its pixels did to the target "
            "through the mode (red: raised it). Those of another class have a grey frame."
        )
        channel, sign = np.asarray(modes.channel), np.asarray(modes.sign)
        order, colour = np.lexsort((channel, sign)), mode_colour(view.mode)
        names = [f"{int(channel[k])} {SIGN[int(sign[k])]}" for k in order]
        fill = ["white" if sign[k] < 0 else colour for k in order]
        weights = modes.relative_dictionary[view.mode, order]
        self.features.show(weights, names, fill=fill, line=colour)
        self.effect.text = "<p>Removed</p>" + paragraph(self.run.effect(view))
        self._show_pictures(self.run.maps(view), table)

    def _show_pictures(self, maps: Maps | None, table) -> None:
        self.labels = table["class"].tolist()
        if maps is None:
            self.pictures.clear()
            self.maps.clear()
            return
        found = self.run.pictures(table["sample"])
        names = [name[:18] for name in table["name"]]
        colours = [mode_colour(self.view.mode) if own else FAINT for own in table["of_class"]]
        self.pictures.show([rgba(found[k]) for k in table["sample"]], names, colours)
        self.maps.show(list(maps.net), [""] * len(names), colours)

    def _tap_picture(self, strip: Strip) -> Callable[[float, float], None]:
        return lambda x, y: self._tap(self.labels, strip.item_at(x), "label")

    def _tap(self, numbers: list[int], place: int | None, what: str) -> None:
        if place is not None and 0 <= place < len(numbers) and numbers[place] >= 0:
            self.pick(**{what: int(numbers[place])})

    def _layout(self) -> pn.Column:
        return self.frame.page(
            [self.label, self.layer],
            words(HINT, sizing_mode="stretch_width"),
            self.class_words,
            _pane(self.of_class.plot),
            self.head,
            _pane(self.pictures.plot),
            _pane(self.maps.plot),
            self.effect,
            words("<p>What it is made of; hollow bars suppress the target</p>"),
            _pane(self.features.plot),
        )

    def _drawn(self, kind: str) -> BytesIO:
        return as_file(draw_gallery(self.run, self.view), kind)


def rgba(picture: np.ndarray) -> UInt8[np.ndarray, "y x 4"]:
    """Return a picture "y x" or "y x 3" from 0 to 1 in bytes, opaque."""
    three = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
    opaque = np.concatenate([three, np.ones_like(three[..., :1])], axis=2)
    return np.round(255 * opaque).astype(np.uint8)


def _name(run: ExploredImages, label: int) -> str:
    name = run.names[label]
    return name if name == str(label) else f"{name} ({label})"


def _pane(plot) -> pn.pane.Bokeh:
    return pn.pane.Bokeh(plot, sizing_mode="stretch_width", margin=0)
