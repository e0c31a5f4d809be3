"""Sparse coding: which few modes make up a sample, and better modes from many such answers."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

ROUNDS_TO_CONVERGE = 60
ROUNDS_TO_REFIT = 40
TINY = 1e-8
N_RIVALS, N_TRIALS = 32, 400
UPDATES = 3


def sparse_loadings(
    x: Float[Tensor, "row feature"],
    dictionary: Float[Tensor, "mode feature"],
    *,
    threshold: float,
    n_rounds: int = ROUNDS_TO_CONVERGE,
) -> Float[Tensor, "row mode"]:
    """Return loadings that are 0 or worth having, of the modes that explain each row together.

    Modes compete under a penalty of half the threshold; loadings up to the threshold become 0, and
    the others are fitted again without penalty.
    """
    first = competition(x, dictionary, penalty=threshold / 2, n_rounds=n_rounds)
    active = first > threshold
    return competition(
        x,
        dictionary,
        penalty=0.0,
        n_rounds=ROUNDS_TO_REFIT,
        start=first * active,
        allowed=active,
    )


def competition(
    x: Float[Tensor, "row feature"],
    dictionary: Float[Tensor, "mode feature"],
    *,
    penalty: float,
    n_rounds: int,
    start: Float[Tensor, "row mode"] | None = None,
    allowed: Bool[Tensor, "row mode"] | None = None,
) -> Float[Tensor, "row mode"]:
    """Minimise 1/2 |x - z D|^2 + penalty |z|_1 over z >= 0 by accelerated proximal steps (FISTA).

    References
    ----------
    Beck & Teboulle (2009), SIAM Journal on Imaging Sciences 2:183-202.
    """
    overlap = dictionary @ dictionary.T
    step = 1 / torch.linalg.eigvalsh(overlap)[-1].clamp(min=TINY)
    move = torch.eye(len(dictionary), dtype=x.dtype) - step * overlap
    drive = step * (x @ dictionary.T - penalty)
    loadings = x.new_zeros(len(x), len(dictionary)) if start is None else start
    ahead, momentum = loadings, 1.0
    for _ in range(n_rounds):
        new = torch.addmm(drive, ahead, move).relu_()
        new = new if allowed is None else new.mul_(allowed)
        next_momentum = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = torch.lerp(loadings, new, 1 + (momentum - 1) / next_momentum)
        loadings, momentum = new, next_momentum
    return loadings


def better_modes(
    dictionary: Float[Tensor, "mode feature"],
    overlap: Float[Tensor, "mode mode"],
    drive: Float[Tensor, "mode feature"],
    *,
    nonnegative: bool,
) -> Float[Tensor, "mode feature"]:
    """Fit each mode in turn to what the others leave, by least squares.

    Parameters
    ----------
    dictionary
        Modes of unit norm, as before.
    overlap, drive
        Sums over rows of loading times loading, and of loading times row.
    nonnegative
        Whether negative weights are cut off.

    References
    ----------
    Mairal et al. (2010), Journal of Machine Learning Research 11:19-60, algorithm 2.
    """
    dictionary = dictionary.clone()
    for _ in range(UPDATES):
        for mode in torch.nonzero(overlap.diagonal() > TINY)[:, 0].tolist():
            rest = drive[mode] - overlap[mode] @ dictionary
            new = dictionary[mode] + rest / overlap[mode, mode]
            new = new.clamp(min=0) if nonnegative else new
            if new.norm() > TINY:
                dictionary[mode] = new / new.norm()
    return dictionary


def noise_level(
    x: Float[Tensor, "row feature"],
    loadings: Float[Tensor, "row mode"],
    dictionary: Float[Tensor, "mode feature"],
) -> float:
    """Median over the explained rows of the root mean square of what is left in a feature.

    The median, because what is left of strong samples is misfit rather than noise.
    """
    n_active = torch.count_nonzero(loadings, dim=1)
    explained = n_active > 0
    if not explained.any():
        return 0.0
    residual = (x - loadings @ dictionary)[explained].square().sum(dim=1)
    freedom = (x.shape[1] - n_active[explained]).clamp(min=1)
    return (residual / freedom).sqrt().median().item()


def worth(
    x: Float[Tensor, "row feature"],
    loadings: Float[Tensor, "row mode"],
    dictionary: Float[Tensor, "mode feature"],
    *,
    threshold: float,
) -> Float[Tensor, " mode"]:
    """How many further active modes it would cost to do without a mode, per row it is active in.

    A copy of another mode is worth nothing or less, the sum of two modes 1, a fit to noise little.
    """
    none = dictionary[:0]
    return torch.stack(
        [
            cost_of_exchange(x, loadings, dictionary, [mode], none, threshold=threshold)
            for mode in range(len(dictionary))
        ]
    )


def cost_of_exchange(
    x: Float[Tensor, "row feature"],
    loadings: Float[Tensor, "row mode"],
    dictionary: Float[Tensor, "mode feature"],
    old: list[int],
    new: Float[Tensor, "new feature"],
    *,
    threshold: float,
) -> Float[Tensor, ""]:
    """Cost of new modes in place of old ones, per row in which one of the old is active.

    The cost of a row is half its squared error plus threshold^2 / 2 for each active mode, so that a
    loading at the threshold just pays; the unit is that of one active mode. The `N_RIVALS` modes
    most like the old ones answer again.
    """
    rows = _spread(torch.nonzero(loadings[:, old].any(dim=1))[:, 0], N_TRIALS)
    if not len(rows):
        return x.new_zeros(())
    unit = threshold**2 / 2
    likeness = (dictionary[old] @ dictionary.T).amax(dim=0)
    likeness[old] = -math.inf
    rivals = torch.argsort(-likeness, stable=True)[: len(dictionary) - len(old)][:N_RIVALS]
    answering = torch.cat([rivals, torch.tensor(old)])
    theirs = loadings[rows][:, answering]
    residual = x[rows] - loadings[rows] @ dictionary
    task = residual + theirs @ dictionary[answering]
    before = residual.square().sum(dim=1) / 2 + unit * torch.count_nonzero(theirs, dim=1)
    others = torch.cat([dictionary[rivals], new])
    instead = sparse_loadings(task, others, threshold=threshold) if len(others) else None
    rest = task if instead is None else task - instead @ others
    after = rest.square().sum(dim=1) / 2
    after += 0 if instead is None else unit * torch.count_nonzero(instead, dim=1)
    return (after - before).mean() / unit


def twins(
    loadings: Float[Tensor, "row mode"], dictionary: Float[Tensor, "mode feature"], alike: float
) -> list[tuple[int, int, Float[Tensor, " feature"]]]:
    """Pairs of modes that are alike and mostly active together, with the mode between them."""
    active = (loadings > 0).float()
    together = active.T @ active
    seldom = torch.minimum(together.diagonal()[:, None], together.diagonal()[None])
    pairs = (dictionary @ dictionary.T > alike) & (together > seldom / 2)
    found = []
    for a, b in torch.nonzero(pairs.triu(diagonal=1)).tolist():
        both = loadings[:, [a, b]]
        between = both.sum(dim=1) @ both @ dictionary[[a, b]]
        found.append((a, b, between / between.norm().clamp(min=TINY)))
    return found


def random_modes(
    x: Float[Tensor, "row feature"], n_modes: int, generator: torch.Generator
) -> Float[Tensor, "mode feature"]:
    """Return unit vectors along rows; strong rows are taken more often."""
    strength = x.norm(dim=1) + TINY
    again = n_modes > len(x)
    modes = x[torch.multinomial(strength, n_modes, replacement=again, generator=generator)]
    jitter = 1e-3 * torch.rand(modes.shape, generator=generator)
    return torch.nn.functional.normalize(modes + jitter * strength.mean(), dim=1)


def _spread(index: Int[Tensor, " n"], most: int) -> Int[Tensor, " m"]:
    if len(index) <= most:
        return index
    return index[torch.linspace(0, len(index) - 1, most).long()]
