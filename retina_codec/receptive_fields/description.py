"""What a field looks like, in numbers: where, how large, ON or OFF, how fast, which orientation."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from retina_codec.datatypes import Fields

from .cropping import cropped

CROP_PX = 21
ITERATIONS = 60
SMALLEST_SIGMA_PX = 0.3
DESCRIBED_AT_ONCE = 256

DESCRIPTIONS = (
    "y_px",
    "x_px",
    "size_px",
    "surround",
    "polarity",
    "biphasic",
    "time_to_peak_s",
    "orientation_selectivity",
    "orientation_deg",
    "direction_selectivity",
    "direction_deg",
    "drift_px",
)
"""Columns of `describe_fields`, after those of the items."""


def describe_fields(fields: Fields, *, crop_px: int = CROP_PX) -> pd.DataFrame:
    """Describe the space, time course, polarity and selectivity of each field.

    Parameters
    ----------
    fields
        Separated into space and time.
    crop_px
        Side of the square around the strongest pixel that is looked at, in pixels.

    Returns
    -------
    The table of items with these columns; NaN where there is no field.

    - `y_px`, `x_px`: centre of the Gaussian that fits the centre of the map, in pixels; `size_px`:
      its standard deviation (geometric mean of the two axes).
    - `surround`: summed weight of the opposite sign in the map, relative to that of the centre's.
    - `polarity`: mean of the map under the Gaussian, relative to the mean of its absolute values:
      1 is an ON centre, -1 an OFF centre.
    - `biphasic`: size of the time course's largest value of the other sign relative to its peak.
    - `time_to_peak_s`: from the strongest lag to the response.
    - `orientation_selectivity`, `orientation_deg`: length and half angle of the sum of the power of
      spatial frequencies as vectors at twice their angle; 0 for a round field, 1 for a grating. The
      angle is that of the stripes: 0 is horizontal.
    - `direction_selectivity`, `direction_deg`: the same of the directions of motion in the power of
      spatio-temporal frequencies, 0 to larger x, 90 to larger y; 0 for separable fields. NaN where
      only the separation of the fields was kept.
    - `drift_px`: distance of the centre from the median centre of the fields of the same cell.

    Raises
    ------
    ValueError
        If the fields are not separated.

    Notes
    -----
    The Gaussian is found by adaptive moments: the second moments of the map (of the sign of its
    strongest pixel) under a Gaussian weight are, when they come back unchanged, half of those of
    the Gaussian that fits it best (Bernstein & Jarvis 2002, Astronomical Journal 123:583).

    Examples
    --------
    >>> y, x = np.mgrid[:20, :20]
    >>> spot = -np.exp(-((y - 8.0) ** 2 + (x - 11.0) ** 2) / (2 * 2.0**2))
    >>> fields = Fields(
    ...     values=np.multiply.outer([0.0, 1.0, 0.0], spot)[None],
    ...     items=pd.DataFrame({"cell": [0]}),
    ...     frame_rate_hz=100.0,
    ... )
    >>> from retina_codec.receptive_fields import separate_space_time
    >>> described = describe_fields(separate_space_time(fields)).round(2)
    >>> described[["y_px", "x_px", "size_px", "polarity", "time_to_peak_s"]].iloc[0].tolist()
    [8.0, 11.0, 2.0, -1.0, 0.02]
    """
    if fields.space is None or fields.time_course is None:
        msg = "The fields are not separated: call separate_space_time first."
        raise ValueError(msg)
    small = cropped(fields, side_px=crop_px)
    columns = {**_of_space(small), **_of_time(fields), **_of_motion(small)}
    table = fields.items.reset_index(drop=True).assign(**columns)
    table["drift_px"] = _drift(table)
    return table


def _of_space(small: Fields) -> dict[str, np.ndarray]:
    space = np.asarray(small.space, dtype=float)
    there = np.isfinite(space).all(axis=(1, 2))
    maps = space[there]
    found = np.full((len(space), 7), np.nan)
    if len(maps):
        found[there] = np.stack([*_gaussian_numbers(maps), *_orientation(maps)], axis=1)
    y, x, size, surround, polarity, selectivity, angle = found.T
    return {
        "y_px": y + small.items["top_px"].to_numpy(),
        "x_px": x + small.items["left_px"].to_numpy(),
        "size_px": size,
        "surround": surround,
        "polarity": polarity,
        "orientation_selectivity": selectivity,
        "orientation_deg": angle,
    }


def _gaussian_numbers(maps: Float[np.ndarray, "item y x"]):
    """Centre, size, surround and polarity."""
    peak = np.abs(maps).reshape(len(maps), -1).argmax(axis=1)
    sign = np.sign(maps.reshape(len(maps), -1)[np.arange(len(maps)), peak])[:, None, None]
    centre = np.maximum(sign * maps, 0)
    y, x, weight, size = _adaptive_moments(centre, peak)
    other = np.maximum(-sign * maps, 0).sum(axis=(1, 2))
    polarity = (weight * maps).sum(axis=(1, 2)) / (weight * np.abs(maps)).sum(axis=(1, 2))
    return y, x, size, other / centre.sum(axis=(1, 2)), polarity


def _adaptive_moments(centre: Float[np.ndarray, "item y x"], peak: Int[np.ndarray, " item"]):
    """Centre of each map, Gaussian weight over its pixels, and geometric mean of its sigmas."""
    n_y, n_x = centre.shape[1:]
    grid = np.stack(np.mgrid[:n_y, :n_x], axis=-1).astype(float)
    at = np.stack(np.unravel_index(peak, (n_y, n_x)), axis=1).astype(float)
    covariance = np.tile(4.0 * np.eye(2), (len(centre), 1, 1))
    for _ in range(ITERATIONS):
        away = grid - at[:, None, None]
        inverse = np.linalg.inv(covariance)
        weight = np.exp(-0.5 * np.einsum("iyxa,iab,iyxb->iyx", away, inverse, away))
        mass = weight * centre
        total = mass.sum(axis=(1, 2))
        at = at + np.einsum("iyx,iyxa->ia", mass, away) / total[:, None]
        moments = np.einsum("iyx,iyxa,iyxb->iab", mass, away, away) / total[:, None, None]
        covariance = _at_least(2 * moments)
    size = np.linalg.det(covariance) ** 0.25
    return at[:, 0], at[:, 1], weight, size


def _at_least(covariance):
    """Keep Gaussians wider than a fraction of a pixel and narrower than the map."""
    powers, axes = np.linalg.eigh(covariance)
    powers = np.clip(powers, SMALLEST_SIGMA_PX**2, CROP_PX**2)
    return np.einsum("iab,ib,icb->iac", axes, powers, axes)


def _orientation(maps: Float[np.ndarray, "item y x"]):
    """Return the selectivity, and the angle of the stripes in degrees."""
    power = np.abs(np.fft.fft2(maps)) ** 2
    power[:, 0, 0] = 0
    angle = np.angle(_frequency(maps.shape[1:]))
    vector = (power * np.exp(2j * angle)).sum(axis=(1, 2)) / power.sum(axis=(1, 2))
    stripes = (np.rad2deg(np.angle(vector)) / 2 + 90) % 180
    return np.abs(vector), stripes


def _of_time(fields: Fields) -> dict[str, np.ndarray]:
    course = np.asarray(fields.time_course, dtype=float)
    there = np.isfinite(course).all(axis=1)
    positive = np.where(there[:, None], course, 0.0)
    peak = np.abs(positive).argmax(axis=1)
    trough = np.maximum(-positive.min(axis=1), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        biphasic = trough / positive.max(axis=1)
    return {
        "biphasic": np.where(there, biphasic, np.nan),
        "time_to_peak_s": np.where(there, -fields.lag_s[peak], np.nan),
    }


def _of_motion(small: Fields) -> dict[str, np.ndarray]:
    n_items = len(small.items)
    selectivity, angle = np.full(n_items, np.nan), np.full(n_items, np.nan)
    if small.values is not None:
        for first in range(0, n_items, DESCRIBED_AT_ONCE):
            part = slice(first, first + DESCRIBED_AT_ONCE)
            selectivity[part], angle[part] = _direction(np.asarray(small.values[part]))
    return {"direction_selectivity": selectivity, "direction_deg": angle}


def _direction(values: Float[np.ndarray, "item lag y x"]):
    """Return the selectivity and the direction of motion in degrees.

    Power at the temporal frequency w > 0 and the spatial frequency k belongs to a pattern that
    moves towards -k.
    """
    odd = values[:, :, : values.shape[2] - 1 + values.shape[2] % 2]
    odd = odd[..., : odd.shape[3] - 1 + odd.shape[3] % 2]  # each frequency with its opposite
    power = np.abs(np.fft.fftn(odd, axes=(1, 2, 3))) ** 2
    moving = power[:, 1 : (values.shape[1] + 1) // 2].sum(axis=1)
    moving[:, 0, 0] = 0
    towards = np.exp(1j * np.angle(-_frequency(odd.shape[2:])))
    total = moving.sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        vector = (moving * towards).sum(axis=(1, 2)) / total
    return np.abs(vector), np.rad2deg(np.angle(vector)) % 360


def _frequency(shape: tuple[int, ...]) -> np.ndarray:
    """Spatial frequencies as complex numbers: x real, y imaginary."""
    y, x = (np.fft.fftfreq(n) for n in shape)
    return x + 1j * y[:, None]


def _drift(table: pd.DataFrame) -> np.ndarray:
    centre = table[["y_px", "x_px"]]
    groups = table["cell"] if "cell" in table else pd.Series(0, index=table.index)
    away = centre - centre.groupby(groups).transform("median")
    return np.hypot(away["y_px"], away["x_px"]).to_numpy()
