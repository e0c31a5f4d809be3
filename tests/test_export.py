import dataclasses
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import nwbinspector
import pandas as pd
import pynwb
import pytest
import xarray as xr
from stored import Lazy
from typer.testing import CliRunner

from retina_codec import cli, export, pipeline
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
    replace = os.replace

    def fail_for_the_new(source, target):
        if Path(source).name.endswith(".part.zarr"):  # not the files that Zarr renames inside
            raise OSError("no")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_for_the_new)
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


@pytest.fixture
def scores():
    return pd.DataFrame({"pearson_r": [0.5, np.nan], "kind": ["ON", "OFF"]})


@pytest.fixture
def two_units(tmp_path):
    """A file that the inspector finds nothing critical in: two units, with a subject."""
    path = tmp_path / "units.nwb"
    subject = pynwb.file.Subject(subject_id="1", species="Mus musculus", sex="U", age="P60D")
    nwb = pynwb.NWBFile("a session", "id", datetime(2026, 1, 1, tzinfo=UTC), subject=subject)
    for unit in (7, 9):
        nwb.add_unit(id=unit, spike_times=np.arange(1, 20) / 10 + unit / 100)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def checked(path):
    """What others' tools say of a file: pynwb's errors, the inspector's critical findings."""
    findings = nwbinspector.inspect_nwbfile(nwbfile_path=path)
    critical = [f.message for f in findings if f.importance.name in ("CRITICAL", "ERROR")]
    return pynwb.validate(path=path), critical


def test_results_of_all_kinds_with_their_provenance(two_units, scores, modes, tmp_path):
    record, target = make("Contributions"), tmp_path / "target.nwb"
    table = scores.assign(unit_id=[9, 7])
    export.add_to_nwb(
        two_units,
        target,
        {"conv": modes},
        contributions={"conv": record},
        cells={"scores": table},
        settings={"n_steps": 20, "recording": Path("here.nwb")},
    )
    assert checked(target) == ([], [])
    with pynwb.NWBHDF5IO(target, "r") as io:
        nwb = io.read()
        processing = nwb.processing["ecephys"]
        values = processing["conv_contributions"].data
        np.testing.assert_allclose(values[:], record.values, rtol=1e-6)
        assert (values.compression, values.chunks is not None) == ("gzip", True)
        target_and_gap = processing["conv_target"].data[:]
        np.testing.assert_allclose(target_and_gap[:, 2], record.gap, rtol=1e-6)
        assert processing["conv_contribution_features"]["sign"][:].tolist() == [1, -1, 1]
        found = processing["scores"]
        assert found["unit"].data[:].tolist() == [1, 0]
        assert found["unit"].table is nwb.units
        assert found["unit"][0].index[0] == 9  # region resolves to the unit's row
        np.testing.assert_array_equal(found["pearson_r"][:], [0.5, np.nan])
        assert list(found["kind"][:]) == ["ON", "OFF"]
        stable = processing["conv_modes"]["reproducibility"][:]
        np.testing.assert_allclose(stable, modes.reproducibility, rtol=1e-6)
        about = json.loads(nwb.get_scratch("retina_codec_results").item())
    assert about["source"]["sha256"] == hashlib.sha256(two_units.read_bytes()).hexdigest()
    assert about["modes"]["conv"]["seed"] == 3
    assert about["settings"] == {"n_steps": 20, "recording": "here.nwb"}
    assert about["versions"]["pynwb"] == pynwb.__version__
    assert "scores" in about["results"] and "conv_loadings" in about["results"]


def test_contributions_are_read_in_pieces(source, tmp_path, monkeypatch):
    monkeypatch.setattr(export._tables, "CHUNK_BYTES", 5 * 3 * 4)
    whole = make("Contributions")
    lazy = Lazy(np.asarray(whole.values))
    record = dataclasses.replace(whole, values=lazy)
    export.add_to_nwb(source, tmp_path / "target.nwb", contributions={"conv": record})
    assert lazy.most == 5
    with h5py.File(tmp_path / "target.nwb") as file:
        data = file["processing/ecephys/conv_contributions/data"]
        assert data.chunks == (5, 3)
        np.testing.assert_allclose(data, whole.values, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ({}, [0, 1]),
        ({"cell": [1, 0]}, [1, 0]),
        ({"unit_id": [9, 7]}, [1, 0]),
        ({"cell": ["cell01", "cell02"]}, [0, 1]),
    ],
)
def test_rows_belong_to_units(two_units, scores, change, rows, tmp_path):
    export.add_to_nwb(two_units, tmp_path / "t.nwb", cells={"scores": scores.assign(**change)})
    with h5py.File(tmp_path / "t.nwb") as file:
        assert file["processing/ecephys/scores/unit"][:].tolist() == rows


def test_rows_without_a_unit(two_units, source, scores, tmp_path):
    target, three = tmp_path / "t.nwb", pd.concat([scores, scores.iloc[:1]])
    with pytest.raises(ValueError, match="has 3 rows but the file has 2 units. Add a column"):
        export.add_to_nwb(two_units, target, cells={"scores": three})
    with pytest.raises(ValueError, match="names the cell 2, but the file has 2 units, from 0"):
        export.add_to_nwb(two_units, target, cells={"scores": scores.assign(cell=[0, 2])})
    with pytest.raises(ValueError, match="names the unit 8, which the file does not have"):
        export.add_to_nwb(two_units, target, cells={"scores": scores.assign(unit_id=[7, 8])})
    assert not target.exists()


def test_results_are_appended_to_the_file_itself(two_units, modes, scores, tmp_path):
    before = hashlib.sha256(two_units.read_bytes()).hexdigest()
    export.append_to_nwb(two_units, {"conv": modes})
    export.append_to_nwb(two_units, cells={"scores": scores})
    assert checked(two_units) == ([], [])
    assert [path.name for path in tmp_path.iterdir()] == ["units.nwb"]
    with pynwb.NWBHDF5IO(two_units, "r") as io:
        nwb = io.read()
        assert {"conv_modes", "scores"} <= set(nwb.processing["ecephys"].data_interfaces)
        assert set(nwb.scratch) == {"retina_codec_results", "retina_codec_results_2"}
        first = json.loads(nwb.get_scratch("retina_codec_results").item())
        np.testing.assert_array_equal(nwb.units["spike_times"][0], np.arange(1, 20) / 10 + 0.07)
    assert first["source"]["sha256"] == before


def test_failed_append_leaves_the_file_as_it_was(two_units, modes, tmp_path, monkeypatch):
    export.append_to_nwb(two_units, {"conv": modes})
    before = two_units.read_bytes()
    with pytest.raises(ValueError, match="already holds 'conv_loadings'"):
        export.append_to_nwb(two_units, {"dense": modes, "conv": modes})

    def fail_after_writing(io, *args, write=pynwb.NWBHDF5IO.write, **kwargs):
        write(io, *args, **kwargs)
        raise OSError("disk full")

    monkeypatch.setattr(pynwb.NWBHDF5IO, "write", fail_after_writing)
    with pytest.raises(OSError, match="disk full"):
        export.append_to_nwb(two_units, {"dense": modes})
    assert two_units.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["units.nwb"]


def test_append_errors(tmp_path, two_units, modes):
    with pytest.raises(ValueError, match="Nothing to write: give 'modes', 'contributions'"):
        export.append_to_nwb(two_units)
    (tmp_path / "text.nwb").write_text("hello")
    with pytest.raises(ValueError, match="is not an HDF5 file. Expected a recording as NWB 2"):
        export.append_to_nwb(tmp_path / "text.nwb", {"conv": modes})
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        file["x"] = 1
    with pytest.raises(ValueError, match="does not say that it is NWB 2"):
        export.append_to_nwb(tmp_path / "other.nwb", {"conv": modes})


def test_command_puts_results_into_the_recording_itself(two_units, modes, tmp_path, monkeypatch):
    export.save(make("Predictions"), tmp_path / "predictions.nc")
    config = pipeline.Config(recording=str(two_units))
    monkeypatch.setattr(pipeline, "kept_modes", lambda folder: (config, None, {"conv": modes}))
    done = CliRunner().invoke(cli.app, ["export", str(tmp_path), "--in-place"])
    assert done.exit_code == 0 and "modes of conv, scores of the cells" in done.stdout
    assert checked(two_units) == ([], [])
    with h5py.File(two_units) as file:
        scores = file["processing/ecephys/scores/pearson_r"]
        np.testing.assert_array_equal(scores, [0.5, np.nan])
        about = json.loads(file["scratch/retina_codec_results"].asstr()[()])
    assert about["settings"]["history_s"] == 0.4
