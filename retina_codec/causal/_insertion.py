"""Whether a map is right: show or hide pixels in its order, and see what the network says."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter
from torch import nn
from tqdm import tqdm

from retina_codec.contributions import Target, frozen
from retina_codec.receptive_fields import as_input

PIXEL_DOSES = tuple(step / 10 for step in range(11))
RANDOM = "random order"
INTERVAL = 2.5, 97.5
KINDS = ("inserted", "deleted")

Images = Float[np.ndarray, "sample colour y x"]
Hidden = Callable[[Images], Images]


def grey_image(images: Images) -> Images:
    """Hide pixels under the grey that a normalised image has as 0.

    Parameters
    ----------
    images
        Normalised, so that grey (the mean of the training images) is 0.

    Returns
    -------
    Zeros of the same form.

    Examples
    --------
    >>> grey_image(np.ones((1, 3, 2, 2))).max().item()
    0.0
    """
    return np.zeros_like(images)


def mean_colour(images: Images) -> Images:
    """Hide pixels under the mean colour of their image.

    Parameters
    ----------
    images
        The mean is taken over the pixels of each.

    Returns
    -------
    Images of one colour, of the same form.

    Examples
    --------
    >>> image = np.array([[[[1.0, 3.0]], [[0.0, 0.0]], [[5.0, 5.0]]]])
    >>> mean_colour(image)[0, :, 0, 0].tolist()
    [2.0, 0.0, 5.0]
    """
    return np.broadcast_to(images.mean(axis=(2, 3), keepdims=True), images.shape)


def blurred(std: float) -> Hidden:
    """Hide the detail of pixels: a Gaussian blur of this standard deviation in pixels.

    Parameters
    ----------
    std
        Standard deviation of the blur in pixels.

    Returns
    -------
    A function from images to blurred images, as `insertion_deletion` wants it.

    Examples
    --------
    >>> blurred(2.0)(np.ones((1, 3, 8, 8))).round(6).max().item()
    1.0
    """

    def blur(images):
        return gaussian_filter(images, std, axes=(2, 3), mode="reflect")

    return blur


def insertion_deletion(
    network: nn.Module,
    images: Any,
    maps: Mapping[str, Float[np.ndarray, "sample y x"]],
    *,
    target: Target,
    doses: Sequence[float] | Float[np.ndarray, " dose"] = PIXEL_DOSES,
    towards: Hidden = grey_image,
    block: int = 8,
    n_random: int = 3,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Show, or hide, pixels of images in the order of each map, and measure the target.

    Parameters
    ----------
    network
        From images to outputs; left as it was.
    images
        Slice into batches "sample colour y x".
    maps
        Maps of the same images by name, larger where a pixel counts more: `Maps.net`,
        `grad_cam`, ...
    target
        Measured; what it chooses (a class), it chooses at the whole image.
    doses
        Shares of pixels that are shown or hidden; with 0 and 1.
    towards
        What hidden pixels show instead: `grey_image`, `mean_colour`, `blurred(std)`.
    block
        Side in pixels of the squares that come and go together, by the mean of the map in each.
    n_random
        Random orders; their mean is chance.
    seed
        Of the random orders, and of the order of squares where a map does not tell.
    progress
        Whether to show a bar.

    Returns
    -------
    One row for each `kind` ("inserted": pixels appear on the hidden image; "deleted": they
    vanish from the whole image), `method` (names of the maps, and "random order"), `sample` and
    `dose`: the `value` of the target.

    Raises
    ------
    ValueError
        If maps and images do not belong together, or doses do not go from 0 to 1.

    Notes
    -----
    Images with holes are unlike those that a network was trained on. What hides pixels therefore
    matters: compare results for two ways to hide them.

    References
    ----------
    Petsiuk, Das & Saenko (2018), BMVC, arXiv:1806.07421.

    Examples
    --------
    >>> from retina_codec.contributions import one_cell
    >>> images = np.arange(1.0, 5.0, dtype=np.float32).reshape(1, 1, 2, 2)
    >>> table = insertion_deletion(
    ...     nn.Flatten(),  # the output is the pixels themselves
    ...     images,
    ...     {"right map": np.array([[[0.0, 0.0], [0.0, 1.0]]])},
    ...     target=one_cell(3),
    ...     doses=[0.0, 0.25, 1.0],
    ...     block=1,
    ...     progress=False,
    ... )
    >>> of_map = table[table["method"] == "right map"]
    >>> of_map.pivot(index="kind", columns="dose", values="value")
    dose      0.00  0.25  1.00
    kind
    deleted    4.0   0.0   0.0
    inserted   0.0   4.0   4.0
    """
    shape = np.shape(images[:1])[2:]
    _check(maps, len(images), shape, doses)
    rng, rows = np.random.default_rng(seed), []
    with frozen(network), torch.no_grad():
        for sample in tqdm(range(len(images)), desc="images", disable=not progress):
            image = np.asarray(images[[sample]])
            orders = {name: [_ranks(maps[name][sample], block, rng)] for name in maps}
            flat = np.zeros(shape)
            orders[RANDOM] = [_ranks(flat, block, rng) for _ in range(n_random)]
            measure = _measure(network, image, towards(image), target)
            for method, ranks in orders.items():
                if not ranks:
                    continue
                found = np.mean([measure(_shown(rank, doses)) for rank in ranks], axis=0)
                rows += _rows(method, sample, doses, found)
    return pd.DataFrame(rows)


def insertion_summary(
    table: pd.DataFrame, *, n_bootstraps: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Area under the curves of each method, and its advantage over each other one.

    Parameters
    ----------
    table
        Of `insertion_deletion`.
    n_bootstraps
        How often images are drawn again.
    seed
        Of the bootstrap.

    Returns
    -------
    One row for each kind, `method` and `rival`, also "random order": mean area over images (`auc`
    and `rival_auc`), the `advantage` of the method with its 95 % interval `low` to `high` over
    images, and `n_images`. An advantage above 0 is good in both kinds: more area when pixels are
    inserted, less when they are deleted.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {
    ...         "kind": "inserted",
    ...         "method": ["map", "map", "random order", "random order"],
    ...         "sample": 0,
    ...         "dose": [0.0, 1.0, 0.0, 1.0],
    ...         "value": [0.5, 1.0, 0.0, 1.0],
    ...     }
    ... )
    >>> insertion_summary(table)[["method", "rival", "auc", "rival_auc", "advantage"]]
      method         rival   auc  rival_auc  advantage
    0    map  random order  0.75        0.5       0.25
    """
    rng, rows = np.random.default_rng(seed), []
    for kind, part in table.groupby("kind", sort=False):
        areas = _areas(part)
        drawn = rng.integers(len(areas), size=(n_bootstraps, len(areas)))
        for method in [name for name in areas if name != RANDOM]:
            for rival in [name for name in areas if name != method]:
                better = (areas[method] - areas[rival]).to_numpy()
                better = better if kind == KINDS[0] else -better
                low, high = np.percentile(better[drawn].mean(axis=1), INTERVAL)
                rows.append(
                    {
                        "kind": kind,
                        "method": method,
                        "rival": rival,
                        "auc": areas[method].mean(),
                        "rival_auc": areas[rival].mean(),
                        "advantage": better.mean(),
                        "low": low,
                        "high": high,
                        "n_images": len(areas),
                    }
                )
    return pd.DataFrame(rows)


def values_of(
    network: nn.Module, batch: Images, target: Target, at_image: torch.Tensor
) -> Float[np.ndarray, " sample"]:
    """Target of a batch of altered versions of one image, whose output fixes its choice."""
    output = network(as_input(network, batch))
    return target(output, at_image.expand(len(output), -1)).cpu().numpy()


def _measure(network, image, hidden, target):
    """Return a function from masks "dose y x" of shown pixels to the target."""
    at_image = network(as_input(network, image))

    def measure(shown):
        inserted = np.where(shown[:, None], image, hidden)
        deleted = np.where(shown[:, None], hidden, image)
        batch = np.concatenate([inserted, deleted]).astype(image.dtype)
        return values_of(network, batch, target, at_image).reshape(2, -1)

    return measure


def _ranks(values, block: int, rng) -> Int[np.ndarray, "y x"]:
    """Place of each pixel's square in the order of the map; equal squares in random order."""
    n_y, n_x = values.shape
    y, x = np.arange(n_y) // block, np.arange(n_x) // block
    square = y[:, None] * (x[-1] + 1) + x
    mean = np.bincount(square.ravel(), values.ravel()) / np.bincount(square.ravel())
    order = np.lexsort((rng.random(len(mean)), -mean))
    rank = np.empty(len(mean), dtype=int)
    rank[order] = np.arange(len(mean))
    return rank[square]


def _shown(rank, doses):
    n_squares = rank.max() + 1
    return np.array([rank < round(dose * n_squares) for dose in doses])


def _rows(method, sample, doses, found):
    return [
        {"kind": kind, "method": method, "sample": sample, "dose": dose, "value": value}
        for kind, values in zip(KINDS, found, strict=True)
        for dose, value in zip(doses, values, strict=True)
    ]


def _areas(part: pd.DataFrame) -> pd.DataFrame:
    """Area under the curve of each image (rows) and method."""
    wide = part.pivot_table(index="dose", columns=["method", "sample"], values="value", sort=False)
    area = pd.Series(np.trapezoid(wide.to_numpy(), wide.index, axis=0), index=wide.columns)
    return area.unstack("method")[list(dict.fromkeys(part["method"]))]


def _check(maps, n_images, shape, doses) -> None:
    for name, found in maps.items():
        if np.shape(found) != (n_images, *shape):
            msg = (
                f"Map {name!r} has the shape {np.shape(found)}, but there are {n_images} images of "
                f"{shape} pixels. Give one map for each image."
            )
            raise ValueError(msg)
    if RANDOM in maps:
        msg = f"{RANDOM!r} is the name of chance; give this map another name."
        raise ValueError(msg)
    if min(doses) != 0 or max(doses) != 1 or list(doses) != sorted(set(doses)):
        msg = f"Expected doses that grow from 0 to 1, got {list(doses)}."
        raise ValueError(msg)
