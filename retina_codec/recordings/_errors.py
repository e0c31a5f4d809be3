"""Errors of the libraries below, said in one line that names the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST = 300


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file makes its readers raise into a ValueError that names it.

    What is already said well keeps its words.

    Examples
    --------
    >>> with naming(Path("retina.h5")):
    ...     {}["train"]
    Traceback (most recent call last):
    ValueError: retina.h5 cannot be read; it may be damaged. KeyError: 'train'
    """
    try:
        yield
    except (FileNotFoundError, ImportError, Warning):
        raise
    except Exception as error:  # Decompressors and parsers have classes of errors of their own.
        raise ValueError(_line(path, error)) from error


def _line(path: Path, error: Exception) -> str:
    said = " ".join(str(error).split())
    said = said if len(said) <= LONGEST else f"{said[:LONGEST]} ..."
    if type(error) is ValueError:
        return said if path.name in said else f"{path}: {said}"
    return f"{path} cannot be read; it may be damaged. {type(error).__name__}: {said}".rstrip(": ")
