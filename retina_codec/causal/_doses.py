"""Removing a mode by doses: what it was predicted to do, and what it does."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import nn
from tqdm import tqdm

from retina_codec.contributions import Target, integrated_gradients, one_cell, over_space
from retina_codec.datatypes import Contributions, Modes
from retina_codec.networks import predict
from retina_codec.receptive_fields import (
    attribute_to_channels,
    instantaneous_fields,
    shares_of_modes,
)

from ._agreement import INTERVAL, compared
from ._conditions import fields_under, responses_under
from ._replacements import Replacement, grey

DOSES = (0.1, 0.25, 0.5, 1.0)

Shares = Float[np.ndarray, "sample channel"]


def removed(shares: Shares, dose: float) -> Shares:
    """How much of each channel goes when a dose of its share is removed."""
    return dose * shares


def kept(shares: Shares, dose: float) -> Shares:
    """How much of each channel goes when a dose of everything but its share is removed."""
    return dose * (1 - shares)


KINDS: dict[str, Callable[[Shares, float], Shares]] = {"removed": removed, "kept": kept}


def dose_curve(
    network: nn.Module,
    samples: Any,
    contributions: Contributions,
    modes: Modes,
    *,
    cells: Sequence[int],
    target: Target | None = None,
    doses: Sequence[float] = DOSES,
    towards: Replacement = grey,
    n_samples: int = 160,
    n_moments: int = 16,
    n_controls: int = 3,
    n_steps: int = 10,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Remove doses of each mode, or of all but it, and hold the prediction against what happens.

    At each moment a mode holds a share of each channel (`shares_of_modes`). Removing a dose of the
    mode moves every channel towards a replacement by that dose of the share. The prediction uses
    nothing but contributions of the untouched network: a response changes by the dose times the
    shares times the contributions of the channels to it; a field by the dose times the mode's part
    of the field (`attribute_to_modes`). As control the shares are given to other channels: the
    same amounts at the same moments, from random channels.

    Parameters
    ----------
    network
        From windows to rates in Hz; left as it was.
    samples, contributions, modes
        Windows, their contributions, and the modes that were found in these.
    cells
        Whose fields are measured; responses are those of all cells.
    target
        What the contributions explain; measured too, if it is given.
    doses
        Above 0, up to 1.
    towards
        What removed channels put out instead: `grey`, `zero`, `mean`, `resampled()`.
    n_samples, n_moments
        Samples for responses, evenly spread, and for fields (the strongest response of the cells in
        each of as many stretches).
    n_controls
        Random shares for each mode.
    n_steps
        Of the contributions to single cells.
    seed
        Of the random shares and the bootstrap.
    progress
        Whether to show a bar.

    Returns
    -------
    One row for each `quantity` ("target", "response", "field"), `kind` ("removed", "kept"), `mode`
    and `dose`; fields are only removed:

    - `r`, `low`, `high`: Pearson correlation of predicted and measured change over samples and
      cells (and pixels), with a 95 % interval (bootstrap over blocks of time);
    - `r_beyond`: the same of what is left when, at each moment, the change that removing all
      channels alike would make (in responses over cells, in fields over pixels) is taken away: it
      tells which cells and which places, not only how much. NaN for the target;
    - `slope`: of measured on predicted change, 1 if the size is right;
    - `change`: measured change, summed, relative to the whole difference from the replacement; NaN
      for fields;
    - `control_r`, `control_r_beyond`, `control_change`: means over the random shares.

    Raises
    ------
    ValueError
        If samples, contributions and modes do not belong together, or there are no doses or cells.

    Notes
    -----
    Only contributions relative to grey predict a removal towards grey. With other replacements the
    prediction tells less. A field also changes because the rest of the network answers to what is
    missing (the gain of the output nonlinearity, other units' thresholds); this is not predicted.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap.

    Examples
    --------
    >>> from retina_codec.contributions import population_sum
    >>> from retina_codec.decomposition import NonNegativeFactors, decompose
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.ReLU())
    >>> _ = nn.init.eye_(network[1].weight), nn.init.zeros_(network[1].bias)
    >>> samples = np.random.default_rng(0).normal(size=(60, 1, 2, 2)).astype(np.float32)
    >>> found = integrated_gradients(
    ...     network, samples, layers=["1"], target=population_sum(), progress=False
    ... )
    >>> modes = decompose(found["1"], NonNegativeFactors(2))
    >>> table = dose_curve(
    ...     network, samples, found["1"], modes, cells=[0], doses=[0.5, 1.0], progress=False
    ... )
    >>> of_responses = table.query("quantity == 'response' and kind == 'removed'")
    >>> of_responses[["mode", "dose", "r", "slope"]].round(2)
       mode  dose    r  slope
    0     0   0.5  1.0   1.05
    1     0   1.0  1.0   1.05
    4     1   0.5  1.0   1.05
    5     1   1.0  1.0   1.05
    """
    _check(samples, modes, doses, cells)
    shares = shares_of_modes(contributions, modes)[:, :, :-1]
    rng = np.random.default_rng(seed)
    index = np.unique(np.linspace(0, len(samples) - 1, min(n_samples, len(samples))).astype(int))
    setting = _Setting(network, modes.layer, samples, towards, doses, n_controls, rng)
    rows = _of_responses(setting, contributions, shares, index, target, n_steps, progress)
    moments = _strong_moments(network, samples, index, cells, n_moments)
    rows += _of_fields(setting, shares, moments, list(cells), progress)
    return pd.DataFrame(rows)


def dose_summary(table: pd.DataFrame, *, n_bootstraps: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Medians over modes of a dose curve, beside their controls.

    Parameters
    ----------
    table
        Of `dose_curve`.
    n_bootstraps
        How often modes are drawn again.
    seed
        Of the bootstrap.

    Returns
    -------
    One row for each quantity, kind, dose and `measure` ("r", "r_beyond"): `mode` and `control`,
    their medians over modes, `difference`, the median over modes of the difference, and `low` to
    `high`, its 95 % interval.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {
    ...         "quantity": "response",
    ...         "kind": "removed",
    ...         "dose": 1.0,
    ...         "mode": [0, 1, 2],
    ...         "r": [0.9, 0.8, 0.7],
    ...         "control_r": [0.1, 0.2, 0.0],
    ...         "r_beyond": np.nan,
    ...         "control_r_beyond": np.nan,
    ...     }
    ... )
    >>> found = dose_summary(table).round(2)
    >>> found[["measure", "mode", "control", "difference", "low", "high"]]
      measure  mode  control  difference  low  high
    0       r   0.8      0.1         0.7  0.6   0.8
    """
    rng, rows = np.random.default_rng(seed), []
    for (quantity, kind, dose), part in table.groupby(["quantity", "kind", "dose"], sort=False):
        for measure in ("r", "r_beyond"):
            pair = part[[measure, f"control_{measure}"]].dropna().to_numpy()
            if not len(pair):
                continue
            difference = pair[:, 0] - pair[:, 1]
            drawn = rng.integers(len(pair), size=(n_bootstraps, len(pair)))
            low, high = np.percentile(np.median(difference[drawn], axis=1), INTERVAL)
            rows.append(
                {
                    "quantity": quantity,
                    "kind": kind,
                    "dose": dose,
                    "measure": measure,
                    "mode": np.median(pair[:, 0]),
                    "control": np.median(pair[:, 1]),
                    "difference": np.median(difference),
                    "low": low,
                    "high": high,
                    "n_modes": len(pair),
                }
            )
    return pd.DataFrame(rows)


def _check(samples, modes: Modes, doses, cells) -> None:
    if len(samples) != len(modes.loadings):
        msg = (
            f"The modes have {len(modes.loadings)} samples, but {len(samples)} samples were given. "
            "Give the samples that the modes were found on."
        )
        raise ValueError(msg)
    if not len(doses) or not all(0 < dose <= 1 for dose in doses) or not len(cells):
        msg = (
            f"Expected doses above 0, up to 1, and at least one cell, got doses {list(doses)} and "
            f"cells {list(cells)}."
        )
        raise ValueError(msg)


class _Setting(NamedTuple):
    network: nn.Module
    layer: str
    samples: Any
    towards: Replacement
    doses: Sequence[float]
    n_controls: int
    rng: np.random.Generator

    def orders(self, n_channels: int) -> list[np.ndarray]:
        """Return the channels as they are, and in random orders in which all have moved."""
        own = np.arange(n_channels)
        return [own, *(deranged(own, self.rng) for _ in range(self.n_controls))]


def deranged(own: Int[np.ndarray, " item"], rng) -> Int[np.ndarray, " item"]:
    """Random order in which nothing keeps its place: a shift in a random order."""
    shift = rng.integers(1, max(2, len(own)))
    order = rng.permutation(own)
    found = np.empty_like(own)
    found[order] = np.roll(order, int(shift))
    return found


def _of_responses(setting, contributions, shares, index, target, n_steps, progress):
    network, layer, samples = setting.network, setting.layer, setting.samples
    batch = np.ascontiguousarray(samples[index])
    n_cells = predict(network, batch[:1]).shape[1]
    of_cells = integrated_gradients(
        network,
        batch,
        layers=[layer],
        target=[one_cell(cell) for cell in range(n_cells)],
        pooling=over_space,
        n_steps=n_steps,
        progress=False,
    )
    parts = np.stack([record[layer].values for record in of_cells.values()], axis=1)
    with torch.no_grad():
        instead = setting.towards(network, layer, batch)
    everything = _under(setting, batch, instead, np.zeros((1, len(index), shares.shape[1])))[0]
    untouched = predict(network, batch)
    of_target = _over_channels(contributions)[index]
    rows = []
    modes = range(shares.shape[2])
    for mode in tqdm(modes, desc="doses", unit="mode", disable=not progress):
        own = shares[index, :, mode]
        orders = setting.orders(own.shape[1])
        for kind, amount in KINDS.items():
            gone = np.array([amount(own[:, o], d) for d in setting.doses for o in orders])
            after = _under(setting, batch, instead, 1 - gone)
            after = after.reshape(len(setting.doses), len(orders), *after.shape[1:])
            for dose, measured in zip(setting.doses, after, strict=True):
                predicted = -np.einsum("sk,sck->sc", amount(own, dose), parts)
                about = {"quantity": "response", "kind": kind, "mode": mode, "dose": dose}
                whole = parts.sum(axis=2)
                changes = measured - untouched
                size = (everything - untouched).sum()
                rows.append(about | compared(predicted, changes, whole, size, setting.rng))
                if target is not None:
                    values = _values(target, np.concatenate([untouched[None], measured]))
                    size = (_values(target, everything[None])[0] - values[0]).sum()
                    predicted = -np.einsum("sk,sk->s", amount(own, dose), of_target)[:, None]
                    changes = (values[1:] - values[0])[:, :, None]
                    found = compared(predicted, changes, None, size, setting.rng)
                    rows.append(about | {"quantity": "target"} | found)
    return rows


def _of_fields(setting, shares, moments, cells, progress):
    network, layer, samples = setting.network, setting.layer, setting.samples
    batch = np.ascontiguousarray(samples[moments])
    with torch.no_grad():
        instead = setting.towards(network, layer, batch)
    split = attribute_to_channels(
        network, samples, layer=layer, cells=cells, index=moments, frame_rate_hz=1.0
    )
    untouched = instantaneous_fields(
        network, samples, cells=cells, index=moments, frame_rate_hz=1.0
    )
    shape = (len(moments) * len(cells), -1)
    whole = np.asarray(untouched.values).reshape(shape)
    n_parts = split.items["channel"].nunique()
    parts = np.asarray(split.values).reshape(len(whole), n_parts, -1)
    rows = []
    modes = range(shares.shape[2])
    for mode in tqdm(modes, desc="fields", unit="mode", disable=not progress):
        own = shares[moments, :, mode]
        orders = setting.orders(own.shape[1])
        gone = np.array([removed(own[:, o], d) for d in setting.doses for o in orders])
        of_mode = np.einsum(
            "ik,ikp->ip", np.repeat(own, len(cells), axis=0), parts[:, : own.shape[1]]
        )
        found = fields_under(network, batch, layer, 1 - gone, instead, cells)
        for dose in setting.doses:
            measured = np.array([next(found).reshape(shape) - whole for _ in orders])
            about = {"quantity": "field", "kind": "removed", "mode": mode, "dose": dose}
            rows.append(about | compared(-dose * of_mode, measured, whole, None, setting.rng))
    return rows


def _under(setting, batch, instead, factors):
    """Run the network under conditions, some samples at a time."""
    found = []
    for first in range(0, len(batch), 64):
        part = slice(first, first + 64)
        there = instead[part] if len(instead) == len(batch) else instead
        found.append(
            responses_under(
                setting.network,
                batch[part],
                {setting.layer: factors[:, part]},
                {setting.layer: there},
            )
        )
    return np.concatenate(found, axis=1)


def _values(target: Target, outputs: np.ndarray) -> np.ndarray:
    """Target at outputs "condition sample cell"; the first condition is the untouched network."""
    rows = torch.from_numpy(outputs).flatten(0, 1)
    at_sample = torch.from_numpy(outputs[0]).repeat(len(outputs), 1)
    with torch.no_grad():
        return target(rows, at_sample).numpy().reshape(outputs.shape[:2])


def _over_channels(contributions: Contributions) -> Float[np.ndarray, "sample channel"]:
    channel = np.asarray(contributions.channel)
    one_hot = (channel[:, None] == np.unique(channel)).astype(float)
    return np.asarray(contributions.values, dtype=float) @ one_hot


def _strong_moments(network, samples, index, cells, n_moments):
    """In each of as many stretches, the sample in which the cells together respond most."""
    total = predict(network, samples[index])[:, list(cells)].sum(axis=1)
    stretches = np.array_split(np.arange(len(index)), min(n_moments, len(index)))
    return index[[stretch[total[stretch].argmax()] for stretch in stretches]]
