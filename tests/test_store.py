"""Stored contributions: lazy, resumable after any death, and refused where they do not belong."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from torch import nn

from retina_codec.contributions import (
    by_sign,
    integrated_gradients,
    load_contributions,
    named,
    one_cell,
    population_sum,
    surprisal,
    unpooled,
)
from retina_codec.contributions import job as job_module
from retina_codec.datatypes import Stimulus
from retina_codec.networks import DeepRetina
from retina_codec.stimuli import windows

N_FRAMES, HISTORY, STRETCH = 406, 6, 32
MOVIE = np.random.default_rng(0).normal(size=(N_FRAMES, 14, 14)).astype(np.float32)
GIVEN = {"layers": ["relu1", "relu2"], "target": one_cell(1), "n_steps": 4, "progress": False}


def network(seed=1):
    return DeepRetina(
        shape=(14, 14), history=HISTORY, typical_rate_hz=[4.0, 9.0], kernels=(5, 3), seed=seed
    )


def samples(movie=MOVIE):
    return windows(Stimulus(frames=movie, frame_rate_hz=100.0), HISTORY)


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch):
    monkeypatch.setattr(job_module, "MOST_SAMPLES", STRETCH)


def everything(path):
    """All numbers in a store, by group and name."""
    return {
        f"{target}/{layer}/{name}": np.asarray(getattr(record, name))
        for target, layers in load_contributions(path).items()
        for layer, record in layers.items()
        for name in ("values", "sample", "gap", "target_value", "baseline_value", "n_steps")
    }


def assert_identical(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store that was made without interruption."""
    path = tmp_path_factory.mktemp("whole") / "store.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job_module, "MOST_SAMPLES", STRETCH)
        integrated_gradients(network(), samples(), store=path, **GIVEN)
    return path


def test_stored_is_what_comes_back_in_memory(whole):
    in_memory = integrated_gradients(network(), samples(), **GIVEN)
    for layer, record in load_contributions(whole)["cell 1"].items():
        other = in_memory[layer]
        for name in ("values", "gap", "sample", "target_value", "baseline_value", "n_steps"):
            np.testing.assert_array_equal(getattr(record, name), getattr(other, name))
        assert record.settings == other.settings and record.channel.tolist() == [*range(8)] * 2
        assert (record.layer, record.target, record.bypassed) == (layer, "cell 1", False)


def test_xarray_opens_a_layer_lazily(whole):
    dataset = xr.open_zarr(whole / "cell 1" / "relu1", chunks=None)
    assert dataset["values"].dims == ("sample", "feature")
    assert not dataset["values"].variable._in_memory
    assert dataset.attrs["record"] == "Contributions"
    values = load_contributions(whole)["cell 1"]["relu1"].values
    assert not isinstance(values, np.ndarray) and values[3:5].shape == (2, 16)


def test_second_call_computes_nothing(whole, monkeypatch):
    monkeypatch.setattr(job_module.Job, "stretch", lambda *args: pytest.fail("computed again"))
    again = integrated_gradients(network(), samples(), store=whole, **GIVEN)
    assert again["relu1"].values.shape == (N_FRAMES - HISTORY, 16)


def test_maps_are_stored_as_they_are(tmp_path):
    result = integrated_gradients(
        network(), samples()[:40], store=tmp_path / "s", pooling=unpooled, **GIVEN
    )
    assert result["relu1"].values.shape == (40, 8, 10, 10)
    assert result["relu1"].values.dims == ("sample", "feature", "y", "x")


def test_large_results_come_in_short_stretches(monkeypatch, tmp_path):
    monkeypatch.setattr(job_module, "STRETCH_BYTES", 10 * 8 * 4 * (10 * 10 + 8 * 8))
    integrated_gradients(network(), samples()[:40], store=tmp_path / "s", pooling=unpooled, **GIVEN)
    assert zarr.open_group(tmp_path / "s")["cell 1/relu1/values"].chunks[0] == 10


SCRIPT = f"""
import sys
import time
import numpy as np
sys.path.insert(0, {os.path.dirname(__file__)!r})
import test_store as t
t.job_module.MOST_SAMPLES = t.STRETCH
stretch = t.job_module.Job.stretch
def told(self, start, *args):
    print(start, flush=True)
    parts = stretch(self, start, *args)
    time.sleep(0.2)
    return parts
t.job_module.Job.stretch = told
t.integrated_gradients(t.network(), t.samples(), store=sys.argv[1], **t.GIVEN)
"""


def run_until_killed(path, n_stretches, wait_s):
    """Run in a process of its own, and kill it some time after it began its n-th stretch."""
    command = [sys.executable, "-c", SCRIPT, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(n_stretches):
            process.stdout.readline()
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
    return process.returncode


def test_killed_run_goes_on_and_ends_identical(whole, tmp_path):
    path = tmp_path / "store.zarr"
    rng = np.random.default_rng()
    before = 0
    for n_stretches in (0, 1, 2, 3):  # of 13, each of which takes its time
        wait_s = rng.uniform(0, 1) if n_stretches == 0 else rng.uniform(0, 0.25)
        assert run_until_killed(path, n_stretches, wait_s) == -signal.SIGKILL
        if path.exists() and n_stretches:
            with pytest.raises(ValueError, match="not finished: .* of 400 samples are missing"):
                load_contributions(path)
            done = int(zarr.open_group(path)["done"][:].sum())
            assert done >= before + n_stretches - 1
            before = done
    integrated_gradients(network(), samples(), store=path, **GIVEN)
    assert_identical(everything(path), everything(whole))


def test_interrupted_run_can_go_on_with_other_threads_and_batches(whole, tmp_path, monkeypatch):
    path, stretch = tmp_path / "store.zarr", job_module.Job.stretch

    def failing(self, start, *args):
        if start >= 5 * STRETCH:
            raise KeyboardInterrupt
        return stretch(self, start, *args)

    monkeypatch.setattr(job_module.Job, "stretch", failing)
    with pytest.raises(KeyboardInterrupt):
        integrated_gradients(network(), samples(), store=path, **GIVEN)
    monkeypatch.setattr(job_module.Job, "stretch", stretch)
    monkeypatch.setattr(job_module, "MOST_SAMPLES", 7)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        integrated_gradients(network(), samples(), store=path, batch_size=3, **GIVEN)
    finally:
        torch.set_num_threads(n_threads)
    assert_identical(everything(path), everything(whole))


OTHER = {
    "n_steps": ({"n_steps": 5}, "n_steps is 4 there and 5 here"),
    "rule": ({"rule": "secant"}, "rule is 'trapezoid' there and 'secant' here"),
    "layers": ({"layers": ["relu1"]}, r"layers is \['relu1', 'relu2'\] there"),
    "target": ({"target": one_cell(0)}, r"targets is \['cell 1'\] there and \['cell 0'\] here"),
    "pooling": ({"pooling": unpooled}, "pooling is 'by_sign' there and 'unpooled' here"),
    "baseline": ({"baseline": 0.5}, "baseline is 0.0 there and 0.5 here"),
    "network": ({"network": network(2)}, r"network \(hash of its weights\) is '\w+' there"),
    "stimulus": ({"samples": samples(MOVIE + 1)}, r"stimulus \(hash of its frames\) is"),
    "length": ({"samples": samples(MOVIE[:-1])}, "stimulus .* is '"),
    "parameters": (
        {"target": named("cell 1")(lambda output, at_sample: output[:, 0])},
        "target values at some samples is",
    ),
    "times": (
        {"samples": windows(Stimulus(frames=MOVIE, frame_rate_hz=50.0), HISTORY)},
        r"times of the samples \(their hash\) is",
    ),
}


@pytest.mark.parametrize("case", OTHER)
def test_store_of_something_else_is_refused(whole, case):
    changes, message = OTHER[case]
    before = everything(whole)
    given = {"network": network(), "samples": samples(), **GIVEN, **changes}
    with pytest.raises(ValueError, match=f"belongs to other contributions: {message}"):
        integrated_gradients(store=whole, **given)
    assert_identical(everything(whole), before)


@pytest.mark.parametrize("what", ["file", "folder", "zarr", "plan"])
def test_foreign_things_are_refused_and_left_alone(tmp_path, whole, what):
    path = tmp_path / "store"
    if what == "file":
        path.write_text("hello")
    elif what == "folder":
        path.mkdir()
        (path / "thesis.txt").write_text("hello")
    elif what == "zarr":
        zarr.open_group(path, mode="w").create_array("x", data=np.ones(3))
    else:
        shutil.copytree(whole, path)
        zarr.open_group(path).attrs.update({"plan": {"way": "rm -rf", "at_once": -1}})
    with pytest.raises(ValueError, match="is no store of contributions. Choose another place"):
        integrated_gradients(network(), samples(), store=path, **GIVEN)
    with pytest.raises(ValueError, match="is no store of contributions"):
        load_contributions(path)
    assert path.exists()


def test_lazy_movie_gives_the_same_and_is_read_once(whole, tmp_path):
    read = []

    class Watched:
        def __init__(self, frames):
            self.frames, self.shape, self.dtype = frames, frames.shape, frames.dtype

        def __getitem__(self, key):
            read.append(len(range(*key.indices(len(self.frames)))))
            return self.frames[key]

    with h5py.File(tmp_path / "movie.h5", "w") as file:
        movie = Watched(file.create_dataset("frames", data=MOVIE, chunks=(50, 14, 14)))
        integrated_gradients(network(), samples(movie), store=tmp_path / "s", **GIVEN)
    assert_identical(everything(tmp_path / "s"), everything(whole))
    assert read.count(N_FRAMES) == 1  # for the hash; what came before was to plan
    stretches = read[read.index(N_FRAMES) + 4 :]  # after three single samples
    assert len(stretches) == 13 and max(stretches) == STRETCH + HISTORY


def test_peak_of_memory_does_not_grow_with_the_recording(tmp_path):
    script = """
import resource, sys
import numpy as np
import torch
torch.set_num_threads(2)
from retina_codec.contributions import integrated_gradients, one_cell
from retina_codec.datatypes import Stimulus
from retina_codec.networks import DeepRetina
from retina_codec.stimuli import windows

class Movie:
    dtype = np.dtype(np.float32)
    def __init__(self, n): self.shape = (n, 20, 20)
    def __getitem__(self, key):
        start, stop, _ = key.indices(self.shape[0])
        ramp = np.arange(start, stop, dtype=np.float32)[:, None, None]
        return np.sin(ramp + np.arange(400, dtype=np.float32).reshape(20, 20))

network = DeepRetina(shape=(20, 20), history=6, typical_rate_hz=[4.0], kernels=(9, 5))
def run(n, path):
    movie = Stimulus(frames=Movie(n), frame_rate_hz=100.0)
    integrated_gradients(network, windows(movie, 6), layers=["relu1"], target=one_cell(0),
        n_steps=2, store=path, progress=False)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
short = run(2_000, sys.argv[1] + "/short")
print(short, run(60_000, sys.argv[1] + "/long"))
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    short, long = map(int, subprocess.check_output(command, text=True).split())
    assert long < 1.1 * short


def test_recordings_can_be_sent_to_other_processes(tmp_path):
    from retina_codec.recordings._lazy import Joined, Scaled, Stored

    with h5py.File(tmp_path / "movie.h5", "w") as file:
        file.create_dataset("frames", data=MOVIE)
    file = h5py.File(tmp_path / "movie.h5")
    movie = Joined([Scaled(Stored(file["frames"]), factor=2.0), Stored(file["frames"])])
    sent = pickle.dumps(replace(samples(), stimulus=Stimulus(frames=movie, frame_rate_hz=100.0)))
    file.close()
    assert len(sent) < 5000
    np.testing.assert_array_equal(pickle.loads(sent)[:5], 2 * samples()[:5])


def test_targets_that_would_share_a_folder_are_refused(tmp_path):
    targets = [named("a/b")(population_sum()), named("a_b")(population_sum())]
    with pytest.raises(ValueError, match="a/b, a_b"):
        integrated_gradients(
            network(), samples(), store=tmp_path / "s", **{**GIVEN, "target": targets}
        )


def test_surprisal_is_told_from_one_with_other_statistics(tmp_path):
    draws = np.random.default_rng(0).normal(size=(300, 2))
    given = {**GIVEN, "layers": ["relu2"]}
    few = samples()[:8]
    integrated_gradients(
        network(), few, store=tmp_path / "s", **{**given, "target": surprisal(draws)}
    )
    with pytest.raises(ValueError, match="target values at some samples is"):
        integrated_gradients(
            network(), few, store=tmp_path / "s", **{**given, "target": surprisal(draws + 0.1)}
        )


class Scaled(nn.Module):
    """What it does depends on a number that is no weight."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


def test_settings_of_a_network_that_are_no_weights_are_noticed(tmp_path):
    batch = np.ones((4, 3), np.float32)

    def stored(factor):
        torch.manual_seed(0)
        made = nn.Sequential(nn.Linear(3, 3), Scaled(factor), nn.ReLU(), nn.Linear(3, 1))
        given = {"layers": ["2"], "target": one_cell(0), "progress": False}
        return integrated_gradients(made, batch, store=tmp_path / "s", **given)

    stored(1.0)
    with pytest.raises(ValueError, match="target values at some samples is"):
        stored(5.0)


def test_poolings_without_a_name_work_and_are_told_apart(tmp_path):
    few = samples()[:8]
    given = {**GIVEN, "layers": ["relu2"]}
    for pooling in (lambda maps: by_sign(maps), partial(by_sign)):
        integrated_gradients(network(), few, pooling=pooling, **given)
    one, two = (lambda maps: by_sign(maps)), (lambda maps: by_sign(2 * maps))
    integrated_gradients(network(), few, store=tmp_path / "s", pooling=one, **given)
    with pytest.raises(ValueError, match="code of the pooling is"):
        integrated_gradients(network(), few, store=tmp_path / "s", pooling=two, **given)


@pytest.mark.parametrize("settings", [{}, {"tolerance": 0.2}])
def test_flipped_movies_and_lists_are_samples(tmp_path, settings):
    few = samples()[:6]
    given = {"layers": ["relu2"], "target": one_cell(1), "progress": False, **settings}
    straight = integrated_gradients(network(), few, **given)["relu2"].values
    for name, same in (("flip", few[:, :, ::-1].copy()[:, :, ::-1]), ("list", list(few))):
        found = integrated_gradients(network(), same, store=tmp_path / name, **given)
        np.testing.assert_array_equal(found["relu2"].values, straight)


def test_tensors_of_every_kind_are_samples(tmp_path):
    few = torch.as_tensor(samples()[:6]).bfloat16()
    found = integrated_gradients(network(), few, store=tmp_path / "s", **GIVEN)
    assert found["relu1"].values.shape == (6, 16)
