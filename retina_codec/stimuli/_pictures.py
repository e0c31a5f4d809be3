"""Open picture files that may be damaged, or hostile, with one clear error for each."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from PIL import Image

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is looked for inside of files, whatever their suffix; others, as EPS, may start programs."""

MAX_PIXELS = 50_000_000
MOST_ELONGATED = 100
"""Longer by shorter side, at most: resizing the shorter side of a line of pixels fills memory."""

_users, _filters, _lock = [0], ExitStack(), threading.Lock()


def decoded(path: Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read a picture; its size is checked before anything is decoded.

    To be called within `pillow_warnings_are_errors`.

    Raises
    ------
    ValueError
        Naming the file, if it cannot be read or is larger than `max_pixels`.
    """
    problem = None
    try:
        if not path.is_file():
            problem = "there is no such file"
        elif not path.stat().st_size:
            problem = "the file is empty"
        else:
            with Image.open(path, formats=FORMATS) as image:
                problem = _too_large(image.size, max_pixels)
                if problem is None:
                    image.load()
                    return image
    except Image.DecompressionBombError as error:
        msg = f"{path}: too large ('max_pixels' is {max_pixels:,}; {_first_line(error)})."
        raise ValueError(msg) from error
    except Image.UnidentifiedImageError as error:
        msg = f"{path}: not a picture in one of the formats {', '.join(FORMATS)}."
        raise ValueError(msg) from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises ten kinds of errors for damaged files.
        if isinstance(error, OSError) and error.errno:  # The machine, not the picture.
            raise
        msg = f"{path}: damaged, cannot be decoded ({_first_line(error)})."
        raise ValueError(msg) from error
    msg = f"{path}: {problem}."
    raise ValueError(msg)


@contextmanager
def pillow_warnings_are_errors() -> Iterator[None]:
    """Raise what Pillow only warns of, in all threads, until the last one has left.

    Filters of warnings belong to the process, so they are set by the first thread that enters and
    put back after the last. Metadata do not matter: pictures with damaged EXIF are fine.
    """
    with _lock:
        _users[0] += 1
        if _users[0] == 1:
            _filters.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("error", module=r"PIL\.")
            warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")  # Also reads EXIF.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `_too_large` is.
    try:
        yield
    finally:
        with _lock:
            _users[0] -= 1
            if not _users[0]:
                _filters.close()


def _too_large(size: tuple[int, int], max_pixels: int) -> str | None:
    width, height = size
    if width * height > max_pixels:
        return (
            f"{width} x {height} are {width * height:,} pixels, more than 'max_pixels' = "
            f"{max_pixels:,}; raise the limit if the file is trusted"
        )
    if max(size) > MOST_ELONGATED * min(size):
        return f"{width} x {height} pixels are a line, not a picture"
    return None


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
