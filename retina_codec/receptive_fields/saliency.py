"""Other maps of which pixels drove a target, to hold maps of modes against.

Each is a function ``(network, images, target) -> "sample y x"``, or makes one from its settings.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import sobel
from torch import nn

from retina_codec.contributions import Target, frozen, probed
from retina_codec.datatypes import Contributions, Modes

from .instantaneous import AT_THE_SAMPLE, as_input, in_batches, midpoints
from .maps import NO_MODE, Numbers, check_modes, shares_at
from .pixels import BATCH, Baseline, How, along_path, as_baseline, fixed, maps_through

Saliency = Callable[[nn.Module, Any, Target], Float[np.ndarray, "sample y x"]]


def gradient_times_input(
    network: nn.Module, images: Any, target: Target
) -> Float[np.ndarray, "sample y x"]:
    """Gradient of the target at the image times the image, summed over colours.

    Parameters
    ----------
    network
        From images to outputs; left as it was.
    images
        Slice into batches "sample colour y x".
    target
        What is explained; what it chooses (a class), it chooses at the image.

    Returns
    -------
    One map for each image; larger where a pixel raises the target more.

    References
    ----------
    Shrikumar, Greenside & Kundaje (2017), ICML, arXiv:1704.02685.

    Examples
    --------
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    >>> found = gradient_times_input(
    ...     network, np.ones((1, 1, 2, 2), np.float32), lambda output, _: output[:, 0]
    ... )
    >>> bool(np.allclose(found.ravel(), network[1].weight[0].detach()))
    True
    """
    return _gradients(network, images, target, AT_THE_SAMPLE, 0.0)


def integrated_gradients_map(n_steps: int = 20, *, baseline: Baseline = 0.0) -> Saliency:
    """Gradient averaged along the path from the baseline, times the difference from it.

    Parameters
    ----------
    n_steps
        Steps of the path; gradients are taken in the middle of each.
    baseline
        Number or array that broadcasts to an image.

    Returns
    -------
    A function from network, images and target to maps, as `causal.insertion_deletion` compares
    them.

    Notes
    -----
    The sum of a map is the target at the image less that at the baseline, but for the steps.

    References
    ----------
    Sundararajan, Taly & Yan (2017), ICML, arXiv:1703.01365.

    Examples
    --------
    >>> from retina_codec.contributions import one_cell
    >>> network = nn.Sequential(nn.Flatten(), nn.ReLU())
    >>> image = np.array([[[[2.0, -1.0], [0.5, 0.0]]]], np.float32)
    >>> integrated_gradients_map(n_steps=10)(network, image, one_cell(0)).round(6).tolist()
    [[[2.0, 0.0], [0.0, 0.0]]]
    """

    def integrated(network, images, target):
        return _gradients(network, images, target, midpoints(n_steps), baseline)

    return integrated


def grad_cam(layer: str) -> Saliency:
    """Grad-CAM: channels of a layer of maps, each weighted by its mean gradient, where above 0.

    Parameters
    ----------
    layer
        Puts out "sample channel y x"; its maps are enlarged to the image, linearly.

    Returns
    -------
    A function from network, images and target to maps. ValueError if the layer puts out no maps.

    Notes
    -----
    ``relu(sum over channels of mean over space of (dT / dz) times z)``.

    References
    ----------
    Selvaraju et al. (2017), ICCV, arXiv:1610.02391.

    Examples
    --------
    >>> from retina_codec.contributions import top_class
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    >>> cam = grad_cam("0")(network, np.ones((2, 3, 8, 8), np.float32), top_class())
    >>> cam.shape, bool((cam >= 0).all())
    ((2, 8, 8), True)
    """

    def cam(network, images, target):
        def of_batch(batch):
            value_of, _ = fixed(network, batch, target)
            with torch.enable_grad(), probed(network, [layer]) as kept:
                value = value_of(network(batch))
                units = kept[layer]
                if units.ndim != 4:
                    msg = (
                        f"Grad-CAM needs a layer that puts out (sample, channel, y, x); {layer!r} "
                        f"puts out {tuple(units.shape)}."
                    )
                    raise ValueError(msg)
                (slopes,) = torch.autograd.grad(value.sum(), units)
            weights = slopes.mean(dim=(2, 3), keepdim=True)
            found = torch.relu((weights * units).sum(dim=1, keepdim=True)).detach()
            return nn.functional.interpolate(found, batch.shape[2:], mode="bilinear")[:, 0]

        return _in_batches(network, images, of_batch)

    return cam


def mode_map(
    contributions: Contributions,
    modes: Modes,
    *,
    which: Numbers,
    index: Numbers | None = None,
    **how: Any,
) -> Saliency:
    """Net map of some modes together: the sum of what `mode_maps` gives for each.

    Parameters
    ----------
    contributions, modes
        As in `mode_maps`.
    which
        Modes.
    index
        Which samples of the contributions the images are; None if they are all.
    **how
        As in `mode_maps`.

    Returns
    -------
    A function from network, images and target to maps. ValueError if it gets another number of
    images than `index` tells of.

    Raises
    ------
    ValueError
        If contributions and modes do not belong together, or there is no such mode.

    References
    ----------
    Melander et al. (2026), arXiv:2603.06557.

    Examples
    --------
    >>> from retina_codec.contributions import integrated_gradients, top_class
    >>> from retina_codec.decomposition import NonNegativeFactors, decompose
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> images = np.random.default_rng(0).normal(size=(20, 3, 8, 8)).astype(np.float32)
    >>> found = integrated_gradients(
    ...     network, images, layers=["1"], target=top_class(), progress=False
    ... )["1"]
    >>> of_mode = mode_map(found, decompose(found, NonNegativeFactors(2)), which=[0], index=[5, 6])
    >>> of_mode(network, images[5:7], top_class()).shape
    (2, 8, 8)
    """
    every = np.arange(len(contributions.values)) if index is None else np.asarray(index, dtype=int)
    check_modes(which, len(modes.dictionary), lowest=NO_MODE)
    shares = shares_at(contributions, modes, every)

    def together(rows):
        return shares(rows)[:, :, list(which)].sum(axis=2, keepdims=True)

    def of_modes(network, images, target):
        if len(every) != len(images):
            msg = f"There are {len(images)} images, but 'index' tells of {len(every)}."
            raise ValueError(msg)
        with frozen(network):
            values, _ = maps_through(
                network,
                images,
                np.arange(len(images)),
                How(modes.layer, target, **how),
                together,
                rest=False,
            )
        return values[:, 0].sum(axis=1)

    return of_modes


def random_map(seed: int = 0) -> Saliency:
    """Independent noise: what no map may be worse than.

    Parameters
    ----------
    seed
        Of the noise.

    Returns
    -------
    A function from network, images and target to maps; of these only the images' size counts.

    Examples
    --------
    >>> random_map()(None, np.zeros((2, 3, 4, 5)), None).shape
    (2, 4, 5)
    """

    def noise(network, images, target):
        return np.random.default_rng(seed).random((len(images), *np.shape(images[:1])[2:]))

    return noise


def centre_map(network: nn.Module, images: Any, target: Target) -> Float[np.ndarray, "sample y x"]:
    """Nearness to the middle of the image: photographers put there what they show.

    Parameters
    ----------
    network, target
        Anything; they do not count.
    images
        Their size counts.

    Returns
    -------
    The same map for each image: 0 in the middle, negative elsewhere.

    Examples
    --------
    >>> anything = lambda output, _: output
    >>> centre_map(nn.Identity(), np.zeros((1, 3, 3, 3)), anything)[0].argmax().item()
    4
    """
    shape = np.shape(images[:1])[2:]
    y, x = (np.linspace(-1, 1, n) for n in shape)
    return np.tile(-np.hypot(y[:, None], x), (len(images), 1, 1))


def edge_map(network: nn.Module, images: Any, target: Target) -> Float[np.ndarray, "sample y x"]:
    """Strength of edges in the mean colour: a map that knows the image, but not the network.

    Parameters
    ----------
    network, target
        Anything; they do not count.
    images
        "sample colour y x".

    Returns
    -------
    Length of the gradient (Sobel filter) of the mean over colours, for each pixel.

    References
    ----------
    Adebayo et al. (2018), NeurIPS, arXiv:1810.03292.

    Examples
    --------
    >>> image = np.zeros((1, 3, 4, 4))
    >>> image[..., 2:] = 1.0  # a vertical edge in the middle
    >>> edge_map(nn.Identity(), image, lambda output, _: output)[0, 0].tolist()
    [0.0, 16.0, 16.0, 0.0]
    """
    grey = np.asarray(images[:], dtype=float).mean(axis=1)
    return np.hypot(sobel(grey, axis=1), sobel(grey, axis=2))


def _gradients(network, images, target, points: Sequence[float], baseline: Baseline):
    def of_batch(batch):
        value_of, _ = fixed(network, batch, target)
        total = 0.0
        for output, begin, _ in along_path(network, batch, points, baseline):
            total = total + torch.autograd.grad(value_of(output).sum(), begin)[0] / len(points)
        return (total * (batch - as_baseline(baseline, batch))).sum(dim=1)

    return _in_batches(network, images, of_batch)


def _in_batches(network, images, of_batch) -> np.ndarray:
    with frozen(network):
        (found,) = in_batches(
            np.arange(len(images)),
            lambda rows: [of_batch(as_input(network, images[rows])).cpu().numpy()],
            BATCH,
        )
    return found
