"""How well a network predicts ganglion cells."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import nn

from retina_codec.datatypes import Predictions, Recording, Stimulus
from retina_codec.stimuli import Windows, windows


def windows_for(
    network: nn.Module, stimulus: Stimulus, *, frames: Sequence[int] | None = None
) -> Windows:
    """Windows of a movie as a network wants them: of its history, normalised as in its training.

    Parameters
    ----------
    network
        Has `history`, `normalisation` and `settings`, as all networks of this package have.
    stimulus
        The movie.
    frames
        First frame and the one after the last; all by default.

    Raises
    ------
    ValueError
        If the network does not say what it wants, or the movie has another size.

    Examples
    --------
    >>> from retina_codec.networks import LinearNonlinear
    >>> network = LinearNonlinear(shape=(4, 4), history=3, typical_rate_hz=[1.0])
    >>> movie = Stimulus(frames=np.zeros((10, 4, 4)), frame_rate_hz=100.0)
    >>> windows_for(network, movie).shape
    (7, 3, 4, 4)
    """
    wanted = ("history", "normalisation", "settings")
    if not all(hasattr(network, name) for name in wanted):
        msg = (
            f"{type(network).__name__} has no 'history', 'normalisation' and 'settings'. "
            "Make its windows yourself: stimuli.windows(stimulus, history, normalisation=...)."
        )
        raise ValueError(msg)
    expected, came = tuple(network.settings["shape"]), tuple(stimulus.frames.shape[1:])
    if expected != came:
        msg = f"The network was made for frames of {expected} pixels, the stimulus has {came}."
        raise ValueError(msg)
    return windows(stimulus, network.history, frames=frames, normalisation=network.normalisation)


def predict(
    network: nn.Module, samples: Any, *, batch_size: int = 512
) -> Float[np.ndarray, "sample cell"]:
    """Output of a network for every sample, in evaluation mode.

    Parameters
    ----------
    network
        Any module, evaluated in its own dtype where its parameters are; it is left as it was.
    samples
        Anything with a length that slices into batches, such as `stimuli.windows`.
    batch_size
        Samples in a batch.

    Returns
    -------
    np.ndarray
        "sample cell": rates in Hz for networks of ganglion cells, a number for each class for those
        of images.

    Examples
    --------
    >>> predict(nn.Identity(), np.ones((3, 2), dtype=np.float32)).tolist()
    [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    """
    like = next(network.parameters(), next(network.buffers(), torch.zeros(1)))
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            batches = [
                network(torch.as_tensor(samples[first : first + batch_size]).to(like))
                for first in range(0, len(samples), batch_size)
            ]
    finally:
        for module, training in modes.items():
            module.training = training
    return torch.cat(batches).cpu().numpy()


def evaluate(
    network: nn.Module,
    recording: Recording,
    *,
    split: str = "test",
    name: str = "network",
) -> Predictions:
    """Predict a split of a recording and score every cell.

    Parameters
    ----------
    network
        Predicts rates in Hz from windows; knows its `history` and `normalisation`.
    recording
        With the split.
    split
        Which part of the recording.
    name
        Of the network, for figures.

    Returns
    -------
    Predictions
        Columns of `scores`: `pearson_r` between recorded and predicted rate; where the split has
        repeats, also `explainable_variance` (share of the variance of the trial mean that is
        signal) and `normalised_r` (r relative to that of a perfect model).

    Raises
    ------
    KeyError
        If there is no such split.
    ValueError
        If the network does not say what it wants, or was made for another movie.

    Notes
    -----
    ``normalised_r = pearson_r / sqrt(explainable_variance)``.

    References
    ----------
    Sahani and Linden (2003), Advances in Neural Information Processing Systems 15.
    Schoppe et al. (2016), Frontiers in Computational Neuroscience 10:10,
    doi:10.3389/fncom.2016.00010.

    Examples
    --------
    >>> from retina_codec.simulation import Circuit, simulate_recording
    >>> circuit = Circuit(shape=(20, 20), history=20, cells_per_type=1)
    >>> recording = simulate_recording(circuit=circuit, n_frames=800, test_frames=200)
    >>> scores = evaluate(circuit, recording).scores  # The truth, against noisy trials.
    >>> list(scores), f"{scores['pearson_r'][0]:.1f}"
    (['pearson_r', 'explainable_variance', 'normalised_r'], '0.9')
    """
    samples = windows_for(network, recording.stimulus, frames=recording.splits[split])
    recorded = np.asarray(recording.rates[samples.first_bin : samples.stop_bin], dtype=np.float32)
    predicted = predict(network, samples)
    scores = pd.DataFrame({"pearson_r": pearson_r(recorded, predicted)})
    if split == "test" and recording.repeats is not None and len(recording.repeats) > 1:
        scores["explainable_variance"] = explainable_variance(
            np.asarray(recording.repeats[:, samples.history :], dtype=np.float64)
        )
        explainable = scores["explainable_variance"].where(scores["explainable_variance"] > 0)
        scores["normalised_r"] = scores["pearson_r"] / np.sqrt(explainable)
    return Predictions(
        recorded=recorded, predicted=predicted, sample=samples.sample, scores=scores, network=name
    )


def pearson_r(
    recorded: Float[np.ndarray, "sample cell"], predicted: Float[np.ndarray, "sample cell"]
) -> Float[np.ndarray, " cell"]:
    """Pearson correlation of each cell over the samples in which it was observed; NaN if constant.

    Parameters
    ----------
    recorded
        NaN where a cell was not observed.
    predicted
        Of the same samples.

    Examples
    --------
    >>> r = pearson_r(np.array([[1.0], [2.0], [np.nan]]), np.array([[2.0], [4.0], [0.0]]))
    >>> r.round(6).tolist()
    [1.0]
    """
    seen = np.isfinite(recorded)
    values = []
    for cell in range(recorded.shape[1]):
        a, b = recorded[seen[:, cell], cell], predicted[seen[:, cell], cell]
        constant = len(a) < 2 or a.std() == 0 or b.std() == 0
        values.append(np.nan if constant else np.corrcoef(a, b)[0, 1])
    return np.array(values)


def explainable_variance(
    repeats: Float[np.ndarray, "trial time cell"],
) -> Float[np.ndarray, " cell"]:
    """Share of the variance of the trial mean that is signal rather than noise.

    Parameters
    ----------
    repeats
        Rates in at least two trials of the same stimulus.

    Returns
    -------
    np.ndarray
        " cell": from 0 to 1; NaN for a silent cell.

    Notes
    -----
    With N trials, signal power is ``(N var(mean) - mean(var)) / (N - 1)``, variances taken over
    time; the result is signal power / var(mean), at least 0.

    References
    ----------
    Sahani and Linden (2003), Advances in Neural Information Processing Systems 15.

    Examples
    --------
    >>> signal = np.tile(np.array([0.0, 1.0, 0.0])[None, :, None], (4, 1, 1))
    >>> explainable_variance(signal).round(6).tolist()
    [1.0]
    """
    n_trials = len(repeats)
    of_mean = repeats.mean(axis=0).var(axis=0, ddof=1)
    single = repeats.var(axis=1, ddof=1).mean(axis=0)
    signal = (n_trials * of_mean - single) / (n_trials - 1)
    return np.divide(
        np.maximum(signal, 0), of_mean, out=np.full_like(of_mean, np.nan), where=of_mean > 0
    )
