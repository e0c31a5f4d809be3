"""One test for each way in which NWB files hold stimuli, and for what they say beside them."""

import pickle
import subprocess
import sys
from datetime import UTC, datetime

import av
import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pynwb
import pytest
import zarr
from pynwb.base import ImageReferences, Images
from pynwb.epoch import TimeIntervals
from pynwb.image import GrayscaleImage, ImageSeries, IndexSeries, OpticalSeries, RGBImage
from typer.testing import CliRunner

from retina_codec import cli, recordings
from retina_codec.datatypes import Recording, Stimulus
from retina_codec.recordings import coherence, load_intervals, load_recording
from retina_codec.recordings._external_movie import ExternalMovie
from retina_codec.recordings._lazy import Stored
from retina_codec.stimuli import Screen, numpy_twister, presented_gratings, seeded_noise, windows

N, RATE_HZ, START_S = 40, 20.0, 1.0
RNG = np.random.default_rng(0)
MOVIE = RNG.integers(0, 255, (N, 4, 3), dtype=np.uint8)
COLOUR = RNG.integers(0, 255, (N, 4, 3, 3), dtype=np.uint8)
SPIKES = [np.sort(np.random.default_rng(seed).uniform(0.0, 9.0, 200)) for seed in (1, 2)]
ONSETS = START_S + np.arange(N) / RATE_HZ
ELSEWHERE = {"rate": None, "starting_time": None}


def series(name="noise", kind=ImageSeries, **changes):
    given = {"data": MOVIE, "unit": "n.a.", "rate": RATE_HZ, "starting_time": START_S} | changes
    return kind(name=name, **{key: value for key, value in given.items() if value is not None})


def session(*stimuli, templates=(), tables=(), spikes=SPIKES):
    nwb = pynwb.NWBFile("a session", "id", datetime(2026, 1, 1, tzinfo=UTC))
    for template in templates:
        nwb.add_stimulus_template(template)
    for stimulus in stimuli:
        nwb.add_stimulus(stimulus)
    for table in tables:
        nwb.add_time_intervals(table)
    for times in spikes:
        nwb.add_unit(spike_times=times)
    return nwb


def written(path, nwb):
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwb, cache_spec=False)
    return path


def nwb_file(path, *stimuli, **options):
    return written(path, session(*stimuli, **options))


def intervals(name, starts, stops, **columns):
    table = TimeIntervals(name=name, description=name)
    for column in columns:
        table.add_column(name=column, description=column)
    for i, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        row = {column: values[i] for column, values in columns.items()}
        table.add_row(start_time=float(start), stop_time=float(stop), **row)
    return table


def slow_rates(spikes, edges):
    return [
        sum(start <= spike < stop for spike in spikes) / (stop - start)
        for start, stop in zip(edges, edges[1:], strict=False)
    ]


class TestFramesInTheFile:
    @pytest.mark.parametrize("kind", [ImageSeries, OpticalSeries])
    @pytest.mark.parametrize(
        "movie",
        [
            MOVIE,
            MOVIE > 100,
            (MOVIE > 100).astype(np.uint8),
            MOVIE.astype(np.float64) / 7,
            MOVIE.astype(np.int16) - 99,
        ],
        ids=["uint8", "bool", "bits", "float", "int16"],
    )
    def test_grey(self, kind, movie, tmp_path):
        nwb_file(tmp_path / "a.nwb", series(kind=kind))
        with h5py.File(tmp_path / "a.nwb", "a") as file:
            del file["stimulus/presentation/noise/data"]
            file["stimulus/presentation/noise/data"] = movie
        frames = load_recording(tmp_path / "a.nwb").stimulus.frames
        np.testing.assert_array_equal(frames[:], movie.astype(frames.dtype))
        np.testing.assert_array_equal(frames[5:9], movie[5:9].astype(frames.dtype))

    @pytest.mark.parametrize("kind", [ImageSeries, OpticalSeries])
    def test_colour(self, kind, tmp_path):
        scaled = series(kind=kind, data=COLOUR, conversion=0.5, offset=1.0)
        nwb_file(tmp_path / "a.nwb", scaled)
        with pytest.warns(UserWarning, match="'noise' is in colour; it was turned into luminance"):
            frames = load_recording(tmp_path / "a.nwb").stimulus.frames
        red, green, blue = np.moveaxis(COLOUR * 0.5 + 1.0, -1, 0)
        expected = 0.299 * red + 0.587 * green + 0.114 * blue
        np.testing.assert_allclose(frames[:], expected, rtol=1e-5)
        np.testing.assert_allclose(frames[7], expected[7], rtol=1e-5)
        colour = recordings.one_channel(2)
        frames = load_recording(tmp_path / "a.nwb", colour=colour).stimulus.frames
        np.testing.assert_allclose(frames[3:5], blue[3:5])
        with pytest.raises(ValueError, match="No channel 3: the movie has 3, from 0"):
            load_recording(tmp_path / "a.nwb", colour=recordings.one_channel(3))
        with pytest.raises(ValueError, match="'colour' must turn frames"):
            load_recording(tmp_path / "a.nwb", colour=lambda frames: frames)

    def test_one_channel_needs_no_choice(self, tmp_path):
        nwb_file(tmp_path / "a.nwb", series(data=MOVIE[..., np.newaxis]))
        frames = load_recording(tmp_path / "a.nwb").stimulus.frames
        np.testing.assert_array_equal(frames[:], MOVIE)

    def test_float_times_of_single_precision_do_not_shift_bins(self, tmp_path):
        onsets = 5000.0 + np.arange(N) / 100
        spikes = [onsets + 0.005]
        nwb_file(tmp_path / "a.nwb", series(**ELSEWHERE, timestamps=onsets), spikes=spikes)
        with h5py.File(tmp_path / "a.nwb", "a") as file:
            del file["stimulus/presentation/noise/timestamps"]
            file["stimulus/presentation/noise/timestamps"] = onsets.astype(np.float32)
        recording = load_recording(tmp_path / "a.nwb")
        counts = recording.rates[:, 0] * np.diff(np.append(onsets.astype(np.float32), 5000.4))
        assert (counts.round() == 1).all()


class TestAxes:
    @pytest.mark.parametrize(
        ("axes", "order"),
        [("time x y", (0, 2, 1)), ("x y time", (2, 1, 0)), ("y x time", (1, 2, 0))],
    )
    def test_stated(self, axes, order, tmp_path):
        nwb_file(tmp_path / "a.nwb", series())
        with h5py.File(tmp_path / "a.nwb", "a") as file:
            del file["stimulus/presentation/noise/data"]
            file["stimulus/presentation/noise/data"] = MOVIE.transpose(order)
        frames = load_recording(tmp_path / "a.nwb", axes=axes).stimulus.frames
        assert frames.shape == MOVIE.shape
        for key in (slice(None), slice(3, 9), 4, -1):
            np.testing.assert_array_equal(frames[key], MOVIE[key])
        with pytest.raises(ValueError, match="must name each of time, y, x once.*'y time'"):
            load_recording(tmp_path / "a.nwb", axes="y time")

    def last_axis(self, path, movie, onsets, spikes):
        nwb_file(path, series(), spikes=[spikes])
        with h5py.File(path, "a") as file:
            group = file["stimulus/presentation/noise"]
            del group["data"], group["starting_time"]
            group["data"], group["timestamps"] = movie.transpose(2, 1, 0), onsets

    def test_time_is_where_the_timestamps_fit(self, tmp_path):
        noise = RNG.normal(size=(3000, 9, 8))
        drive = np.maximum(noise[:, 2:5, 3:6].sum(axis=(1, 2)), 0)
        onsets = np.arange(3000) / 100
        spikes = np.sort(np.repeat(onsets[2:] + 0.001, np.round(drive[:-2]).astype(int)))
        self.last_axis(tmp_path / "a.nwb", noise, onsets, spikes)
        with pytest.warns(UserWarning, match="3000 timestamps; the axes were taken as 'x y time'"):
            recording = load_recording(tmp_path / "a.nwb")
        np.testing.assert_array_equal(recording.stimulus.frames[:50], noise[:50])
        self.last_axis(tmp_path / "b.nwb", RNG.normal(size=noise.shape), onsets, spikes)
        with pytest.warns(UserWarning) as caught:
            load_recording(tmp_path / "b.nwb")
        assert "No cell has a smooth receptive field" in "".join(str(w.message) for w in caught)

    def test_coherence_sees_torn_fields(self):
        noise = RNG.normal(size=(4000, 12, 8))
        rates = np.maximum(noise[:, 4:8, 2:5].sum(axis=(1, 2)), 0)
        rates = np.stack([np.roll(rates, 2), np.zeros(4000)], axis=1)

        def of(frames):
            return Recording(
                stimulus=Stimulus(frames=frames, frame_rate_hz=100.0),
                rates=rates,
                cells=pd.DataFrame({"cell": [0, 1]}),
                splits={},
            )

        right, torn = coherence(of(noise)), coherence(of(noise.reshape(-1, 8, 12)))
        assert right[0].min() > 0.5 and torn[0].min() < 0.25
        assert np.isnan(right[1]).all()


class TestExternalMovies:
    def video(self, path, frames, codec="ffv1", fmt="gray", **options):
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=20, options=options)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = fmt
            given = "gray" if frames.ndim == 3 else "rgb24"
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=given)))
            container.mux(stream.encode(None))
        return path.name

    def film(self, names, n_frames, **changes):
        given = {"external_file": names, "format": "external", "num_samples": n_frames}
        return series("film", data=None, unit=None, **given, **changes)

    frames = np.random.default_rng(3).integers(0, 255, (60, 16, 24), dtype=np.uint8)

    def test_several_files(self, tmp_path):
        (tmp_path / "films").mkdir()
        for i, part in enumerate((self.frames[:25], self.frames[25:])):
            self.video(tmp_path / f"films/{i}.mkv", part)
        names = ["films/0.mkv", "./films/1.mkv"]
        nwb_file(tmp_path / "a.nwb", self.film(names, 60, starting_frame=[0, 25]))
        stimulus = load_recording(tmp_path / "a.nwb").stimulus
        assert stimulus.frames.shape == (60, 16, 24) and stimulus.frame_rate_hz == RATE_HZ
        for key in (slice(20, 30), slice(None), [59, 0, 26, 26], -1):
            np.testing.assert_array_equal(stimulus.frames[key], self.frames[key])
        nwb_file(tmp_path / "b.nwb", self.film(names, 60, starting_frame=[0, 30]))
        with pytest.raises(ValueError, match=r"starting_frame is .*30.*hold \[25, 35\] frames"):
            load_recording(tmp_path / "b.nwb")

    @pytest.mark.parametrize(
        ("codec", "fmt", "suffix", "options"),
        [
            ("ffv1", "gray", "mkv", {}),
            ("mpeg4", "yuv420p", "avi", {"g": "12", "bf": "2"}),
            ("libx264", "yuv420p", "mp4", {"g": "300", "bf": "3"}),
            ("mjpeg", "yuvj420p", "mov", {}),
        ],
    )
    def test_any_order_is_as_one_after_the_other(self, codec, fmt, suffix, options, tmp_path):
        frames = np.repeat(np.random.default_rng(0).integers(0, 255, (700, 1, 1)), 16, 1)
        frames = np.repeat(frames, 16, 2).astype(np.uint8)
        given = frames if fmt == "gray" else np.repeat(frames[..., np.newaxis], 3, -1)
        path = tmp_path / f"a.{suffix}"
        self.video(path, given, codec, fmt, **options)
        whole = ExternalMovie(path)[:]
        assert len(whole) == 700
        movie = ExternalMovie(path)
        for start in (640, 10, 300, 301, 699, 0):
            np.testing.assert_array_equal(movie[start : start + 3], whole[start : start + 3])
        again = pickle.loads(pickle.dumps(movie))
        np.testing.assert_array_equal(again[[5, 500]], whole[[5, 500]])

    def test_colour(self, tmp_path):
        flat = np.zeros((10, 16, 16, 3), dtype=np.uint8)
        flat[..., 0], flat[..., 2] = 200, 50
        self.video(tmp_path / "a.mkv", flat, "ffv1", "bgr0")
        nwb_file(tmp_path / "a.nwb", self.film(["a.mkv"], 10))
        with pytest.warns(UserWarning, match="'film' is in colour"):
            frames = load_recording(tmp_path / "a.nwb").stimulus.frames
        np.testing.assert_allclose(frames[:], 0.299 * 200 + 0.114 * 50, rtol=1e-5)

    def test_errors(self, tmp_path, monkeypatch):
        (tmp_path / "text.avi").write_text("no video")
        (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")
        self.video(tmp_path / "whole.mkv", self.frames)
        cases = {
            "gone.avi": r"external movie .*gone\.avi is not there",
            ".": "is no regular file",
            "text.avi": r"external movie .*text\.avi cannot be opened",
            "list.m3u8": r"external movie .*list\.m3u8 cannot be opened",
            "https://example.org/a.avi": "is not on this machine",
        }
        for name, message in cases.items():
            nwb_file(tmp_path / "a.nwb", self.film([name], 5))
            with pytest.raises(ValueError, match=message):
                load_recording(tmp_path / "a.nwb")
        nwb_file(tmp_path / "a.nwb", self.film(["whole.mkv"], 60))
        monkeypatch.delitem(sys.modules, "retina_codec.recordings._external_movie")
        monkeypatch.setitem(sys.modules, "av", None)
        with pytest.raises(ImportError, match=r"needs av: pip install 'retina-codec\[video\]'"):
            load_recording(tmp_path / "a.nwb")


class TestPickedFrames:
    order = [2, 0, 1]

    def images(self, pictures=MOVIE[:3], kind=GrayscaleImage):
        made = [kind(name=f"i{i}", data=picture) for i, picture in enumerate(pictures)]
        references = ImageReferences(name="order_of_images", data=[made[i] for i in self.order])
        return Images(name="pictures", images=made, order_of_images=references)

    def flashed(self, index, **changes):
        return IndexSeries(name="flashed", data=index, unit="N/A", rate=RATE_HZ, **changes)

    @pytest.mark.parametrize("dtype", [np.uint32, np.int32])
    def test_images_in_their_stated_order(self, dtype, tmp_path):
        images, index = self.images(), np.array([0, 1, 2, 2, 1, 0, 0], dtype=np.uint32)
        nwb_file(tmp_path / "a.nwb", self.flashed(index, indexed_images=images), templates=[images])
        with h5py.File(tmp_path / "a.nwb", "a") as file:
            replaced("stimulus/presentation/flashed/data", index.astype(dtype))(file)
        frames = load_recording(tmp_path / "a.nwb").stimulus.frames
        np.testing.assert_array_equal(frames[:], MOVIE[self.order][index])
        np.testing.assert_array_equal(frames[4:6], MOVIE[self.order][index[4:6]])
        np.testing.assert_array_equal(frames[-2], MOVIE[2])

    def test_colour_images(self, tmp_path):
        images = self.images(COLOUR[:3], RGBImage)
        index = np.array([0, 2], dtype=np.uint32)
        nwb_file(tmp_path / "a.nwb", self.flashed(index, indexed_images=images), templates=[images])
        colour = recordings.one_channel(1)
        frames = load_recording(tmp_path / "a.nwb", colour=colour).stimulus.frames
        np.testing.assert_array_equal(frames[:], COLOUR[self.order][index][..., 1])

    def test_frames_of_another_movie(self, tmp_path):
        template, images = series("template", data=MOVIE), self.images()
        index = np.array([39, 0, 7, 7], dtype=np.uint32)
        flashed = self.flashed(index, indexed_images=images)
        nwb_file(tmp_path / "a.nwb", flashed, templates=[template, images])
        with h5py.File(tmp_path / "a.nwb", "a") as file:  # pynwb only reads these.
            group = file["stimulus/presentation/flashed"]
            del group["indexed_images"]
            group["indexed_timeseries"] = h5py.SoftLink("/stimulus/templates/template")
        frames = load_recording(tmp_path / "a.nwb").stimulus.frames
        np.testing.assert_array_equal(frames[:], MOVIE[index])

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (np.array([0, 3]), "index names frame 3, but there are 3"),
            (np.array([0, -1]), "index names frame -1"),
            (np.array([0.0, 1.0]), "index of whole numbers was expected, got float64"),
        ],
    )
    def test_bad_index(self, data, message, tmp_path):
        images = self.images()
        flashed = self.flashed(np.zeros(2, dtype=np.uint32), indexed_images=images)
        nwb_file(tmp_path / "a.nwb", flashed, templates=[images])
        with h5py.File(tmp_path / "a.nwb", "a") as file:
            del file["stimulus/presentation/flashed/data"]
            file["stimulus/presentation/flashed/data"] = data
        with pytest.raises(ValueError, match=f"'flashed': .*{message}"):
            load_recording(tmp_path / "a.nwb")

    def test_references_to_nowhere_and_no_order(self, tmp_path):
        images = self.images()
        flashed = self.flashed(np.zeros(2, dtype=np.uint32), indexed_images=images)
        nwb_file(tmp_path / "a.nwb", flashed, templates=[images])
        with h5py.File(tmp_path / "a.nwb", "a") as file:
            file["stimulus/templates/pictures/order_of_images"][0] = h5py.Reference()
        with pytest.raises(ValueError, match="order_of_images points to pictures that are not"):
            load_recording(tmp_path / "a.nwb")
        with h5py.File(tmp_path / "a.nwb", "a") as file:
            del file["stimulus/templates/pictures/order_of_images"]
        with pytest.raises(ValueError, match="holds 3 pictures without order_of_images"):
            load_recording(tmp_path / "a.nwb")


class TestPresentations:
    template = series("movie", data=MOVIE[:8])

    def file(self, path, starts, stops, template=None, **columns):
        table = intervals("movie_presentations", starts, stops, **columns)
        template = series("movie", data=MOVIE[:8]) if template is None else template
        spikes = [times + 4999.9 * (starts[0] > 4999) for times in SPIKES]
        return nwb_file(path, templates=[template], tables=[table], spikes=spikes)

    @pytest.mark.parametrize("single", [False, True], ids=["float64", "float32"])
    def test_one_frame_for_each_row(self, single, tmp_path):
        onsets = 5000.0 + np.arange(9) / 60
        shown = [0.0, 1.0, 2.0, 3.0, 7.0, 7.0, 5.0, 0.0]
        self.file(tmp_path / "a.nwb", onsets[:-1], onsets[1:], frame=shown)
        if single:
            with h5py.File(tmp_path / "a.nwb", "a") as file:
                for side in ("start_time", "stop_time"):
                    column = file[f"intervals/movie_presentations/{side}"]
                    values, attributes = column[()], dict(column.attrs)
                    name = column.name
                    del file[name]
                    file[name] = values.astype(np.float32)
                    file[name].attrs.update(attributes)
        stimulus = load_recording(tmp_path / "a.nwb").stimulus
        np.testing.assert_array_equal(stimulus.frames[:], MOVIE[np.int64(shown)])
        assert stimulus.start_s == pytest.approx(5000.0, abs=5e-4)
        assert stimulus.frame_rate_hz == pytest.approx(60.0, rel=0.01)

    def test_grey_between_pictures(self, tmp_path):
        starts = np.array([3.0, 1.0, 2.0])  # rows need not be in order
        self.file(tmp_path / "a.nwb", starts, starts + 0.25, frame=[3.0, 1.0, -1.0])
        with pytest.warns(UserWarning, match="7 of 9 frames are blank, between pictures"):
            recording = load_recording(tmp_path / "a.nwb")
        grey = MOVIE[:8].mean()
        expected = np.full((9, 4, 3), grey)
        expected[0], expected[8] = MOVIE[1], MOVIE[3]
        np.testing.assert_allclose(recording.stimulus.frames[:], expected, rtol=1e-5)
        edges = 1.0 + np.arange(10) / 4
        for cell, spikes in enumerate(SPIKES):
            np.testing.assert_allclose(recording.rates[:, cell], slow_rates(spikes, edges))

    def test_pictures_by_name(self, tmp_path):
        images = TestPickedFrames().images()
        shown = ["i0", "i2", "i1"]
        self.file(tmp_path / "a.nwb", [1, 2, 3], [2, 3, 4], template=images, image_name=shown)
        with pytest.warns(UserWarning, match="the only template, 'pictures', is taken for it"):
            frames = load_recording(tmp_path / "a.nwb").stimulus.frames
        np.testing.assert_array_equal(frames[:], MOVIE[[0, 2, 1]])
        images, shown[0] = TestPickedFrames().images(), "i0.png"
        self.file(tmp_path / "b.nwb", [1, 2, 3], [2, 3, 4], template=images, image_name=shown)
        with pytest.warns(UserWarning, match="is taken for it"):
            with pytest.raises(ValueError, match="no picture 'i0.png' in the template"):
                load_recording(tmp_path / "b.nwb")

    @pytest.mark.parametrize(
        ("starts", "frame", "message"),
        [
            ([1.0, 2.0], [0.0, 8.0], "names frame 8; the template has 8 frames"),
            ([1.0, 2.0], [0.5, 1.0], "names frame 0.5"),
            ([1.0, 1.2], [0.0, 1.0], "the interval from 1 s overlaps the next one"),
            ([1.0, np.nan], [0.0, 1.0], "expected intervals that stop after they start"),
        ],
    )
    def test_errors(self, starts, frame, message, tmp_path):
        self.file(tmp_path / "a.nwb", starts, np.array(starts) + 1, frame=frame)
        with pytest.raises(ValueError, match=f"'movie_presentations': .*{message}"):
            load_recording(tmp_path / "a.nwb")

    def test_flashed_pictures_on_a_regular_clock(self, tmp_path):
        self.file(tmp_path / "a.nwb", [1.0, 1.5], [1.5, 2.0], frame=[4.0, 6.0])
        frames = load_recording(
            tmp_path / "a.nwb", timing=recordings.resampled(20.0)
        ).stimulus.frames
        np.testing.assert_array_equal(frames[:], MOVIE[[4] * 10 + [6] * 10])


class TestOwnStimulus:
    def test_noise_from_its_seed(self, tmp_path):
        nwb_file(tmp_path / "a.nwb")
        movie = seeded_noise(
            numpy_twister, seed=5, n_frames=100, screen=Screen((3, 2), 20.0), start_s=0.5
        )
        recording = load_recording(tmp_path / "a.nwb", stimulus=movie)
        assert recording.stimulus.frames is movie.frames
        edges = 0.5 + np.arange(101) / 20
        for cell, spikes in enumerate(SPIKES):
            np.testing.assert_allclose(recording.rates[:, cell], slow_rates(spikes, edges))
        assert recording.splits == {"train": (0, 85), "test": (85, 100)}

    def test_gratings_from_their_parameters(self, tmp_path):
        columns = {"orientation": [0.0, 90.0], "spatial_frequency": [0.1, 0.1]}
        table = intervals("gratings", [1.0, 3.0], [2.0, 4.0], **columns)
        nwb_file(tmp_path / "a.nwb", tables=[table])
        with pytest.raises(ValueError, match="only the time intervals 'gratings'.*Make others"):
            load_recording(tmp_path / "a.nwb")
        rows = load_intervals(tmp_path / "a.nwb", "gratings")
        assert list(rows["orientation"]) == [0.0, 90.0]
        movie = presented_gratings(rows, degrees_per_pixel=1.0, screen=Screen((4, 4), 50.0))
        recording = load_recording(tmp_path / "a.nwb", stimulus=movie)
        assert recording.rates.shape == (150, 2) and recording.stimulus.start_s == 1.0
        with pytest.raises(ValueError, match="No table of intervals 'grating'.*Did you mean"):
            load_intervals(tmp_path / "a.nwb", "grating")
        (tmp_path / "b.nwb").write_text("no recording")
        with pytest.raises(ValueError, match=r"b\.nwb cannot be read"):
            load_intervals(tmp_path / "b.nwb", "gratings")

    def test_only_for_nwb(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.attrs["record"] = "Recording"
        with pytest.raises(ValueError, match="'stimulus' does not apply to a retina_codec file"):
            load_recording(
                tmp_path / "a.h5", stimulus=Stimulus(frames=MOVIE, frame_rate_hz=RATE_HZ)
            )


class TestUnits:
    def test_electrodes(self, tmp_path):
        nwb = session(series(), spikes=[])
        group = nwb.create_electrode_group(
            "array", "an array", "retina", nwb.create_device(name="mea")
        )
        for i in range(4):
            place = f"site {i}"
            nwb.add_electrode(group=group, location=place, rel_x=10.0 * i, rel_y=1.0, id=7 + i)
        nwb.add_unit_column(name="quality", description="quality")
        for electrodes, quality in (([1, 2], "good"), ([3], "mua"), ([], "bad")):
            nwb.add_unit(spike_times=SPIKES[0], electrodes=electrodes, quality=quality)
        written(tmp_path / "a.nwb", nwb)
        cells = load_recording(tmp_path / "a.nwb").cells
        assert list(cells["quality"]) == ["good", "mua", "bad"]
        assert list(cells["electrode_location"]) == ["site 1", "site 3", ""]
        np.testing.assert_array_equal(cells["electrode_rel_x"], [15.0, 30.0, np.nan])
        np.testing.assert_array_equal(cells["electrode_id"], [8, 10, np.nan])

    def test_invalid_times(self, tmp_path):
        nwb = session(series())
        nwb.add_invalid_time_interval(start_time=1.12, stop_time=1.20)
        nwb.add_invalid_time_interval(start_time=2.95, stop_time=9.0)
        written(tmp_path / "a.nwb", nwb)
        rates = load_recording(tmp_path / "a.nwb").rates
        for cell in (0, 1):
            np.testing.assert_array_equal(np.flatnonzero(np.isnan(rates[:, cell])), [2, 3, 39])

    def test_observed_intervals_of_single_precision(self, tmp_path):
        onsets = 5000.0 + np.arange(N) / 100
        nwb = session(series(starting_time=5000.0, rate=100.0), spikes=[])
        nwb.add_unit(spike_times=onsets, obs_intervals=[[onsets[3], onsets[31]]])
        written(tmp_path / "a.nwb", nwb)
        with h5py.File(tmp_path / "a.nwb", "a") as file:
            values = file["units/obs_intervals"][()]
            del file["units/obs_intervals"]
            file["units/obs_intervals"] = values.astype(np.float32)
        rates = load_recording(tmp_path / "a.nwb").rates[:, 0]
        np.testing.assert_array_equal(np.flatnonzero(~np.isnan(rates)), np.arange(3, 31))


class TestRepeats:
    shown = np.concatenate([MOVIE[:10], MOVIE[20:26], MOVIE[:10], MOVIE[26:32], MOVIE[:10]])

    def file(self, path, starts=(0, 16, 32), stops=(10, 26, 42), **columns):
        table = [ONSETS[0] + np.array(bounds) / RATE_HZ + 0.004 for bounds in (starts, stops)]
        table = intervals("repeats", *table, **columns)
        return nwb_file(path, series(data=self.shown), tables=[table])

    def test_trials(self, tmp_path):
        self.file(tmp_path / "a.nwb")
        plain = load_recording(tmp_path / "a.nwb")
        recording = load_recording(tmp_path / "a.nwb", repeats="repeats", cells=[1])
        expected = [plain.rates[start : start + 10, [1]] for start in (0, 16, 32)]
        np.testing.assert_array_equal(recording.repeats, expected)
        assert recording.splits == {"train": (0, 32), "test": (32, 42)}
        np.testing.assert_allclose(recording.rates[32:42], np.mean(expected, axis=0))
        known = np.flatnonzero(~np.isnan(recording.rates[:32, 0]))
        np.testing.assert_array_equal(known, np.r_[10:16, 26:32])
        np.testing.assert_array_equal(recording.rates[known], plain.rates[known][:, [1]])

    def test_trials_are_kept_by_convert(self, tmp_path):
        self.file(tmp_path / "a.nwb")
        words = [
            "convert",
            str(tmp_path / "a.nwb"),
            str(tmp_path / "b.nwb"),
            "--repeats",
            "repeats",
        ]
        done = CliRunner().invoke(cli.app, words)
        assert done.exit_code == 0, done.output
        expected = load_recording(tmp_path / "a.nwb", repeats="repeats")
        again = load_recording(tmp_path / "b.nwb")
        assert again.splits == expected.splits
        np.testing.assert_array_equal(again.repeats, expected.repeats)
        np.testing.assert_array_equal(again.rates, expected.rates)

    def test_rows_of_a_kind(self, tmp_path):
        self.file(tmp_path / "a.nwb", (0, 10, 16), (10, 16, 26), kind=["a", "b", "a"])
        with pytest.warns(UserWarning, match="last from 6 to 10 frames"):
            with pytest.raises(ValueError, match="from frame 10 shows other frames than"):
                load_recording(tmp_path / "a.nwb", repeats="repeats")
        recording = load_recording(tmp_path / "a.nwb", repeats="repeats:kind=a")
        assert recording.repeats.shape == (2, 10, 2)
        assert recording.splits == {"train": (10, 42), "test": (0, 10)}
        assert np.isnan(recording.rates[16:26]).all()
        for asked, message in {
            "repeats:kinds=a": "No column 'kinds' .* Did you mean 'kind'",
            "repeats:kind=b": "has 1 intervals within the movie, expected 2",
            "repeat": "No table of intervals 'repeat'.*Did you mean 'repeats'",
        }.items():
            with pytest.raises(ValueError, match=message):
                load_recording(tmp_path / "a.nwb", repeats=asked)

    def test_unequal_lengths(self, tmp_path):
        self.file(tmp_path / "a.nwb", stops=(9, 26, 41))
        with pytest.warns(UserWarning, match="Repeats last from 9 to 10 frames"):
            recording = load_recording(tmp_path / "a.nwb", repeats="repeats")
        assert recording.repeats.shape == (3, 9, 2)
        assert recording.splits == {"train": (9, 42), "test": (0, 9)}

    def test_nothing_but_repeats(self, tmp_path):
        table = intervals("repeats", [1.0, 1.5], [1.5, 2.0])
        shown = np.concatenate([MOVIE[:10], MOVIE[:10]])
        nwb_file(tmp_path / "a.nwb", series(data=shown), tables=[table])
        with pytest.raises(ValueError, match="nothing is left for training"):
            load_recording(tmp_path / "a.nwb", repeats="repeats")


class TestSeveralStimuli:
    def test_a_pattern_joins_in_time(self, tmp_path):
        late = series("noise_a", data=MOVIE[:20], starting_time=5.0)
        early = series("noise_b", data=MOVIE[20:], starting_time=1.0)
        nwb_file(tmp_path / "a.nwb", late, early, series("scenes", starting_time=1.0))
        with pytest.warns(UserWarning, match="frame 19 with 3.05 s"):
            recording = load_recording(tmp_path / "a.nwb", stimulus="noise_*")
        assert recording.stimulus.name == "noise_b+noise_a"
        np.testing.assert_array_equal(
            recording.stimulus.frames[:], np.concatenate([MOVIE[20:], MOVIE[:20]])
        )
        starts = np.r_[1.0 + np.arange(20) / 20, 5.0 + np.arange(20) / 20]
        np.testing.assert_allclose(recording.stimulus.times, starts)
        assert np.isnan(recording.rates[19]).all()
        known = np.r_[0:19, 20:40]
        edges = np.append(starts, 6.0)
        np.testing.assert_allclose(
            recording.rates[known, 0], np.array(slow_rates(SPIKES[0], edges))[known], atol=1e-6
        )

    def test_what_does_not_join(self, tmp_path):
        other = series("b_1", rate=30.0, starting_time=9.0)
        nwb_file(tmp_path / "a.nwb", series("a_1"), series("a_2"), series("b_0"), other)
        with pytest.raises(ValueError, match="'a_\\*', but 'a_1' and 'a_2' overlap in time"):
            load_recording(tmp_path / "a.nwb", stimulus="a_*")
        with pytest.raises(ValueError, match="one frame rate, got 20, 30 Hz"):
            load_recording(tmp_path / "a.nwb", stimulus="b_*")


class TestTiming:
    def file(self, path, onsets=None):
        onsets = np.r_[ONSETS[:20], ONSETS[20:] + 0.2] if onsets is None else onsets
        nwb_file(path, series())
        with h5py.File(path, "a") as file:
            del file["stimulus/presentation/noise/starting_time"]
            file["stimulus/presentation/noise/timestamps"] = onsets
        return path

    def test_as_recorded(self, tmp_path):
        with pytest.warns(UserWarning, match="1 frames last longer .* dropped, about 4"):
            recording = load_recording(self.file(tmp_path / "a.nwb"))
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(recording.rates[:, 0])), [19])

    def test_filled(self, tmp_path):
        with pytest.warns(UserWarning, match="last longer"):
            recording = load_recording(self.file(tmp_path / "a.nwb"), timing=recordings.filled)
        expected = np.r_[0:20, [19] * 4, 20:40]
        np.testing.assert_array_equal(recording.stimulus.frames[:], MOVIE[expected])
        edges = START_S + np.arange(45) / RATE_HZ
        np.testing.assert_allclose(recording.rates[:, 1], slow_rates(SPIKES[1], edges), atol=1e-6)
        assert recording.stimulus.times is None

    def test_refused(self, tmp_path):
        with pytest.raises(ValueError, match="'noise': 1 frames last longer"):
            load_recording(self.file(tmp_path / "a.nwb"), timing=recordings.refused)
        load_recording(self.file(tmp_path / "b.nwb", ONSETS), timing=recordings.refused)

    @pytest.mark.parametrize("n_times", [35, 45])
    def test_trimmed(self, n_times, tmp_path):
        path = self.file(tmp_path / "a.nwb", START_S + np.arange(n_times) / RATE_HZ)
        with pytest.raises(ValueError, match=f"40 frames, got {n_times}.*recordings.trimmed"):
            load_recording(path)
        recording = load_recording(path, timing=recordings.trimmed)
        assert recording.rates.shape[0] == min(n_times, N)
        np.testing.assert_array_equal(recording.stimulus.frames[:], MOVIE[:n_times])

    def test_times_noted_twice(self, tmp_path):
        onsets = np.r_[ONSETS[:20], ONSETS[19] + 0.001, ONSETS[20:39]]
        with pytest.warns(UserWarning, match="1 frames last less than half .* frame 19 with 0.001"):
            load_recording(self.file(tmp_path / "a.nwb", onsets))


class TestCompressionAndContainers:
    def zstd_file(self, path):
        nwb_file(path, series())
        with h5py.File(path, "a") as file:
            del file["stimulus/presentation/noise/data"]
            file.create_dataset(
                "stimulus/presentation/noise/data",
                data=MOVIE,
                chunks=(8, 4, 3),
                **hdf5plugin.Zstd(),
            )
        return path

    def test_plugins_are_loaded_when_needed(self, tmp_path):
        path = self.zstd_file(tmp_path / "a.nwb")
        code = (
            "import sys; from retina_codec.recordings import load_recording\n"
            "assert 'hdf5plugin' not in sys.modules\n"
            f"print(load_recording({str(path)!r}).stimulus.frames[:].sum())"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.split() == [str(MOVIE.sum())], done.stderr

    def test_hint_without_plugins(self, tmp_path, monkeypatch):
        path = self.zstd_file(tmp_path / "a.nwb")
        monkeypatch.setattr(h5py.h5z, "filter_avail", lambda number: False)
        with pytest.raises(ValueError, match="number 32015.*which hdf5plugin does not know"):
            load_recording(path)
        monkeypatch.setitem(sys.modules, "hdf5plugin", None)
        with pytest.raises(ValueError, match=r"install 'retina-codec\[compression\]'"):
            load_recording(path)

    def test_zarr_says_what_to_do(self, tmp_path):
        zarr.open_group(tmp_path / "a.nwb.zarr", mode="w", zarr_format=2).attrs.update(
            {"nwb_version": "2.8.0", "namespace": "core"}
        )
        with pytest.raises(ValueError, match="is NWB in the Zarr format.*export it"):
            load_recording(tmp_path / "a.nwb.zarr")


def replaced(place, data, **attributes):
    def change(file):
        del file[place]
        file[place] = data
        file[place].attrs.update(attributes)

    return change


def link_to_itself(file):
    del file["stimulus/presentation/noise/data"]
    file["stimulus/presentation/noise/data"] = h5py.SoftLink("/stimulus/presentation/noise/data")


def dangling(file):
    del file["stimulus/presentation/noise"]
    file["stimulus/presentation/noise"] = h5py.SoftLink("/nowhere")


def gigantic_movie(file):
    del file["stimulus/presentation/noise/data"]
    shape, chunks = (10**12, 4, 3), (1000, 4, 3)
    file.create_dataset("stimulus/presentation/noise/data", shape, "u1", chunks=chunks)


def gigantic_movie_with_a_chunk(file):
    gigantic_movie(file)
    file["stimulus/presentation/noise/data"][:5] = 1


def gigantic_spikes(file):
    del file["units/spike_times"]
    file.create_dataset("units/spike_times", (10**12,), "f8", chunks=(1000,))


def strange_name(file):
    file["stimulus/presentation"][b"\xff\xfe"] = h5py.SoftLink("/nowhere")
    del file["stimulus/presentation/noise"]


class TestDamagedFiles:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (link_to_itself, "No stimulus that can be read. Found: 'noise'"),
            (dangling, r"'noise' \(broken link\)"),
            (strange_name, "broken link"),
            (gigantic_movie, "says it is 1000000000000 x 4 x 3 of uint8, but only 0 bytes"),
            (gigantic_movie_with_a_chunk, "1000000000000 x 4 x 3 of uint8, but only 12000 bytes"),
            (gigantic_spikes, "spike_times' says it is 1000000000000 of float64, but only 0 bytes"),
            (replaced("stimulus/presentation/noise/data", b"text"), "No stimulus that can be"),
            (
                replaced("stimulus/presentation/noise/data", np.full((3, 2, 2), b"a")),
                "expected frames of numbers",
            ),
            (replaced("stimulus/presentation/noise/starting_time", np.nan, rate=20.0), "no time"),
            (replaced("stimulus/presentation/noise/starting_time", 1.0, rate=-5.0), "rate above 0"),
            (replaced("stimulus/presentation/noise/starting_time", "x", rate=5.0), "not convert"),
            (
                replaced("units/spike_times_index", np.array([200, 401])),
                "at most 400, .* up to 401",
            ),
            (replaced("units/spike_times_index", np.array([300, 200])), "must ascend from 0"),
            (replaced("units/spike_times_index", np.array([200])), "2 units, but spike times of 1"),
            (replaced("units/spike_times", np.full(400, np.nan)), "unit 0 hold NaN"),
            (replaced("units/spike_times", np.full(400, b"a")), "expected numbers in /units/spike"),
            (replaced("units", 3.0), "has no units"),
            (replaced("stimulus/presentation", 3.0), "may be damaged"),
        ],
    )
    def test_one_clear_error(self, change, message, tmp_path):
        nwb_file(tmp_path / "a.nwb", series())
        with h5py.File(tmp_path / "a.nwb", "a") as file:
            change(file)
        with pytest.raises(ValueError, match=f"a.nwb.*{message}"):
            load_recording(tmp_path / "a.nwb")

    def test_truncated(self, tmp_path):
        path = nwb_file(tmp_path / "a.nwb", series())
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(ValueError, match=r"a\.nwb cannot be read; it may be damaged"):
            load_recording(path)


class TestOtherFiles:
    """A file from somebody else must not make this computer read, or wait for, other files."""

    def test_numbers_outside_are_not_read(self, tmp_path):
        secret = tmp_path / "secret"
        secret.write_bytes(bytes(N * 12))
        path = nwb_file(tmp_path / "a.nwb", series())
        with h5py.File(path, "a") as file:
            group = file["stimulus/presentation/noise"]
            del group["data"]
            group.create_dataset(
                "data", (N, 4, 3), np.uint8, external=[(str(secret), 0, h5py.h5f.UNLIMITED)]
            )
        with pytest.raises(ValueError, match=r"a\.nwb.*data' lies in another file, '.*secret'"):
            load_recording(path)

    def test_links_to_other_files_are_not_followed(self, tmp_path):
        path = nwb_file(tmp_path / "a.nwb", series())
        with h5py.File(path, "a") as file:
            file["stimulus/presentation/evil"] = h5py.ExternalLink("/dev/zero", "/x")
        with pytest.raises(ValueError, match=r"a\.nwb.*evil' lies in another file, '/dev/zero'"):
            load_recording(path)

    def test_virtual_numbers_of_other_files_are_not_read(self, tmp_path):
        with h5py.File(tmp_path / "b.h5", "w") as file:
            file["x"] = np.zeros((N, 4, 3), np.uint8)
        path = nwb_file(tmp_path / "a.nwb", series())
        layout = h5py.VirtualLayout((N, 4, 3), np.uint8)
        layout[:] = h5py.VirtualSource(str(tmp_path / "b.h5"), "x", (N, 4, 3))
        with h5py.File(path, "a") as file:
            del file["stimulus/presentation/noise/data"]
            file["stimulus/presentation/noise"].create_virtual_dataset("data", layout)
        with pytest.raises(ValueError, match=r"data' lies in another file, '.*b\.h5'"):
            load_recording(path)


class CountingReads(h5py.Dataset):
    """A dataset that remembers which frames were decompressed."""

    def __init__(self, dataset):
        super().__init__(dataset.id)
        self.__dict__["read"] = []

    def __getitem__(self, key):
        self.read.append((key.start, key.stop))
        return super().__getitem__(key)


class TestStreaming:
    def test_chunks_are_read_once(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            movie = RNG.integers(0, 255, (95, 4, 3), dtype=np.uint8)
            counting = CountingReads(file.create_dataset("m", data=movie, chunks=(10, 4, 3)))
            stored = Stored(counting)
            samples = windows(Stimulus(frames=stored, frame_rate_hz=100.0), 8)
            for start in range(0, len(samples), 4):
                seen = samples[start : start + 4]
                for i, window in enumerate(seen):
                    np.testing.assert_array_equal(window, movie[start + i : start + i + 8])
            chunks = [c for a, b in counting.read for c in range(a // 10, -(-min(b, 95) // 10))]
            assert chunks == list(range(10))

    @pytest.mark.parametrize("key", [slice(3, 95), slice(9, 11), slice(0, 0), slice(90, None)])
    def test_any_slice(self, key, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            movie = RNG.integers(0, 255, (95, 4, 3), dtype=np.uint8)
            stored = Stored(file.create_dataset("m", data=movie, chunks=(10, 4, 3)))
            for _ in range(2):
                got = stored[key]
                np.testing.assert_array_equal(got, movie[key])
                got[...] = 0  # What was given away is not what was kept.
