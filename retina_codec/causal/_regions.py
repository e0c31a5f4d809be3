"""How much of a class is in the part of an image that a mode uses."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from retina_codec.contributions import Target, frozen
from retina_codec.datatypes import Maps
from retina_codec.receptive_fields import as_input

from ._insertion import INTERVAL, Hidden, grey_image, values_of


def region_effects(
    network: nn.Module,
    images: Any,
    maps: Maps,
    *,
    target: Target,
    area: float = 0.1,
    towards: Hidden = grey_image,
    n_controls: int = 10,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Show only the region of each mode, or hide it, beside regions of the same form elsewhere.

    Parameters
    ----------
    network
        From images to outputs; left as it was.
    images
        All images; `sample` of the maps counts them.
    maps
        Of modes in images.
    target
        Measured; what it chooses (a class), it chooses at the whole image.
    area
        Share of the pixels that is the region: where the positive part is largest.
    towards
        What hidden pixels show instead.
    n_controls
        Random shifts of the region, round the edges of the image: chance.
    seed
        Of the shifts.
    progress
        Whether to show a bar.

    Returns
    -------
    For each map two rows: its `sample`, `mode`, `kind` ("kept": only the region is shown;
    "removed": only the region is hidden), the `change` of the target that is there ("kept") or lost
    ("removed"), `control_change`, the mean over shifted regions, and the `whole` difference between
    the image and the hidden image.

    Raises
    ------
    ValueError
        If the area is not between 0 and 1.

    Examples
    --------
    >>> from retina_codec.contributions import one_cell
    >>> images = np.arange(1.0, 5.0, dtype=np.float32).reshape(1, 1, 2, 2)
    >>> maps = Maps(
    ...     values=np.array([[[[0.0, 0.0], [0.0, 1.0]]]]),
    ...     items=pd.DataFrame({"sample": [0], "mode": [0]}),
    ...     layer="",
    ...     target="pixel 3",
    ... )
    >>> region_effects(  # the output is the pixels themselves
    ...     nn.Flatten(), images, maps, target=one_cell(3), area=0.25, progress=False
    ... )[["sample", "mode", "kind", "change", "whole"]]
       sample  mode     kind  change  whole
    0       0     0     kept     4.0    4.0
    1       0     0  removed     4.0    4.0
    """
    rng, rows = np.random.default_rng(seed), []
    inside = maps.regions(area)
    with frozen(network), torch.no_grad():
        for region, (_, about) in tqdm(
            zip(inside, maps.items.iterrows(), strict=True),
            desc="regions",
            total=len(inside),
            disable=not progress,
        ):
            image = np.asarray(images[[int(about["sample"])]])
            sets = np.array([region, *(_shifted(region, rng) for _ in range(n_controls))])
            kept, removed, whole = _changes(network, image, towards(image), sets, target)
            rows += [
                {
                    "sample": about["sample"],
                    "mode": about["mode"],
                    "kind": kind,
                    "change": found[0],
                    "control_change": found[1:].mean() if n_controls else np.nan,
                    "whole": whole,
                }
                for kind, found in (("kept", kept), ("removed", removed))
            ]
    return pd.DataFrame(rows)


def region_summary(table: pd.DataFrame, *, n_bootstraps: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Share of the target in regions of modes, beside shifted regions.

    Parameters
    ----------
    table
        Of `region_effects`.
    n_bootstraps
        How often images are drawn again.
    seed
        Of the bootstrap.

    Returns
    -------
    One row for each kind: `share` and `control_share`, sums over images of the change divided by
    that of the whole difference (images whose target hardly differs thus hardly count), their
    `difference` with its 95 % interval `low` to `high` over images, and `n_images`.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"sample": [0, 1], "mode": 0, "kind": "kept", "change": [3.0, 3.0]}
    ...     | {"control_change": [0.4, 0.4], "whole": [4.0, 4.0]}
    ... )
    >>> region_summary(table)[["kind", "share", "control_share", "n_images"]]
       kind  share  control_share  n_images
    0  kept   0.75            0.1         2
    """
    rng, rows = np.random.default_rng(seed), []
    for kind, part in table.groupby("kind", sort=False):
        of_image = part.groupby("sample")[["change", "control_change", "whole"]].mean().to_numpy()
        drawn = rng.integers(len(of_image), size=(n_bootstraps, len(of_image)))
        shares = _shares(of_image.sum(axis=0))
        differences = np.subtract(*_shares(of_image[drawn].sum(axis=1).T))
        low, high = np.percentile(differences, INTERVAL)
        rows.append(
            {
                "kind": kind,
                "share": shares[0],
                "control_share": shares[1],
                "difference": shares[0] - shares[1],
                "low": low,
                "high": high,
                "n_images": len(of_image),
            }
        )
    return pd.DataFrame(rows)


def _shares(sums):
    """Change and control change, relative to the whole."""
    change, control, whole = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        return change / whole, control / whole


def _changes(network, image, hidden, sets, target):
    """Return what is there if only a region is shown, what is lost if it is hidden, and all."""
    at_image = network(as_input(network, image))
    kept = np.where(sets[:, None], image, hidden)
    removed = np.where(sets[:, None], hidden, image)
    batch = np.concatenate([image, hidden, kept, removed]).astype(image.dtype)
    whole, nothing, *found = values_of(network, batch, target, at_image)
    shown, left = np.array(found).reshape(2, -1)
    return shown - nothing, whole - left, whole - nothing


def _shifted(region, rng):
    return np.roll(region, [rng.integers(n) for n in region.shape], axis=(0, 1))
