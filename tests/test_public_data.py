import hashlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from retina_codec.recordings import fetch, public, public_data

BODY = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
SHA256 = hashlib.sha256(BODY).hexdigest()
CUT = 100_000


class Server(BaseHTTPRequestHandler):
    """Sends `body`, or the rest of it; may break off once, on purpose."""

    def do_GET(self):
        state = self.server.state
        state["asked"].append((self.headers.get("Range"), self.headers.get("If-Range")))
        if self.path != "/data.h5":
            self.send_error(404)
            return
        body, start = state["body"], 0
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        if self.headers.get("Range") and self.headers.get("If-Range") == etag:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        stop = state.pop("break_at", None)
        self.wfile.write(body[start:stop])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    served = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    served.state = {"body": BODY, "asked": []}
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


@pytest.fixture
def registry(tmp_path, server, monkeypatch):
    """Return a function that writes a registry with one set on the local server."""
    monkeypatch.setenv("RETINA_CODEC_DATA", str(tmp_path / "cache"))

    def write(sha256=None, path="data.h5", port=server.server_port):
        url = f"http://127.0.0.1:{port}/{path}"
        file = {"file": "data.h5", "url": url, "sha256": sha256, "size_bytes": len(BODY)}
        one = {"name": "tiny", "url": "https://example.org", "files": [file], "notes": ""}
        several = {**one, "name": "several", "files": [file, {**file, "file": "other.h5"}]}
        nothing = {**one, "name": "nothing", "files": []}
        target = tmp_path / "registry.json"
        target.write_text(json.dumps({"sets": [one, several, nothing]}))
        return target

    return write


def files(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache" / "tiny").iterdir())


def test_every_set_says_what_a_reader_needs():
    table = public_data()
    assert {"maheswaranathan_2023", "karamanlis_2024", "goldin_2022"} <= set(table.index)
    needed = ["title", "species", "licence", "url", "cite", "format", "notes"]
    assert (table[needed].map(lambda text: isinstance(text, str) and text != "")).all(axis=None)
    assert not table["downloaded"].any()
    for one in json.loads(public.REGISTRY.read_text())["sets"]:
        assert one["url"].startswith("https://")
        assert all(file["url"].startswith("https://") for file in one["files"])
        assert all(file["url"].endswith(f"/{file['file']}") for file in one["files"])
        assert all(file["sha256"] is None for file in one["files"])  # nobody downloaded them


def test_a_size_that_nobody_knows_is_missing_not_zero():
    sizes = public_data()["size_bytes"]
    assert sizes.isna()["maheswaranathan_2023"] and sizes.isna()["goldin_2022"]
    assert sizes["sridhar_2025"] > 9e9


def test_download_is_whole_and_happens_once(registry, server, tmp_path):
    where = registry(SHA256)
    path = fetch("tiny", progress=False, registry=where)
    assert path == tmp_path / "cache/tiny/data.h5" and path.read_bytes() == BODY
    assert fetch("tiny", progress=False, registry=where) == path
    assert len(server.state["asked"]) == 1
    assert files(tmp_path) == ["data.h5"]


def test_progress_bar(registry, capsys):
    fetch("tiny", registry=registry(SHA256))
    assert "data.h5" in capsys.readouterr().err


def test_hash_is_noted_at_the_first_download_and_checked_later(registry, server, tmp_path):
    path = fetch("tiny", progress=False, registry=registry())
    assert (tmp_path / "cache/tiny/data.h5.sha256").read_text().split() == [SHA256, "data.h5"]
    path.write_bytes(b"damaged")
    assert fetch("tiny", progress=False, registry=registry()).read_bytes() == BODY
    path.write_bytes(b"damaged")
    server.state["body"] = BODY[::-1]
    with pytest.raises(ValueError, match=f"not what was expected .SHA-256 {SHA256}.: it changed"):
        fetch("tiny", progress=False, registry=registry())


def test_wrong_hash_leaves_nothing(registry, tmp_path):
    with pytest.raises(ValueError, match="is not what was expected"):
        fetch("tiny", progress=False, registry=registry("0" * 64))
    assert files(tmp_path) == []


def test_broken_download_goes_on(registry, server, tmp_path):
    server.state["break_at"] = CUT
    with pytest.raises(ConnectionError, match="the connection broke off") as error:
        fetch("tiny", progress=False, registry=registry(SHA256))
    assert "\n" not in str(error.value)
    assert files(tmp_path) == ["data.h5.part", "data.h5.part.json"]
    arrived = (tmp_path / "cache/tiny/data.h5.part").stat().st_size
    assert 0 < arrived <= CUT
    assert fetch("tiny", progress=False, registry=registry(SHA256)).read_bytes() == BODY
    assert server.state["asked"][1][0] == f"bytes={arrived}-"
    assert files(tmp_path) == ["data.h5"]


def test_rest_of_another_version_is_not_appended(registry, server):
    server.state["break_at"] = CUT
    with pytest.raises(ConnectionError):
        fetch("tiny", progress=False, registry=registry())
    server.state["body"] = BODY[::-1]
    assert fetch("tiny", progress=False, registry=registry()).read_bytes() == BODY[::-1]


def test_file_that_somebody_put_there_is_kept(registry, server, tmp_path):
    (tmp_path / "cache/tiny").mkdir(parents=True)
    (tmp_path / "cache/tiny/data.h5").write_bytes(b"by hand")
    assert fetch("tiny", progress=False, registry=registry()).read_bytes() == b"by hand"
    assert server.state["asked"] == []
    assert files(tmp_path) == ["data.h5", "data.h5.sha256"]


def test_no_such_file_on_the_server(registry, tmp_path):
    with pytest.raises(ConnectionError, match="the server answered 404"):
        fetch("tiny", progress=False, registry=registry(path="gone.h5"))
    assert files(tmp_path) == []


def test_offline_is_one_line(registry):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = registry(port=free.getsockname()[1])
    with pytest.raises(ConnectionError, match="no connection .is the machine offline") as error:
        fetch("tiny", progress=False, registry=where)
    assert "\n" not in str(error.value)


def test_choices(registry):
    with pytest.raises(ValueError, match="several files: choose one with 'file'. Files: data.h5"):
        fetch("several", registry=registry())
    with pytest.raises(ValueError, match=r"No file 'data.h4' in several.*mean 'data.h5'\?"):
        fetch("several", file="data.h4", registry=registry())
    with pytest.raises(ValueError, match="by name. Get it from https://example.org by hand"):
        fetch("nothing", registry=registry())
    with pytest.raises(ValueError, match=r"No public recording 'tinny'.*mean 'tiny'\?"):
        fetch("tinny", registry=registry())


def test_missing_package_is_named(registry, monkeypatch):
    def absent(*args):
        raise ImportError("No module named 'pooch'")

    monkeypatch.setattr(public.importlib, "import_module", absent)
    with pytest.raises(ImportError, match=r"needs pooch: pip install 'retina-codec\[public\]'"):
        fetch("tiny", registry=registry())
