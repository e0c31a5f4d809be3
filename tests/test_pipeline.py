import json
import shutil
import tomllib
from dataclasses import replace

import h5py
import numpy as np
import pytest

from retina_codec import pipeline
from retina_codec.decomposition import decompose
from retina_codec.export import load
from retina_codec.pipeline import _modes, _run, _training, run
from retina_codec.recordings import load_recording, write_nwb
from retina_codec.simulation import Circuit, simulate_recording

FAST = "PrincipalComponents"
RECORDS = [
    "predictions.nc",
    "baseline_predictions.nc",
    "contributions_relu1.nc",
    "modes_relu1.nc",
    "stability_relu1.nc",
    "effects_relu1.nc",
    "fields_sta.nc",
    "fields_mean.nc",
    "fields_combinations_relu1.nc",
]


@pytest.fixture
def recording(run_recording):
    return run_recording


def without_page(monkeypatch):
    """Leave the page out, where a test looks at other things."""
    monkeypatch.setattr(_run, "write_report", lambda *_, **__: None)


def test_run_leaves_every_record_and_the_page(finished):
    _, out, summary = finished
    for name in RECORDS:
        load(out / name)
    page = (out / "report.html").read_text()
    assert "recording.nwb" in page and page.count("<figure") >= 10
    assert json.loads((out / "summary.json").read_text()) == summary
    assert (out / "network" / "weights.safetensors").exists()
    assert (out / "baseline" / "card.md").exists()
    assert not list(out.glob("**/*.partial")) + list(out.glob("*training.safetensors"))


def test_summary_says_what_the_records_say(finished):
    _, out, summary = finished
    scores = load(out / "predictions.nc").scores["pearson_r"]
    assert summary["prediction"]["mean r"] == pytest.approx(np.nanmean(scores), abs=1e-4)
    modes = load(out / "modes_relu1.nc")
    assert summary["layers"]["relu1"]["held-out R2"] == pytest.approx(modes.r2, abs=1e-4)
    assert summary["provenance"]["settings"]["n_steps"] == 4
    assert (
        "--history-s 0.1 --epochs 2 --layer relu1 --n-steps 4" in summary["provenance"]["command"]
    )


def test_what_is_done_is_not_done_again(finished, monkeypatch):
    config, out, _ = finished
    without_page(monkeypatch)
    before = {path: path.stat().st_mtime_ns for path in out.glob("**/*") if path.is_file()}
    run(config, out, progress=False)
    changed = {path.name for path, at in before.items() if path.stat().st_mtime_ns != at}
    assert changed == {"summary.json"}


class Stop(Exception):
    pass


def stop(*args, **kwargs):
    raise Stop


def test_interrupted_run_goes_on_and_ends_the_same(finished, tmp_path, monkeypatch):
    config, whole, _ = finished
    with monkeypatch.context() as patch:
        patch.setattr(_modes, "decompose", stop)
        with pytest.raises(Stop):
            run(config, tmp_path, progress=False)
    assert (tmp_path / "contributions_relu1.nc").exists()
    assert not (tmp_path / "report.html").exists()
    monkeypatch.setattr(_run, "kept_dynamics", stop)
    with pytest.raises(Stop):
        run(config, tmp_path, progress=False)
    for name in ("modes_relu1.nc", "effects_relu1.nc"):
        resumed, expected = load(tmp_path / name).to_xarray(), load(whole / name).to_xarray()
        assert resumed.equals(expected)


def test_run_with_a_given_network_trains_none(
    finished, recording, tmp_path, small_config, monkeypatch
):
    _, whole, _ = finished
    monkeypatch.setattr(_run, "kept_modes_and_stability", stop)
    config = small_config(recording, network=str(whole / "network"), target="cell-1")
    with pytest.raises(Stop):
        run(config, tmp_path, progress=False)
    assert not (tmp_path / "network").exists()
    assert load(tmp_path / "contributions_relu1.nc").target == "cell 1"


def test_other_settings_need_another_folder(finished, recording, small_config):
    _, out, _ = finished
    with pytest.raises(ValueError, match=r"other settings \(n_steps: 4 there, 5 here\)"):
        run(small_config(recording, n_steps=5), out, progress=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": ("rellu1",)}, "No layer 'rellu1' .* Did you mean 'relu1'"),
        ({"history_s": 100.0}, "needs at least one frame more"),
        ({"stimulus": "movie"}, "movie"),
        ({"target": "cell-99"}, "cell-0 to cell-3"),
        ({"network": "nowhere"}, "No network at nowhere"),
    ],
)
def test_bad_settings_leave_no_folder(recording, tmp_path, changes, message, small_config):
    with pytest.raises((ValueError, OSError), match=message):
        run(small_config(recording, **changes), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "rate"}, "Unknown target 'rate'. Expected one of: surprisal"),
        ({"method": "SAE"}, "Unknown method 'SAE'. Expected one of: SparseModes"),
    ],
)
def test_unknown_words_are_refused_at_once(changes, message, small_config):
    with pytest.raises(ValueError, match=message):
        small_config("anything", **changes)


def test_network_for_other_cells_is_refused(finished, tmp_path, small_config):
    _, whole, _ = finished
    path = tmp_path / "recording.nwb"
    circuit = Circuit(shape=(18, 18), history=12, cells_per_type=2)
    write_nwb(simulate_recording(circuit=circuit, n_frames=800), path)
    config = small_config(path, network=str(whole / "network"))
    with pytest.raises(ValueError, match="The network predicts 4 cells, the recording has 8"):
        run(config, tmp_path / "out", progress=False)


def test_folder_that_is_a_file_is_told(recording, tmp_path, small_config):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Cannot write to .*file"):
        run(small_config(recording), tmp_path / "file", progress=False)


def test_modes_of_a_run_are_found(finished, tmp_path):
    config, out, _ = finished
    kept, _, modes = pipeline.kept_modes(out)
    assert kept == config
    assert list(modes) == ["relu1"]
    with pytest.raises(ValueError, match="holds no finished run"):
        pipeline.kept_modes(tmp_path)


def test_modes_are_not_for_another_recording(finished, tmp_path):
    """Else `export --in-place` would write them into whatever lies under the old name."""
    out = shutil.copytree(finished[1], tmp_path / "out")
    text = (out / "run.toml").read_text()
    kept = tomllib.loads(text)["inputs"]["recording"]
    (out / "run.toml").write_text(text.replace(kept, "deadbeefdeadbeef"))
    with pytest.raises(ValueError, match="other data .recording: 'deadbeefdeadbeef' there"):
        pipeline.kept_modes(out)


def test_recording_survives_its_analysis(finished, recording):
    before = load_recording(recording)
    assert before.circuit["cells_per_type"] == 1
    assert before.cells["cell_type"].tolist()[0] == "OFF transient"


def test_changed_recording_needs_another_folder(tmp_path, small_config, monkeypatch):
    path, out = tmp_path / "recording.nwb", tmp_path / "out"
    circuit = Circuit(shape=(18, 18), history=12, cells_per_type=1)
    config = small_config(path, epochs=1, n_steps=1, method=FAST)
    write_nwb(simulate_recording(circuit=circuit, n_frames=800, seed=0), path)
    with monkeypatch.context() as patch:
        patch.setattr(_training, "train", stop)
        with pytest.raises(Stop):
            run(config, out, progress=False)
    write_nwb(simulate_recording(circuit=circuit, n_frames=800, seed=1), path)
    with pytest.raises(ValueError, match="other data .recording:"):
        run(config, out, progress=False)


def lab_file(path):
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for part, n_frames in (("train", 600), ("test", 200)):
            rates = rng.gamma(0.5, 20.0, size=(2, n_frames + (part == "test")))
            frames = rng.integers(0, 255, size=(n_frames, 18, 18), dtype=np.uint8)
            file[f"{part}/stimulus"] = frames
            file[f"{part}/time"] = np.arange(n_frames) / 100
            file[f"{part}/response/firing_rate_10ms"] = rates


def test_whole_path_on_a_lab_file(tmp_path, small_config):
    lab_file(tmp_path / "lab.h5")
    config = small_config(tmp_path / "lab.h5", epochs=1, n_steps=1, n_cells=1, method=FAST)
    run(config, tmp_path / "out", progress=False)
    assert (tmp_path / "out" / "report.html").exists()


def test_names_of_cells_are_no_markup(finished):
    page = (finished[1] / "report.html").read_text()
    assert "&lt;script&gt;bad" in page and "<script>bad" not in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "'epochs' must be at least 1, got 0"),
        ({"n_steps": 0}, "'n_steps' must be at least 1, got 0"),
        ({"channels": (8,)}, "'channels' must be two numbers above 0"),
        ({"seed": -1}, "'seed' at least 0"),
    ],
)
def test_senseless_numbers_are_refused_at_once(changes, message, small_config):
    with pytest.raises(ValueError, match=message):
        small_config("anything", **changes)


def test_no_mode_is_told(recording, tmp_path, monkeypatch, small_config):
    def barren(record, method, **options):
        modes = decompose(record, method, **options)
        return replace(
            modes,
            dictionary=modes.dictionary[:0],
            loadings=modes.loadings[:, :0],
            firing=modes.firing[:0],
        )

    monkeypatch.setattr(_modes, "decompose", barren)
    with pytest.raises(ValueError, match="no mode in layer 'relu1' that is ever active"):
        run(small_config(recording, epochs=1, n_steps=1), tmp_path, progress=False)
    assert not (tmp_path / "modes_relu1.nc").exists()


def test_silent_test_split_gives_valid_json(tmp_path, small_config, monkeypatch):
    without_page(monkeypatch)
    circuit = Circuit(shape=(18, 18), history=12, cells_per_type=1)
    recording = simulate_recording(circuit=circuit, n_frames=800)
    start, stop = recording.splits["test"]
    rates = recording.rates.copy()
    rates[start:stop] = 0
    silent = replace(recording, rates=rates, repeats=np.zeros_like(recording.repeats))
    write_nwb(silent, tmp_path / "silent.nwb")
    config = small_config(tmp_path / "silent.nwb", epochs=1, n_steps=1, n_cells=1, method=FAST)
    summary = run(config, tmp_path / "out", progress=False)
    assert summary["prediction"]["mean r"] is None
    assert "mean r of (no number)" in summary["findings"][0]


def test_names_from_a_store_stay_in_the_folder():
    assert _modes.file_name("../../etc/cell 0") == "_etc_cell_0"
    assert _modes.file_name("surprisal") == "surprisal"
