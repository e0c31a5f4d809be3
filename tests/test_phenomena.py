"""What a circuit with known wiring must show, and what it cannot."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from retina_codec import export
from retina_codec.causal import ablated
from retina_codec.contributions import integrated_gradients, one_cell, population_sum
from retina_codec.datatypes import Event
from retina_codec.decomposition import SparseModes, decompose
from retina_codec.networks import DeepRetina, windows_for
from retina_codec.phenomena import PHENOMENA, in_units_of, run_phenomenon, signatures
from retina_codec.simulation import Circuit
from retina_codec.stimuli import Normalisation, Screen, step_of_contrast, white_noise

SCREEN = Screen((20, 20))


class Linear(nn.Module):
    """A cell with a biphasic centre-surround field and nothing else: rates may be negative."""

    history = 20
    normalisation = Normalisation()
    settings = {"shape": [20, 20]}

    def __init__(self):
        super().__init__()
        lag = np.arange(20, 0, -1) / 100
        time = lag**3 * np.exp(-lag / 0.015) - 0.02 * lag**4 * np.exp(-lag / 0.03)
        y, x = np.mgrid[:20, :20] - 9.5
        space = np.exp(-(y**2 + (x - 2) ** 2) / 6) - 0.1 * np.exp(-(y**2 + (x - 2) ** 2) / 40)
        field = np.multiply.outer(-time / np.abs(time).sum(), space)
        self.field = nn.Linear(field.size, 1, bias=False).requires_grad_(False)
        self.field.weight.data = torch.tensor(field.reshape(1, -1), dtype=torch.float32)

    def forward(self, window):
        """Return the drive."""
        return 20 * self.field(window.flatten(1))


class Computed(nn.Module):
    """One cell whose rate is any function of windows "batch lag y x": positive controls."""

    history = 40
    normalisation = Normalisation()
    settings = {"shape": [20, 20]}

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, window):
        """Return 100 times what the function gives."""
        rate = self.rate(window.detach().numpy())
        return 100 * torch.tensor(rate[:, None], dtype=torch.float32)


def expecting_a_beat(window):
    """Fires 40 to 60 ms after a flash should have come, by the interval between the last two."""
    on = np.abs(window).mean(axis=(2, 3)) > 0.5
    begins = on[:, 1:] & ~on[:, :-1]
    rates = []
    for row in begins:
        since = len(row) - np.flatnonzero(row)[::-1]  # frames since the last, the one before ...
        late = since[0] - (since[1] - since[0]) if len(since) > 1 else 0
        rates.append(max(0.0, 1 - abs(late - 5) / 2))
    return np.array(rates)


def without_a_beat(window):
    """Fires 180 ms after every flash, whatever came before."""
    on = np.abs(window).mean(axis=(2, 3)) > 0.5
    begins = on[:, 1:] & ~on[:, :-1]
    return 1.0 * begins[:, -18] + 0.5 * begins[:, -17] + 0.5 * begins[:, -19]


def adapting(window):
    """Fires with the contrast of the last frames, relative to that of the last 0.2 s."""
    flicker = window.mean(axis=(2, 3))
    return np.abs(flicker[:, -3:]).mean(axis=1) / (0.2 + flicker[:, -20:].std(axis=1))


def noticing_a_turn(window):
    """Fires when what is there goes back to where it was."""
    weight = np.abs(window[:, [-1, -6, -11]]) + 1e-9
    y, x = np.mgrid[:20, :20]
    at = np.stack([(weight * place).sum((2, 3)) / weight.sum((2, 3)) for place in (y, x)])
    return np.maximum(-((at[:, :, 0] - at[:, :, 1]) * (at[:, :, 1] - at[:, :, 2])).sum(0), 0) / 4


@pytest.fixture(scope="module")
def circuit():
    return Circuit(shape=SCREEN.shape, history=25, cells_per_type=1)


@pytest.fixture(scope="module")
def events(circuit):
    return {
        name: run_phenomenon(circuit, phenomenon, screen=SCREEN)
        for name, phenomenon in PHENOMENA.items()
    }


def present(event, network):
    table = event.signatures
    kinds = network.cells["cell_type"].to_numpy()[table["cell"]]
    return set(kinds[table["present"] == 1])


NOT_FOR_LINEAR_CELLS = {
    "object motion sensitivity",  # the edge of the disc drives them
    "contrast adaptation",  # their mean rate does not know the contrast
}
NEEDS_NONLINEARITY = [name for name in PHENOMENA if name not in NOT_FOR_LINEAR_CELLS]


@pytest.mark.parametrize("name", NEEDS_NONLINEARITY)
def test_linear_cells_show_nothing(name):
    event = run_phenomenon(Linear(), PHENOMENA[name], screen=SCREEN)
    assert not event.signatures["present"].any()
    assert np.nanmax(event.rates) > 2


@pytest.mark.parametrize(
    ("name", "rate", "expected"),
    [
        ("omitted stimulus response", expecting_a_beat, True),
        ("omitted stimulus response", without_a_beat, False),
        ("response after a beat", expecting_a_beat, True),
        ("contrast adaptation", adapting, True),
        ("motion reversal response", noticing_a_turn, True),
    ],
)
def test_cells_made_for_it_show_it(name, rate, expected):
    event = run_phenomenon(Computed(rate), PHENOMENA[name], screen=SCREEN)
    assert bool(event.signatures["present"].item()) is expected
    assert np.isfinite(event.signatures["value"].item())


def test_linear_cells_are_at_their_null():
    def value(name):
        return run_phenomenon(Linear(), PHENOMENA[name], screen=SCREEN).signatures.iloc[0]

    assert value("frequency doubling")["value"] < 0.05
    assert abs(value("paired flash suppression")["value"]) < 1e-3
    assert abs(value("latency coding")["value"]) < 1e-3
    anticipation = value("motion anticipation")
    assert abs(anticipation["value"] - anticipation["control"]) < 0.15


def test_frequency_doubling_tells_on_off_cells(events, circuit):
    event = events["frequency doubling"]
    assert present(event, circuit) == {"ON-OFF transient"}
    assert event.signatures["value"].iloc[3] > 0.9
    assert (event.signatures["value"].iloc[:3] < 0.5).all()


def test_circuit_has_no_slow_memory(events, circuit):
    for name in ("contrast adaptation", "omitted stimulus response", "motion reversal response"):
        assert present(events[name], circuit) == set(), name


def test_undershoot_of_fast_bipolar_cells_suppresses_a_second_flash(events, circuit):
    assert "OFF transient" in present(events["paired flash suppression"], circuit)
    assert not {"OFF sustained", "ON sustained"} & present(
        events["paired flash suppression"], circuit
    )


def test_fast_cells_anticipate_and_slow_ones_do_not(events, circuit):
    found = present(events["motion anticipation"], circuit)
    assert "OFF transient" in found and "OFF sustained" not in found


def test_wide_field_inhibition_makes_object_motion_sensitivity(events, circuit):
    """Without the amacrine cell only the edge of the disc, in the bipolar surrounds, is left."""
    name = "object motion sensitivity"
    with ablated(circuit, "amacrine", [0]):
        without = run_phenomenon(circuit, PHENOMENA[name], screen=SCREEN).signatures["value"]
    index = events[name].signatures["value"]
    kinds = circuit.cells["cell_type"]
    transient = kinds.str.contains("transient")
    assert (index[transient] > without[transient] + 0.05).all()
    np.testing.assert_allclose(index[~transient], without[~transient], atol=1e-6)


def test_rates_and_times_are_those_of_the_movies(events):
    for name, event in events.items():
        n_repeats, n_conditions, n_samples, n_cells = event.rates.shape
        assert (n_repeats, n_cells) == (len(PHENOMENA[name].repeats), 4)
        grey = event.sample < -0.01
        row = list(event.conditions["condition"]).index(event.event)
        shown = np.isfinite(event.rates[0, row, :, 0])
        np.testing.assert_array_equal(shown, np.isfinite(event.movie[row, :, 0]))
        first = np.flatnonzero(shown)[0]
        assert grey[first] and (event.movie[row, first] == 0).all()
        low, high = event.signatures["low"], event.signatures["high"]
        assert (low.isna() | (low <= high)).all()


def test_contributions_and_loadings_of_the_event(circuit, tmp_path):
    samples = windows_for(circuit, white_noise(n_frames=500, check_px=3, screen=SCREEN))
    found = integrated_gradients(
        circuit, samples, layers=["bipolar"], target=population_sum(), progress=False
    )
    modes = {"bipolar": decompose(found["bipolar"], SparseModes(n_modes=4))}
    phenomenon = PHENOMENA["paired flash suppression"]
    event = run_phenomenon(circuit, phenomenon, screen=SCREEN, modes=modes)
    assert event.target == "population sum"
    assert set(event.features["layer"]) == {"bipolar"} and len(event.features) == 8
    row = list(event.conditions["condition"]).index(event.event)
    total = event.rates[0, row].sum(axis=1)
    explained = event.contributions.sum(axis=1)
    shown = np.isfinite(explained)
    np.testing.assert_allclose(explained[shown], (total - total[0])[shown], atol=0.5)
    assert event.loadings.shape[1] == len(event.modes) == len(modes["bipolar"].dictionary)
    assert np.nanmax(event.loadings) > 0
    export.save(event, tmp_path / "event.nc")
    assert isinstance(export.load(tmp_path / "event.nc"), Event)


def test_a_network_in_other_units_sees_the_same():
    """Weights that expect 0..255 differ from others only in the normalisation of windows."""
    settings = {"shape": (20, 20), "history": 10, "typical_rate_hz": [20.0], "kernels": (5, 3)}
    plain = DeepRetina(**settings).eval()
    scaled = DeepRetina(**settings, normalisation=Normalisation(mean=120.0, std=40.0)).eval()
    phenomenon = replace(PHENOMENA["frequency doubling"], repeats=(0.0,))
    events = [
        run_phenomenon(network, phenomenon, screen=SCREEN, layers=["relu1"], target=one_cell(0))
        for network in (plain, scaled)
    ]
    np.testing.assert_allclose(events[0].rates, events[1].rates, rtol=1e-3)
    grey = events[1].sample < -0.1
    assert np.abs(events[1].contributions[grey]).max() < 1e-6
    frames = in_units_of(scaled, step_of_contrast(screen=SCREEN)).frames
    assert sorted(set(frames.ravel().tolist())) == [80.0, 120.0]


def test_cells_are_chosen_and_tables_joined(circuit):
    some = [PHENOMENA[name] for name in ("frequency doubling", "latency coding")]
    events = [run_phenomenon(circuit, one, screen=SCREEN, cells=[3, 1]) for one in some]
    table = signatures(events)
    assert table["phenomenon"].tolist() == ["frequency doubling"] * 2 + ["latency coding"] * 2
    assert table["cell"].tolist() == [3, 1, 3, 1]


def test_wrong_screen_is_told(circuit):
    with pytest.raises(ValueError, match="made for frames of"):
        run_phenomenon(circuit, PHENOMENA["latency coding"], screen=Screen((24, 24)))


def test_a_network_that_knows_nothing_of_its_stimulus_is_refused():
    with pytest.raises(ValueError, match="Linear has no 'history'; expected a network that knows"):
        run_phenomenon(nn.Linear(2, 2), PHENOMENA["latency coding"], screen=SCREEN)


@pytest.mark.parametrize("name", PHENOMENA)
def test_slower_screens_show_all_of_it(name):
    network = Circuit(shape=SCREEN.shape, history=12, frame_rate_hz=50.0, cells_per_type=1)
    phenomenon = replace(PHENOMENA[name], repeats=PHENOMENA[name].repeats[-2:])
    event = run_phenomenon(network, phenomenon, screen=Screen(SCREEN.shape, frame_rate_hz=50.0))
    assert np.isfinite(event.movie).any(axis=(1, 2)).all() and np.nanstd(event.movie) > 0
    assert np.nanmax(event.rates) > 2
