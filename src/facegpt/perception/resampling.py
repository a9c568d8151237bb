"""Square views of a photo under a similarity, without aliasing and without half-pixel errors.

Whole coordinates are pixel centres everywhere. Knows nothing of faces.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from facegpt.perception.pixels import BACKGROUND

_CORNER_FROM_CENTRE = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
"""PIL's transforms count from pixel corners."""
_FRAME = 2


def resample(
    rgb: UInt8[np.ndarray, "height width 3"],
    photo_from_view: Float[np.ndarray, "3 3"],
    size: int,
    *,
    outside: int = BACKGROUND,
) -> UInt8[np.ndarray, "size size 3"]:
    """A square view of a photo: bilinear where it grows, box-averaged where it shrinks.

    Args:
        photo_from_view: Similarity from pixels of the view to pixels of the photo.
        outside: Grey of the view where it shows no photo; it does not bleed into the photo.
    """
    scale = float(np.sqrt(abs(np.linalg.det(photo_from_view[:2, :2]))))
    factor = max(1, int(scale))
    finer = 2 if scale > 1 else 1
    corners_from_view = _CORNER_FROM_CENTRE @ photo_from_view @ np.linalg.inv(_CORNER_FROM_CENTRE)
    box, is_whole = _region(corners_from_view, size, rgb.shape[:2], factor)
    if box is None:
        return np.full((size, size, 3), outside, np.uint8)
    part = _reduced(rgb[box[1] : box[3], box[0] : box[2]], factor)
    part_from_photo = np.diag([1 / factor, 1 / factor, 1]) @ _shift(-box[0], -box[1])
    if not is_whole:
        part = np.pad(part, ((_FRAME, _FRAME), (_FRAME, _FRAME), (0, 0)), mode="edge")
        part_from_photo = _shift(_FRAME, _FRAME) @ part_from_photo
    matrix = part_from_photo @ corners_from_view @ np.diag([1 / finer, 1 / finer, 1])
    view = Image.fromarray(part).transform(
        (size * finer, size * finer),
        Image.Transform.AFFINE,
        tuple(matrix[:2].ravel()),
        Image.Resampling.BILINEAR,
    )
    pixels = np.array(view.reduce(finer) if finer > 1 else view)
    if not is_whole:
        pixels[~inside_photo(rgb.shape[:2], photo_from_view, size)] = outside
    return pixels


def inside_photo(
    photo_shape: tuple[int, int], photo_from_view: Float[np.ndarray, "3 3"], size: int
) -> Bool[np.ndarray, "size size"]:
    """Pixels of a view whose centre lies on a pixel of the photo (height, width)."""
    along = np.arange(size)
    inside = np.ones((size, size), bool)
    for (per_x, per_y, start), length in zip(photo_from_view[:2], photo_shape[::-1], strict=True):
        at = along * per_x + (along * per_y)[:, None] + start
        inside &= (at >= -0.5) & (at < length - 0.5)
    return inside


def _reduced(
    rgb: UInt8[np.ndarray, "height width 3"], factor: int
) -> UInt8[np.ndarray, "height2 width2 3"]:
    part = np.ascontiguousarray(rgb)
    return np.asarray(Image.fromarray(part).reduce(factor)) if factor > 1 else part


def _shift(x: int, y: int) -> Float[np.ndarray, "3 3"]:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def _region(
    corners_from_view: Float[np.ndarray, "3 3"],
    size: int,
    photo_shape: tuple[int, int],
    factor: int,
) -> tuple[tuple[int, int, int, int] | None, bool]:
    """The part of the photo that the view shows (left, top, right, bottom), beginning at whole
    multiples of `factor`, or None; and whether the photo fills the view."""
    corners = np.array([(0, 0, 1), (size, 0, 1), (0, size, 1), (size, size, 1)], np.float64)
    shown = corners @ corners_from_view[:2].T
    limit = np.array([photo_shape[1], photo_shape[0]])
    low, high = shown.min(axis=0) - 2 * factor, shown.max(axis=0) + 2 * factor
    is_whole = bool((low >= 0).all() and (high <= limit).all())
    left, top = (int(v) for v in np.clip(low, 0, limit) // factor * factor)
    right, bottom = (int(np.ceil(v)) for v in np.clip(high, 0, limit))
    if right <= left or bottom <= top:
        return None, False
    return (left, top, right, bottom), is_whole
