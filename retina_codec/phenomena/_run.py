"""Show an experiment to a network, and ask which channels and modes carried it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import nn

from retina_codec.contributions import (
    Pooled,
    Target,
    by_sign,
    integrated_gradients,
    population_sum,
)
from retina_codec.datatypes import Contributions, Event, Modes, Stimulus
from retina_codec.decomposition import loadings_of
from retina_codec.networks import predict, windows_for
from retina_codec.stimuli import Screen, Windows

from ._phenomenon import Phenomenon, Response

N_RESAMPLES, INTERVAL = 1000, (2.5, 97.5)
POPULATION = population_sum()


def run_phenomenon(
    network: nn.Module,
    phenomenon: Phenomenon,
    *,
    screen: Screen,
    layers: Sequence[str] = (),
    modes: Mapping[str, Modes] | None = None,
    target: Target = POPULATION,
    cells: Sequence[int] | None = None,
    n_steps: int = 20,
    pooling: Callable[[torch.Tensor], Pooled] = by_sign,
    seed: int = 0,
) -> Event:
    """Show all conditions of an experiment in all repeats, and explain its event.

    Parameters
    ----------
    network
        Has `history`, `normalisation` and `settings`, as all networks of this package have.
    phenomenon
        One of `PHENOMENA`, or your own.
    screen
        Of the size and frame rate that the network was trained on.
    layers
        Whose contributions to the target to compute, in the first repeat of the event, from the
        baseline grey; the layers of `modes` are added.
    modes
        By layer; their loadings in these contributions are computed.
    target
        What the contributions explain: a cell or the sum over all.
    cells
        Which cells to keep; all by default.
    n_steps
        Steps from grey to sample, as in `integrated_gradients`.
    pooling
        How units become features; that of the modes.
    seed
        Of noise and jitter.

    Returns
    -------
    Event
        A signature counts as present if at least half of the repeats have one and the interval of
        its mean difference to the control (bootstrap over repeats, 95 %) is above 0.

    Raises
    ------
    ValueError
        If the screen does not fit the network, the network does not say what it wants, or the modes
        do not fit its contributions.

    Notes
    -----
    Grey is the mean of the movie that the network was trained on, and a contrast of 1 its standard
    deviation (`in_units_of`). Before the first frame the screen was grey for long.

    Examples
    --------
    >>> from retina_codec.phenomena import PHENOMENA
    >>> from retina_codec.simulation import Circuit
    >>> event = run_phenomenon(
    ...     Circuit(shape=(20, 20), history=25),
    ...     PHENOMENA["frequency doubling"],
    ...     screen=Screen((20, 20)),
    ...     cells=[9, 10],
    ... )
    >>> event.rates.shape, event.signatures["cell"].tolist()
    ((4, 2, 350, 2), [9, 10])
    """
    shown = [phenomenon.conditions(screen, repeat, seed) for repeat in phenomenon.repeats]
    kept = slice(None) if cells is None else list(cells)
    responses = [
        {name: _response(network, movie, kept) for name, movie in movies.items()}
        for movies in shown
    ]
    sample = _common_times([r for one in responses for r in one.values()])
    layers = [*dict.fromkeys([*layers, *(modes or {})])]
    how = {"target": target, "n_steps": n_steps, "pooling": pooling}
    event = event_samples(network, shown[0][phenomenon.event])
    return Event(
        sample=sample,
        phenomenon=phenomenon.name,
        measure=phenomenon.measure,
        varied=phenomenon.varied,
        event=phenomenon.event,
        **_shown(shown[0], responses, sample),
        **_found(phenomenon, responses, cells, seed),
        **_pathways(network, event, sample, layers=layers, modes=modes or {}, how=how),
    )


def in_units_of(network: nn.Module, stimulus: Stimulus) -> Stimulus:
    """Contrast movie in the units of the movie that a network was trained on.

    A contrast c becomes ``mean + c * std`` of the network's normalisation. Windows made by
    `networks.windows_for` then hold c again: 0 is grey, and the baseline of contributions.

    Parameters
    ----------
    network
        Knows its `normalisation`.
    stimulus
        A contrast movie.

    Returns
    -------
    The same movie in the units of the training movie, in float32.

    Examples
    --------
    >>> from retina_codec.stimuli import Normalisation, step_of_contrast
    >>> network = nn.Identity()
    >>> network.normalisation = Normalisation(mean=100.0, std=50.0)
    >>> movie = step_of_contrast(step_s=0.01, grey_s=0.01, after_s=0.0, screen=Screen((1, 1)))
    >>> in_units_of(network, movie).frames.ravel().tolist()
    [100.0, 50.0]
    """
    of_training = network.normalisation
    frames = of_training.mean + np.asarray(stimulus.frames) * of_training.std
    return replace(stimulus, frames=frames.astype(np.float32))


def event_samples(network: nn.Module, stimulus: Stimulus) -> Windows:
    """Windows of a contrast movie as a network wants them: one for each frame.

    Before the first frame the screen was grey. This is what `run_phenomenon` shows; other analyses
    of an event, such as `causal.minimal_circuit`, take the same.

    Parameters
    ----------
    network
        Has `history`, `normalisation` and `settings`, as all networks of this package have.
    stimulus
        A contrast movie of its size.

    Returns
    -------
    Normalised windows; their `sample` is the time of each in seconds, 0 at the event.

    Raises
    ------
    ValueError
        If the network does not say what it wants, or the movie has another size.

    Examples
    --------
    >>> from retina_codec.simulation import Circuit
    >>> from retina_codec.stimuli import paired_flash
    >>> movie = paired_flash(screen=Screen((20, 20)))
    >>> samples = event_samples(Circuit(shape=(20, 20), history=25), movie)
    >>> len(samples) == len(movie.frames), round(float(samples.sample[0]), 3)
    (True, -0.4)
    """
    _check(network)
    frames = np.pad(np.asarray(stimulus.frames), ((network.history, 0), (0, 0), (0, 0)))
    start_s = stimulus.start_s - network.history / stimulus.frame_rate_hz
    return windows_for(
        network, in_units_of(network, replace(stimulus, frames=frames, start_s=start_s))
    )


def signatures(events: Iterable[Event]) -> pd.DataFrame:
    """Put the signatures of several experiments into one table.

    Parameters
    ----------
    events
        Of the same cells.

    Returns
    -------
    One row for each phenomenon and cell; the columns are those of `Event.signatures`.

    Examples
    --------
    >>> from retina_codec.phenomena import PHENOMENA
    >>> from retina_codec.simulation import Circuit
    >>> pairs = replace(PHENOMENA["paired flash suppression"], repeats=(0.1,))
    >>> event = run_phenomenon(
    ...     Circuit(shape=(20, 20), history=25), pairs, screen=Screen((20, 20)), cells=[0, 3]
    ... )
    >>> signatures([event])[["phenomenon", "cell", "present"]]
                     phenomenon  cell  present
    0  paired flash suppression     0        1
    1  paired flash suppression     3        0
    """
    tables = [event.signatures.assign(phenomenon=event.phenomenon) for event in events]
    table = pd.concat(tables, ignore_index=True)
    return table[["phenomenon", *table.columns.drop("phenomenon")]]


def _check(network: nn.Module) -> None:
    wanted = ("history", "normalisation", "settings")
    missing = [name for name in wanted if not hasattr(network, name)]
    if missing:
        msg = (
            f"{type(network).__name__} has no {missing[0]!r}; expected a network that knows its "
            f"{', '.join(wanted)}, by which movies become what it was trained on. Set them on it."
        )
        raise ValueError(msg)


def _shown(movies: Mapping[str, Stimulus], responses, sample) -> dict[str, object]:
    """Rates and movies on common times, as fields of the record."""
    return {
        "rates": np.stack(
            [[_padded(r.rates, r.time_s, sample) for r in one.values()] for one in responses]
        ),
        "movie": np.stack([_middle_row(movie, sample) for movie in movies.values()]),
        "conditions": pd.DataFrame({"condition": list(movies)}),
    }


def _found(phenomenon: Phenomenon, responses, cells, seed: int) -> dict[str, object]:
    """Signature in each repeat and over all, as fields of the record."""
    found = [
        phenomenon.signature(one, repeat)
        for one, repeat in zip(responses, phenomenon.repeats, strict=True)
    ]
    value, control = (np.stack(part).astype(float) for part in zip(*found, strict=True))
    numbers = np.arange(value.shape[1]) if cells is None else np.asarray(cells)
    return {
        "value": value,
        "control": control,
        "repeats": pd.DataFrame({"value": phenomenon.repeats}),
        "signatures": _table(numbers, value, control, seed),
    }


def _response(network: nn.Module, stimulus: Stimulus, cells) -> Response:
    samples = event_samples(network, stimulus)
    return Response(predict(network, samples)[:, cells].astype(float), samples.sample)


def _common_times(responses: Sequence[Response]) -> Float[np.ndarray, " sample"]:
    step_s = responses[0].time_s[1] - responses[0].time_s[0]
    first = min(r.time_s[0] for r in responses)
    last = max(r.time_s[-1] for r in responses)
    return first + np.arange(round((last - first) / step_s) + 1) * step_s


def _padded(
    values: Float[np.ndarray, "own ..."],
    time_s: Float[np.ndarray, " own"],
    sample: Float[np.ndarray, " sample"],
) -> Float[np.ndarray, "sample ..."]:
    """Put values at their times, and NaN before and after."""
    first = round((time_s[0] - sample[0]) / (sample[1] - sample[0]))
    placed = np.full((len(sample), *values.shape[1:]), np.nan)
    placed[first : first + len(values)] = values
    return placed


def _middle_row(
    stimulus: Stimulus, sample: Float[np.ndarray, " sample"]
) -> Float[np.ndarray, "sample x"]:
    frames = np.asarray(stimulus.frames, dtype=float)
    time_s = stimulus.start_s + np.arange(len(frames)) / stimulus.frame_rate_hz
    return _padded(frames[:, frames.shape[1] // 2], time_s, sample)


def _table(
    cells: np.ndarray,
    value: Float[np.ndarray, "repeat cell"],
    control: Float[np.ndarray, "repeat cell"],
    seed: int,
) -> pd.DataFrame:
    difference = np.where(np.isfinite(value), value - control, np.nan)
    n_repeats = len(value)
    draws = np.random.default_rng(seed).integers(n_repeats, size=(N_RESAMPLES, n_repeats))
    low, high = np.array([_interval(column, draws) for column in difference.T]).T
    answered = np.isfinite(difference).sum(axis=0) >= n_repeats / 2
    return pd.DataFrame(
        {
            "cell": cells,
            "value": _mean(value),
            "control": _mean(np.where(np.isfinite(value), control, np.nan)),
            "difference": _mean(difference),
            "low": low,
            "high": high,
            "present": (answered & (low > 0)).astype(int),
        }
    )


def _interval(column: Float[np.ndarray, " repeat"], draws: np.ndarray) -> np.ndarray:
    means = _mean(column[draws].T)
    means = means[np.isfinite(means)]
    return np.percentile(means, INTERVAL) if len(means) else np.full(2, np.nan)


def _mean(values: Float[np.ndarray, "repeat column"]) -> Float[np.ndarray, " column"]:
    """Mean over the repeats that are finite; NaN where none is."""
    seen = np.isfinite(values)
    total, n = np.where(seen, values, 0).sum(axis=0), seen.sum(axis=0)
    return np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)


def _pathways(network, samples: Windows, sample, *, layers, modes, how) -> dict[str, object]:
    """Contributions of the layers side by side, and loadings of the modes, as fields of the record.

    The event may be shorter than another condition; then NaN follows.
    """
    if not layers:
        return {}
    found = integrated_gradients(network, samples, layers=layers, progress=False, **how)
    times = np.asarray(samples.sample)
    fields: dict[str, object] = {
        "target": found[layers[0]].target,
        "contributions": _side_by_side([found[layer].values for layer in layers], times, sample),
        "features": pd.concat([_features(found[layer]) for layer in layers], ignore_index=True),
    }
    if modes:
        loadings = [loadings_of(found[layer], modes[layer]) for layer in modes]
        fields["loadings"] = _side_by_side(loadings, times, sample)
        rows = [
            {"layer": layer, "mode": mode}
            for layer, one in zip(modes, loadings, strict=True)
            for mode in range(one.shape[1])
        ]
        fields["modes"] = pd.DataFrame(rows)
    return fields


def _side_by_side(parts, time_s, sample) -> Float[np.ndarray, "sample column"]:
    together = np.concatenate([np.asarray(part, dtype=float) for part in parts], axis=1)
    return _padded(together, time_s, sample)


def _features(contributions: Contributions) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "layer": contributions.layer,
            "channel": np.asarray(contributions.channel),
            "sign": np.asarray(contributions.sign),
        }
    )
