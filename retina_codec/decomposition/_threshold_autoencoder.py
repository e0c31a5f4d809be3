"""The sparse autoencoder of the paper."""

from copy import deepcopy
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from retina_codec.statistics import time_blocks

from ._checks import UNLIMITED, check_between, check_counts, threads_that_help
from ._interface import Decomposition
from ._rows import Rows

PUBLISHED = MappingProxyType(
    {
        "retina": {
            "modes_per_feature": 10,
            "threshold": 0.9,
            "l1": 1e-4,
            "learning_rate": 1e-5,
            "n_epochs": 800,
            "decay": 0.98,
            "decay_every": 25,
        },
        "resnet50": {
            "modes_per_feature": 3,
            "threshold": 0.8,
            "l1": 5e-5,
            "n_hidden": 2048,
            "learning_rate": 5e-5,
            "n_epochs": 300,
            "decay": 0.5,
            "patience": 10,
        },
        "vit": {
            "modes_per_feature": 3,
            "threshold": 0.9,
            "l1": 1e-4,
            "learning_rate": 5e-5,
            "n_epochs": 300,
            "decay": 1.0,
        },
        "sweep": {
            "modes_per_feature": 5,
            "threshold": 0.5,
            "l1": 1e-4,
            "learning_rate": 5e-5,
            "n_epochs": 200,
            "decay": 1.0,
        },
    }
)
"""The settings of Melander et al. (2026) for each kind of network. "sweep" is the setting around
which they varied the width of the encoder and the sign of the dictionary."""

DROPOUT = 0.05
VALIDATION_EVERY = 10
CHUNK = 4096


class ThresholdAutoencoder(Decomposition):
    """The sparse autoencoder of the paper: sigmoid codes, set to 0 below a hard threshold.

    Parameters
    ----------
    n_modes
        Number of modes; None for `modes_per_feature` times the number of features.
    modes_per_feature
        Only used without `n_modes`.
    threshold
        Codes below are 0. Without `leak` no gradient passes the threshold, so a mode that is below
        it for all samples stays dead; at 0.9 nearly all modes start like that.
    leak
        Share of the gradient that passes codes below the threshold all the same (straight-through).
        0 as published; with 0.1 dead modes come to life, at any threshold.
    l1
        Weight of the mean magnitude of the dictionary. As small as published, it does nothing.
    nonnegative
        Whether the dictionary is rectified.
    n_hidden
        Width of both hidden layers; None for the number of features.
    learning_rate, n_epochs, batch_size
        Of Adam.
    decay, decay_every, patience
        The learning rate is multiplied by `decay` every so many epochs, or, with `patience`, when
        the training loss has not fallen for so many epochs.
    seed
        Of the first weights, the order of the samples and the dropout.

    Attributes
    ----------
    curve_
        Mean loss over the batches of each epoch.

    Notes
    -----
    ``codes = sigmoid(encoder(X))``, ``loadings = codes * (codes >= threshold)``, loss = mean
    (X - loadings @ components_)^2 + l1 mean |components_|. Loadings are 0 or between the threshold
    and 1; modes have no unit norm. Defaults are those of the retina; `PUBLISHED` has the others:
    ``ThresholdAutoencoder(**PUBLISHED["vit"])``.

    Every tenth part of the training samples, in time, is set aside, and the state that does best on
    it is kept. The published code keeps the last state.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557. Bengio et al. (2013), arXiv:1308.3432
    (straight-through gradient).

    Examples
    --------
    >>> X = np.random.default_rng(0).gamma(1.0, size=(60, 4))
    >>> method = ThresholdAutoencoder(n_modes=8, threshold=0.5, n_epochs=2)
    >>> loadings = method.fit_transform(X)
    >>> loadings.shape, bool(loadings[loadings > 0].min() >= 0.5)
    ((60, 8), True)
    """

    unit_norm = False

    def __init__(
        self,
        n_modes: int | None = None,
        *,
        modes_per_feature: int = 10,
        threshold: float = 0.9,
        leak: float = 0.0,
        l1: float = 1e-4,
        nonnegative: bool = False,
        n_hidden: int | None = None,
        learning_rate: float = 1e-5,
        n_epochs: int = 800,
        batch_size: int = 128,
        decay: float = 0.98,
        decay_every: int = 25,
        patience: int | None = None,
        seed: int = 0,
    ):
        self.n_modes = n_modes
        self.modes_per_feature = modes_per_feature
        self.threshold = threshold
        self.leak = leak
        self.l1 = l1
        self.nonnegative = nonnegative
        self.n_hidden = n_hidden
        self.learning_rate = learning_rate
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.decay = decay
        self.decay_every = decay_every
        self.patience = patience
        self.seed = seed

    def _learn(self, rows: Rows) -> Float[np.ndarray, "mode feature"]:
        X = np.asarray(rows)
        n_modes = self.modes_per_feature * X.shape[1] if self.n_modes is None else self.n_modes
        n_hidden = X.shape[1] if self.n_hidden is None else self.n_hidden
        check_counts(n_modes=n_modes, n_hidden=n_hidden, decay_every=self.decay_every)
        check_counts(n_epochs=self.n_epochs, batch_size=self.batch_size)
        check_between(0, 1, threshold=self.threshold, leak=self.leak, decay=self.decay)
        check_between(0, UNLIMITED, l1=self.l1, learning_rate=self.learning_rate)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            self.network_ = _ThresholdNetwork(
                X.shape[1], n_hidden, n_modes, self.threshold, self.leak, self.nonnegative
            )
            with threads_that_help(self.batch_size * n_modes * max(n_hidden, X.shape[1])):
                self._train(torch.as_tensor(X, dtype=torch.float32))
        return self.network_.atoms().detach().numpy()

    def _describe(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row mode"]:
        x = torch.as_tensor(x, dtype=torch.float32)
        with torch.no_grad(), threads_that_help(CHUNK * self.components_.size):
            return torch.cat([self.network_.loadings(part) for part in x.split(CHUNK)]).numpy()

    def _train(self, X: Float[Tensor, "sample feature"]) -> None:
        network = self.network_
        held_out = torch.as_tensor(
            time_blocks(len(X), n_blocks=VALIDATION_EVERY, held_out_every=VALIDATION_EVERY)
        )
        train, validation = X[~held_out], X[held_out]
        optimiser = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        schedule = self._schedule(optimiser)
        best, best_loss, self.curve_ = None, UNLIMITED, []
        for _ in range(self.n_epochs):
            network.train()
            total, batches = 0.0, _full_batches(len(train), self.batch_size)
            for batch in batches:
                loss = network.error(train[batch]) + self.l1 * network.atoms().abs().mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total += loss.item()
            self.curve_.append(total / len(batches))
            if self.patience is None:
                schedule.step()
            else:
                schedule.step(total)
            network.eval()
            with torch.no_grad():
                validation_loss = network.error(validation).item()
            if validation_loss < best_loss:
                best, best_loss = deepcopy(network.state_dict()), validation_loss
        network.load_state_dict(best)

    def _schedule(self, optimiser):
        schedules = torch.optim.lr_scheduler
        if self.patience is None:
            return schedules.StepLR(optimiser, self.decay_every, self.decay)
        return schedules.ReduceLROnPlateau(optimiser, factor=self.decay, patience=self.patience)


class _ThresholdNetwork(nn.Module):
    def __init__(self, n_features, n_hidden, n_modes, threshold, leak, nonnegative):
        super().__init__()
        self.threshold, self.leak, self.nonnegative = threshold, leak, nonnegative
        self.encoder = nn.Sequential(
            *_hidden_layer(n_features, n_hidden),
            *_hidden_layer(n_hidden, n_hidden),
            nn.Linear(n_hidden, n_modes, bias=False),
            nn.Sigmoid(),
        )
        self.dictionary = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n_modes, n_features)))

    def atoms(self) -> Float[Tensor, "mode feature"]:
        return self.dictionary.relu() if self.nonnegative else self.dictionary

    def loadings(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample mode"]:
        codes = self.encoder(x)
        active = codes >= self.threshold
        leaking = self.leak * (codes - codes.detach())
        return torch.where(active, codes, leaking)

    def error(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, ""]:
        return nn.functional.mse_loss(self.loadings(x) @ self.atoms(), x)


def _hidden_layer(n_in, n_out):
    return nn.Linear(n_in, n_out), nn.Dropout(DROPOUT), nn.ReLU(), nn.LayerNorm(n_out)


def _full_batches(n_samples, batch_size):
    """Return the shuffled samples in batches, without the incomplete one at the end."""
    size = min(batch_size, n_samples)
    return torch.randperm(n_samples)[: n_samples // size * size].split(size)
