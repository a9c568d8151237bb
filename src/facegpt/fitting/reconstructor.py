"""From any picture to fitted faces: detection, alignment and fitting behind the
`FaceReconstructor` protocol.

This module knows no files: photos come in, typed results go out.
"""

from collections.abc import Sequence
from functools import cached_property

from facegpt.fitting.found import find_faces_of, reconstructions_of, split_by_photo
from facegpt.fitting.synthesis import FaceBatch, FitResult, FitSettings, fit_faces
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.registry import load_morphable_model
from facegpt.perception.alignment import AlignedFace
from facegpt.perception.detection import DlibDetector
from facegpt.perception.identity import DlibIdentity, IdentityEncoder
from facegpt.perception.images import ImageSource, Photo, load_image
from facegpt.perception.landmarks import LandmarkDetector
from facegpt.reconstruction import FaceReconstruction
from facegpt.rendering.renderer import Renderer

BATCH_SIZE = 8
"""Faces fitted together; more brings no speed on a CPU and costs memory."""


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
        by_photo = find_faces_of(photos, self.detector)
        found = [face for faces in by_photo for face in faces]
        licences = (*self.detector.licences, *self.encoder.licences)
        results = []
        for first in range(0, len(found), BATCH_SIZE):
            part = found[first : first + BATCH_SIZE]
            fit = self._fit([face.aligned for face in part])
            results += reconstructions_of(
                part, self.model, fit, method=self.name, licences=licences
            )
        return split_by_photo(results, [len(faces) for faces in by_photo])

    def _fit(self, faces: Sequence[AlignedFace]) -> FitResult:
        return fit_faces(self.renderer, FaceBatch.of(faces), self.settings, encoder=self.encoder)
