"""The command line as a user meets it; in a process of its own where that matters."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import warnings
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pynwb
import pytest

from retina_codec import cli, pipeline
from retina_codec.contributions import integrated_gradients, load_contributions, one_cell
from retina_codec.datatypes import Recording, Stimulus
from retina_codec.decomposition import NonNegativeFactors, decompose
from retina_codec.export import load
from retina_codec.networks import evaluate, load_network, windows_for
from retina_codec.recordings import load_recording, write_nwb

REAL = Path(__file__).parents[2] / "shared/recordings/salamander_checkerboard.nwb"


MAIN = "from retina_codec.cli import main; main()"


def command(*words, timeout=120, threads=1):
    return subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )


def in_here(monkeypatch, *words):
    """Run the command line in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["retina-codec", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


@pytest.fixture(autouse=True)
def by_a_user(as_user):
    """The package's own checks speak, not those of the tests."""


@pytest.fixture
def recording(run_recording):
    return run_recording


@pytest.fixture
def network(finished):
    return finished[1] / "network"


@pytest.fixture
def no_page(monkeypatch):
    monkeypatch.setattr("retina_codec.pipeline._run.write_report", lambda *_, **__: None)


SMALL = ["--history-s", 0.1, "--layer", "relu1", "--n-draws", 2, "--n-repeats", 1, "--quiet"]
FAST = ["--method", "PrincipalComponents"]


COMMANDS = ["demo", "info", "fetch", "convert", "simulate", "train", "run", "contributions"]
COMMANDS += ["decompose", "fields", "causal", "phenomena", "compare", "images", "export"]
PARTS = ["run", "layers", "classes", "contrast", "heads", "control", "superclass", "maps"]
PARTS += ["steering", "sweep"]


@pytest.mark.parametrize("columns", [80, 120])
def test_help_names_the_commands_in_the_order_of_the_work(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert in_here(monkeypatch, "--help") == 0
    said = capsys.readouterr().out
    named = [line.split()[1] for line in said.splitlines() if re.match(r"│ [a-z]+ ", line)]
    assert [name for name in named if name in COMMANDS] == COMMANDS
    panels = [said.index(f"─ {panel} ─") for panel in ("Start", "Analyse", "Hand on")]
    assert panels == sorted(panels)


@pytest.mark.parametrize("words", [[one] for one in COMMANDS] + [["images", one] for one in PARTS])
def test_help_teaches(words, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")
    assert in_here(monkeypatch, *words, "--help") == 0
    said = capsys.readouterr().out
    if words != ["images"]:
        assert f"Example: retina-codec {' '.join(words)}" in said
        for option in ("--quiet", "--verbose"):
            assert option in said
    for line in said.splitlines():
        found = re.match(r"│ (?:\* +)?(--[a-z-]+)[^<]*(<[^>]*>)? *(.*)│", line)
        assert not found or found[3].strip(), line


def test_versions_are_told_without_loading(monkeypatch, capsys):
    assert in_here(monkeypatch, "--version") == 0
    said = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert said["retina_codec"] == version("retina_codec") and said["torch"] == version("torch")
    assert {"Python", "numpy", "h5py", "pynwb", "zarr", "xarray"} <= set(said)


def test_run_then_look(finished, tmp_path, monkeypatch, capsys, caplog, no_page):
    """The commands go on with the run of another process."""
    config, whole, _ = finished
    out = shutil.copytree(whole, tmp_path / "out")
    same = ["--epochs", config.epochs, "--n-steps", config.n_steps, "--n-cells", config.n_cells]
    assert in_here(monkeypatch, "run", config.recording, "--out", out, *SMALL, *same) == 0
    said = capsys.readouterr()
    assert "Prediction: on " in said.out and "report.html" in said.out and not said.err
    assert f"retina-codec explore {out}" in said.out
    assert in_here(monkeypatch, "run", "--config", out / "run.toml", "--out", out, "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == json.loads((out / "summary.json").read_text())
    assert "Step 4 of 9: contributions" in caplog.messages
    for name, words in {
        "fields": "power of the instantaneous fields",
        "causal": "as contributions predict",
    }.items():
        assert in_here(monkeypatch, name, out, "--quiet") == 0
        assert words in capsys.readouterr().out
    assert in_here(monkeypatch, "--quiet", "causal", out, "--json") == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert not said.err and found["tables"] == [str(out / "doses_relu1.csv")]
    assert list(found["layers"]) == ["relu1"] and "random channels" in found["findings"][0]


def test_export(finished, tmp_path, monkeypatch, capsys):
    _, out, _ = finished
    assert in_here(monkeypatch, "export", out, tmp_path / "with_modes.nwb") == 0
    assert not pynwb.validate(path=str(tmp_path / "with_modes.nwb"))
    with h5py.File(tmp_path / "with_modes.nwb") as file:
        scores = load(out / "predictions.nc").scores["pearson_r"]
        np.testing.assert_array_equal(file["processing/ecephys/scores/pearson_r"], scores)
    assert in_here(monkeypatch, "export", out) == 1
    assert "either an NWB file to write, or --in-place" in capsys.readouterr().err


def test_compare_and_phenomena(finished, tmp_path, monkeypatch, capsys):
    out = shutil.copytree(finished[1], tmp_path / "out")
    assert in_here(monkeypatch, "compare", out, "--quiet", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["layers"]["relu1"]
    table = pd.read_csv(out / "comparison_relu1.csv")
    assert [row["quantity"] for row in rows] == table["quantity"].tolist()
    assert "causal selectivity" in table["quantity"].tolist()
    one = ["phenomena", out, "--quiet", "--name"]
    assert in_here(monkeypatch, *one, "paired flash suppression", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["findings"][0].startswith("paired flash suppression: ")
    assert len(found["signatures"]) == 4 and found["page"] == str(out / "phenomena.html")
    assert "<figure" in (out / "phenomena.html").read_text()
    assert in_here(monkeypatch, *one, "paired flsh") == 1
    assert "No phenomenon 'paired flsh'" in capsys.readouterr().err


def test_simulate_writes_nwb(tmp_path, monkeypatch):
    words = ["simulate", tmp_path / "one.nwb", "--n-frames", 300, "--test-frames", 50]
    assert in_here(monkeypatch, *words) == 0
    assert not pynwb.validate(path=str(tmp_path / "one.nwb"))


# Networks


def test_train_leaves_a_network_for_runs(recording, tmp_path, monkeypatch, capsys):
    out = tmp_path / "nets" / "mine"
    words = ["train", recording, "--history-s", 0.1, "--epochs", 1, "--quiet", "--out", out]
    assert in_here(monkeypatch, *words, "--channels", 3, "--channels", 4, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    loaded = load_recording(recording)
    for name, folder in (("deep-retina", out), ("ln", out.with_name("mine_ln"))):
        scores = evaluate(load_network(folder), loaded).scores
        expected = np.nanmean(scores["pearson_r"])
        assert found[name]["scores"]["pearson_r"] == pytest.approx(expected, rel=1e-6)
        assert found[name]["folder"] == str(folder)
    assert load_network(out).settings["channels"] == [3, 4]
    assert not list(tmp_path.glob("**/*training*"))
    assert in_here(monkeypatch, "train", "--config", out / "run.toml", "--out", out) == 0
    assert "ln: mean pearson r " in capsys.readouterr().out
    assert in_here(monkeypatch, *words) == 1
    assert "other settings (channels: [3, 4] there" in capsys.readouterr().err
    words = ["contributions", recording, "--network", out, "--out", tmp_path / "s", "--n-steps", 1]
    assert in_here(monkeypatch, *words, "--quiet") == 0


def test_train_overwrites_nothing(recording, network, tmp_path, monkeypatch, capsys):
    before = (network / "weights.safetensors").read_bytes()
    words = ["train", recording, "--history-s", 0.1, "--epochs", 1]
    assert in_here(monkeypatch, *words, "--out", network) == 1
    assert "There is something at" in capsys.readouterr().err
    assert (network / "weights.safetensors").read_bytes() == before
    assert in_here(monkeypatch, *words, "--out", "/proc/network") == 1
    assert "Cannot write to /proc/network" in capsys.readouterr().err
    assert in_here(monkeypatch, *words, "--model", "deep_retina", "--out", tmp_path / "x") == 1
    assert "Did you mean 'deep-retina'?" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def missing(folder):
    return folder / "missing.nwb"


def text(folder):
    path = folder / "text.nwb"
    path.write_text("spikes")
    return path


def other_hdf5(folder):
    path = folder / "other.h5"
    with h5py.File(path, "w") as file:
        file["numbers"] = np.zeros(3)
    return path


def nwb_without(part):
    def make(folder):
        whole = nwb_with()(folder)
        with h5py.File(whole, "a") as file:
            del file[part]
        return whole

    return make


def nwb_with(n_frames=400, silent=False, nan=False):
    def make(folder):
        rng = np.random.default_rng(0)
        frames = rng.normal(size=(n_frames, 18, 18)).astype(np.float32)
        times = [np.sort(rng.uniform(0, n_frames / 100, 200)) for _ in range(2)]
        if silent:
            times[1] = np.zeros(0)
        edges = np.arange(n_frames + 1) / 100
        recording = Recording(
            stimulus=Stimulus(frames=frames, frame_rate_hz=100.0),
            rates=np.stack([np.histogram(t, edges)[0] * 100.0 for t in times], axis=1),
            cells=pd.DataFrame({"kind": ["a", "b"]}),
            splits={"train": (0, n_frames - 100), "test": (n_frames - 100, n_frames)},
            spike_times=tuple(times),
        )
        path = folder / "small.nwb"
        write_nwb(recording, path)
        if nan:
            with h5py.File(path, "a") as file:
                next(iter(file["stimulus/presentation"].values()))["data"][17, 3, 3] = np.nan
        return path

    return make


def other_counts(folder):
    path = folder / "lab.h5"
    with h5py.File(path, "w") as file:
        for part, n in (("train", 100), ("test", 40)):
            file[f"{part}/stimulus"] = np.zeros((n, 4, 4), dtype=np.uint8)
            file[f"{part}/time"] = np.arange(n) / 100
            file[f"{part}/response/firing_rate_10ms"] = np.zeros((2, n + 7))
    return path


BAD = {
    "no such file": (missing, [], "missing.nwb"),
    "not NWB": (text, [], "HDF5"),
    "another HDF5": (other_hdf5, [], "numbers"),
    "no units": (nwb_without("units"), [], "nits"),
    "no stimulus": (nwb_without("stimulus/presentation"), [], "stimulus"),
    "unknown layer": (nwb_with(), ["--layer", "rellu1"], "Did you mean 'relu1'"),
    "stimulus shorter than the history": (nwb_with(), ["--history-s", 4], "history of 400 frames"),
    "NaN in the stimulus": (nwb_with(nan=True), [], "frame 17 holds NaN"),
    "frame and response counts differ": (other_counts, [], "107"),
    "not a checkpoint": (nwb_with(), ["--network", "."], "is not a network"),
    "unknown option": (nwb_with(), ["--target", "everything"], "surprisal"),
    "folder that cannot be written": (nwb_with(), ["--out", "/proc/run"], "Cannot write to"),
}


@pytest.mark.parametrize(("make", "options", "words"), BAD.values(), ids=BAD)
def test_bad_input_gets_one_line_and_leaves_nothing(
    make, options, words, tmp_path, monkeypatch, capsys
):
    line = ["retina-codec", "run", make(tmp_path), "--out", tmp_path / "out", *options]
    monkeypatch.setattr(sys, "argv", [str(word) for word in line])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ") and words in error
    assert not (tmp_path / "out").exists()


def test_contributions_go_into_a_store(recording, network, tmp_path, monkeypatch, capsys):
    words = ["contributions", recording, "--network", network, "--out", tmp_path / "s", "--quiet"]
    words += ["--target", "cell-1", "--n-steps", 4, "--layer", "relu2"]
    assert in_here(monkeypatch, *words) == 0
    assert "relu2: 390 samples, 16 features, median gap" in capsys.readouterr().out
    loaded = load_recording(recording)
    expected = integrated_gradients(
        load_network(network),
        windows_for(load_network(network), loaded.stimulus, frames=loaded.splits["test"]),
        layers=["relu2"],
        target=one_cell(1),
        n_steps=4,
        progress=False,
    )["relu2"]
    found = load_contributions(tmp_path / "s")["cell 1"]["relu2"]
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.sample, expected.sample)
    assert in_here(monkeypatch, *words, "--part", "train") == 1
    assert "belongs to other contributions: stimulus" in capsys.readouterr().err


def test_modes_of_a_store(recording, network, tmp_path, monkeypatch, capsys):
    words = ["contributions", recording, "--network", network, "--out", tmp_path / "s", "--quiet"]
    assert in_here(monkeypatch, *words, "--n-steps", 2, "--layer", "relu2") == 0
    words = ["decompose", tmp_path / "s", "--out", tmp_path / "modes", "--n-repeats", 1]
    words += ["--method", "NonNegativeFactors", "--n-modes", 5]
    assert in_here(monkeypatch, *words) == 0
    said = capsys.readouterr().out
    assert re.search(r"surprisal, relu2: \d+ modes, \d+ of them come back; R2 0\.\d+", said)
    kept = tmp_path / "modes" / "surprisal"
    modes, fits = load(kept / "modes_relu2.nc"), load(kept / "stability_relu2.nc")
    method = NonNegativeFactors(n_modes=5)
    expected = decompose(load_contributions(tmp_path / "s")["surprisal"]["relu2"], method)
    np.testing.assert_array_equal(modes.dictionary, expected.dictionary)
    np.testing.assert_allclose(modes.reproducibility, fits.reproducibility)
    described = pd.read_csv(kept / "described_relu2.csv")
    assert described["firing"].tolist() == modes.firing.tolist()
    before = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert in_here(monkeypatch, *words, "--json") == 0
    found = json.loads(capsys.readouterr().out)["targets"]["surprisal"]["relu2"]
    assert found["modes"] == len(modes.firing) and found["held-out R2"] == pytest.approx(modes.r2)
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == before
    assert in_here(monkeypatch, *words, "--seed", 1) == 1
    assert "holds a run with other settings (seed: 0 there, 1 here)" in capsys.readouterr().err
    assert in_here(monkeypatch, "decompose", tmp_path / "s", "--out", tmp_path) == 1
    assert "There is something at" in capsys.readouterr().err
    assert in_here(monkeypatch, "decompose", tmp_path, "--out", tmp_path / "x") == 1
    assert in_here(monkeypatch, *words, "--method", "SAE") == 1
    assert "Unknown method 'SAE'. Expected one of: SparseModes" in capsys.readouterr().err


def test_workers_get_the_work(recording, network, tmp_path, monkeypatch):
    """That they write the same store is tested beside the engine."""
    asked = []

    @contextmanager
    def connected(*place):
        asked.append(place)
        yield None

    monkeypatch.setattr("retina_codec.pipeline.connected", connected)
    words = ["contributions", recording, "--network", network, "--quiet", "--n-steps", 1]
    assert in_here(monkeypatch, *words, "--out", tmp_path / "s", "--workers", 2) == 0
    assert in_here(monkeypatch, *words, "--out", tmp_path / "s", "--scheduler", "tcp://a:1") == 0
    assert asked == [(None, 2), ("tcp://a:1", None)]


@pytest.mark.filterwarnings("default")  # Those of dask are not ours.
def test_workers_are_started_here():
    with pipeline.connected(None, 1) as client:
        assert client.submit(sum, (1, 2)).result() == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--part", "tset"], "No part 'tset'; there are all, train, test"),
        (["--layer", "rellu1"], "Did you mean 'relu1'"),
        (["--target", "cell-99"], "there are cells cell-0 to cell-3"),
        (["--tolerance", 2], "'tolerance' must be between 0 and 1, got 2.0"),
        (["--workers", 0], "at least 1 worker, got None and 0 workers"),
        (["--workers", 2, "--scheduler", "tcp://127.0.0.1:1"], "Give a scheduler or"),
        (["--network", "."], "is not a network"),
    ],
)
def test_bad_words_for_contributions(
    options, words, recording, network, tmp_path, monkeypatch, capsys
):
    line = ["contributions", recording, "--network", network, "--out", tmp_path / "s", *options]
    assert in_here(monkeypatch, *line) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ") and words in error
    assert not (tmp_path / "s").exists()


def test_workers_without_dask_say_what_to_install(
    recording, network, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "distributed", None)
    line = ["contributions", recording, "--network", network, "--out", tmp_path / "s"]
    assert in_here(monkeypatch, *line, "--workers", 2) == 1
    assert "pip install 'retina-codec[cluster]'" in capsys.readouterr().err


def test_silent_cell_is_kept_with_a_warning(tmp_path, monkeypatch, capsys, no_page):
    path = nwb_with(silent=True)(tmp_path)
    words = ["run", path, "--out", tmp_path / "out", "--epochs", 1, "--n-steps", 1, *SMALL, *FAST]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert in_here(monkeypatch, *words, "--n-cells", 1) == 0
    said = capsys.readouterr()
    assert "2 cells" in said.out
    assert re.search("^warning: .*(without|no) spikes", said.err, re.MULTILINE)


# Interruptions


WAITING = """
import sys, time
from importlib import import_module

def wait_after(holder, name):
    done = getattr(holder, name)
    def waited(*given, **options):
        found = done(*given, **options)
        print("now", flush=True)
        time.sleep(60)
        return found
    setattr(holder, name, waited)

import_module("retina_codec.contributions.job").MOST_SAMPLES = 150
module, _, name = sys.argv.pop(1).rpartition(".")
module, _, inner = module.partition(":")
holder = import_module(module)
wait_after(getattr(holder, inner) if inner else holder, name)
"""


def interrupted(place, *words):
    """Start a command, interrupt it when it has come to a place, and return what it says."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING + MAIN, place, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout.readline() == "now\n", process.communicate()
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and not said and "Traceback" not in errors
    last = errors.splitlines()[-1]
    assert last == f"Interrupted. Go on with: {shlex.join(['retina-codec', *map(str, words)])}"
    return shlex.split(last.partition(": retina-codec ")[2])


def test_interrupted_training_goes_on(recording, tmp_path, monkeypatch):
    words = ["train", recording, "--history-s", 0.1, "--epochs", 2, "--model", "ln", "--quiet"]
    place = "retina_codec.networks.training:_Loop.save"
    again = interrupted(place, *words, "--out", tmp_path / "a b")
    assert [path.name for path in tmp_path.iterdir()] == ["a b_training.safetensors"]
    assert in_here(monkeypatch, *again) == 0
    assert in_here(monkeypatch, *words, "--out", tmp_path / "whole") == 0
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("a b", "whole")]
    assert weights[0] == weights[1]


def test_interrupted_contributions_go_on(recording, network, tmp_path, monkeypatch):
    words = ["contributions", recording, "--network", network, "--n-steps", 2, "--quiet", "--out"]
    place = "retina_codec.contributions.store:Store.write"
    again = interrupted(place, *words, tmp_path / "s")
    with pytest.raises(ValueError, match="is not finished: 240 of 390 samples are missing"):
        load_contributions(tmp_path / "s")
    assert in_here(monkeypatch, *again) == 0
    monkeypatch.setattr("retina_codec.contributions.job.MOST_SAMPLES", 150)
    assert in_here(monkeypatch, *words, tmp_path / "whole") == 0
    one, whole = (load_contributions(tmp_path / name)["surprisal"] for name in ("s", "whole"))
    for layer, record in one.items():
        np.testing.assert_array_equal(record.values, whole[layer].values)


def test_interrupted_decomposition_goes_on(recording, network, tmp_path, monkeypatch):
    store = tmp_path / "s"
    words = ["contributions", recording, "--network", network, "--out", store, "--n-steps", 1]
    assert in_here(monkeypatch, *words, "--quiet") == 0
    words = ["decompose", store, "--method", "NonNegativeFactors", "--n-modes", 4]
    words += ["--n-repeats", 1, "--out"]
    again = interrupted("retina_codec.pipeline._modes.kept_table", *words, tmp_path / "modes")
    kept = tmp_path / "modes" / "surprisal"
    assert len(list(kept.glob("modes_*.nc"))) == 1
    assert in_here(monkeypatch, *again) == 0
    assert in_here(monkeypatch, *words, tmp_path / "whole") == 0
    for layer in ("relu1", "relu2"):
        for name in (f"modes_{layer}.nc", f"stability_{layer}.nc"):
            one, whole = load(kept / name), load(tmp_path / "whole" / "surprisal" / name)
            assert one.to_xarray().equals(whole.to_xarray())


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_what_cannot_go_on_says_so(kind, monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("retina_codec.recordings.describe", lambda _: signal.raise_signal(kind))
    assert in_here(monkeypatch, "info", "x.nwb") == 130
    assert capsys.readouterr().err == "Interrupted.\n"
    assert signal.getsignal(signal.SIGTERM) is before


# Errors


@pytest.mark.parametrize("loud", [[], ["--verbose"]])
def test_traceback_is_for_those_who_ask(loud, tmp_path, monkeypatch, capsys):
    assert in_here(monkeypatch, "info", tmp_path / "none.nwb", *loud) == 1
    *trace, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: ") and bool(trace) == bool(loud)
    assert in_here(monkeypatch, *loud, "info", tmp_path / "none.nwb") == 1
    *trace, last = capsys.readouterr().err.splitlines()
    assert any("Traceback" in line for line in trace) == bool(loud)


def test_unexpected_errors_are_one_line_too(monkeypatch, capsys):
    def broken(*_, **__):
        raise KeyError("a\nb")

    monkeypatch.setattr("retina_codec.recordings.describe", broken)
    assert in_here(monkeypatch, "info", "x.nwb") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: unexpected error (KeyError: ") and "--verbose" in line
    assert in_here(monkeypatch, "info", "x.nwb", "--verbose") == 1
    assert "in broken" in capsys.readouterr().err


USAGE = {
    "unknown command": (["rn"], "No such command 'rn'. Did you mean 'run'? See 'retina-codec --h"),
    "unknown option": (["run", "x", "--epoch", "3"], "--epochs). See 'retina-codec run --help'."),
    "no number": (["run", "x", "--n-steps", "many"], "Invalid value for '--n-steps'"),
    "no network": (["contributions", "x"], "Say which network, here or as 'network = ...'"),
    "no images": (["images", "run"], "Say which images"),
    "too many words": (["info", "a", "b"], "unexpected extra argument"),
    "nothing to decompose": (["decompose"], "Missing argument"),
}


@pytest.mark.parametrize(("words", "said"), USAGE.values(), ids=USAGE)
def test_wrong_usage_gets_one_line(words, said, monkeypatch, capsys):
    assert in_here(monkeypatch, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and said in line and " --help'." in line


FOLDERS = [[one] for one in ("fields", "causal", "phenomena", "compare", "info", "decompose")]
FOLDERS += [["export", "--in-place"], ["images", "layers"], ["run", "--out", "o"]]
FOLDERS += [["train", "--out", "o"], ["contributions", "--network", "n", "--out", "o"]]


@pytest.mark.parametrize("kind", ["missing", "folder", "file", "empty"])
@pytest.mark.parametrize("words", FOLDERS, ids=" ".join)
def test_wrong_paths_get_one_line(words, kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "given"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_text("hello" if kind == "file" else "")
    assert in_here(monkeypatch, *words, path) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "unexpected" not in line and str(path) in line
    assert [one.name for one in tmp_path.iterdir()] == ([] if kind == "missing" else ["given"])


@pytest.mark.real
@pytest.mark.skipif(not REAL.exists(), reason="the real recording is not here")
@pytest.mark.skipif(
    "RETINA_CODEC_SLOW" not in os.environ,
    reason="takes minutes: set RETINA_CODEC_SLOW=1",
)
def test_run_on_a_real_recording(tmp_path):
    few = ["--epochs", 4, "--n-steps", 2, "--quiet"]
    done = command("run", REAL, "--out", tmp_path, *few, timeout=1200, threads=2)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "summary.json").read_text())["prediction"]
    assert (found["samples"], found["cells"]) == (4988, 16)
    assert found["mean r"] >= 0.30
    assert found["ratio"] >= 1.4
