"""Download a file with pooch: whole, checked, and from where an interrupted download stopped."""

import json
import os
import shutil
from pathlib import Path

import pooch
import requests
from tqdm import tqdm

BLOCK_BYTES = 1 << 16
TIMEOUT_S = 30
PARTIAL, RESUMED, NOTHING_LEFT = ".part", 206, 416


def default_folder() -> Path:
    """Where downloads lie unless told otherwise."""
    return Path(pooch.os_cache("retina-codec"))


def fetched(url: str, path: Path, *, sha256: str | None, progress: bool) -> Path:
    """Return `path`, downloaded from `url` unless it is there and has the right SHA-256.

    Raises
    ------
    ValueError
        If what came has another SHA-256; it is thrown away.
    ConnectionError
        If the server cannot be reached, refuses, or breaks off.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pooch.get_logger().setLevel("WARNING")
    noted = path.with_name(f"{path.name}.sha256")
    expected = sha256 or (noted.read_text().split()[0] if noted.exists() else None)
    download = Resuming(path.with_name(path.name + PARTIAL), progress=progress)
    try:
        pooch.retrieve(url, expected, fname=path.name, path=path.parent, downloader=download)
    except ValueError as error:
        msg = f"{url} is not what was expected (SHA-256 {expected}): it changed, or came damaged."
        raise ValueError(msg) from error
    except requests.RequestException as error:
        msg = f"Could not download {url}: {_reason(error)}. Try again; it goes on where it stopped."
        raise ConnectionError(msg) from None
    if expected is None:  # Files get their names when they are whole: this one is, if it is ours.
        _write(noted, f"{pooch.file_hash(path)}  {path.name}\n")
    return path


class Resuming:
    """Downloader for pooch that keeps what came in a file of its own, and asks for the rest.

    The server's name for this version of the file (ETag or date) is kept too: of another version
    everything is sent anew.
    """

    def __init__(self, part: Path, *, progress: bool):
        self.part, self.progress = part, progress
        self.version = part.with_name(f"{part.name}.json")

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Download `url` into `output_file`."""
        with requests.get(url, headers=self._rest(), stream=True, timeout=TIMEOUT_S) as response:
            if response.status_code == NOTHING_LEFT:
                self._forget()
            response.raise_for_status()
            self._keep(response)
        shutil.move(self.part, output_file)
        self._forget()

    def _rest(self) -> dict[str, str]:
        """Ask for what is missing, if it still belongs to what is there."""
        known = json.loads(self.version.read_text()) if self.version.exists() else {}
        headers = {"Accept-Encoding": "identity"}
        if not (self.part.exists() and known.get("url") and known.get("validator")):
            return headers
        start = self.part.stat().st_size
        return headers | {"Range": f"bytes={start}-", "If-Range": known["validator"]}

    def _keep(self, response: requests.Response) -> None:
        resumed = response.status_code == RESUMED
        start = self.part.stat().st_size if resumed else 0
        if not resumed:
            self._note(response)
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        with self.part.open("ab" if resumed else "wb") as file:
            self._copy(response, file, start, total)
        size = self.part.stat().st_size
        if total is not None and size != total:
            msg = f"the connection broke off after {size} of {total} bytes"
            raise requests.ConnectionError(msg)

    def _copy(self, response: requests.Response, file: object, start: int, total: int | None):
        bar = {"initial": start, "total": total, "unit": "B", "unit_scale": True}
        with tqdm(desc=self.part.stem, disable=not self.progress, **bar) as shown:
            for block in response.iter_content(BLOCK_BYTES):
                file.write(block)
                shown.update(len(block))

    def _note(self, response: requests.Response) -> None:
        validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
        strong = validator if validator and not validator.startswith("W/") else None
        _write(self.version, json.dumps({"url": response.url, "validator": strong}))

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    text = str(error)
    return text if text.startswith("the connection") else "no connection (is the machine offline?)"


def _write(path: Path, text: str) -> None:
    unfinished = path.with_name(f"{path.name}.partial")
    unfinished.write_text(text)
    os.replace(unfinished, path)
