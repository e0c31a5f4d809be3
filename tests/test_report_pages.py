"""Pages of finished runs: they lead to the data, look right in a browser, and are made again."""

import re
import shutil
import sys
import tomllib
from os.path import relpath
from urllib.parse import unquote

import pytest
from test_report import N_OF, UNIT, Page, captions_of

from retina_codec import cli
from retina_codec.pipeline import remade_report
from retina_codec.pipeline._headlines import headlines

CONTRAST = """() => {
  const numbers = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = rgb => rgb.slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = item => {
    for (let one = item; one; one = one.parentElement) {
      const colour = numbers(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const root = getComputedStyle(document.documentElement);
  const probe = document.createElement('i');
  probe.style.color = root.getPropertyValue('--ink');
  document.body.append(probe);
  const ink = getComputedStyle(probe).color;
  probe.remove();
  const found = [];
  for (const item of document.querySelectorAll('h1,h2,h3,p,li,a,b,th,td,dt,dd,code,summary,' +
                                               'figcaption,svg text')) {
    const look = getComputedStyle(item), drawn = item.tagName === 'text';
    if (drawn && look.fill !== ink || !item.textContent.trim() || !item.getClientRects().length)
      continue;
    const a = light(numbers(drawn ? look.fill : look.color)), b = light(behind(item));
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), item.textContent.slice(0, 40)]);
  }
  return found;
}"""
SIZES = """() => [...document.querySelectorAll('figure svg')].map(svg => {
  const box = svg.getBoundingClientRect();
  return [box.width, box.height, getComputedStyle(svg).visibility];
})"""
WIDTHS = "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"


@pytest.fixture(scope="module")
def page(finished):
    return Page((finished[1] / "report.html").read_text(encoding="utf-8"))


def links_in(page):
    """Links of a page that lead out of it."""
    found = [attrs["href"] for attrs in page.all("a")]
    return [unquote(href) for href in found if not href.startswith("#")]


def test_every_figure_leads_to_its_data(finished, page):
    links = links_in(page)
    assert len(links) >= page.tags.count("figure") == page.texts["span"].count("Data:\n")
    assert all((finished[1] / link).is_file() for link in links)
    assert {"shown_frames.csv", "predictions.nc", "modes_relu1.nc", "doses_relu1.csv"} <= set(links)


def test_every_caption_of_a_run_says_n_and_units(page):
    for caption in captions_of(page):
        assert re.search(N_OF, caption) and re.search(UNIT, caption), caption


def test_says_first_what_matters_and_the_rest_in_its_section(finished, page):
    _, _, summary = finished
    assert 3 <= len(summary["headlines"]) <= 5
    assert all("n = " in sentence for sentence in summary["headlines"][:4])
    told = [one for sentences in summary["findings by section"].values() for one in sentences]
    assert told == summary["findings"]
    sections = [attrs["id"] for attrs in page.all("section")]
    assert set(summary["findings by section"]) <= set(sections)
    assert len(page.texts["li"]) >= len(told)


@pytest.mark.parametrize(
    ("mean", "low", "doubted"),
    [
        (0.6, 0.5, False),
        (0.6, None, False),
        (0.02, -0.1, True),
        (-0.1, None, True),
        (None, None, True),
    ],
)
def test_says_first_when_the_network_predicts_nothing(finished, mean, low, doubted):
    numbers = finished[2]["prediction"] | {"mean r": mean, "mean r, from": low}
    assert ("no better than chance" in headlines(numbers, {})[0]) == doubted


def test_says_what_it_was_made_of_and_how_to_do_it_again(finished, page):
    _, out, summary = finished
    inputs = tomllib.loads((out / "run.toml").read_text())["inputs"]
    cells = [text.strip() for text in page.texts["td"]]
    assert inputs["recording"] in cells and summary["provenance"]["versions"]["torch"] in cells
    assert page.texts["code"] == [summary["provenance"]["command"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(390, 844), (1280, 900)])
def test_is_readable(finished, browser, size, scheme):
    path = finished[1] / "report.html"
    viewport = dict(zip(("width", "height"), size, strict=True))
    opened = browser.new_page(viewport=viewport, color_scheme=scheme)
    asked, said = [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(path.as_uri())
    for medium in ("screen", "print"):
        opened.emulate_media(media=medium, color_scheme=scheme)
        across, room = opened.evaluate(WIDTHS)
        assert across <= room
        shapes = opened.evaluate(SIZES)
        assert shapes and all(w > 100 and h > 50 and v == "visible" for w, h, v in shapes)
        assert min(opened.evaluate(CONTRAST))[0] > 4.5, min(opened.evaluate(CONTRAST))
    assert asked == [path.as_uri()] and said == []
    opened.close()


def test_is_made_again_from_what_is_stored(finished, tmp_path, monkeypatch, capsys):
    _, out, _ = finished
    before = {file: file.stat().st_mtime_ns for file in out.iterdir() if "shown" not in file.name}
    there = tmp_path / "sent" / "page.html"
    monkeypatch.setattr(sys, "argv", ["retina-codec", "report", str(out), "--out", str(there)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code and f"Report: {there}" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in before} == before
    folder = relpath(out.resolve(), there.parent.resolve())
    again = there.read_text(encoding="utf-8").replace(f'href="{folder}/', 'href="')
    lines = (out / "report.html").read_text(encoding="utf-8").splitlines()
    more = set(again.splitlines()) - set(lines)
    assert set(lines) <= set(again.splitlines())
    assert all("this page was made by" in line for line in more) and len(more) == 1
    assert all((there.parent / link).is_file() for link in links_in(Page(there.read_text())))


@pytest.mark.parametrize("missing", ["summary.json", "doses_relu1.csv", "contributions_relu1.nc"])
def test_refuses_a_run_that_is_not_finished(finished, tmp_path, missing):
    copy = tmp_path / "run"
    shutil.copytree(finished[1], copy)
    (copy / missing).unlink()
    with pytest.raises(
        ValueError, match=f"not finished .* is missing.* 'retina-codec fields {copy}"
    ):
        remade_report(copy)
    assert not (copy / missing).exists()


def test_refuses_what_is_no_run(tmp_path):
    with pytest.raises(ValueError, match="holds no run"):
        remade_report(tmp_path)
