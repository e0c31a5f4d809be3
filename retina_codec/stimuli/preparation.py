"""From a picture to what an image network was trained on."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageOps

WHITE = 1.0
BITS_8, BITS_16 = 255, 65535
GREY, COLOUR = 1, 3
SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class Preparation:
    """Cut the middle of a picture, resize it, and normalise: ``(pixel / 255 - mean) / std``.

    Attributes
    ----------
    size
        Height and width of what the network sees.
    shorter_side
        As if the shorter side of the picture were resized to this many pixels, then the middle cut
        out; 256 for a size of 224 keeps 7/8 of the shorter side. Without it the whole picture is
        squeezed into `size`.
    mean, std
        Of each channel, for pixels from 0 to 1: three for colour networks, one for grey ones.
    resample
        How Pillow resizes.
    background
        Grey level behind transparent pixels, from 0 (black) to 1 (white).

    Raises
    ------
    ValueError
        If `mean` and `std` are not one or three numbers each, or a number is out of its range; when
        it is called, as `in_mode`.

    Notes
    -----
    Pictures are turned upright first, if they know how (EXIF). Grey ones fill all channels of a
    colour network; for grey networks colours become luma (ITU-R 601-2). Palettes become colours.
    CMYK is converted without a colour profile. Counts of 16 bits, from 0 to 65535, become 8 bits.
    Of animations and stacks the first picture is taken.

    The middle is cut before resizing, so that pixels outside of it do not matter and memory is
    bounded, whatever the shape of a picture.

    Examples
    --------
    >>> prepare = Preparation(size=(2, 2), mean=(0.5,), std=(0.5,))
    >>> prepare(Image.new("RGB", (40, 30), "white")).tolist()
    [[[1.0, 1.0], [1.0, 1.0]]]
    """

    size: tuple[int, int]
    shorter_side: int | None = None
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    resample: Image.Resampling = Image.Resampling.BICUBIC
    background: float = WHITE

    def __post_init__(self):
        if len(self.mean) != len(self.std) or len(self.mean) not in (GREY, COLOUR):
            msg = (
                f"'mean' and 'std' need one number (grey) or three (colour) each, "
                f"got {self.mean} and {self.std}."
            )
            raise ValueError(msg)
        if min(self.std) <= 0 or min(self.size) < 1 or not 0 <= self.background <= 1:
            msg = (
                "Expected 'std' and 'size' above 0 and a 'background' from 0 to 1, "
                f"got {self.std}, {self.size} and {self.background}."
            )
            raise ValueError(msg)
        if self.shorter_side is not None and self.shorter_side < max(self.size):
            msg = f"'shorter_side' is {self.shorter_side}, less than the size {self.size}."
            raise ValueError(msg)

    def __call__(self, image: Image.Image) -> Float32[np.ndarray, "channel y x"]:
        """Return the pixels for the network; the picture stays as it is."""
        mode = "L" if len(self.mean) == GREY else "RGB"
        plain = in_mode(upright(image), mode, background=self.background)
        height, width = self.size
        cut = plain.resize((width, height), self.resample, box=self._middle(plain.size))
        pixels = np.asarray(cut, dtype=np.float32).reshape(height, width, -1) / BITS_8
        mean, std = np.float32(self.mean), np.float32(self.std)
        return np.ascontiguousarray(np.moveaxis((pixels - mean) / std, -1, 0))

    def _middle(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Left, upper, right and lower edge of what is kept of a picture of this size."""
        width, height = size
        if self.shorter_side is None:
            return (0.0, 0.0, float(width), float(height))
        scale = min(size) / self.shorter_side
        y, x = self.size[0] * scale, self.size[1] * scale
        left, upper = (width - x) / 2, (height - y) / 2
        return (left, upper, left + x, upper + y)


def upright(image: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF orientation says; as it is where that cannot be read.

    Parameters
    ----------
    image
        Stays as it is.

    Returns
    -------
    Image
        The picture, or a turned copy.

    Examples
    --------
    >>> image = Image.new("L", (40, 30))
    >>> image.getexif()[0x0112] = 6  # Held on its side.
    >>> upright(image).size
    (30, 40)
    """
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Damaged metadata raise many kinds of errors; the pixels are fine.
        return image


def in_mode(image: Image.Image, mode: str, *, background: float = WHITE) -> Image.Image:
    """Convert any picture to 8-bit grey ("L") or colour ("RGB").

    Parameters
    ----------
    image
        Stays as it is.
    mode
        "L" or "RGB".
    background
        Grey level behind transparent pixels, from 0 (black) to 1 (white).

    Returns
    -------
    Image
        A picture of the mode.

    Raises
    ------
    ValueError
        If the range of its numbers is not known, or Pillow cannot convert it.

    Notes
    -----
    Counts of 16 bits, 0 to 65535, and floating numbers, 0 to 1, become 0 to 255.

    Examples
    --------
    >>> in_mode(Image.new("RGBA", (1, 1), (0, 0, 0, 0)), "L", background=0.5).getpixel((0, 0))
    128
    """
    if image.mode in (*SIXTEEN_BIT, "F"):
        image = _in_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        behind = Image.new("RGBA", image.size, (round(background * BITS_8),) * 3 + (BITS_8,))
        image = Image.alpha_composite(behind, image)
    if image.mode in ("P", "CMYK", "LAB"):  # Not all of them have a direct way to grey.
        image = image.convert("RGB")
    return image.convert(mode)


def _in_8_bits(image: Image.Image) -> Image.Image:
    largest = 1 if image.mode == "F" else BITS_16
    pixels = np.asarray(image, dtype=np.float32)
    if not (pixels.min() >= 0 and pixels.max() <= largest):
        msg = (
            f"pixels of mode {image.mode} from {pixels.min():g} to {pixels.max():g}, "
            f"expected 0 to {largest}; rescale the picture"
        )
        raise ValueError(msg)
    return Image.fromarray(np.round(pixels * (BITS_8 / largest)).astype(np.uint8))
