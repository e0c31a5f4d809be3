"""Movies of classical experiments: one event each, between grey.

Time 0 (`start_s` is negative) is when the event begins. Contrasts may exceed 1: the
published experiments flash two standard deviations.
"""

from dataclasses import replace

import numpy as np

from retina_codec.datatypes import Stimulus

from .movies import GREY_SCREEN, Screen, flashes


def between_grey(stimulus: Stimulus, *, grey_s: float = 0.5, after_s: float = 0.5) -> Stimulus:
    """Put grey before and after a movie, whose first frame becomes time 0.

    Parameters
    ----------
    stimulus
        A contrast movie.
    grey_s, after_s
        Length of the grey before and after it in seconds.

    Returns
    -------
    Stimulus
        The longer movie; `start_s` is negative.

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

    Raises
    ------
    ValueError
        If a flash does not end before the next one.

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
    return begin_at(movie, -screen.frames_in(grey_s) - n_flashes * period)


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


def begin_at(movie: Stimulus, frame: int) -> Stimulus:
    """Say which frame a movie begins with; frame 0 is the event."""
    return replace(movie, start_s=frame / movie.frame_rate_hz)
