"""Recordings from the simulated retina."""

import numpy as np
import torch

from retina_codec.datatypes import Recording, Stimulus
from retina_codec.stimuli import Screen, natural_scenes, windows

from .circuit import Circuit

BATCH = 500


def simulate_recording(
    *,
    circuit: Circuit | None = None,
    stimulus: Stimulus | None = None,
    n_frames: int = 6000,
    test_frames: int | None = None,
    n_trials: int = 10,
    seed: int = 0,
) -> Recording:
    """Poisson spikes of the simulated retina: one long movie, and a test movie shown many times.

    The last `test_frames` of the movie are the test: they are shown in `n_trials` trials whose
    rates are the recording's `repeats`, and `rates` holds their mean. Before the first frame the
    screen was grey. Everything that is needed to make the circuit again is kept in
    `recording.circuit`; types and positions of the cells are in `recording.cells`.

    Parameters
    ----------
    circuit
        The retina; by default one that fits the stimulus.
    stimulus
        A contrast movie; by default natural scenes of 32 x 32 pixels at 100 Hz.
    n_frames
        Length of the default movie.
    test_frames
        Length of the test; a tenth of the movie by default.
    n_trials
        How often the test is shown.
    seed
        Of the default movie and of the spikes.

    Returns
    -------
    Recording
        With the splits "train" and "test", spike times, repeats, and the type of each cell.

    Raises
    ------
    ValueError
        If the movie is too short or too small for the circuit.

    Examples
    --------
    >>> recording = simulate_recording(n_frames=200, seed=0)
    >>> recording.rates.shape, recording.repeats.shape
    ((200, 12), (10, 20, 12))
    """
    if stimulus is None:
        shape = tuple(circuit.settings["shape"]) if circuit else (32, 32)
        stimulus = natural_scenes(n_frames=n_frames, screen=Screen(shape), seed=seed)
    if circuit is None:
        circuit = Circuit(
            shape=tuple(stimulus.frames.shape[1:]), frame_rate_hz=stimulus.frame_rate_hz
        )
    n_frames = stimulus.frames.shape[0]
    test_frames = test_frames or n_frames // 10
    true_rates = circuit_rates(circuit, stimulus)
    rng = np.random.default_rng(seed)
    bin_s = 1 / stimulus.frame_rate_hz
    split = n_frames - test_frames
    counts = rng.poisson(true_rates[:split] * bin_s)
    trials = rng.poisson(true_rates[split:] * bin_s, (n_trials, *true_rates[split:].shape))
    repeats = (trials / bin_s).astype(np.float32)
    rates = np.concatenate([(counts / bin_s).astype(np.float32), repeats.mean(axis=0)])
    return Recording(
        stimulus=stimulus,
        rates=rates,
        cells=circuit.cells.copy(),
        splits={"train": [0, split], "test": [split, n_frames]},
        spike_times=_spike_times(counts, stimulus, rng),
        repeats=repeats,
        source=f"simulated retina, seed {seed}",
        circuit=circuit.settings,
    )


def circuit_rates(circuit: Circuit, stimulus: Stimulus) -> np.ndarray:
    """Return the true rates in Hz; the screen was grey before the first frame.

    Parameters
    ----------
    circuit
        The retina.
    stimulus
        A contrast movie of the circuit's size.

    Returns
    -------
    np.ndarray
        "time cell": one rate for each frame and cell.

    Examples
    --------
    >>> from retina_codec.stimuli import white_noise
    >>> screen = Screen((20, 20))
    >>> circuit = Circuit(shape=screen.shape, history=20, cells_per_type=1)
    >>> rates = circuit_rates(circuit, white_noise(n_frames=30, screen=screen))
    >>> rates.shape, f"{rates[0, 0]:.2f} Hz"  # The first frame comes after grey.
    ((30, 4), '0.39 Hz')
    """
    frames = np.asarray(stimulus.frames, dtype=np.float32)
    grey = np.zeros((circuit.history, *frames.shape[1:]), dtype=np.float32)
    padded = Stimulus(frames=np.concatenate([grey, frames]), frame_rate_hz=stimulus.frame_rate_hz)
    samples = windows(padded, circuit.history)
    with torch.no_grad():
        batches = [
            circuit(torch.from_numpy(samples[first : first + BATCH])).numpy()
            for first in range(0, len(samples), BATCH)
        ]
    return np.concatenate(batches)


def _spike_times(
    counts: np.ndarray, stimulus: Stimulus, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Place the spikes of each bin at random inside it."""
    times = []
    for cell in counts.T:
        bins = np.repeat(np.arange(len(cell)), cell)
        seconds = stimulus.start_s + (bins + rng.uniform(size=len(bins))) / stimulus.frame_rate_hz
        times.append(np.sort(seconds))
    return tuple(times)
