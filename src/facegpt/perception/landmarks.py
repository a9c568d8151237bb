"""What a detector of faces and their 68 points must be able to do, and dlib's 68 points.

The points of one face are the trimmed mean over slightly moved boxes, read off a patch of fixed
size: a single answer of dlib jumps by half a pixel when its box moves, and comes in whole pixels.
"""

import functools
import threading
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from facegpt.perception.dlib_models import import_dlib, model_file
from facegpt.perception.images import Photo
from facegpt.perception.resampling import resample

_FACE_PX = 400
_PATCH_PX = 880
# Shifts in x and y, and scale, all in widths of the box.
_MOVES = np.array(
    [
        (0.0, 0.0, 1.0),
        (0.05, 0.0, 1.0),
        (-0.05, 0.0, 1.0),
        (0.0, 0.05, 1.0),
        (0.0, -0.05, 1.0),
        (0.0, 0.0, 0.93),
        (0.0, 0.0, 1.07),
    ]
)
_TRIMMED = 1
_lock = threading.Lock()


@dataclass(frozen=True, eq=False)
class DetectedFace:
    """One face in a photo, in pixels of that photo (integers are pixel centres)."""

    box_px: Float[np.ndarray, "4"]
    """Left, top, right, bottom; may reach beyond the photo."""
    score: float
    """Confidence of the detector; comparable within one detector only."""
    landmarks68_px: Float[np.ndarray, "68 2"]
    """The iBUG 68 points, the person's right side first."""


@runtime_checkable
class LandmarkDetector(Protocol):
    """Finds faces and their 68 points; several threads may ask at once."""

    @property
    def licences(self) -> tuple[str, ...]:
        """Names of the assets that shape its results (see `facegpt.assets`)."""
        ...

    def detect(self, photo: Photo) -> list[DetectedFace]:
        """Every face in the photo, largest first; an empty list when there is none."""
        ...


def dlib_landmarks(
    rgb: UInt8[np.ndarray, "height width 3"], box_px: Float[np.ndarray, "4"]
) -> Float[np.ndarray, "68 2"]:
    """dlib's 68 points of the face in a box, in pixels of the photo.

    Raises:
        AssetMissingError: dlib or its 68-point model is not installed.
    """
    dlib = import_dlib()
    width = float(max(box_px[2] - box_px[0], 1.0))
    photo_from_patch = _photo_from_patch((box_px[:2] + box_px[2:]) / 2, width)
    # Black outside the photo: the points were learnt so, and repeated borders mislead them.
    patch = resample(rgb, photo_from_patch, _PATCH_PX, outside=0)
    answers = []
    with _lock:
        predictor = _shape_predictor()
        for *move, size in _MOVES * np.array([_FACE_PX, _FACE_PX, 1.0]):
            low = (_PATCH_PX - 1) / 2 + np.array(move) - _FACE_PX * size / 2
            high = low + _FACE_PX * size
            box = dlib.rectangle(*(round(float(v)) for v in (*low, *high)))
            parts = predictor(patch, box).parts()
            answers.append([(part.x, part.y) for part in parts])
    ordered = np.sort(np.array(answers, np.float64), axis=0)
    points = ordered[_TRIMMED:-_TRIMMED].mean(axis=0)
    return points @ photo_from_patch[:2, :2].T + photo_from_patch[:2, 2]


def _photo_from_patch(centre: Float[np.ndarray, "2"], width: float) -> Float[np.ndarray, "3 3"]:
    scale = width / _FACE_PX
    shift = centre - scale * (_PATCH_PX - 1) / 2
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]])


@functools.cache
def _shape_predictor():
    return import_dlib().shape_predictor(str(model_file("dlib-landmarks68")))
