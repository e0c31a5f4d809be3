"""Decompositions that scikit-learn does: non-negative factors and principal components."""

import numpy as np
from jaxtyping import Float
from sklearn.decomposition import NMF, PCA

from ._checks import check_between, check_counts, check_no_negative, threads_that_help
from ._interface import Decomposition
from ._rows import Rows

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

    def _learn(self, rows: Rows) -> Float[np.ndarray, "mode feature"]:
        X = np.asarray(rows)
        check_no_negative(X, "SparseModes(nonnegative=False)")
        n_modes = X.shape[1] if self.n_modes is None else self.n_modes
        check_counts(max_iter=self.max_iter)
        model = NMF(n_modes, max_iter=self.max_iter, random_state=self.seed)
        with threads_that_help(BATCH * n_modes * X.shape[1]):
            self.model_ = model.fit(X)
        return self.model_.components_

    def _describe(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row mode"]:
        check_no_negative(x, "SparseModes(nonnegative=False)")
        x = x.astype(self.model_.components_.dtype)
        with threads_that_help(BATCH * self.components_.size):
            return self.model_.transform(x)


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

    centred = True

    def __init__(self, n_modes: int | None = None, *, seed: int = 0):
        self.n_modes = n_modes
        self.seed = seed

    def _learn(self, rows: Rows) -> Float[np.ndarray, "mode feature"]:
        n_modes = min(rows.shape) if self.n_modes is None else self.n_modes
        check_between(1, min(rows.shape), n_modes=n_modes)
        self.model_ = PCA(n_modes, random_state=self.seed).fit(np.asarray(rows))
        return self.model_.components_

    def _describe(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row mode"]:
        return self.model_.transform(x)
