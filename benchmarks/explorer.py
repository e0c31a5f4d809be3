"""Time from a click in the explorer to the changed page, for an hour of recording.

Prints the median and the slowest of ten clicks of each kind, in ms: in the browser from the click
until the page is painted (wall), and the time that processors worked in the server and in the page
(CPU), which is what remains when the machine does something else too. The mouse comes over the page
before the first click, as a hand would bring it. A scroll moves the picture at once; finer columns
are asked for when the wheel has rested for 0.1 s, which is part of the time. Run it alone.
"""

import re
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import which

import numpy as np
from playwright.sync_api import Locator, Page, sync_playwright

from retina_codec.export import save

N_SAMPLES, N_CLICKS, WAIT_MS = 360_000, 10, 400
HOUR = Path(__file__).parents[1] / "tests" / "synthetic_hour.py"
WATCH = """
() => {
  const homes = (root) => [...root.querySelectorAll("*")].flatMap(
    (node) => node.shadowRoot ? [node.shadowRoot, ...homes(node.shadowRoot)] : []
  );
  const home = homes(document).find((root) => root.querySelector("#shown"));
  const view = () => home.querySelector("#shown")?.dataset.view;
  window.tookMs = null;
  const begin = () => {
    const begun = performance.now(), before = view();
    const painted = (name) => requestAnimationFrame(() => requestAnimationFrame(() => {
      window[name] = performance.now() - begun;
    }));
    window.tookMs = null;
    painted("movedMs");
    const look = () => {
      if (view() === before) { setTimeout(look, 4); return; }
      painted("tookMs");
    };
    setTimeout(look, 4);
  };
  for (const event of ["pointerup", "wheel", "input"]) {
    window.addEventListener(event, begin, {capture: true});
  }
}
"""


class Visitor:
    """Somebody who clicks, with a watch."""

    def __init__(self, page: Page, server: int):
        self.page, self.server = page, server
        self.rates, _, self.loadings = (page.locator(".bk-Figure").nth(i) for i in range(3))
        page.evaluate(WATCH)

    def come(self) -> None:
        """Bring the mouse over the page, step by step."""
        box = self.rates.bounding_box()
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=10)
        self.page.wait_for_timeout(WAIT_MS)

    def click(self, plot: Locator, x: float, y: float) -> None:
        """Click at shares of the width and height of a plot."""
        box = plot.bounding_box()
        self.page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])

    def wheel(self, far: float) -> None:
        """Scroll over the rates."""
        box = self.rates.bounding_box()
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.mouse.wheel(0, far)

    def button(self, name: str) -> None:
        """Click a button."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def choose_next(self, label: str) -> None:
        """Choose what comes next in a list."""
        choice = self.page.get_by_label(label, exact=True)
        now, n = choice.evaluate("one => [one.selectedIndex, one.length]")
        choice.select_option(index=(now + 1) % n)

    def took(self, act) -> tuple[float, float, float, float]:
        """Do something; return ms until it moves, until all is there, of server, of page."""
        before = self.cpu_ms()
        self.page.evaluate("window.tookMs = null")
        act()
        self.page.wait_for_function("window.tookMs !== null", timeout=60_000)
        walls = self.page.evaluate("[window.movedMs, window.tookMs]")
        self.page.wait_for_timeout(WAIT_MS)
        return (*walls, *(after - b for after, b in zip(self.cpu_ms(), before, strict=True)))

    def cpu_ms(self) -> tuple[float, float]:
        """Time that processors worked in the server, and in the page."""
        return _cpu_ms(self.server), sum(map(_cpu_ms, _renderers()))


def _cpu_ms(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return 10.0 * (int(fields[11]) + int(fields[12]))


def _renderers() -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if "--type=renderer" in (folder / "cmdline").read_text():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def clicks(visitor: Visitor) -> dict[str, list]:
    """Kinds of clicks, and ten of each."""
    shares = np.linspace(0.12, 0.85, N_CLICKS)
    rows = np.linspace(0.08, 0.7, N_CLICKS)
    return {
        "first click": [lambda: visitor.click(visitor.rates, 0.33, 0.5)],
        "a moment": [lambda x=x: visitor.click(visitor.rates, x, 0.5) for x in shares],
        "a row of the loadings": [
            lambda x=x, y=y: visitor.click(visitor.loadings, x, y)
            for x, y in zip(shares + 0.01, rows, strict=True)
        ],
        "a mode in the list": [lambda: visitor.choose_next("mode")] * N_CLICKS,
        "a cell": [lambda: visitor.choose_next("cell")] * N_CLICKS,
        "a layer": [lambda: visitor.choose_next("layer")] * N_CLICKS,
        "a target": [lambda: visitor.choose_next("target")] * N_CLICKS,
        "scroll to zoom": [lambda: visitor.wheel(-120) for _ in range(N_CLICKS)],
        "zoom out": [lambda: visitor.button("zoom out") for _ in range(3)],
        "zoom in": [lambda: visitor.button("zoom in") for _ in range(N_CLICKS)],
        "whole": [lambda: visitor.button("whole")],
    }


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        write_hour = runpy.run_path(str(HOUR))["write_hour"]
        runs = write_hour(Path(folder), n_samples=N_SAMPLES, save=save)
        command = [sys.executable, "-u", "-c", "from retina_codec.cli import main; main()"]
        server = subprocess.Popen(
            [*command, "explore", *map(str, runs), "--no-browser"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            look(re.search(r"http\S+", server.stdout.readline())[0], server.pid)
        finally:
            server.terminate()
            server.wait()


def look(address: str, server: int) -> None:
    """Open the page, click, and print."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=which("chromium") or which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.wait_for_selector("#shown", state="attached", timeout=120_000)
        page.wait_for_timeout(3000)
        visitor = Visitor(page, server)
        visitor.come()
        print(f"{'click':24}{'median':>8}{'slowest':>9}{'server':>8}{'page':>7}   ms")
        for name, acts in clicks(visitor).items():
            took = np.array([visitor.took(act) for act in acts])
            moved, wall, *cpu = np.median(took, axis=0)
            print(f"{name:24}{wall:8.0f}{took[:, 1].max():9.0f}{cpu[0]:8.0f}{cpu[1]:7.0f}")
            if name == "scroll to zoom":
                print(f"{'  its picture moves':24}{moved:8.0f}{took[:, 0].max():9.0f}")
        browser.close()


if __name__ == "__main__":
    main()
