"""The fewest modes whose removal makes a network see another class."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from torch import nn
from tqdm import tqdm

from retina_codec.datatypes import Contributions, Modes
from retina_codec.networks import predict
from retina_codec.receptive_fields import shares_of_modes

from ._class_conditions import drawn, replaced
from ._conditions import responses_under, shared_part
from ._doses import deranged
from ._rankings import Index
from ._replacements import Replacement, zero

MOST_PAIRS = 500
Set = tuple[int, ...]
Shares = Float[np.ndarray, "channel mode"]


class _Outcome(NamedTuple):
    """How far the class is ahead of the next one, and which class is ahead, for each set."""

    margin: Float[np.ndarray, " set"]
    winner: np.ndarray
    flipped: Bool[np.ndarray, " set"]


OutcomeOf = Callable[[Sequence[Set]], _Outcome]


def flipping_modes(
    network: nn.Module,
    samples: Any,
    contributions: Contributions,
    modes: Modes,
    *,
    index: Index | None = None,
    towards: Replacement = zero,
    n_controls: int = 5,
    most_pairs: int = MOST_PAIRS,
    channel_axis: int = 1,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    r"""For each image, the smallest set of modes found whose removal changes the predicted class.

    What is removed is each mode's share of each channel *at this image*
    (`receptive_fields.shares_of_modes`): channel c puts out
    ``towards + (1 - sum of the shares of the removed modes) (output - towards)``. What no mode
    explains always stays.

    Every mode is tried alone; then, if there are not too many, every pair. Beyond, the search is
    greedy: it adds the mode whose removal, measured, leaves the least margin between the class and
    the next one, until the class changes, and then gives back modes that are not needed.

    Parameters
    ----------
    network
        From images to one output for each class; left as it was.
    samples, contributions, modes
        Images, their contributions, and the modes with loadings of these images.
    index
        Images to look at; all by default.
    towards
        What removed channels put out instead.
    n_controls
        Of each kind of control.
    most_pairs
        Pairs are tried, if there are at most so many.
    channel_axis
        1 for maps and dense layers, -1 for tokens.
    seed
        Of the controls.
    progress
        Whether to show a bar.

    Returns
    -------
    One row for each image:

    - `sample`: its number; `predicted`: its class; `flipped_to`: the class instead, -1 if none;
    - `modes`, such as "2, 5", and `n_modes`, how many; NaN if removing modes does not do it;
    - `proven_smallest`: 1 if every smaller set was tried (true of one and, where pairs were tried,
      up to three modes); 0 if a smaller set may exist, or none was found;
    - `random_n_modes`: how many modes have to go in random order, mean over orders;
    - `permuted_n_modes`: the same search with all shares given to other channels in random order:
      equal amounts, from random channels; mean over orders. `permuted_flips`: how often it works.
      Where no set does it, one more than there are modes is counted in both means.

    Raises
    ------
    ValueError
        If contributions and modes do not belong together, or to other numbers of images.

    Examples
    --------
    >>> from retina_codec.contributions import integrated_gradients, top_class
    >>> from retina_codec.decomposition import NonNegativeFactors, decompose
    >>> network = nn.Sequential(nn.ReLU(), nn.Linear(3, 3, bias=False))
    >>> _ = nn.init.eye_(network[1].weight)
    >>> images = np.random.default_rng(0).random((40, 3), np.float32)
    >>> found = integrated_gradients(
    ...     network, images, layers=["0"], target=top_class(), progress=False
    ... )
    >>> modes = decompose(found["0"], NonNegativeFactors(3))
    >>> table = flipping_modes(network, images, found["0"], modes, index=[0, 1], progress=False)
    >>> table[["sample", "predicted", "flipped_to", "modes", "n_modes"]]
       sample  predicted  flipped_to modes  n_modes
    0       0          0           1     0        1
    1       1          1           0     1        1
    """
    if len(samples) != len(modes.loadings):
        msg = (
            f"The modes have {len(modes.loadings)} samples, but {len(samples)} images were given. "
            "Give the images that the modes were found on."
        )
        raise ValueError(msg)
    shares = shares_of_modes(contributions, modes)[:, :, :-1]
    index = np.arange(len(samples)) if index is None else np.asarray(index)
    rng = np.random.default_rng(seed)
    instead = replaced(network, samples, [modes.layer], towards)
    shared = shared_part(network, np.asarray(samples[:1]), [modes.layer])
    rows = []
    for number in tqdm(index, desc="flips", unit="image", disable=not progress):
        there = drawn(instead, 1, rng)
        image = np.asarray(samples[number : number + 1])
        outcome_of = _outcomes(network, image, modes.layer, there, channel_axis, shared)
        rows.append(
            {"sample": int(number)}
            | _of_image(outcome_of, shares[number], most_pairs, n_controls, rng)
        )
    return pd.DataFrame(rows)


def _outcomes(network, image, layer, there, channel_axis, shared) -> Callable[[Shares], OutcomeOf]:
    """Return a function from shares to one that measures sets of modes that are removed."""
    predicted = int(predict(network, image)[0].argmax())

    def with_shares(shares: Shares) -> OutcomeOf:
        def outcome_of(sets: Sequence[Set]) -> _Outcome:
            gone = np.array([shares[:, list(one)].sum(axis=1) for one in sets])
            factors = (1 - np.clip(gone, 0, 1))[:, None].astype(np.float32)
            outputs = responses_under(
                network, image, {layer: factors}, there, channel_axis=channel_axis, shared=shared
            )[:, 0]
            winner = outputs.argmax(axis=1)
            others = np.delete(outputs, predicted, axis=1).max(axis=1)
            return _Outcome(outputs[:, predicted] - others, winner, winner != predicted)

        return outcome_of

    return with_shares


def _of_image(outcomes, shares: Shares, most_pairs: int, n_controls: int, rng) -> dict[str, Any]:
    n_modes = shares.shape[1]
    own = outcomes(shares)
    found, winner, proven = _fewest(own, n_modes, most_pairs)
    random = [_n_in_order(own, rng.permutation(n_modes).tolist()) for _ in range(n_controls)]
    orders = [deranged(np.arange(len(shares)), rng) for _ in range(n_controls)]
    permuted = [_fewest(outcomes(shares[order]), n_modes, most_pairs)[0] for order in orders]
    sizes = [n_modes + 1 if one is None else len(one) for one in permuted]
    return {
        "predicted": int(own([()]).winner[0]),
        "flipped_to": winner,
        "modes": "" if found is None else ", ".join(map(str, found)),
        "n_modes": np.nan if found is None else len(found),
        "proven_smallest": int(proven),
        "random_n_modes": float(np.mean(random)) if random else np.nan,
        "permuted_n_modes": float(np.mean(sizes)) if sizes else np.nan,
        "permuted_flips": float(np.mean([s <= n_modes for s in sizes])) if sizes else np.nan,
    }


def _fewest(outcome_of: OutcomeOf, n_modes: int, most_pairs: int) -> tuple[Set | None, int, bool]:
    """Return the smallest set found, the class it leads to, and whether none can be smaller."""
    tried = 0
    for size in (1, 2):
        sets = list(combinations(range(n_modes), size))
        if not sets or (size == 2 and len(sets) > most_pairs):
            break
        outcome = outcome_of(sets)
        if outcome.flipped.any():
            best = int(np.argmin(np.where(outcome.flipped, outcome.margin, np.inf)))
            return sets[best], int(outcome.winner[best]), True
        tried = size
    found, winner = _greedy(outcome_of, n_modes)
    return found, winner, found is not None and len(found) <= tried + 1


def _greedy(outcome_of: OutcomeOf, n_modes: int) -> tuple[Set | None, int]:
    chosen: Set = ()
    while len(chosen) < n_modes:
        sets = [(*chosen, mode) for mode in range(n_modes) if mode not in chosen]
        outcome = outcome_of(sets)
        best = int(np.argmin(outcome.margin))
        chosen = sets[best]
        if outcome.flipped[best]:
            return _pruned(outcome_of, chosen, int(outcome.winner[best]))
    return None, -1


def _pruned(outcome_of: OutcomeOf, chosen: Set, winner: int) -> tuple[Set, int]:
    """Give back modes one by one, as long as the class stays another."""
    while len(chosen) > 1:
        sets = list(combinations(chosen, len(chosen) - 1))
        outcome = outcome_of(sets)
        if not outcome.flipped.any():
            break
        best = int(np.argmin(np.where(outcome.flipped, outcome.margin, np.inf)))
        chosen, winner = sets[best], int(outcome.winner[best])
    return tuple(sorted(chosen)), winner


def _n_in_order(outcome_of: OutcomeOf, order) -> int:
    """How many modes have to go, in this order, until the class changes; all and one if never."""
    if not len(order):
        return 1
    flipped = outcome_of([tuple(order[: n + 1]) for n in range(len(order))]).flipped
    return int(np.argmax(flipped)) + 1 if flipped.any() else len(order) + 1
