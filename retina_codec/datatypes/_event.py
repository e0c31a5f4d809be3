"""The record of one experiment that was shown to a network."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import pandas as pd
from jaxtyping import Float, Real

from ._labels import CONTRIBUTION, RATE, SAMPLE
from ._record import Record


@dataclass(frozen=True, kw_only=True, eq=False)
class Event(Record):
    """Responses of a network to the conditions of an experiment, their signature, and its pathways.

    Attributes
    ----------
    rates
        NaN where a condition was not shown that long.
    sample
        Time of each sample in seconds; 0 is the event.
    movie
        Contrast on the middle row of pixels at these times, in the first repeat.
    conditions, repeats
        Name of each condition; what was varied from repeat to repeat (a phase, a direction, a seed)
        in the column `value`.
    value, control
        The signature of each cell in each repeat and what it is compared with; NaN where the cell
        did not respond.
    signatures
        One row for each cell: its number in the output of the network (`cell`), means over repeats
        (`value`, `control`, `difference`), the bootstrap interval of the difference (`low`, `high`)
        and whether that is above 0 (`present`, 0 or 1).
    phenomenon, measure, varied
        Name of the experiment, what the signature says, and what varies between repeats.
    event
        The condition that contributions and loadings are of, in the first repeat.
    target
        What the contributions explain.
    contributions, features
        Of all layers side by side; `layer`, `channel` and `sign` of each feature.
    loadings, modes
        How much of each mode there is in them; `layer` and number (`mode`) of each.

    Raises
    ------
    ValueError
        If arrays disagree in their axes, or `event` is none of the conditions.

    Examples
    --------
    >>> import numpy as np
    >>> event = Event(
    ...     rates=np.zeros((1, 2, 5, 3)),
    ...     sample=np.arange(-1, 4) / 100,
    ...     movie=np.zeros((2, 5, 8)),
    ...     conditions=pd.DataFrame({"condition": ["omitted", "steady"]}),
    ...     repeats=pd.DataFrame({"value": [0.0]}),
    ...     value=np.zeros((1, 3)),
    ...     control=np.zeros((1, 3)),
    ...     signatures=pd.DataFrame({"cell": [0, 1, 2]}),
    ...     phenomenon="omitted stimulus",
    ...     measure="peak after the omitted flash",
    ...     varied="phase",
    ...     event="omitted",
    ... )
    >>> event.axes_of("rates")
    ('repeat', 'condition', 'sample', 'cell')
    """

    rates: Float[Any, "repeat condition sample cell"] = field(metadata=RATE)
    sample: Real[Any, " sample"] = field(metadata={**SAMPLE, "long_name": "time from the event"})
    movie: Float[Any, "condition sample x"] = field(metadata={"long_name": "contrast"})
    conditions: Annotated[pd.DataFrame, "condition"]
    repeats: Annotated[pd.DataFrame, "repeat"]
    value: Float[Any, "repeat cell"] = field(metadata={"long_name": "signature"})
    control: Float[Any, "repeat cell"] = field(metadata={"long_name": "control"})
    signatures: Annotated[pd.DataFrame, "cell"]
    phenomenon: str
    measure: str
    varied: str
    event: str
    target: str = ""
    contributions: Float[Any, "sample feature"] | None = field(default=None, metadata=CONTRIBUTION)
    features: Annotated[pd.DataFrame, "feature"] | None = None
    loadings: Float[Any, "sample mode"] | None = field(
        default=None, metadata={"long_name": "loading", "units": "a.u."}
    )
    modes: Annotated[pd.DataFrame, "mode"] | None = None

    def __post_init__(self):
        super().__post_init__()
        names = list(self.conditions["condition"])
        if self.event not in names:
            msg = (
                f"Event: 'event' must be one of the conditions ({', '.join(names)}), "
                f"got {self.event!r}."
            )
            raise ValueError(msg)
