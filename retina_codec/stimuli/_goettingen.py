"""Random numbers of the Goettingen stimulus software (ran1 and gasdev of Numerical Recipes)."""

from typing import Any

import numpy as np
from jaxtyping import Float
from retinawhitenoise import Rng


class Uniform:
    """Numbers from 0 to 1; a copy goes on where the original was."""

    def __init__(self, seed: Any):
        self.numbers = Rng(seed)

    def __call__(self, n: int) -> Float[np.ndarray, " number"]:
        return np.asarray(self.numbers.ran1(n), dtype=np.float64).reshape(-1)

    def __deepcopy__(self, memo: dict) -> "Uniform":
        return type(self)(self.numbers.seed)

    def __reduce__(self):
        return type(self), (self.numbers.seed,)


class Gaussian(Uniform):
    """Numbers of a standard normal distribution."""

    def __call__(self, n: int) -> Float[np.ndarray, " number"]:
        return np.asarray(self.numbers.gasdev(n), dtype=np.float64).reshape(-1)
