"""What sparse autoencoders share: the network, the training loop, and modes that start again."""

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ._checks import UNLIMITED, check_between, check_counts, check_no_negative, threads_that_help
from ._interface import Streaming
from ._rows import Rows
from ._sparse_coding import random_modes

MODES_PER_FEATURE = 1
CHUNK = 4096
STEPS_OF_A_POOL = 25
IDLE, REVIVAL_ENDS = 0.01, 0.6
SLOWEST = 0.02
MOMENTS = 0.9, 0.99
TINY = 1e-8


@dataclass(eq=False, repr=False)
class Autoencoder(Streaming):
    """A linear encoder, something that makes its codes sparse, and a dictionary of unit norm.

    It learns from samples in memory or, block by block, from those in a store. The classes derived
    from it differ in what makes codes sparse; what they share, parameters and formulas, is
    described with `SparseAutoencoder`.
    """

    n_modes: int | None = None
    _: KW_ONLY
    nonnegative: bool = True
    signed_loadings: bool = False
    equal_features: bool = True
    centred: bool = False
    learn_offset: bool = False
    n_steps: int = 3000
    batch_size: int = 512
    learning_rate: float = 5e-3
    revive_every: int = 100
    seed: int = 0

    @abstractmethod
    def _sparsifier(self, n_modes: int) -> nn.Module:
        """Return what turns codes (row, mode) into sparse loadings and a penalty."""

    def _learn(self, rows: Rows) -> Float[np.ndarray, "mode feature"]:
        self._begin(rows)
        self._train(rows.pools(self.generator_), self.n_steps)
        return self.network_.dictionary.detach().numpy()

    def _learn_more(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "mode feature"]:
        rows = Rows(x)
        if not hasattr(self, "network_"):
            self._begin(rows)
        self._check_sign(x)
        self._train(rows.pools(self.generator_), math.ceil(len(x) / self.batch_size))
        return self.network_.dictionary.detach().numpy()

    def _describe(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row mode"]:
        self._check_sign(x)
        x = torch.as_tensor(x / self.length_, dtype=torch.float32)
        with torch.no_grad(), threads_that_help(CHUNK * self.network_.dictionary.numel()):
            parts = [self.network_.eval().encode(part)[0] for part in x.split(CHUNK)]
        return torch.cat(parts).numpy() * np.float32(self.length_)

    def _own_offset(self) -> Float[np.ndarray, " feature"]:
        return self.network_.offset.detach().numpy() * np.float32(self.length_)

    def _begin(self, rows: Rows) -> None:
        check_counts(n_steps=self.n_steps, batch_size=self.batch_size)
        check_counts(revive_every=self.revive_every)
        check_between(0, UNLIMITED, learning_rate=self.learning_rate)
        n_modes = MODES_PER_FEATURE * rows.shape[1] if self.n_modes is None else self.n_modes
        sparsifier = self._sparsifier(n_modes)
        self.generator_ = torch.Generator().manual_seed(self.seed)
        first = next(rows.pools(self.generator_))
        offset = np.median(first, axis=0) if self.learn_offset else np.zeros(rows.shape[1])
        self.length_ = rows.length(self._check_sign, offset)
        self.network_ = _Network(
            self._scaled(first - offset),
            self._scaled(offset),
            n_modes,
            sparsifier,
            nonnegative=self.nonnegative,
            signed=self.signed_loadings,
            generator=self.generator_,
        )
        self.network_.offset.requires_grad_(self.learn_offset)
        self.optimiser_ = torch.optim.Adam(self.network_.parameters(), betas=MOMENTS)
        self.energy_, self.curve_ = torch.zeros(n_modes), []

    def _train(self, pools: Iterator[np.ndarray], n_steps: int) -> None:
        network, optimiser = self.network_.train(), self.optimiser_
        with threads_that_help(self.batch_size * network.dictionary.numel()):
            for i in range(n_steps):
                if i % STEPS_OF_A_POOL == 0:
                    rows = next(pools)
                index = torch.randint(len(rows), (self.batch_size,), generator=self.generator_)
                x = self._scaled(rows[index.numpy()])
                loadings, penalty = network.encode(x)
                residual = x - network.decode(loadings)
                loss = residual.square().sum(dim=1).mean() / 2 + penalty
                optimiser.zero_grad()
                loss.backward()
                optimiser.param_groups[0]["lr"] = self._current_learning_rate()
                optimiser.step()
                network.normalise()
                self.curve_.append(loss.item())
                self._revive(loadings.detach(), residual.detach())

    def _current_learning_rate(self) -> float:
        return self.learning_rate * max(SLOWEST, 1 - len(self.curve_) / self.n_steps)

    def _revive(self, loadings, residual) -> None:
        """Let modes that explain next to nothing start again, and Adam forget about them."""
        self.energy_ += loadings.square().sum(dim=0)
        if len(self.curve_) % self.revive_every == 0:
            idle = self.energy_ < IDLE * self.energy_.mean()
            if idle.any() and len(self.curve_) <= REVIVAL_ENDS * self.n_steps:
                for parameter in self.network_.revive(idle, residual, self.generator_):
                    self.optimiser_.state[parameter]["exp_avg"][idle] = 0
                    self.optimiser_.state[parameter]["exp_avg_sq"][idle] = 0
            self.energy_.zero_()

    def _scaled(self, x: Float[np.ndarray, "*any"]) -> Float[Tensor, "*any"]:
        return torch.as_tensor(x / self.length_, dtype=torch.float32)

    def _check_sign(self, x: Float[np.ndarray, "row feature"]) -> None:
        if self.nonnegative and not self.centred and not self.learn_offset:
            check_no_negative(x, "nonnegative=False")


class _Network(nn.Module):
    """Encoder, sparsifier and dictionary."""

    def __init__(self, x, offset, n_modes, sparsifier, *, nonnegative, signed, generator):
        super().__init__()
        self.nonnegative, self.signed, self.sparsifier = nonnegative, signed, sparsifier
        atoms = self._new_atoms(x, n_modes, generator)
        self.encoder = nn.Parameter(atoms.clone())
        self.bias = nn.Parameter(torch.zeros(n_modes))
        self.dictionary = nn.Parameter(atoms.clone())
        self.offset = nn.Parameter(offset)

    def encode(
        self, x: Float[Tensor, "row feature"]
    ) -> tuple[Float[Tensor, "row mode"], Float[Tensor, ""]]:
        """Return loadings and their penalty."""
        drive = (x - self.offset) @ self.encoder.T
        if not self.signed:
            return self.sparsifier(drive + self.bias)
        sizes, penalty = self.sparsifier(drive.abs() + self.bias)
        return drive.sign() * sizes, penalty

    def decode(self, loadings: Float[Tensor, "row mode"]) -> Float[Tensor, "row feature"]:
        return loadings @ self.dictionary + self.offset

    @torch.no_grad()
    def normalise(self) -> None:
        if self.nonnegative:
            self.dictionary.clamp_(min=0)
        if self.signed:
            self.bias.clamp_(max=0)
        self.dictionary /= self.dictionary.norm(dim=1, keepdim=True).clamp(min=TINY)

    @torch.no_grad()
    def revive(
        self,
        idle: Bool[Tensor, " mode"],
        residual: Float[Tensor, "row feature"],
        generator: torch.Generator,
    ) -> list[nn.Parameter]:
        """Let modes start again from what is unexplained; return the parameters that changed."""
        atoms = self._new_atoms(residual, int(idle.sum()), generator)
        self.encoder[idle], self.dictionary[idle], self.bias[idle] = atoms, atoms, 0.0
        return [self.encoder, self.dictionary, self.bias]

    def _new_atoms(self, x, n_modes, generator):
        return random_modes(x.clamp(min=0) if self.nonnegative else x, n_modes, generator)
