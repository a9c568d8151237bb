"""Faces and their 68 points by dlib: a cascade from fast to thorough.

The HOG detector finds most faces; on a padded copy of the photo it sees those that touch the
border; dlib's CNN confirms the doubtful ones and finds the rest. Every step looks at a bounded
number of pixels, so the smallest face found in a large photo is about 4 % of its width. Faces that
lie on their side are not found.
"""

import functools
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from facegpt.perception.dlib_models import import_dlib, model_file
from facegpt.perception.images import Photo
from facegpt.perception.landmarks import DetectedFace, dlib_landmarks
from facegpt.perception.resampling import resample

__all__ = ["DetectedFace", "DlibDetector"]

# HOG needs faces of 80 pixels: small photos are doubled.
_HOG_PIXELS = 3_000_000
_DOUBLED_PIXELS = 1_000_000
_PADDED_HOG_PIXELS = 1_000_000
_CNN_PIXELS = 200_000
_PADDING = 0.35
_CERTAIN = 0.5
_MOST_DOUBTFUL = 16
_PATCH_PX = 200
_PATCH_FACE_PX = 100
_OVERLAP = 0.4
_SMALLEST_PX = 16.0

_Rgb = UInt8[np.ndarray, "height width 3"]
_OtherRgb = UInt8[np.ndarray, "height2 width2 3"]
_Box = tuple[np.ndarray, float]
# dlib's detectors keep state while they run: one thread at a time. They hold Python's lock anyway.
_lock = threading.Lock()


class DlibDetector:
    """`LandmarkDetector` by dlib: HOG, padded HOG, CNN; then the 68-point model.

    It holds no state and can be pickled; the models are loaded once per process at first use.
    """

    licences = ("dlib-hog", "dlib-mmod", "dlib-landmarks68")

    def detect(self, photo: Photo) -> list[DetectedFace]:
        """Every face in the photo, largest first; an empty list when there is none.

        Raises:
            AssetMissingError: dlib or one of its models is not installed.
        """
        faces = [
            DetectedFace(box, score, dlib_landmarks(photo.rgb, box))
            for box, score in _cascade(photo.rgb)
        ]
        return sorted(faces, key=lambda face: -_area(face.box_px))


def _cascade(rgb: _Rgb) -> list[_Box]:
    for attempt in (_hog, _padded_hog):
        boxes = list(_confirmed(rgb, list(_distinct(attempt(rgb)))))
        if boxes:
            return boxes
    return list(_distinct(_padded_cnn(rgb)))


def _confirmed(rgb: _Rgb, boxes: list[_Box]) -> Iterator[_Box]:
    """What HOG is sure of, and what the CNN sees, too: emblems and folds of cloth look like faces
    to HOG alone."""
    doubtful = 0
    for box, score in boxes:
        doubtful += score < _CERTAIN
        if score >= _CERTAIN or (doubtful <= _MOST_DOUBTFUL and _cnn_sees(rgb, box)):
            yield box, score


def _cnn_sees(rgb: _Rgb, box: Float[np.ndarray, "4"]) -> bool:
    scale = (box[2] - box[0]) / _PATCH_FACE_PX
    corner = (box[:2] + box[2:]) / 2 - scale * (_PATCH_PX - 1) / 2
    photo_from_patch = np.array([[scale, 0, corner[0]], [0, scale, corner[1]], [0, 0, 1]])
    patch = resample(rgb, photo_from_patch, _PATCH_PX)
    with _lock:
        found = _cnn_detector()(patch, 0)
    boxes = [_in_photo(f.rect, 1.0) * scale + np.tile(corner, 2) for f in found]
    return any(_overlap(box, other) > _OVERLAP for other in boxes)


def _hog(rgb: _Rgb, pixels: int = _HOG_PIXELS) -> list[_Box]:
    picture, scale = _resized(rgb, pixels)
    with _lock:
        found, scores, _ = _frontal_detector().run(picture, 0, 0.0)
    boxes = zip(found, scores, strict=True)
    return [(_in_photo(box, scale), float(score)) for box, score in boxes]


def _padded_hog(rgb: _Rgb) -> list[_Box]:
    padded, padding = _padded(rgb, _PADDED_HOG_PIXELS)
    return _without_padding(_hog(padded, _PADDED_HOG_PIXELS), padding, rgb)


def _padded_cnn(rgb: _Rgb) -> list[_Box]:
    padded, padding = _padded(rgb, _CNN_PIXELS)
    picture, scale = _resized(padded, _CNN_PIXELS)
    if min(picture.shape[:2]) < _SMALLEST_PX:
        return []
    with _lock:
        found = _cnn_detector()(picture, 0)
    boxes = [(_in_photo(f.rect, scale), float(f.confidence)) for f in found]
    return _without_padding(boxes, padding, rgb)


def _padded(rgb: _Rgb, pixels: int) -> tuple[_OtherRgb, tuple[int, float]]:
    """The photo with a border of repeated edge pixels, reduced before (padding multiplies
    memory); the width of the border and the scale of the reduction."""
    small, scale = _resized(rgb, pixels) if rgb[..., 0].size > pixels else (rgb, 1.0)
    border = round(_PADDING * max(small.shape[:2]))
    return np.pad(small, ((border, border), (border, border), (0, 0)), mode="edge"), (border, scale)


def _without_padding(boxes: list[_Box], padding: tuple[int, float], rgb: _Rgb) -> list[_Box]:
    """Boxes of the padded photo as boxes of the photo, if their centre lies in it."""
    border, scale = padding
    size = np.array([rgb.shape[1], rgb.shape[0]])
    moved = [((box - border + 0.5) / scale - 0.5, score) for box, score in boxes]
    return [
        (box, score)
        for box, score in moved
        if (box[:2] + box[2:] >= 0).all() and (box[:2] + box[2:] <= 2 * (size - 1)).all()
    ]


def _resized(rgb: _Rgb, pixels: int) -> tuple[_OtherRgb, float]:
    """The photo with at most so many pixels, or doubled if it is small; and the scale."""
    height, width = rgb.shape[:2]
    scale = min(1.0, (pixels / (height * width)) ** 0.5)
    if 4 * height * width <= min(pixels, _DOUBLED_PIXELS):
        scale = 2.0
    if scale == 1.0:
        return np.ascontiguousarray(rgb), 1.0
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resized = Image.fromarray(np.ascontiguousarray(rgb)).resize(
        size, Image.Resampling.BILINEAR, reducing_gap=2.0
    )
    return np.asarray(resized), scale


def _in_photo(box: Any, scale: float) -> Float[np.ndarray, "4"]:
    corners = np.array([box.left(), box.top(), box.right(), box.bottom()], np.float64)
    return (corners + 0.5) / scale - 0.5


def _area(box: Float[np.ndarray, "4"]) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _distinct(boxes: list[_Box]) -> Iterator[_Box]:
    """Drop tiny boxes, and of overlapping ones all but the most certain."""
    kept: list[np.ndarray] = []
    for box, score in sorted(boxes, key=lambda found: -found[1]):
        if box[2] - box[0] < _SMALLEST_PX or any(_overlap(box, other) > _OVERLAP for other in kept):
            continue
        kept.append(box)
        yield box, score


def _overlap(a: Float[np.ndarray, "4"], b: Float[np.ndarray, "4"]) -> float:
    """Intersection over the smaller box."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return float(width * height) / min(_area(a), _area(b))


@functools.cache
def _frontal_detector() -> Any:
    return import_dlib().get_frontal_face_detector()


@functools.cache
def _cnn_detector() -> Any:
    return import_dlib().cnn_face_detection_model_v1(str(model_file("dlib-mmod")))
