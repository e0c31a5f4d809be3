"""Drawings of matplotlib as elements of a page: text stays text, ink follows the page."""

import re
from collections.abc import Mapping
from hashlib import sha256
from xml.etree import ElementTree

from retina_codec.figures import INK, NETWORK

THEMED = {INK.lower(): "var(--ink)", NETWORK.lower(): "var(--series)"}
"""Colours that differ between a light and a dark page; all others are readable on both."""
ELEMENTS = {"svg", "g", "path", "defs", "use", "clipPath", "pattern", "rect", "text", "tspan"} | {
    "image",
    "linearGradient",
    "stop",
}
COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
NAME = re.compile(r"#([\w.-]+)")
FAMILY = re.compile(r"font-family:[^;]*;?\s*")
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NUMBERS = {"d", "x", "y", "width", "height", "transform", "viewBox", "points"}


def inline_svg(drawn: str, *, alt: str, width_px: int) -> str:
    """Return a drawing as an element that can stand in a page beside others.

    Only elements that draw are left, the names inside are unique in the page, and colours that
    would not be seen on a dark page are variables of the page.

    Parameters
    ----------
    drawn
        What matplotlib wrote as SVG.
    alt
        Words for a screen reader.
    width_px
        Width on the page in CSS pixels.
    """
    root = ElementTree.fromstring(NOT_XML.sub("\ufffd", drawn))
    prefix = f"f{sha256((drawn + alt).encode()).hexdigest()[:10]}-"
    referenced = {name for item in root.iter() for name in _names_in(item.attrib)}
    _keep_drawing(root)
    for item in root.iter():
        item.attrib = _attributes(item.attrib, prefix, referenced)
        _without_space(item)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "width": str(width_px),
        "height": str(round(width_px * height / width)),
        "style": f"--natural:{width_px}px",
        "role": "img",
        "aria-label": alt,
    }
    return ElementTree.tostring(root, encoding="unicode")


def _keep_drawing(parent: ElementTree.Element) -> None:
    """Drop what does not draw, and the namespaces, which a page does not need."""
    parent.tag = _plain(parent.tag)
    for child in list(parent):
        if _plain(child.tag) in ELEMENTS:
            _keep_drawing(child)
        else:
            parent.remove(child)


def _attributes(given: Mapping[str, str], prefix: str, referenced: set[str]) -> dict[str, str]:
    """Attributes of one element, with short numbers, unique names and themed colours."""
    kept = {}
    for key, value in given.items():
        name = _plain(key)
        if name == "id" and value in referenced:
            kept["id"] = prefix + value
        elif name == "href":
            kept["href"] = _link(value, prefix)
        elif name == "style":
            kept["style"] = _style(value, prefix)
        elif name == "transform" and value.startswith("rotate(-0 "):
            continue
        elif name in NUMBERS:
            kept[name] = " ".join(LONG_NUMBER.sub(_short, value).split())
        elif name != "id":
            kept[name] = value.replace("url(#", f"url(#{prefix}")
    return kept


def _style(text: str, prefix: str) -> str:
    text = COLOUR.sub(lambda found: THEMED.get(found[0].lower(), found[0]), FAMILY.sub("", text))
    return LONG_NUMBER.sub(_short, text).replace("url(#", f"url(#{prefix}").rstrip("; ")


def _link(address: str, prefix: str) -> str:
    """Return the address of a part of the drawing, or of pixels inside it."""
    return f"#{prefix}{address[1:]}" if address.startswith("#") else "".join(address.split())


def _names_in(attributes: Mapping[str, str]) -> set[str]:
    """Names of other elements that an element uses."""
    texts = [v for k, v in attributes.items() if "url(#" in v or (_plain(k) == "href")]
    return {name for text in texts if len(text) < 1000 for name in NAME.findall(text)}


def _without_space(item: ElementTree.Element) -> None:
    """Drop the line breaks between elements, but none inside of text."""
    if item.text is not None and not item.text.strip() and item.tag not in ("text", "tspan"):
        item.text = None
    if item.tail is not None and not item.tail.strip() and item.tag != "tspan":
        item.tail = None


def _short(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _plain(name: str) -> str:
    return name.rpartition("}")[2]
