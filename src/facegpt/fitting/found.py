"""The faces of photos on their way from detector to result, for every method that reads photos.

Detection and alignment come before a method, the record after it; this module knows no method.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from facegpt.assets import licence_ledger
from facegpt.fitting.synthesis import FitResult
from facegpt.geometry.camera import camera_matrices
from facegpt.morphable.blendshapes import arkit_weights
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.semantics import describe_records
from facegpt.perception import skin
from facegpt.perception.alignment import AlignedFace, align
from facegpt.perception.images import Photo
from facegpt.perception.landmarks import DetectedFace, LandmarkDetector
from facegpt.reconstruction import FaceReconstruction

T = TypeVar("T")

_MOST_THREADS = 4
"""More only wait for dlib, which serves one at a time."""


@dataclass(frozen=True, eq=False)
class FoundFace:
    """One face of a photo."""

    photo: Photo
    detected: DetectedFace
    aligned: AlignedFace


def find_faces(photo: Photo, detector: LandmarkDetector) -> list[FoundFace]:
    """Every face of a photo, largest first; an empty list when there is none."""
    return [
        FoundFace(photo, face, align(photo, face.landmarks68_px)) for face in detector.detect(photo)
    ]


def find_faces_of(photos: Sequence[Photo], detector: LandmarkDetector) -> list[list[FoundFace]]:
    """Every face of every photo, as `find_faces`. Photos are searched beside each other: half of
    the time goes into work that does not hold Python's lock."""
    threads = min(len(photos), os.cpu_count() or 1, _MOST_THREADS)
    if threads < 2:
        return [find_faces(photo, detector) for photo in photos]
    with ThreadPoolExecutor(threads, thread_name_prefix="facegpt-find") as pool:
        return list(pool.map(lambda photo: find_faces(photo, detector), photos))


def reconstructions_of(
    found: Sequence[FoundFace],
    model: MorphableModel,
    fit: FitResult,
    *,
    method: str,
    licences: Iterable[str],
) -> list[FaceReconstruction]:
    """The results for faces of photos.

    Args:
        fit: Theta of these faces, and their errors.
        licences: Names of the assets that shaped theta, beside those of the model; the skin mask of
            a colour photo is added.
    """
    names = (*model.licences, *licences)
    measured = describe_records(fit.parameters, model)
    return [
        _reconstruction(face, model, fit[i], measured[i], method, names)
        for i, face in enumerate(found)
    ]


def _reconstruction(
    found: FoundFace,
    model: MorphableModel,
    fit: FitResult,
    semantics: Mapping[str, Any],
    method: str,
    licences: Iterable[str],
) -> FaceReconstruction:
    photo, detected, aligned = found.photo, found.detected, found.aligned
    names = (*licences, *(() if photo.is_grey else skin.LICENCES))
    theta = fit.parameters
    return FaceReconstruction(
        method=method,
        morphable_model=model.name,
        parameters=theta,
        arkit=arkit_weights(model, theta.expression),
        semantics=semantics,
        landmarks68_px=torch.as_tensor(photo.to_original(detected.landmarks68_px)),
        box_px=torch.as_tensor(photo.to_original(detected.box_px.reshape(2, 2))).flatten(),
        image_size=photo.original_size,
        crop_from_image=aligned.crop_from_image,
        camera=camera_matrices(
            theta.camera[0], model.pixels_per_mm, aligned.crop_from_image, photo.original_size
        ),
        errors={
            "photometric": float(fit.photometric[0]),
            "landmark_px": float(fit.landmark_px[0]),
            "landmark_nme": _normalised_error(aligned.landmarks68_px, fit.landmark_px[0]),
        },
        licences=licence_ledger(dict.fromkeys(names)),
    )


def split_by_photo(faces: Sequence[T], counts: Sequence[int]) -> list[list[T]]:
    """The faces of all photos in a row, or what was made of them, back to their photos."""
    left = iter(faces)
    return [[next(left) for _ in range(count)] for count in counts]


def _normalised_error(landmarks68_px: Tensor, landmark_px: Tensor) -> float:
    """Mean landmark error over the distance of the outer eye corners, the usual NME of the 68
    points."""
    eyes = landmarks68_px[[36, 45]].float()
    return float(landmark_px / (eyes[1] - eyes[0]).norm().clamp(min=1.0))
