"""The picture of a view, and the lines of Python that draw it again."""

import re
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from os import PathLike
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from retina_codec.figures import (
    plot_contributions,
    plot_fields,
    plot_loadings,
    plot_mode_features,
    plot_mode_removed,
    plot_moments,
    plot_prediction,
    plot_stimulus,
    style,
)

from ._run import N_FRAMES, ExploredRun, Moment
from ._view import View

WIDTH_INCH = 9.0
INK = "#222222"
FORMATS = ("svg", "png", "pdf")
MOST_FIELDS = 6


def draw_view(run: ExploredRun, view: View) -> Figure:
    """Draw what is looked at: the course of time, and the moment and the mode if they are chosen.

    Parameters
    ----------
    run
        Of `open_run`.
    view
        What is looked at.

    Raises
    ------
    ValueError
        If the run has no such cell, layer or mode.

    Examples
    --------
    >>> from retina_codec.explorer import open_run
    >>> run = open_run("my_run")  # doctest: +SKIP
    >>> view = View(cell=0, layer="relu1", time_s=1.5)
    >>> draw_view(run, view).savefig("moment.png")  # doctest: +SKIP
    >>> open_run("not_begun")
    Traceback (most recent call last):
    ValueError: ... holds no run: ...
    """
    view = run.checked(view)
    heights, draw = zip(*_rows(run, view), strict=True)
    with style():
        figure = Figure(figsize=(WIDTH_INCH, sum(heights)), layout="constrained")
        rows = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        for row, draw_row in zip(rows, draw, strict=True):
            draw_row(row)
    return figure


def save_picture(figure: Figure, path: str | PathLike) -> None:
    """Save a picture as .svg, .png or .pdf; the same picture is always the same file.

    Parameters
    ----------
    figure
        Of `draw_view`.
    path
        Its ending chooses the format. The file appears when it is complete.

    Raises
    ------
    ValueError
        If the ending is unknown.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_picture(Figure(), f"{folder}/empty.svg")
    ...     (Path(folder) / "empty.svg").read_text()[:5]
    '<?xml'
    """
    path = Path(path).expanduser()
    kind = path.suffix.removeprefix(".")
    if kind not in FORMATS:
        msg = f"A picture is saved as {', '.join(FORMATS)}; got the ending of {path.name!r}."
        raise ValueError(msg)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(as_file(figure, kind).getvalue())
    partial.replace(path)


def as_file(figure: Figure, kind: str) -> BytesIO:
    """Return what `save_picture` writes."""
    drawn = BytesIO()
    metadata = {"svg": {"Date": None}, "png": {"Software": None}, "pdf": {"CreationDate": None}}
    with style():
        figure.savefig(drawn, format=kind, metadata=metadata[kind])
    return BytesIO(with_plain_names(drawn.getvalue()) if kind == "svg" else drawn.getvalue())


def with_plain_names(svg: bytes) -> bytes:
    """Give the clips of an SVG numbers for names.

    Matplotlib names them after the last digits of the layout, which depend on what was drawn before
    in the same process; numbered, the same view is the same file everywhere.

    Examples
    --------
    >>> with_plain_names(b'<clipPath id="p0f"/><g clip-path="url(#p0f)"/>')
    b'<clipPath id="clip0"/><g clip-path="url(#clip0)"/>'
    """
    found = re.findall(rb'<clipPath id="(\w+)"', svg)
    names = {name: f"clip{i}".encode() for i, name in enumerate(dict.fromkeys(found))}

    def renamed(match: re.Match) -> bytes:
        return match[1] + names.get(match[2], match[2]) + match[3]

    return re.sub(rb'(<clipPath id="|url\(#)(\w+)("|\))', renamed, svg)


def lines_of_python(run: ExploredRun, view: View, *, kind: str = "svg") -> str:
    """Return the lines of Python that draw this view, from any folder.

    Parameters
    ----------
    run
        Of `open_run`.
    view
        What is looked at.
    kind
        Ending of the picture.

    Examples
    --------
    >>> from retina_codec.explorer import open_run
    >>> view = View(cell=0, layer="relu1", time_s=1.5)
    >>> print(lines_of_python(open_run("my_run"), view))  # doctest: +SKIP
    from retina_codec.explorer import View, draw_view, open_run, save_picture
    ...
    >>> view.code()
    "View(cell=0, layer='relu1', time_s=1.5)"
    """
    moved = run.config.recording != run.kept_recording
    where = f"{str(run.folder)!r}, recording={run.config.recording!r}" if moved else None
    return "\n".join(
        [
            "from retina_codec.explorer import View, draw_view, open_run, save_picture",
            "",
            f"run = open_run({where or repr(str(run.folder))})",
            f"view = {view.code()}",
            f'save_picture(draw_view(run, view), "{name_of(view)}.{kind}")',
            "",
        ]
    )


def name_of(view: View) -> str:
    """Return a name for the file of a view.

    Examples
    --------
    >>> name_of(View(cell=2, layer="relu1", time_s=1.5, mode=3))
    'cell2_relu1_1.500s_mode3'
    """
    parts = [f"cell{view.cell}", "".join(c if c.isalnum() else "-" for c in view.layer)]
    parts += [] if view.time_s is None else [f"{view.time_s:.3f}s"]
    parts += [] if view.mode is None else [f"mode{view.mode}"]
    return "_".join(parts)


def _rows(run: ExploredRun, view: View) -> list[tuple[float, Callable[[SubFigure], object]]]:
    """Heights in inches of the rows of the picture, and the functions that draw them."""
    n_features = len(np.asarray(run.layers[view.layer].contributions.channel))
    n_modes = len(run.layers[view.layer].shown_modes)
    tall = [1.0 + 0.1 * min(max(n, 8), 40) for n in (n_features, n_modes)]
    rows: list[tuple[float, Callable[[SubFigure], object]]] = [
        (1.7 + sum(tall), lambda figure: _draw_time(figure, run, view, tall))
    ]
    if view.time_s is not None:
        moment = run.moment(view)
        rows += [(1.5, lambda figure: _draw_frames(figure, moment))]
        rows += [(1.9, lambda figure: _draw_irf(figure, moment))]
    if view.mode is not None:
        rows += [(1.9, lambda figure: _draw_mode(figure, run, view))]
        if run.layers[view.layer].fields_of(view.mode) is not None:
            rows += [(2.9, lambda figure: _draw_mode_fields(figure, run, view))]
    return rows


def _draw_time(figure: SubFigure, run: ExploredRun, view: View, tall: list[float]) -> None:
    axes = figure.subplots(3, 1, height_ratios=[1.7, *tall])
    plot_prediction(run.rates(view), cell=view.cell, ax=axes[0])
    plot_contributions(run.contributions(view), ax=axes[1])
    plot_loadings(run.modes(view), ax=axes[2])
    axes[1].set_title(
        f"{view.layer}: contributions to the target ({run.config.target})", loc="left"
    )
    axes[2].set_title(f"{view.layer}: loadings of modes", loc="left")
    if view.time_s is not None:
        for ax in axes:
            mark_moment(ax, view.time_s)


def mark_moment(ax: Axes, time_s: float) -> None:
    """Draw a line at a moment."""
    ax.axvline(time_s, color=INK, linewidth=0.8, linestyle=(0, (3, 2)))


def _draw_frames(figure: SubFigure, moment: Moment) -> None:
    ax = figure.subplots()
    first, step = shown_frames(moment.irf.lag_s.size)
    plot_stimulus(moment.frames, first_frame=first, n_frames=N_FRAMES, step=step, ax=ax)
    ax.set_title(f"stimulus before {moment.irf.items['label'].iloc[0]}", loc="left")


def shown_frames(history: int) -> tuple[int, int]:
    """Return the first of the frames that are shown and the step; the last one is always there.

    Examples
    --------
    >>> shown_frames(25)
    (3, 3)
    """
    step = max(1, (history - 1) // (N_FRAMES - 1))
    return max(0, history - 1 - step * (N_FRAMES - 1)), step


def _draw_irf(figure: SubFigure, moment: Moment) -> None:
    left, right = figure.subfigures(1, 2, width_ratios=[1, 2.2])
    plot_fields(moment.irf, n_across=1, figure=left)
    left.suptitle("instantaneous field (IRF)", fontsize="medium")
    if moment.parts is None:
        right.suptitle("the field is zero: the cell is silent here", fontsize="medium")
    else:
        plot_moments(moment.parts, figure=right)


def _draw_mode(figure: SubFigure, run: ExploredRun, view: View) -> None:
    layer, (left, right) = run.layers[view.layer], figure.subplots(1, 2)
    plot_mode_features(layer.modes, mode=view.mode, ax=left)
    plot_mode_removed(layer.cells_of(view.mode, run.n_cells), mode=view.mode, ax=right)


def _draw_mode_fields(figure: SubFigure, run: ExploredRun, view: View) -> None:
    fields = run.layers[view.layer].fields_of(view.mode)
    shown = range(min(MOST_FIELDS, len(fields.items)))
    named = fields.items.assign(label=[f"cell {cell}" for cell in fields.items["cell"]])
    plot_fields(replace(fields, items=named), items=shown, figure=figure)
    figure.suptitle(f"mean part of mode {view.mode} in the field of each cell", fontsize="medium")
