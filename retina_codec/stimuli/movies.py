"""Movies that are shown to retinas: noise, natural scenes, flashes, gratings and bars.

Every movie is a contrast movie: 0 is the mean grey, and -1 to 1 spans what a screen can show
(natural scenes may exceed it). Axes are time, y, x.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import skimage
from jaxtyping import Float
from scipy.ndimage import map_coordinates

from retina_codec.datatypes import Stimulus

PHOTOGRAPHS = ("camera", "coffee", "chelsea", "astronaut", "rocket", "grass", "gravel", "brick")


@dataclass(frozen=True)
class Screen:
    """Where movies are shown: height and width in pixels, and the sampling in time and space.

    Attributes
    ----------
    shape
        Height and width of a frame in pixels.
    frame_rate_hz
        Frames per second.
    pixel_um
        Side of a pixel on the retina in micrometres; None if it does not matter.

    Examples
    --------
    >>> screen = Screen((2, 3), frame_rate_hz=50.0)
    >>> screen.show_full_field(np.ones(screen.frames_in(0.1)), name="white").frames.shape
    (5, 2, 3)
    >>> screen.distance_along(0.0).tolist()
    [[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]]
    """

    shape: tuple[int, int] = (32, 32)
    frame_rate_hz: float = 100.0
    pixel_um: float | None = 50.0

    def frames_in(self, duration_s: float) -> int:
        """Whole number of frames that is nearest to a duration.

        Parameters
        ----------
        duration_s
            In seconds.
        """
        return round(duration_s * self.frame_rate_hz)

    def show(self, frames: Float[np.ndarray, "time y x"], *, name: str) -> Stimulus:
        """Return the frames as a stimulus on this screen.

        Parameters
        ----------
        frames
            Contrast.
        name
            What is shown.
        """
        frames = np.ascontiguousarray(frames, dtype=np.float32)
        return Stimulus(
            frames=frames, frame_rate_hz=self.frame_rate_hz, pixel_um=self.pixel_um, name=name
        )

    def show_full_field(self, contrast: Float[np.ndarray, " time"], *, name: str) -> Stimulus:
        """Return one contrast for all pixels of each frame as a stimulus.

        Parameters
        ----------
        contrast
            Of each frame.
        name
            What is shown.
        """
        return self.show(np.tile(contrast[:, None, None], (1, *self.shape)), name=name)

    def distance_along(self, direction_deg: float) -> Float[np.ndarray, "y x"]:
        """Distance of each pixel from the centre of the field along a direction, in pixels.

        Parameters
        ----------
        direction_deg
            0 along x, 90 along y, in degrees.
        """
        y, x = np.mgrid[: self.shape[0], : self.shape[1]]
        angle = np.deg2rad(direction_deg)
        return (x - x.mean()) * np.cos(angle) + (y - y.mean()) * np.sin(angle)


GREY_SCREEN = Screen()


def white_noise(
    *,
    n_frames: int,
    check_px: int = 1,
    screen: Screen = GREY_SCREEN,
    seed: int = 0,
) -> Stimulus:
    """Binary white noise: every check is -1 or 1, anew in each frame.

    Parameters
    ----------
    n_frames
        Length of the movie.
    check_px
        Side of a check in pixels.
    screen
        Size and sampling of the movie.
    seed
        Of the random numbers.

    Examples
    --------
    >>> movie = white_noise(n_frames=100, screen=Screen((8, 8)))
    >>> movie.frames.shape, sorted(set(movie.frames.ravel().tolist()))
    ((100, 8, 8), [-1.0, 1.0])
    """
    rows, columns = (-(-size // check_px) for size in screen.shape)
    checks = np.random.default_rng(seed).integers(0, 2, (n_frames, rows, columns), dtype=np.int8)
    pixels = checks.repeat(check_px, axis=1).repeat(check_px, axis=2)[
        :, : screen.shape[0], : screen.shape[1]
    ]
    frames = pixels.astype(np.float32) * 2 - 1
    return screen.show(frames, name="white noise")


def natural_scenes(
    *,
    n_frames: int,
    screen: Screen = GREY_SCREEN,
    saccade_s: float = 1.0,
    jitter_px: float = 0.5,
    photographs: Sequence[str] = PHOTOGRAPHS,
    seed: int = 0,
) -> Stimulus:
    """Photographs seen by a moving eye: fixational jitter, and a saccade every second.

    Each fixation shows a random place of a random photograph, at half the photograph's resolution.
    The gaze then drifts as a random walk that is drawn back to where it started. Contrast is the
    luminance minus the photograph's mean, divided by the standard deviation of the photograph.

    Parameters
    ----------
    n_frames
        Length of the movie.
    screen
        Size and sampling of the movie.
    saccade_s
        Time between saccades in seconds.
    jitter_px
        Standard deviation of one step of the random walk in pixels.
    photographs
        Names in `skimage.data`; those that scikit-image ships.
    seed
        Of the random numbers.

    Examples
    --------
    >>> natural_scenes(n_frames=150, screen=Screen((8, 8))).frames.shape
    (150, 8, 8)
    """
    rng = np.random.default_rng(seed)
    pictures = [_contrast_picture(name) for name in photographs]
    frames = np.empty((n_frames, *screen.shape), dtype=np.float32)
    per_fixation = max(1, screen.frames_in(saccade_s))
    grid = np.stack(np.mgrid[: screen.shape[0], : screen.shape[1]]).astype(float)
    for first in range(0, n_frames, per_fixation):
        picture = pictures[rng.integers(len(pictures))]
        room = np.array(picture.shape) - np.array(screen.shape)
        centre = rng.uniform(0, room)
        gaze = np.clip(centre + _drift(per_fixation, jitter_px, rng), 0, room - 1)
        for i, (y, x) in enumerate(gaze[: n_frames - first]):
            place = grid + np.array([y, x])[:, None, None]
            frames[first + i] = map_coordinates(picture, place, order=1, mode="nearest")
    return screen.show(frames, name="natural scenes")


def _contrast_picture(name: str) -> np.ndarray:
    picture = skimage.util.img_as_float(getattr(skimage.data, name)())
    grey = skimage.color.rgb2gray(picture) if picture.ndim == 3 else picture
    small = skimage.transform.downscale_local_mean(grey, (2, 2))
    return (small - small.mean()) / small.std()


def _drift(n_frames: int, step_px: float, rng: np.random.Generator) -> np.ndarray:
    """Random walk with a pull to its origin (10 % of the distance in each frame)."""
    steps = rng.normal(0, step_px, (n_frames, 2))
    position = np.zeros((n_frames, 2))
    for i in range(1, n_frames):
        position[i] = 0.9 * position[i - 1] + steps[i]
    return position


def flashes(
    *,
    contrasts: Sequence[float] = (1.0, -1.0),
    on_s: float = 0.5,
    off_s: float = 0.5,
    n_repeats: int = 1,
    screen: Screen = GREY_SCREEN,
) -> Stimulus:
    """Full-field flashes of given contrasts, each after a grey screen.

    Parameters
    ----------
    contrasts
        One flash each.
    on_s, off_s
        Length of a flash and of the grey before it in seconds.
    n_repeats
        How often the whole series is shown.
    screen
        Size and sampling of the movie.

    Examples
    --------
    >>> movie = flashes(contrasts=[1.0], on_s=0.02, off_s=0.03, screen=Screen((1, 1)))
    >>> movie.frames.ravel().tolist()
    [0.0, 0.0, 0.0, 1.0, 1.0]
    """
    on, off = screen.frames_in(on_s), screen.frames_in(off_s)
    series = np.concatenate([np.r_[np.zeros(off), np.full(on, value)] for value in contrasts])
    return screen.show_full_field(np.tile(series, n_repeats), name="flashes")


def steps(
    *,
    contrasts: Sequence[float] = (0.0, 1.0, 0.0, -1.0),
    step_s: float = 1.0,
    screen: Screen = GREY_SCREEN,
) -> Stimulus:
    """Full-field steps from one contrast to the next without grey between them.

    Parameters
    ----------
    contrasts
        One step each.
    step_s
        Length of a step in seconds.
    screen
        Size and sampling of the movie.

    Examples
    --------
    >>> steps(contrasts=[0.5, -0.5], step_s=0.02, screen=Screen((1, 1))).frames.ravel().tolist()
    [0.5, 0.5, -0.5, -0.5]
    """
    series = np.repeat(np.asarray(contrasts, dtype=float), screen.frames_in(step_s))
    return screen.show_full_field(series, name="steps")


def drifting_grating(
    *,
    n_frames: int,
    direction_deg: float = 0.0,
    period_px: float = 8.0,
    temporal_hz: float = 2.0,
    contrast: float = 1.0,
    screen: Screen = GREY_SCREEN,
) -> Stimulus:
    """Sinusoidal grating that drifts at right angles to its stripes.

    Parameters
    ----------
    n_frames
        Length of the movie.
    direction_deg
        Direction of motion: 0 to larger x, 90 to larger y.
    period_px
        Length of a spatial cycle in pixels.
    temporal_hz
        Cycles that pass a pixel in a second.
    contrast
        Amplitude.
    screen
        Size and sampling of the movie.

    Examples
    --------
    >>> movie = drifting_grating(n_frames=50, temporal_hz=2.0, screen=Screen((4, 16)))
    >>> abs(float(movie.frames.mean())) < 1e-6
    True
    """
    seconds = np.arange(n_frames)[:, None, None] / screen.frame_rate_hz
    cycles = screen.distance_along(direction_deg) / period_px - temporal_hz * seconds
    frames = contrast * np.sin(2 * np.pi * cycles)
    return screen.show(frames, name="drifting grating")


def moving_bar(
    *,
    direction_deg: float = 0.0,
    width_px: float = 4.0,
    speed_px_s: float = 40.0,
    contrast: float = -1.0,
    screen: Screen = GREY_SCREEN,
) -> Stimulus:
    """Bar that crosses the whole field once, edges blended over one pixel.

    Parameters
    ----------
    direction_deg
        Direction of motion: 0 to larger x, 90 to larger y.
    width_px
        Width of the bar in pixels, along its motion.
    speed_px_s
        Pixels per second.
    contrast
        Of the bar; the background is 0.
    screen
        Size and sampling of the movie.

    Examples
    --------
    >>> movie = moving_bar(screen=Screen((1, 12)), width_px=3.0, speed_px_s=100.0)
    >>> int(movie.frames[8].argmin()) > int(movie.frames[4].argmin())
    True
    """
    centres = crossing(screen, direction_deg, width_px, speed_px_s)
    frames = bar(screen.distance_along(direction_deg), centres, width_px, contrast)
    return screen.show(frames, name="moving bar")


def reversing_bar(
    *,
    direction_deg: float = 0.0,
    width_px: float = 4.0,
    speed_px_s: float = 40.0,
    contrast: float = -1.0,
    screen: Screen = GREY_SCREEN,
) -> Stimulus:
    """Bar that moves to the centre of the field and then back the way it came.

    Parameters
    ----------
    direction_deg, width_px, speed_px_s, contrast, screen
        As in `moving_bar`.

    Examples
    --------
    >>> movie = reversing_bar(screen=Screen((1, 12)), speed_px_s=100.0)
    >>> bool(np.allclose(movie.frames, movie.frames[::-1]))
    True
    """
    way = crossing(screen, direction_deg, width_px, speed_px_s)
    centres = np.concatenate([way[way <= 0], way[way <= 0][::-1]])
    frames = bar(screen.distance_along(direction_deg), centres, width_px, contrast)
    return screen.show(frames, name="reversing bar")


def crossing(
    screen: Screen, direction_deg: float, width_px: float, speed_px_s: float
) -> Float[np.ndarray, " time"]:
    """Position of a bar's centre in each frame, from outside the field to outside again."""
    reach = screen.distance_along(direction_deg).max() + width_px / 2 + 0.5
    n_frames = screen.frames_in(2 * reach / speed_px_s) + 1
    return np.linspace(
        -reach, -reach + (n_frames - 1) * speed_px_s / screen.frame_rate_hz, n_frames
    )


def bar(
    along: Float[np.ndarray, "y x"],
    centres: Float[np.ndarray, " time"],
    width_px: float,
    contrast: float,
) -> Float[np.ndarray, "time y x"]:
    """Bar at a distance along its motion in each frame, edges blended over one pixel."""
    inside = width_px / 2 + 0.5 - np.abs(along[None] - centres[:, None, None])
    return contrast * np.clip(inside, 0, 1)
