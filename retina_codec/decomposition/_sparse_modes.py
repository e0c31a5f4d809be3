"""The default: modes learned in turns with sparse loadings, and removed unless needed."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ._checks import (
    check_between,
    check_counts,
    check_no_negative,
    threads_that_help,
)
from ._interface import Streaming
from ._rows import Rows
from ._sparse_coding import (
    better_modes,
    cost_of_exchange,
    noise_level,
    random_modes,
    sparse_loadings,
    twins,
    worth,
)

ROWS_OF_A_PASS = 8192
CHUNK = 4096
ROUNDS_IN_TRANSFORM = 100
COARSEST, FINEST = 12.0, 2.0
NOISES = 3.0
IDLE, REVIVAL_ENDS = 0.01, 0.6
SETTLING = 6
CHECK_EVERY, CALM = 3, 12
WORTH, ALIKE, FEWEST = 2.0, 0.8, 2
MEMORY = 0.8


class SparseModes(Streaming):
    """Sparse modes, learned in turns with their loadings; those that nothing needs are removed.

    It learns from samples in memory or, block by block, from those in a store.

    Parameters
    ----------
    n_modes
        How many modes to begin with; None for twice as many as there are features. More cost time,
        but copies, sums of modes and fits to noise are removed.
    smallest_loading
        Smallest loading that is worth having, as a share of the root mean square length of a
        sample. Where there is noise, loadings must also exceed 3 times its level: the lowest of the
        estimates that are made while modes are removed, as what they explained is no noise.
    nonnegative
        Whether modes have only positive weights; then X must not be negative. Take it for features
        split by sign, where a mode is a set of channels that promote or suppress; set it to False
        for whole channels (sign 0), whose modes then have weights of both signs.
    equal_features
        Whether all features count the same, however large they are.
    n_passes
        Passes through the samples (or through 8,192 of them) in which the threshold for loadings
        falls. Further ones follow until no mode is removed any more.
    seed
        Of the first modes and the choice of samples.

    Attributes
    ----------
    threshold_
        Smallest loading that was worth having in the end, in the units of `smallest_loading`.
    curve_
        Share of the squared length of the samples of each pass that the modes left unexplained.

    Notes
    -----
    Seeks loadings z >= 0 and modes D of unit norm with small

        1/2 |x - z D|^2 + threshold^2 / 2 * (number of active modes)

    by turns. Loadings: FISTA under an L1 penalty of half the threshold, then loadings up to the
    threshold are removed and the rest fitted again without penalty, so that the penalty does not
    bend the modes. Modes: least squares for one after the other. The threshold begins 12 times as
    high as it ends, so that first the strongest motifs are found; modes that explain next to
    nothing start again from what is unexplained. Then a mode is removed if, without it, the samples
    in which it is active would cost less than 2 further active modes each (`worth`): copies of
    modes, sums of two modes and fits to noise do not reach that. Two modes that are alike and
    active together become one if that costs less, and the threshold falls once more.

    References
    ----------
    Olshausen & Field (1996), Nature 381:607-609. Mairal et al. (2010), Journal of Machine Learning
    Research 11:19-60 (update of modes from sums). Aharon et al. (2006), IEEE Transactions on Signal
    Processing 54:4311-4322 (turns; modes replaced that nothing uses or that resemble others).

    Examples
    --------
    >>> X = np.random.default_rng(0).gamma(1.0, size=(60, 4))
    >>> method = SparseModes(n_modes=3, n_passes=5).fit(X)
    >>> np.linalg.norm(method.components_, axis=1).round(3)
    array([1., 1., 1.], dtype=float32)
    """

    def __init__(
        self,
        n_modes: int | None = None,
        *,
        smallest_loading: float = 0.05,
        nonnegative: bool = True,
        equal_features: bool = True,
        n_passes: int = 40,
        seed: int = 0,
    ):
        self.n_modes = n_modes
        self.smallest_loading = smallest_loading
        self.nonnegative = nonnegative
        self.equal_features = equal_features
        self.n_passes = n_passes
        self.seed = seed

    def _learn(self, rows: Rows) -> Float[np.ndarray, "mode feature"]:
        turns = self._begin(rows, memory=MEMORY if len(rows) > ROWS_OF_A_PASS else 0.0)
        pools = rows.pools(turns.generator)
        while turns.n_calm < CALM:
            self._turn(turns.some_of(next(pools)))
        return turns.dictionary.numpy()

    def _learn_more(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "mode feature"]:
        if not hasattr(self, "turns_"):
            self._begin(Rows(x), memory=MEMORY)
        self._check_sign(x)
        self._turn(x)
        return self.turns_.dictionary.numpy()

    def _describe(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row mode"]:
        self._check_sign(x)
        dictionary, length = self.turns_.dictionary, self.turns_.length
        x = torch.as_tensor(x / length, dtype=torch.float32)
        with threads_that_help(CHUNK * dictionary.numel()):
            parts = [
                sparse_loadings(
                    part, dictionary, threshold=self.threshold_, n_rounds=ROUNDS_IN_TRANSFORM
                )
                for part in x.split(CHUNK)
            ]
        return torch.cat(parts).numpy() * np.float32(length)

    def _begin(self, rows: Rows, memory: float) -> "_Turns":
        check_counts(n_passes=self.n_passes)
        check_between(0, 1, smallest_loading=self.smallest_loading)
        self.turns_ = _Turns(
            n_modes=2 * rows.shape[1] if self.n_modes is None else self.n_modes,
            n_passes=self.n_passes,
            smallest=self.smallest_loading,
            nonnegative=self.nonnegative,
            length=rows.length(self._check_sign),
            memory=memory,
            seed=self.seed,
        )
        return self.turns_

    def _turn(self, x: Float[np.ndarray, "row feature"]) -> None:
        turns = self.turns_
        with threads_that_help(CHUNK * turns.n_modes * x.shape[1]):
            turns.take(torch.as_tensor(x / turns.length, dtype=torch.float32))
        self.threshold_ = turns.threshold
        self.n_removed_ = turns.n_modes - len(turns.dictionary)
        self.curve_ = turns.curve

    def _check_sign(self, x: Float[np.ndarray, "row feature"]) -> None:
        if self.nonnegative:
            check_no_negative(x, "nonnegative=False")


class _Turns:
    """Loadings and modes by turns, one turn for each pass through some rows."""

    def __init__(self, *, n_modes, n_passes, smallest, nonnegative, length, memory, seed):
        self.n_modes, self.n_passes, self.smallest = n_modes, n_passes, smallest
        self.nonnegative, self.length, self.memory = nonnegative, length, memory
        self.generator = torch.Generator().manual_seed(seed)
        self.dictionary: Float[Tensor, "mode feature"] | None = None
        self.threshold, self.noise, self.n_done, self.n_calm = 0.0, math.inf, 0, 0
        self.curve = []

    def some_of(self, rows: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row feature"]:
        """Draw the rows of a pass."""
        if len(rows) <= ROWS_OF_A_PASS:
            return rows
        order = torch.randperm(len(rows), generator=self.generator)
        return rows[order[:ROWS_OF_A_PASS].numpy()]

    def take(self, x: Float[Tensor, "row feature"]) -> None:
        """Improve the modes by one turn; when they have settled, remove those nothing needs."""
        if self.dictionary is None:
            self._start(x)
        progress = self.n_done / self.n_passes
        if progress < 1:
            self.threshold = self.smallest * COARSEST ** (1 - progress) * FINEST**progress
        loadings = sparse_loadings(x, self.dictionary, threshold=self.threshold)
        unexplained = (x - loadings @ self.dictionary).square().sum() / x.square().sum()
        self.curve.append(unexplained.item())
        self._improve(x, loadings)
        self.n_done += 1
        if progress < REVIVAL_ENDS:
            self._revive(x, loadings)
        elif progress >= 1:
            self.noise = min(self.noise, noise_level(x, loadings, self.dictionary))
            self.threshold = max(self.smallest, NOISES * self.noise)
            if self.n_done > self.n_passes + SETTLING and self.n_done % CHECK_EVERY == 0:
                self._remove(x)

    def _start(self, x):
        self.dictionary = random_modes(x, self.n_modes, self.generator)
        self.overlap = x.new_zeros(self.n_modes, self.n_modes)
        self.drive = torch.zeros_like(self.dictionary)

    def _improve(self, x, loadings):
        self.overlap = self.memory * self.overlap + loadings.T @ loadings
        self.drive = self.memory * self.drive + loadings.T @ x
        self.dictionary = better_modes(
            self.dictionary, self.overlap, self.drive, nonnegative=self.nonnegative
        )

    def _revive(self, x, loadings):
        """Let modes that explain next to nothing start again from what is unexplained."""
        energy = loadings.square().sum(dim=0)
        idle = energy < IDLE * energy.mean()
        if idle.any():
            residual = x - loadings @ self.dictionary
            residual = residual.clamp(min=0) if self.nonnegative else residual
            self.dictionary[idle] = random_modes(residual, int(idle.sum()), self.generator)
            self.overlap[idle], self.overlap[:, idle], self.drive[idle] = 0.0, 0.0, 0.0

    def _remove(self, x):
        """Merge what is one mode in two parts, then remove what is not worth its cost."""
        loadings = sparse_loadings(x, self.dictionary, threshold=self.threshold)
        gone = self._merged(x, loadings)
        if gone.any():
            self.n_done = math.ceil(REVIVAL_ENDS * self.n_passes)
        else:
            gone = self._worthless(x, loadings)
        self.n_calm = 0 if gone.any() else self.n_calm + CHECK_EVERY
        self.dictionary, self.drive = self.dictionary[~gone], self.drive[~gone]
        self.overlap = self.overlap[~gone][:, ~gone]

    def _merged(self, x, loadings):
        gone = torch.zeros(len(self.dictionary), dtype=torch.bool)
        for a, b, between in twins(loadings, self.dictionary, ALIKE):
            if gone[a] or gone[b]:
                continue
            cost = cost_of_exchange(
                x, loadings, self.dictionary, [a, b], between[None], threshold=self.threshold
            )
            if cost < 0:
                self.dictionary[a], gone[b] = between, True
                self.overlap[a], self.overlap[:, a], self.drive[a] = 0.0, 0.0, 0.0
        return gone

    def _worthless(self, x, loadings):
        """Modes not worth their cost, but of modes that are alike only one at a time."""
        rare = torch.count_nonzero(loadings, dim=0) < FEWEST
        worths = worth(x, loadings, self.dictionary, threshold=self.threshold)
        worths[rare] = -math.inf
        alike = self.dictionary @ self.dictionary.T > ALIKE
        gone = torch.zeros_like(rare)
        for mode in torch.argsort(worths, stable=True)[: len(worths) - 1].tolist():
            if worths[mode] < WORTH and (rare[mode] or not (alike[mode] & gone & ~rare).any()):
                gone[mode] = True
        return gone
