"""Interneurons that were recorded themselves, to set beside the units of a network."""

from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float

from ._record import Record
from ._recording import Stimulus


@dataclass(frozen=True, kw_only=True, eq=False)
class Interneurons(Record):
    """Stimulus and membrane potentials of bipolar, amacrine or horizontal cells.

    Attributes
    ----------
    stimulus
        The movie that all potentials refer to.
    potentials
        Membrane potential of each cell during each frame, without its slow drift.
    kind
        What the cells are.
    source
        Where the recording came from.

    Raises
    ------
    ValueError
        If there is not one potential for each frame and cell.

    Examples
    --------
    >>> import numpy as np
    >>> movie = Stimulus(frames=np.zeros((300, 8, 8)), frame_rate_hz=100.0)
    >>> cells = Interneurons(stimulus=movie, potentials=np.zeros((300, 2)), kind="bipolar")
    >>> cells.axes_of("potentials")
    ('time', 'cell')
    """

    stimulus: Stimulus
    potentials: Float[Any, "time cell"] = field(metadata={"long_name": "membrane potential"})
    kind: str = ""
    source: str = ""
