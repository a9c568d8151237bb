"""Square views of a photo under a similarity, without aliasing and without half-pixel errors.

Whole coordinates are pixel centres everywhere. Knows nothing of faces.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from facegpt.perception.pixels import BACKGROUND

_CORNER_FROM_CENTRE = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
"""PIL's transforms count from pixel corners."""


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
        outside: Grey of the view where it shows no photo.
    """
    scale = float(np.sqrt(abs(np.linalg.det(photo_from_view[:2, :2]))))
    factor = max(1, int(scale))
    finer = 2 if scale > 1 else 1
    corners_from_view = _CORNER_FROM_CENTRE @ photo_from_view @ np.linalg.inv(_CORNER_FROM_CENTRE)
    box = _region(corners_from_view, size, rgb.shape[:2], factor)
    if box is None:
        return np.full((size, size, 3), outside, np.uint8)
    part = Image.fromarray(np.ascontiguousarray(rgb[box[1] : box[3], box[0] : box[2]]))
    if factor > 1:
        part = part.reduce(factor)
    part_from_photo = np.diag([1 / factor, 1 / factor, 1]) @ _shift(float(-box[0]), float(-box[1]))
    matrix = part_from_photo @ corners_from_view @ np.diag([1 / finer, 1 / finer, 1])
    view = part.transform(
        (size * finer, size * finer),
        Image.Transform.AFFINE,
        tuple(matrix[:2].ravel()),
        Image.Resampling.BILINEAR,
        fillcolor=(outside, outside, outside),
    )
    return np.array(view.reduce(finer) if finer > 1 else view)


def inside_photo(
    photo_shape: tuple[int, int], photo_from_view: Float[np.ndarray, "3 3"], size: int
) -> Bool[np.ndarray, "size size"]:
    """Pixels of a view whose centre lies on a pixel of the photo (height, width)."""
    y, x = np.mgrid[:size, :size]
    at = np.stack([x, y, np.ones_like(x)], axis=-1) @ photo_from_view[:2].T
    limit = np.array([photo_shape[1], photo_shape[0]]) - 0.5
    inside = (at >= -0.5) & (at < limit)
    return inside[..., 0] & inside[..., 1]


def _shift(x: float, y: float) -> Float[np.ndarray, "3 3"]:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def _region(
    corners_from_view: Float[np.ndarray, "3 3"],
    size: int,
    photo_shape: tuple[int, int],
    factor: int,
) -> tuple[int, int, int, int] | None:
    """The part of the photo that the view shows (left, top, right, bottom), beginning at whole
    multiples of `factor`; None if it shows none."""
    corners = np.array([(0, 0, 1), (size, 0, 1), (0, size, 1), (size, size, 1)], np.float64)
    shown = corners @ corners_from_view[:2].T
    limit = np.array([photo_shape[1], photo_shape[0]])
    low = np.clip(shown.min(axis=0) - 2 * factor, 0, limit) // factor * factor
    high = np.clip(shown.max(axis=0) + 2 * factor, 0, limit)
    left, top = (int(v) for v in low)
    right, bottom = (int(np.ceil(v)) for v in high)
    return (left, top, right, bottom) if right > left and bottom > top else None
