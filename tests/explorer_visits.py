"""Somebody who opens the explorer in a browser and clicks."""

import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]
SHOWN = "#shown"
SLOW_MACHINE_S = 60


@contextmanager
def served(run, *options):
    """The explorer in a process of its own; gives the address of its page."""
    pytest.importorskip("panel")
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-u", "-c", "from retina_codec.cli import main; main()", "explore"]
    process = subprocess.Popen(
        [*command, str(run), "--no-browser", *options],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        yield re.search(r"http\S+", line)[0]
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


class Visitor:
    """Somebody who looks at the page."""

    def __init__(self, browser, address):
        self.page = browser.new_page(viewport={"width": 1280, "height": 800})
        self.page.set_default_timeout(1000 * SLOW_MACHINE_S)
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda said: self.errors.append(said.text) if said.type == "error" else None,
        )
        self.open(address)

    def open(self, address):
        self.page.goto(address)
        self.page.wait_for_selector(SHOWN, state="attached")
        self.page.wait_for_function("Bokeh.documents.every((one) => one.is_idle)")
        self.page.wait_for_timeout(1500)

    @property
    def view(self):
        return self.page.locator(SHOWN).get_attribute("data-view")

    def plot(self, number):
        return self.page.locator(".bk-Figure").nth(number).bounding_box()

    def click(self, number, x, y):
        """Click in a plot, at shares of its width and height."""
        box = self.plot(number)
        self.do(
            lambda: self.page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        )

    def do(self, act):
        """Do something, wait until the page shows another view, and return the seconds it took."""
        before, begun = self.view, time.perf_counter()
        act()
        self.until(lambda: self.view != before)
        return time.perf_counter() - begun

    def until(self, holds):
        """Wait until this holds; words are painted a little later than the view is told."""
        begun = time.perf_counter()
        while not holds():
            assert time.perf_counter() - begun < SLOW_MACHINE_S, f"not seen in: {self.view}"

    def lines(self):
        """The lines of Python."""
        self.page.get_by_role("button", name="Python").click()
        lines = self.page.locator("textarea")
        self.until(lambda: self.view.partition("View")[2] in lines.input_value())
        return lines.input_value()

    def lines_and_download(self, folder):
        """The lines of Python, and the name of the picture that is now in "downloaded.svg"."""
        lines = self.lines()
        with self.page.expect_download() as download:
            self.page.get_by_role("link", name="SVG").or_(
                self.page.get_by_role("button", name="SVG")
            ).first.click()
        download.value.save_as(folder / "downloaded.svg")
        return lines, download.value.suggested_filename
