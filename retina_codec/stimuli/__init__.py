"""What networks see: movies and the windows onto them, and folders of pictures."""

from ._presented_gratings import presented_gratings
from ._seeded_noise import (
    binary,
    matlab_twister,
    numpy_twister,
    ran1,
    ran1_gaussian,
    seeded_noise,
)
from .design import (
    design,
)
from .digits import (
    DIGITS,
    digits,
)
from .events import (
    between_grey,
    contrast_step,
    omitted_stimulus,
    paired_flash,
    reversing_grating,
    step_of_contrast,
)
from .images import (
    ImageFolder,
    image_folder,
    unreadable,
)
from .motion import (
    flashed_bars,
    motion_reversal,
    object_motion,
    smooth_motion,
)
from .movies import (
    Screen,
    drifting_grating,
    flashes,
    moving_bar,
    natural_scenes,
    reversing_bar,
    steps,
    white_noise,
)
from .preparation import (
    Preparation,
    in_mode,
    upright,
)
from .windows import (
    Normalisation,
    Windows,
    normalisation,
    windows,
)

__all__ = [
    "DIGITS",
    "ImageFolder",
    "Normalisation",
    "Preparation",
    "Screen",
    "Windows",
    "between_grey",
    "binary",
    "contrast_step",
    "design",
    "digits",
    "drifting_grating",
    "flashed_bars",
    "flashes",
    "image_folder",
    "in_mode",
    "matlab_twister",
    "motion_reversal",
    "moving_bar",
    "natural_scenes",
    "normalisation",
    "numpy_twister",
    "object_motion",
    "omitted_stimulus",
    "paired_flash",
    "presented_gratings",
    "ran1",
    "ran1_gaussian",
    "reversing_bar",
    "reversing_grating",
    "seeded_noise",
    "smooth_motion",
    "step_of_contrast",
    "steps",
    "unreadable",
    "upright",
    "white_noise",
    "windows",
]
