"""Opening and decoding image files with PIL in bounded memory.

A picture is reduced while or directly after it is decoded, in its own mode, and only then
converted: the full picture exists at most once.
"""

import io
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from facegpt.perception.image_errors import (
    ImageError,
    ImageNotFoundError,
    ImageTooLargeError,
    UnreadableImageError,
)
from facegpt.perception.pixels import is_deep, to_rgb, white_level

__all__ = [
    "MAX_PIXELS",
    "Decoded",
    "ImageError",
    "ImageNotFoundError",
    "ImageTooLargeError",
    "UnreadableImageError",
    "decode",
    "open_picture",
]

MAX_PIXELS = 220_000_000
"""More are refused; the largest telephones make 200 megapixels."""

# Formats of photos. The others of PIL are drawings, need outside programs or are hardly tested.
_FORMATS = (
    *("JPEG", "MPO", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "DIB", "JPEG2000", "PPM"),
    "HEIF",  # Only where pillow-heif has registered itself.
)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = (5, 6, 7, 8)
_STRIP_PIXELS = 4_000_000
_opening = threading.Lock()


@dataclass(frozen=True, eq=False)
class Decoded:
    """An upright RGB picture and what it was before."""

    picture: Image.Image
    original_size: tuple[int, int]
    """Width and height, upright, before any reduction."""
    picture_from_original: float


@contextmanager
def open_picture(source: str | Path | bytes) -> Iterator[tuple[Image.Image, str]]:
    """Open a file or its bytes without decoding it; yields the picture and a name for messages.

    Raises:
        ImageError: There is no such file, or it is no picture.
    """
    if isinstance(source, bytes):
        name = f"the {len(source)} bytes"
        file, start = io.BytesIO(source), source[:32]
    else:
        name = str(source)
        file = _open_file(Path(source))
        start = file.read(32)
        file.seek(0)
    with file:
        if not start:
            file.close()
            raise UnreadableImageError(f"{name} is empty: no picture in it. Copy it again")
        with _identify(file, name, start) as picture:
            yield picture, name


def _open_file(path: Path) -> io.BufferedReader:
    if path.is_dir():
        raise UnreadableImageError(f"{path} is a folder, not a picture; give the files inside")
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise ImageNotFoundError(f"no file at {path}; check the path") from None
    except (OSError, ValueError) as error:
        raise UnreadableImageError(f"cannot open {path}: {error}; check its permissions") from error


def _identify(file: io.BufferedIOBase, name: str, start: bytes) -> Image.Image:
    Image.init()
    formats = [f for f in _FORMATS if f in Image.OPEN]
    try:
        # PIL refuses large photos by a global limit; `decode` has its own, before any decoding.
        with _opening:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                return Image.open(file, formats=formats)  # type: ignore[arg-type]
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    except UnidentifiedImageError:
        raise UnreadableImageError(_why_unknown(name, start)) from None
    except Exception as error:
        # Damaged headers raise nearly anything: OSError, SyntaxError, struct.error, KeyError ...
        raise UnreadableImageError(
            f"{name} is a damaged picture ({error}); get a fresh copy"
        ) from error


def _why_unknown(name: str, start: bytes) -> str:
    if start[4:8] == b"ftyp" and start[8:12] in _HEIC_BRANDS:
        return (
            f"{name} is a HEIC photo, which needs a decoder of its own; save it as JPEG, or pip "
            "install pillow-heif and call pillow_heif.register_heif_opener() first"
        )
    return (
        f"{name} is not a picture that can be read (it starts with {start[:12]!r}); give a JPEG, "
        "PNG, WebP, TIFF, GIF, BMP or AVIF file"
    )


def decode(
    picture: Image.Image, working_pixels: int, name: str, *, may_draft: bool = False
) -> Decoded:
    """Decode the first frame upright in RGB with at most `working_pixels`.

    The scale is the same in x and y and the upper left corner stays; at the right and lower border
    a fraction of one reduced pixel may be cut.

    Args:
        may_draft: Let JPEG decode a smaller picture at once. It changes `picture`.

    Raises:
        ImageError: Too many pixels, or the data are damaged or cut off.
    """
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise ImageTooLargeError(
            f"{name} has {width} x {height} = {width * height / 1e6:.0f} megapixels; at most "
            f"{MAX_PIXELS / 1e6:.0f} are read. Make it smaller first"
        )
    if width == 0 or height == 0:
        raise UnreadableImageError(f"{name} has no pixels ({width} x {height})")
    scale = min(1.0, math.sqrt(working_pixels / (width * height)))
    try:
        return _decode(picture, scale, may_draft)
    except MemoryError as error:
        raise ImageTooLargeError(f"{name} does not fit in memory; make it smaller") from error
    except Exception as error:
        # Decoders of damaged data raise nearly anything, too.
        raise UnreadableImageError(
            f"{name} is damaged or cut off ({error}); get a fresh copy, or open it in an image "
            "program and save it again"
        ) from error


def _decode(picture: Image.Image, scale: float, may_draft: bool) -> Decoded:
    width, height = picture.size
    drafted = 1
    if may_draft and scale < 1 and picture.format in ("JPEG", "MPO"):
        wanted = (max(1, int(width * scale)), max(1, int(height * scale)))
        draft = picture.draft(None, wanted)  # type: ignore[arg-type]
        drafted = round(width / draft[1][2]) if draft else 1
    picture.load()
    if drafted == 1:
        # TIFF turns itself upright while loading, and forgets the tag.
        width, height = picture.size
    orientation = _orientation(picture)
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    rgb, reduced = _reduce(picture, scale * drafted, size)
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    upright = (height, width) if orientation in _LYING else (width, height)
    return Decoded(rgb, upright, reduced / drafted)


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:
        # Nobody should lose a photo to damaged metadata.
        return 1


def _reduce(picture: Image.Image, scale: float, size: tuple[int, int]) -> tuple[Image.Image, float]:
    """RGB at nearly the scale in this size, and the exact scale.

    First by a whole factor, in strips, so that no second full-size copy is made; then the rest.
    """
    white = white_level(picture) if is_deep(picture) else 0.0
    if scale >= 1:
        return to_rgb(picture, white), 1.0
    factor = int(1 / scale)
    if factor > 1:
        rgb = _reduce_in_strips(picture, factor, white)
    else:
        rgb = to_rgb(picture, white)
    rest = scale * factor
    # The box keeps the scale equal in x and y although sizes are whole numbers.
    box = (0.0, 0.0, min(rgb.width, size[0] / rest), min(rgb.height, size[1] / rest))
    return rgb.resize(size, Image.Resampling.BICUBIC, box=box), rest / factor


def _reduce_in_strips(picture: Image.Image, factor: int, white: float) -> Image.Image:
    width, height = picture.size
    reduced = Image.new("RGB", (math.ceil(width / factor), math.ceil(height / factor)))
    rows = max(1, _STRIP_PIXELS // (width * factor)) * factor
    for top in range(0, height, rows):
        strip = picture.crop((0, top, width, min(height, top + rows)))
        reduced.paste(to_rgb(strip, white).reduce(factor), (0, top // factor))
    return reduced
