"""Sparse coding: which few modes make up a sample, and better modes from many such answers."""

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
    drive = x @ dictionary.T - penalty
    step = 1 / torch.linalg.eigvalsh(overlap)[-1].clamp(min=TINY)
    loadings = x.new_zeros(len(x), len(dictionary)) if start is None else start
    ahead, momentum = loadings, 1.0
    for _ in range(n_rounds):
        new = (ahead - step * (ahead @ overlap - drive)).relu_()
        new = new if allowed is None else new.mul_(allowed)
        next_momentum = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = new + (momentum - 1) / next_momentum * (new - loadings)
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

    The cost of a row is half its squared error plus threshold^2 / 2 for each active mode, so that a
    loading at the threshold just pays. The `N_RIVALS` modes most like the missing one answer again.
    A copy of another mode is worth nothing or less, the sum of two modes 1, a fit to noise little.
    """
    unit = threshold**2 / 2
    overlap, residual = dictionary @ dictionary.T, x - loadings @ dictionary
    found = torch.zeros(len(dictionary))
    for mode in range(len(dictionary)):
        rows = _spread(torch.nonzero(loadings[:, mode])[:, 0], N_TRIALS)
        if not len(rows):
            continue
        order = torch.argsort(-overlap[mode], stable=True)
        rivals = order[order != mode][:N_RIVALS]
        theirs = loadings[rows][:, rivals]
        own = loadings[rows, mode, None] * dictionary[mode]
        task = residual[rows] + theirs @ dictionary[rivals] + own
        before = residual[rows].square().sum(dim=1) / 2
        before += unit * (1 + torch.count_nonzero(theirs, dim=1))
        instead = _instead(task, dictionary[rivals], threshold)
        after = (task - instead @ dictionary[rivals]).square().sum(dim=1) / 2
        after += unit * torch.count_nonzero(instead, dim=1)
        found[mode] = (after - before).mean() / unit
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


def _instead(task, rivals, threshold):
    if not len(rivals):
        return task.new_zeros(len(task), 0)
    return sparse_loadings(task, rivals, threshold=threshold)


def _spread(index: Int[Tensor, " n"], most: int) -> Int[Tensor, " m"]:
    if len(index) <= most:
        return index
    return index[torch.linspace(0, len(index) - 1, most).long()]
