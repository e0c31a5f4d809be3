"""The page is one complete, harmless file that shows every step, or it is not there at all."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from test_figures import make_records

from retina_codec.phenomena import signatures
from retina_codec.report import _measured, write_phenomena, write_report

HOSTILE = "<script>alert('cell')</script>"
SECTIONS = [
    "summary",
    "recording",
    "prediction",
    "contributions",
    "modes",
    "mode-cells",
    "fields",
    "effects",
    "provenance",
    "words",
]
N_OF = r"\bn\s=\s\d"
UNIT = (
    r"\b(Hz|ms|s|µm|no unit|without unit|bits per spike|units of the target)\b|a\.u\.|%|\bin \S+ / "
)
VOID = {"meta", "img", "br", "hr", "link", "input"}


def analysis(records, **changes):
    """Everything that `write_report` wants, from the records of one small analysis."""
    parts = {
        "summary": {
            "title": "A small retina",
            "findings": ["The network reaches a mean r of 0.70.", f"Unit {HOSTILE} is odd."],
            "n_cells": 4,
            "duration_s": 0.6,
            "seeds": [0, 1],
            "modes": {"conv0": {"r2": 0.91, "alive": 3}, "conv1": {"r2": float("nan"), "alive": 2}},
            "nested": {"a": {"b": {"c": None}}, "list": [{"x": 1}, {"x": np.float64(0.123456)}]},
            "provenance": {"command": "retina-codec run <file>", "versions": {"torch": "2.5"}},
        },
        "recording": records.recording,
        "predictions": records.predictions,
        "baseline": records.baseline,
        "contributions": {"conv0": records.contributions, "conv1": records.contributions},
        "modes": {"conv1": records.modes},
        "stability": {"conv1": records.stability},
        "descriptions": {"conv1": records.description},
        "layer_statistics": records.layer_statistics,
        "correlations": {"conv1": records.correlations},
        "fields": {"sta": records.fields, "combinations:conv1": records.combinations},
        "effects": {"conv1": records.effects},
    }
    return parts | changes


class Page(HTMLParser):
    """A strict reader of the page: every tag that opens must close, in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.attributes if name == tag]


def captions_of(page):
    return [text for text in page.texts["figcaption"] if len(text.strip()) > 5]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    records = make_records()
    cells = pd.DataFrame({"name": [HOSTILE, "b", "c", "d"], HOSTILE: np.arange(4.0)})
    records.recording = replace(
        records.recording, cells=cells, source=HOSTILE, splits={HOSTILE: (0, 30)}
    )
    records.predictions = replace(records.predictions, network=HOSTILE)
    path = tmp_path_factory.mktemp("run") / "new" / "report.html"
    parts = analysis(records)
    parts["modes"], parts["stability"] = {HOSTILE: records.modes}, {HOSTILE: records.stability}
    assert write_report(path, **parts) == path
    return path


@pytest.fixture(scope="module")
def page(written):
    return Page(written.read_text(encoding="utf-8"))


def test_is_the_only_file(written):
    assert [file.name for file in written.parent.iterdir()] == ["report.html"]
    assert written.stat().st_size < 5e6


def test_asks_nothing_of_the_network(page, written):
    text = written.read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\((?!#)|@import", text)
    for _, attrs in page.attributes:
        for name in ("src", "href", "xlink:href", "action", "data", "srcset"):
            assert attrs.get(name, "#").startswith(("#", "data:image/png;base64,"))
    assert not {"script", "iframe", "object", "link", "form", "foreignobject"} & set(page.tags)
    assert text.count("<style") == 1
    policy = [a for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy[0]["content"].startswith("default-src 'none'")


def test_every_reference_inside_a_picture_leads_somewhere(page):
    ids = {attrs["id"] for _, attrs in page.attributes if "id" in attrs}
    values = [value for _, attrs in page.attributes for value in attrs.values() if value]
    used = {name for value in values for name in re.findall(r"url\(#([^)]+)\)", value)}
    used |= {attrs["href"][1:] for attrs in page.all("use")}
    assert len(used) > 20 and used <= ids


def test_has_all_sections_and_a_way_to_each(page):
    assert [attrs["id"] for attrs in page.all("section")] == SECTIONS
    links = [attrs["href"] for attrs in page.all("a")]
    assert links == [*(f"#{name}" for name in SECTIONS), "#words"]
    assert page.tags.count("h1") == page.tags.count("main") == page.tags.count("nav") == 1
    ids = [attrs["id"] for _, attrs in page.attributes if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_every_figure_has_a_picture_a_caption_and_words_for_the_blind(page):
    n_recording, n_prediction, n_contributions, n_modes, n_fields, n_effects = 2, 2, 4, 4, 2, 4
    expected = n_recording + n_prediction + n_contributions + n_modes + 1 + n_fields + n_effects
    assert page.tags.count("figure") == page.tags.count("svg") == expected
    assert page.tags.count("figcaption") == expected
    assert all(
        attrs["role"] == "img" and len(attrs["aria-label"]) > 20 for attrs in page.all("svg")
    )
    assert len(captions_of(page)) == expected
    assert page.texts["b"] == [f"Figure {i}." for i in range(1, expected + 1)]


def test_every_caption_says_n_and_units(page):
    for caption in captions_of(page):
        assert re.search(N_OF, caption) and re.search(UNIT, caption), caption


def test_hostile_names_are_text(page, written):
    assert "<script" not in written.read_text(encoding="utf-8")
    for tag in ("li", "td", "th", "h3", "figcaption"):
        assert any(HOSTILE in text for text in page.texts[tag])
    assert any(text.startswith(HOSTILE[:20]) for text in page.texts["text"])


def test_values_are_written_for_readers(page):
    cells = [text.strip() for text in page.texts["td"]]
    for expected in ("0.91", "0, 1", "not known", "0.1235"):
        assert expected in cells
    assert page.texts["code"] == ["retina-codec run <file>"]
    assert {"duration (s)", "n cells", "r2"} <= set(page.texts["th"])


def test_works_with_nothing_but_a_network(tmp_path):
    records = make_records()
    nothing = {name: {} for name in ("contributions", "modes", "correlations", "fields", "effects")}
    path = write_report(
        tmp_path / "report.html", **analysis(records, baseline=None, summary={}, **nothing)
    )
    page = Page(path.read_text(encoding="utf-8"))
    assert [attrs["id"] for attrs in page.all("section")] == SECTIONS
    assert page.texts["p"].count("Not part of this run.") == 5
    assert page.tags.count("figure") == 4


def test_page_of_phenomena_says_n_units_and_files(tmp_path):
    records = make_records()
    for file in ("signatures.csv", "circuit_a_flash_conv1.csv"):
        (tmp_path / file).touch()
    path = write_phenomena(
        tmp_path / "phenomena.html",
        summary={"title": "Experiments", "headlines": ["a flash: present in 1 of 4 cells."]},
        events={"a flash": records.event},
        signatures=signatures([records.event]),
        circuits={"a flash": {"conv1": records.minimal}},
        folder=tmp_path,
    )
    page = Page(path.read_text(encoding="utf-8"))
    captions = captions_of(page)
    assert len(captions) == page.tags.count("svg") == 3
    assert all(re.search(N_OF, caption) and re.search(UNIT, caption) for caption in captions)
    links = [attrs["href"] for attrs in page.all("a") if not attrs["href"].startswith("#")]
    assert links == ["signatures.csv", "circuit_a_flash_conv1.csv"]
    assert "a flash:" in page.texts["b"]


def test_same_records_same_page(tmp_path):
    only = {name: {} for name in ("contributions", "modes", "correlations", "effects")}
    pages = [
        write_report(tmp_path / name, **analysis(make_records(), **only)).read_bytes()
        for name in ("a.html", "b.html")
    ]
    assert pages[0] == pages[1]


def test_leaves_matplotlib_as_it_was(tmp_path):
    before = dict(plt.rcParams), plt.get_fignums()
    only = {name: {} for name in ("contributions", "modes", "correlations", "fields", "effects")}
    write_report(tmp_path / "report.html", **analysis(make_records(), **only))
    assert (dict(plt.rcParams), plt.get_fignums()) == before


@pytest.mark.parametrize("older", [None, "an older page"])
def test_a_failure_leaves_no_half_page(tmp_path, monkeypatch, older):
    path = tmp_path / "report.html"
    if older:
        path.write_text(older)
    monkeypatch.setattr(_measured, "plot_rates", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(path, **analysis(make_records()))
    assert [file.read_text() for file in tmp_path.iterdir()] == ([older] if older else [])


def test_a_full_disk_leaves_no_half_page(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("retina_codec.report._files.replace", full)
    only = {name: {} for name in ("contributions", "modes", "correlations", "fields", "effects")}
    with pytest.raises(OSError, match="No space"):
        write_report(tmp_path / "report.html", **analysis(make_records(), **only))
    assert list(tmp_path.iterdir()) == []
