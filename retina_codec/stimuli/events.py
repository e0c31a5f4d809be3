"""Movies of classical experiments: one event each, between grey.

Time 0 (`start_s` is negative) is when the event begins, or when a bar is at the centre of the
field. Contrasts may exceed 1: the published experiments flash two standard deviations.
"""

from dataclasses import replace
from math import ceil

import numpy as np
from jaxtyping import Float

from retina_codec.datatypes import Stimulus

from .movies import GREY_SCREEN, Screen, bar, crossing, flashes, reversing_bar

JITTER_HZ = 30.0


def between_grey(stimulus: Stimulus, *, grey_s: float = 0.5, after_s: float = 0.5) -> Stimulus:
    """Put grey before and after a movie, whose first frame becomes time 0.

    Parameters
    ----------
    stimulus
        A contrast movie.
    grey_s, after_s
        Length of the grey before and after it in seconds.

    Examples
    --------
    >>> movie = flashes(contrasts=[1.0], on_s=0.02, off_s=0.0, screen=Screen((1, 1)))
    >>> movie = between_grey(movie, grey_s=0.03, after_s=0.01)
    >>> movie.frames.ravel().tolist(), movie.start_s
    ([0.0, 0.0, 0.0, 1.0, 1.0, 0.0], -0.03)
    """
    before, after = (round(s * stimulus.frame_rate_hz) for s in (grey_s, after_s))
    frames = np.pad(np.asarray(stimulus.frames), ((before, after), (0, 0), (0, 0)))
    return replace(stimulus, frames=frames, start_s=-before / stimulus.frame_rate_hz)


def step_of_contrast(
    *,
    contrast: float = -1.0,
    step_s: float = 1.0,
    grey_s: float = 0.5,
    after_s: float = 0.5,
    screen: Screen = GREY_SCREEN,
) -> Stimulus:
    """One full-field step away from grey and back.

    Parameters
    ----------
    contrast
        During the step.
    step_s
        Length of the step in seconds; short ones are flashes.
    grey_s, after_s
        Length of the grey before and after it in seconds.
    screen
        Size and sampling of the movie.

    Examples
    --------
    >>> movie = step_of_contrast(step_s=0.02, grey_s=0.01, after_s=0.01, screen=Screen((1, 1)))
    >>> movie.frames.ravel().tolist()
    [0.0, -1.0, -1.0, 0.0]
    """
    step = flashes(contrasts=[contrast], on_s=step_s, off_s=0.0, screen=screen)
    return replace(between_grey(step, grey_s=grey_s, after_s=after_s), name="step of contrast")


def paired_flash(
    *,
    contrasts: tuple[float, float] = (-2.0, -2.0),
    interval_s: float = 0.1,
    flash_s: float = 0.01,
    grey_s: float = 0.4,
    after_s: float = 0.5,
    screen: Screen = GREY_SCREEN,
) -> Stimulus:
    """Two short full-field flashes.

    Parameters
    ----------
    contrasts
        Of the first and the second flash; 0 leaves one out.
    interval_s
        From the end of the first to the begin of the second in seconds.
    flash_s
        Length of a flash in seconds; a frame at least.
    grey_s, after_s
        Length of the grey before and after in seconds.
    screen
        Size and sampling of the movie.

    References
    ----------
    Maheswaranathan et al. (2023), Neuron 111:2742-2755, doi:10.1016/j.neuron.2023.06.007.

    Examples
    --------
    >>> movie = paired_flash(interval_s=0.02, grey_s=0.01, after_s=0.01, screen=Screen((1, 1)))
    >>> movie.frames.ravel().tolist()
    [0.0, -2.0, 0.0, 0.0, -2.0, 0.0]
    """
    flash, pause = max(1, screen.frames_in(flash_s)), screen.frames_in(interval_s)
    first, second = contrasts
    series = np.r_[np.full(flash, first), np.zeros(pause), np.full(flash, second)]
    movie = screen.show_full_field(series, name="paired flash")
    return between_grey(movie, grey_s=grey_s, after_s=after_s)


def omitted_stimulus(
    *,
    n_flashes: int = 5,
    period_s: float = 0.1,
    flash_s: float = 0.02,
    contrast: float = -2.0,
    last_alone: bool = False,
    grey_s: float = 0.5,
    after_s: float = 0.8,
    screen: Screen = GREY_SCREEN,
) -> Stimulus:
    """Full-field flashes at a steady beat, which then stops: time 0 is the first flash that lacks.

    Parameters
    ----------
    n_flashes
        How many are shown.
    period_s
        From the begin of one to the begin of the next in seconds.
    flash_s
        Length of a flash in seconds; a frame at least.
    contrast
        Of each flash.
    last_alone
        Show only the last of them, with the same timing: the control.
    grey_s, after_s
        Length of the grey before the first flash and after time 0 in seconds.
    screen
        Size and sampling of the movie.

    References
    ----------
    Schwartz, Harris, Shrom and Berry (2007), Nature Neuroscience 10:552-554.

    Examples
    --------
    >>> movie = omitted_stimulus(n_flashes=2, period_s=0.03, flash_s=0.01, grey_s=0.01,
    ...                          after_s=0.02, screen=Screen((1, 1)))
    >>> movie.frames.ravel().tolist(), movie.start_s
    ([0.0, -2.0, 0.0, 0.0, -2.0, 0.0, 0.0, 0.0, 0.0], -0.07)
    """
    on, period = max(1, screen.frames_in(flash_s)), screen.frames_in(period_s)
    if on >= period:
        msg = (
            f"A flash of {on} frames does not end before the next, {period} frames later; expected "
            "grey between them. Choose a longer 'period_s', a shorter 'flash_s' or more frames per "
            "second."
        )
        raise ValueError(msg)
    beat = np.r_[np.full(on, contrast), np.zeros(period - on)]
    shown = np.arange(n_flashes) >= (n_flashes - 1 if last_alone else 0)
    movie = screen.show_full_field(np.outer(shown, beat).ravel(), name="omitted stimulus")
    movie = between_grey(movie, grey_s=grey_s, after_s=after_s)
    return _begin_at(movie, -screen.frames_in(grey_s) - n_flashes * period)


def contrast_step(
    *,
    contrasts: tuple[float, float] = (0.2, 1.0),
    low_s: float = 0.5,
    high_s: float = 0.5,
    n_repeats: int = 10,
    grey_s: float = 0.5,
    screen: Screen = GREY_SCREEN,
    seed: int = 0,
) -> Stimulus:
    """Full-field Gaussian flicker whose contrast steps up and back, again and again.

    Parameters
    ----------
    contrasts
        Standard deviation of the flicker before and after the step; equal ones are the control.
    low_s, high_s
        How long each lasts in seconds.
    n_repeats
        How often the contrast steps up, each time with other noise.
    grey_s
        Length of the grey before it in seconds.
    screen
        Size and sampling of the movie.
    seed
        Of the noise, which is the same for all contrasts.

    References
    ----------
    Baccus and Meister (2002), Neuron 36:909-919.

    Examples
    --------
    >>> movie = contrast_step(contrasts=(0.0, 1.0), low_s=0.02, high_s=0.01, n_repeats=2,
    ...                       grey_s=0.0, screen=Screen((1, 1)))
    >>> (movie.frames.ravel() != 0).tolist()
    [False, False, True, False, False, True]
    """
    low, high = screen.frames_in(low_s), screen.frames_in(high_s)
    size = np.tile(np.repeat(contrasts, [low, high]), n_repeats)
    flicker = size * np.random.default_rng(seed).normal(size=len(size))
    movie = screen.show_full_field(flicker, name="contrast step")
    return between_grey(movie, grey_s=grey_s, after_s=0.0)


def reversing_grating(
    *,
    bar_px: float = 5.0,
    phase_deg: float = 0.0,
    direction_deg: float = 0.0,
    half_period_s: float = 0.5,
    duration_s: float = 3.0,
    contrast: float = 1.0,
    grey_s: float = 0.5,
    screen: Screen = GREY_SCREEN,
) -> Stimulus:
    """Black and white bars that change places again and again.

    Parameters
    ----------
    bar_px
        Width of a bar in pixels; infinity for a full-field flicker, the control.
    phase_deg
        Where the bars are: 360 is two bars further.
    direction_deg
        At right angles to the bars; 0 along x.
    half_period_s
        Time between reversals in seconds.
    duration_s
        Length of the grating in seconds.
    contrast
        Of the bars.
    grey_s
        Length of the grey before it in seconds.
    screen
        Size and sampling of the movie.

    References
    ----------
    Hochstein and Shapley (1976), Journal of Physiology 262:265-284.

    Examples
    --------
    >>> movie = reversing_grating(bar_px=1.0, half_period_s=0.01, duration_s=0.02, grey_s=0.0,
    ...                           screen=Screen((1, 4)))
    >>> movie.frames[:, 0].tolist()
    [[-1.0, 1.0, -1.0, 1.0], [1.0, -1.0, 1.0, -1.0]]
    """
    cycles = screen.distance_along(direction_deg) / (2 * bar_px) + phase_deg / 360
    bars = np.where(np.round(2 * cycles + 1e-6) % 2 == 0, 1.0, -1.0)
    n_frames, half = screen.frames_in(duration_s), screen.frames_in(half_period_s)
    sides = np.where(np.arange(n_frames) // half % 2 == 0, contrast, -contrast)
    movie = screen.show(np.multiply.outer(sides, bars), name="reversing grating")
    return between_grey(movie, grey_s=grey_s, after_s=0.0)


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
    return _begin_at(movie, -screen.frames_in(grey_s) - still)


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

    Before time 0 it is the same as `smooth_motion`, after it as the same backwards. Parameters are
    those of `smooth_motion`.

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
    Berry, Brivanlou, Jordan and Meister (1999), Nature 398:334-338.

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


def _begin_at(movie: Stimulus, frame: int) -> Stimulus:
    return replace(movie, start_s=frame / movie.frame_rate_hz)


def _centred(frames, zero: int, screen: Screen, grey_s, after_s, name: str) -> Stimulus:
    """Put grey around, so that bars with the same way there begin together, whichever way they go.

    Forwards and backwards differ by a frame in when they reach the centre.
    """
    both_ways = max(zero, ceil(len(frames) / 2)) + 1
    before, after = screen.frames_in(grey_s), screen.frames_in(after_s)
    frames = np.pad(frames, ((before + both_ways - zero, after), (0, 0), (0, 0)))
    return _begin_at(screen.show(frames, name=name), -before - both_ways)


def _walk(n_frames: int, step_px: float, frame_rate_hz: float, rng) -> Float[np.ndarray, " time"]:
    """Random walk that steps `JITTER_HZ` times a second and stands still between."""
    step = (np.arange(n_frames) * JITTER_HZ / frame_rate_hz).astype(int)
    return np.cumsum(rng.normal(0, step_px, step[-1] + 1))[step]


def _bars(across, shift_px: Float[np.ndarray, " time"], bar_px: float):
    """Triangle wave cut off at 1: bars whose edges are blended over one pixel."""
    cycle = (across[None] - shift_px[:, None, None]) / (2 * bar_px) % 1
    return np.clip(2 * bar_px * (0.5 - 2 * np.abs(cycle - 0.5)), -1, 1)
