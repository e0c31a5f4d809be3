import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pynwb
import pytest
import xarray as xr

from retina_codec import export
from retina_codec.datatypes import (
    RECORDS,
    CellTypes,
    Contributions,
    Effects,
    Event,
    Fields,
    Interneurons,
    Maps,
    Modes,
    Predictions,
    Recording,
    Stability,
    Stimulus,
)

N = 12
FEATURES = {"channel": np.array([0, 0, 1]), "sign": np.array([1, -1, 1])}


def make(name):
    random = np.random.default_rng(0)
    return EXAMPLES[name](random)


def _stimulus(random):
    return Stimulus(
        frames=random.random((N, 4, 3), dtype=np.float32), frame_rate_hz=30.0, pixel_um=55.0
    )


def _recording(random):
    return Recording(
        stimulus=_stimulus(random),
        rates=np.where(random.random((N, 2)) < 0.1, np.nan, random.random((N, 2))),
        cells=pd.DataFrame({"depth": [1.5, 2.5], "kind": ["ON", "OFF"]}),
        splits={"train": [0, 8], "test": [8, N]},
        spike_times=(np.array([0.1, 0.2]), np.array([])),
        repeats=random.random((3, 4, 2)),
        source="here",
        circuit={"seed": 1, "layers": ["bipolar"]},
    )


def _interneurons(random):
    return Interneurons(
        stimulus=_stimulus(random), potentials=random.random((N, 2)), kind="bipolar", source="here"
    )


def _predictions(random):
    return Predictions(
        recorded=random.random((N, 2)),
        predicted=random.random((N, 2)),
        sample=np.arange(N) / 30,
        scores=pd.DataFrame({"pearson_r": [0.5, np.nan]}),
        network="LN",
    )


def _contributions(random):
    return Contributions(
        values=random.random((N, 3)),
        sample=np.arange(N) / 30,
        target_value=random.random(N),
        baseline_value=np.zeros(N),
        gap=random.random(N),
        **FEATURES,
        layer="sequential.0",
        target="one_cell(0)",
        method="integrated_gradients",
        settings={"n_steps": 20},
    )


def _modes(random, sample=None):
    return Modes(
        dictionary=random.random((2, 3)),
        loadings=random.random((N, 2)),
        sample=1.0 + np.arange(N) / 30 if sample is None else sample,
        held_out=np.arange(N) > 8,
        **FEATURES,
        offset=random.random(3),
        firing=np.array([4, 7]),
        r2=0.8,
        r2_train=0.9,
        scale=2.0,
        n_dead=1,
        layer="sequential.0",
        target="one_cell(0)",
        method="ThresholdAutoencoder",
        seed=3,
        settings={"n_modes": 2},
        feature_scale=random.random(3),
        curve=random.random(5),
        reproducibility=random.random(2),
    )


def _stability(random):
    return Stability(
        cosine=random.random((3, 2)),
        fits=pd.DataFrame({"kind": ["other seed", "other seed", "resampled"], "seed": [1, 2, 0]}),
        layer="sequential.0",
        method="SparseModes",
    )


def _cell_types(random):
    return CellTypes(
        correlations=random.random((4, 2)),
        labels=np.array([0, 0, 1, 1]),
        candidates=np.array([[0, 0, 0, 0], [0, 0, 1, 1]]),
        criteria=pd.DataFrame({"n_clusters": [1, 2], "silhouette": [np.nan, 0.6]}),
        choices={"silhouette": 2, "gap": 1, "chosen": 2},
        null_silhouette=random.random((3, 2)),
        null_labels=random.integers(2, size=(3, 4)),
        response_labels=np.array([0, 1, 1, 1]),
        layer="sequential.0",
        target="surprisal",
        method="k_means",
        points="z_scored",
    )


def _fields(random):
    return Fields(
        values=random.random((2, 5, 4, 3)),
        items=pd.DataFrame({"mode": [0, 1]}),
        frame_rate_hz=30.0,
        space=random.random((2, 4, 3)),
        time_course=random.random((2, 5)),
        separability=random.random(2),
    )


def _effects(random):
    return Effects(
        baseline=random.random((N, 1)),
        perturbed=random.random((2, N, 1)),
        conditions=pd.DataFrame({"kind": ["ablated", "preserved"], "dose": [1.0, 1.0]}),
        sample=np.arange(N) / 30,
        layer="sequential.0",
    )


def _event(random):
    return Event(
        rates=np.where(random.random((2, 3, N, 1)) < 0.1, np.nan, 1.5),
        sample=np.arange(N) / 30 - 0.1,
        movie=random.random((3, N, 4)),
        conditions=pd.DataFrame({"condition": ["pair", "first", "second"]}),
        repeats=pd.DataFrame({"value": [0.1, 0.2]}),
        value=random.random((2, 1)),
        control=np.zeros((2, 1)),
        signatures=pd.DataFrame({"cell": [3], "value": [0.5], "present": [1]}),
        phenomenon="paired flash",
        measure="suppression",
        varied="interval (s)",
        event="pair",
        target="population sum",
        contributions=random.random((N, 3)),
        features=pd.DataFrame({"layer": ["relu1"] * 3, **FEATURES}),
        loadings=random.random((N, 2)),
        modes=pd.DataFrame({"layer": ["relu1"] * 2, "mode": [0, 1]}),
    )


def _maps(random):
    return Maps(
        values=random.random((2, 3, 4, 5)),
        items=pd.DataFrame({"sample": [0, 0], "mode": [1, -1], "label": ["mode 1", "unexplained"]}),
        layer="blocks.4",
        target="top class",
        settings={"points": [1.0], "smoothing": 0.0},
    )


EXAMPLES = {
    "Stimulus": _stimulus,
    "Recording": _recording,
    "Predictions": _predictions,
    "Contributions": _contributions,
    "Modes": _modes,
    "Stability": _stability,
    "CellTypes": _cell_types,
    "Fields": _fields,
    "Effects": _effects,
    "Event": _event,
    "Interneurons": _interneurons,
    "Maps": _maps,
}


@pytest.fixture
def modes():
    return make("Modes")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.nwb"
    nwb = pynwb.NWBFile("a session", "id", datetime(2026, 1, 1, tzinfo=UTC))
    nwb.add_unit(spike_times=[0.1, 0.2])
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


@pytest.mark.parametrize("suffix", [".nc", ".h5", ".zarr"])
@pytest.mark.parametrize("name", RECORDS)
def test_every_record_comes_back(name, suffix, tmp_path):
    record, path = make(name), tmp_path / f"saved{suffix}"
    export.save(record, path)
    loaded = export.load(path)
    assert type(loaded) is RECORDS[name]
    xr.testing.assert_identical(loaded.to_xarray(), record.to_xarray())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_saving_again_replaces(suffix, tmp_path):
    path = tmp_path / f"saved{suffix}"
    export.save(make("Recording"), path)
    export.save(make("Fields"), path)
    assert isinstance(export.load(path), Fields)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_arrays_are_compressed(tmp_path):
    frames = np.zeros((200, 20, 20))
    export.save(Stimulus(frames=frames, frame_rate_hz=30.0), tmp_path / "movie.nc")
    assert (tmp_path / "movie.nc").stat().st_size < frames.nbytes / 10


@pytest.mark.parametrize(("suffix", "writer"), [(".nc", "to_netcdf"), (".zarr", "to_zarr")])
def test_failure_leaves_the_old_file_and_nothing_else(suffix, writer, tmp_path, monkeypatch):
    path = tmp_path / f"saved{suffix}"
    export.save(make("Fields"), path)
    write = getattr(xr.Dataset, writer)

    def fail_after_writing(*args, **kwargs):
        write(*args, **kwargs)
        raise OSError("disk full")

    monkeypatch.setattr(xr.Dataset, writer, fail_after_writing)
    with pytest.raises(OSError, match="disk full"):
        export.save(make("Effects"), path)
    assert isinstance(export.load(path), Fields)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_failed_rename_puts_the_old_folder_back(tmp_path, monkeypatch):
    path = tmp_path / "saved.zarr"
    export.save(make("Fields"), path)
    replace = export.os.replace

    def fail_for_the_new(source, target):
        if Path(source).name.endswith(".part.zarr"):  # not the files that Zarr renames inside
            raise OSError("no")
        replace(source, target)

    monkeypatch.setattr(export.os, "replace", fail_for_the_new)
    with pytest.raises(OSError, match="no"):
        export.save(make("Effects"), path)
    assert isinstance(export.load(path), Fields)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_save_errors(tmp_path):
    record = make("Fields")
    with pytest.raises(ValueError, match=r"saved as .zarr, .nc, .h5; got the ending of 'a.pkl'"):
        export.save(record, tmp_path / "a.pkl")
    with pytest.raises(FileNotFoundError, match="No folder .*missing; make it first"):
        export.save(record, tmp_path / "missing" / "a.nc")
    (tmp_path / "photos.zarr").mkdir()
    (tmp_path / "photos.zarr" / "cat.png").touch()
    with pytest.raises(ValueError, match="holds something else than a record"):
        export.save(record, tmp_path / "photos.zarr")


def test_load_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No file .*a\.nc"):
        export.load(tmp_path / "a.nc")
    with pytest.raises(ValueError, match=r"got the ending of 'a\.mat'"):
        export.load(tmp_path / "a.mat")
    (tmp_path / "text.nc").write_text("hello")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    (tmp_path / "folder.zarr").mkdir()
    for name in ("text.nc", "other.h5", "folder.zarr"):
        with pytest.raises(ValueError, match="holds no record of retina_codec"):
            export.load(tmp_path / name)


def test_modes_in_a_copy_of_the_nwb_file(source, modes, tmp_path):
    before = hashlib.sha256(source.read_bytes()).hexdigest()
    target = tmp_path / "target.nwb"
    export.add_to_nwb(source, target, {"sequential.0": modes, "block/1": modes})
    assert hashlib.sha256(source.read_bytes()).hexdigest() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source.nwb", "target.nwb"]
    assert pynwb.validate(path=target) == []
    with pynwb.NWBHDF5IO(target, "r") as io:
        nwb = io.read()
        processing = nwb.processing["ecephys"]
        loadings = processing["sequential_0_loadings"]
        np.testing.assert_allclose(loadings.data[:], modes.loadings, rtol=1e-6)
        assert (loadings.starting_time, round(loadings.rate, 6), loadings.unit) == (1, 30, "a.u.")
        assert loadings.data.compression == "gzip"
        table = processing["sequential_0_modes"].to_dataframe()
        np.testing.assert_allclose(np.stack(table["weights"]), modes.dictionary, rtol=1e-6)
        assert list(table["firing"]) == [4, 7]
        features = processing["block_1_features"].to_dataframe()
        assert list(features["sign"]) == [1, -1, 1]
        facts = json.loads(loadings.comments)
        assert facts["seed"] == 3 and facts["settings"] == {"n_modes": 2}
        assert facts["made_by"].startswith("retina_codec")
        np.testing.assert_array_equal(nwb.units["spike_times"][0], [0.1, 0.2])


def test_irregular_samples_keep_their_times_in_order(source, tmp_path):
    sample = np.arange(N)[::-1] ** 2 / 30
    modes = _modes(np.random.default_rng(0), sample=sample)
    export.add_to_nwb(source, tmp_path / "target.nwb", {"conv": modes})
    assert pynwb.validate(path=tmp_path / "target.nwb", use_cached_namespaces=False) == []
    with h5py.File(tmp_path / "target.nwb") as file:
        loadings = file["processing/ecephys/conv_loadings"]
        np.testing.assert_array_equal(loadings["timestamps"], sample[::-1])
        np.testing.assert_allclose(loadings["data"], modes.loadings[::-1], rtol=1e-6)


def test_existing_module_is_used_and_nothing_in_it_replaced(source, modes, tmp_path):
    export.add_to_nwb(source, tmp_path / "one.nwb", {"conv": modes})
    export.add_to_nwb(tmp_path / "one.nwb", tmp_path / "two.nwb", {"dense": modes})
    with h5py.File(tmp_path / "two.nwb") as file:
        assert {"conv_modes", "dense_modes"} <= set(file["processing/ecephys"])
    with pytest.raises(ValueError, match="already holds 'conv_loadings' in its module 'ecephys'"):
        export.add_to_nwb(tmp_path / "one.nwb", tmp_path / "three.nwb", {"conv": modes})
    assert not (tmp_path / "three.nwb").exists()
    assert not list(tmp_path.glob(".*"))


def test_add_to_nwb_errors(source, modes, tmp_path):
    with pytest.raises(ValueError, match="is the source itself"):
        export.add_to_nwb(source, tmp_path / "." / "source.nwb", {"conv": modes})
    with pytest.raises(FileNotFoundError, match=r"No file .*no\.nwb"):
        export.add_to_nwb(tmp_path / "no.nwb", tmp_path / "b.nwb", {"conv": modes})
    with pytest.raises(ValueError, match=r"must end in \.nwb, got 'b\.h5'"):
        export.add_to_nwb(source, tmp_path / "b.h5", {"conv": modes})
