"""Rules: how units and gradients at the points of a path become contributions.

`benchmarks/quadrature.py` holds the secant rule against others.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float

Units = Float[torch.Tensor, "point sample *unit"]


@dataclass(frozen=True)
class Rule:
    """A quadrature rule for the integral of gradients over the changes of units.

    Attributes
    ----------
    increments
        From the units at all points, the change that the gradient at each point belongs to.
    secants
        Whether gradients are those of intervals, kept at the point where the interval ends
        (`slopes`), instead of those of points.
    """

    increments: Callable[[Units], Units]
    secants: bool


def check_steps(n_steps: int) -> None:
    """Raise an error if there is no step.

    Raises
    ------
    ValueError
        If so.
    """
    if n_steps < 1:
        msg = f"'n_steps' must be at least 1, got {n_steps}."
        raise ValueError(msg)


def between_neighbours(units: Units) -> Units:
    """Half the change from the point before to the point after: the trapezoid rule.

    Examples
    --------
    >>> between_neighbours(torch.tensor([[0.0], [1.0], [4.0]])).ravel().tolist()
    [0.5, 2.0, 1.5]
    """
    change = torch.empty_like(units)
    torch.sub(units[2:], units[:-2], out=change[1:-1])
    torch.sub(units[1], units[0], out=change[0])
    torch.sub(units[-1], units[-2], out=change[-1])
    return change.mul_(0.5)


def from_the_point_before(units: Units) -> Units:
    """Change over the interval that ends at the point; 0 at the first.

    Examples
    --------
    >>> from_the_point_before(torch.tensor([[0.0], [1.0], [4.0]])).ravel().tolist()
    [0.0, 1.0, 3.0]
    """
    change = torch.zeros_like(units)
    torch.sub(units[1:], units[:-1], out=change[1:])
    return change


RULES = {
    "trapezoid": Rule(between_neighbours, secants=False),
    "secant": Rule(from_the_point_before, secants=True),
}
"""Rules by name. "trapezoid" is the published one; "secant" needs far fewer steps."""


def integral(gradients: Units, increments: Units) -> Float[torch.Tensor, "sample ..."]:
    """Sum over the points of gradient times increment, without a product in memory."""
    total = torch.zeros_like(increments[0])
    for gradient, increment in zip(gradients, increments, strict=True):
        total.addcmul_(gradient, increment)
    return total
