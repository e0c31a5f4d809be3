"""Movies to show, and the windows through which a network sees them."""

from .digits import DIGITS, digits
from .events import (
    between_grey,
    contrast_step,
    omitted_stimulus,
    paired_flash,
    reversing_grating,
    step_of_contrast,
)
from .motion import flashed_bars, motion_reversal, object_motion, smooth_motion
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
from .windows import Normalisation, Windows, normalisation, windows

__all__ = [
    "DIGITS",
    "Normalisation",
    "Screen",
    "Windows",
    "between_grey",
    "contrast_step",
    "digits",
    "drifting_grating",
    "flashed_bars",
    "flashes",
    "motion_reversal",
    "moving_bar",
    "natural_scenes",
    "normalisation",
    "object_motion",
    "omitted_stimulus",
    "paired_flash",
    "reversing_bar",
    "reversing_grating",
    "smooth_motion",
    "step_of_contrast",
    "steps",
    "white_noise",
    "windows",
]
