"""What every decomposition can do."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ._checks import check_counts, finite_matrix
from ._rows import Rows

WEAKEST = 1e-3
"""Features weaker than this share of the strongest are not made equal to the others."""


class Decomposition(TransformerMixin, BaseEstimator, ABC):
    """Something that describes samples by sparse modes, in the manner of scikit-learn.

    A method says how modes are learned and how samples are described by them; what is common is
    here: checks, the units in which a method sees the features, and the way back.

    Attributes
    ----------
    components_
        The dictionary, one row for each mode, in the units of X.
    offset_
        Value of each feature when no mode is active.
    n_removed_
        Modes that were asked for, and removed because nothing needed them.

    Notes
    -----
    A method learns from ``(X - offset) / scale``. `scale` is the root mean square of each feature
    (`equal_features`) or 1; `offset` is its mean (`centred`) or 0.

    Examples
    --------
    >>> class MeanMode(Decomposition):  # your own: what is learned, and how much of it there is
    ...     def __init__(self, n_modes=1, *, seed=0):
    ...         self.n_modes, self.seed = n_modes, seed
    ...
    ...     def _learn(self, rows):
    ...         return np.asarray(rows).mean(axis=0)[None]
    ...
    ...     def _describe(self, x):
    ...         return x @ self.components_.T / self.norm_
    >>> method = MeanMode().fit(np.array([[0.0, 2.0], [0.0, 4.0]]))
    >>> method.components_.tolist(), method.transform(np.array([[1.0, 5.0]])).tolist()
    ([[0.0, 1.0]], [[5.0]])
    """

    components_: Float[np.ndarray, "mode feature"]
    offset_: Float[np.ndarray, " feature"]
    n_removed_: int = 0
    n_modes: int | None
    equal_features: bool = False
    centred: bool = False
    unit_norm = True

    @abstractmethod
    def _learn(self, rows: Rows) -> Float[np.ndarray, "mode feature"]:
        """Return the modes of rows in the method's units."""

    @abstractmethod
    def _describe(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row mode"]:
        """Return the loadings of rows in the method's units."""

    def _own_offset(self) -> Float[np.ndarray, " feature"] | float:
        """Return what the method adds to the modes, in its units."""
        return 0.0

    def fit(self, X: Float[Any, "sample feature"], y: Any = None) -> "Decomposition":
        """Learn the modes from samples, which may be read from a store as they are needed.

        Parameters
        ----------
        X
            Contributions as magnitudes, for example ``values * sign`` of a record.
        y
            Not used; scikit-learn passes it.

        Returns
        -------
        The method itself.

        Raises
        ------
        ValueError
            If X is not finite or 0 everywhere, if it does not suit the method, or if a parameter is
            impossible.
        """
        rows = X if isinstance(X, Rows) else Rows(finite_matrix(X))
        if self.n_modes is not None:
            check_counts(n_modes=self.n_modes)
        self._set_units(rows)
        self._take(self._learn(rows.in_units(self.scale_, self.centre_)))
        return self

    def transform(self, X: Float[np.ndarray, "sample feature"]) -> Float[np.ndarray, "sample mode"]:
        """Return how much of each mode there is in each sample; 0 where it is not active.

        Parameters
        ----------
        X
            Of the same features as in fit.

        Returns
        -------
        Loadings, such that ``loadings @ components_ + offset_`` is about X.

        Raises
        ------
        ValueError
            If X has other features than in fit, or does not suit the method.
        """
        check_is_fitted(self)
        return self._describe(self._in_units(X)) * self.norm_

    def inverse_transform(
        self, loadings: Float[np.ndarray, "sample mode"]
    ) -> Float[np.ndarray, "sample feature"]:
        """Return ``loadings @ components_ + offset_``.

        Parameters
        ----------
        loadings
            As `transform` gives them.

        Returns
        -------
        What the modes explain of the samples, in the units of X.
        """
        check_is_fitted(self)
        return loadings @ self.components_ + self.offset_

    def _set_units(self, rows: Rows) -> None:
        total, square = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
        for block in rows:
            total += block.sum(axis=0, dtype=float)
            square += np.square(block, dtype=float).sum(axis=0)
        if not square.any():
            msg = f"All {len(rows)} samples are 0; there is nothing to decompose."
            raise ValueError(msg)
        mean = total / len(rows) if self.centred else np.zeros(rows.shape[1])
        spread = np.sqrt(np.maximum(square / len(rows) - mean**2, 0))
        weak = spread < WEAKEST * spread.max()
        scale = np.where(weak, spread.max(), spread) if self.equal_features else 1.0
        self.centre_ = mean.astype(rows.dtype)
        self.scale_ = np.broadcast_to(scale, mean.shape).astype(rows.dtype)

    def _in_units(self, X: Any) -> Float[np.ndarray, "sample feature"]:
        X = finite_matrix(X)
        if X.shape[1] != len(self.scale_):
            msg = (
                f"X has {X.shape[1]} features, but {type(self).__name__} was fitted on "
                f"{len(self.scale_)}. Give the same features as in fit."
            )
            raise ValueError(msg)
        return (X - self.centre_.astype(X.dtype)) / self.scale_.astype(X.dtype)

    def _take(self, atoms: Float[np.ndarray, "mode feature"]) -> None:
        """Keep modes and offset in the units of X."""
        atoms = atoms * self.scale_.astype(atoms.dtype)
        norm = np.linalg.norm(atoms, axis=1) if self.unit_norm else np.ones(len(atoms))
        self.norm_ = np.where(norm > 0, norm, 1).astype(atoms.dtype)
        self.components_ = atoms / self.norm_[:, None]
        self.offset_ = (self._own_offset() * self.scale_ + self.centre_).astype(atoms.dtype)


class Streaming(Decomposition):
    """A decomposition that can go on learning from further samples.

    Examples
    --------
    >>> from retina_codec.decomposition import SparseModes
    >>> X = np.random.default_rng(0).gamma(1.0, size=(60, 4))
    >>> method = SparseModes(n_modes=3)
    >>> for part in np.array_split(X, 3):
    ...     _ = method.partial_fit(part)
    >>> isinstance(method, Streaming), method.components_.shape
    (True, (3, 4))
    """

    @abstractmethod
    def _learn_more(self, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "mode feature"]:
        """Go on from what was learned, or begin; return the modes."""

    def partial_fit(self, X: Float[np.ndarray, "sample feature"], y: Any = None) -> "Streaming":
        """Learn from further samples. The first call settles the units of the features.

        Parameters
        ----------
        X
            Further samples of the same features.
        y
            Not used; scikit-learn passes it.

        Returns
        -------
        The method itself.

        Raises
        ------
        ValueError
            As in fit.
        """
        if not hasattr(self, "components_"):
            self._set_units(Rows(finite_matrix(X)))
        self._take(self._learn_more(self._in_units(X)))
        return self
