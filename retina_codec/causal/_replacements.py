"""What takes the place of what is removed: grey, nothing, the mean, or another moment.

A replacement is any function of a network, a layer and samples that returns what the layer would
put out instead, "sample channel ..." or "1 channel ...".
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from retina_codec.contributions import frozen, probed
from retina_codec.receptive_fields import as_input

BATCH = 32

Replacement = Callable[[nn.Module, str, Any], torch.Tensor]
"""From a network, a layer and samples to what the layer puts out where channels are removed."""


def grey(network: nn.Module, layer: str, samples: Any) -> torch.Tensor:
    """Return what the layer puts out when the stimulus is grey: the baseline of contributions.

    Parameters
    ----------
    network
        Left as it was.
    layer
        A name from ``network.named_modules()``.
    samples
        Only their form counts; a normalised stimulus is grey where it is 0.

    Returns
    -------
    One row, "1 channel ...".

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    >>> found = grey(network, "0", np.ones((5, 2), np.float32))
    >>> bool(torch.equal(found[0], network[0].bias.detach()))
    True
    """
    return _output(network, layer, np.zeros_like(samples[:1]))


def zero(network: nn.Module, layer: str, samples: Any) -> torch.Tensor:
    """Return nothing at all, in the form of what the layer puts out.

    Parameters
    ----------
    network, layer, samples
        As in `grey`.

    Returns
    -------
    One row of zeros, "1 channel ...".

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> zero(network, "0", np.ones((5, 2), np.float32)).tolist()
    [[0.0, 0.0, 0.0]]
    """
    return torch.zeros_like(_output(network, layer, samples[:1]))


def mean(network: nn.Module, layer: str, samples: Any) -> torch.Tensor:
    """Return the mean over the samples of what the layer puts out.

    Parameters
    ----------
    network, layer
        As in `grey`.
    samples
        To take the mean over.

    Returns
    -------
    One row, "1 channel ...".

    Examples
    --------
    >>> network = nn.Sequential(nn.Flatten(), nn.ReLU())
    >>> mean(network, "1", np.array([[1.0, 0.0], [3.0, -4.0]], np.float32)).tolist()
    [[2.0, 0.0]]
    """
    return _output(network, layer, samples).mean(dim=0, keepdim=True)


def resampled(seed: int = 0) -> Replacement:
    """Return a replacement by what the layer puts out in another, random sample.

    Parameters
    ----------
    seed
        Of the order of samples, in which none keeps its place.

    Returns
    -------
    A replacement with one row for each sample.

    Examples
    --------
    >>> network = nn.Sequential(nn.Flatten(), nn.ReLU())
    >>> samples = np.arange(4, dtype=np.float32)[:, None]
    >>> sorted(resampled(seed=1)(network, "1", samples)[:, 0].tolist())
    [0.0, 1.0, 2.0, 3.0]
    """

    def of_another_sample(network, layer, samples):
        order = np.random.default_rng(seed).permutation(len(samples))
        other = np.empty_like(order)
        other[order] = np.roll(order, 1)  # nobody keeps its own
        return _output(network, layer, np.asarray(samples)[other])

    return of_another_sample


def _output(network, layer, samples):
    found = []
    with frozen(network), torch.no_grad():
        for first in range(0, len(samples), BATCH):
            with probed(network, [layer]) as kept:
                network(as_input(network, samples[first : first + BATCH]))
            found.append(kept[layer].detach())
    return torch.cat(found)
