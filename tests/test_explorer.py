"""The explorer: thinned without losing a peak, the same view everywhere, closed to strangers."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from http.client import HTTPConnection

import numpy as np
import pytest
from explorer_visits import PACKAGE, SLOW_MACHINE_S, Visitor, served
from matplotlib.figure import Figure
from synthetic_hour import write_hour

from retina_codec import explorer, pipeline
from retina_codec.explorer import (
    GalleryView,
    Thinned,
    View,
    gallery_view_from,
    open_run,
    view_from,
)
from retina_codec.explorer._layer import runs_of, strongest
from retina_codec.explorer._serve import by_target, free_port, origins
from retina_codec.export import save
from retina_codec.receptive_fields import attribute_to_channels, instantaneous_fields


@pytest.fixture(scope="module")
def opened(finished):
    return open_run(finished[1])


@pytest.fixture(scope="module")
def view(opened):
    """A moment at which a mode is strongest."""
    first = opened.first_view()
    peak = int(opened.layers["relu1"].peaks(0)["sample"].iloc[0])
    return opened.checked(replace(first, time_s=float(opened.times[peak]), mode=0))


@pytest.mark.parametrize(
    ("first", "stop", "n"), [(0, 1000, 30), (17, 400, 50), (3, 9, 40), (130, 997, 6), (0, 997, 5)]
)
def test_thinning_keeps_extremes(first, stop, n):
    values = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)
    values[20:90, 1] = np.nan
    starts, low, high = Thinned(values).columns(first, stop, n)
    width = starts[1] - starts[0]
    assert len(starts) <= n + 1
    assert starts[0] <= first < starts[0] + width and starts[-1] < stop
    for column, start in enumerate(starts):
        part = values[start : start + width]
        if column == len(starts) - 1 and width < 64:
            part = values[start : min(start + width, stop)]
        for row in range(3):
            seen = part[:, row][~np.isnan(part[:, row])]
            assert low[column, row] == seen.min() if len(seen) else np.isnan(low[column, row])
            assert high[column, row] == seen.max() if len(seen) else np.isnan(high[column, row])


def test_strongest_of_each_stretch():
    values = np.array([1.0, 5, 2, 9, 3, 3, 8])
    mask = np.array([1, 1, 0, 0, 1, 0, 1], dtype=bool)
    assert runs_of(mask).tolist() == [[0, 2], [4, 5], [6, 7]]
    assert strongest(values, mask, 2).tolist() == [6, 1]
    assert strongest(values, ~mask & False, 2).tolist() == []


@pytest.mark.parametrize(
    "view",
    [
        View(cell=3, layer="relu1"),
        View(cell=0, layer="a.b:input", time_s=1.25, mode=4, span_s=(0.5, 9.125)),
    ],
)
def test_view_comes_back_from_its_address(view):
    assert view_from(view.query(), View(cell=9, layer="x")) == view
    assert eval(view.code(), {"View": View}) == view


@pytest.mark.parametrize("mode", [None, 4])
def test_view_of_images_comes_back_from_its_address(mode):
    view = GalleryView(layer="blocks.3", label=7, mode=mode)
    assert gallery_view_from(view.query(), GalleryView(layer="x", label=0)) == view
    assert eval(view.code(), {"GalleryView": GalleryView}) == view


@pytest.mark.parametrize("bad", [{"time": "nan"}, {"cell": "x"}, {"from": "3", "to": "1"}])
def test_nonsense_in_the_address_is_left_out(bad):
    default = View(cell=1, layer="relu1")
    assert view_from(bad, default) == default


def test_parts_of_a_moment_sum_to_its_field(opened, view):
    moment = opened.moment(view)
    sample = opened.at(view.time_s)
    where = {"cells": [view.cell], "index": [sample]}
    field = instantaneous_fields(opened.network, opened.samples, **where)
    np.testing.assert_allclose(moment.irf.values[:], field.values[:], rtol=1e-5, atol=1e-6)
    channels = attribute_to_channels(opened.network, opened.samples, layer="relu1", **where)
    np.testing.assert_allclose(
        np.asarray(channels.values).sum(axis=0), np.asarray(field.values)[0], rtol=1e-3, atol=1e-4
    )
    maps = moment.parts.values
    np.testing.assert_allclose(maps[1:].sum(axis=0), maps[0], rtol=1e-3, atol=1e-4)
    assert moment.parts.items["share"].iloc[1:].sum() == pytest.approx(1, abs=1e-4)
    assert moment.irf.items["time_s"].iloc[0] == pytest.approx(view.time_s)
    frames = opened.samples.stimulus.frames
    last = opened.samples.bins[sample]
    shown = np.asarray(moment.frames.frames)[: opened.network.history]
    np.testing.assert_array_equal(shown, frames[last - opened.network.history : last])


def test_other_moments_have_the_same_modes(opened, view):
    layer, moment = opened.layers["relu1"], opened.moment(view)
    assert 0 in moment.active
    for sample in moment.alike["sample"]:
        assert layer.active(sample) == moment.active and sample != opened.at(view.time_s)


def test_time_line_has_the_numbers_of_the_run(opened, view):
    n = len(opened.times)
    rates = opened.rates(view, n=n)
    np.testing.assert_array_equal(
        rates.predicted[:, view.cell], np.asarray(opened.predictions.predicted)[:, view.cell]
    )
    loadings = np.asarray(opened.layers["relu1"].modes.loadings)
    np.testing.assert_array_equal(opened.modes(view, n=n).loadings, loadings)
    assert opened.modes(view, n=20).loadings.max() == loadings.max()


def test_lines_of_python_draw_the_same_picture(opened, view, tmp_path, monkeypatch):
    near = replace(view, span_s=(view.time_s - 0.5, view.time_s + 0.5))
    explorer.save_picture(explorer.draw_view(opened, near), tmp_path / "here.svg")
    lines = explorer.lines_of_python(opened, near)
    name = re.search(r'"(\S+\.svg)"', lines)[1]
    monkeypatch.chdir(tmp_path)
    exec(lines, {})
    assert (tmp_path / name).read_bytes() == (tmp_path / "here.svg").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer": "relu9"}, "No layer 'relu9' in this run; it has relu1"),
        ({"cell": 99}, "No cell 99"),
        ({"mode": 999}, "No mode 999"),
        ({"span_s": (1e6, 2e6)}, "Fewer than two samples"),
    ],
)
def test_views_that_are_not_there(opened, view, changes, message):
    with pytest.raises(ValueError, match=message):
        opened.checked(replace(view, **changes))


def test_folders_that_cannot_be_looked_at(finished, tmp_path):
    config, out, _ = finished
    with pytest.raises(ValueError, match="holds no run"):
        open_run(tmp_path)
    (tmp_path / "run.toml").write_text((out / "run.toml").read_text())
    with pytest.raises(ValueError, match="is not finished .*retina-codec fields"):
        open_run(tmp_path)
    moved = (out / "run.toml").read_text().replace(config.recording, "/gone/recording.nwb")
    (tmp_path / "run.toml").write_text(moved)
    with pytest.raises(FileNotFoundError, match="The recording of this run is gone"):
        open_run(tmp_path)
    settings, _ = pipeline.recording_of_run(tmp_path, recording=config.recording)
    assert settings.recording == config.recording
    (tmp_path / "predictions.csv").touch()
    with pytest.raises(ValueError, match="holds a run on images.*'open_gallery'"):
        open_run(tmp_path)
    with pytest.raises(ValueError, match="holds another kind of run"):
        explorer.open_gallery(tmp_path)
    (tmp_path / "predictions.csv").unlink()
    text = moved.replace('"recording" = "', '"recording" = "0')
    assert text != moved
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(ValueError, match="other data"):
        open_run(tmp_path, recording=config.recording)


def test_pictures_have_known_endings(tmp_path):
    with pytest.raises(ValueError, match="saved as svg, png, pdf"):
        explorer.save_picture(Figure(), tmp_path / "a.gif")


def test_who_may_talk_to_the_page():
    assert origins("127.0.0.1", 80) == ["127.0.0.1:80", "localhost:80"]
    assert "10.0.0.9:80" in origins("10.0.0.9", 80)
    assert not any("*" in origin for origin in origins("0.0.0.0", 80))


def status(port, path, **headers):
    connection = HTTPConnection("127.0.0.1", port, timeout=SLOW_MACHINE_S)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.getheader("Set-Cookie")


def test_strangers_get_403(finished):
    port = free_port("0.0.0.0")
    with served(finished[1], "--address", "0.0.0.0", "--port", str(port)) as page:
        token = page.split("token=")[1]
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        upgrade |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        for path in ("/", "/ws", "/static/js/bokeh.min.js", "/?token=", f"/?token={token[:-1]}x"):
            assert status(port, path)[0] == 403
        assert status(port, "/ws", **upgrade)[0] == 403
        code, cookie = status(port, f"/?token={token}")
        assert code == 302 and "HttpOnly" in cookie and "SameSite=Lax" in cookie
        kept = {"Cookie": cookie.split(";")[0]}
        assert status(port, f"/?token={token}", **kept)[0] == 200
        foreign = upgrade | kept | {"Origin": "http://elsewhere.example"}
        assert status(port, "/ws", **foreign)[0] == 403
        done = subprocess.run(
            [sys.executable, "-c", "from retina_codec.cli import main; main()", "explore"]
            + [str(finished[1]), "--no-browser", "--address", "0.0.0.0", "--port", str(port)],
            env={**os.environ, "PYTHONPATH": str(PACKAGE)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 1
        last = done.stderr.strip().splitlines()[-1]
        assert last == f"error: Port {port} is in use. Choose another with --port, or none for any."


def test_a_walk_through_a_run(finished, browser, tmp_path):
    with served(finished[1]) as address:
        assert address.startswith("http://127.0.0.1:")
        visitor = Visitor(browser, address)
        page = visitor.page
        moment = page.locator("h2", has_text="Moment")
        visitor.until(page.get_by_text("Click the time line to see").is_visible)
        visitor.until(moment.is_visible)
        assert "time_s=" in visitor.view
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        visitor.do(lambda: page.get_by_label("cell", exact=True).select_option(index=1))
        assert "cell=1" in visitor.view
        visitor.click(0, 0.4, 0.5)
        first = moment.inner_text()
        visitor.click(0, 0.6, 0.5)
        visitor.until(lambda: moment.inner_text() != first)
        visitor.click(2, 0.6, 0.25)
        mode = re.search(r"mode=(\d+)", visitor.view)[1]
        visitor.until(lambda: page.locator("h2 .chip").inner_text() == f"mode {mode}")
        visitor.do(lambda: page.get_by_role("button", name="zoom in").click())
        assert "span_s=" in visitor.view
        lines, drawn = visitor.lines_and_download(tmp_path)
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="copy").click()
        page.get_by_role("button", name="copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == lines
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
        subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, env=environment, check=True)
        assert (tmp_path / drawn).read_bytes() == (tmp_path / "downloaded.svg").read_bytes()
        seen = visitor.view
        visitor.open(page.url)
        assert visitor.view == seen
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_function("document.documentElement.scrollWidth <= 390")
        assert visitor.errors == []
        page.close()


@pytest.fixture(scope="module")
def two_targets(tmp_path_factory):
    return write_hour(tmp_path_factory.mktemp("hour"), n_samples=3000, save=save)


def test_runs_are_named_by_their_targets(opened, two_targets):
    first, other = map(open_run, two_targets)
    assert by_target([first, other]) == {"surprisal": first, "cell-3": other}
    assert list(by_target([first, replace(first, folder=two_targets[1])])) == [
        f"surprisal ({folder})" for folder in two_targets
    ]
    with pytest.raises(ValueError, match="explain different samples. Open together only runs on"):
        by_target([first, opened])


def test_another_target_is_seen_at_the_same_moment(two_targets, browser):
    with served(*two_targets) as address:
        visitor = Visitor(browser, address)
        visitor.click(2, 0.4, 0.5)
        before = visitor.view
        assert before.startswith("surprisal View(") and "mode=" in before
        targets = visitor.page.get_by_label("target", exact=True)
        visitor.do(lambda: targets.select_option("cell-3"))
        moment = re.sub(r", mode=\d+", "", before.removeprefix("surprisal "))
        assert visitor.view == f"cell-3 {moment}"
        visitor.until(visitor.page.get_by_text("to the target (cell-3)").is_visible)
        assert str(two_targets[1]) in visitor.lines()
        visitor.open(visitor.page.url)
        assert visitor.view == f"cell-3 {moment}"
        visitor.do(lambda: targets.select_option("surprisal"))
        assert visitor.view == f"surprisal {moment}" and visitor.errors == []
        visitor.page.close()


@pytest.mark.slow
def test_an_hour_stays_responsive(browser, tmp_path):
    runs = write_hour(tmp_path, n_samples=360_000, save=save)
    with served(*runs) as address:
        visitor = Visitor(browser, address)
        button = visitor.page.get_by_role("button", name="zoom in")
        visitor.click(0, 0.3, 0.5)
        clicks = [
            visitor.do(lambda x=x: visitor.page.mouse.click(1280 * x, 200)) for x in (0.4, 0.5, 0.6)
        ]
        zooms = [visitor.do(button.click) for _ in range(3)]
        assert min(clicks) < 1.5 and min(zooms) < 1.5
        assert visitor.errors == []
        visitor.page.close()
