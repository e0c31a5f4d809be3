import warnings
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pynwb
import pytest
from pynwb.image import ImageSeries, OpticalSeries

from retina_codec import recordings
from retina_codec.datatypes import Fields, Recording, Stimulus
from retina_codec.export import save
from retina_codec.recordings import Joined, Scaled, load_recording, write_nwb
from retina_codec.recordings._lazy import Stored

REAL = Path(__file__).parents[2] / "shared/recordings/salamander_checkerboard.nwb"
N, RATE_HZ, START_S = 40, 20.0, 1.0
MOVIE = np.random.default_rng(0).integers(0, 255, (N, 4, 3), dtype=np.uint8)
SPIKES = [np.sort(np.random.default_rng(seed).uniform(1.0, 3.0, 60)) for seed in (1, 2)]


def movie(name="noise", kind=ImageSeries, **changes):
    given = {"data": MOVIE, "unit": "n.a.", "rate": RATE_HZ, "starting_time": START_S} | changes
    return kind(name=name, **{key: value for key, value in given.items() if value is not None})


def nwb_file(path, *stimuli, units=SPIKES, intervals=None, columns=None):
    nwb = pynwb.NWBFile("a session", "id", datetime(2026, 1, 1, tzinfo=UTC))
    for stimulus in stimuli:
        nwb.add_stimulus(stimulus)
    for name in columns or {}:
        nwb.add_unit_column(name=name, description=name)
    for i, spikes in enumerate(units):
        row = {name: values[i] for name, values in (columns or {}).items()}
        if intervals is not None:
            row["obs_intervals"] = intervals[i]
        nwb.add_unit(id=10 + i, spike_times=spikes, **row)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwb, cache_spec=False)
    return path


def slow_rates(spikes, starts, last_duration):
    """Count in the most obvious way."""
    stops = [*starts[1:], starts[-1] + last_duration]
    return [
        sum(start <= spike < stop for spike in spikes) / (stop - start)
        for start, stop in zip(starts, stops, strict=True)
    ]


def simulated(**changes):
    """Spikes in the training part only; the test part has trials."""
    rng = np.random.default_rng(5)
    edges = START_S + np.arange(N + 1) / RATE_HZ
    spikes = tuple(np.sort(rng.uniform(edges[0], edges[30], 50)) for _ in range(3))
    rates = np.stack([np.histogram(times, edges)[0] * RATE_HZ for times in spikes], axis=1)
    repeats = rng.integers(0, 3, (4, 10, 3)) * RATE_HZ
    rates[30:] = repeats.mean(axis=0)
    values = {
        "stimulus": Stimulus(
            frames=rng.normal(size=(N, 5, 4)).astype(np.float32),
            frame_rate_hz=RATE_HZ,
            start_s=START_S,
            pixel_um=50.0,
            name="white noise",
        ),
        "rates": rates,
        "cells": pd.DataFrame({"kind": ["ON", "OFF", "ON"], "row": [1, 2, 3], "gain": [0.1, 2, 3]}),
        "splits": {"train": (0, 30), "test": (30, N)},
        "spike_times": spikes,
        "repeats": repeats,
        "source": "simulated",
        "circuit": {"seed": 5, "subunits": {"n": 4}},
    }
    return Recording(**values | changes)


def assert_same(loaded, recording):
    np.testing.assert_array_equal(loaded.stimulus.frames[:], np.asarray(recording.stimulus.frames))
    assert loaded.stimulus.frames.dtype == recording.stimulus.frames.dtype
    for name in ("frame_rate_hz", "start_s", "pixel_um", "name"):
        assert getattr(loaded.stimulus, name) == getattr(recording.stimulus, name)
    np.testing.assert_allclose(loaded.rates, recording.rates, rtol=1e-12)
    columns = recording.cells.columns
    pd.testing.assert_frame_equal(loaded.cells[columns], recording.cells, check_dtype=False)
    for name in ("splits", "source", "circuit"):
        assert getattr(loaded, name) == getattr(recording, name)
    assert (loaded.spike_times is None) == (recording.spike_times is None)
    for one, other in zip(loaded.spike_times or (), recording.spike_times or (), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (loaded.repeats is None) == (recording.repeats is None)
    if recording.repeats is not None:
        np.testing.assert_array_equal(loaded.repeats, recording.repeats)


class TestOwnNwb:
    def test_comes_back_equal_and_valid(self, tmp_path):
        recording = simulated()
        write_nwb(recording, tmp_path / "a.nwb")
        assert pynwb.validate(path=tmp_path / "a.nwb") == []
        loaded = load_recording(tmp_path / "a.nwb")
        assert_same(loaded, recording)
        assert [p.name for p in tmp_path.iterdir()] == ["a.nwb"]
        with h5py.File(tmp_path / "a.nwb") as file:
            assert "firing_rates" not in file["processing/ecephys"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"spike_times": None},
            {"repeats": None, "circuit": None},
            {"rates": np.random.default_rng(0).random((N, 3)), "repeats": None},
            {"splits": {"train": (0, 20), "validation": (20, 30), "test": (30, N)}},
        ],
        ids=["no spikes", "no trials", "smoothed rates", "three splits"],
    )
    def test_whatever_spikes_do_not_tell_is_kept(self, changes, tmp_path):
        recording = simulated(**changes)
        write_nwb(recording, tmp_path / "a.nwb")
        assert pynwb.validate(path=tmp_path / "a.nwb", use_cached_namespaces=False) == []
        assert_same(load_recording(tmp_path / "a.nwb"), recording)

    def test_unobserved_frames_become_intervals(self, tmp_path):
        edges = START_S + np.arange(N + 1) / RATE_HZ
        counts = [np.histogram(times, edges)[0] * RATE_HZ for times in simulated().spike_times]
        rates = np.stack(counts, axis=1)
        rates[[0, 1, 7, 39], 1] = np.nan
        recording = simulated(repeats=None, rates=rates)
        write_nwb(recording, tmp_path / "a.nwb")
        assert_same(load_recording(tmp_path / "a.nwb"), recording)
        with h5py.File(tmp_path / "a.nwb") as file:
            assert "ecephys" not in file["processing"]
            assert len(file["units/obs_intervals"]) == 1 + 2 + 1

    def test_rewriting_a_loaded_recording(self, tmp_path):
        nwb_file(tmp_path / "a.nwb", movie(), columns={"kind": ["ON", "OFF"]})
        first = load_recording(tmp_path / "a.nwb")
        write_nwb(first, tmp_path / "b.nwb")
        second = load_recording(tmp_path / "b.nwb")
        assert_same(second, first)
        assert list(second.cells.columns) == ["unit_id", "kind", "n_spikes"]

    def test_columns_that_nwb_would_not_take(self, tmp_path):
        table = {"name": ["a", "b", "c"], "on/off": [1, 2, 3], "electrodes": [1, "2", None]}
        recording = simulated(cells=pd.DataFrame(table).astype({"name": str}))
        write_nwb(recording, tmp_path / "a.nwb")
        cells = load_recording(tmp_path / "a.nwb").cells
        assert list(cells["name"]) == ["a", "b", "c"] and list(cells["on/off"]) == [1, 2, 3]
        assert list(cells["electrodes"]) == ["1", "2", "None"]

    def test_failure_leaves_the_old_file_and_nothing_else(self, tmp_path, monkeypatch):
        (tmp_path / "a.nwb").write_text("old")
        write = pynwb.NWBHDF5IO.write

        def fail_after_writing(*args, **kwargs):
            write(*args, **kwargs)
            raise OSError("disk full")

        monkeypatch.setattr(pynwb.NWBHDF5IO, "write", fail_after_writing)
        with pytest.raises(OSError, match="disk full"):
            write_nwb(simulated(), tmp_path / "a.nwb")
        assert [p.name for p in tmp_path.iterdir()] == ["a.nwb"]
        assert (tmp_path / "a.nwb").read_text() == "old"

    def test_name_must_end_in_nwb(self, tmp_path):
        with pytest.raises(ValueError, match=r"must end in \.nwb, got 'a\.h5'"):
            write_nwb(simulated(), tmp_path / "a.h5")


class TestNwb:
    def test_rate_and_timestamps_agree_with_slow_counting(self, tmp_path):
        jitter = np.random.default_rng(3).uniform(-0.005, 0.005, N)
        timestamps = START_S + np.arange(N) / RATE_HZ + jitter
        nwb_file(tmp_path / "rate.nwb", movie())
        nwb_file(
            tmp_path / "times.nwb", movie(rate=None, starting_time=None, timestamps=timestamps)
        )
        regular = load_recording(tmp_path / "rate.nwb")
        measured = load_recording(tmp_path / "times.nwb")
        typical = np.median(np.diff(timestamps))
        for cell, spikes in enumerate(SPIKES):
            starts = [START_S + i / RATE_HZ for i in range(N)]
            np.testing.assert_allclose(
                regular.rates[:, cell], slow_rates(spikes, starts, 1 / RATE_HZ)
            )
            np.testing.assert_allclose(
                measured.rates[:, cell], slow_rates(spikes, list(timestamps), typical)
            )
        assert regular.stimulus.frame_rate_hz == RATE_HZ
        assert measured.stimulus.frame_rate_hz == pytest.approx(RATE_HZ, rel=0.01)
        assert measured.stimulus.times is None
        assert measured.stimulus.start_s == timestamps[0]

    def test_what_is_loaded(self, tmp_path):
        columns = {"kind": ["ON", "OFF"], "depth": [1.5, 2.0], "good": [True, False]}
        nwb_file(tmp_path / "a.nwb", movie(), columns=columns)
        recording = load_recording(tmp_path / "a.nwb")
        assert isinstance(recording.stimulus.frames, Stored)
        np.testing.assert_array_equal(recording.stimulus.frames[3:7], MOVIE[3:7])
        assert recording.stimulus.name == "noise"
        expected = pd.DataFrame({"unit_id": [10, 11], **columns, "n_spikes": [60, 60]})
        pd.testing.assert_frame_equal(recording.cells, expected, check_dtype=False)
        np.testing.assert_array_equal(recording.spike_times[1], SPIKES[1])
        assert recording.splits == {"train": (0, 34), "test": (34, N)}
        assert recording.repeats is None and recording.circuit is None

    def test_choice_of_cells_and_test_frames(self, tmp_path):
        nwb_file(tmp_path / "a.nwb", movie())
        both = load_recording(tmp_path / "a.nwb")
        one = load_recording(tmp_path / "a.nwb", cells=[1], test_frames=10)
        np.testing.assert_array_equal(one.rates, both.rates[:, [1]])
        assert list(one.cells["unit_id"]) == [11] and len(one.spike_times) == 1
        assert one.splits == {"train": (0, 30), "test": (30, N)}

    def test_unobserved_frames_are_nan(self, tmp_path):
        intervals = [np.array([[1.1, 1.5], [2.0, 9.0]]), np.array([[0.0, 9.0]])]
        nwb_file(tmp_path / "a.nwb", movie(), intervals=intervals)
        rates = load_recording(tmp_path / "a.nwb").rates
        unobserved = np.r_[0:2, 10:20]
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(rates[:, 0])), unobserved)
        assert np.isfinite(rates[:, 1]).all()

    def test_silent_unit_is_kept_and_named(self, tmp_path):
        nwb_file(tmp_path / "a.nwb", movie(), units=[SPIKES[0], np.array([])])
        with pytest.warns(UserWarning, match=r"Cell 1 \(unit 11\) has no spikes"):
            recording = load_recording(tmp_path / "a.nwb")
        assert recording.rates.shape == (N, 2) and not recording.rates[:, 1].any()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            load_recording(tmp_path / "a.nwb", cells=[0])

    def test_dropped_frames_warn(self, tmp_path):
        timestamps = START_S + np.arange(N) / RATE_HZ
        timestamps[20:] += 0.2
        nwb_file(tmp_path / "a.nwb", movie(rate=None, starting_time=None, timestamps=timestamps))
        with pytest.warns(UserWarning, match=r"1 frames last longer .* frame 19 with 0.25 s"):
            recording = load_recording(tmp_path / "a.nwb")
        assert recording.stimulus.frame_rate_hz == pytest.approx(RATE_HZ)
        np.testing.assert_allclose(recording.stimulus.times, timestamps)
        write_nwb(recording, tmp_path / "b.nwb")
        with pytest.warns(UserWarning, match="last longer"):
            again = load_recording(tmp_path / "b.nwb")
        np.testing.assert_allclose(again.stimulus.times, timestamps)

    def test_scaled_and_binary_movies(self, tmp_path):
        bits = MOVIE > 100
        scaled = movie("scaled", OpticalSeries, conversion=0.5, offset=-1.0)
        nwb_file(tmp_path / "a.nwb", scaled, movie("bits"))
        with h5py.File(tmp_path / "a.nwb", "a") as file:
            del file["stimulus/presentation/bits/data"]
            file["stimulus/presentation/bits/data"] = bits
        frames = load_recording(tmp_path / "a.nwb", stimulus="scaled").stimulus.frames
        assert frames.dtype == np.float32
        np.testing.assert_array_equal(frames[5:9], MOVIE[5:9] * np.float32(0.5) - 1)
        frames = load_recording(tmp_path / "a.nwb", stimulus="b*").stimulus.frames
        np.testing.assert_array_equal(np.asarray(frames), bits)

    def test_name_and_pattern_choose_among_several(self, tmp_path):
        nwb_file(tmp_path / "a.nwb", movie("noise"), movie("noise_2"), movie("scenes"))
        for asked, name in (("noise", "noise"), ("noise_*", "noise_2"), ("s*", "scenes")):
            assert load_recording(tmp_path / "a.nwb", stimulus=asked).stimulus.name == name
        listed = r"'noise' \(ImageSeries, shape \(40, 4, 3\)\), 'noise_2' .*'scenes'"
        for asked in (None, "noise*"):
            with pytest.raises(ValueError, match=f"Several stimuli fit.*{listed}"):
                load_recording(tmp_path / "a.nwb", stimulus=asked)
        with pytest.raises(ValueError, match="No stimulus 'scene'.* Did you mean 'scenes'"):
            load_recording(tmp_path / "a.nwb", stimulus="scene")

    def test_the_one_readable_stimulus_is_taken(self, tmp_path):
        deep = movie("deep", data=np.zeros((N, 4, 3, 7), dtype=np.uint8))
        nwb_file(tmp_path / "a.nwb", deep, movie("noise"))
        assert load_recording(tmp_path / "a.nwb").stimulus.name == "noise"

    def test_other_encodings_are_refused(self, tmp_path):
        deep = movie("deep", data=np.zeros((N, 4, 3, 7), dtype=np.uint8))
        sound = pynwb.TimeSeries(name="sound", data=np.zeros(N), unit="V", rate=RATE_HZ)
        nwb_file(tmp_path / "a.nwb", deep, sound)
        found = r"'deep' \(ImageSeries, shape \(40, 4, 3, 7\)\), 'sound' \(TimeSeries, shape"
        for asked in (None, "sound"):
            with pytest.raises(ValueError, match=f"{found}.*This version reads ImageSeries and"):
                load_recording(tmp_path / "a.nwb", stimulus=asked)

    def test_no_stimulus_or_only_intervals(self, tmp_path):
        nwb_file(tmp_path / "a.nwb")
        with pytest.raises(ValueError, match=r"Found: nothing in stimulus/presentation\. This"):
            load_recording(tmp_path / "a.nwb")
        with h5py.File(tmp_path / "a.nwb", "a") as file:
            file.create_group("intervals/gratings_presentations")
        with pytest.raises(ValueError, match="only the time intervals 'gratings_presentations'"):
            load_recording(tmp_path / "a.nwb")

    def test_no_units(self, tmp_path):
        nwb_file(tmp_path / "a.nwb", movie(), units=[])
        with pytest.raises(ValueError, match="a.nwb has no units, i.e. no sorted cells"):
            load_recording(tmp_path / "a.nwb")

    def test_units_without_spike_times(self, tmp_path):
        nwb_file(tmp_path / "a.nwb", movie())
        with h5py.File(tmp_path / "a.nwb", "a") as file:
            del file["units/spike_times"]
        with pytest.raises(ValueError, match="the units have no spike_times"):
            load_recording(tmp_path / "a.nwb")

    @pytest.mark.parametrize(
        ("timestamps", "message"),
        [
            (np.arange(N - 1.0), "one timestamp for each of 40 frames, got 39"),
            (np.r_[0.0, 2.0, 1.0, 3.0:N], "must ascend, but frame 2 is at 1 s after 2 s"),
            (np.r_[0.0, np.nan, 2.0:N], "must ascend, but frame 1 is at nan s after 0 s"),
        ],
    )
    def test_bad_clock(self, timestamps, message, tmp_path):
        nwb_file(tmp_path / "a.nwb", movie())
        with h5py.File(tmp_path / "a.nwb", "a") as file:
            del file["stimulus/presentation/noise/starting_time"]
            file["stimulus/presentation/noise/timestamps"] = timestamps
        with pytest.raises(ValueError, match=f"Stimulus 'noise': .*{message}"):
            load_recording(tmp_path / "a.nwb")

    def test_no_clock(self, tmp_path):
        nwb_file(tmp_path / "a.nwb", movie())
        with h5py.File(tmp_path / "a.nwb", "a") as file:
            del file["stimulus/presentation/noise/starting_time"]
        with pytest.raises(ValueError, match="expected timestamps, or a starting_time with a rate"):
            load_recording(tmp_path / "a.nwb")

    @pytest.mark.parametrize("version", ["NWB-1.0.6", "1.0.2"])
    def test_nwb_1_is_refused(self, version, tmp_path):
        with h5py.File(tmp_path / "dataset.nwb", "w") as file:
            file["nwb_version"] = version
        with h5py.File(tmp_path / "attribute.nwb", "w") as file:
            file.attrs["nwb_version"] = version
        for name in ("dataset.nwb", "attribute.nwb"):
            with pytest.raises(ValueError, match=f"is an NWB 1 file .*'{version}'.* Convert it"):
                load_recording(tmp_path / name)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"cells": [2]}, "No cell 2: the recording has 2 cells, 0 to 1"),
            ({"cells": [-1]}, "No cell -1"),
            ({"cells": []}, "'cells' is empty"),
            ({"test_frames": N}, "'test_frames' must be above 0 and below 40, got 40"),
            ({"test_frames": 0}, "'test_frames' must be above 0"),
            ({"response": "binned"}, "'response' does not apply to a NWB. Options .*: stimulus"),
        ],
    )
    def test_impossible_requests_close_the_file(self, options, message, tmp_path, monkeypatch):
        nwb_file(tmp_path / "a.nwb", movie())
        opened, open_file = [], recordings._opened

        def remember(*args):
            opened.append(open_file(*args))
            return opened[0]

        monkeypatch.setattr(recordings, "_opened", remember)
        with pytest.raises(ValueError, match=message):
            load_recording(tmp_path / "a.nwb", **options)
        assert len(opened) == 1 and not opened[0]


class TestLabHdf5:
    def test_alignment(self, lab_file):
        recording = load_recording(lab_file)
        with h5py.File(lab_file) as file:
            train, test = file["train"], file["test"]
            frames = np.concatenate([train["stimulus"], test["stimulus"]])
            rates = np.concatenate(
                [
                    train["response/firing_rate_10ms"][()].T,
                    test["response/firing_rate_10ms"][:, :-1].T,
                ]
            )
            trials = [test[f"repeats/cell0{i}"][:, :-1] for i in (1, 2, 3)]
        np.testing.assert_array_equal(recording.stimulus.frames[:], frames)
        np.testing.assert_array_equal(recording.rates, rates)
        np.testing.assert_array_equal(recording.repeats, np.stack(trials, axis=-1))
        assert recording.splits == {"train": (0, 30), "test": (30, 42)}
        assert recording.stimulus.frame_rate_hz == pytest.approx(100.0)
        assert recording.stimulus.start_s == 5.0
        assert recording.stimulus.name == "naturalscene"
        assert recording.source == "15-10-07/naturalscene.h5"
        assert list(recording.cells["cell"]) == ["cell01", "cell02", "cell03"]
        assert list(recording.cells["n_spikes"]) == [1, 2, 3]

    def test_counts_become_hz(self, lab_file):
        rates = load_recording(lab_file, response="binned").rates
        with h5py.File(lab_file) as file:
            counts = file["train/response/binned"][()].T
        np.testing.assert_allclose(rates[:30], counts * 100)

    def test_trials_by_kind_of_response(self, lab_file):
        with h5py.File(lab_file, "a") as file:
            del file["test/repeats"]
            trials = np.random.default_rng(0).random((5, 3, 12))
            file["test/repeats/firing_rate_10ms"] = trials
            file["test/repeats/binned"] = trials
        repeats = load_recording(lab_file, cells=[2, 0]).repeats
        np.testing.assert_array_equal(repeats, trials.transpose(0, 2, 1)[:, :, [2, 0]])
        repeats = load_recording(lab_file, response="binned").repeats
        np.testing.assert_allclose(repeats, trials.transpose(0, 2, 1) * 100)

    def test_without_trials_and_spikes(self, lab_file):
        with h5py.File(lab_file, "a") as file:
            del file["test/repeats"], file["spikes"]
        recording = load_recording(lab_file)
        assert recording.repeats is None and recording.spike_times is None

    def test_written_as_nwb(self, lab_file, tmp_path):
        recording = load_recording(lab_file)
        write_nwb(recording, tmp_path / "lab.nwb")
        loaded = load_recording(tmp_path / "lab.nwb")
        np.testing.assert_array_equal(loaded.stimulus.frames[:], recording.stimulus.frames[:])
        np.testing.assert_array_equal(loaded.rates, recording.rates)
        assert loaded.splits == recording.splits

    @pytest.mark.parametrize(
        ("place", "shape", "message"),
        [
            ("train/response/firing_rate_10ms", (3, 31), "has 31 time bins .* 30 frames"),
            ("test/response/firing_rate_10ms", (3, 14), "14 time bins .* 12 frames.* or one more"),
            ("test/repeats/cell02", (5, 11), "/test/repeats/cell02 has 11 time bins .* 12 frames"),
            ("test/repeats/cell02", (4, 13), "as many trials as the others, .*cell02 4"),
            ("train/time", (29,), "train/stimulus has 30 frames but train/time has 29"),
        ],
    )
    def test_lengths_that_disagree(self, place, shape, message, lab_file):
        with h5py.File(lab_file, "a") as file:
            del file[place]
            file[place] = np.ones(shape)
        with pytest.raises(ValueError, match=message):
            load_recording(lab_file)

    def test_errors(self, lab_file):
        with pytest.raises(ValueError, match="No response 'firing_rate_10' .*Did you mean 'firing"):
            load_recording(lab_file, response="firing_rate_10")
        with pytest.raises(ValueError, match="'stimulus' does not apply to a lab HDF5"):
            load_recording(lab_file, stimulus="naturalscene")
        with pytest.raises(ValueError, match="'test_frames' is for files without splits"):
            load_recording(lab_file, test_frames=3)
        with h5py.File(lab_file, "a") as file:
            del file["spikes/cell03"]
        with pytest.raises(ValueError, match="spikes has 2 cells but the responses have 3"):
            load_recording(lab_file)
        with h5py.File(lab_file, "a") as file:
            del file["train/time"]
        with pytest.raises(ValueError, match="lacks train/time"):
            load_recording(lab_file)


@pytest.fixture
def lab_file(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "15-10-07").mkdir()
    path = tmp_path / "15-10-07" / "naturalscene.h5"
    with h5py.File(path, "w") as file:
        for part, n_frames, extra in (("train", 30, 0), ("test", 12, 1)):
            file[f"{part}/stimulus"] = rng.integers(0, 255, (n_frames, 5, 5), dtype=np.uint8)
            file[f"{part}/time"] = 5.0 + np.arange(n_frames) / 100
            counts = rng.integers(0, 3, (3, n_frames + extra)).astype(float)
            file[f"{part}/response/binned"] = counts
            for width in (5, 10, 20):
                file[f"{part}/response/firing_rate_{width}ms"] = counts * 100 / width
        for cell in (1, 2, 3):
            file[f"test/repeats/cell{cell:02d}"] = rng.random((5, 13))
            file[f"spikes/cell{cell:02d}"] = 5.0 + np.arange(cell) / 10
    return path


class TestOwnFormat:
    @pytest.mark.parametrize("suffix", [".nc", ".h5", ".zarr"])
    def test_saved_recording(self, suffix, tmp_path):
        recording = simulated()
        save(recording, tmp_path / f"a{suffix}")
        loaded = load_recording(tmp_path / f"a{suffix}", cells=[0, 2])
        np.testing.assert_array_equal(loaded.rates, recording.rates[:, [0, 2]])
        assert loaded.circuit == recording.circuit

    def test_another_record(self, tmp_path):
        values, items = np.zeros((1, 2, 3, 3)), pd.DataFrame({"cell": [0]})
        save(Fields(values=values, items=items, frame_rate_hz=1.0), tmp_path / "a.h5")
        with pytest.raises(ValueError, match="Expected a dataset with a Recording, got Fields"):
            load_recording(tmp_path / "a.h5")


class TestOtherFiles:
    def test_no_file(self, tmp_path):
        nwb_file(tmp_path / "retina.nwb", movie())
        with pytest.raises(
            FileNotFoundError, match=r"No file .*retinas\.nwb. Did you mean 'retina"
        ):
            load_recording(tmp_path / "retinas.nwb")

    def test_not_hdf5(self, tmp_path):
        (tmp_path / "a.nwb").write_text("spikes, cells")
        with pytest.raises(ValueError, match="not an HDF5 file .it starts with b'spikes, '"):
            load_recording(tmp_path / "a.nwb")

    def test_folder(self, tmp_path):
        with pytest.raises(ValueError, match="is a folder, but not one in the Zarr format"):
            load_recording(tmp_path)

    def test_unknown_layout(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["movie"], file["trace"] = 1, 2
        with pytest.raises(ValueError, match="no layout that is known .* It holds: movie, trace"):
            load_recording(tmp_path / "a.h5")

    def test_record_speaks_for_itself(self, tmp_path, as_user):
        nwb_file(tmp_path / "a.nwb", movie())
        with h5py.File(tmp_path / "a.nwb", "a") as file:
            file["scratch/retina_codec"] = "{}"
            file["processing/ecephys/firing_rates/data"] = np.zeros((N - 1, 2))
        with pytest.raises(
            ValueError, match="Recording: axis 'time' is 40 in .* but 39 in 'rates'"
        ):
            load_recording(tmp_path / "a.nwb")


class TestLazyMovies:
    parts = [MOVIE[:7], MOVIE[7:8], MOVIE[8:]]

    @pytest.mark.parametrize(
        "key",
        [
            slice(None),
            slice(3, 12),
            slice(7, 8),
            slice(-5, None),
            slice(20, 10),
            slice(2, 30, 3),
            slice(None, None, -1),
            0,
            -1,
            np.int64(7),
            [9, 3, 3, 7],
            np.array([[False]]).nonzero()[0],
            np.arange(N)[::-1],
        ],
        ids=str,
    )
    def test_joined_slices_like_an_array(self, key, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            stored = [file.create_dataset(str(i), data=part) for i, part in enumerate(self.parts)]
            joined = Joined(stored)
            np.testing.assert_array_equal(joined[key], MOVIE[key])
            assert joined[key].dtype == MOVIE.dtype
            np.testing.assert_array_equal(np.asarray(joined), MOVIE)
            assert (joined.shape, len(joined), joined.ndim) == (MOVIE.shape, N, 3)

    def test_errors(self):
        joined = Joined(self.parts)
        for frame in (N, -N - 1, [0, N]):
            with pytest.raises(IndexError, match=f"outside of a movie of {N} frames"):
                joined[frame]
        with pytest.raises(IndexError, match="picked by whole numbers, got 1-D bool"):
            joined[np.ones(N, dtype=bool)]
        with pytest.raises(ValueError, match="frames have one size"):
            Joined([MOVIE, MOVIE[:, :2]])

    def test_scaled(self):
        scaled = Scaled(MOVIE, factor=2.0, offset=1.0)
        assert len(scaled) == N and scaled[0:0].shape == (0, 4, 3)
        np.testing.assert_array_equal(np.asarray(scaled), MOVIE * np.float32(2) + 1)


@pytest.mark.real
@pytest.mark.skipif(not REAL.exists(), reason="the recording is not here")
def test_real_recording():
    recording = load_recording(REAL)
    assert recording.stimulus.frames.shape == (36000, 24, 24)
    assert recording.rates.shape == (36000, 16)
    assert recording.splits == {"train": (0, 31000), "test": (31000, 36000)}
    with h5py.File(REAL) as file:
        n_spikes = len(file["units/spike_times"])
    assert recording.rates.sum() / recording.stimulus.frame_rate_hz == pytest.approx(n_spikes)
    assert recording.cells["n_spikes"].sum() == n_spikes
    assert {"source_cell", "rf_row", "rf_column"} <= set(recording.cells.columns)
