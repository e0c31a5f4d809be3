"""Records: what the steps of the analysis hand to each other. Frozen and self-checking."""

from ._event import Event
from ._interneurons import Interneurons
from ._maps import Maps
from ._record import Record
from ._records import (
    REPRODUCES,
    CellTypes,
    Contributions,
    Effects,
    Fields,
    Modes,
    Predictions,
    Recording,
    Stability,
    Stimulus,
    check_finite,
)
from ._spelling import did_you_mean

RECORDS = {
    cls.__name__: cls
    for cls in (
        Stimulus,
        Recording,
        Predictions,
        Contributions,
        Modes,
        Stability,
        CellTypes,
        Fields,
        Effects,
        Event,
        Interneurons,
        Maps,
    )
}

__all__ = [
    "RECORDS",
    "REPRODUCES",
    "CellTypes",
    "Contributions",
    "Effects",
    "Event",
    "Fields",
    "Interneurons",
    "Maps",
    "Modes",
    "Predictions",
    "Record",
    "Recording",
    "Stability",
    "Stimulus",
    "check_finite",
    "did_you_mean",
]
