"""Which modes act together, and what the receptive fields are while they do."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool
from torch import nn

from retina_codec.contributions import frozen
from retina_codec.datatypes import Fields, Modes

from .instantaneous import BATCH, gradients

NONE = "none"


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
    `least_rate_hz`.

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
        `combination`, `cell`, `n_samples` (samples averaged) and `n_occurrences` (of the
        combination).

    Raises
    ------
    ValueError
        If the modes and the samples do not match.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557.
    """
    if len(samples) != len(modes.loadings):
        msg = (
            f"The modes have {len(modes.loadings)} samples, but {len(samples)} samples were given."
        )
        raise ValueError(msg)
    names = np.array(combination_of_each(active_modes(modes, threshold=threshold)))
    table = combinations(modes, threshold=threshold)
    table = table[table["combination"] != NONE].head(most)
    rng = np.random.default_rng(seed)
    rows, values = [], []
    with frozen(network):
        for name, occurrences in zip(table["combination"], table["n_samples"], strict=True):
            index = rng.permutation(np.flatnonzero(names == name))
            means, counts = _mean_gradients(
                network, samples, index, cells, samples_each, least_rate_hz
            )
            values.append(means)
            rows += [
                {"combination": name, "cell": c, "n_samples": n, "n_occurrences": occurrences}
                for c, n in zip(cells, counts, strict=True)
            ]
    items = pd.DataFrame(rows, columns=["combination", "cell", "n_samples", "n_occurrences"])
    shape = np.shape(samples[:1])[1:]
    return Fields(
        values=np.concatenate([*values, np.zeros((0, *shape))]).astype(np.float32),
        items=items,
        frame_rate_hz=samples.stimulus.frame_rate_hz,
        pixel_um=samples.stimulus.pixel_um,
        unit="Hz / s.d.",
    )


def _mean_gradients(network, samples, index, cells, samples_each, least_rate_hz):
    """Mean over the first samples in which each cell fires enough, batch by batch."""
    sums = np.zeros((len(cells), *np.shape(samples[:1])[1:]))
    counts = np.zeros(len(cells), dtype=int)
    for first in range(0, min(len(index), 20 * samples_each), BATCH):
        if (counts >= samples_each).all():
            break
        gradient, rate = gradients(network, samples[np.sort(index[first : first + BATCH])], cells)
        for c in range(len(cells)):
            firing = np.flatnonzero(rate[:, c] > least_rate_hz)[: samples_each - counts[c]]
            sums[c] += gradient[firing, c].sum(axis=0)
            counts[c] += len(firing)
    means = np.full_like(sums, np.nan)
    means[counts > 0] = sums[counts > 0] / counts[counts > 0][:, None, None, None]
    return means, counts.tolist()
