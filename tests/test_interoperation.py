"""Records as objects of other packages, and back."""

import dataclasses
import subprocess
import sys

import numpy as np
import pandas as pd
import pynapple as nap
import pytest
from stored import Lazy

from retina_codec.datatypes import Contributions, Modes, Recording, Stimulus, _recording
from retina_codec.stimuli import Normalisation, design

N, RATE_HZ, START_S = 40, 20.0, 1.5
RNG = np.random.default_rng(0)
SPIKES = (np.sort(RNG.uniform(1.0, 4.0, 50)), np.array([]), np.sort(RNG.uniform(1.5, 3.4, 9)))


def slow_counts(edges):
    """Count in the most obvious way."""
    bins = list(zip(edges[:-1], edges[1:], strict=True))
    return np.array([[sum(a <= s < b for s in train) for train in SPIKES] for a, b in bins])


def recording(times=None):
    stimulus = Stimulus(
        frames=np.random.default_rng(1).random((N, 4, 3)),
        frame_rate_hz=RATE_HZ,
        start_s=START_S,
        times=times,
        pixel_um=30.0,
    )
    edges = stimulus.edges
    return Recording(
        stimulus=stimulus,
        rates=slow_counts(edges) / np.diff(edges)[:, None],
        cells=pd.DataFrame({"kind": ["ON", "OFF", "ON"], "rate": [1.0, 2.0, 3.0]}),
        splits={"train": (0, 30), "test": (30, N)},
        spike_times=SPIKES,
    )


JITTERED = START_S + np.arange(N) / RATE_HZ + np.random.default_rng(2).uniform(0, 0.01, N)


def test_edges_of_regular_and_measured_frames():
    regular = recording().stimulus.edges
    np.testing.assert_allclose(regular, [START_S + i * 0.05 for i in range(N + 1)])
    measured = recording(JITTERED).stimulus.edges
    np.testing.assert_array_equal(measured[:-1], JITTERED)
    assert measured[-1] == pytest.approx(JITTERED[-1] + 0.05)


@pytest.mark.parametrize("times", [None, JITTERED], ids=["regular", "jittered"])
def test_pynapple_has_the_same_numbers(times):
    record = recording(times)
    found = record.to_pynapple()
    edges = record.stimulus.edges
    np.testing.assert_allclose(found["rates"].values, record.rates)
    np.testing.assert_allclose(found["stimulus"].index.values, edges[:-1], atol=1e-9)
    counted = found["spikes"].count(ep=nap.IntervalSet(edges[0], edges[-1]))
    assert counted.values.sum() == slow_counts(edges).sum()
    for train, cell in zip(SPIKES, found["spikes"].index, strict=True):
        np.testing.assert_allclose(found["spikes"][cell].index.values, train, atol=1e-9)
    assert list(found["spikes"]["kind"]) == ["ON", "OFF", "ON"]
    assert list(found["spikes"]["cell_rate"]) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("times", [None, JITTERED], ids=["regular", "jittered"])
def test_splits_hold_their_frames_and_no_other(times):
    found = recording(times).to_pynapple()
    for name, (start, stop) in {"train": (0, 30), "test": (30, N)}.items():
        part = found["rates"].restrict(found["splits"][name])
        np.testing.assert_array_equal(part.values, found["rates"].values[start:stop])


def test_movie_stays_where_it_is():
    record = recording()
    lazy = Movie(np.asarray(record.stimulus.frames))
    record = dataclasses.replace(record, stimulus=dataclasses.replace(record.stimulus, frames=lazy))
    tensor = record.to_pynapple()["stimulus"]
    assert lazy.most <= 1
    np.testing.assert_array_equal(tensor[5:8].values, lazy.values[5:8])
    assert lazy.most == 3


class Movie(Lazy):
    """Looks enough like an array for pynapple."""

    ndim = 3

    def __len__(self):
        return len(self.values)

    def __getitem__(self, key):
        if isinstance(key, slice):
            return super().__getitem__(key)
        self.most = max(self.most, np.size(key))
        return self.values[key]


@pytest.mark.parametrize("times", [None, JITTERED], ids=["regular", "jittered"])
@pytest.mark.parametrize("with_rates", [True, False])
def test_back_from_pynapple(times, with_rates):
    record = recording(times)
    found = record.to_pynapple()
    given = {"rates": found["rates"]} if with_rates else {}
    again = Recording.from_pynapple(
        found["stimulus"], spikes=found["spikes"], splits=found["splits"], pixel_um=30.0, **given
    )
    known = slice(None if times is None else -1)  # pynapple keeps no duration of the last frame
    np.testing.assert_allclose(again.rates[known], record.rates[known], rtol=1e-6)
    np.testing.assert_array_equal(again.stimulus.frames, record.stimulus.frames)
    np.testing.assert_allclose(again.stimulus.edges, record.stimulus.edges, atol=1e-3)
    assert (again.stimulus.times is None) == (times is None)
    assert again.splits == record.splits
    assert list(again.cells["kind"]) == ["ON", "OFF", "ON"] and "rate" not in again.cells


def test_from_pynapple_errors():
    found = recording().to_pynapple()
    with pytest.raises(ValueError, match="needs responses: give 'spikes'"):
        Recording.from_pynapple(found["stimulus"])
    with pytest.raises(ValueError, match="'rates' has 10 times and 'stimulus' 40"):
        Recording.from_pynapple(found["stimulus"], rates=found["rates"][:10])
    two = {"train": nap.IntervalSet([1.5, 2.5], [2.0, 3.0])}
    with pytest.raises(ValueError, match="Split 'train' has 2 intervals; expected one stretch"):
        Recording.from_pynapple(found["stimulus"], rates=found["rates"], splits=two)


def test_pynapple_is_optional(monkeypatch):
    def absent(*args):
        raise ImportError("No module named 'pynapple'")

    monkeypatch.setattr(_recording.importlib, "import_module", absent)
    with pytest.raises(ImportError, match=r"pip install 'retina-codec\[pynapple\]'"):
        recording().to_pynapple()


def test_records_do_not_load_pynapple():
    code = "import sys, retina_codec.datatypes; assert 'pynapple' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("part", ["train", "test", "all"])
@pytest.mark.parametrize("times", [None, JITTERED], ids=["regular", "jittered"])
def test_design_is_what_nemos_takes(part, times):
    """X (n_time_bins, n_features) and y (n_time_bins, n_neurons), counts: slowly, bin by bin."""
    record, history = recording(times), 6
    start, stop = {"all": (0, N), **record.splits}[part]
    x, y = design(record, history=history, part=part, normalisation=Normalisation(0.5, 2.0))
    assert x.shape == (stop - start - history, history * 4 * 3)
    assert y.shape == (stop - start - history, 3)
    counts = slow_counts(record.stimulus.edges)
    for row, t in enumerate(range(start + history, stop)):
        before = (record.stimulus.frames[t - history : t] - 0.5) / 2.0
        np.testing.assert_allclose(x[row].reshape(history, 4, 3), before, atol=1e-6)
        np.testing.assert_array_equal(y[row], counts[t])


def test_design_keeps_unobserved_bins():
    record = recording()
    rates = np.array(record.rates)
    rates[20, 1] = np.nan
    _, y = design(dataclasses.replace(record, rates=rates), history=6)
    assert np.argwhere(np.isnan(y)).tolist() == [[14, 1]]


def test_design_errors():
    with pytest.raises(ValueError, match="No part 'trian' in the recording. Parts: all, train"):
        design(recording(), history=6, part="trian")
    with pytest.raises(ValueError, match="A history of 10 frames needs"):
        design(recording(), history=10, part="test")


FEATURES = {"channel": np.array([0, 0, 1]), "sign": np.array([1, -1, 0])}
NAMES = ["channel 0 +", "channel 0 -", "channel 1 both"]


def contributions(values):
    zeros = np.zeros(len(values))
    return Contributions(
        values=values,
        sample=np.arange(len(values)) / 30,
        target_value=zeros,
        baseline_value=zeros,
        gap=zeros,
        **FEATURES,
        layer="conv1",
        target="one_cell(0)",
        method="integrated_gradients",
    )


def test_contributions_as_a_table():
    values = np.arange(12.0).reshape(4, 3)
    table = contributions(values).to_pandas()
    assert list(table.columns) == NAMES and table.index.name == "sample"
    assert table.loc[2 / 30, "channel 0 -"] == values[2, 1]


def test_maps_make_no_table():
    with pytest.raises(ValueError, match="Only pooled contributions"):
        contributions(np.zeros((4, 3, 2, 2))).to_pandas()


def test_modes_as_tables():
    modes = Modes(
        dictionary=np.arange(6.0).reshape(2, 3),
        loadings=np.arange(8.0).reshape(4, 2),
        sample=np.arange(4),
        held_out=np.zeros(4, dtype=bool),
        **FEATURES,
        offset=np.zeros(3),
        firing=np.array([3, 1]),
        r2=0.5,
        r2_train=0.5,
        scale=1.0,
        n_dead=0,
        layer="conv1",
        target="one_cell(0)",
        method="example",
        seed=0,
        reproducibility=np.array([0.9, 0.8]),
    )
    loadings, dictionary = modes.to_pandas()
    assert list(loadings.columns) == ["mode 0", "mode 1"]
    assert loadings.loc[3, "mode 1"] == 7.0
    assert list(dictionary.columns) == [*NAMES, "firing", "reproducibility"]
    assert dictionary.loc[1, "channel 0 -"] == 4.0 and dictionary.loc[1, "firing"] == 1
