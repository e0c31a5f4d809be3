"""Whether different modes use different parts of an image."""

from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float

from retina_codec.datatypes import Maps

AREA = 0.1
INTERVAL = 2.5, 97.5
KINDS = ("two modes, one image", "one mode, two images", "two modes, two images")


def map_overlap(maps: Maps, *, area: float = AREA) -> pd.DataFrame:
    """Compare the places that each two maps use.

    Parameters
    ----------
    maps
        Of the same modes in several images, such as `mode_maps` gives.
    area
        Share of the pixels that counts as the region of a mode: where its positive part is largest.

    Returns
    -------
    One row for each pair of modes and images, without what no mode explains:

    - `kind`: "two modes, one image", "one mode, two images" or "two modes, two images". The last
      is what places that modes share in all images (the middle) give by chance;
    - `first_sample`, `first_mode`, `second_sample`, `second_mode`;
    - `r`: Pearson correlation of the positive parts over pixels, NaN where one is empty;
    - `iou`: intersection of the two regions over their union, NaN where both are empty, and
      `chance_iou`, that of two independent regions of this area.

    Raises
    ------
    ValueError
        If there are no two maps.

    Examples
    --------
    >>> left, right = np.eye(2).reshape(2, 1, 1, 2)
    >>> maps = Maps(
    ...     values=np.array([left, right, left, right]),
    ...     items=pd.DataFrame({"sample": [0, 0, 1, 1], "mode": [0, 1, 0, 1]}),
    ...     layer="conv",
    ...     target="top class",
    ... )
    >>> map_overlap(maps, area=0.5).groupby("kind")[["r", "iou"]].mean()
                             r  iou
    kind
    one mode, two images   1.0  1.0
    two modes, one image  -1.0  0.0
    two modes, two images -1.0  0.0
    """
    table = maps.items.reset_index(drop=True)
    kept = np.flatnonzero(table["mode"] >= 0)
    if len(kept) < 2:
        msg = f"Expected maps of at least two modes or images, got {len(kept)}."
        raise ValueError(msg)
    parts = maps.positive[kept]
    r, iou = _correlations(parts), _ious(maps.regions(area)[kept])
    about = table.iloc[kept][["sample", "mode"]].to_numpy()
    rows = [
        {
            "kind": _kind(about[a], about[b]),
            "first_sample": about[a, 0],
            "first_mode": about[a, 1],
            "second_sample": about[b, 0],
            "second_mode": about[b, 1],
            "r": r[a, b],
            "iou": iou[a, b],
        }
        for a, b in combinations(range(len(kept)), 2)
        if (about[a] != about[b]).any()
    ]
    return pd.DataFrame(rows).assign(chance_iou=area / (2 - area))


def overlap_summary(
    table: pd.DataFrame, *, n_bootstraps: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Mean overlap of maps of each kind, with an interval over images.

    Parameters
    ----------
    table
        Of `map_overlap`.
    n_bootstraps
        How often images are drawn again.
    seed
        Of the bootstrap.

    Returns
    -------
    One row for each kind and `measure` ("r", "iou"): `value`, its 95 % interval `low` to `high`,
    the value of "two modes, two images" (`chance`), and `n_pairs`.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap.

    Examples
    --------
    >>> left, right = np.eye(2).reshape(2, 1, 1, 2)
    >>> maps = Maps(
    ...     values=np.array([left, right, left, right]),
    ...     items=pd.DataFrame({"sample": [0, 0, 1, 1], "mode": [0, 1, 0, 1]}),
    ...     layer="conv",
    ...     target="top class",
    ... )
    >>> table = overlap_summary(map_overlap(maps, area=0.5))
    >>> table.query("measure == 'iou'")[["kind", "value", "chance", "n_pairs"]]
                        kind  value  chance  n_pairs
    3   two modes, one image    0.0     0.0        2
    4   one mode, two images    1.0     0.0        2
    5  two modes, two images    0.0     0.0        2
    """
    images, number = np.unique(table[["first_sample", "second_sample"]], return_inverse=True)
    first, second = number.reshape(-1, 2).T
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(images), np.full(len(images), 1 / len(images)), n_bootstraps)
    times = np.where(first == second, drawn[:, first], drawn[:, first] * drawn[:, second])
    rows = []
    for measure in ("r", "iou"):
        value = table[measure].to_numpy(dtype=float)
        for kind in KINDS:
            here = (table["kind"] == kind).to_numpy() & np.isfinite(value)
            if not here.any():
                continue
            low, high = _interval(times[:, here], value[here])
            rows.append(
                {
                    "kind": kind,
                    "measure": measure,
                    "value": value[here].mean(),
                    "low": low,
                    "high": high,
                    "n_pairs": int(here.sum()),
                }
            )
    found = pd.DataFrame(rows)
    chance = found[found["kind"] == KINDS[2]].set_index("measure")["value"]
    return found.assign(chance=found["measure"].map(chance))


def _interval(times, value) -> tuple[float, float]:
    total = times.sum(axis=1)
    drawn = (times @ value)[total > 0] / total[total > 0]
    return tuple(np.percentile(drawn, INTERVAL)) if len(drawn) else (np.nan, np.nan)


def _kind(first, second) -> str:
    if first[0] == second[0]:
        return KINDS[0]
    return KINDS[1] if first[1] == second[1] else KINDS[2]


def _correlations(parts) -> Float[np.ndarray, "item other"]:
    flat = parts.reshape(len(parts), -1).astype(float)
    flat = flat - flat.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(flat, axis=1)
    flat = np.divide(flat, norm[:, None], out=np.full_like(flat, np.nan), where=norm[:, None] > 0)
    return flat @ flat.T


def _ious(inside) -> Float[np.ndarray, "item other"]:
    flat = inside.reshape(len(inside), -1).astype(float)
    both = flat @ flat.T
    size = flat.sum(axis=1)
    either = size[:, None] + size - both
    return np.divide(both, either, out=np.full_like(both, np.nan), where=either > 0)
