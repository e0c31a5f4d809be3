"""What every decomposition can do, and the checks they share."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

UNLIMITED = float("inf")
SMALL_STEP = 1e7


class Decomposition(TransformerMixin, BaseEstimator, ABC):
    """Something that describes samples by sparse modes, in the manner of scikit-learn.

    Attributes
    ----------
    components_
        The dictionary, one row for each mode.
    offset_
        Value of each feature when no mode is active.
    """

    components_: Float[np.ndarray, "mode feature"]
    offset_: Float[np.ndarray, " feature"]

    @abstractmethod
    def fit(self, X: Float[Any, "sample feature"], y: Any = None) -> "Decomposition":
        """Learn the modes."""

    @abstractmethod
    def transform(self, X: Float[np.ndarray, "sample feature"]) -> Float[np.ndarray, "sample mode"]:
        """Return how much of each mode there is in each sample; 0 where it is not active."""

    def inverse_transform(
        self, loadings: Float[np.ndarray, "sample mode"]
    ) -> Float[np.ndarray, "sample feature"]:
        """Return ``loadings @ components_ + offset_``."""
        check_is_fitted(self)
        return loadings @ self.components_ + self.offset_

    def _new(self, X: Any) -> Float[np.ndarray, "sample feature"]:
        check_is_fitted(self)
        X = finite_matrix(X)
        if X.shape[1] != self.components_.shape[1]:
            msg = (
                f"X has {X.shape[1]} features, but {type(self).__name__} was fitted on "
                f"{self.components_.shape[1]}. Give the same features as in fit."
            )
            raise ValueError(msg)
        return X


def finite_matrix(X: Any) -> Float[np.ndarray, "sample feature"]:
    """Return X as an array of floats.

    Raises
    ------
    ValueError
        If it is empty, has other than two axes, or holds NaN or infinity.
    """
    X = np.asarray(X)
    X = X if X.dtype in (np.float32, np.float64) else X.astype(float)
    if X.ndim != 2 or 0 in X.shape:
        msg = f"X must have the axes (sample, feature), got shape {X.shape}. Pool or reshape first."
        raise ValueError(msg)
    n_bad = int((~np.isfinite(X).all(axis=1)).sum())
    if n_bad:
        msg = f"X must be finite, but {n_bad} of {len(X)} samples hold NaN or infinity. Drop them."
        raise ValueError(msg)
    return X


def check_no_negative(X: Float[np.ndarray, "sample feature"], signed: str) -> None:
    """Raise an error that says what to do with negative numbers.

    Raises
    ------
    ValueError
        If there are any.
    """
    if X.min() < 0:
        msg = (
            f"X must not be negative, but its minimum is {X.min():.3g}. "
            f"Pool the contributions with split signs, or use {signed}."
        )
        raise ValueError(msg)


def check_counts(**parameters: Any) -> None:
    """Raise an error that names the first parameter that is not a number to count with.

    Raises
    ------
    ValueError
        If there is one.
    """
    for name, value in parameters.items():
        if not isinstance(value, Integral) or value < 1:
            msg = f"{name!r} must be a whole number of at least 1, got {value}. Change it."
            raise ValueError(msg)


def check_between(low: float | int, high: float | int, **parameters: float | int) -> None:
    """Raise an error that names the first parameter outside of the range.

    Raises
    ------
    ValueError
        If there is one.
    """
    for name, value in parameters.items():
        if not low <= value <= high:
            msg = f"{name!r} must be between {low} and {high}, got {value}. Change it."
            raise ValueError(msg)


@contextmanager
def threads_that_help(n_multiplications: int) -> Iterator[None]:
    """Use one thread while steps are small: waiting for others can take 50 times as long."""
    before = torch.get_num_threads()
    limit = 1 if n_multiplications < SMALL_STEP else None
    try:
        torch.set_num_threads(limit or before)
        with threadpool_limits(limit):
            yield
    finally:
        torch.set_num_threads(before)
