"""Receptive fields, whatever they belong to."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from ._record import Record


@dataclass(frozen=True, kw_only=True, eq=False)
class Fields(Record):
    """Receptive fields: of cells, of moments, of modes.

    Attributes
    ----------
    values
        Oldest lag first; the last lag is the frame just before the response. None where only the
        separation was kept.
    items
        What each field belongs to: one row each.
    frame_rate_hz, pixel_um
        Of the stimulus.
    space, time_course, separability
        The best product of one spatial map and one time course (the map has unit norm and the sign
        that makes the time course positive at its strongest lag), and its share of the field's
        power; None until `separate_space_time` made them.
    time_course_band
        Low and high end of a 95 % interval of the time course, for mean fields; None where nobody
        looked.
    unit
        Of the values.

    Raises
    ------
    ValueError
        If arrays disagree in their axes.

    Examples
    --------
    >>> fields = Fields(
    ...     values=np.zeros((2, 4, 8, 8)), items=pd.DataFrame({"cell": [0, 1]}), frame_rate_hz=100.0
    ... )
    >>> fields.lag_s.tolist()
    [-0.04, -0.03, -0.02, -0.01]
    """

    values: Float[Any, "item lag y x"] | None = field(
        default=None, metadata={"long_name": "receptive field"}
    )
    items: Annotated[pd.DataFrame, "item"]
    frame_rate_hz: float
    space: Float[Any, "item y x"] | None = field(
        default=None, metadata={"long_name": "spatial map"}
    )
    time_course: Float[Any, "item lag"] | None = field(
        default=None, metadata={"long_name": "time course"}
    )
    separability: Float[Any, " item"] | None = field(
        default=None, metadata={"long_name": "share of power in one space-time product"}
    )
    time_course_band: Float[Any, "item bound lag"] | None = field(
        default=None, metadata={"long_name": "95 % interval of the time course"}
    )
    pixel_um: float | None = None
    unit: str = "a.u."

    @property
    def lag_s(self) -> Float[np.ndarray, " lag"]:
        """Time of each lag before the response in seconds, negative."""
        n_lags = (self.time_course if self.values is None else self.values).shape[1]
        return (np.arange(n_lags) - n_lags) / self.frame_rate_hz
