"""The steps of the analysis in a row: settings, run folder, resuming; and comparisons."""

from ._comparison import compare, compare_run
from ._config import TARGETS, Config, method_named
from ._contributions import connected, store_contributions
from ._image_config import ImageConfig, superclass, superclasses
from ._images import PARTS, resumed_images, run_images
from ._modes import decompose_store
from ._phenomena import findings as phenomena_findings
from ._phenomena import phenomena_of_run
from ._run import kept_modes, resumed, run

__all__ = [
    "PARTS",
    "ImageConfig",
    "resumed_images",
    "run_images",
    "superclass",
    "superclasses",
    "TARGETS",
    "Config",
    "compare",
    "compare_run",
    "connected",
    "decompose_store",
    "kept_modes",
    "method_named",
    "phenomena_findings",
    "phenomena_of_run",
    "resumed",
    "run",
    "store_contributions",
]
