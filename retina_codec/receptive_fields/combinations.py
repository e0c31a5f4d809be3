"""Which modes act together, and what the receptive fields are while they do."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool
from torch import nn

from retina_codec.contributions import frozen
from retina_codec.datatypes import Fields, Modes

from .entrance import entrance_of
from .instantaneous import BATCH, as_input, gradients
from .separation import first_product, separate_space_time

NONE = "none"
N_BOOTSTRAPS = 200
FEWEST_EPISODES = 5
BAND = 2.5, 97.5


def active_modes(modes: Modes, *, threshold: float = 0.25) -> Bool[np.ndarray, "sample mode"]:
    """Mark the modes that are active in each sample.

    A mode is active where its loading exceeds `threshold` times its own 99th percentile: each mode
    is measured by what it does at its strongest.

    Parameters
    ----------
    modes
        With their loadings.
    threshold
        Share of the 99th percentile.

    Returns
    -------
    True where a mode is active; a mode whose loadings are never above 0 never is.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=3, n_samples=200, active=0.3)
    >>> active_modes(modes).mean(axis=0).round(2).tolist()
    [0.19, 0.2, 0.21]
    """
    loadings = np.asarray(modes.loadings)
    strong = np.percentile(loadings, 99, axis=0)
    return loadings > threshold * np.maximum(strong, np.finfo(loadings.dtype).tiny)


def combinations(modes: Modes, *, threshold: float = 0.25) -> pd.DataFrame:
    """List the sets of modes that are active at the same time, the most frequent first.

    Parameters
    ----------
    modes
        With their loadings.
    threshold
        When a mode counts as active; see `active_modes`.

    Returns
    -------
    pandas.DataFrame
        One row for each set: `combination` ("2, 8", or "none"), `n_samples`, `share` of all
        samples.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=2, n_samples=200, active=0.3)
    >>> combinations(modes)
      combination  n_samples  share
    0        none        140   0.70
    1           0         34   0.17
    2           1         18   0.09
    3        0, 1          8   0.04
    """
    names = pd.Series(combination_of_each(active_modes(modes, threshold=threshold)))
    counts = names.value_counts()
    return pd.DataFrame(
        {
            "combination": counts.index.astype(str),
            "n_samples": counts.to_numpy(),
            "share": counts.to_numpy() / len(names),
        }
    )


def combination_of_each(active: Bool[np.ndarray, "sample mode"]) -> list[str]:
    """Name of the set of active modes in each sample.

    Examples
    --------
    >>> combination_of_each(np.array([[True, False, True], [False, False, False]]))
    ['0, 2', 'none']
    """
    return [", ".join(map(str, np.flatnonzero(row))) or NONE for row in active]


def fields_of_combinations(
    network: nn.Module,
    samples: Any,
    modes: Modes,
    *,
    cells: list[int],
    most: int = 8,
    samples_each: int = 40,
    least_rate_hz: float = 1.0,
    threshold: float = 0.25,
    seed: int = 0,
) -> Fields:
    """Mean instantaneous field of each cell while one combination of modes is active.

    Takes the `most` frequent combinations with at least one mode, and for each cell up to
    `samples_each` random samples of that combination in which the cell's predicted rate exceeds
    `least_rate_hz`. Beside the mean field, its separation into map and time course has a 95 % band:
    the fields of the samples, projected on the map, are drawn again by episodes (samples that
    follow each other without another combination between them); NaN with fewer than 5 episodes. At
    most 20 * `samples_each` occurrences are looked at.

    Parameters
    ----------
    network
        From windows to rates in Hz.
    samples
        The windows that the modes were found on, in the same order.
    modes
        Of any layer of the network.
    cells
        Outputs of the network.
    most, samples_each, least_rate_hz, threshold, seed
        See above and `active_modes`.

    Returns
    -------
    Fields
        One item for each combination and cell; NaN where a cell never fired enough. The table has
        `combination`, `cell`, `n_samples` (averaged), `n_episodes` and `n_occurrences` (of the
        combination).

    Raises
    ------
    ValueError
        If the modes and the samples do not match.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557.

    Examples
    --------
    >>> from retina_codec.simulation import Circuit, planted_contributions
    >>> from retina_codec.stimuli import Screen, white_noise, windows
    >>> circuit = Circuit(shape=(20, 20), history=10)
    >>> samples = windows(white_noise(n_frames=60, screen=Screen((20, 20))), 10)
    >>> _, modes = planted_contributions(n_modes=2, n_samples=len(samples))
    >>> fields = fields_of_combinations(
    ...     circuit, samples, modes, cells=[0], samples_each=5, least_rate_hz=0.0
    ... )
    >>> fields.items[["combination", "cell", "n_samples"]]
      combination  cell  n_samples
    0           0     0          5
    1           1     0          4
    2        0, 1     0          2
    >>> fields.values.shape
    (3, 10, 20, 20)
    """
    if len(samples) != len(modes.loadings):
        msg = (
            f"The modes have {len(modes.loadings)} samples, but {len(samples)} samples were given."
        )
        raise ValueError(msg)
    names = np.array(combination_of_each(active_modes(modes, threshold=threshold)))
    episode = np.cumsum(np.r_[True, names[1:] != names[:-1]])
    table = combinations(modes, threshold=threshold)
    table = table[table["combination"] != NONE].head(most)
    rng = np.random.default_rng(seed)
    rows, means, bands = [], [], []
    with frozen(network):
        entrance = entrance_of(network, as_input(network, samples[:1]))
        for name, occurrences in zip(table["combination"], table["n_samples"], strict=True):
            index = rng.permutation(np.flatnonzero(names == name))
            chosen = _firing(network, samples, index, cells, samples_each, least_rate_hz, entrance)
            for cell, (found, where) in zip(cells, chosen, strict=True):
                fields = entrance.fields(found) if entrance and len(found) else found
                mean, band = _mean_and_band(fields, episode[where], samples, rng)
                means.append(mean)
                bands.append(band)
                rows.append(
                    {
                        "combination": name,
                        "cell": cell,
                        "n_samples": len(where),
                        "n_episodes": len(np.unique(episode[where])),
                        "n_occurrences": occurrences,
                    }
                )
    columns = ["combination", "cell", "n_samples", "n_episodes", "n_occurrences"]
    history, *frame = np.shape(samples[:1])[1:]
    return separate_space_time(
        Fields(
            values=np.array(means, dtype=np.float32).reshape(-1, history, *frame),
            items=pd.DataFrame(rows, columns=columns),
            frame_rate_hz=samples.stimulus.frame_rate_hz,
            pixel_um=samples.stimulus.pixel_um,
            time_course_band=np.array(bands).reshape(-1, 2, history),
            unit="Hz / s.d.",
        )
    )


def _firing(network, samples, index, cells, samples_each, least_rate_hz, entrance):
    """For each cell, gradients at the first samples in which it fires enough, and these samples."""
    found: list[list[np.ndarray]] = [[] for _ in cells]
    where: list[list[int]] = [[] for _ in cells]
    for first in range(0, min(len(index), 20 * samples_each), BATCH):
        wanted = [c for c in range(len(cells)) if len(where[c]) < samples_each]
        if not wanted:
            break
        batch = index[first : first + BATCH]
        gradient, rate = gradients(network, samples[batch], [cells[c] for c in wanted], entrance)
        for column, c in enumerate(wanted):
            firing = np.flatnonzero(rate[:, column] > least_rate_hz)
            firing = firing[: samples_each - len(where[c])]
            found[c] += list(gradient[firing, column])
            where[c] += batch[firing].tolist()
    return [(np.array(found[c]), np.array(where[c], dtype=int)) for c in range(len(cells))]


def _mean_and_band(fields, episode, samples, rng):
    """Mean of the fields, and low and high of the time course of the mean's map."""
    history, *frame = np.shape(samples[:1])[1:]
    if not len(fields):
        return np.full((history, *frame), np.nan), np.full((2, history), np.nan)
    mean = fields.mean(axis=0, dtype=float)
    space, time_course, _ = first_product(mean.reshape(history, -1))
    courses = fields.reshape(len(fields), history, -1) @ space
    by_episode = [courses[episode == one] for one in np.unique(episode)]
    if len(by_episode) < FEWEST_EPISODES:
        return mean, np.full((2, history), np.nan)
    sums = np.array([one.sum(axis=0) for one in by_episode])
    sizes = np.array([len(one) for one in by_episode])
    drawn = rng.integers(len(sums), size=(N_BOOTSTRAPS, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)[:, None]
    return mean, np.percentile(means, BAND, axis=0)
