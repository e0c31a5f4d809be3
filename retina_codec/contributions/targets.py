"""Targets: the scalar that is explained.

A target is any function ``target(output, at_sample) -> value``. `output` is what the network gives
at points of the path from the baseline to the sample ("batch output"); `at_sample` is what it gives
at the sample itself, one row for the same batch entry. Most targets ignore the second; one that
makes a choice (which class?) makes it there, so that the choice stays fixed along the path. The
value is "batch".
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from sklearn.covariance import LedoitWolf

Output = Float[torch.Tensor, "batch output"]
Value = Float[torch.Tensor, " batch"]
Target = Callable[[Output, Output], Value]
"""From the output along the path, and that at the sample, to the scalar that is explained."""

LEAST_STD = 0.1


def named(name: str) -> Callable[[Target], Target]:
    """Give a target the name that results and figures show.

    Parameters
    ----------
    name
        To show.

    Returns
    -------
    Callable
        What renames a target, as a decorator or in a call, and returns it.

    Examples
    --------
    >>> @named("first two cells")
    ... def both(output, at_sample):
    ...     return output[:, :2].sum(dim=1)
    >>> name_of(both)
    'first two cells'
    """

    def rename(target: Target) -> Target:
        target.__name__ = name
        return target

    return rename


def name_of(target: Target) -> str:
    """Name of a target, also of one that nobody named.

    Parameters
    ----------
    target
        Any function or object that can be called.

    Examples
    --------
    >>> name_of(one_cell(3))
    'cell 3'
    """
    return getattr(target, "__name__", type(target).__name__)


def one_cell(cell: int) -> Target:
    """Rate of one cell.

    Parameters
    ----------
    cell
        Its number in the output.

    Examples
    --------
    >>> one_cell(1)(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2)).tolist()
    [2.0]
    """
    return named(f"cell {cell}")(partial(_one_output, number=cell))


def class_logit(class_: int) -> Target:
    """Output of one class of a classifier: `one_cell` under the name of that field.

    Parameters
    ----------
    class_
        Its number in the output.

    Examples
    --------
    >>> class_logit(0)(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2)).tolist()
    [1.0]
    """
    return named(f"class {class_}")(one_cell(class_))


def population_sum() -> Target:
    """Sum of the rates of all cells.

    Examples
    --------
    >>> population_sum()(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2)).tolist()
    [3.0]
    """
    return named("population sum")(partial(_sum))


def top_class() -> Target:
    """Logit of the class that wins at the sample, the same class along the whole path.

    Examples
    --------
    >>> top_class()(torch.tensor([[5.0, 2.0]]), torch.tensor([[0.0, 1.0]])).tolist()
    [2.0]
    """
    return named("top class")(partial(_output_that_wins))


def class_probability(class_: int) -> Target:
    """Probability of one class: its softmax output, the softmax being part of the whole path.

    Parameters
    ----------
    class_
        Its number in the output.

    Examples
    --------
    >>> class_probability(0)(torch.tensor([[2.0, 2.0]]), torch.zeros(1, 2)).tolist()
    [0.5]
    """
    return named(f"probability of class {class_}")(of_probabilities(class_logit(class_)))


def contrast(a: int, b: int) -> Target:
    """Output of one class minus that of another: what speaks for the first against the second.

    Parameters
    ----------
    a, b
        Their numbers in the output.

    Raises
    ------
    ValueError
        If they are the same.

    Examples
    --------
    >>> contrast(0, 1)(torch.tensor([[5.0, 2.0]]), torch.zeros(1, 2)).tolist()
    [3.0]
    """
    if a == b:
        msg = f"A contrast needs two different classes, got {a} twice."
        raise ValueError(msg)
    return named(f"class {a} minus class {b}")(partial(_difference, first=a, second=b))


def contrast_top2() -> Target:
    """Output of the class that wins at the sample minus that of the second, whoever leads before.

    Examples
    --------
    >>> target = contrast_top2()
    >>> target(torch.tensor([[5.0, 2.0, 1.0]]), torch.tensor([[0.0, 2.0, 1.0]])).tolist()
    [1.0]
    """
    return named("top class minus second")(partial(_winner_minus_second))


def superclass(classes: Sequence[int]) -> Target:
    """Sum of the outputs of a set of classes; `of_probabilities` makes it that of the set.

    Parameters
    ----------
    classes
        Their numbers.

    Raises
    ------
    ValueError
        If there is no class, or one is named twice.

    Examples
    --------
    >>> target = of_probabilities(superclass([0, 2]))
    >>> round(target(torch.tensor([[1.0, 1.0, 1.0]]), torch.zeros(1, 3)).item(), 4)
    0.6667
    """
    numbers = [int(class_) for class_ in classes]
    if not numbers or len(set(numbers)) < len(numbers):
        msg = f"Expected classes that are all different, at least one, got {numbers}."
        raise ValueError(msg)
    name = f"classes {' + '.join(map(str, numbers))}"
    return named(name)(partial(_sum_of_some, numbers=numbers))


def entropy() -> Target:
    """How undecided a classifier is: ``-sum p log p`` in nats, with p the softmax of its outputs.

    Examples
    --------
    >>> round(entropy()(torch.tensor([[7.0, 7.0]]), torch.zeros(1, 2)).item(), 4)
    0.6931
    """
    return named("entropy")(partial(_entropy))


def of_probabilities(target: Target) -> Target:
    """Return a target of the softmax outputs instead of the outputs, along the whole path.

    A choice that the target makes at the sample is made there as before.

    Parameters
    ----------
    target
        Any other one, of outputs that are logits.

    Examples
    --------
    >>> target = of_probabilities(top_class())
    >>> target(torch.tensor([[2.0, 2.0]]), torch.tensor([[0.0, 1.0]])).tolist()
    [0.5]
    """
    return named(f"{name_of(target)} of probabilities")(partial(_of_softmax, target=target))


def surprisal(training_output: Float[np.ndarray, "sample output"]) -> Target:
    """How unexpected a population response is: ``0.5 (y - mu)' S^-1 (y - mu)``.

    The negative log-likelihood under a Gaussian, without its constant. Mean and covariance come
    from the outputs on training data; the covariance is shrunk towards a multiple of the identity
    (Ledoit and Wolf), after each cell was divided by its standard deviation, so that nearly equal
    or silent cells do no harm. The blank stimulus is itself surprising: contributions sum to the
    difference from it.

    Parameters
    ----------
    training_output
        Outputs of the network on training samples, as `networks.predict` gives them.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557.
    Ledoit and Wolf (2004), Journal of Multivariate Analysis 88:365-411,
    doi:10.1016/S0047-259X(03)00096-4.

    Examples
    --------
    >>> target = surprisal(np.random.default_rng(0).normal(size=(5000, 2)))
    >>> 1.9 < float(target(torch.tensor([[2.0, 0.0]]), torch.zeros(1, 2))) < 2.1
    True
    """
    output = np.asarray(training_output, dtype=np.float64)
    mean, std = output.mean(axis=0), output.std(axis=0)
    std = np.maximum(std, max(LEAST_STD * np.median(std), np.finfo(float).tiny))
    fit = LedoitWolf(assume_centered=True).fit((output - mean) / std)
    precision = fit.precision_ / np.outer(std, std)
    return named("surprisal")(partial(_surprisal, mean=mean, precision=precision))


# Targets are partial functions of these, so that they can be sent to other processes.


def _one_output(output, at_sample, *, number):
    _check_outputs(output, [number])
    return output[:, number]


def _check_outputs(output, numbers, fewest=1) -> None:
    n_outputs = output.shape[1]
    for number in numbers:
        if not -n_outputs <= number < n_outputs:
            msg = f"The network has {n_outputs} outputs, numbered from 0; there is no {number}."
            raise ValueError(msg)
    if n_outputs < fewest:
        msg = f"The target needs a network with at least {fewest} outputs, got {n_outputs}."
        raise ValueError(msg)


def _difference(output, at_sample, *, first, second):
    _check_outputs(output, [first, second])
    return output[:, first] - output[:, second]


def _winner_minus_second(output, at_sample):
    _check_outputs(output, [], fewest=2)
    two = output.gather(1, at_sample.topk(2, dim=1).indices)
    return two[:, 0] - two[:, 1]


def _sum_of_some(output, at_sample, *, numbers):
    _check_outputs(output, numbers)
    return output[:, numbers].sum(dim=1)


def _entropy(output, at_sample):
    log_p = output.log_softmax(dim=1)
    return -(log_p.exp() * log_p).sum(dim=1)


def _of_softmax(output, at_sample, *, target):
    return target(output.softmax(dim=1), at_sample.softmax(dim=1))


def _sum(output, at_sample):
    return output.sum(dim=1)


def _output_that_wins(output, at_sample):
    winner = at_sample.argmax(dim=1, keepdim=True)
    return output.gather(1, winner)[:, 0]


def _surprisal(output, at_sample, *, mean, precision):
    away = output - torch.as_tensor(mean, dtype=output.dtype, device=output.device)
    inverse = torch.as_tensor(precision, dtype=output.dtype, device=output.device)
    return 0.5 * ((away @ inverse) * away).sum(dim=1)
