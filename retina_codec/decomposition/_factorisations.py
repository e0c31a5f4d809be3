"""Decompositions that scikit-learn does."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import skew
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA, FastICA, MiniBatchDictionaryLearning
from sklearn.exceptions import ConvergenceWarning

from ._checks import UNLIMITED, check_between, check_counts, check_no_negative, threads_that_help
from ._interface import Decomposition, Streaming
from ._rows import Rows

BATCH = 512
STEPS_OF_A_POOL = 25
FLAT = 1e-6
TINY = 1e-12


class NonNegativeFactors(Decomposition):
    """Modes that only add up: non-negative matrix factorisation.

    Parameters
    ----------
    n_modes
        Number of modes; None for as many as there are features. With as many as that, modes tend
        to become single features: choose fewer.
    max_iter
        Largest number of iterations, in fit and in transform.
    seed
        Of the starting point.

    Notes
    -----
    Minimises ||X - loadings @ components_||^2 with both non-negative. Each mode has unit norm; its
    scale is in the loadings. A mode is active where its loading is above 0.

    References
    ----------
    Lee & Seung (1999), Nature 401:788-791.

    Examples
    --------
    >>> X = np.random.default_rng(0).gamma(1.0, size=(50, 6))
    >>> NonNegativeFactors(n_modes=2).fit_transform(X).shape
    (50, 2)
    """

    def __init__(self, n_modes: int | None = None, *, max_iter: int = 2000, seed: int = 0):
        self.n_modes = n_modes
        self.max_iter = max_iter
        self.seed = seed

    def _learn(self, rows: Rows) -> Float[np.ndarray, "mode feature"]:
        X = np.asarray(rows)
        check_no_negative(X, "SparseModes(nonnegative=False)")
        n_modes = X.shape[1] if self.n_modes is None else self.n_modes
        check_counts(max_iter=self.max_iter)
        model = NMF(n_modes, max_iter=self.max_iter, random_state=self.seed)
        with _undisturbed(BATCH * n_modes * X.shape[1]):
            self.model_ = model.fit(X)
        _warn_unless_converged(self)
        return self.model_.components_

    def _describe(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row mode"]:
        check_no_negative(x, "SparseModes(nonnegative=False)")
        x = x.astype(self.model_.components_.dtype)
        with _undisturbed(BATCH * self.components_.size):
            return self.model_.transform(x)


class SparseDictionary(Streaming):
    """Sparse modes by scikit-learn's dictionary learning, which needs the right penalty.

    It learns from samples in memory or, block by block, from those in a store.

    Parameters
    ----------
    n_modes
        Number of modes; None for as many as there are features.
    sparsity
        Weight of the L1 penalty on loadings, as a share of the root mean square length of a sample.
        It also makes loadings too small.
    nonnegative
        Whether modes have only positive weights; loadings are never negative.
    equal_features
        Whether all features count the same, however large they are.
    n_passes
        As many batches of 512 samples are drawn as make up so many passes.
    seed
        Of the batches.

    Notes
    -----
    Minimises 1/2 |x - z D|^2 + sparsity |z|_1 over loadings z >= 0 and modes D with a norm of at
    most 1.

    References
    ----------
    Mairal et al. (2010), Journal of Machine Learning Research 11:19-60.

    Examples
    --------
    >>> X = np.random.default_rng(0).gamma(1.0, size=(50, 6))
    >>> SparseDictionary(n_modes=3, n_passes=2).fit_transform(X).shape
    (50, 3)
    """

    def __init__(
        self,
        n_modes: int | None = None,
        *,
        sparsity: float = 0.1,
        nonnegative: bool = True,
        equal_features: bool = True,
        n_passes: int = 30,
        seed: int = 0,
    ):
        self.n_modes = n_modes
        self.sparsity = sparsity
        self.nonnegative = nonnegative
        self.equal_features = equal_features
        self.n_passes = n_passes
        self.seed = seed

    def _learn(self, rows: Rows) -> Float[np.ndarray, "mode feature"]:
        self._begin(rows)
        generator = torch.Generator().manual_seed(self.seed)
        pools, size = rows.pools(generator), min(BATCH, len(rows))
        for i in range(self.n_passes * math.ceil(len(rows) / size)):
            if i % STEPS_OF_A_POOL == 0:
                pool = next(pools)
            self._step(pool[torch.randint(len(pool), (size,), generator=generator).numpy()])
        return self.model_.components_

    def _learn_more(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "mode feature"]:
        if not hasattr(self, "model_"):
            self._begin(Rows(x))
        self._check_sign(x)
        for batch in np.array_split(x, math.ceil(len(x) / BATCH)):
            self._step(batch)
        return self.model_.components_

    def _describe(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row mode"]:
        self._check_sign(x)
        with _undisturbed(BATCH * self.components_.size):
            return self.model_.transform(self._scaled(x)) * self.length_

    def _begin(self, rows: Rows) -> None:
        check_counts(n_passes=self.n_passes)
        check_between(0, UNLIMITED, sparsity=self.sparsity)
        self.length_ = rows.length(self._check_sign)
        self.model_ = MiniBatchDictionaryLearning(
            rows.shape[1] if self.n_modes is None else self.n_modes,
            alpha=self.sparsity,
            transform_alpha=self.sparsity,
            fit_algorithm="cd",
            transform_algorithm="lasso_cd",
            positive_code=True,
            positive_dict=self.nonnegative,
            random_state=self.seed,
        )

    def _step(self, batch: Float[np.ndarray, "row feature"]) -> None:
        with _undisturbed(BATCH * self.model_.n_components * batch.shape[1]):
            self.model_.partial_fit(self._scaled(batch))

    def _scaled(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row feature"]:
        """In double precision, in which the Lasso takes a third of the time."""
        return x.astype(float) / self.length_

    def _check_sign(self, x: Float[np.ndarray, "row feature"]) -> None:
        if self.nonnegative:
            check_no_negative(x, "nonnegative=False")


class IndependentComponents(Decomposition):
    """Modes whose loadings are as independent as possible; loadings have both signs.

    Parameters
    ----------
    n_modes
        Number of modes; None for as many as there are features or samples.
    max_iter
        Largest number of iterations.
    seed
        Of the starting point.

    Notes
    -----
    X = loadings @ components_ + mean of X (FastICA on the whitened principal components). There are
    no more modes than directions in which samples differ. The sign of a mode is the one for which
    its loadings have the longer tail above their mean.

    References
    ----------
    Hyvarinen & Oja (2000), Neural Networks 13:411-430.

    Examples
    --------
    >>> X = np.random.default_rng(0).gamma(1.0, size=(50, 6))
    >>> IndependentComponents(n_modes=2).fit_transform(X).shape
    (50, 2)
    """

    centred = True

    def __init__(self, n_modes: int | None = None, *, max_iter: int = 1000, seed: int = 0):
        self.n_modes = n_modes
        self.max_iter = max_iter
        self.seed = seed

    def _learn(self, rows: Rows) -> Float[np.ndarray, "mode feature"]:
        X = _samples_that_differ(rows)
        n_modes = min(X.shape) if self.n_modes is None else self.n_modes
        _check_number(n_modes, min(X.shape), X)
        check_counts(max_iter=self.max_iter)
        with _undisturbed(X.size * n_modes):
            whitened, axes = self._whitened(X, n_modes)
            model = FastICA(whiten=False, max_iter=self.max_iter, random_state=self.seed)
            self.model_ = model.fit(whitened)
        _warn_unless_converged(self)
        self.n_removed_ = n_modes - len(axes)
        turn = self.model_.components_
        turn = turn * np.where(skew(whitened @ turn.T) < 0, -1, 1)[:, None]
        self.unmixing_ = np.linalg.pinv(axes) @ turn.T
        return turn @ axes

    def _describe(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row mode"]:
        return x.astype(self.unmixing_.dtype) @ self.unmixing_

    def _whitened(self, X, n_modes):
        """Return samples in uncorrelated units of variance 1, and what each unit is in X."""
        u, singular, axes = np.linalg.svd(X.astype(float), full_matrices=False)
        n_modes = min(n_modes, int((singular > FLAT * singular[0]).sum()))
        spread = singular[:n_modes, None] / math.sqrt(len(X))
        return u[:, :n_modes] * math.sqrt(len(X)), spread * axes[:n_modes]


class Clusters(Decomposition):
    """One mode for each sample: the mean of the cluster it belongs to (k-means).

    Parameters
    ----------
    n_modes
        Number of clusters; None for as many as there are features.
    equal_features
        Whether all features count the same, however large they are.
    seed
        Of the starting points.

    Notes
    -----
    A mode is the mean of a cluster, of unit norm. The loading of a sample is its projection on the
    mode of its cluster; the others are 0.

    References
    ----------
    Lloyd (1982), IEEE Transactions on Information Theory 28:129-137.

    Examples
    --------
    >>> X = np.random.default_rng(0).gamma(1.0, size=(50, 6))
    >>> int(np.count_nonzero(Clusters(n_modes=3).fit_transform(X), axis=1).max())
    1
    """

    def __init__(self, n_modes: int | None = None, *, equal_features: bool = True, seed: int = 0):
        self.n_modes = n_modes
        self.equal_features = equal_features
        self.seed = seed

    def _learn(self, rows: Rows) -> Float[np.ndarray, "mode feature"]:
        X = np.asarray(rows)
        n_modes = X.shape[1] if self.n_modes is None else self.n_modes
        _check_number(n_modes, len(X), X)
        with _undisturbed(BATCH * n_modes * X.shape[1]):
            self.model_ = KMeans(n_modes, n_init=10, random_state=self.seed).fit(X)
        centres = self.model_.cluster_centers_
        norm = np.linalg.norm(centres, axis=1, keepdims=True)
        self.unit_ = centres / np.maximum(norm, TINY)
        return self.unit_

    def _describe(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row mode"]:
        x = x.astype(self.unit_.dtype)
        own = self.model_.predict(x)
        loadings = np.zeros((len(x), len(self.unit_)), x.dtype)
        loadings[np.arange(len(x)), own] = np.sum(x * self.unit_[own], axis=1)
        return loadings


class PrincipalComponents(Decomposition):
    """Modes that are orthogonal and explain most variance: a baseline that is not sparse.

    Parameters
    ----------
    n_modes
        Number of modes; None for as many as there are features or samples.
    seed
        Of the randomised solver that is used for large problems.

    Notes
    -----
    X = loadings @ components_ + mean of X. Loadings have both signs; every mode is active in every
    sample.

    References
    ----------
    Jolliffe & Cadima (2016), Philosophical Transactions of the Royal Society A 374:20150202.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(50, 6))
    >>> bool(np.allclose(PrincipalComponents().fit(X).offset_, X.mean(axis=0)))
    True
    """

    centred = True

    def __init__(self, n_modes: int | None = None, *, seed: int = 0):
        self.n_modes = n_modes
        self.seed = seed

    def _learn(self, rows: Rows) -> Float[np.ndarray, "mode feature"]:
        X = _samples_that_differ(rows)
        n_modes = min(X.shape) if self.n_modes is None else self.n_modes
        _check_number(n_modes, min(X.shape), X)
        with _undisturbed(X.size * n_modes):
            self.model_ = PCA(n_modes, random_state=self.seed).fit(X)
        return self.model_.components_

    def _describe(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row mode"]:
        return self.model_.transform(x)


def _samples_that_differ(rows: Rows) -> Float[np.ndarray, "sample feature"]:
    X = np.asarray(rows)
    if not np.ptp(X, axis=0).any():
        msg = f"All {len(X)} samples are the same; there is nothing to decompose."
        raise ValueError(msg)
    return X


def _check_number(n_modes: int, most: int, X: Float[np.ndarray, "sample feature"]) -> None:
    if not 1 <= n_modes <= most:
        msg = (
            f"'n_modes' must be between 1 and {most}, got {n_modes}: there are {len(X)} samples "
            f"with {X.shape[1]} features. Ask for fewer modes."
        )
        raise ValueError(msg)


def _warn_unless_converged(method: NonNegativeFactors | IndependentComponents) -> None:
    if method.model_.n_iter_ >= method.max_iter:
        msg = (
            f"{type(method).__name__} was still changing after {method.max_iter} iterations. "
            "Give a larger 'max_iter' or fewer modes."
        )
        warnings.warn(msg, stacklevel=4)


@contextmanager
def _undisturbed(n_multiplications: int) -> Iterator[None]:
    """As `threads_that_help`; scikit-learn does not talk, nor change NumPy's global state."""
    before = np.random.get_state()  # noqa: NPY002
    try:
        with threads_that_help(n_multiplications), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
