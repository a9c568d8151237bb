"""Any picture a person may hand over, as upright 8-bit sRGB of bounded size.

Handles EXIF rotation, colour profiles, transparency, grey, CMYK, palettes, 16 bits, animations (the
first frame) and very large photos. Knows nothing of faces, and downloads nothing.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image
from torch import Tensor

from facegpt.perception.decoding import (
    MAX_PIXELS,
    ImageError,
    ImageNotFoundError,
    ImageTooLargeError,
    UnreadableImageError,
    decode,
    open_picture,
)
from facegpt.perception.pixels import picture_from_array

__all__ = [
    "MAX_PIXELS",
    "WORKING_PIXELS",
    "ImageError",
    "ImageNotFoundError",
    "ImageSource",
    "ImageTooLargeError",
    "Photo",
    "UnreadableImageError",
    "load_image",
]

WORKING_PIXELS = 12_500_000
"""Larger photos are reduced to this many pixels; twelve megapixels of a telephone stay as they
are."""

ImageSource = str | Path | bytes | Image.Image | np.ndarray | Tensor
"""A path, the bytes of an image file, a PIL image, an array (height, width[, channel]) or a tensor
(channel, height, width)."""

_GREY_SPREAD = 12
_GREY_SHARE = 0.999
_GREY_SAMPLE_SIDE = 512


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright picture in memory."""

    rgb: UInt8[np.ndarray, "height width 3"]
    """sRGB; what was transparent lies on a neutral grey."""
    is_grey: bool
    """Without colour, whatever its file format."""
    original_size: tuple[int, int]
    """Width and height of the picture that was handed over, after its EXIF rotation."""
    photo_from_original: float = 1.0
    """Pixels of `rgb` per pixel of the original; below 1 if the picture was reduced."""

    def to_original(self, points_px: Num[np.ndarray, "*batch 2"]) -> Num[np.ndarray, "*batch 2"]:
        """Pixels of `rgb` as pixels of the original; centres are whole numbers in both."""
        return (points_px + 0.5) / self.photo_from_original - 0.5

    def from_original(self, points_px: Num[np.ndarray, "*batch 2"]) -> Num[np.ndarray, "*batch 2"]:
        """Pixels of the original as pixels of `rgb`."""
        return (points_px + 0.5) * self.photo_from_original - 0.5


def load_image(source: ImageSource) -> Photo:
    """Read a picture.

    Args:
        source: Path, bytes, PIL image, array or tensor. Floats are sRGB in [0, 1]; integers use
            their whole range. Arrays are not reduced more than files are.

    Raises:
        ImageError: It cannot be read: missing, empty, damaged, truncated, too large or no picture.
    """
    if isinstance(source, Image.Image):
        decoded = decode(source, WORKING_PIXELS, "the PIL image")
    elif isinstance(source, (np.ndarray, Tensor)):
        decoded = decode(picture_from_array(source), WORKING_PIXELS, "the array")
    elif isinstance(source, (str, Path, bytes)):
        with open_picture(source) as (picture, name):
            decoded = decode(picture, WORKING_PIXELS, name, may_draft=True)
    else:
        raise TypeError(f"cannot read an image from {type(source).__name__}; give a path or bytes")
    rgb = np.asarray(decoded.picture)
    return Photo(rgb, looks_grey(rgb), decoded.original_size, decoded.picture_from_original)


def looks_grey(rgb: UInt8[np.ndarray, "height width 3"]) -> bool:
    """Whether a picture has no colour, up to the noise that JPEG adds.

    A few coloured pixels (a stamp, a date) do not make a photo colourful; sepia does.
    """
    step = max(1, max(rgb.shape[:2]) // _GREY_SAMPLE_SIDE)
    sample = rgb[::step, ::step]
    spread = sample.max(axis=2) - sample.min(axis=2)
    return bool(np.mean(spread <= _GREY_SPREAD) >= _GREY_SHARE)
