"""The steps of the analysis in a row: settings, run folder, resuming; and comparisons."""

from ._comparison import compare, compare_run
from ._config import TARGETS, Config, method_named
from ._contributions import connected, store_contributions
from ._image_config import ImageConfig, superclass, superclasses
from ._image_run import ImageRun
from ._images import PARTS, images_of_run, refuse_unnamed_code, resumed_images, run_images
from ._modes import decompose_store
from ._phenomena import findings as phenomena_findings
from ._phenomena import phenomena_of_run
from ._remade import remade_report
from ._run import kept_modes, recording_of_run, resumed, run
from ._settings import settings_from
from ._training import train_network

__all__ = [
    "compare",
    "compare_run",
    "Config",
    "connected",
    "decompose_store",
    "ImageConfig",
    "ImageRun",
    "images_of_run",
    "kept_modes",
    "method_named",
    "PARTS",
    "phenomena_findings",
    "phenomena_of_run",
    "recording_of_run",
    "refuse_unnamed_code",
    "remade_report",
    "resumed",
    "resumed_images",
    "run",
    "run_images",
    "settings_from",
    "store_contributions",
    "superclass",
    "superclasses",
    "TARGETS",
    "train_network",
]
