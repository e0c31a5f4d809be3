"""Damaged recordings end in a result or one clear error: no crash, no hang, no flood of memory."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io

import retina_codec
from retina_codec.datatypes import Recording, Stimulus
from retina_codec.export import save
from retina_codec.recordings import _open_hdf5, load_recording, write_nwb

CASES = {"nwb": 80, "lab": 60, "open": 40, "own": 16, "npz": 30, "mat": 30}
RNG = np.random.default_rng(0)
MOVIE, RATES = RNG.integers(0, 255, (40, 6, 5), dtype=np.uint8), RNG.random((40, 2))


def recording():
    return Recording(
        stimulus=Stimulus(frames=MOVIE, frame_rate_hz=100.0),
        rates=RATES,
        cells=pd.DataFrame({"kind": ["ON", "OFF"]}),
        splits={"train": (0, 30), "test": (30, 40)},
        spike_times=(np.array([0.1, 0.2]), np.array([0.3])),
        repeats=RNG.random((2, 10, 2)),
    )


def write_small_nwb(path):
    """Without the copy of the schema, so that damage hits what is read."""
    whole = path.with_name("whole.nwb")
    write_nwb(recording(), whole)
    with h5py.File(whole) as source, h5py.File(path, "w") as target:
        for name in sorted(set(source) - {"specifications"}):
            source.copy(name, target)
        target.attrs.update({k: v for k, v in source.attrs.items() if k != ".specloc"})
    content = path.read_bytes()  # The same bytes in each run, as damage depends on them.
    content = re.sub(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"0" * 36, content)
    path.write_bytes(re.sub(rb"20\d\d-[\d:T-]{14}\.\d{6}", b"2026-01-01T00:00:00.000001", content))


def write_lab(path):
    with h5py.File(path, "w") as file:
        for part, (start, stop) in {"train": (0, 30), "test": (30, 40)}.items():
            movie = MOVIE[start:stop]
            file.create_dataset(
                f"{part}/stimulus", data=movie, chunks=(5, 6, 5), compression="gzip"
            )
            file[f"{part}/time"] = np.arange(start, stop) / 100
            file[f"{part}/response/firing_rate_10ms"] = RATES[start:stop].T
        for cell in (1, 2):
            file[f"spikes/cell{cell:02d}"] = np.array([0.1, 0.2])
            file[f"test/repeats/cell{cell:02d}"] = RNG.random((3, 11))


def write_open(path):
    with h5py.File(path, "w") as file:
        file["stimulus_a"], file["responses_a"] = MOVIE[np.newaxis], RATES.T
        file["session_info/kind"] = ["ON", "OFF"]


def write_own(path):
    save(recording(), path)


def write_npz(path):
    np.savez_compressed(path, stim=MOVIE, r=RATES)


def write_mat(path):
    scipy.io.savemat(path, {"stim": MOVIE, "r": RATES})
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + path.read_bytes()[116:])  # No date.


WRITERS = {
    "nwb": (write_small_nwb, "a.nwb"),
    "lab": (write_lab, "lab.h5"),
    "open": (write_open, "open.h5"),
    "own": (write_own, "own.h5"),
    "npz": (write_npz, "a.npz"),
    "mat": (write_mat, "a.mat"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Of each case: kind, seed, name of the file, and what reading it came to."""
    folder = tmp_path_factory.mktemp("hostile")
    originals = {}
    for kind, (write, name) in WRITERS.items():
        write(folder / name)
        originals[kind] = str(folder / name)
    script = Path(__file__).with_name("hostile_recordings.py")
    command = [sys.executable, script, json.dumps([originals, CASES, str(folder)])]
    package = {"PYTHONPATH": str(Path(retina_codec.__file__).parents[1])}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=os.environ | package
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended at {lines[-1:]}: {done.stderr[-3000:]}"
    return [case | result for case, result in zip(lines[::2], lines[1::2], strict=True)]


def test_every_case_ends(outcomes):
    assert len(outcomes) == sum(CASES.values())


def test_errors_are_one_line_that_names_the_file(outcomes):
    for case in outcomes:
        said = case["outcome"]
        assert said == "read" or case["path"] in said, case
        assert "\n" not in said and len(said) < 700, case


@pytest.mark.parametrize("kind", CASES)
def test_damage_is_seen_and_not_everything_is_damage(kind, outcomes):
    read = [case["outcome"] == "read" for case in outcomes if case["kind"] == kind]
    assert not all(read)
    assert any(read) or kind == "npz"  # It has a checksum.


def test_heap_without_an_end(tmp_path):
    """The HDF5 library would go round in a circle for ever."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["responses_a"] = RATES.T
        file["session_info/kind"] = ["ON", "OFF"]
    content = bytearray((tmp_path / "a.h5").read_bytes())
    start = content.find(b"GCOL")
    assert "has responses to 'a', but no stimulus_a" in load_error(tmp_path / "a.h5")
    for damage in (bytes(16), bytes(8) + b"\xf0" + b"\xff" * 7):
        content[start + 16 : start + 32] = damage
        (tmp_path / "b.h5").write_bytes(content)
        assert f"b.h5 is damaged: its heap of texts at byte {start}" in load_error(
            tmp_path / "b.h5"
        )


def test_heaps_are_found_across_blocks(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"GCOL..GGCOLGCO" + b"GCOL")
    for size in range(1, 20):
        monkeypatch.setattr(_open_hdf5, "BLOCK_BYTES", size)
        with open(tmp_path / "a", "rb") as file:
            assert _open_hdf5._places(file) == [0, 7, 14]


def test_many_heaps_in_one_place(tmp_path):
    """To walk through each would take for ever."""
    head = _open_hdf5.HEADER.pack(b"GCOL", 1, 40_000)
    (tmp_path / "a.h5").write_bytes(head * 2500 + bytes(40_000))
    with pytest.raises(ValueError, match="a.h5 is damaged"):
        _open_hdf5.check_heaps(tmp_path / "a.h5")


def load_error(path):
    with pytest.raises(ValueError) as caught:
        load_recording(path, frame_rate_hz=1.0)
    return str(caught.value)


def test_text_of_no_known_type(tmp_path):
    """The HDF5 library would crash."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["nwb_version"] = "2.8.0"
    content = (tmp_path / "a.h5").read_bytes()
    written = h5py.h5t.py_create(h5py.string_dtype(), logical=True).encode()[2:6]
    assert content.count(written) == 1
    wrong = written[:1] + bytes([written[1] | 0x0D]) + written[2:]
    (tmp_path / "a.h5").write_bytes(content.replace(written, wrong))
    assert "a.h5 is damaged: '/' has a text or list of no known type" in load_error(
        tmp_path / "a.h5"
    )


def test_chunks_without_number(tmp_path):
    """Each is looked for, although none is there."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("responses_a", (4_000_000,), "f4", chunks=(2,))
    assert "a.h5: 'responses_a' is in 2000000 chunks, but only 0" in load_error(tmp_path / "a.h5")


def test_link_in_a_circle(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("train/time", "train/response", "test/stimulus", "test/response"):
            file[name] = np.zeros(3)
        file["train/stimulus"] = h5py.SoftLink("/train/stimulus")
    assert "a.h5" in load_error(tmp_path / "a.h5")
