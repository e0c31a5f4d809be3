"""What a wheel brings, and that it works away from a clone."""

import os
import statistics
import subprocess
import sys
import time
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "retina_codec"
MODELS = sorted(path.parent.name for path in (PROJECT / "models").glob("*/config.json"))
LONGEST_IMPORT_S = 0.3
WORKS = """
import retina_codec as rc
recording = rc.recordings.load_recording(rc.recordings.sample_recording())
network = rc.networks.load_network("simulated_retina")
scores = rc.networks.evaluate(network, recording).scores
assert scores["pearson_r"].mean() > 0.6
assert rc.networks.load_image_network("digits_vit").name == "digits_vit"
print(rc.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    words = ["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    # Of a copy without the rest: setuptools leaves its traces where it builds.
    source = tmp_path_factory.mktemp("source")
    names = "retina_codec models data setup.cfg pyproject.toml README.md LICENSE MANIFEST.in"
    for name in names.split():
        subprocess.run(["cp", "-r", PROJECT / name, source], check=True)
    subprocess.run([sys.executable, *words, "--wheel-dir", out, source], check=True)
    (path,) = out.glob("*.whl")
    return path


def test_every_subpackage_is_listed():
    setup = ConfigParser()
    setup.read(PROJECT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    there = {path.parent.relative_to(PROJECT).as_posix() for path in PACKAGE.rglob("__init__.py")}
    shipped = set(setup["options"]["package_dir"].split()[::3])
    assert listed == {name.replace("/", ".") for name in there} | shipped


def test_wheel_holds_code_networks_and_the_sample(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in MODELS:
        for part in ("card.md", "config.json", "weights.safetensors", "scores.json"):
            assert f"retina_codec/models/{name}/{part}" in names
    assert {"retina_codec/data/sample/recording.nwb", "retina_codec/py.typed"} <= names
    ours = {path.relative_to(PROJECT).as_posix() for path in PACKAGE.rglob("*.*")}
    assert {name for name in ours if "__pycache__" not in name} <= names
    assert not {name for name in names if name.startswith(("tests", "data", "models"))}


def test_wheel_works_away_from_the_clone(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WORKS],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(site / "retina_codec" / "__init__.py")


def test_import_is_quick():
    """Beside an interpreter that imports nothing; the median of five."""

    def seconds(code):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)
        return time.perf_counter() - started

    took = [seconds("import retina_codec") - seconds("pass") for _ in range(5)]
    assert statistics.median(took) < LONGEST_IMPORT_S
