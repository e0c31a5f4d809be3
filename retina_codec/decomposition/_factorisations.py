"""Decompositions that scikit-learn does: non-negative factors and principal components."""

from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.decomposition import NMF, PCA

from ._interface import (
    Decomposition,
    check_between,
    check_counts,
    check_no_negative,
    finite_matrix,
    threads_that_help,
)

BATCH = 512


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

    def fit(self, X: Float[Any, "sample feature"], y: Any = None) -> Decomposition:
        """Learn the modes from samples without negative numbers.

        Raises
        ------
        ValueError
            If X holds negative numbers, or a parameter is impossible.
        """
        X = finite_matrix(X)
        check_no_negative(X, "SparseAutoencoder(nonnegative=False)")
        n_modes = X.shape[1] if self.n_modes is None else self.n_modes
        check_counts(n_modes=n_modes, max_iter=self.max_iter)
        model = NMF(n_modes, max_iter=self.max_iter, random_state=self.seed)
        with threads_that_help(BATCH * n_modes * X.shape[1]):
            self.model_ = model.fit(X)
        self.norm_ = np.linalg.norm(self.model_.components_, axis=1)
        norm = np.where(self.norm_ > 0, self.norm_, 1).astype(X.dtype)
        self.components_ = self.model_.components_ / norm[:, None]
        self.offset_ = np.zeros(X.shape[1], dtype=X.dtype)
        return self

    def transform(self, X: Float[np.ndarray, "sample feature"]) -> Float[np.ndarray, "sample mode"]:
        """Return the non-negative loadings that describe X best.

        Raises
        ------
        ValueError
            If X holds negative numbers or other features than in fit.
        """
        X = self._new(X).astype(self.components_.dtype)
        check_no_negative(X, "SparseAutoencoder(nonnegative=False)")
        with threads_that_help(BATCH * self.components_.size):
            return self.model_.transform(X) * self.norm_


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

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(50, 6))
    >>> bool(np.allclose(PrincipalComponents().fit(X).offset_, X.mean(axis=0)))
    True
    """

    def __init__(self, n_modes: int | None = None, *, seed: int = 0):
        self.n_modes = n_modes
        self.seed = seed

    def fit(self, X: Float[Any, "sample feature"], y: Any = None) -> Decomposition:
        """Learn the modes.

        Raises
        ------
        ValueError
            If there are more modes than features or samples.
        """
        X = finite_matrix(X)
        n_modes = min(X.shape) if self.n_modes is None else self.n_modes
        check_counts(n_modes=n_modes)
        check_between(1, min(X.shape), n_modes=n_modes)
        model = PCA(n_modes, random_state=self.seed).fit(X)
        self.components_, self.offset_ = model.components_, model.mean_
        return self

    def transform(self, X: Float[np.ndarray, "sample feature"]) -> Float[np.ndarray, "sample mode"]:
        """Return the projection of each sample on each mode.

        Raises
        ------
        ValueError
            If X has other features than in fit.
        """
        return (self._new(X) - self.offset_) @ self.components_.T
