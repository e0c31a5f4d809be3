"""What the parts of fields say: how much each mode holds, on average and at two moments."""

import numpy as np
import pandas as pd

from retina_codec.datatypes import Fields

from .attribution import UNEXPLAINED
from .separation import first_product


def share_of_field(parts: Fields, *, n_bootstraps: int = 500, seed: int = 0) -> pd.DataFrame:
    """Say how much of the fields of each cell each mode holds.

    Parameters
    ----------
    parts
        Of `attribute_to_modes`.
    n_bootstraps
        How often moments are drawn again.
    seed
        Of the bootstrap.

    Returns
    -------
    One row for each cell and mode (-1 for "unexplained", -2 for "bypassed"): `share`, with its 95 %
    interval `low` to `high` over moments. The shares of a cell sum to one; one that is below 0
    works against the field.

    Notes
    -----
    share = sum over moments of <part, field> / sum over moments of <field, field>.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap.
    """
    table, rng, rows = parts.items, np.random.default_rng(seed), []
    n_parts = table["mode"].nunique()
    products = np.zeros(len(table))
    for first in range(0, len(table), n_parts):
        values = np.asarray(parts.values[first : first + n_parts], dtype=float)
        values = values.reshape(n_parts, -1)
        products[first : first + n_parts] = values @ values.sum(axis=0)
    for cell, part in table.groupby("cell", sort=False):
        of_cell = products[part.index].reshape(-1, n_parts)
        drawn = of_cell[rng.integers(len(of_cell), size=(n_bootstraps, len(of_cell)))].sum(axis=1)
        total = of_cell.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = total / total.sum()
            low, high = np.percentile(drawn / drawn.sum(axis=1, keepdims=True), (2.5, 97.5), axis=0)
        rows += [
            {"cell": cell, "mode": mode, "share": s, "low": a, "high": b}
            for mode, s, a, b in zip(part["mode"].iloc[:n_parts], shares, low, high, strict=True)
        ]
    return pd.DataFrame(rows)


def mean_parts(parts: Fields) -> Fields:
    """Mean over moments of the part of each mode in the fields of each cell: single-mode fields.

    Parameters
    ----------
    parts
        Of `attribute_to_modes`.

    Returns
    -------
    Fields
        One item for each cell and mode.
    """
    table = parts.items
    keys = table[["cell", "mode"]].drop_duplicates().reset_index(drop=True)
    values = []
    for cell, mode in keys.itertuples(index=False):
        rows = np.flatnonzero((table["cell"] == cell) & (table["mode"] == mode))
        values.append(np.asarray(parts.values[rows], dtype=float).mean(axis=0))
    labels = dict(zip(table["mode"], table["label"], strict=True))
    keys["label"] = [f"cell {c}, {labels[m]}" for c, m in keys.itertuples(index=False)]
    return Fields(
        values=np.array(values, dtype=np.float32),
        items=keys,
        frame_rate_hz=parts.frame_rate_hz,
        pixel_um=parts.pixel_um,
        unit=parts.unit,
    )


def two_moments(parts: Fields, *, cell: int, most: int = 4, alike: float = 0.5) -> Fields:
    """Pick two moments at which a cell fires alike with fields that differ, and show their parts.

    Parameters
    ----------
    parts
        Of `attribute_to_modes`.
    cell
        Whose fields.
    most
        How many modes are shown, those that hold most of the field.
    alike
        The smaller of the two rates is at least this share of the larger one.

    Returns
    -------
    Fields
        With one lag: the projection of each part on the time course of the field of its moment, so
        that the maps of a moment sum to its "IRF". For each of two moments the items are "IRF",
        the modes, "other modes", and "unexplained" with what bypassed the layer; with `share`, see
        `share_of_field`. Of all pairs of moments with at least the median rate, and where there are
        such at which modes hold half of the field, it is the one whose fields correlate least.

    Raises
    ------
    ValueError
        If there are no two moments at which the cell fires alike.
    """
    table = parts.items[parts.items["cell"] == cell]
    n_parts = table["mode"].nunique()
    values = np.asarray(parts.values[table.index.to_numpy()], dtype=float)
    values = values.reshape(-1, n_parts, values.shape[1], int(np.prod(values.shape[2:])))
    about = table.iloc[::n_parts].reset_index(drop=True)
    whole = values.sum(axis=1)
    held = _held(values, whole, table["mode"].to_numpy()[:n_parts] >= 0)
    rates = about["rate_hz"].to_numpy()
    if _are_two(held & (rates >= np.median(rates)), rates, alike):
        rates = np.where(held, rates, -1.0)
    pair = _most_different(whole.reshape(len(whole), -1), rates, alike)
    rows, maps = [], []
    for moment in pair:
        found, named = _projected(values[moment], table["mode"].to_numpy()[:n_parts], most)
        maps += found
        rows += [
            {"cell": cell, **about.loc[moment, ["sample", "time_s", "rate_hz"]], **one}
            for one in named
        ]
    shape = parts.values.shape[2:]
    return Fields(
        values=np.array(maps, dtype=np.float32).reshape(-1, 1, *shape),
        items=pd.DataFrame(rows),
        frame_rate_hz=parts.frame_rate_hz,
        pixel_um=parts.pixel_um,
        unit=parts.unit,
    )


def _held(values, whole, of_mode) -> np.ndarray:
    """Moments at which modes hold at least half of the field."""
    power = (whole**2).sum(axis=(1, 2))
    by_modes = (values[:, of_mode].sum(axis=1) * whole).sum(axis=(1, 2))
    return (power > 0) & (by_modes >= 0.5 * power)


def _are_two(allowed, rates, alike) -> bool:
    """Whether some two of the moments have similar rates."""
    ordered = np.sort(rates[allowed])
    return bool((ordered[:-1] >= alike * ordered[1:]).any())


def _most_different(fields, rates, alike) -> tuple[int, int]:
    """Return the pair of moments with similar rates whose fields correlate least."""
    norm = np.linalg.norm(fields, axis=1)
    strong = (norm > 0) & (rates >= max(np.median(rates), 0))
    unit = fields / np.where(norm > 0, norm, 1)[:, None]
    r = unit @ unit.T
    ratio = np.minimum.outer(rates, rates) / np.maximum(np.maximum.outer(rates, rates), 1e-12)
    allowed = np.logical_and.outer(strong, strong) & (ratio >= alike)
    np.fill_diagonal(allowed, False)
    if not allowed.any():
        msg = "There are no two moments at which the cell fires alike. Give more moments."
        raise ValueError(msg)
    first, second = np.unravel_index(np.where(allowed, r, np.inf).argmin(), r.shape)
    return int(first), int(second)


def _projected(values, modes, most):
    """Return the maps of the parts of one moment, and their names and shares."""
    whole = values.sum(axis=0)
    space, _, _ = first_product(whole)
    course = whole @ space
    course /= np.linalg.norm(course)
    maps = np.einsum("l,plx->px", course, values)
    shares = np.einsum("plx,lx->p", values, whole) / (whole**2).sum()
    order = [i for i in np.argsort(-np.abs(shares)) if modes[i] >= 0]
    shown, others = order[:most], order[most:]
    rest = [i for i in range(len(modes)) if modes[i] < 0]
    groups = [("IRF", [*order, *rest]), *((f"mode {modes[i]}", [i]) for i in shown)]
    groups += [("other modes", others), (UNEXPLAINED, rest)]
    return [maps[list(g)].sum(axis=0) for _, g in groups], [
        {"label": name, "share": float(shares[list(g)].sum())} for name, g in groups
    ]
