"""Movies of NWB files, wherever their frames are: in the file, in videos, picked from pictures."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float

from ._axes import CHANNELS, Layout, in_order
from ._hdf5 import check_movie, check_n_frames, child, kind_of, numbers, texts, whole
from ._lazy import Joined, Picked, Pictures, Scaled, Stored

MOVIES = ("ImageSeries", "OpticalSeries")
INDEXED = "IndexSeries"
PICTURES = ("Image", "GrayscaleImage", "RGBImage", "RGBAImage")
REMOTE = "://"


@dataclass(frozen=True)
class Shown:
    """A movie and when it was shown.

    Attributes
    ----------
    name
        Of the stimulus.
    frames
        "time y x", mostly lazy.
    onsets
        When each frame began in seconds; there may be more or less of them than frames.
    rate_hz
        Frames per second where the file says so; None where the onsets were measured.
    guessed
        Whether the axes of the frames were guessed.
    """

    name: str
    frames: Any
    onsets: Float[np.ndarray, " onset"]
    rate_hz: float | None = None
    guessed: bool = False


Open = Callable[[h5py.Group, Layout], Shown]


def how_to_open(series: Any) -> Open | None:
    """Return the function that reads a stimulus of this kind; None if there is no such."""
    if not isinstance(series, h5py.Group):
        return None
    if kind_of(series) == INDEXED:
        return None if child(series, "data") is None else _indexed
    if kind_of(series) not in MOVIES:
        return None
    if "external_file" in series:
        return _movie
    return _movie if _has_frames(child(series, "data")) else None


def about(series: Any) -> str:
    """Kind and shape of a stimulus, in a few words."""
    kind = kind_of(series) or ("broken link" if series is None else "unknown kind")
    if not isinstance(series, h5py.Group):
        return kind
    if "external_file" in series:
        return f"{kind}, external movie"
    data = child(series, "data")
    return f"{kind}, shape {data.shape}" if isinstance(data, h5py.Dataset) else kind


def name_of(series: h5py.Group | h5py.Dataset) -> str:
    """Last part of the path of a group or a dataset."""
    return series.name.rsplit("/", 1)[-1]


def frames_of(series: h5py.Group, layout: Layout, n_times: int | None = None) -> tuple[Any, bool]:
    """Return the frames of a movie or of pictures as "time y x", and whether axes were guessed.

    Raises
    ------
    ValueError
        If there are none that can be read.
    """
    name = name_of(series)
    if kind_of(series) == "Images":
        return in_order(_pictures(series), layout, n_times, name)
    if "external_file" in series:
        stored = _external(series)
    else:
        check_movie(series["data"])
        stored = Stored(series["data"])
    return in_order(_scaled(stored, series.get("data")), layout, n_times, name)


def _has_frames(data: Any) -> bool:
    if not isinstance(data, h5py.Dataset) or data.shape is None or not data.size:
        return False
    return data.ndim == 3 or (data.ndim == 4 and data.shape[-1] in CHANNELS)


def _scaled(frames: Any, data: Any) -> Any:
    """Frames as they are stored, or scaled while they are read."""
    attributes = {} if data is None else data.attrs
    factor, offset = (float(attributes.get(k, d)) for k, d in (("conversion", 1), ("offset", 0)))
    if (factor, offset) == (1.0, 0.0) and frames.dtype.kind != "b":
        return frames
    return Scaled(frames, factor=factor, offset=offset)


def _movie(series: h5py.Group, layout: Layout) -> Shown:
    n_times = len(series["timestamps"]) if "timestamps" in series else None
    frames, guessed = frames_of(series, layout, n_times)
    onsets, rate_hz = _onsets(series, len(frames))
    return Shown(name_of(series), frames, onsets, rate_hz, guessed)


def _onsets(series: h5py.Group, n_frames: int) -> tuple[Float[np.ndarray, " onset"], float | None]:
    """When frames began, in seconds, and their rate if the file says it."""
    name = name_of(series)
    check_n_frames(n_frames)
    if "timestamps" in series:
        return numbers(series["timestamps"]).astype(np.float64), None
    start = series.get("starting_time")
    rate = float(start.attrs.get("rate", 0.0)) if start is not None else 0.0
    if not 0 < rate < np.inf:
        msg = f"Stimulus {name!r}: expected timestamps, or a starting_time with a rate above 0."
        raise ValueError(msg)
    first = float(start[()])
    if not np.isfinite(first):
        msg = f"Stimulus {name!r}: the starting_time is {first}, no time."
        raise ValueError(msg)
    return first + np.arange(n_frames) / rate, rate


def _external(series: h5py.Group) -> Any:
    """Videos named by a series, one after the other."""
    names = np.atleast_1d(texts(series["external_file"])).tolist()
    folder = Path(series.file.filename).resolve().parent
    parts = [_video(folder, name) for name in names]
    _check_starts(series, [len(part) for part in parts])
    return parts[0] if len(parts) == 1 else Joined(parts)


def _video(folder: Path, name: str) -> Any:
    if REMOTE in name:
        msg = f"the external movie {name!r} is not on this machine. Download it first."
        raise ValueError(msg)
    try:
        home = importlib.import_module(f"{__package__}._external_movie")
    except ImportError:
        msg = "Reading external movies needs av: pip install 'retina-codec[video]'"
        raise ImportError(msg) from None
    return home.ExternalMovie(folder / name)


def _check_starts(series: h5py.Group, lengths: list[int]) -> None:
    """Compare the frames in each video with what the series says; older files say nothing."""
    stated = series["external_file"].attrs.get("starting_frame")
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    if stated is None or len(np.atleast_1d(stated)) != len(starts) or not np.any(stated):
        return
    if np.atleast_1d(stated).tolist() != starts:
        msg = (
            f"Stimulus {name_of(series)!r}: starting_frame is {list(stated)}, but the videos hold "
            f"{lengths} frames, so that they would start at {starts}."
        )
        raise ValueError(msg)


def _indexed(series: h5py.Group, layout: Layout) -> Shown:
    """Frames that an index picks from pictures, or from another movie."""
    name, source = name_of(series), series.get("indexed_images")
    source = series.get("indexed_timeseries") if source is None else source
    if source is None:
        msg = f"Stimulus {name!r}: expected indexed_images or indexed_timeseries, found neither."
        raise ValueError(msg)
    frames, _ = frames_of(source, layout)
    index = checked_index(numbers(series["data"]), len(frames), name)
    onsets, rate_hz = _onsets(series, len(index))
    return Shown(name, Picked(frames, index), onsets, rate_hz)


def checked_index(values: np.ndarray, n_frames: int, name: str) -> np.ndarray:
    """Return whole numbers that name frames of a movie.

    Raises
    ------
    ValueError
        If they are not whole, or outside of it.
    """
    if values.ndim != 1 or values.dtype.kind not in "iu":
        msg = f"Stimulus {name!r}: an index of whole numbers was expected, got {values.dtype}."
        raise ValueError(msg)
    outside = values[(values < 0) | (values >= n_frames)]
    if outside.size:
        msg = f"Stimulus {name!r}: the index names frame {outside[0]}, but there are {n_frames}."
        raise ValueError(msg)
    return values.astype(np.int64)


def picture_names(images: h5py.Group) -> list[str]:
    """Names of pictures in the order in which an index counts them.

    Raises
    ------
    ValueError
        If there are several without an order.
    """
    return [name_of(picture) for picture in _ordered(images)]


def _pictures(images: h5py.Group) -> Pictures:
    pictures = _ordered(images)
    for picture in pictures:
        check_movie(picture)
    return Pictures([Stored(picture) for picture in pictures])


def _ordered(images: h5py.Group) -> list[h5py.Dataset]:
    """Pictures in the order that the file states; names in a group have no order of their own."""
    if "order_of_images" in images:
        references = np.atleast_1d(whole(images["order_of_images"]))
        if not all(isinstance(one, h5py.Reference) and one for one in references):
            msg = f"{images.name}/order_of_images points to pictures that are not there."
            raise ValueError(msg)
        return [images.file[one] for one in references]
    pictures = [images[name] for name in images if kind_of(child(images, name)) in PICTURES]
    if len(pictures) != 1:
        msg = (
            f"{images.name} holds {len(pictures)} pictures without order_of_images, so nobody "
            "knows which one an index means."
        )
        raise ValueError(msg)
    return pictures
