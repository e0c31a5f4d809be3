"""Make data/explorer.png, what the explorer shows first of the folder that `make demo` leaves."""

import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from shutil import which

from PIL import Image
from playwright.sync_api import sync_playwright

SIZE = {"width": 1280, "height": 1400}
COLOURS = 256


def pictured(address: str) -> Image.Image:
    """Return the page as a browser draws it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=which("chromium") or which("google-chrome"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE)
        page.goto(address)
        page.wait_for_selector("#shown", state="attached", timeout=120_000)
        page.wait_for_timeout(3000)
        shot = Image.open(BytesIO(page.screenshot()))
        browser.close()
    return shot.convert("RGB").quantize(COLOURS)


def main(run: Path) -> None:
    """Open a run, and keep its picture."""
    command = [sys.executable, "-u", "-c", "from retina_codec.cli import main; main()", "explore"]
    server = subprocess.Popen(
        [*command, str(run), "--no-browser"], stdout=subprocess.PIPE, text=True
    )
    try:
        address = re.search(r"http\S+", server.stdout.readline())[0]
        pictured(address).save(Path(__file__).with_suffix(".png"), optimize=True)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
