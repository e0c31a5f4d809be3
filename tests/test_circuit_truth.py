"""The whole method on a circuit whose wiring is known: what it finds is held against the truth."""

import numpy as np
import pytest

from retina_codec.causal import ablated, channels_of_mode
from retina_codec.contributions import integrated_gradients, one_cell, population_sum
from retina_codec.decomposition import NonNegativeFactors, SparseModes, decompose
from retina_codec.networks import predict, windows_for
from retina_codec.receptive_fields import (
    instantaneous_fields,
    peak_position,
    separate_space_time,
    spike_triggered_average,
)
from retina_codec.simulation import Circuit, circuit_rates, simulate_recording
from retina_codec.simulation.circuit import AMACRINE, BIPOLAR, POOLS, TYPES
from retina_codec.statistics import pearson
from retina_codec.stimuli import Screen, natural_scenes, white_noise


@pytest.fixture(scope="module")
def circuit():
    return Circuit(shape=(24, 24), history=25, cells_per_type=2, seed=1)


@pytest.fixture(scope="module")
def samples(circuit):
    return windows_for(circuit, natural_scenes(n_frames=900, screen=Screen((24, 24)), seed=2))


@pytest.fixture(scope="module")
def of_each_type(circuit, samples):
    """Contributions to the first cell of each type."""
    with pytest.warns(UserWarning, match="also round layer amacrine:"):
        results = integrated_gradients(
            circuit,
            samples,
            layers=["bipolar", "amacrine"],
            target=[one_cell(2 * i) for i in range(len(TYPES))],
            n_steps=10,
            progress=False,
        )
    return dict(zip(TYPES, results.values(), strict=True))


def by_name(record, names):
    """Total promoting and suppressing contribution of each channel."""
    total = np.abs(record.values).sum(axis=0)
    return {
        name: (
            total[(record.channel == c) & (record.sign == 1)].item(),
            total[(record.channel == c) & (record.sign == -1)].item(),
        )
        for c, name in enumerate(names)
    }


@pytest.mark.parametrize("cell_type", TYPES)
def test_amacrine_contributions_are_the_wired_inhibition(of_each_type, cell_type):
    found = by_name(of_each_type[cell_type]["amacrine"], AMACRINE)
    for name, (promoting, suppressing) in found.items():
        assert promoting < 1e-3
        assert (suppressing > 1) == (name in TYPES[cell_type]), name


@pytest.mark.parametrize("cell_type", TYPES)
def test_bipolar_contributions_are_the_wired_excitation(of_each_type, cell_type):
    found = by_name(of_each_type[cell_type]["bipolar"], BIPOLAR)
    through = {p for a in TYPES[cell_type] if a in POOLS for p in POOLS[a]}
    for name, (promoting, suppressing) in found.items():
        assert (promoting > 1) == (name in TYPES[cell_type]), name
        assert (suppressing > 1) == (name in through), name


def test_bipolar_layer_is_complete_and_gap_of_amacrine_is_the_direct_path(of_each_type):
    for records in of_each_type.values():
        bipolar, amacrine = records["bipolar"], records["amacrine"]
        change = bipolar.target_value - bipolar.baseline_value
        assert np.abs(bipolar.gap).sum() < 0.03 * np.abs(change).sum()
        direct = bipolar.values[:, bipolar.sign == 1].sum(axis=1)
        assert np.corrcoef(amacrine.gap, direct)[0, 1] > 0.9


@pytest.mark.parametrize(
    "method",
    [SparseModes(n_modes=8), NonNegativeFactors(n_modes=8)],
    ids=lambda method: type(method).__name__,
)
def test_modes_are_pathways(circuit, samples, method):
    """For each type, the mode that goes best with its cells is carried by a channel wired to it."""
    record = integrated_gradients(
        circuit, samples, layers=["bipolar"], target=population_sum(), n_steps=10, progress=False
    )["bipolar"]
    modes = decompose(record, method)
    assert modes.r2 > 0.9
    r = pearson(predict(circuit, samples), modes.loadings)
    for cell, cell_type in enumerate(circuit.cells["cell_type"]):
        best = int(np.argmax(r[cell]))
        strongest = int(modes.channel[np.argmax(modes.dictionary[best])])
        assert TYPES[cell_type].get(BIPOLAR[strongest], 0) > 0, (cell_type, BIPOLAR[strongest])
        assert r[cell, best] > 0.3


def test_removing_a_pathway_silences_its_types_only(circuit, samples):
    """Types that only this channel excites fall silent; types that it does not, lose inhibition."""
    record = integrated_gradients(
        circuit, samples, layers=["bipolar"], target=population_sum(), n_steps=10, progress=False
    )["bipolar"]
    modes = decompose(record, NonNegativeFactors(n_modes=4))
    before = predict(circuit, samples).mean(axis=0)
    for mode in range(len(modes.dictionary)):
        (channel, *_) = channels_of_mode(modes, mode, share=0.5)
        with ablated(circuit, "bipolar", [channel]):
            change = predict(circuit, samples).mean(axis=0) / before
        for cell, cell_type in enumerate(circuit.cells["cell_type"]):
            excitation = [name for name in BIPOLAR if name in TYPES[cell_type]]
            if excitation == [BIPOLAR[channel]]:
                assert change[cell] < 0.75, (cell_type, BIPOLAR[channel])
            elif BIPOLAR[channel] not in excitation:
                assert change[cell] > 1 - 1e-6, (cell_type, BIPOLAR[channel])


def test_fields_lie_at_the_cells_with_their_polarity(circuit, samples):
    """At its strongest moment a cell's IRF is centred on it, with the sign of its type."""
    rates = predict(circuit, samples)
    for cell, row in enumerate(circuit.cells.itertuples()):
        moment = int(rates[:, cell].argmax())
        fields = separate_space_time(
            instantaneous_fields(circuit, samples, cells=[cell], index=[moment])
        )
        y, x = peak_position(fields.values[0])
        assert np.hypot(y - row.y_px, x - row.x_px) < 3
        if "sustained" in row.cell_type or row.cell_type == "OFF transient":
            assert (fields.space[0, y, x] > 0) == row.cell_type.startswith("ON"), row.cell_type


def test_on_off_cells_change_the_sign_of_their_field(circuit, samples):
    """The dynamic receptive field: one cell, both polarities, each with its own bipolar pathway."""
    cell = 6
    assert circuit.cells["cell_type"][cell] == "ON-OFF transient"
    record = integrated_gradients(
        circuit, samples, layers=["bipolar"], target=one_cell(cell), n_steps=10, progress=False
    )["bipolar"]
    promoting = record.values[:, record.sign == 1]
    for channel, polarity in ((BIPOLAR.index("ON fast"), 1), (BIPOLAR.index("OFF fast"), -1)):
        alone = promoting[:, channel] - promoting.sum(axis=1) + promoting[:, channel]
        moments = np.argsort(-alone)[:20]
        fields = instantaneous_fields(circuit, samples, cells=[cell], index=moments)
        recent = fields.values.mean(axis=0)[-8:].mean(axis=0)
        y, x = (round(float(circuit.cells[axis][cell])) for axis in ("y_px", "x_px"))
        assert np.sign(recent[y - 1 : y + 2, x - 1 : x + 2].mean()) == polarity


def test_sta_of_sustained_cells_is_their_field(circuit):
    stimulus = white_noise(n_frames=15_000, check_px=2, screen=Screen((24, 24)), seed=5)
    recording = simulate_recording(circuit=circuit, stimulus=stimulus, test_frames=500, seed=0)
    fields = separate_space_time(spike_triggered_average(recording, history=25))
    assert circuit_rates(circuit, stimulus).mean() > 0.2
    for cell in range(2, 6):
        row = circuit.cells.iloc[cell]
        y, x = peak_position(fields.values[cell])
        assert np.hypot(y - row["y_px"], x - row["x_px"]) < 4
        assert (fields.space[cell, y, x] > 0) == row["cell_type"].startswith("ON")
