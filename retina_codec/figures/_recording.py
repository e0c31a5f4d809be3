"""Pictures of what was shown and what the cells answered."""

import numpy as np
from matplotlib.axes import Axes

from retina_codec.datatypes import Recording, Stimulus

from ._heat_maps import draw_heat_map, missing_key, name_ticks
from ._samples import Span, rows_of, samples_in
from ._style import STIMULUS_MAP, axes_or_new, height_of, positive_scale

GAP = 0.06


def plot_stimulus(
    stimulus: Stimulus,
    *,
    first_frame: int = 0,
    n_frames: int = 8,
    step: int = 1,
    ax: Axes | None = None,
) -> Axes:
    """Draw a strip of frames with their times.

    Parameters
    ----------
    stimulus
        Only the frames that are drawn are read.
    first_frame, n_frames, step
        Which frames: the first, how many, and every how-manieth.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Frames side by side.

    Raises
    ------
    ValueError
        If the movie ends before the first frame.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> stimulus = Stimulus(frames=np.zeros((30, 8, 8)), frame_rate_hz=100.0)
    >>> len(plot_stimulus(stimulus, n_frames=5, ax=Figure().subplots()).images)
    5
    """
    numbers = np.arange(first_frame, stimulus.frames.shape[0], step)[:n_frames]
    if not numbers.size:
        msg = f"The movie has {stimulus.frames.shape[0]} frames; 'first_frame' is {first_frame}."
        raise ValueError(msg)
    frames = np.asarray(stimulus.frames[first_frame : int(numbers[-1]) + 1 : step])
    ax = axes_or_new(ax, (7.2, 1.5))
    pixel = stimulus.pixel_um or 1.0
    height, width = frames.shape[1] * pixel, frames.shape[2] * pixel
    lefts = np.arange(len(frames)) * width * (1 + GAP)
    for left, frame in zip(lefts, frames, strict=True):
        image = ax.imshow(
            frame,
            cmap=STIMULUS_MAP,
            vmin=frames.min(),
            vmax=frames.max() if np.ptp(frames) else frames.min() + 1,
            extent=(left, left + width, height, 0),
        )
    times = stimulus.start_s + numbers / stimulus.frame_rate_hz
    ax.set(xlim=(0, lefts[-1] + width), ylim=(height, 0), xlabel="time (s)")
    ax.set_xticks(lefts + width / 2, labels=[f"{time:.2f}" for time in times])
    ax.set_ylabel("y (µm)" if stimulus.pixel_um else "y (pixel)")
    ax.spines[:].set_visible(False)
    beside = ax.inset_axes((1.02, 0, 0.012, 1))
    bar = ax.figure.colorbar(image, cax=beside, label=stimulus.label("frames"))
    bar.outline.set_visible(False)
    return ax


def plot_rates(recording: Recording, *, span_s: Span | None = None, ax: Axes | None = None) -> Axes:
    """Draw the recorded rate of each cell over time; hatched where it was not observed.

    Parameters
    ----------
    recording
        Cells are numbered by their row in the table of cells.
    span_s
        First and last time drawn; None draws all.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Heat map: cells (rows) over time.

    Raises
    ------
    ValueError
        If there is no frame in the span.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> movie = Stimulus(frames=np.zeros((30, 8, 8)), frame_rate_hz=100.0)
    >>> cells = pd.DataFrame({"cell_type": ["ON", "OFF"]})
    >>> recording = Recording(stimulus=movie, rates=np.ones((30, 2)), cells=cells, splits={})
    >>> ax = plot_rates(recording, ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.images[0].get_array().shape
    ('time (s)', (2, 30))
    """
    stimulus = recording.stimulus
    times = stimulus.start_s + np.arange(recording.rates.shape[0]) / stimulus.frame_rate_hz
    drawn = samples_in(times, span_s)
    rates = rows_of(recording.rates, drawn).T
    ax = axes_or_new(ax, (7.2, height_of(len(rates))))
    label = recording.label("rates")
    draw_heat_map(ax, rates, x=times[drawn], scale=positive_scale(rates), bar_label=label)
    name_ticks(ax.yaxis, [str(cell) for cell in range(len(rates))])
    ax.set(xlabel="time (s)", ylabel="cell")
    if np.isnan(rates).any():
        ax.legend(handles=[missing_key("not observed")], loc="lower right", bbox_to_anchor=(1, 1))
    return ax
