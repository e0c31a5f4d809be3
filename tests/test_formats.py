"""Formats beside NWB: one test or more for each, on files that are written here."""

import json
import pickle
from datetime import date

import h5py
import numpy as np
import pandas as pd
import pynwb
import pytest
import scipy.io
from typer.testing import CliRunner

from retina_codec import cli
from retina_codec.datatypes import Interneurons
from retina_codec.recordings import (
    _mat5,
    from_arrays,
    load_arrays,
    load_interneurons,
    load_recording,
    load_stas,
    published_cells,
)
from retina_codec.recordings._declared import check_size

RNG = np.random.default_rng(0)
N = 60
MOVIE = RNG.integers(0, 255, (N, 5, 4), dtype=np.uint8)
RATES = RNG.random((N, 3))
SPIKES = [np.array([0.1, 0.15, 0.3]), np.array([]), np.array([0.59])]


@pytest.fixture
def lab_file(tmp_path):
    """A white-noise file of the lab, of an experiment with six blocks."""
    (tmp_path / "15-10-07").mkdir()
    path = tmp_path / "15-10-07" / "whitenoise.h5"
    with h5py.File(path, "w") as file:
        for part, n_frames, extra in (("train", N, 0), ("test", 12, 1)):
            file[f"{part}/stimulus"] = MOVIE[:n_frames]
            file[f"{part}/time"] = np.arange(n_frames) / 100
            file[f"{part}/response/firing_rate_10ms"] = 1 + RNG.random((7, n_frames + extra))
        for cell in (10, 2, 1):
            file[f"train/stas/cell{cell:02d}"] = np.full((6, 5, 4), float(cell))
    return path


class TestLab:
    def test_begin_of_each_block_is_not_observed(self, lab_file):
        plain, clipped = load_recording(lab_file), load_recording(lab_file, skip_frames=3)
        seen = np.ones(N, dtype=bool)
        for block in range(6):  # 60 frames in 6 blocks.
            for frame in range(3):
                seen[10 * block + frame] = False
        assert np.isnan(clipped.rates[:N][~seen]).all()
        np.testing.assert_array_equal(clipped.rates[:N][seen], plain.rates[:N][seen])
        np.testing.assert_array_equal(clipped.rates[N:], plain.rates[N:])
        assert clipped.splits == plain.splits and len(clipped.stimulus.frames) == N + 12

    def test_blocks_of_an_unknown_experiment(self, lab_file):
        folder = lab_file.parent.rename(lab_file.parents[1] / "15-10-08")
        path = folder / lab_file.name
        with pytest.raises(ValueError, match="No experiment '15-10-08' .*Did you mean '15-10-07'"):
            load_recording(path, skip_frames=3)
        rates = load_recording(path, skip_frames=20, n_blocks=2).rates
        assert np.flatnonzero(np.isnan(rates[:, 0])).tolist() == [*range(20), *range(30, 50)]

    @pytest.mark.parametrize(("skip", "n_blocks"), [(10, 6), (1, 7), (1, 0), (-1, 6)])
    def test_blocks_that_do_not_fit(self, skip, n_blocks, lab_file):
        with pytest.raises(ValueError, match=f"Cannot skip {skip} frames in each of {n_blocks}"):
            load_recording(lab_file, skip_frames=skip, n_blocks=n_blocks)

    def test_published_cells(self, lab_file):
        chosen = load_recording(lab_file, cells=published_cells("15-10-07"))
        every = load_recording(lab_file)
        np.testing.assert_array_equal(chosen.rates, every.rates[:, :5])
        assert len(published_cells("15-11-21b")) == 17
        with pytest.raises(ValueError, match="Did you mean '16-01-0"):
            published_cells("16-01-09")

    def test_averages_of_older_files(self, lab_file):
        fields = load_stas(lab_file)
        assert fields.values[:, 0, 0, 0].tolist() == [1, 2, 10]
        assert list(fields.items["name"]) == ["cell01", "cell02", "cell10"]
        assert fields.frame_rate_hz == pytest.approx(100)
        with h5py.File(lab_file, "a") as file:
            del file["train/stas"]
        with pytest.raises(ValueError, match="whitenoise.h5: expected .* got none"):
            load_stas(lab_file)


class TestInterneurons:
    SHOWN = {
        "boxes": RNG.integers(0, 2, (N, 38, 38)),
        "lines": RNG.random((N, 8)),
        "flashes": RNG.random(N),
        "movingbar": RNG.random((N, 6)),
    }

    @pytest.fixture
    def path(self, tmp_path):
        with h5py.File(tmp_path / "bipolars_late_2012.h5", "w") as file:
            for name, shown in self.SHOWN.items():
                file[f"{name}/stimuli"] = shown
                file[f"{name}/detrended_membrane_potential"] = RATES.T
        return tmp_path / "bipolars_late_2012.h5"

    def test_boxes_lie_in_the_middle_of_grey(self, path):
        found = load_interneurons(path, stimulus="boxes")
        expected = np.zeros((N, 50, 50))
        expected[:, 6:44, 6:44] = 2 * self.SHOWN["boxes"] - 1
        np.testing.assert_array_equal(found.stimulus.frames, expected)
        np.testing.assert_array_equal(found.potentials, RATES)
        assert (found.kind, found.stimulus.frame_rate_hz) == ("bipolars_late_2012", 100.0)
        assert isinstance(Interneurons.from_xarray(found.to_xarray()), Interneurons)

    def test_lines_are_means_of_pairs(self, path):
        frames = load_interneurons(path, stimulus="lines", screen=None).stimulus.frames
        assert frames.shape == (N, 4, 4)
        for bar in range(4):
            mean = (self.SHOWN["lines"][:, 2 * bar] + self.SHOWN["lines"][:, 2 * bar + 1]) / 2
            for column in range(4):
                np.testing.assert_allclose(frames[:, bar, column], mean, rtol=1e-6)

    def test_flashes_fill_the_screen(self, path):
        frames = load_interneurons(path, stimulus="flashes", screen=None).stimulus.frames
        assert frames.shape == (N, 38, 38)
        assert (frames == np.float32(self.SHOWN["flashes"])[:, None, None]).all()

    def test_moving_bars_are_repeated(self, path):
        frames = load_interneurons(path, stimulus="movingbar", screen=None).stimulus.frames
        assert frames.shape == (N, 6, 6)
        assert (frames == np.float32(self.SHOWN["movingbar"])[:, :, None]).all()

    def test_errors(self, path):
        with pytest.raises(ValueError, match="boxes, lines, flashes, movingbar. Choose one with"):
            load_interneurons(path)
        with pytest.raises(ValueError, match="No 'box'. Did you mean 'boxes'"):
            load_interneurons(path, stimulus="box")
        with h5py.File(path, "a") as file:
            del file["boxes/detrended_membrane_potential"], file["lines/stimuli"]
            file["boxes/detrended_membrane_potential"] = RATES
            file["lines/stimuli"] = np.zeros((N, 2, 2, 2))
        with pytest.raises(
            ValueError, match=r"must be \(cell, time\) with 60 time bins, .*\(60, 3"
        ):
            load_interneurons(path, stimulus="boxes")
        with pytest.raises(ValueError, match="lines/stimuli has the shape .60, 2, 2, 2."):
            load_interneurons(path, stimulus="lines")
        with pytest.raises(FileNotFoundError, match="No file"):
            load_interneurons(path.with_name("amacrines.h5"))


def colour(n_frames, seed, n_channels=2):
    return np.random.default_rng(seed).random((n_channels, n_frames, 6, 5)).astype(np.float32)


@pytest.fixture
def sessions(tmp_path):
    """Two sessions; the movie "b" lies in the file of the second one."""
    (tmp_path / "stimuli").mkdir()
    for i, name in enumerate("cab"):
        np.save(tmp_path / "stimuli" / f"{name}.npy", colour(20 + i, i))
    for session in ("mouse1", "mouse2"):
        with h5py.File(tmp_path / f"{session}.h5", "w") as file:
            for i, name in enumerate("cab"):
                file[f"responses_{name}"] = RNG.random((4, 20 + i))
            file["session_info/depth"] = np.arange(4.0)
            file["session_info/kind"] = ["ON", "OFF", "ON", "OFF"]
            file["session_info/date"] = "today"
    with h5py.File(tmp_path / "mouse2.h5", "a") as file:
        file["stimulus_b"] = colour(22, 9)
    (tmp_path / "stimuli" / "b.npy").unlink()
    with h5py.File(tmp_path / "mouse1.h5", "a") as file:
        del file["responses_b"]
    return tmp_path


OPEN = {"frame_rate_hz": 30.0, "channel": 1}


class TestOpenRetina:
    def test_movies_in_the_order_of_their_names_tests_last(self, sessions):
        loaded = load_recording(sessions, session="mouse2", test_names=["a"], **OPEN)
        movies = [colour(22, 9)[1], colour(20, 0)[1], colour(21, 1)[1]]  # b, c, a
        np.testing.assert_array_equal(loaded.stimulus.frames[:], np.concatenate(movies))
        assert loaded.splits == {"train": (0, 42), "test": (42, 63)}
        assert loaded.stimulus.name == "b, c, a"
        with h5py.File(sessions / "mouse2.h5") as file:
            rates = np.concatenate([file[f"responses_{name}"][()].T for name in "bca"])
        np.testing.assert_array_equal(loaded.rates, rates)
        assert list(loaded.cells.columns) == ["cell", "depth", "kind"]
        assert list(loaded.cells["kind"]) == ["ON", "OFF", "ON", "OFF"]

    def test_several_tests_keep_their_names(self, sessions):
        loaded = load_recording(sessions / "mouse2.h5", test_names=["c", "a"], **OPEN)
        assert loaded.splits == {"train": (0, 22), "test": (22, 63), "a": (22, 43), "c": (43, 63)}

    def test_sum_of_channels(self, sessions):
        loaded = load_recording(sessions / "mouse1.h5", frame_rate_hz=30.0, channel="all")
        movies = np.concatenate([colour(21, 1), colour(20, 0)], axis=1)
        np.testing.assert_array_equal(loaded.stimulus.frames[:], movies[0] + movies[1])
        assert loaded.splits == {"train": (0, 35), "test": (35, 41)}

    def test_movies_are_read_elsewhere_by_their_path(self, sessions):
        loaded = load_recording(sessions, session="mouse2", **OPEN)
        again = pickle.loads(pickle.dumps(loaded.stimulus.frames))
        np.testing.assert_array_equal(again[15:45], loaded.stimulus.frames[15:45])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "2 sessions: mouse1, mouse2. Choose one with 'session'"),
            ({"session": "mouse3"}, "No session 'mouse3'. Did you mean"),
            ({"session": "mouse1"}, "Give 'frame_rate_hz'"),
            ({"session": "mouse1", "frame_rate_hz": 30.0}, r"2 colour channels \(0, 1\). Choose"),
            ({"session": "mouse1", **OPEN, "channel": 2}, "no channel 2. Channels: 0, 1, or 'all'"),
            ({"session": "mouse1", **OPEN, "channel": "²"}, "no channel '²'"),
            ({"session": "mouse1", **OPEN, "test_names": ["d"]}, "No stimulus 'd'. Stimuli: a, c"),
            ({"session": "mouse1", **OPEN, "test_names": ["a", "c"]}, "none is left for training"),
        ],
    )
    def test_choices(self, options, message, sessions):
        with pytest.raises(ValueError, match=message):
            load_recording(sessions, **options)

    def test_what_does_not_fit(self, sessions):
        path = sessions / "mouse1.h5"
        np.save(sessions / "stimuli" / "a.npy", colour(19, 1))
        with pytest.raises(ValueError, match=r"responses_a must be .* 19 time bins, .*\(4, 21\)"):
            load_recording(path, **OPEN)
        np.save(sessions / "stimuli" / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
        with pytest.raises(ValueError, match="a.npy holds Python objects"):
            load_recording(path, **OPEN)
        (sessions / "stimuli" / "a.npy").unlink()
        with pytest.raises(ValueError, match="no stimulus_a, and there is no .*a.npy"):
            load_recording(path, **OPEN)

    def test_transposed_arrays_are_called(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["stimulus_x"] = colour(20, 0).transpose(1, 0, 2, 3)[:, :2]
            file["responses_x"] = np.ones((3, 2))
        with pytest.warns(UserWarning, match="transposed") as caught:
            load_recording(tmp_path / "a.h5", **OPEN)
        said = " ".join(str(warning.message) for warning in caught)
        assert "20 channels but 2 frames" in said and "3 neurons but 2 time bins" in said


class TestFromArrays:
    def test_rates_are_spikes_in_frames(self):
        recording = from_arrays(MOVIE, spike_times=SPIKES, frame_rate_hz=100.0, pixel_um=50.0)
        for cell, train in enumerate(SPIKES):
            for frame in range(N):
                n = sum(frame / 100 <= spike < (frame + 1) / 100 for spike in train)
                assert recording.rates[frame, cell] == pytest.approx(100 * n)
        assert recording.splits == {"train": (0, 51), "test": (51, N)}

    def test_irregular_frames(self):
        times = np.cumsum(RNG.uniform(0.9, 1.1, N)) / 100
        recording = from_arrays(MOVIE, spike_times=[times + 1e-6], times=times)
        steps = np.append(np.diff(times), np.median(np.diff(times)))
        np.testing.assert_allclose(recording.rates[:, 0], 1 / steps)
        assert recording.stimulus.frame_rate_hz == pytest.approx(1 / np.median(np.diff(times)))

    def test_trials_are_the_test_part(self):
        trials = RNG.random((4, 10, 3))
        recording = from_arrays(MOVIE, spike_times=SPIKES, repeats=trials, frame_rate_hz=100.0)
        assert recording.splits["test"] == (50, N)
        np.testing.assert_allclose(recording.rates[50:], trials.mean(axis=0))

    def test_numbers_of_other_machines_and_truth_values(self):
        recording = from_arrays(MOVIE > 9, rates=RATES.astype(">f4"), frame_rate_hz=9.0)
        np.testing.assert_array_equal(recording.stimulus.frames, (MOVIE > 9).astype(int))
        assert recording.rates.dtype == np.float32 and recording.rates.dtype.isnative

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"rates": RATES}, "Give 'frame_rate_hz' or 'times'"),
            ({"frame_rate_hz": 9.0}, "Give 'rates' or 'spike_times'"),
            ({"frame_rate_hz": 9.0, "rates": RATES.T}, r"got \(3, 60\). Transpose them"),
            ({"frame_rate_hz": 9.0, "rates": RATES[1:]}, r"60 frames, got \(59, 3\)"),
            ({"frame_rate_hz": 9.0, "rates": [["a"]]}, "'rates' must hold numbers, got <U1"),
            ({"frame_rate_hz": 9.0, "spike_times": [[np.nan]]}, "of cell 0 hold NaN"),
            ({"times": np.zeros(N), "rates": RATES}, "'times': timestamps must ascend"),
            ({"times": ["a"] * N, "rates": RATES}, "'times': could not convert"),
            ({"frame_rate_hz": 9.0, "rates": RATES, "cells": {"a": [1]}}, "axis 'cell' is 3"),
        ],
    )
    def test_errors(self, options, message, as_user):
        with pytest.raises(ValueError, match=message):
            from_arrays(MOVIE, **options)


def as_cells(arrays):
    """A MATLAB cell array, as SciPy writes it."""
    out = np.empty((1, len(arrays)), dtype=object)
    out[0] = arrays
    return out


def write_mat_5(path):
    frames = MOVIE.transpose(1, 2, 0)
    content = {"stim": frames, "r": RATES.T, "spikes": as_cells(SPIKES), "s": {"a": 1}}
    scipy.io.savemat(path, content, do_compression=True)


def write_mat_7_3(path):
    """HDF5 after 512 bytes of MATLAB's own, axes the other way round."""
    with h5py.File(path, "w", userblock_size=512) as file:

        def put(name, array, kind="double"):
            file[name] = array.T
            file[name].attrs["MATLAB_class"] = np.bytes_(kind)

        put("stim", MOVIE.transpose(1, 2, 0), "uint8")
        put("r", RATES.T)
        references = np.empty((len(SPIKES), 1), dtype=h5py.ref_dtype)
        for i, train in enumerate(SPIKES):
            put(f"#refs#/{i}", train[np.newaxis] if len(train) else np.array([0.0, 0.0]))
            if not len(train):
                file[f"#refs#/{i}"].attrs["MATLAB_empty"] = np.uint8(1)
            references[i, 0] = file[f"#refs#/{i}"].ref
        file["spikes"] = references
        file["spikes"].attrs["MATLAB_class"] = np.bytes_("cell")
        file.create_group("s").attrs["MATLAB_class"] = np.bytes_("struct")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def write_npz(path):
    np.savez(path, stim=MOVIE.transpose(1, 2, 0), r=RATES.T, spikes=SPIKES[0])


def write_npy(path):
    path.mkdir()
    for name, array in {
        "stim": MOVIE.transpose(1, 2, 0),
        "r": RATES.T,
        "spikes": SPIKES[0],
    }.items():
        np.save(path / f"{name}.npy", array)


def write_hdf5(path):
    with h5py.File(path, "w") as file:
        file["stim"], file["r"] = MOVIE.transpose(1, 2, 0), RATES.T
        for i, train in enumerate(SPIKES):
            file[f"spikes/cell{9 + i}"] = train


WRITERS = {
    "five.mat": write_mat_5,
    "seven.mat": write_mat_7_3,
    "a.npz": write_npz,
    "folder": write_npy,
    "a.h5": write_hdf5,
}
AXES = {"stimulus_axes": "y x time", "rates_axes": "cell time"}


@pytest.fixture(params=WRITERS)
def plain(request, tmp_path):
    WRITERS[request.param](tmp_path / request.param)
    return tmp_path / request.param


class TestPlainArrays:
    def test_by_axes(self, plain):
        loaded = load_arrays(plain, stimulus="stim", rates="r", frame_rate_hz=100.0, **AXES)
        np.testing.assert_array_equal(np.asarray(loaded.stimulus.frames), MOVIE)
        np.testing.assert_array_equal(loaded.rates, RATES)
        assert (loaded.source, loaded.stimulus.name) == (plain.name, "stim")

    def test_spikes(self, plain):
        options = {"stimulus": "stim", "frame_rate_hz": 100.0, **AXES}
        loaded = load_arrays(plain, spike_times="spikes", **options)
        expected = SPIKES[:1] if plain.name in ("a.npz", "folder") else SPIKES
        assert len(loaded.spike_times) == len(expected)
        for one, other in zip(loaded.spike_times, expected, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_errors_list_what_there_is(self, plain):
        with pytest.raises(ValueError, match=r"no variable 'stm'.* stim \(5 x 4 x 60 uint8\).*Did"):
            load_arrays(plain, stimulus="stm", rates="r", frame_rate_hz=100.0)
        with pytest.raises(ValueError, match=r"'stim' must be time, y, x in some order, got 'y x'"):
            load_arrays(plain, stimulus="stim", stimulus_axes="y x", rates="r", frame_rate_hz=9.0)
        with pytest.raises(ValueError, match=f"{plain.name}: 'rates' must be .* Transpose"):
            load_arrays(
                plain, stimulus="stim", stimulus_axes="y x time", rates="r", frame_rate_hz=9.0
            )
        with pytest.raises(ValueError, match="'r' has the shape .* does not fit"):
            load_arrays(plain, stimulus="r", stimulus_axes="y x time", rates="r", frame_rate_hz=9.0)

    @pytest.mark.parametrize("name", ["five.mat", "seven.mat"])
    def test_other_classes_of_matlab(self, name, tmp_path):
        WRITERS[name](tmp_path / name)
        for asked in ({"rates": "s"}, {"spike_times": "s"}, {"rates": "spikes"}):
            with pytest.raises(ValueError, match="MATLAB's class '(struct|cell)', which is not"):
                load_arrays(tmp_path / name, stimulus="stim", frame_rate_hz=9.0, **AXES, **asked)

    @pytest.mark.parametrize("compressed", [False, True])
    def test_types_of_numbers_of_matlab(self, compressed, tmp_path):
        """SciPy writes; small arrays lie in the tags of their elements."""
        kinds = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
        arrays = {f"{kind}_{n}": (np.arange(n) - 1).astype(kind) for kind in kinds for n in (1, 9)}
        arrays |= {"deep": np.arange(24).reshape(2, 3, 4), "none": np.zeros((0, 2))}
        scipy.io.savemat(tmp_path / "a.mat", arrays, do_compression=compressed)
        stored = _mat5.variables(tmp_path / "a.mat")
        assert list(stored) == list(arrays)
        for name, array in arrays.items():
            read = _mat5.numbers(stored[name])
            assert read.dtype == array.dtype
            np.testing.assert_array_equal(read, np.atleast_2d(array))
        scipy.io.savemat(tmp_path / "a.mat", {"b": np.array([[True, False]]), "z": np.array([1j])})
        stored = _mat5.variables(tmp_path / "a.mat")
        assert _mat5.numbers(stored["b"]).tolist() == [[1, 0]] and stored["b"].kind == "logical"
        with pytest.raises(ValueError, match="'z' holds complex numbers"):
            _mat5.numbers(stored["z"])

    def test_colour_trials_and_times(self, tmp_path):
        trials, times = RNG.random((2, 10, 3)), np.arange(N) / 50
        movie = np.stack([MOVIE, MOVIE[::-1]], axis=-1)
        np.savez(tmp_path / "a.npz", s=movie, r=RATES, t=times, trials=trials.transpose(2, 0, 1))
        options = {"stimulus": "s", "rates": "r", "times": "t", "repeats": "trials"}
        options |= {"stimulus_axes": "time y x channel", "repeats_axes": "cell trial time"}
        loaded = load_arrays(tmp_path / "a.npz", **options, channel=1)
        np.testing.assert_array_equal(loaded.stimulus.frames, MOVIE[::-1])
        np.testing.assert_array_equal(loaded.repeats, trials)
        np.testing.assert_array_equal(loaded.stimulus.times, times)
        with pytest.raises(ValueError, match="a.npz: 's' has 2 colour channels"):
            load_arrays(tmp_path / "a.npz", **options)

    def test_movie_stays_in_the_file(self, tmp_path):
        (tmp_path / "f").mkdir()
        np.save(tmp_path / "f" / "stim.npy", MOVIE)
        np.save(tmp_path / "f" / "r.npy", RATES)
        loaded = load_arrays(tmp_path / "f", stimulus="stim", rates="r", frame_rate_hz=9.0)
        assert not isinstance(loaded.stimulus.frames, np.ndarray)
        np.testing.assert_array_equal(loaded.stimulus.frames[3:9], MOVIE[3:9])

    def test_nothing_is_unpickled(self, tmp_path):
        np.savez(tmp_path / "a.npz", stim=MOVIE, r=np.array([{}], dtype=object))
        with pytest.raises(ValueError, match="a.npz: 'r' holds Python objects"):
            load_arrays(tmp_path / "a.npz", stimulus="stim", rates="r", frame_rate_hz=9.0)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.mat", b"MATLAB 5.0 MAT-file" + bytes(200), "no MATLAB file of version 5"),
            ("a.mat", b"", "no MATLAB file of version 5"),
            ("a.txt", b"1,2,3", "no arrays that are known here"),
        ],
    )
    def test_damaged(self, name, content, message, tmp_path):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}.*{message}"):
            load_arrays(tmp_path / name, stimulus="stim", rates="r", frame_rate_hz=9.0)
        with pytest.raises(FileNotFoundError, match="No file"):
            load_arrays(tmp_path / "b.mat", stimulus="stim", rates="r", frame_rate_hz=9.0)


class TestDeclaredSizes:
    def test_hdf5_that_promises_too_much(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for part in ("train", "test"):
                for name in ("time", "response/firing_rate_10ms"):
                    file[f"{part}/{name}"] = np.zeros(3)
            file.create_dataset("train/stimulus", (10**12, 50, 50), "u1", chunks=(1, 50, 50))
        with pytest.raises(ValueError, match="a.h5: 'train/stimulus' says it is 10{12} x 50"):
            load_recording(tmp_path / "a.h5")
        with pytest.raises(ValueError, match="only 0 bytes"):
            load_arrays(tmp_path / "a.h5", stimulus="train/stimulus", frame_rate_hz=1.0)
        with pytest.raises(ValueError, match="only 0 bytes"):
            load_interneurons(tmp_path / "a.h5")

    def test_npy_that_promises_too_much(self, tmp_path):
        (tmp_path / "f").mkdir()
        np.save(tmp_path / "f" / "stim.npy", MOVIE)
        content = (tmp_path / "f" / "stim.npy").read_bytes()
        (tmp_path / "f" / "stim.npy").write_bytes(content.replace(b"(60, 5, 4)", b"(6**9, 5,4)"))
        with pytest.raises(ValueError, match="stim.npy is not a NumPy array"):
            load_arrays(tmp_path / "f", stimulus="stim", frame_rate_hz=1.0)
        (tmp_path / "f" / "stim.npy").write_bytes(content.replace(b"(60, 5, 4)", b"(99, 5, 4)"))
        with pytest.raises(ValueError, match=r"says it has the shape \(99, 5, 4\)"):
            load_arrays(tmp_path / "f", stimulus="stim", frame_rate_hz=1.0)

    def test_what_compresses_well_is_no_lie(self):
        check_size("here", (2**32,), np.dtype("u1"), stored_bytes=2**22)


def test_table_of_cells_may_be_a_mapping():
    cells = {"kind": ["ON", "OFF", "ON"]}
    recording = from_arrays(MOVIE, rates=RATES, frame_rate_hz=9.0, cells=cells)
    pd.testing.assert_frame_equal(recording.cells, pd.DataFrame(cells))


class TestConvert:
    """The command, in this process; tests/test_cli.py starts others in processes of their own."""

    def test_lab_file(self, lab_file, tmp_path):
        target = tmp_path / "a.nwb"
        options = ["--skip-frames", "3", "--cell", "2", "--cell", "0", "--sex", "F"]
        options += ["--species", "Ambystoma tigrinum", "--session-start", "2015-10-07"]
        done = CliRunner().invoke(cli.app, ["convert", str(lab_file), str(target), *options])
        assert done.exit_code == 0, done.output
        assert "a.nwb: 72 frames, 2 cells" in done.output
        expected = load_recording(lab_file, skip_frames=3, cells=[2, 0])
        loaded = load_recording(target)
        np.testing.assert_array_equal(loaded.rates, expected.rates)
        np.testing.assert_array_equal(loaded.stimulus.frames[:], expected.stimulus.frames[:])
        assert (loaded.splits, loaded.source) == (expected.splits, "15-10-07/whitenoise.h5")
        with pynwb.NWBHDF5IO(target, "r") as io:
            nwb = io.read()
            assert (nwb.subject.sex, nwb.subject.species) == ("F", "Ambystoma tigrinum")
            assert nwb.session_start_time.date() == date(2015, 10, 7)

    def test_nothing_is_overwritten(self, lab_file, tmp_path):
        (tmp_path / "a.nwb").write_text("mine")
        done = CliRunner().invoke(cli.app, ["convert", str(lab_file), str(tmp_path / "a.nwb")])
        assert "is there already" in str(done.exception)
        assert (tmp_path / "a.nwb").read_text() == "mine"

    def test_session_of_open_retina(self, sessions, tmp_path):
        options = ["--session", "mouse1", "--frame-rate-hz", "30", "--channel", "all"]
        words = [str(sessions), str(tmp_path / "a.nwb"), "--test-name", "a", *options]
        done = CliRunner().invoke(cli.app, ["convert", *words])
        assert done.exit_code == 0, done.output
        assert load_recording(tmp_path / "a.nwb").splits == {"train": (0, 20), "test": (20, 41)}

    def test_arrays_by_a_mapping(self, tmp_path):
        write_npz(tmp_path / "a.npz")
        mapping = {"stimulus": "stim", "rates": "r", "frame_rate_hz": 100.0, **AXES}
        (tmp_path / "map.json").write_text(json.dumps(mapping))
        words = [str(tmp_path / "a.npz"), str(tmp_path / "a.nwb"), "--arrays"]
        done = CliRunner().invoke(cli.app, ["convert", *words, str(tmp_path / "map.json")])
        assert done.exit_code == 0, done.output
        np.testing.assert_array_equal(load_recording(tmp_path / "a.nwb").rates, RATES)
        for text, message in {"[1]": "must hold names and values", "{": "is not JSON"}.items():
            (tmp_path / "map.json").write_text(text)
            (tmp_path / "a.nwb").unlink(missing_ok=True)
            done = CliRunner().invoke(cli.app, ["convert", *words, str(tmp_path / "map.json")])
            assert message in str(done.exception)
