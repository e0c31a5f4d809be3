"""Four ways to make the codes of an autoencoder sparse."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ._autoencoder import Autoencoder
from ._checks import UNLIMITED, check_between, check_counts

MEMORY = 0.99
FIRST_THRESHOLD = 0.05

Sparse = tuple[Float[Tensor, "row mode"], Float[Tensor, ""]]


@dataclass(eq=False, repr=False, kw_only=True)
class SparseAutoencoder(Autoencoder):
    """A linear autoencoder whose codes are above 0, few of them because of an L1 penalty.

    Parameters
    ----------
    n_modes
        Number of modes; None for as many as there are features.
    sparsity
        Weight of the penalty; it also makes loadings too small.
    nonnegative
        Whether modes have only positive weights; then X must not be negative, unless it is centred
        or an offset is learned.
    signed_loadings
        Whether loadings have both signs. Then what is said of codes holds for their magnitudes.
    equal_features
        Whether all features count the same, however large they are.
    centred
        Whether the mean of each feature is taken away first.
    learn_offset
        Whether features have a value of their own when no mode is active; it begins at the median.
        Contributions have a natural zero and need none.
    n_steps, batch_size, learning_rate
        Of Adam. The learning rate falls linearly to 2 %.
    revive_every
        After so many steps, in the first 60 % of learning, modes with less than 1 % of the energy
        of an average mode start again from what is unexplained.
    seed
        Of the first modes and the order of the samples.

    Attributes
    ----------
    curve_
        Loss of the batch at each step, in units of the mean squared length of a sample.

    Notes
    -----
    ``z = sparse(W (x - offset) + c)``, loss = 1/2 |x - offset - z D|^2 + penalty; here sparse(u) is
    max(u, 0) and the penalty sparsity * sum of z. With `signed_loadings`, ``z = sign(u)
    sparse(|u| + c)`` with ``u = W (x - offset)``. D begins with samples, of which strong ones are
    taken more often, and W with D; the rows of D are brought back to unit norm after each step.
    Samples are divided by their root mean square length, so that defaults hold in all units.

    The encoder answers at once, without the competition between modes of `SparseModes`: where modes
    overlap, loadings and modes are less exact.

    `partial_fit` makes one pass through the given samples, with Adam as the call before left it.

    References
    ----------
    Ng (2011), CS294A lecture notes (sparse autoencoder). Bricken et al. (2023), Towards
    Monosemanticity, transformer-circuits.pub (unit norm, modes that start again).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).gamma(1.0, size=(60, 4))
    >>> SparseAutoencoder(n_modes=3, n_steps=5).fit(X).components_.shape
    (3, 4)
    """

    sparsity: float = 0.02

    def _sparsifier(self, n_modes: int) -> nn.Module:
        check_between(0, UNLIMITED, sparsity=self.sparsity)
        return _Penalised(self.sparsity)


@dataclass(eq=False, repr=False, kw_only=True)
class TopKAutoencoder(Autoencoder):
    """A linear autoencoder that keeps the k largest codes of each sample.

    Parameters
    ----------
    n_modes
        Number of modes; None for as many as there are features.
    k
        Most active modes in a sample; all of them with fewer modes.
    nonnegative, signed_loadings, equal_features, centred, learn_offset
        As in `SparseAutoencoder`.
    n_steps, batch_size, learning_rate, revive_every, seed
        As in `SparseAutoencoder`.

    Notes
    -----
    Codes must also be above 0.

    References
    ----------
    Makhzani & Frey (2013), arXiv:1312.5663. Gao et al. (2024), arXiv:2406.04093.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).gamma(1.0, size=(60, 4))
    >>> loadings = TopKAutoencoder(n_modes=3, k=1, n_steps=5).fit_transform(X)
    >>> int(np.count_nonzero(loadings, axis=1).max())
    1
    """

    k: int = 3

    def _sparsifier(self, n_modes: int) -> nn.Module:
        check_counts(k=self.k)
        return _TopK(min(self.k, n_modes))


@dataclass(eq=False, repr=False, kw_only=True)
class BatchTopKAutoencoder(Autoencoder):
    """A linear autoencoder that keeps the largest codes of a whole batch, k per sample on average.

    So samples may differ in how many modes are active.

    Parameters
    ----------
    n_modes
        Number of modes; None for as many as there are features.
    k
        Mean number of active modes in a sample while learning.
    nonnegative, signed_loadings, equal_features, centred, learn_offset
        As in `SparseAutoencoder`.
    n_steps, batch_size, learning_rate, revive_every, seed
        As in `SparseAutoencoder`.

    Notes
    -----
    After learning, codes count above a threshold: the running mean over batches of the smallest
    code that was kept.

    References
    ----------
    Bussmann et al. (2024), arXiv:2412.06410.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).gamma(1.0, size=(60, 4))
    >>> BatchTopKAutoencoder(n_modes=3, k=1, n_steps=5).fit_transform(X).shape
    (60, 3)
    """

    k: float | int = 2

    def _sparsifier(self, n_modes: int) -> nn.Module:
        check_between(0, UNLIMITED, k=self.k)
        return _BatchTopK(min(self.k, n_modes))


@dataclass(eq=False, repr=False, kw_only=True)
class JumpReluAutoencoder(Autoencoder):
    """A linear autoencoder whose codes count over a threshold that each mode learns.

    The penalty is on the number of active modes.

    Parameters
    ----------
    n_modes
        Number of modes; None for as many as there are features.
    sparsity
        Weight of the penalty.
    bandwidth
        How near to its threshold a code must be to teach it, in units of the root mean square
        length of a sample.
    nonnegative, signed_loadings, equal_features, centred, learn_offset
        As in `SparseAutoencoder`.
    n_steps, batch_size, learning_rate, revive_every, seed
        As in `SparseAutoencoder`.

    Notes
    -----
    ``z = u [u > threshold]``, penalty = sparsity * number of active modes. Neither step has a
    gradient for the threshold; a rectangle of this bandwidth stands in for it.

    References
    ----------
    Rajamanoharan et al. (2024), arXiv:2407.14435.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).gamma(1.0, size=(60, 4))
    >>> JumpReluAutoencoder(n_modes=3, n_steps=5).fit_transform(X).shape
    (60, 3)
    """

    sparsity: float = 0.003
    bandwidth: float = 0.05

    def _sparsifier(self, n_modes: int) -> nn.Module:
        check_between(0, UNLIMITED, sparsity=self.sparsity)
        check_between(1e-6, UNLIMITED, bandwidth=self.bandwidth)
        return _JumpRelu(n_modes, self.sparsity, self.bandwidth)


class _Penalised(nn.Module):
    """Codes above 0, with a penalty on their sum."""

    def __init__(self, sparsity: float):
        super().__init__()
        self.sparsity = sparsity

    def forward(self, codes: Float[Tensor, "row mode"]) -> Sparse:
        loadings = codes.relu()
        return loadings, self.sparsity * loadings.sum(dim=1).mean()


class _TopK(nn.Module):
    """The k largest codes of each row that are above 0."""

    def __init__(self, k: int):
        super().__init__()
        self.k = k

    def forward(self, codes: Float[Tensor, "row mode"]) -> Sparse:
        largest, index = codes.relu().topk(self.k, dim=1)
        return torch.zeros_like(codes).scatter(1, index, largest), codes.new_zeros(())


class _BatchTopK(nn.Module):
    """While learning, the k largest codes per row of a batch; then those over a threshold."""

    def __init__(self, k: float | int):
        super().__init__()
        self.k = k
        self.register_buffer("threshold", torch.tensor(math.nan))

    def forward(self, codes: Float[Tensor, "row mode"]) -> Sparse:
        loadings, nothing = codes.relu(), codes.new_zeros(())
        if not self.training:
            return loadings * (loadings >= self.threshold), nothing
        n_kept = max(1, round(self.k * len(codes)))
        kept, index = loadings.flatten().topk(n_kept)
        self._remember(kept.detach())
        loadings = torch.zeros_like(loadings).flatten().scatter(0, index, kept)
        return loadings.view_as(codes), nothing

    def _remember(self, kept):
        if kept[0] > 0:
            smallest = kept[kept > 0][-1]
            before = smallest if self.threshold.isnan() else self.threshold
            self.threshold = MEMORY * before + (1 - MEMORY) * smallest


class _JumpRelu(nn.Module):
    """Codes over a threshold that each mode learns, with a penalty on their number."""

    def __init__(self, n_modes: int, sparsity: float, bandwidth: float):
        super().__init__()
        self.sparsity, self.bandwidth = sparsity, bandwidth
        self.log_threshold = nn.Parameter(torch.full((n_modes,), math.log(FIRST_THRESHOLD)))

    def forward(self, codes: Float[Tensor, "row mode"]) -> Sparse:
        threshold = self.log_threshold.exp()
        is_active = _Step.apply(codes, threshold, self.bandwidth)
        number = is_active.sum(dim=1).mean()
        return _Jump.apply(codes, threshold, self.bandwidth), self.sparsity * number


class _Step(torch.autograd.Function):
    """1 over the threshold; only the threshold has a (pseudo-)gradient."""

    @staticmethod
    def forward(ctx, codes, threshold, bandwidth):
        ctx.save_for_backward(codes, threshold)
        ctx.bandwidth = bandwidth
        return (codes > threshold).to(codes.dtype)

    @staticmethod
    def backward(ctx, gradient):
        codes, threshold = ctx.saved_tensors
        near = _kernel(codes, threshold, ctx.bandwidth)
        return None, -(gradient * near).sum(dim=0), None


class _Jump(torch.autograd.Function):
    """The code over the threshold, else 0."""

    @staticmethod
    def forward(ctx, codes, threshold, bandwidth):
        ctx.save_for_backward(codes, threshold)
        ctx.bandwidth = bandwidth
        return codes * (codes > threshold)

    @staticmethod
    def backward(ctx, gradient):
        codes, threshold = ctx.saved_tensors
        near = _kernel(codes, threshold, ctx.bandwidth)
        return gradient * (codes > threshold), -threshold * (gradient * near).sum(dim=0), None


def _kernel(codes, threshold, bandwidth):
    """Rectangle of area 1 about the threshold."""
    return ((codes - threshold).abs() < bandwidth / 2) / bandwidth
