"""Blind copies of pictures: the same pixels in a fresh PNG that carries nothing else.

File names, EXIF and PNG comments often name the program that made a picture. `perception.images`
reads more kinds of pictures, but loads torch, which no study needs.
"""

import io
from pathlib import Path

from PIL import Image, ImageOps

from facegpt.evaluation.study.errors import DamagedPictureError

MAX_SIDE = 768
"""Pixels of the longer side of a copy; no page shows more."""
MAX_PIXELS = 64_000_000
"""Larger pictures are refused before they are decoded."""

_BEHIND_TRANSPARENT = (128, 128, 128)
_DEEP_MODES = ("I", "F")


def blind_copy(path: Path) -> bytes:
    """PNG bytes: upright, 8-bit RGB, at most `MAX_SIDE` on a side; the first frame of an animation.

    Raises:
        DamagedPictureError: The file is no PNG or JPEG, or damaged, cut off, too large or too deep.
    """
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            _refuse_unfit(picture, path)
            copy = _plain(picture)
    except DamagedPictureError:
        raise
    except Exception as error:
        # Decoders of damaged data raise nearly anything: OSError, SyntaxError, struct.error ...
        raise DamagedPictureError(
            f"{path} is not a picture that can be read ({error}); it must be a whole PNG or JPEG"
        ) from error
    sink = io.BytesIO()
    copy.save(sink, format="PNG")
    return sink.getvalue()


def _refuse_unfit(picture: Image.Image, path: Path) -> None:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise DamagedPictureError(
            f"{path} has {width} x {height} pixels; at most {MAX_PIXELS:,} are read. "
            "Make it smaller first"
        )
    if picture.mode.startswith(_DEEP_MODES):
        raise DamagedPictureError(f"{path} has more than 8 bits per value; save it with 8")


def _plain(picture: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(picture).convert("RGBA")
    upright.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    # A new image has no metadata that could be saved along.
    copy = Image.new("RGB", upright.size, _BEHIND_TRANSPARENT)
    copy.paste(upright, mask=upright)
    return copy
