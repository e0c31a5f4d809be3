"""Whether attention heads are units of contributions: sparsity over heads and random groups."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from retina_codec.datatypes import Contributions

from ._correlation import check_draws
from ._layers import INTERVAL, check_pooled, hoyer_sparsity

N_GAUSSIAN = 10_000


def head_sparsity(
    contributions: Contributions | Mapping[str, Contributions],
    n_heads: int,
    *,
    n_draws: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """How few attention heads carry each sample, beside random groups of as many channels.

    Parameters
    ----------
    contributions
        Of the channels that the heads put out side by side (the input of the projection behind
        them), pooled; one record, or one for each layer. Or activations.
    n_heads
        Head h has the channels from h * C / n_heads on, of C.
    n_draws
        Of random groups.
    seed
        Of the groups.

    Returns
    -------
    One row for each layer: median over samples of the `sparsity` over heads (Hoyer), the mean
    `chance` of random groups with the 95 % interval `low` to `high` of the draws, `difference` of
    the two, one-sided `p`, and `gaussian`, the median sparsity of as many Gaussian numbers.

    Raises
    ------
    ValueError
        If the contributions are not pooled, the channels cannot be divided into so many heads, or
        there are no draws.

    Notes
    -----
    Contributions are summed over the channels of a head with their signs, so that it counts what
    the head as a whole does. p = (1 + number of draws at least as sparse) / (1 + draws).

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557, figure S8.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_features=24, n_samples=60)
    >>> head_sparsity(contributions, 4, n_draws=9)["layer"].tolist()
    ['planted']
    """
    check_draws(n_draws)
    if isinstance(contributions, Contributions):
        contributions = {contributions.layer: contributions}
    rng = np.random.default_rng(seed)
    rows = [
        {"layer": layer, **_row(record, n_heads, n_draws, rng)}
        for layer, record in contributions.items()
    ]
    gaussian = _median_sparsity(rng.normal(size=(N_GAUSSIAN, n_heads)))
    return pd.DataFrame(rows).assign(gaussian=gaussian)


def _row(record: Contributions, n_heads: int, n_draws: int, rng: np.random.Generator) -> dict:
    net = _net_of_channels(record)
    head = _heads(net.shape[1], n_heads)
    learned = _grouped_sparsity(net, head)
    draws = np.array([_grouped_sparsity(net, rng.permutation(head)) for _ in range(n_draws)])
    low, high = np.percentile(draws, INTERVAL)
    chance = float(draws.mean())
    row = {"sparsity": learned, "chance": chance, "low": low, "high": high}
    p = (1 + int((draws >= learned).sum())) / (1 + n_draws)
    return {**row, "difference": learned - chance, "p": p}


def _net_of_channels(record: Contributions) -> Float[np.ndarray, "sample channel"]:
    """Sum of the features of each channel, with their signs."""
    check_pooled(record)
    channel = np.asarray(record.channel)
    membership = (channel[:, None] == np.unique(channel)).astype(float)
    return np.asarray(record.values, dtype=float) @ membership


def _heads(n_channels: int, n_heads: int) -> Int[np.ndarray, " channel"]:
    if n_heads < 2 or n_channels % n_heads:
        msg = (
            f"{n_channels} channels cannot be divided into {n_heads} heads. Give the number of "
            "heads of the layer, at least 2, and all channels that the heads put out."
        )
        raise ValueError(msg)
    return np.arange(n_channels) // (n_channels // n_heads)


def _grouped_sparsity(net, group: Int[np.ndarray, " channel"]) -> float:
    membership = (group[:, None] == np.unique(group)).astype(float)
    return _median_sparsity(net @ membership)


def _median_sparsity(values: Float[np.ndarray, "sample head"]) -> float:
    return float(np.median(hoyer_sparsity(values)))
