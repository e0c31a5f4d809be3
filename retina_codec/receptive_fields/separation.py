"""A field as one spatial map times one time course."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from retina_codec.datatypes import Fields

from .entrance import LazyFields


def separate_space_time(fields: Fields) -> Fields:
    """Return the fields with the product of map and time course that is nearest to each.

    The first pair of singular vectors of the "lag pixel" matrix, found through the small matrix of
    products between lags. The map has unit norm and the sign that makes the time course positive at
    its strongest lag: a map with a dark centre belongs to a cell that dark excites at that lag.
    `separability` is the share of the field's power in this one product. Lazy fields of
    `instantaneous_fields` are separated without being made.

    Parameters
    ----------
    fields
        Fields without values (NaN) keep NaN.

    Returns
    -------
    Fields
        The same, with `space`, `time_course` and `separability`.

    Raises
    ------
    ValueError
        If the fields have no values.

    Examples
    --------
    >>> import pandas as pd
    >>> values = np.multiply.outer([0.0, -2.0, 1.0], np.eye(4))[None]
    >>> field = Fields(values=values, items=pd.DataFrame({"cell": [0]}), frame_rate_hz=100.0)
    >>> separated = separate_space_time(field)
    >>> separated.separability.round(6).tolist(), separated.time_course.round(6).tolist()
    ([1.0], [[-0.0, 4.0, -2.0]])
    """
    if fields.values is None:
        msg = "The fields have no values, only their separation was kept. Compute them again."
        raise ValueError(msg)
    if isinstance(fields.values, LazyFields):
        space, time_course, separability = fields.values.first_products()
        return replace(fields, space=space, time_course=time_course, separability=separability)
    n_items, n_lags = fields.values.shape[:2]
    flat = np.asarray(fields.values, dtype=np.float64).reshape(n_items, n_lags, -1)
    space = np.full((n_items, flat.shape[2]), np.nan)
    time_course = np.full((n_items, n_lags), np.nan)
    separability = np.full(n_items, np.nan)
    for item, field in enumerate(flat):
        if np.isfinite(field).all() and field.any():
            space[item], time_course[item], separability[item] = first_product(field)
    return replace(
        fields,
        space=space.reshape(n_items, *fields.values.shape[2:]),
        time_course=time_course,
        separability=separability,
    )


def first_product(
    field: Float[np.ndarray, "lag pixel"],
) -> tuple[Float[np.ndarray, " pixel"], Float[np.ndarray, " lag"], float]:
    """Return map, time course and separability of one field that is not zero everywhere."""
    products = field @ field.T
    powers, lags = np.linalg.eigh(products)
    space = lags[:, -1] @ field
    space /= np.linalg.norm(space)
    time_course = field @ space
    sign = -1.0 if time_course[np.abs(time_course).argmax()] < 0 else 1.0
    return sign * space, sign * time_course, float(powers[-1] / powers.sum())
