"""Parts of HDF5 files: numbers, texts and movies, and whether they can be decompressed.

That arrays are not larger than what is stored for them is checked when a file is opened.
"""

import importlib
from typing import Any

import h5py
import numpy as np

NUMBERS = "iufb"
MAX_FRAMES = 50_000_000
MAX_FRAME_BYTES = 2**30
MAX_CHUNK_BYTES = 2**31


def kind_of(thing: Any) -> str:
    """Name of the NWB type of a group or dataset; "" where it has none.

    Examples
    --------
    >>> kind_of(None)
    ''
    """
    kind = "" if thing is None else thing.attrs.get("neurodata_type", "")
    return kind.decode(errors="replace") if isinstance(kind, bytes) else str(kind)


def names_in(group: Any) -> list[str]:
    r"""Names in a group; what is no UTF-8 in them is written out.

    Examples
    --------
    >>> names_in([b"\xff", "noise"])
    ['\\xff', 'noise']
    """
    return [n if isinstance(n, str) else n.decode(errors="backslashreplace") for n in group]


def child(group: Any, name: str) -> Any:
    """Group or dataset of a name; None if there is none, or its link leads nowhere."""
    try:
        return group.get(name)
    except (OSError, RuntimeError, AttributeError):  # Links in a circle, names in no encoding.
        return None


def whole(dataset: Any) -> Any:
    """Return all that a dataset holds.

    Raises
    ------
    ValueError
        If it is no dataset, or cannot be decompressed.
    """
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        name = getattr(dataset, "name", dataset)
        msg = f"expected values in {name}, but there are none."
        raise ValueError(msg)
    check_filters(dataset)
    return dataset[()]


def texts(dataset: h5py.Dataset) -> np.ndarray:
    """Return the texts in a dataset, if they are texts.

    Raises
    ------
    ValueError
        If the dataset holds something else, or text that is not UTF-8.
    """
    if h5py.check_string_dtype(dataset.dtype) is None:
        msg = f"expected text in {dataset.name}, got {dataset.dtype}."
        raise ValueError(msg)
    whole(dataset)
    return np.asarray(dataset.asstr()[()], dtype=object)


def numbers(dataset: Any) -> np.ndarray:
    """Return the numbers in a dataset, if they are numbers.

    Raises
    ------
    ValueError
        If the dataset holds something else.
    """
    values = np.asarray(whole(dataset))
    if values.dtype.kind not in NUMBERS:
        msg = f"expected numbers in {dataset.name}, got {dataset.dtype}."
        raise ValueError(msg)
    return values


def check_movie(dataset: Any) -> None:
    """Check that frames which will be read piece by piece can be there, and can be decompressed.

    Raises
    ------
    ValueError
        If there are no numbers, no data behind the shape, or frames beyond all measure.
    """
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in NUMBERS:
        kind = getattr(dataset, "dtype", type(dataset).__name__)
        msg = f"expected frames of numbers in {dataset.name}, got {kind}."
        raise ValueError(msg)
    if dataset.size and not dataset.is_virtual and not dataset.id.get_storage_size():
        msg = (
            f"{dataset.name} declares the shape {dataset.shape}, but the file holds no data of it."
        )
        raise ValueError(msg)
    frame_bytes = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=object))
    chunk_bytes = dataset.dtype.itemsize * int(np.prod(dataset.chunks or 0, dtype=object))
    if chunk_bytes > MAX_CHUNK_BYTES or (frame_bytes > MAX_FRAME_BYTES and dataset.shape[0] > 1):
        msg = f"{dataset.name}: a frame has {frame_bytes} bytes, a chunk {chunk_bytes}; too much."
        raise ValueError(msg)
    check_filters(dataset)


def check_n_frames(n_frames: int) -> None:
    """Check that a clock with so many frames can be in memory.

    Raises
    ------
    ValueError
        If it cannot.
    """
    if n_frames > MAX_FRAMES:
        msg = f"{n_frames} frames are more than {MAX_FRAMES}, which no recording has."
        raise ValueError(msg)


def check_filters(dataset: h5py.Dataset) -> None:
    """Make sure that HDF5 can decompress a dataset; the plugins are loaded if it needs them.

    Raises
    ------
    ValueError
        If a filter is missing all the same.
    """
    missing = _missing_filters(dataset)
    if not missing:
        return
    names = ", ".join(f"{name or 'without a name'} (number {number})" for number, name in missing)
    try:
        importlib.import_module("hdf5plugin")
    except ImportError:
        msg = (
            f"{dataset.name} is compressed by {names}. "
            "Reading it needs hdf5plugin: pip install 'retina-codec[compression]'"
        )
        raise ValueError(msg) from None
    if _missing_filters(dataset):
        msg = f"{dataset.name} is compressed by {names}, which hdf5plugin does not know either."
        raise ValueError(msg)


def _missing_filters(dataset: h5py.Dataset) -> list[tuple[int, str]]:
    settings = dataset.id.get_create_plist()
    filters = [settings.get_filter(i) for i in range(settings.get_nfilters())]
    return [
        (number, name.decode(errors="replace"))
        for number, _, _, name in filters
        if not h5py.h5z.filter_avail(number)
    ]
