"""Landmark error (eq. 9): how far the 68 points of a face lie from those of its photo.

Numpy in float64. The paper writes the norm of the difference of all points and gives pixels; read
literally it would grow with the number of points, so here, as is usual, it is the mean over the
points of their distance. The slow twin is named `..._by_points`; `losses.landmark_errors_px` is the
same in torch, for photos in one batch.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from facegpt.evaluation.checks import check_finite, check_pairs
from facegpt.evaluation.errors import MeasureError
from facegpt.geometry.camera import CROP_SIZE
from facegpt.losses import JAW_POINTS

OUTER_EYE_CORNERS = (36, 45)
"""The iBUG points whose distance an NME is measured in."""


@dataclass(frozen=True)
class LandmarkErrors:
    """Face by face, over all 68 points and over the inner 51 (those that are not on the jaw, where
    detectors place points loosely)."""

    all_px: Float[np.ndarray, "face"]
    """Mean distance in pixels of the 224 crop."""
    inner_px: Float[np.ndarray, "face"]
    all_nme: Float[np.ndarray, "face"]
    """Mean distance over the distance of the outer corners of the detected eyes (300-W); 0.05 is
    5 %. A head in profile has its corners close together and a large NME."""
    inner_nme: Float[np.ndarray, "face"]


def landmark_errors(
    detected_px: Float[np.ndarray, "face 68 2"],
    projected_px: Float[np.ndarray, "face 68 2"],
    *,
    size_px: float = float(CROP_SIZE),
) -> LandmarkErrors:
    """Errors of the projected points of the mesh against those found in the photo.

    Args:
        detected_px: The truth, in pixels of the aligned square crop.
        size_px: Its side; distances are given as if it were 224.

    Raises:
        MeasureError: There are no faces or not as many of both, a point is not finite, the outer
            corners of two eyes lie in one place, or the side is not positive.
    """
    detected, projected = _checked(detected_px, projected_px, size_px)
    distance = np.linalg.norm(detected - projected, axis=-1)
    right, left = (detected[:, corner] for corner in OUTER_EYE_CORNERS)
    eyes = np.linalg.norm(left - right, axis=-1)
    means = (distance.mean(axis=1), distance[:, JAW_POINTS:].mean(axis=1))
    px_per_px = CROP_SIZE / size_px
    return LandmarkErrors(*(mean * px_per_px for mean in means), *(mean / eyes for mean in means))


def landmark_errors_by_points(
    detected_px: Float[np.ndarray, "face 68 2"],
    projected_px: Float[np.ndarray, "face 68 2"],
    *,
    size_px: float = float(CROP_SIZE),
) -> LandmarkErrors:
    """The same by one point after the other."""
    rows = []
    for detected, projected in zip(detected_px, projected_px, strict=True):
        distance = [np.hypot(*(a - b)) for a, b in zip(detected, projected, strict=True)]
        every, inner = np.mean(distance), np.mean(distance[JAW_POINTS:])
        eyes = np.hypot(*(detected[45] - detected[36]))
        scale = CROP_SIZE / size_px
        rows.append([every * scale, inner * scale, every / eyes, inner / eyes])
    return LandmarkErrors(*np.array(rows, dtype=np.float64).T)


def _checked(
    detected_px: Float[np.ndarray, "face 68 2"],
    projected_px: Float[np.ndarray, "face 68 2"],
    size_px: float,
) -> tuple[Float[np.ndarray, "face 68 2"], Float[np.ndarray, "face 68 2"]]:
    check_pairs("detected and projected landmarks", detected_px, projected_px)
    check_finite("detected landmarks", detected_px)
    check_finite("projected landmarks", projected_px)
    if not size_px > 0:
        raise MeasureError(f"the side of the crop must be positive, got size_px={size_px}")
    first, second = OUTER_EYE_CORNERS
    meet = (detected_px[:, first] == detected_px[:, second]).all(axis=1)
    if meet.any():
        raise MeasureError(
            f"detected landmarks: the outer eye corners (points {first} and {second}) of face "
            f"{int(meet.argmax())} lie in one place, so it has no NME; leave the face out"
        )
    return detected_px.astype(np.float64), projected_px.astype(np.float64)
