"""A sparse autoencoder whose modes compete to explain each sample."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ._interface import (
    UNLIMITED,
    Decomposition,
    check_between,
    check_counts,
    check_no_negative,
    finite_matrix,
    threads_that_help,
)
from ._rows import Rows

CHUNK = 4096
STEPS_OF_A_POOL = 25
WARM_UP = 50
JITTER = 1e-3
IDLE = 0.01
REVIVAL_ENDS = 0.6
ROUNDS_TO_CONVERGE = 100
ROUNDS_TO_REFIT = 50
TINY = 1e-8


class SparseAutoencoder(Decomposition):
    """A sparse autoencoder whose modes compete to explain a sample, and start again if unused.

    It learns from samples in memory or, block by block, from those in a store.

    Parameters
    ----------
    n_modes
        Number of modes; None for as many as there are features. Some more than expected do better
        than too few.
    sparsity
        Smallest loading that is worth having, as a share of the root mean square length of a
        sample; loadings up to twice that become 0. Choose it near the noise.
    nonnegative
        Whether modes have only positive weights; then X must not be negative.
    learn_offset
        Whether features have a value of their own when no mode is active. Contributions have a
        natural zero and need none.
    n_steps, batch_size, learning_rate
        Of Adam. The learning rate falls linearly to 0.
    n_rounds
        Rounds of competition between modes after the first guess, while learning.
    revive_every
        After so many steps, in the first 60 % of learning, modes with less than 1 % of the energy
        of an average mode start again from samples that are explained badly.
    seed
        Of the first modes and the order of the samples.

    Notes
    -----
    A first guess relu(W x + b) is corrected by a few steps of proximal gradient descent (FISTA) on

        1/2 |x - offset - z D|^2 + sparsity |z|_1,  z >= 0,

    in which modes that explain the same take from each other; gradients of this loss pass through
    all steps to W, b and the dictionary D, whose rows have unit norm. (The first guess alone cannot
    tell overlapping modes apart; the correction alone, without a learned guess, needs many more
    rounds.) In `transform` it runs to convergence; then loadings up to twice the sparsity are
    removed and the others fitted again without penalty.

    References
    ----------
    Olshausen & Field (1996), Nature 381:607-609. Gregor & LeCun (2010), ICML, "Learning fast
    approximations of sparse coding". Beck & Teboulle (2009), SIAM Journal on Imaging Sciences
    2:183-202 (FISTA). Revival of dead modes after Gao et al. (2024), arXiv 2406.04093, who use an
    auxiliary loss.

    Examples
    --------
    >>> X = np.random.default_rng(0).gamma(1.0, size=(60, 4))
    >>> method = SparseAutoencoder(n_modes=3, n_steps=20).fit(X)
    >>> np.linalg.norm(method.components_, axis=1).round(3)
    array([1., 1., 1.], dtype=float32)
    """

    def __init__(
        self,
        n_modes: int | None = None,
        *,
        sparsity: float = 0.025,
        nonnegative: bool = True,
        learn_offset: bool = False,
        n_steps: int = 1500,
        batch_size: int = 512,
        learning_rate: float = 5e-3,
        n_rounds: int = 5,
        revive_every: int = 100,
        seed: int = 0,
    ):
        self.n_modes = n_modes
        self.sparsity = sparsity
        self.nonnegative = nonnegative
        self.learn_offset = learn_offset
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.n_rounds = n_rounds
        self.revive_every = revive_every
        self.seed = seed

    def fit(self, X: Float[Any, "sample feature"], y: Any = None) -> Decomposition:
        """Learn the modes.

        Raises
        ------
        ValueError
            If a parameter is impossible, X is 0 everywhere, or X holds negative numbers although
            modes may not.
        """
        X = X if isinstance(X, Rows) else Rows(finite_matrix(X))
        n_modes = X.shape[1] if self.n_modes is None else self.n_modes
        self._check_parameters(n_modes)
        if self.nonnegative and not self.learn_offset:
            for block in X:
                check_no_negative(block, "nonnegative=False")
        generator = torch.Generator().manual_seed(self.seed)
        pools = X.pools(generator)
        offset = np.zeros(X.shape[1])
        if self.learn_offset:
            offset = np.median(next(pools), axis=0)
        energy = sum(np.sum(np.square(block - offset, dtype=float)) for block in X)
        self.scale_ = math.sqrt(energy / len(X))
        if not self.scale_ > 0:
            msg = "X must vary, but all samples are the same. There is nothing to decompose."
            raise ValueError(msg)
        pools = _tensors(pools, self.scale_)
        offset = torch.as_tensor(offset / self.scale_, dtype=torch.float32)
        atoms = _random_samples(next(pools) - offset, n_modes, generator)
        self.network_ = _CompetingNetwork(atoms, offset)
        with threads_that_help(self.batch_size * atoms.numel()):
            self._train(pools, generator)
        self.components_ = self.network_.dictionary.detach().numpy()
        self.offset_ = self.network_.offset.detach().numpy() * np.float32(self.scale_)
        return self

    def transform(self, X: Float[np.ndarray, "sample feature"]) -> Float[np.ndarray, "sample mode"]:
        """Return the loadings, each above 0 where its mode is active.

        Raises
        ------
        ValueError
            If X has other features than in fit.
        """
        x = torch.as_tensor(self._new(X) / self.scale_, dtype=torch.float32)
        with torch.no_grad(), threads_that_help(CHUNK * self.components_.size):
            parts = [self._converged(chunk) for chunk in x.split(CHUNK)]
        return torch.cat(parts).numpy() * np.float32(self.scale_)

    def _train(self, pools: Iterator[Tensor], generator: torch.Generator) -> None:
        network = self.network_
        learned = [*network.guess.parameters(), network.dictionary]
        learned += [network.offset] if self.learn_offset else []
        optimiser = torch.optim.Adam(learned, lr=self.learning_rate, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._learning_rate_factor)
        energy = torch.zeros(len(network.dictionary))
        network.normalise(self.nonnegative)
        for step in range(1, self.n_steps + 1):
            if step % STEPS_OF_A_POOL == 1:
                x = next(pools)
            batch = x[torch.randint(len(x), (self.batch_size,), generator=generator)]
            loadings = network.compete(
                batch, network.first_guess(batch), penalty=self.sparsity, n_rounds=self.n_rounds
            )
            residual = batch - network.offset - loadings @ network.dictionary
            penalty = self.sparsity * loadings.sum(dim=1).mean()
            loss = 0.5 * residual.square().sum(dim=1).mean() + penalty
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            energy += loadings.detach().square().sum(dim=0)
            if step % self.revive_every == 0:
                idle = energy < IDLE * energy.mean()
                if idle.any() and step <= REVIVAL_ENDS * self.n_steps:
                    network.revive(idle, residual.detach(), generator)
                energy.zero_()
            network.normalise(self.nonnegative)

    def _converged(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample mode"]:
        network = self.network_
        loadings = network.compete(
            x, network.first_guess(x), penalty=self.sparsity, n_rounds=ROUNDS_TO_CONVERGE
        )
        active = loadings > 2 * self.sparsity
        return network.compete(
            x, loadings * active, penalty=0.0, n_rounds=ROUNDS_TO_REFIT, allowed=active
        )

    def _learning_rate_factor(self, step: int) -> float:
        return min(1.0, (step + 1) / WARM_UP, 2 * (1 - step / self.n_steps))

    def _check_parameters(self, n_modes: int) -> None:
        check_counts(n_modes=n_modes, n_steps=self.n_steps, n_rounds=self.n_rounds)
        check_counts(batch_size=self.batch_size, revive_every=self.revive_every)
        check_between(0, UNLIMITED, learning_rate=self.learning_rate)
        check_between(0, 1, sparsity=self.sparsity)


class _CompetingNetwork(nn.Module):
    def __init__(self, atoms: Float[Tensor, "mode feature"], offset: Float[Tensor, " feature"]):
        super().__init__()
        self.guess = nn.utils.skip_init(nn.Linear, atoms.shape[1], atoms.shape[0])
        self.guess.weight.data, self.guess.bias.data = atoms.clone(), torch.zeros(len(atoms))
        self.dictionary = nn.Parameter(atoms.clone())
        self.offset = nn.Parameter(offset)

    def first_guess(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample mode"]:
        return self.guess(x - self.offset).relu()

    def compete(
        self,
        x: Float[Tensor, "sample feature"],
        loadings: Float[Tensor, "sample mode"],
        *,
        penalty: float,
        n_rounds: int,
        allowed: Bool[Tensor, "sample mode"] | None = None,
    ) -> Float[Tensor, "sample mode"]:
        """Correct the loadings by FISTA; the step is safe by Gershgorin's bound."""
        overlap = self.dictionary @ self.dictionary.T
        drive = (x - self.offset) @ self.dictionary.T - penalty
        step = 1 / overlap.detach().abs().sum(dim=1).max()
        ahead, momentum = loadings, 1.0
        for _ in range(n_rounds):
            new = (ahead - step * (ahead @ overlap - drive)).relu()
            new = new if allowed is None else new * allowed
            next_momentum = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            ahead = new + (momentum - 1) / next_momentum * (new - loadings)
            loadings, momentum = new, next_momentum
        return loadings

    @torch.no_grad()
    def normalise(self, nonnegative: bool) -> None:
        if nonnegative:
            self.dictionary.clamp_(min=0)
        self.dictionary /= self.dictionary.norm(dim=1, keepdim=True).clamp(min=TINY)

    @torch.no_grad()
    def revive(
        self,
        idle: Bool[Tensor, " mode"],
        residual: Float[Tensor, "sample feature"],
        generator: torch.Generator,
    ) -> None:
        """Let idle modes start again from samples; those explained badly are taken more often."""
        atoms = _random_samples(residual, int(idle.sum()), generator)
        self.dictionary[idle] = atoms
        self.guess.weight[idle] = atoms
        self.guess.bias[idle] = 0


def _tensors(pools: Iterator[np.ndarray], scale: float) -> Iterator[Float[Tensor, "row feature"]]:
    """Divide by the scale; a pool that comes again is not divided again."""
    before = None
    for pool in pools:
        if pool is not before:
            before, x = pool, torch.as_tensor(pool / scale, dtype=torch.float32)
        yield x


def _random_samples(
    x: Float[Tensor, "sample feature"], n_modes: int, generator: torch.Generator
) -> Float[Tensor, "mode feature"]:
    """Return unit vectors along samples; strong samples are taken more often."""
    strength = x.norm(dim=1) + TINY
    again = n_modes > len(x)
    atoms = x[torch.multinomial(strength, n_modes, replacement=again, generator=generator)]
    noise = JITTER * torch.rand(atoms.shape, generator=generator)
    return nn.functional.normalize(atoms + noise, dim=1)
