import os
from shutil import which

import jaxtyping
import pytest

collect_ignore = ["typed_use.py"]  # for the type checker alone

NO_BACKGROUND = (
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items):
    """Skip what is slow; keep files together, and in one process those that look at one run."""
    of_runs = {item.path for item in items if "finished" in getattr(item, "fixturenames", ())}
    for item in items:
        if item.get_closest_marker("slow") and "RETINA_CODEC_SLOW" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="slow: set RETINA_CODEC_SLOW=1"))
        group = "runs" if item.path in of_runs else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_finish(session):
    """Refuse to run without groups: every process would make every fixture again."""
    grouped = session.config.getoption("loadgroup", False)
    if grouped and not all("@" in item.nodeid for item in session.items):
        msg = "pytest-xdist 3.8 does not group tests with pytest 9.2: install pytest below it."
        raise pytest.UsageError(msg)


@pytest.fixture
def as_user():
    """Switch the test-time shape checker off, so that the package's own checks speak."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def run_recording(tmp_path_factory):
    """A small recording, as a file; its table of cells has names and columns of a strange kind."""
    from dataclasses import replace

    from retina_codec.recordings import write_nwb
    from retina_codec.simulation import Circuit, simulate_recording

    path = tmp_path_factory.mktemp("recording") / "recording.nwb"
    circuit = Circuit(shape=(18, 18), history=12, cells_per_type=1)
    recording = simulate_recording(circuit=circuit, n_frames=1500, test_frames=400)
    odd = {"cell": ["<script>bad", "a/b", "c", "d"], "label": "$x$", "cluster": 1, "mode": 2}
    write_nwb(replace(recording, cells=recording.cells.assign(**odd)), path)
    return path


@pytest.fixture(scope="session")
def small_config():
    """Return a function that makes the settings of a run that is done soon."""
    from retina_codec.pipeline import Config

    def config(recording, **changes):
        given = {"history_s": 0.1, "epochs": 2, "n_steps": 4, "layers": ("relu1",)}
        given |= {"n_repeats": 1, "n_draws": 2, "n_cells": 2}
        return Config(recording=str(recording), **{**given, **changes})

    return config


@pytest.fixture(scope="session")
def finished(run_recording, small_config, tmp_path_factory):
    """One run for all tests that look at what a run leaves: settings, folder and summary."""
    from retina_codec.pipeline import run

    out = tmp_path_factory.mktemp("runs") / "run"
    config = small_config(run_recording)
    return config, out, run(config, out, progress=False)


@pytest.fixture(scope="module")
def browser():
    """Chromium or Chrome of this machine, without a window."""
    from playwright.sync_api import sync_playwright

    found = [which(name) for name in ("chromium", "google-chrome", "chromium-browser")]
    if not any(found):
        pytest.skip("no browser: install chromium (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=next(filter(None, found)),
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", *NO_BACKGROUND],
        )
        yield opened
        opened.close()
