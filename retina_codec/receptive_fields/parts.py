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

    Examples
    --------
    >>> parts = Fields(
    ...     values=np.array([3.0, 1.0, 3.0, 1.0]).reshape(4, 1, 1, 1),
    ...     items=pd.DataFrame({"cell": 0, "sample": [7, 7, 9, 9], "mode": [0, -1, 0, -1]}),
    ...     frame_rate_hz=100.0,
    ... )
    >>> share_of_field(parts)
       cell  mode  share   low  high
    0     0     0   0.75  0.75  0.75
    1     0    -1   0.25  0.25  0.25
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

    Examples
    --------
    >>> items = pd.DataFrame({"cell": 0, "sample": [7, 7, 9, 9], "mode": [0, -1, 0, -1]})
    >>> items["label"] = ["mode 0", "unexplained"] * 2
    >>> values = np.array([3.0, 1.0, 5.0, 1.0]).reshape(4, 1, 1, 1)
    >>> means = mean_parts(Fields(values=values, items=items, frame_rate_hz=100.0))
    >>> dict(zip(means.items["label"], means.values.ravel().tolist(), strict=True))
    {'cell 0, mode 0': 4.0, 'cell 0, unexplained': 1.0}
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

    Examples
    --------
    >>> items = pd.DataFrame({"cell": 0, "sample": [7, 7, 9, 9], "mode": [0, -1, 0, -1]})
    >>> items = items.assign(time_s=items["sample"] / 100, rate_hz=20.0)
    >>> values = np.array([[3.0, 0.0], [1.0, 0.0], [0.0, 3.0], [0.0, 1.0]]).reshape(4, 1, 1, 2)
    >>> shown = two_moments(Fields(values=values, items=items, frame_rate_hz=100.0), cell=0)
    >>> shown.items.query("label == 'mode 0'")[["sample", "rate_hz", "label", "share"]]
       sample  rate_hz   label  share
    1     7.0     20.0  mode 0   0.75
    5     9.0     20.0  mode 0   0.75
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


def moment_maps(parts: Fields, *, most: int = 4) -> Fields:
    """Show the parts of the field of one moment as maps.

    Parameters
    ----------
    parts
        Of `attribute_to_modes`, for one sample and one cell.
    most
        How many modes are shown at the most, those that hold most of the field; what holds nothing
        of it is left out.

    Returns
    -------
    Fields
        With one lag, as in `two_moments`: "IRF", the modes, "other modes" and "unexplained", which
        sum to the IRF; with `share`, see `share_of_field`, and `mode` (NaN for what is no mode).

    Raises
    ------
    ValueError
        If there are several moments or cells, or the field is zero everywhere.

    Examples
    --------
    >>> from retina_codec.receptive_fields import attribute_to_channels, attribute_to_modes
    >>> from retina_codec.contributions import integrated_gradients, population_sum
    >>> from retina_codec.decomposition import NonNegativeFactors, decompose
    >>> from retina_codec.networks import windows_for
    >>> from retina_codec.simulation import Circuit
    >>> from retina_codec.stimuli import Screen, natural_scenes
    >>> circuit = Circuit(shape=(18, 18), history=8, cells_per_type=1)
    >>> samples = windows_for(circuit, natural_scenes(n_frames=68, screen=Screen((18, 18))))
    >>> record = integrated_gradients(
    ...     circuit, samples, layers=["bipolar"], target=population_sum(), progress=False
    ... )["bipolar"]
    >>> modes = decompose(record, NonNegativeFactors(n_modes=3))
    >>> parts = attribute_to_channels(circuit, samples, layer="bipolar", cells=[2], index=[30])
    >>> maps = moment_maps(attribute_to_modes(parts, record, modes))
    >>> bool(np.allclose(maps.values[0], maps.values[1:].sum(axis=0), atol=1e-6))
    True
    """
    about = parts.items[["cell", "sample", "time_s", "rate_hz"]].drop_duplicates()
    if len(about) != 1:
        msg = f"Expected the parts of one moment of one cell, got {len(about)}. Pick one."
        raise ValueError(msg)
    values = np.asarray(parts.values, dtype=float)
    values = values.reshape(*values.shape[:2], -1)
    if not values.sum(axis=0).any():
        msg = "The field is zero everywhere: the cell is silent there. Choose another moment."
        raise ValueError(msg)
    maps, named = _projected(values, parts.items["mode"].to_numpy(), most)
    table = pd.DataFrame([{**about.iloc[0], **one} for one in named])
    table["mode"] = pd.to_numeric(table["label"].str.removeprefix("mode "), errors="coerce")
    table = table.astype({"cell": int, "sample": int})
    held = np.array([one.any() for one in maps])
    return Fields(
        values=np.array(maps, dtype=np.float32)[held].reshape(-1, 1, *parts.values.shape[2:]),
        items=table[held].reset_index(drop=True),
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
