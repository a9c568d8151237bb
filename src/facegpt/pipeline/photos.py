"""From photos to faces by the language model: one prefill per batch, and refinement if wanted.

It is an ordinary method for photos, so whatever runs `fit` over a folder runs it too. Knows no
files and no conversation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from facegpt.data.face_note import face_notes
from facegpt.fitting.found import (
    FoundFace,
    find_faces,
    find_faces_of,
    reconstructions_of,
    split_by_photo,
)
from facegpt.fitting.synthesis import FaceBatch, FitResult, FitSettings, fit_faces, measure_fit
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.images import ImageSource, Photo, load_image
from facegpt.perception.landmarks import LandmarkDetector
from facegpt.pipeline.errors import NoFaceError
from facegpt.pipeline.network import Conversation, Network
from facegpt.pipeline.requests import answer_turn, image_request, user_turn
from facegpt.reconstruction import FaceReconstruction
from facegpt.rendering.renderer import Renderer

REFINEMENT = FitSettings(steps=28, perceptual_every=0)
"""A short descent from the prediction: less than a second more per face. With 40 steps the errors
fell by another hundredth (68 points 0.85 instead of 0.86 px), for half as much time again."""

_FACES_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class PhotoReader:
    """Reconstructs the faces of photos (`FaceReconstructor` and `PhotoReconstructor`)."""

    network: Network
    model: MorphableModel
    detector: LandmarkDetector
    method: str = "nano"
    licences: Sequence[str] = ()
    """Names of the assets that shape what the network says."""
    refine: bool = False
    """Fit the prediction to the photo afterwards."""

    @property
    def name(self) -> str:
        """What `FaceReconstruction.method` says."""
        return f"{self.method}+refine" if self.refine else self.method

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
        """Every face of every photo, largest first, predicted in batches across the photos."""
        by_photo = find_faces_of(photos, self.detector)
        found = [face for faces in by_photo for face in faces]
        results = []
        for first in range(0, len(found), _FACES_AT_ONCE):
            part = found[first : first + _FACES_AT_ONCE]
            results += self.reconstructions(part, self.predict(part))
        return split_by_photo(results, [len(faces) for faces in by_photo])

    def predict(self, found: Sequence[FoundFace]) -> FaceParameters:
        """Theta of aligned faces by the forced answer."""
        messages = [user_turn(image_request(), image=True), answer_turn()]
        return self.network.faces_of([Conversation(messages, [f.aligned.crop]) for f in found])

    def notes(self, found: Sequence[FoundFace]) -> list[str]:
        """What the model shall read beside each photo when it talks about it: the measurements of
        its own prediction in words. Empty for weights that were trained without."""
        if not found or not self.network.reads_face_note:
            return [""] * len(found)
        is_grey = [face.photo.is_grey for face in found]
        notes = face_notes(self.predict(found), self.model, is_grey=is_grey)
        return [str(note) for note in notes]

    def reconstructions(
        self, found: Sequence[FoundFace], theta: FaceParameters
    ) -> list[FaceReconstruction]:
        """The results for faces whose theta is predicted."""
        fit = self._fit(FaceBatch.of([face.aligned for face in found]), theta)
        licences = (*self.detector.licences, *self.licences)
        return reconstructions_of(found, self.model, fit, method=self.name, licences=licences)

    def largest_face(self, image: ImageSource) -> FoundFace:
        """The largest face of an image.

        Raises:
            ImageError: The image cannot be read.
            NoFaceError: There is none.
        """
        faces = find_faces(load_image(image), self.detector)
        if not faces:
            name = image if isinstance(image, str) or hasattr(image, "__fspath__") else "the photo"
            raise NoFaceError(
                f"{name}: no face found; a face should be at least 40 pixels wide, fairly upright "
                "and not in profile"
            )
        return faces[0]

    def _fit(self, batch: FaceBatch, theta: FaceParameters) -> FitResult:
        if self.refine:
            return fit_faces(self.renderer, batch, REFINEMENT, start=theta)
        return measure_fit(self.renderer, batch, theta)
