"""How words on the page look."""

from collections.abc import Callable
from html import escape, unescape

import panel as pn
import param
from bokeh.models import InlineStyleSheet
from panel.custom import JSComponent
from panel.models import HTML

from retina_codec.figures import mode_colour

STYLE = """
:host { font-family: system-ui, sans-serif; color: #222; max-width: 1560px; margin: 0 auto;
  min-width: 0 !important; }
.head, .bk-Row { min-width: 0 !important; }
"""
WORDS = """
:host { font-family: system-ui, sans-serif; color: #222; font-size: 13px; line-height: 1.45; }
.title { font-size: 17px; padding-top: 18px; white-space: nowrap; }
.title span { color: #767676; font-size: 13px; margin-left: 8px; }
.hint { background: #eef4f8; border-radius: 6px; padding: 7px 12px; }
h2 { font-size: 15px; margin: 6px 0 2px; font-weight: 600; }
.small { color: #5f5f5f; font-size: 12px; }
.chip { color: white; border-radius: 9px; padding: 1px 8px; font-size: 12px; white-space: nowrap; }
p { margin: 2px 0; }
"""
BUTTON = """
.bk-btn.bk-btn.bk-btn { font-family: system-ui, sans-serif; font-size: 12px; height: 30px;
  border-radius: 6px; border: 1px solid #cfcfcf; background: white; color: #222; padding: 4px 8px;
  box-shadow: none; }
.bk-btn.bk-btn.bk-btn:hover, .bk-btn.bk-btn.bk-active { background: #eef4f8;
  border-color: #0072B2; }
.bk-btn a { color: #222; text-decoration: none; display: block; padding: 0; line-height: 20px; }
"""
CHOICES = """
div { display: flex; flex-wrap: wrap; gap: 4px; }
button { font: 12px system-ui, sans-serif; border: 1px solid #cfcfcf; border-radius: 6px;
  background: white; color: #222; padding: 5px 8px; cursor: pointer; }
button:hover { background: #eef4f8; border-color: #0072B2; }
"""
WRAP = {"flex-wrap": "wrap"}
HALF = {"flex": "1 1 420px"}
"""Half of a wide page, all of a narrow one."""

HIDDEN, SEEN = {"opacity": "0", "pointer-events": "none"}, {"opacity": "1"}
"""Plots that are hidden so are drawn at the start; the first click finds them ready."""

BUTTON_SIZE = {"width": 74, "height": 32, "margin": (24, 4, 0, 4)}
CODE = """
textarea { font: 12px/1.5 ui-monospace, monospace; background: #f6f6f4; border: 1px solid #ddd;
  border-radius: 6px; color: #222; }
"""


class Words:
    """Words on the page.

    A pane of panel sends its style sheets again with each text, and a `Div` of Bokeh makes the
    browser lay out the whole page; the model behind the pane does neither.

    Parameters
    ----------
    html
        What comes from files must be escaped before.
    **settings
        Of the model.
    """

    def __init__(self, html: str, **settings):
        self.model = HTML(text=escape(html), **settings)

    def __panel__(self) -> pn.pane.Bokeh:
        return pn.pane.Bokeh(self.model)

    @property
    def text(self) -> str:
        """What is said, HTML."""
        return unescape(self.model.text)

    @text.setter
    def text(self, html: str) -> None:
        self.model.text = escape(html)


def words(html: str = "", kind: str = "", **settings) -> Words:
    """Return words, in a box of some kind."""
    inside = f'<div class="{kind}">{html}</div>' if kind else html
    given = {"stylesheets": [InlineStyleSheet(css=WORDS)], "margin": (0, 10), **settings}
    return Words(inside, **given)


def chip(mode: int) -> str:
    """Return a mode's name in its colour."""
    colour = mode_colour(mode)
    ink = "white" if _is_dark(colour) else "#222"
    return f'<span class="chip" style="background:{colour};color:{ink}">mode {mode}</span>'


class Choices(JSComponent):
    """A row of buttons. Other names change the buttons alone; those of Bokeh lay out the page.

    Parameters
    ----------
    call
        Is called with the number of the button that was clicked.
    """

    labels = param.List(default=[], item_type=str)
    _esm = """
    export function render({model}) {
      const row = document.createElement("div");
      const show = () => row.replaceChildren(...model.labels.map((label, place) => {
        const button = document.createElement("button");
        button.textContent = label;
        button.addEventListener("click", () => model.send_msg(place));
        return button;
      }));
      model.on("labels", show);
      show();
      return row;
    }
    """

    def __init__(self, call: Callable[[int], object]):
        super().__init__(margin=(0, 8), sizing_mode="stretch_width", stylesheets=[CHOICES])
        self.call = call

    def _handle_msg(self, place: int) -> None:
        if place in range(len(self.labels)):
            self.call(place)


def _is_dark(colour: str) -> bool:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return 0.3 * red + 0.59 * green + 0.11 * blue < 150


def paragraph(text: str) -> str:
    """Return plain text as a small paragraph."""
    return f'<p class="small">{escape(text)}</p>'
