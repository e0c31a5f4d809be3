"""How many channels of a layer a stimulus engages, and which: one stimulus beside another."""

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from retina_codec.datatypes import Contributions

from ._blocks import N_BLOCKS, block_draws, block_numbers
from ._correlation import ROUNDING, check_draws

INTERVAL = 2.5, 97.5
Statistic = Callable[[Float[np.ndarray, "... channel"]], Float[np.ndarray, "..."]]


def pathways(
    contributions: Mapping[str, Contributions],
    *,
    least_share: float = 0.05,
    n_blocks: int = N_BLOCKS,
    n_draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Count the channels of a layer that each stimulus engages, and compare stimuli.

    Parameters
    ----------
    contributions
        One pooled record for each stimulus, by its name; all of the same layer and target.
    least_share
        A channel with at least this share of all contributions counts.
    n_blocks
        Blocks of time in each record.
    n_draws
        Of the bootstrap and of the permutations.
    seed
        Of both.

    Returns
    -------
    One row for each number: `statistic`, `stimulus` (or "a - b" for two of them), `channel` (-1
    where it is about all), `value` with its 95 % interval `low` to `high` (bootstrap over blocks),
    and for two stimuli the `p` of blocks exchanged between them. The statistics are

    effective channels
        exp(entropy) of the shares of the channels.
    channels per sample
        Participation ratio of the magnitudes in a sample, mean over samples.
    channels above share
        Number of channels with at least `least_share`.
    share
        Of each channel: its mean |contribution|, summed over signs, divided by that of all.
    overlap
        Of two stimuli: 1 - total variation of their shares, 1 if they engage the same channels
        alike and 0 if they have none in common; p is one-sided (less overlap than by chance).

    Raises
    ------
    ValueError
        If there is no stimulus, a record is not pooled, layers, targets or channels differ, samples
        are fewer than blocks, or there are no draws.

    Notes
    -----
    Participation ratio: (sum |c|)^2 / sum c^2. The permutation takes blocks of both stimuli
    together and deals them out again, as many to each as before. Blocks count by the mean of their
    samples, relative to the mean of their stimulus: how large contributions are makes no
    difference. p = (1 + draws as far from 0) / (1 + draws), two-sided for differences.
    The bootstrap makes overlaps slightly smaller than they are, since shares of two draws differ.

    References
    ----------
    Hill (1973), Ecology 54:427-432 (effective number).
    Gao et al. (2017), bioRxiv 214262 (participation ratio).

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> many, _ = planted_contributions(n_samples=400, seed=0)
    >>> few, _ = planted_contributions(n_samples=400, n_modes=1, features_per_mode=2, seed=1)
    >>> table = pathways({"many": many, "few": few}, n_draws=99)
    >>> row = table[(table["statistic"] == "effective channels")].set_index("stimulus")
    >>> bool(row.loc["few", "value"] < 3), float(row.loc["many - few", "p"])
    (True, 0.01)
    """
    check_draws(n_draws)
    _check(contributions)
    rng = np.random.default_rng(seed)
    channels = np.unique(np.asarray(next(iter(contributions.values())).channel))
    blocks = {name: _block_means(c, channels, n_blocks) for name, c in contributions.items()}
    drawn = {name: _bootstrap(means, n_draws, rng) for name, means in blocks.items()}
    statistics = _statistics(least_share)
    rows = [
        _row(statistic, name, compute(means.mean(axis=0)), compute(drawn[name]))
        for name, means in blocks.items()
        for statistic, compute in statistics.items()
    ]
    for a, b in combinations(blocks, 2):
        dealt = _dealt_out(blocks[a], blocks[b], n_draws, rng)
        means, draws = (blocks[a], blocks[b]), (drawn[a], drawn[b])
        rows += _compared(f"{a} - {b}", means, draws, dealt, statistics)
    for name, means in blocks.items():
        value, interval = _shares(means.mean(axis=0)), _shares(drawn[name])
        rows += [
            _row("share", name, value[i], interval[:, i], channel=int(channel))
            for i, channel in enumerate(channels)
        ]
    return pd.DataFrame(rows)


def effective_number(shares: Float[np.ndarray, "... part"]) -> Float[np.ndarray, "..."]:
    """How many parts of equal share would be as diverse: exp(entropy).

    Parameters
    ----------
    shares
        Between 0 and 1; they sum to 1 over parts.

    Returns
    -------
    From 1, one part has everything, to the number of parts, all have the same.

    Notes
    -----
    exp(- sum of p log p) for shares p.

    References
    ----------
    Hill (1973), Ecology 54:427-432.

    Examples
    --------
    >>> round(float(effective_number(np.array([0.5, 0.5, 0.0]))), 6)
    2.0
    """
    logs = np.log(np.where(shares > 0, shares, 1.0))
    return np.asarray(np.exp(-np.sum(shares * logs, axis=-1)))


def overlap(
    a: Float[np.ndarray, "... part"], b: Float[np.ndarray, "... part"]
) -> Float[np.ndarray, "..."]:
    """How far two stimuli engage the same channels: 1 - total variation of their shares.

    Parameters
    ----------
    a, b
        Shares of the same parts; each sums to 1.

    Returns
    -------
    1 if the shares are the same, 0 if no part has a share in both.

    Notes
    -----
    1 - sum of abs(a - b) / 2.

    Examples
    --------
    >>> float(overlap(np.array([0.5, 0.5, 0.0]), np.array([0.5, 0.0, 0.5])))
    0.5
    """
    return np.asarray(1 - np.abs(a - b).sum(axis=-1) / 2)


def _statistics(least_share: float) -> dict[str, Statistic]:
    """Each from block means: sizes of the channels, and last the participation ratio."""
    return {
        "effective channels": lambda means: effective_number(_shares(means)),
        "channels per sample": lambda means: means[..., -1],
        "channels above share": lambda means: np.sum(_shares(means) >= least_share, axis=-1),
    }


def _shares(means) -> Float[np.ndarray, "... channel"]:
    size = means[..., :-1]
    return size / np.maximum(size.sum(axis=-1, keepdims=True), np.finfo(float).tiny)


def _block_means(
    record: Contributions, channels: Int[np.ndarray, " channel"], n_blocks: int
) -> Float[np.ndarray, "block column"]:
    """Mean of each block: |contribution| of each channel, and the participation ratio.

    Contributions are relative to their mean sum, so that stimuli that make larger ones are not told
    apart by that alone when blocks are exchanged.
    """
    size = np.abs(np.asarray(record.values, dtype=float))
    member = np.asarray(record.channel)[:, None] == channels
    of_channel = size @ member
    of_channel /= max(of_channel.sum(axis=1).mean(), np.finfo(float).tiny)
    squares = np.sum(of_channel**2, axis=1)
    ratio = of_channel.sum(axis=1) ** 2 / np.where(squares > 0, squares, 1.0)
    columns = np.column_stack([of_channel, ratio])
    block = block_numbers(len(columns), n_blocks=n_blocks)
    return np.stack([columns[block == i].mean(axis=0) for i in range(n_blocks)])


def _bootstrap(means, n_draws, rng) -> Float[np.ndarray, "draw column"]:
    return block_draws(len(means), n_draws, rng) @ means / len(means)


def _dealt_out(a, b, n_draws, rng):
    """Means of two groups of blocks, dealt out at random from both stimuli."""
    together = np.concatenate([a, b])
    orders = np.stack([rng.permutation(len(together)) for _ in range(n_draws)])
    first, second = orders[:, : len(a)], orders[:, len(a) :]
    return together[first].mean(axis=1), together[second].mean(axis=1)


def _compared(name, means, drawn, dealt, statistics) -> list[dict]:
    (a, b), rows = (each.mean(axis=0) for each in means), []
    for statistic, compute in statistics.items():
        value = compute(a) - compute(b)
        chance = compute(dealt[0]) - compute(dealt[1])
        row = _row(statistic, name, value, compute(drawn[0]) - compute(drawn[1]))
        rows.append({**row, "p": _p(np.abs(chance) >= np.abs(value) - ROUNDING)})
    found = overlap(_shares(a), _shares(b))
    row = _row("overlap", name, found, overlap(*(_shares(means) for means in drawn)))
    chance = overlap(*(_shares(means) for means in dealt))
    return [*rows, {**row, "p": _p(chance <= found + ROUNDING)}]


def _row(statistic, stimulus, value, draws, channel=-1) -> dict:
    low, high = np.percentile(draws, INTERVAL)
    about = {"statistic": statistic, "stimulus": stimulus, "channel": channel}
    return {**about, "value": float(value), "low": low, "high": high, "p": np.nan}


def _p(reached) -> float:
    return float((1 + np.sum(reached)) / (1 + len(reached)))


def _check(contributions: Mapping[str, Contributions]) -> None:
    if not contributions:
        msg = "'contributions' is empty; it needs one record for each stimulus, by its name."
        raise ValueError(msg)
    for name, record in contributions.items():
        if len(record.values.shape) != 2:
            msg = (
                f"Contributions to {name!r} must be pooled to axes (sample, feature), "
                f"got ({', '.join(record.axes_of('values'))}). Pool them when they are computed."
            )
            raise ValueError(msg)
    facts = {
        name: (record.layer, record.target, sorted(set(np.asarray(record.channel).tolist())))
        for name, record in contributions.items()
    }
    (first, expected), *others = facts.items()
    for name, found in others:
        if found != expected:
            msg = (
                f"All stimuli must have the same layer, target and channels; {first!r} has "
                f"{expected}, {name!r} has {found}."
            )
            raise ValueError(msg)
