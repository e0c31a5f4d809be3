"""What every page has: a title, downloads, lines of Python, and a view in the address."""

from collections.abc import Callable, Mapping
from html import escape
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlencode

import panel as pn

from ._gallery import GalleryView
from ._view import View
from ._words import BUTTON, BUTTON_SIZE, CODE, STYLE, WRAP, words

COPY = """
const text = code.value;
const done = () => {
  button.label = "copied";
  setTimeout(() => { button.label = "copy"; }, 1200);
};
if (navigator.clipboard && window.isSecureContext) {
  navigator.clipboard.writeText(text).then(done);
} else {
  const area = document.createElement("textarea");
  area.value = text; document.body.appendChild(area); area.select();
  document.execCommand("copy"); area.remove(); done();
}
"""

TARGET = "target"


class Frame:
    """Title, switches, downloads and lines of Python above a page.

    Parameters
    ----------
    question
        That the page answers.
    runs
        That can be looked at, by their targets. The address chooses the first.
    turn
        Is called with another run when somebody chooses it.
    draw
        From an ending to the picture of the view in such a file.
    names
        Words that the view has in an address; others there are left alone.

    Attributes
    ----------
    run
        That is looked at.
    """

    def __init__(
        self,
        question: str,
        runs: Mapping[str, Any],
        *,
        turn: Callable[[Any], object],
        draw: Callable[[str], BytesIO],
        names: tuple[str, ...],
    ):
        self.question, self.runs, self.turn = question, runs, turn
        self.draw, self.names = draw, (TARGET, *names)
        asked = from_address().get(TARGET)
        self.target = pn.widgets.Select(
            name="target",
            options=list(runs),
            value=asked if asked in runs else next(iter(runs)),
            width=150,
            visible=len(runs) > 1,
        )
        self.title = words(self._title())
        self.target.param.watch(self._turn, "value")
        self.code = pn.widgets.TextAreaInput(
            sizing_mode="stretch_width", height=130, stylesheets=[CODE], visible=False
        )
        self.state = words(height=1, margin=0, sizing_mode="stretch_width")
        self.downloads = [self._download("svg"), self._download("png")]
        python = pn.widgets.Toggle(name="Python", **BUTTON_SIZE, stylesheets=[BUTTON])
        copy = pn.widgets.Button(name="copy", width=70, stylesheets=[BUTTON], visible=False)
        python.link(self.code, value="visible")
        python.link(copy, value="visible")
        copy.js_on_click(args={"code": self.code, "button": copy}, code=COPY)
        self.buttons = [*self.downloads, python]
        self.lines = pn.Row(self.code, copy, sizing_mode="stretch_width", margin=0)

    @property
    def run(self) -> Any:
        """The run that is looked at."""
        return self.runs[self.target.value]

    def page(self, switches: list, *body: Any) -> pn.Column:
        """Return the page with these switches above this body."""
        head = pn.Row(
            self.title,
            pn.HSpacer(),
            self.target,
            *switches,
            *self.buttons,
            css_classes=["head"],
            styles=WRAP,
            sizing_mode="stretch_width",
            align="end",
        )
        return pn.Column(
            head,
            self.lines,
            *body,
            self.state,
            sizing_mode="stretch_width",
            stylesheets=[STYLE],
            css_classes=["page"],
        )

    def show(self, view: View | GalleryView, *, lines: str, name: str) -> None:
        """Tell what is looked at."""
        self.code.value = lines
        for download, kind in zip(self.downloads, ("svg", "png"), strict=True):
            download.filename = f"{name}.{kind}"
        several = {TARGET: self.target.value} if len(self.runs) > 1 else {}
        self._to_address({**several, **view.query()})
        seen = " ".join([*several.values(), view.code()])
        self.state.text = f'<i id="shown" data-view="{escape(seen)}"></i>'

    def _title(self) -> str:
        name = escape(self.run.folder.name)
        return f'<div class="title"><b>{name}</b> <span>{self.question}</span></div>'

    def _turn(self, event: Any) -> None:
        self.title.text = self._title()
        self.turn(self.run)

    def _to_address(self, query: Mapping[str, str]) -> None:
        if pn.state.location is None:
            return
        kept: Mapping[str, str] = {
            name: value
            for name, value in parse_qsl((pn.state.location.search or "").removeprefix("?"))
            if name not in self.names
        }
        pn.state.location.search = "?" + urlencode({**kept, **query})

    def _download(self, kind: str) -> pn.widgets.FileDownload:
        return pn.widgets.FileDownload(
            callback=lambda: self.draw(kind),
            filename=f"view.{kind}",
            label=kind.upper(),
            stylesheets=[BUTTON],
            **BUTTON_SIZE,
        )


def from_address() -> dict[str, str]:
    """Return the words of the address that was opened."""
    return {name: values[-1].decode() for name, values in pn.state.session_args.items()}
