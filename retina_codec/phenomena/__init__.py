"""Classical experiments on a network: what it does, beside a control, and by which pathways."""

from collections.abc import Mapping
from types import MappingProxyType

from ._flashes import (
    CONTRAST_ADAPTATION,
    LATENCY_CODING,
    OMITTED_STIMULUS,
    PAIRED_FLASH,
    RESPONSE_AFTER_BEAT,
)
from ._motion import MOTION_ANTICIPATION, MOTION_REVERSAL, OBJECT_MOTION, REVERSING_GRATING
from ._phenomenon import Phenomenon, Response
from ._run import event_samples, in_units_of, run_phenomenon, signatures

PHENOMENA: Mapping[str, Phenomenon] = MappingProxyType(
    {
        phenomenon.name: phenomenon
        for phenomenon in (
            PAIRED_FLASH,
            RESPONSE_AFTER_BEAT,
            OMITTED_STIMULUS,
            LATENCY_CODING,
            CONTRAST_ADAPTATION,
            REVERSING_GRATING,
            OBJECT_MOTION,
            MOTION_REVERSAL,
            MOTION_ANTICIPATION,
        )
    }
)
"""The experiments that come with the package, by name."""

__all__ = [
    "PHENOMENA",
    "Phenomenon",
    "Response",
    "event_samples",
    "in_units_of",
    "run_phenomenon",
    "signatures",
]
