"""The record of which pixels of images drove a target, through which modes."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from ._record import Record

AREA = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class Maps(Record):
    """What each pixel of an image did to a target, through some channels of a layer.

    Attributes
    ----------
    values
        Gradient through the channels times (image - baseline), for each colour of each pixel.
    items
        One row for each map: number of the image (`sample`), `mode` (-1: what no mode explains,
        -2: what went round the layer) or another description, `label`, and the `target` at the
        image.
    layer, target
        Through which layer; what was explained.
    settings
        How the maps were made.

    Raises
    ------
    ValueError
        If arrays disagree in their axes.

    Examples
    --------
    >>> maps = Maps(
    ...     values=np.array([[[[2.0, -1.0]], [[-0.5, -1.0]]]]),
    ...     items=pd.DataFrame({"sample": [0]}),
    ...     layer="conv",
    ...     target="top class",
    ... )
    >>> maps.net.tolist(), maps.positive.tolist(), maps.negative.tolist()
    ([[[1.5, -2.0]]], [[[2.0, 0.0]]], [[[-0.5, -2.0]]])
    """

    values: Float[Any, "item colour y x"] = field(
        metadata={"long_name": "share of the change", "units": "units of the target"}
    )
    items: Annotated[pd.DataFrame, "item"]
    layer: str
    target: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def net(self) -> Float[np.ndarray, "item y x"]:
        """Sum over colours."""
        return np.asarray(self.values).sum(axis=1)

    @property
    def positive(self) -> Float[np.ndarray, "item y x"]:
        """Sum over the colours that raise the target."""
        return np.maximum(np.asarray(self.values), 0).sum(axis=1)

    @property
    def negative(self) -> Float[np.ndarray, "item y x"]:
        """Sum over the colours that lower the target; not above 0."""
        return np.minimum(np.asarray(self.values), 0).sum(axis=1)

    def regions(self, area: float = AREA) -> Bool[np.ndarray, "item y x"]:
        """Pixels of each map where the positive part is largest.

        Parameters
        ----------
        area
            Share of the pixels; fewer where fewer raise the target.

        Raises
        ------
        ValueError
            If the area is not above 0 and up to 1.
        """
        if not 0 < area <= 1:
            msg = f"'area' is a share of the pixels, above 0 and up to 1, got {area}."
            raise ValueError(msg)
        positive = self.positive
        flat = positive.reshape(len(positive), -1)
        n_pixels = max(1, round(area * flat.shape[1]))
        found = np.zeros(flat.shape, dtype=bool)
        largest = np.argsort(-flat, axis=1, kind="stable")[:, :n_pixels]
        np.put_along_axis(found, largest, True, axis=1)
        return found.reshape(positive.shape) & (positive > 0)
