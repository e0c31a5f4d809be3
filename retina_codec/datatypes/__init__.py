"""Records: what the steps of the analysis hand to each other. Frozen and self-checking."""

from ._cells import CellTypes, Effects, Predictions
from ._event import Event
from ._fields import Fields
from ._interneurons import Interneurons
from ._maps import Maps
from ._modes import REPRODUCES, Contributions, Modes, Stability
from ._record import Record
from ._recording import Recording, Stimulus, check_finite
from ._shipped import shipped
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
"""Every record under its name: what `export` can save and load."""

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
    "shipped",
]
