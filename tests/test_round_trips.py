"""Recordings of all sorts become NWB and come back equal in every field, or with a clear error."""

import warnings
from dataclasses import fields
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pynwb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nwbinspector import Importance, inspect_nwbfile

from retina_codec.datatypes import Recording, Stimulus
from retina_codec.recordings import load_recording, write_nwb
from retina_codec.recordings._write_cells import stored_names

DTYPES = ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"]
COLUMN_DTYPES = [*DTYPES, "bool", "float16", ">f4", ">i2", "uint64"]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
NAMES = st.one_of(
    st.sampled_from(["kind", "a/b", "a:b", "a_b", "id", "spike_times", "..", "größe", "n_spikes"]),
    st.sampled_from(["unit_id", "obs_intervals", "electrodes", "name", "x_index", "colnames", ""]),
    TEXT,
)


def columns(n_cells):
    return st.one_of(
        st.lists(TEXT, min_size=n_cells, max_size=n_cells),
        st.builds(
            lambda kind, seed: (np.random.default_rng(seed).random(n_cells) * 100).astype(kind),
            st.sampled_from(COLUMN_DTYPES),
            st.integers(0, 9),
        ),
    )


@st.composite
def parts(draw):
    """Draw the fields of a stimulus and those of a recording."""
    n_frames, n_cells = draw(st.integers(4, 12)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    rate_hz, start = (
        draw(st.sampled_from([30.0, 59.94, 100.0])),
        draw(st.sampled_from([0.0, -1.0, 7.3])),
    )
    times = None
    if draw(st.booleans()):
        steps = rng.uniform(0.9, 1.1, n_frames) + 3 * (rng.random(n_frames) < 0.1)
        times = start + np.cumsum(steps) / rate_hz
    spikes = tuple(
        np.sort(
            rng.uniform(start, start + n_frames / rate_hz, rng.integers(0, 9) * rng.integers(0, 2))
        )
        for _ in range(n_cells)
    )
    rates = np.round(rng.random((n_frames, n_cells)) * 50).astype(draw(st.sampled_from(DTYPES)))
    n_test = draw(st.integers(1, n_frames - 1))
    if draw(st.booleans()):
        edges = start + np.arange(n_frames + 1) / rate_hz
        rates = np.stack([np.histogram(s, edges)[0] / np.diff(edges) for s in spikes], axis=1)
    if rates.dtype.kind == "f" and draw(st.booleans()):
        rates[rng.random(rates.shape) < 0.3] = np.nan
    names = draw(st.lists(NAMES, max_size=4, unique=True))
    frames = rng.random((n_frames, 3, 2)) * 100
    stimulus = dict(
        frames=frames.astype(draw(st.sampled_from([*DTYPES, "float16", "uint64"]))),
        frame_rate_hz=rate_hz,
        start_s=start,
        times=times,
        pixel_um=draw(st.sampled_from([None, 50.0, 0.1])),
        name=draw(NAMES),
    )
    recording = dict(
        rates=rates,
        cells=pd.DataFrame({n: draw(columns(n_cells)) for n in names}, index=range(n_cells)),
        splits={"train": (0, n_frames - n_test), "test": (n_frames - n_test, n_frames)}
        | draw(st.sampled_from([{}, {"a/ü": (1, 3)}])),
        spike_times=draw(st.sampled_from([None, spikes])),
        repeats=rng.random((2, n_test, n_cells)) if draw(st.booleans()) else None,
        source=draw(TEXT),
        circuit=draw(st.sampled_from([None, {"seed": 3, "layers": [1.5, None, "ON"]}])),
    )
    return stimulus, recording


def assert_equal(loaded, recording):
    """Every field, the names and order of columns, and the types of numbers."""
    for name in ("frame_rate_hz", "start_s", "pixel_um", "name"):
        assert getattr(loaded.stimulus, name) == getattr(recording.stimulus, name), name
    frames = recording.stimulus.frames
    np.testing.assert_array_equal(np.asarray(loaded.stimulus.frames), frames)
    assert loaded.stimulus.frames.dtype == frames.dtype
    assert (loaded.stimulus.times is None) == (recording.stimulus.times is None)
    if recording.stimulus.times is not None:
        np.testing.assert_array_equal(loaded.stimulus.times, recording.stimulus.times)
    np.testing.assert_allclose(loaded.rates, recording.rates, rtol=1e-9, atol=1e-9)
    assert loaded.rates.dtype == recording.rates.dtype
    assert list(loaded.cells.columns) == list(recording.cells.columns)
    for name in recording.cells:
        one, other = loaded.cells[name], recording.cells[name]
        assert list(one) == list(other), name
        if other.to_numpy().dtype.kind in "biuf":
            assert one.dtype == other.to_numpy().dtype.newbyteorder("="), name
    for name in ("splits", "source", "circuit"):
        assert getattr(loaded, name) == getattr(recording, name)
    assert (loaded.spike_times is None) == (recording.spike_times is None)
    for one, other in zip(loaded.spike_times or (), recording.spike_times or (), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (loaded.repeats is None) == (recording.repeats is None)
    if recording.repeats is not None:
        np.testing.assert_array_equal(loaded.repeats, recording.repeats)


def test_no_field_is_forgotten_here():
    named = {"frames", "frame_rate_hz", "start_s", "pixel_um", "name", "times"}
    assert {field.name for field in fields(Stimulus)} == named
    named = {"stimulus", "rates", "cells", "splits", "source", "circuit", "spike_times", "repeats"}
    assert {field.name for field in fields(Recording)} == named


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(parts=parts())
def test_equal_after_a_round_trip(parts, tmp_path):
    recording = Recording(stimulus=Stimulus(**parts[0]), **parts[1])
    with warnings.catch_warnings():
        for planted in (".*has no spikes", ".*may have been dropped"):
            warnings.filterwarnings("ignore", planted, UserWarning)
        write_nwb(recording, tmp_path / "a.nwb")
        loaded = load_recording(tmp_path / "a.nwb")
        assert_equal(loaded, recording)


def test_equal_after_a_second_round_trip(tmp_path):
    times = 0.5 + np.array([0.0, 0.1, 0.22, 0.3])
    recording = minimal(spike_times=(np.array([0.55, 0.71]),), times=times, name="a/b")
    write_nwb(recording, tmp_path / "a.nwb")
    write_nwb(load_recording(tmp_path / "a.nwb"), tmp_path / "b.nwb")
    assert_equal(load_recording(tmp_path / "b.nwb"), recording)


MINIMAL = {"frames": np.zeros((4, 2, 2)), "frame_rate_hz": 10.0}


def minimal(cells=None, spike_times=None, **stimulus):
    return Recording(
        stimulus=Stimulus(**{**MINIMAL, **stimulus}),
        rates=np.ones((4, 1)),
        cells=pd.DataFrame({"kind": ["ON"]}) if cells is None else cells,
        splits={"train": (0, 2), "test": (2, 4)},
        spike_times=spike_times,
    )


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        (minimal(spike_times=(np.array([np.nan]),)), "Spike times of cell 0 hold NaN"),
        (minimal(times=np.array([0.0, 0.1, 0.1, 0.2])), "times of the frames must ascend"),
        (minimal(cells=pd.DataFrame({"kind": ["a\0b"]})), "Column 'kind' .* cannot be written"),
        (minimal(cells=pd.DataFrame({"kind": ["\ud800"]})), "Column 'kind' .* cannot be written"),
        (minimal(cells=pd.DataFrame([[1, 2]], columns=["a", "a"])), "names that are text and dif"),
        (minimal(cells=pd.DataFrame({3: [1]})), "names that are text and differ"),
    ],
)
def test_what_nwb_cannot_hold_is_said_and_nothing_is_written(recording, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_nwb(recording, tmp_path / "a.nwb")
    assert not list(tmp_path.iterdir())


def test_names_that_nwb_takes_for_itself_come_back():
    taken = ["id", "spike_times", "a/b", "a:b", "..", "add_row", "x_index", "unit_id"]
    names = stored_names(taken)
    assert len(set(names.values())) == len(taken)
    assert not [name for name in names.values() if set(name) & set("/:") or name in taken]


KNOWN = {"species": "Ambystoma tigrinum", "sex": "F", "age": "P90D", "subject_id": "s1"}


@pytest.mark.parametrize(
    ("subject", "spikes"),
    [({}, None), (KNOWN, (np.array([0.05, 0.11]),))],
    ids=["nothing known", "subject and spikes known"],
)
def test_inspector_finds_nothing_critical(subject, spikes, tmp_path):
    start = datetime(2015, 10, 7, tzinfo=UTC)
    cells = pd.DataFrame({"kind": ["ON"]})
    recording = minimal(cells=cells, spike_times=spikes)
    write_nwb(recording, tmp_path / "a.nwb", session_start=start, **subject)
    assert pynwb.validate(path=tmp_path / "a.nwb") == []
    found = list(inspect_nwbfile(nwbfile_path=tmp_path / "a.nwb"))
    assert not [m.message for m in found if m.importance.value >= Importance.CRITICAL.value]
    violations = {m.check_function_name for m in found if m.importance.name.endswith("VIOLATION")}
    expected = {"check_units_resolution_is_set"} if spikes else set()
    assert violations == expected | (set() if subject else {"check_subject_species_exists"})
    with pynwb.NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        assert io.read().session_start_time == start
