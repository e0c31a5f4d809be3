"""Records: what the steps of the analysis hand to each other. Frozen and self-checking."""

from ._record import Record
from ._records import (
    Contributions,
    Effects,
    Fields,
    Modes,
    Predictions,
    Recording,
    Stimulus,
    check_finite,
)

RECORDS = {
    cls.__name__: cls
    for cls in (Stimulus, Recording, Predictions, Contributions, Modes, Fields, Effects)
}

__all__ = [
    "RECORDS",
    "Contributions",
    "Effects",
    "Fields",
    "Modes",
    "Predictions",
    "Record",
    "Recording",
    "Stimulus",
    "check_finite",
]
