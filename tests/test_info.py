"""What is inside a file: as plain data, and as lines for a person."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pynwb
import pytest
import torch
from checkpoints_of_others import Maker, order
from pynwb.image import ImageSeries
from typer.testing import CliRunner

from retina_codec import cli, export
from retina_codec.datatypes import Fields, Stimulus
from retina_codec.networks import LinearNonlinear, save_network
from retina_codec.recordings import describe

REAL = Path(__file__).parents[2] / "shared/recordings/salamander_checkerboard.nwb"
N = 40
MOVIE = np.random.default_rng(0).integers(0, 255, (N, 4, 3), dtype=np.uint8)
JITTERED = 1.0 + np.delete(np.arange(N + 1), 20) / 20 + np.tile([0.0, 0.002], N // 2)


def series(name, **changes):
    given = {"data": MOVIE, "unit": "n.a.", "rate": 20.0, "starting_time": 1.0} | changes
    return ImageSeries(name=name, **{k: v for k, v in given.items() if v is not None})


def nwb_file(path, *stimuli, spikes=([1.1, 1.2], [])):
    nwb = pynwb.NWBFile("a session", "id 1", datetime(2026, 1, 1, tzinfo=UTC), lab="the lab")
    for one in stimuli:
        nwb.add_stimulus(one)
    nwb.add_unit_column("kind", "ON or OFF")
    for train in spikes:
        nwb.add_unit(spike_times=train, kind="ON")
    nwb.add_epoch(1.0, 2.0, ["first"])
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def lab_file(path):
    with h5py.File(path, "w") as file:
        for part, extra in (("train", 0), ("test", 1)):
            file[f"{part}/stimulus"] = MOVIE
            file[f"{part}/time"] = np.arange(N) / 100
            file[f"{part}/response/firing_rate_10ms"] = np.ones((2, N + extra))
    return path


def shown(*words):
    done = CliRunner().invoke(cli.app, ["info", *map(str, words)], catch_exceptions=False)
    return done.stdout


def test_recording_that_loads(tmp_path):
    found = describe(nwb_file(tmp_path / "a.nwb", series("noise")))
    assert (found["kind"], found["format"]) == ("recording", "NWB")
    assert found["session"]["identifier"] == "id 1" and found["session"]["lab"] == "the lab"
    (noise,) = found["stimuli"]
    assert (noise["shape"], noise["frame_rate_hz"], noise["duration_s"]) == ([N, 4, 3], 20.0, 2.0)
    assert noise["timing"] == "start and rate" and noise["can_be_read"]
    assert (found["units"]["n"], found["units"]["n_without_spikes"]) == (2, 1)
    assert "kind" in found["units"]["columns"]
    assert {"name": "epochs", "n": 1}.items() <= found["intervals"][0].items()
    assert found["loading"]["ready"] and found["loading"]["n_cells"] == 2
    assert any("Cell 1 (unit 1) has no spikes" in text for text in found["loading"]["warnings"])


def test_recording_that_needs_a_choice(tmp_path):
    external = series(
        "film", data=None, external_file=["film.avi"], format="external", num_samples=N
    )
    stimuli = [series("noise"), series("scenes"), external]
    found = describe(nwb_file(tmp_path / "a.nwb", *stimuli))
    assert not found["loading"]["ready"]
    assert "choose one with 'stimulus'" in found["loading"]["needs"]
    readable = {one["name"]: one["can_be_read"] for one in found["stimuli"]}
    assert readable["noise"] and readable["scenes"]
    film = next(one for one in found["stimuli"] if one["name"] == "film")
    assert film["external_files"] == ["film.avi"]
    assert film["can_be_read"] or film["why"]
    text = shown(tmp_path / "a.nwb")
    assert "Does not load yet: Several stimuli" in text
    assert "noise: ImageSeries, 40 x 4 x 3, 20 Hz, 2 s, start and rate, can be read" in text
    assert "external file film.avi" in text


def test_measured_times_show_gaps_and_jitter(tmp_path):
    stimulus = series("noise", rate=None, starting_time=None, timestamps=JITTERED)
    (noise,) = describe(nwb_file(tmp_path / "a.nwb", stimulus))["stimuli"]
    durations = np.diff(JITTERED)
    assert noise["n_gaps"] == sum(d > 0.075 for d in durations) == 1
    kept = [d for d in durations if d < 0.075]
    assert noise["jitter_ms"] == pytest.approx(1000 * np.std(kept))
    assert "(jitter 2 ms, 1 gaps)" in shown(tmp_path / "a.nwb")


def test_lab_file(tmp_path):
    found = describe(lab_file(tmp_path / "naturalscene.h5"))
    assert found["format"] == "lab HDF5" and found["responses"] == ["firing_rate_10ms"]
    assert found["loading"]["splits"] == {"train": [0, N], "test": [N, 2 * N]}
    assert "Loads as: 'naturalscene', 80 x 4 x 3 at 100 Hz" in shown(tmp_path / "naturalscene.h5")


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_record(suffix, tmp_path):
    fields = Fields(
        values=np.ones((2, 5, 4, 3)), items=pd_items(), frame_rate_hz=30.0, pixel_um=55.0
    )
    export.save(fields, tmp_path / f"fields{suffix}")
    found = describe(tmp_path / f"fields{suffix}")
    assert (found["kind"], found["record"]) == ("record", "Fields")
    assert found["arrays"]["values"] == [2, 5, 4, 3] and found["facts"]["pixel_um"] == "55.0"
    assert "values: 2, 5, 4, 3" in shown(tmp_path / f"fields{suffix}")


def pd_items():
    return pd.DataFrame({"mode": [0, 1]})


def test_stimulus_is_no_recording(tmp_path):
    export.save(Stimulus(frames=MOVIE, frame_rate_hz=30.0), tmp_path / "movie.nc")
    assert describe(tmp_path / "movie.nc")["record"] == "Stimulus"


def test_network(tmp_path):
    network = LinearNonlinear(shape=(4, 4), history=3, typical_rate_hz=[1.0])
    path = save_network(network, tmp_path / "ln")
    found = describe(path)
    assert (found["kind"], found["architecture"]) == ("network", "LinearNonlinear")
    assert found["has_weights"] and found["settings"]["history"] == 3
    (path / "scores.json").write_text('[{"pearson_r": 0.5}, {"pearson_r": null}]')
    (path / "weights.safetensors").unlink()
    text = shown(path)
    assert "a network, LinearNonlinear" in text and "the weights are missing" in text
    assert "mean pearson_r: 0.500" in text


def test_run(tmp_path):
    (tmp_path / "run.toml").write_text('target = "surprisal"\nlayers = ["relu1"]\n[inputs]\n')
    (tmp_path / "modes_relu1.nc").touch()
    (tmp_path / ".modes.part.nc").touch()
    found = describe(tmp_path)
    assert (found["kind"], found["is_finished"], found["done"]) == (
        "run",
        False,
        ["modes_relu1.nc"],
    )
    assert "not finished: begin it again and it goes on" in shown(tmp_path)
    (tmp_path / "summary.json").write_text('{"findings": ["Modes explain much."]}')
    (tmp_path / "report.html").touch()
    text = shown(tmp_path)
    assert (
        "a run, finished" in text and "Modes explain much." in text and "target: surprisal" in text
    )


def test_json(tmp_path):
    path = nwb_file(tmp_path / "a.nwb", series("noise"))
    assert json.loads(shown(path, "--json")) == json.loads(json.dumps(describe(path)))


def test_checkpoint_is_described(tmp_path):
    layers = order("C2", "dense")
    state = Maker(0).make(layers)
    torch.save({"model_state_dict": state, "model_type": "BNCNN"}, tmp_path / "net.pt")
    text = shown(tmp_path / "net.pt")
    assert "net.pt: torch-deep-retina checkpoint" in text
    assert "sequential.1.running_mean: 4" in text


def test_text_of_others_does_not_steer_the_terminal(tmp_path):
    path = nwb_file(tmp_path / "a.nwb", series("noise"))
    with h5py.File(path, "a") as file:
        del file["identifier"]
        file["identifier"] = "evil \x1b[2J\nWarning: made up"
    text = shown(path)
    assert "\x1b" not in text and "\nWarning: made up" not in text


def damaged(path):
    """Files that are not what they seem."""
    whole = nwb_file(path / "whole.nwb", series("noise")).read_bytes()
    (path / "cut.nwb").write_bytes(whole[: len(whole) // 2])
    (path / "text.nwb").write_text("hello")
    (path / "empty.nwb").touch()
    with h5py.File(path / "strange.h5", "w") as file:
        file["x"] = 1
    with h5py.File(path / "shell.nwb", "w") as file:
        file.attrs["nwb_version"] = "2.0"
        file["units"] = 3
        file["stimulus/presentation/a"] = h5py.SoftLink("/nowhere")
        file["stimulus/presentation/b"] = h5py.ExternalLink("nowhere.h5", "/x")
    with h5py.File(path / "units.nwb", "w") as file:
        file.attrs["nwb_version"] = "2.0"
        file["units/id"] = 3
    (path / "net").mkdir()
    (path / "net/config.json").write_text("[1, 2")
    (path / "list").mkdir()
    (path / "list/config.json").write_text("[1, 2]")
    (path / "run").mkdir()
    (path / "run/run.toml").write_text("target = \n")
    (path / "wrong").mkdir()
    (path / "wrong/config.json").write_text('{"architecture": "X"}')
    (path / "wrong/scores.json").write_text('"no rows"')
    return sorted(p for p in path.iterdir() if p.name != "whole.nwb")


def test_damaged_files_are_one_line(tmp_path, monkeypatch, capsys):
    for path in damaged(tmp_path):
        monkeypatch.setattr(sys, "argv", ["retina-codec", "info", str(path)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        assert end.value.code == 1, (path, said.out)
        assert said.err.startswith("error: ") and said.err.count("\n") == 1, path


def test_missing_file_has_a_guess(tmp_path):
    nwb_file(tmp_path / "noise.nwb", series("noise"))
    with pytest.raises(FileNotFoundError, match=r"Did you mean 'noise.nwb'\?"):
        describe(tmp_path / "nois.nwb")


def test_recordings_are_described_without_torch(tmp_path):
    path = nwb_file(tmp_path / "a.nwb", series("noise"))
    code = (
        "import sys\n"
        f"sys.argv = ['retina-codec', 'info', {str(path)!r}]\n"
        "from retina_codec import cli\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_fetch_lists_what_is_known():
    text = CliRunner().invoke(cli.app, ["fetch"]).stdout
    assert "karamanlis_2024: " in text and "10.12751/g-node.ejk8kx" in text


@pytest.mark.real
@pytest.mark.skipif(not REAL.exists(), reason="no real recording here")
def test_real_recording():
    found = describe(REAL)
    assert found["loading"]["ready"] and found["units"]["n"] == found["loading"]["n_cells"]
