import numpy as np
import pytest
import torch

from retina_codec.simulation import Circuit, circuit_rates, simulate_recording
from retina_codec.simulation.circuit import BIPOLAR
from retina_codec.stimuli import Screen, flashes, natural_scenes, windows


def interneurons(circuit, stimulus):
    """Bipolar and amacrine maps for every window of a movie."""
    samples = windows(stimulus, circuit.history)
    bipolar = circuit.bipolar(torch.from_numpy(samples[:]))
    return bipolar, circuit.amacrine(bipolar)


def flash(contrast, spot=False):
    movie = flashes(contrasts=[contrast], off_s=0.4, on_s=0.6, screen=Screen((24, 24)))
    if spot:
        keep = np.zeros((24, 24), dtype=bool)
        keep[10:13, 10:13] = True
        movie.frames[:, ~keep] = 0
    return movie


@pytest.fixture(scope="module")
def circuit():
    return Circuit(shape=(24, 24), history=30)


def test_bipolar_channels_have_their_polarity(circuit):
    for contrast, on in ((1.0, True), (-1.0, False)):
        bipolar, _ = interneurons(circuit, flash(contrast, spot=True))
        peak = bipolar.amax(dim=(0, 2, 3))
        preferred = torch.tensor([name.startswith("ON") == on for name in BIPOLAR])
        assert peak[preferred].min() > 2 * peak[~preferred].max()


def test_fast_channels_peak_first(circuit):
    bipolar, _ = interneurons(circuit, flash(1.0, spot=True))
    peaks = bipolar.amax(dim=(2, 3)).argmax(dim=0)
    assert peaks[BIPOLAR.index("ON fast")] < peaks[BIPOLAR.index("ON slow")]


def test_surround_suppresses(circuit):
    spot, _ = interneurons(circuit, flash(1.0, spot=True))
    field, _ = interneurons(circuit, flash(1.0))
    assert field[:, 0].amax() < 0.5 * spot[:, 0].amax()


def test_wide_field_amacrine_answers_both_contrasts_and_is_transient(circuit):
    for contrast in (1.0, -1.0):
        _, amacrine = interneurons(circuit, flash(contrast, spot=True))
        course = amacrine[:, 0].amax(dim=(1, 2))
        assert course.max() > 0.05
        assert course[-1] < 0.2 * course.max()


def test_wide_field_reaches_further(circuit):
    _, amacrine = interneurons(circuit, flash(1.0, spot=True))
    reached = (amacrine.amax(dim=0) > 0.1 * amacrine.amax(dim=(0, 2, 3))[:, None, None]).sum((1, 2))
    assert reached[0] > 2 * reached[1]


def test_amacrine_cells_inhibit(circuit):
    window = torch.from_numpy(windows(natural_scenes(n_frames=300, screen=Screen((24, 24))), 30)[:])
    before = circuit(window)
    handle = circuit.amacrine.register_forward_hook(lambda module, inputs, output: output * 0)
    without = circuit(window)
    handle.remove()
    assert (without >= before - 1e-4).all()
    assert without.mean() > 1.1 * before.mean()


def test_ganglion_weights_are_the_wiring(circuit):
    table = circuit.wiring()
    maps = circuit.ganglion.weight.reshape(len(circuit.cells), 7, -1).sum(dim=2)
    for weights, cell_type in zip(maps.numpy(), circuit.cells["cell_type"], strict=True):
        np.testing.assert_allclose(weights, table.loc[cell_type], atol=1e-5)


def test_ganglion_cells_look_at_their_position(circuit):
    maps = circuit.ganglion.weight.reshape(len(circuit.cells), 7, 14, 14).abs().sum(dim=1)
    for cell, y_px, x_px in zip(maps, circuit.cells["y_px"], circuit.cells["x_px"], strict=True):
        y, x = np.unravel_index(int(cell.argmax()), (14, 14))
        assert abs(y + circuit.margin_px - y_px) <= 0.5
        assert abs(x + circuit.margin_px - x_px) <= 0.5


def test_rates_are_those_of_ganglion_cells():
    recording = simulate_recording(n_frames=2000, seed=1)
    mean = recording.rates.mean(axis=0)
    assert (mean > 1).all() and (mean < 40).all()
    assert recording.rates.max() <= 600


def test_recording_can_be_made_again():
    recording = simulate_recording(n_frames=1000, test_frames=600, seed=3)
    again = Circuit(**recording.circuit)
    rates = circuit_rates(again, recording.stimulus)
    assert rates.shape == recording.rates.shape
    start, stop = recording.splits["test"]
    recorded = recording.rates[start:stop].ravel()
    other = circuit_rates(Circuit(**{**recording.circuit, "seed": 9}), recording.stimulus)
    r, r_other = (np.corrcoef(x[start:stop].ravel(), recorded)[0, 1] for x in (rates, other))
    assert r > 0.7 and r > 2 * r_other
    assert again.cells.equals(recording.cells)


def test_spikes_are_poisson_around_the_true_rate():
    circuit = Circuit(shape=(24, 24), history=10)
    movie = natural_scenes(n_frames=300, screen=Screen((24, 24)))
    recording = simulate_recording(
        circuit=circuit, stimulus=movie, test_frames=250, n_trials=200, seed=0
    )
    counts = recording.repeats / 100
    mean, variance = counts.mean(axis=0), counts.var(axis=0, ddof=1)
    np.testing.assert_allclose(
        mean.mean() * 100, circuit_rates(circuit, movie)[50:].mean(), rtol=0.02
    )
    assert variance.mean() / mean.mean() == pytest.approx(1.0, abs=0.05)


def test_spike_times_make_the_rates():
    recording = simulate_recording(n_frames=400, seed=0)
    stop = recording.splits["train"][1]
    edges = np.arange(stop + 1) / 100
    for cell, times in enumerate(recording.spike_times):
        counts = np.histogram(times, edges)[0]
        np.testing.assert_allclose(counts * 100, recording.rates[:stop, cell])


def test_small_movies_are_refused():
    with pytest.raises(ValueError, match="needs a movie of at least 17 x 17 pixels, got 12 x 20"):
        Circuit(shape=(12, 20))


def test_unknown_interneurons_are_refused():
    with pytest.raises(ValueError, match="No interneuron 'ON medium'"):
        Circuit(types={"strange": {"ON medium": 1.0}})
