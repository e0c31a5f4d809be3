"""The command line as a user meets it: in a process of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pynwb
import pytest

from retina_codec import cli
from retina_codec.contributions import integrated_gradients, load_contributions, one_cell
from retina_codec.datatypes import Recording, Stimulus
from retina_codec.decomposition import SparseModes, decompose
from retina_codec.export import load
from retina_codec.networks import DeepRetina, load_network, save_network, windows_for
from retina_codec.recordings import load_recording, write_nwb
from retina_codec.simulation import Circuit, simulate_recording

REAL = Path(__file__).parents[2] / "shared/recordings/salamander_checkerboard.nwb"


def command(*words, timeout=120, threads=1):
    program = [sys.executable, "-c", "from retina_codec.cli import main; main()"]
    return subprocess.run(
        [*program, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recording") / "recording.nwb"
    circuit = Circuit(shape=(18, 18), history=12, cells_per_type=1)
    write_nwb(simulate_recording(circuit=circuit, n_frames=600, test_frames=200), path)
    return path


SMALL = ["--history-s", 0.1, "--layer", "relu1", "--n-draws", 2, "--n-repeats", 1, "--quiet"]
FAST = ["--method", "PrincipalComponents"]


COMMANDS = ["run", "demo", "simulate", "export", "contributions", "decompose", "compare"]
COMMANDS += ["fields", "causal", "phenomena", "convert", "fetch", "info"]


def test_help_names_the_commands():
    done = command("--help")
    assert done.returncode == 0
    for name in COMMANDS:
        assert name in done.stdout


def test_run_then_export(finished, tmp_path, monkeypatch, capsys, as_user):
    """The command goes on with the run of another process; it begins one in the test of silence."""
    config, whole, _ = finished
    out = shutil.copytree(whole, tmp_path / "out")
    same = ["--epochs", config.epochs, "--n-steps", config.n_steps, "--n-cells", config.n_cells]
    done = command("run", config.recording, "--out", out, *SMALL, *same)
    assert done.returncode == 0, done.stderr
    assert "held-out samples" in done.stdout and "report.html" in done.stdout
    done = command("export", out, tmp_path / "with_modes.nwb")
    assert done.returncode == 0, done.stderr
    assert not pynwb.validate(path=str(tmp_path / "with_modes.nwb"))
    with h5py.File(tmp_path / "with_modes.nwb") as file:
        scores = load(out / "predictions.nc").scores["pearson_r"]
        np.testing.assert_array_equal(file["processing/ecephys/scores/pearson_r"], scores)
    assert in_here(monkeypatch, "export", out) == 1
    assert "either an NWB file to write, or --in-place" in capsys.readouterr().err
    monkeypatch.setattr("retina_codec.pipeline._run.write_report", lambda *_, **__: None)
    for name, words in {
        "compare": "causal selectivity",
        "fields": "power of the instantaneous fields",
        "causal": "as contributions predict",
    }.items():
        assert in_here(monkeypatch, name, out, "--quiet") in (0, None)
        assert words in capsys.readouterr().out
    one = ["phenomena", out, "--quiet", "--name"]
    assert in_here(monkeypatch, *one, "paired flash suppression") in (0, None)
    assert "paired flash suppression: " in capsys.readouterr().out
    assert "<figure" in (out / "phenomena.html").read_text()
    assert in_here(monkeypatch, *one, "flash") == 1
    assert "No phenomenon 'flash'" in capsys.readouterr().err
    table = pd.read_csv(out / "comparison_relu1.csv")
    assert list(table.columns[:2]) == ["quantity", "contributions"]


def test_simulate_writes_nwb(tmp_path, monkeypatch, as_user):
    words = ["simulate", tmp_path / "one.nwb", "--n-frames", 300, "--test-frames", 50]
    assert in_here(monkeypatch, *words) in (0, None)
    assert not pynwb.validate(path=str(tmp_path / "one.nwb"))


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
    make, options, words, tmp_path, monkeypatch, capsys, as_user
):
    line = ["retina-codec", "run", make(tmp_path), "--out", tmp_path / "out", *options]
    monkeypatch.setattr(sys, "argv", [str(word) for word in line])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ") and words in error
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def network(recording, tmp_path_factory):
    """A small network for the recording, with its first weights."""
    path = tmp_path_factory.mktemp("network") / "network"
    loaded = load_recording(recording)
    save_network(DeepRetina.for_recording(loaded, history=10), path)
    return path


def in_here(monkeypatch, *words):
    """Run the command line in this process; its exit code, 0 if it just ends."""
    monkeypatch.setattr(sys, "argv", ["retina-codec", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


def test_contributions_go_into_a_store(recording, network, tmp_path, monkeypatch, capsys, as_user):
    words = ["contributions", recording, "--network", network, "--out", tmp_path / "s", "--quiet"]
    words += ["--target", "cell-1", "--n-steps", 4, "--layer", "relu2"]
    assert in_here(monkeypatch, *words) in (0, None)
    assert "relu2: 190 samples, 16 features, median gap" in capsys.readouterr().out
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


def test_modes_of_a_store(recording, network, tmp_path, monkeypatch, capsys, as_user):
    words = ["contributions", recording, "--network", network, "--out", tmp_path / "s", "--quiet"]
    assert in_here(monkeypatch, *words, "--n-steps", 2, "--layer", "relu2") in (0, None)
    words = ["decompose", tmp_path / "s", "--out", tmp_path / "modes", "--n-repeats", 1]
    assert in_here(monkeypatch, *words) in (0, None)
    said = capsys.readouterr().out
    assert re.search(r"surprisal, relu2: \d+ modes, \d+ of them come back; R2 0\.\d+", said)
    kept = tmp_path / "modes" / "surprisal"
    modes, fits = load(kept / "modes_relu2.nc"), load(kept / "stability_relu2.nc")
    expected = decompose(load_contributions(tmp_path / "s")["surprisal"]["relu2"], SparseModes())
    np.testing.assert_array_equal(modes.dictionary, expected.dictionary)
    np.testing.assert_allclose(modes.reproducibility, fits.reproducibility)
    described = pd.read_csv(kept / "described_relu2.csv")
    assert described["firing"].tolist() == modes.firing.tolist()
    assert in_here(monkeypatch, *words) == 1
    assert "There is something at" in capsys.readouterr().err
    assert in_here(monkeypatch, "decompose", tmp_path, "--out", tmp_path / "x") == 1
    assert in_here(monkeypatch, *words, "--method", "SAE") == 1
    assert "Unknown method 'SAE'. Expected one of: SparseModes" in capsys.readouterr().err


def test_workers_write_the_same_store(recording, network, tmp_path, monkeypatch, as_user):
    words = ["contributions", recording, "--network", network, "--quiet", "--n-steps", 4]
    stores = [tmp_path / "here", tmp_path / "workers"]
    assert in_here(monkeypatch, *words, "--out", stores[0]) in (0, None)
    done = command(*words, "--out", stores[1], "--workers", 2)
    assert done.returncode == 0, done.stderr
    one, other = (load_contributions(path)["surprisal"] for path in stores)
    for layer, record in one.items():
        np.testing.assert_array_equal(record.values, other[layer].values)


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
    options, words, recording, network, tmp_path, monkeypatch, capsys, as_user
):
    line = ["contributions", recording, "--network", network, "--out", tmp_path / "s", *options]
    assert in_here(monkeypatch, *line) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ") and words in error
    assert not (tmp_path / "s").exists()


def test_workers_without_dask_say_what_to_install(
    recording, network, tmp_path, monkeypatch, capsys, as_user
):
    monkeypatch.setitem(sys.modules, "distributed", None)
    line = ["contributions", recording, "--network", network, "--out", tmp_path / "s"]
    assert in_here(monkeypatch, *line, "--workers", 2) == 1
    assert "pip install 'retina-codec[cluster]'" in capsys.readouterr().err


def test_error_in_a_process_of_its_own(tmp_path):
    done = command("run", missing(tmp_path), "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith("error: No file") and "Traceback" not in done.stderr


def test_silent_cell_is_kept_with_a_warning(tmp_path):
    path = nwb_with(silent=True)(tmp_path)
    done = command(
        "run", path, "--out", tmp_path / "out", "--epochs", 1, "--n-steps", 2, *SMALL, *FAST
    )
    assert done.returncode == 0, done.stderr
    assert "without spikes" in done.stderr or "no spikes" in done.stderr
    assert "2 cells" in done.stdout


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


@pytest.mark.parametrize("name", ["fields", "causal", "phenomena"])
def test_a_folder_without_a_run_is_told(name, tmp_path, monkeypatch, capsys, as_user):
    assert in_here(monkeypatch, name, tmp_path, "--quiet") == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ") and "holds no" in error
