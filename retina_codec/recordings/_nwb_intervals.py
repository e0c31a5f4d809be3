"""Time intervals of NWB files: presentations of pictures, repeats, splits, invalid times."""

import warnings
from functools import partial
from typing import Any

import h5py
import numpy as np
import pandas as pd
from jaxtyping import Float

from retina_codec.datatypes import did_you_mean

from ._axes import Layout
from ._frame_clock import divided, touched_frames, without_rounding
from ._hdf5 import check_n_frames, child, kind_of, names_in, numbers, texts
from ._lazy import Picked
from ._nwb_movies import MOVIES, Shown, frames_of, name_of, picture_names
from ._nwb_tables import interval_table, plain_table

SPLITS = "intervals/splits"
INVALID = "intervals/invalid_times"
TEMPLATES = "stimulus/templates"
FRAME_COLUMNS = ("frame", "frame_index", "image_index")
NAME_COLUMN = "image_name"
PRESENTATIONS = "_presentations"
HALF = 0.5
BLANK = -1
BLANK_NAMES = ("", "blank", "gray", "grey", "nan", "none", "omitted")
MAX_FOR_MEAN = 50
COMPARED_FRAMES = 500


def presentations(file: h5py.File) -> dict[str, partial]:
    """Tables of intervals that show pictures: for each, the function that reads it."""
    tables = file.get("intervals", {})
    shown = {}
    for name in names_in(tables):
        table = child(tables, name)
        if isinstance(table, h5py.Group) and _frame_column(table) and _templates(file):
            shown[name] = partial(_presented, table)
    return shown


def splits_of(file: h5py.File, edges: Float[np.ndarray, " edge"]) -> dict[str, tuple[int, int]]:
    """Parts of the movie from a table of intervals "splits" with a column "split", if any."""
    table = file.get(SPLITS)
    if table is None or "split" not in table:
        return {}
    starts, stops = _frames_between(table, edges)
    names = texts(table["split"])
    return {name: (int(a), int(b)) for name, a, b in zip(names, starts, stops, strict=True)}


def invalid_frames(file: h5py.File, edges: Float[np.ndarray, " edge"]) -> np.ndarray:
    """Whether each frame touches a time that the file calls invalid."""
    if INVALID not in file:
        return np.zeros(len(edges) - 1, dtype=bool)
    table = interval_table(file, "invalid_times")
    return touched_frames(np.stack(_bounds(table, edges), axis=1), edges)


def repeats_of(
    file: h5py.File, asked: str, edges: Float[np.ndarray, " edge"], frames: Any
) -> list[tuple[int, int]]:
    """First frame and the one after the last of each repeat of one part of the movie.

    Parameters
    ----------
    file
        With a table of intervals.
    asked
        Name of the table, such as "trials"; "trials:kind=repeat" takes the rows whose column "kind"
        is "repeat".
    edges, frames
        Of the movie.

    Raises
    ------
    ValueError
        If there are fewer than two repeats, or they show different frames.

    Warns
    -----
    UserWarning
        If they are of unequal length; then each ends where the shortest does.
    """
    name, _, condition = asked.partition(":")
    table = interval_table(file, name)
    starts, stops = _frames_between(table, edges)
    chosen = _fulfilled(table, condition, name) & (stops > starts)
    begins = _bounds(table, edges)[0]
    chosen &= begins >= edges[0] - HALF * np.median(np.diff(edges))
    chosen &= stops <= len(edges) - 1
    starts, stops = starts[chosen], stops[chosen]
    if len(starts) < 2:
        msg = f"'repeats': {asked!r} has {len(starts)} intervals within the movie, expected 2."
        raise ValueError(msg)
    lengths = np.unique(stops - starts)
    if len(lengths) > 1:
        message = (
            f"Repeats last from {lengths[0]} to {lengths[-1]} frames; all end after the least."
        )
        warnings.warn(message, stacklevel=2)
    repeats = sorted((int(start), int(start + lengths[0])) for start in starts)
    if any(before[1] > after[0] for before, after in zip(repeats[:-1], repeats[1:], strict=True)):
        msg = f"'repeats': intervals in {asked!r} overlap. Choose rows that do not."
        raise ValueError(msg)
    _check_same(frames, repeats)
    return repeats


def splits_for(repeats: list[tuple[int, int]], n_frames: int) -> dict[str, tuple[int, int]]:
    """Test on the first or the last repeat: on that which leaves more for training.

    The training part may hold other repeats, in which no rates are known.

    Raises
    ------
    ValueError
        If nothing but repeats is left for training.

    Examples
    --------
    >>> splits_for([(0, 10), (50, 60)], 100)
    {'train': (10, 100), 'test': (0, 10)}
    """
    used = np.array(repeats)
    free = np.ones(n_frames, dtype=bool)
    for start, stop in repeats:
        free[start:stop] = False
    first, last = used[0], used[-1]
    after, before = free[first[1] :].sum(), free[: last[0]].sum()
    if not max(after, before):
        msg = "'repeats': the movie holds nothing else, so that nothing is left for training."
        raise ValueError(msg)
    test, train = (first, (first[1], n_frames)) if after > before else (last, (0, last[0]))
    return {
        "train": (int(train[0]), int(train[1])),
        "test": (int(test[0]), int(test[1])),
    }


def _check_same(frames: Any, repeats: list[tuple[int, int]]) -> None:
    (first, stop), *others = repeats
    for offset in range(0, stop - first, COMPARED_FRAMES):
        length = min(COMPARED_FRAMES, stop - first - offset)
        expected = np.asarray(frames[first + offset : first + offset + length])
        for start, _ in others:
            shown = np.asarray(frames[start + offset : start + offset + length])
            if not np.array_equal(shown, expected):
                msg = (
                    f"'repeats': the interval from frame {start} shows other frames than that from "
                    f"frame {first}. Choose rows, such as repeats='trials:kind=repeat'."
                )
                raise ValueError(msg)


def _fulfilled(table: h5py.Group, condition: str, name: str) -> np.ndarray:
    rows = plain_table(table)
    if not condition:
        return np.ones(len(rows), dtype=bool)
    column, _, value = condition.partition("=")
    if column not in rows:
        msg = (
            f"No column {column!r} in the intervals {name!r}. Columns: {', '.join(rows)}."
            f"{did_you_mean(column, rows)}"
        )
        raise ValueError(msg)
    return np.array([str(one) == value or _same_number(one, value) for one in rows[column]])


def _same_number(one: Any, text: str) -> bool:
    try:
        return float(one) == float(text)
    except ValueError:
        return False


def _bounds(table: h5py.Group, edges: Float[np.ndarray, " edge"]) -> list[np.ndarray]:
    return [without_rounding(numbers(table[f"{side}_time"]), edges) for side in ("start", "stop")]


def _frames_between(
    table: h5py.Group, edges: Float[np.ndarray, " edge"]
) -> tuple[np.ndarray, np.ndarray]:
    """Frames at which intervals start and stop, if they do so within half a frame of one."""
    half_frame = HALF * np.median(np.diff(edges))
    return tuple(np.searchsorted(edges, bound - half_frame) for bound in _bounds(table, edges))


def _frame_column(table: h5py.Group) -> str | None:
    for name in (*FRAME_COLUMNS, NAME_COLUMN):
        if name in table and "start_time" in table and "stop_time" in table:
            return name
    return None


def _templates(file: h5py.File) -> dict[str, h5py.Group]:
    templates = file.get(TEMPLATES, {})
    kinds = (*MOVIES, "Images")
    return {n: templates[n] for n in names_in(templates) if kind_of(child(templates, n)) in kinds}


def _template(table: h5py.Group) -> h5py.Group:
    """Find the template that a table shows: the one of its name, or the only one."""
    templates, name = _templates(table.file), name_of(table).removesuffix(PRESENTATIONS)
    close = [one for one in templates if one in name or name in one]
    close = [name] if name in templates else close
    if len(close) != 1:
        close = list(templates)
    if len(close) != 1:
        msg = (
            f"Stimulus {name_of(table)!r}: it is not clear which template it shows. "
            f"Templates: {', '.join(close)}."
        )
        raise ValueError(msg)
    taken = close[0]
    if taken not in name and name not in taken:
        message = f"Stimulus {name_of(table)!r}: the only template, {taken!r}, is taken for it."
        warnings.warn(message, stacklevel=2)
    return templates[taken]


def _presented(table: h5py.Group, layout: Layout) -> Shown:
    """Pictures, each shown during one interval; grey (the mean of all) between them."""
    template, name = _template(table), name_of(table)
    frames, guessed = frames_of(template, layout)
    rows = pd.DataFrame(
        {
            "start": numbers(table["start_time"]).astype(np.float64),
            "stop": numbers(table["stop_time"]).astype(np.float64),
            "frame": _shown_frames(table, template, len(frames)),
        }
    ).sort_values("start", kind="stable")
    index, onsets = _on_a_clock(rows, name)
    blank = 0.0
    if (index == BLANK).any():
        blank = _mean(frames)
        message = (
            f"Stimulus {name!r}: {int((index == BLANK).sum())} of {len(index)} frames are blank, "
            f"between pictures; they were filled with the mean of the pictures, {blank:.6g}."
        )
        warnings.warn(message, stacklevel=2)
    return Shown(name, Picked(frames, index, blank=blank), onsets, guessed=guessed)


def _shown_frames(table: h5py.Group, template: h5py.Group, n_frames: int) -> np.ndarray:
    """Frame of the template in each row; -1 (also NaN) is a blank screen."""
    column, name = _frame_column(table), name_of(table)
    if column == NAME_COLUMN:
        order = {picture: i for i, picture in enumerate(picture_names(template))}
        shown = [str(picture) for picture in texts(table[column])]
        unknown = [one for one in shown if one not in order and one.lower() not in BLANK_NAMES]
        if unknown:
            msg = (
                f"Stimulus {name!r}: no picture {unknown[0]!r} in the template."
                f"{did_you_mean(unknown[0], order)}"
            )
            raise ValueError(msg)
        return np.array([order.get(one, BLANK) for one in shown])
    values = numbers(table[column]).astype(np.float64)
    values = np.where(np.isnan(values), BLANK, values)
    wrong = values[(values != np.round(values)) | (values < BLANK) | (values >= n_frames)]
    if wrong.size:
        msg = (
            f"Stimulus {name!r}: column {column!r} names frame {wrong[0]:g}; the template has "
            f"{n_frames} frames (-1 is a blank screen)."
        )
        raise ValueError(msg)
    return values.astype(np.int64)


def _on_a_clock(rows: pd.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Cut intervals and the gaps between them into frames as long as the shortest of them."""
    starts, stops = rows["start"].to_numpy(), rows["stop"].to_numpy()
    durations = stops - starts
    if not len(rows) or not (np.isfinite(durations).all() and (durations > 0).all()):
        msg = f"Stimulus {name!r}: expected intervals that stop after they start."
        raise ValueError(msg)
    shortest = durations[durations > HALF * np.median(durations)].min()
    gaps = np.append(starts[1:] - stops[:-1], 0.0)
    if (gaps < -HALF * shortest).any():
        row = int(np.flatnonzero(gaps < -HALF * shortest)[0])
        msg = f"Stimulus {name!r}: the interval from {starts[row]:.6g} s overlaps the next one."
        raise ValueError(msg)
    is_gap = gaps > HALF * shortest
    step = min(shortest, np.median(gaps[is_gap])) if is_gap.any() else shortest
    ends = np.where(is_gap, stops, np.append(starts[1:], stops[-1]))
    order = np.argsort(np.concatenate([starts, stops[is_gap]]), kind="stable")
    starts_of = np.concatenate([starts, stops[is_gap]])[order]
    stops_of = np.concatenate([ends, starts[1:][is_gap[:-1]]])[order]
    shown = np.concatenate([rows["frame"].to_numpy(), np.full(is_gap.sum(), BLANK)])[order]
    times = np.maximum(1, np.round((stops_of - starts_of) / step)).astype(np.int64)
    check_n_frames(int(times.sum()))
    part, onsets = divided(starts_of, stops_of, times)
    return shown[part], onsets


def _mean(frames: Any) -> float:
    some = np.unique(np.linspace(0, len(frames) - 1, MAX_FOR_MEAN).astype(int))
    return float(np.mean([np.asarray(frames[i : i + 1]).mean() for i in map(int, some)]))
