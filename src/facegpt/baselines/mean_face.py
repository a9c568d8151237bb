"""The same face for everybody: the floor of every table.

The only thing it takes from a photo is where the face is, by the alignment of the crop. Whatever
does not beat it has learnt nothing about the person. Knows no network and no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from facegpt.fitting.found import FoundFace, find_faces, reconstruction_of, split_by_photo
from facegpt.fitting.synthesis import FaceBatch, measure_fit
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.images import ImageSource, Photo, load_image
from facegpt.perception.landmarks import LandmarkDetector
from facegpt.reconstruction import FaceReconstruction
from facegpt.rendering.renderer import Renderer

_FACES_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class MeanFace:
    """Answers every face of a photo with one theta (`FaceReconstructor`, `PhotoReconstructor`)."""

    model: MorphableModel
    detector: LandmarkDetector
    answer: FaceParameters = field(default_factory=lambda: FaceParameters.zeros(1))
    """A batch of one. Zero is the mean face of the model, neutral, frontal, in white ambient light,
    framed as the aligned crop frames the detected face. The mean theta of a training set is a
    stronger floor: it also has the mean light and the mean expression of its photos."""
    name: str = "mean-face"
    """What `FaceReconstruction.method` says."""

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
        """Every face of every photo, largest first."""
        by_photo = [find_faces(photo, self.detector) for photo in photos]
        found = [face for faces in by_photo for face in faces]
        results: list[FaceReconstruction] = []
        for first in range(0, len(found), _FACES_AT_ONCE):
            results += self._answers(found[first : first + _FACES_AT_ONCE])
        return split_by_photo(results, [len(faces) for faces in by_photo])

    def _answers(self, found: Sequence[FoundFace]) -> list[FaceReconstruction]:
        theta = FaceParameters.cat([self.answer] * len(found))
        fit = measure_fit(self.renderer, FaceBatch.of([face.aligned for face in found]), theta)
        return [
            reconstruction_of(
                face, self.model, fit[i], method=self.name, licences=self.detector.licences
            )
            for i, face in enumerate(found)
        ]
