"""Movies of bars and discs that move, turn back or jitter, between grey.

Time 0 (`start_s` is negative) is when the jitter begins, or when a bar is at the centre of the
field.
"""

from dataclasses import replace
from math import ceil

import numpy as np
from jaxtyping import Float

from retina_codec.datatypes import Stimulus

from .events import begin_at, between_grey
from .movies import GREY_SCREEN, Screen, bar, crossing, reversing_bar

JITTER_HZ = 30.0


def object_motion(
    *,
    differential: bool = True,
    radius_px: float = 8.0,
    centre_px: tuple[float, float] = (0.0, 0.0),
    bar_px: float = 2.0,
    steps_px: tuple[float, float] = (0.5, 0.3),
    duration_s: float = 5.0,
    still_s: float = 1.33,
    contrast: float = 1.0,
    grey_s: float = 0.5,
    screen: Screen = GREY_SCREEN,
    seed: int = 0,
) -> Stimulus:
    """Grating in a disc that jitters with the grating around it, or on its own way.

    Both step at random along x, 30 times a second. Bars are blended over one pixel. Time 0 is when
    the jitter begins.

    Parameters
    ----------
    differential
        Whether the disc has its own way; otherwise the whole field moves as the disc.
    radius_px, centre_px
        Of the disc; row and column of its centre from the centre of the field.
    bar_px
        Width of a bar in pixels.
    steps_px
        Standard deviation of a step of the disc, and of the background where it has its own way, in
        pixels.
    duration_s, still_s
        How long it jitters, and how long the grating stands still before and after, in seconds.
    contrast
        Of the bars.
    grey_s
        Length of the grey before it in seconds.
    screen
        Size and sampling of the movie.
    seed
        Of the jitter; the way of the disc is the same, be it differential or not.

    References
    ----------
    Olveczky, Baccus and Meister (2003), Nature 423:401-408.

    Examples
    --------
    >>> movie = object_motion(duration_s=0.5, still_s=0.1, grey_s=0.1, screen=Screen((20, 20)))
    >>> movie.frames.shape, movie.start_s
    ((80, 20, 20), -0.2)
    """
    rng = np.random.default_rng(seed)
    n_frames, still = screen.frames_in(duration_s), screen.frames_in(still_s)
    ways = {
        name: np.pad(_walk(n_frames, step, screen.frame_rate_hz, rng), (still, still), "edge")
        for name, step in zip(("disc", "background"), steps_px, strict=True)
    }
    across, down = screen.distance_along(0.0), screen.distance_along(90.0)
    inside = np.hypot(down - centre_px[0], across - centre_px[1]) <= radius_px
    disc = _bars(across, ways["disc"], bar_px)
    around = _bars(across, ways["background"], bar_px) if differential else disc
    movie = screen.show(contrast * np.where(inside, disc, around), name="object motion")
    movie = between_grey(movie, grey_s=grey_s, after_s=0.0)
    return begin_at(movie, -screen.frames_in(grey_s) - still)


def smooth_motion(
    *,
    direction_deg: float = 0.0,
    width_px: float = 4.0,
    speed_px_s: float = 40.0,
    contrast: float = -1.0,
    backwards: bool = False,
    grey_s: float = 0.5,
    after_s: float = 0.5,
    screen: Screen = GREY_SCREEN,
) -> Stimulus:
    """Bar that crosses the field; time 0 is when it has reached the centre.

    Parameters
    ----------
    direction_deg, width_px, speed_px_s, contrast
        As in `moving_bar`.
    backwards
        Run the movie backwards, so that after time 0 it is the same as `motion_reversal`.
    grey_s, after_s
        Length of the grey before and after in seconds, at least.
    screen
        Size and sampling of the movie.

    Examples
    --------
    >>> screen = Screen((1, 12))
    >>> back = smooth_motion(backwards=True, screen=screen)
    >>> turned = motion_reversal(screen=screen)
    >>> bool((back.frames[-60:] == turned.frames[-60:]).all())
    True
    """
    way = crossing(screen, direction_deg, width_px, speed_px_s)
    n_before = int(np.count_nonzero(way <= 0))
    way, zero = (way[::-1], len(way) - n_before) if backwards else (way, n_before)
    frames = bar(screen.distance_along(direction_deg), way, width_px, contrast)
    return _centred(frames, zero, screen, grey_s, after_s, "smooth motion")


def motion_reversal(
    *,
    direction_deg: float = 0.0,
    width_px: float = 4.0,
    speed_px_s: float = 40.0,
    contrast: float = -1.0,
    grey_s: float = 0.5,
    after_s: float = 0.5,
    screen: Screen = GREY_SCREEN,
) -> Stimulus:
    """Bar that turns back at the centre of the field, at time 0.

    Before time 0 it is the same as `smooth_motion`, after it as the same backwards.

    Parameters
    ----------
    direction_deg, width_px, speed_px_s, contrast, grey_s, after_s, screen
        As in `smooth_motion`.

    References
    ----------
    Schwartz, Taylor, Fisher, Harris and Berry (2007), Neuron 55:958-969.

    Examples
    --------
    >>> movie = motion_reversal(screen=Screen((1, 12)))
    >>> zero = round(-movie.start_s * 100)
    >>> bool((movie.frames[zero - 20 : zero] == movie.frames[zero : zero + 20][::-1]).all())
    True
    """
    how = {"direction_deg": direction_deg, "width_px": width_px, "speed_px_s": speed_px_s}
    frames = reversing_bar(**how, contrast=contrast, screen=screen).frames
    return _centred(frames, len(frames) // 2, screen, grey_s, after_s, "motion reversal")


def flashed_bars(
    *,
    direction_deg: float = 0.0,
    width_px: float = 4.0,
    spacing_px: float = 3.0,
    flash_s: float = 0.08,
    pause_s: float = 0.42,
    contrast: float = -1.0,
    grey_s: float = 0.5,
    screen: Screen = GREY_SCREEN,
) -> Stimulus:
    """Bar that is flashed at one place after the other, for comparison with `smooth_motion`.

    Places lie evenly around the centre of the field, `spacing_px` apart, along the direction.

    Parameters
    ----------
    direction_deg, width_px, contrast
        As in `moving_bar`.
    spacing_px
        From one place to the next in pixels.
    flash_s, pause_s
        Length of a flash and of the grey after it in seconds.
    grey_s
        Length of the grey before the first flash in seconds.
    screen
        Size and sampling of the movie.

    References
    ----------
    Berry, Brivanlou, Jordan and Meister (1999), Nature 398:334-338, doi:10.1038/18678.

    Examples
    --------
    >>> movie = flashed_bars(flash_s=0.01, pause_s=0.01, grey_s=0.0, screen=Screen((1, 8)))
    >>> movie.frames[::2, 0].argmin(axis=1).tolist()
    [0, 2, 5]
    """
    along = screen.distance_along(direction_deg)
    n_sides = int(along.max() // spacing_px)
    places = spacing_px * np.arange(-n_sides, n_sides + 1)
    bars = bar(along, places, width_px, contrast)
    n_frames = [screen.frames_in(flash_s), screen.frames_in(pause_s)]
    shown = np.stack([bars, np.zeros_like(bars)], axis=1).reshape(-1, *along.shape)
    movie = screen.show(np.repeat(shown, np.tile(n_frames, len(places)), axis=0), name="bars")
    return replace(between_grey(movie, grey_s=grey_s, after_s=0.0), name="flashed bars")


def _centred(frames, zero: int, screen: Screen, grey_s, after_s, name: str) -> Stimulus:
    """Put grey around, so that bars with the same way there begin together, whichever way they go.

    Forwards and backwards differ by a frame in when they reach the centre.
    """
    both_ways = max(zero, ceil(len(frames) / 2)) + 1
    before, after = screen.frames_in(grey_s), screen.frames_in(after_s)
    frames = np.pad(frames, ((before + both_ways - zero, after), (0, 0), (0, 0)))
    return begin_at(screen.show(frames, name=name), -before - both_ways)


def _walk(n_frames: int, step_px: float, frame_rate_hz: float, rng) -> Float[np.ndarray, " time"]:
    """Random walk that steps `JITTER_HZ` times a second and stands still between."""
    step = (np.arange(n_frames) * JITTER_HZ / frame_rate_hz).astype(int)
    return np.cumsum(rng.normal(0, step_px, step[-1] + 1))[step]


def _bars(across, shift_px: Float[np.ndarray, " time"], bar_px: float):
    """Triangle wave cut off at 1: bars whose edges are blended over one pixel."""
    cycle = (across[None] - shift_px[:, None, None]) / (2 * bar_px) % 1
    return np.clip(2 * bar_px * (0.5 - 2 * np.abs(cycle - 0.5)), -1, 1)
