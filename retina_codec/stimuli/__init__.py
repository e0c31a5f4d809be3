"""Movies to show, and the windows through which a network sees them."""

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
    "Normalisation",
    "Screen",
    "Windows",
    "drifting_grating",
    "flashes",
    "moving_bar",
    "natural_scenes",
    "normalisation",
    "reversing_bar",
    "steps",
    "white_noise",
    "windows",
]
