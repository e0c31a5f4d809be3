"""Folders of pictures as samples of a network, decoded when asked for."""

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32, Int
from PIL import Image

from ._class_names import UNKNOWN, in_order, labels_of
from ._image_files import labelled_files
from ._pictures import MAX_PIXELS, decoded, pillow_warnings_are_errors

Prepare = Callable[[Image.Image], Float32[np.ndarray, "channel y x"]]
"""From a picture as Pillow reads it to what a network sees."""

N_WORKERS = min(4, os.cpu_count() or 1)
LISTED = 3
PICTURE_AXES = ("channel", "y", "x")


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """Pictures as samples: a slice is a float32 batch, read from the files at that moment.

    Made by `image_folder`. Other processes can get it if they can get `prepare`.

    Attributes
    ----------
    paths
        Of the files.
    labels
        Number of the class that each picture shows, -1 where that is not known.
    class_names
        One for each class, that is for each output of the network.
    prepare
        From a picture to what the network sees, such as a `Preparation`.
    n_workers
        Threads that decode a batch.
    max_pixels
        Larger pictures are refused before they are decoded.

    Raises
    ------
    ValueError
        If there are no pictures or not one label for each, or a number is below 1; later, when a
        file that cannot be decoded is read (`readable` leaves such files out).

    Examples
    --------
    >>> import tempfile
    >>> from retina_codec.stimuli import Preparation
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for number in range(3):
    ...         Image.new("1", (32, 24), number > 1).save(Path(folder, f"{number}.png"))
    ...     images = image_folder(folder, prepare=Preparation(size=(8, 8)))
    ...     images.shape, images.subset([0, 2])[:][:, 0, 0, 0].tolist()
    ((3, 3, 8, 8), [0.0, 1.0])
    """

    paths: tuple[Path, ...]
    labels: Int[np.ndarray, " sample"]
    class_names: tuple[str, ...]
    prepare: Prepare
    n_workers: int = N_WORKERS
    max_pixels: int = MAX_PIXELS

    def __post_init__(self):
        if not self.paths or len(self.paths) != len(self.labels):
            msg = (
                f"Expected pictures and one label for each, got {len(self.paths)} pictures "
                f"and {len(self.labels)} labels."
            )
            raise ValueError(msg)
        if self.n_workers < 1 or self.max_pixels < 1:
            msg = (
                "'n_workers' and 'max_pixels' must be at least 1, "
                f"got {self.n_workers} and {self.max_pixels}."
            )
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of all pictures together, were they in memory; the first one is decoded."""
        return (len(self), *self[0].shape)

    @property
    def sample(self) -> Int[np.ndarray, " sample"]:
        """Number of each picture, from 0."""
        return np.arange(len(self))

    def subset(self, index: slice | np.ndarray | Sequence[int]) -> "ImageFolder":
        """Return some of the pictures: a slice, their numbers, or a mask.

        Parameters
        ----------
        index
            What NumPy can index with.

        Raises
        ------
        ValueError
            If none is left.
        """
        numbers = self.sample[index]
        paths = tuple(self.paths[number] for number in numbers)
        return replace(self, paths=paths, labels=self.labels[numbers])

    def readable(self) -> "ImageFolder":
        """Return the pictures that can be read; every file is decoded to find out.

        Raises
        ------
        ValueError
            If none can.

        Warns
        -----
        UserWarning
            If files are left out; `unreadable` lists them.
        """
        problems = unreadable(self)["problem"]
        if not len(problems):
            return self
        first = "; ".join(problems[:LISTED]) + (" ..." if len(problems) > LISTED else "")
        message = f"{len(problems)} of {len(self)} pictures are left out: {first}"
        warnings.warn(message, stacklevel=2)
        return self.subset(np.delete(self.sample, problems.index))

    def __getitem__(
        self, index: int | np.integer | slice | np.ndarray | Sequence[int]
    ) -> Float32[np.ndarray, "*sample channel y x"]:
        """Return prepared pictures, or a single one without the first axis."""
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                msg = f"There are {len(self)} pictures, got number {index}."
                raise IndexError(msg)
            return self[[int(index) % len(self)]][0]
        numbers = self.sample[index if isinstance(index, slice) or len(index) else slice(0)]
        if not len(numbers):
            return np.zeros((0, *self[0].shape), dtype=np.float32)
        prepared = _each(self, numbers, lambda path: prepared_picture(self, path))
        self._check_sizes(numbers, prepared)
        return np.stack(prepared)

    def _check_sizes(
        self, numbers: Int[np.ndarray, " sample"], prepared: Sequence[np.ndarray]
    ) -> None:
        for number, one in zip(numbers, prepared, strict=True):
            if one.shape != prepared[0].shape:
                msg = (
                    f"{self.paths[number]}: prepared as {one.shape}, but "
                    f"{self.paths[numbers[0]]} as {prepared[0].shape}. "
                    "'prepare' must give all pictures one size."
                )
                raise ValueError(msg)


def image_folder(
    path: str | os.PathLike,
    *,
    prepare: Prepare,
    class_names: Sequence[str] | None = None,
    synonyms: Sequence[Sequence[str]] | None = None,
    n_workers: int = N_WORKERS,
    max_pixels: int = MAX_PIXELS,
) -> ImageFolder:
    """Take the pictures of a folder as samples for a network; nothing is decoded yet.

    Labels come from a table ``labels.csv`` with the columns file and label, if there is one; else
    from folders, as ``cat/tom.jpg``; pictures directly in the folder have none (-1). Hidden files
    and files without the suffix of a picture are skipped. Pictures are in the order of their
    names.

    Parameters
    ----------
    path
        The folder.
    prepare
        From a picture to what the network sees: float32 "channel y x".
    class_names
        Of the outputs of the network. Classes of the folder are found among them by name
        (whatever its case; spaces, underscores and hyphens are the same), by number, or by one of
        several names that are separated by commas. By default the classes of the folder, in order.
    synonyms
        Further names of each class, such as WordNet ids.
    n_workers
        Threads that decode a batch.
    max_pixels
        Larger pictures are refused before they are decoded.

    Returns
    -------
    ImageFolder
        One sample for each picture.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it holds no pictures, mixes pictures and folders of pictures, has a class that the
        network does not know, or a table that does not fit.

    Warns
    -----
    UserWarning
        If the table of labels leaves pictures out.

    Examples
    --------
    >>> import tempfile
    >>> from retina_codec.stimuli import Preparation
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "Tiger_cat").mkdir()
    ...     Image.new("L", (32, 24), 255).save(Path(folder, "Tiger_cat", "tom.png"))
    ...     prepare = Preparation(size=(8, 8))
    ...     images = image_folder(folder, prepare=prepare, class_names=["dog", "tiger cat"])
    ...     images[:].shape, images.labels.tolist()
    ((1, 3, 8, 8), [1])
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        msg = f"No folder {folder}. Expected one with pictures."
        raise FileNotFoundError(msg)
    found = labelled_files(folder)
    names = [name or "" for name in found.values()]
    if class_names is None:
        class_names = in_order(set(names) - {"", str(UNKNOWN)})
    try:
        numbers = labels_of(names, class_names, synonyms)
    except ValueError as error:
        msg = f"{folder}: {error}"
        raise ValueError(msg) from error
    return ImageFolder(
        paths=tuple(folder / file for file in found),
        labels=np.array([numbers[name] for name in names], dtype=np.int64),
        class_names=tuple(class_names),
        prepare=prepare,
        n_workers=n_workers,
        max_pixels=max_pixels,
    )


def unreadable(folder: ImageFolder) -> pd.DataFrame:
    """List the files of a folder that cannot be read or prepared; every file is decoded.

    Parameters
    ----------
    folder
        From `image_folder`.

    Returns
    -------
    One row for each such file, with its number in the folder as index: `file`, and the `problem` in
    one line.

    Examples
    --------
    >>> import tempfile
    >>> from retina_codec.stimuli import Preparation
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("L", (32, 24)).save(Path(folder, "good.png"))
    ...     _ = Path(folder, "bad.png").write_bytes(b"no picture")
    ...     images = image_folder(folder, prepare=Preparation(size=(8, 8)))
    ...     [Path(file).name for file in unreadable(images)["file"]]
    ['bad.png']
    """
    problems = _each(folder, folder.sample, lambda path: _problem(folder, path))
    numbers = [number for number, problem in enumerate(problems) if problem]
    rows = {
        "file": [str(folder.paths[number]) for number in numbers],
        "problem": [problems[number] for number in numbers],
    }
    return pd.DataFrame(rows, index=numbers, dtype=object)


def prepared_picture(folder: ImageFolder, path: Path) -> Float32[np.ndarray, "channel y x"]:
    """Decode one file and prepare it; errors name the file."""
    image = decoded(path, max_pixels=folder.max_pixels)
    try:
        prepared = np.asarray(folder.prepare(image), dtype=np.float32)
    except ValueError as error:
        msg = f"{path}: {error}"
        raise ValueError(msg) from error
    if prepared.ndim != len(PICTURE_AXES):
        msg = f"'prepare' must return {' '.join(PICTURE_AXES)}, got an array {prepared.shape}."
        raise TypeError(msg)
    return prepared


def _problem(folder: ImageFolder, path: Path) -> str | None:
    try:
        prepared_picture(folder, path)
    except ValueError as error:
        return str(error)
    return None


def _each(folder: ImageFolder, numbers: Int[np.ndarray, " sample"], read: Callable) -> list:
    """Read files in threads: Pillow decodes and resizes several at once."""
    paths = [folder.paths[number] for number in numbers]
    with pillow_warnings_are_errors():
        if folder.n_workers == 1 or len(paths) == 1:
            return [read(path) for path in paths]
        with ThreadPoolExecutor(folder.n_workers) as workers:
            return list(workers.map(read, paths))
