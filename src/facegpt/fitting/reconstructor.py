"""From any picture to fitted faces: detection, alignment and fitting behind the
`FaceReconstructor` protocol.

This module knows no files: photos come in, typed results go out.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from facegpt.assets import licence_ledger
from facegpt.fitting.synthesis import FaceBatch, FitResult, FitSettings, fit_faces
from facegpt.geometry.camera import camera_matrices
from facegpt.morphable.blendshapes import arkit_weights
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.registry import load_morphable_model
from facegpt.morphable.semantics import describe_record
from facegpt.perception import skin
from facegpt.perception.alignment import AlignedFace, align
from facegpt.perception.detection import DetectedFace, DlibDetector
from facegpt.perception.identity import DlibIdentity, IdentityEncoder
from facegpt.perception.images import ImageSource, Photo, load_image
from facegpt.perception.landmarks import LandmarkDetector
from facegpt.reconstruction import FaceReconstruction
from facegpt.rendering.renderer import Renderer

BATCH_SIZE = 8
"""Faces fitted together; more brings no speed on a CPU and costs memory."""

_Found = tuple[Photo, DetectedFace, AlignedFace]


class AnalysisBySynthesis:
    """Fits the morphable model to every face of a photo (the `fit` method of the command line)."""

    name = "fit"

    def __init__(
        self,
        model: MorphableModel | None = None,
        settings: FitSettings | None = None,
        *,
        detector: LandmarkDetector | None = None,
        encoder: IdentityEncoder | None = None,
    ) -> None:
        """Everything has a default: the shipped model, dlib's detector and dlib's identity
        network."""
        self.model = model or load_morphable_model("default")
        self.settings = settings or FitSettings()
        self.detector = detector or DlibDetector()
        self.encoder = encoder or DlibIdentity()

    @cached_property
    def renderer(self) -> Renderer:
        """Renders the parts of the model that a photo is compared with."""
        return Renderer(self.model.restricted_to())

    def reconstruct(self, image: ImageSource) -> list[FaceReconstruction]:
        """Every face in the image, largest first; an empty list when there is none.

        Raises:
            ImageError: The image cannot be read.
        """
        return self.reconstruct_photos([load_image(image)])[0]

    def reconstruct_photos(self, photos: Sequence[Photo]) -> list[list[FaceReconstruction]]:
        """Every face of every photo, fitted in batches across the photos."""
        found: list[_Found] = []
        owners: list[int] = []
        for owner, photo in enumerate(photos):
            for face in self.detector.detect(photo):
                found.append((photo, face, align(photo, face.landmarks68_px)))
                owners.append(owner)
        results: list[list[FaceReconstruction]] = [[] for _ in photos]
        for first in range(0, len(found), BATCH_SIZE):
            part = found[first : first + BATCH_SIZE]
            fit = self._fit([face for _, _, face in part])
            for i, (photo, detected, aligned) in enumerate(part):
                record = self._record(photo, detected, aligned, fit, i)
                results[owners[first + i]].append(record)
        return results

    def _fit(self, faces: Sequence[AlignedFace]) -> FitResult:
        return fit_faces(self.renderer, FaceBatch.of(faces), self.settings, encoder=self.encoder)

    def _record(
        self, photo: Photo, detected: DetectedFace, aligned: AlignedFace, fit: FitResult, i: int
    ) -> FaceReconstruction:
        theta = fit.parameters[i]
        licences = (*self.model.licences, *self.detector.licences, *self.encoder.licences)
        if not photo.is_grey:
            licences = (*licences, *skin.LICENCES)
        return FaceReconstruction(
            method=self.name,
            morphable_model=self.model.name,
            parameters=theta,
            arkit=arkit_weights(self.model, theta.expression),
            semantics=describe_record(theta, self.model),
            landmarks68_px=torch.as_tensor(photo.to_original(detected.landmarks68_px)),
            box_px=torch.as_tensor(photo.to_original(detected.box_px.reshape(2, 2))).flatten(),
            image_size=photo.original_size,
            crop_from_image=aligned.crop_from_image,
            camera=camera_matrices(
                theta.camera[0],
                self.model.pixels_per_mm,
                aligned.crop_from_image,
                photo.original_size,
            ),
            errors={
                "photometric": float(fit.photometric[i]),
                "landmark_px": float(fit.landmark_px[i]),
                "landmark_nme": _normalised_error(aligned.landmarks68_px, fit.landmark_px[i]),
            },
            licences=licence_ledger(dict.fromkeys(licences)),
        )


def _normalised_error(landmarks68_px: Tensor, landmark_px: Tensor) -> float:
    """Mean landmark error over the distance of the outer eye corners, the usual NME of the 68
    points."""
    eyes = landmarks68_px[[36, 45]].float()
    return float(landmark_px / (eyes[1] - eyes[0]).norm().clamp(min=1.0))
