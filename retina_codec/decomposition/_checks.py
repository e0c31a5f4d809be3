"""Checks that all decompositions share, and how many threads they use."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from numbers import Integral
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from threadpoolctl import ThreadpoolController

UNLIMITED = float("inf")
SMALL_STEP = 1e7


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
        with _pools_of_threads().limit(limits=limit):
            yield
    finally:
        torch.set_num_threads(before)


@cache
def _pools_of_threads() -> ThreadpoolController:
    """Find them once: looking through all libraries of the process takes as long as a step."""
    return ThreadpoolController()
