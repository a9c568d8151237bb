"""What baselines that read photos share; and from photos to results for those that answer each
face at once, without looking again.

Finds the faces, lets the method predict theta in batches across the photos, and measures what it
predicted. Knows no method.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from facegpt.fitting.found import FoundFace, find_faces_of, reconstructions_of, split_by_photo
from facegpt.fitting.synthesis import FaceBatch, measure_fit
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.images import ImageSource, Photo, load_image
from facegpt.perception.landmarks import LandmarkDetector
from facegpt.reconstruction import FaceReconstruction
from facegpt.rendering.renderer import Renderer

_FACES_AT_ONCE = 16


class PhotoMethod(ABC):
    """A method for photos (`FaceReconstructor`, `PhotoReconstructor`) that renders its faces."""

    model: MorphableModel

    @cached_property
    def renderer(self) -> Renderer:
        """Renders the parts of the model that a photo is compared with."""
        return Renderer(self.model.restricted_to())

    def reconstruct(self, image: ImageSource) -> list[FaceReconstruction]:
        """Every face in the image that the method can read, largest first; an empty list when
        there is none.

        Raises:
            ImageError: The image cannot be read.
        """
        return self.reconstruct_photos([load_image(image)])[0]

    @abstractmethod
    def reconstruct_photos(self, photos: Sequence[Photo]) -> list[list[FaceReconstruction]]:
        """Every face of every photo that the method can read, largest first."""


@dataclass(frozen=True, eq=False)
class OnePass:
    """What the results of a method have in common."""

    method: str
    model: MorphableModel
    detector: LandmarkDetector
    renderer: Renderer
    """Renders the parts of the model that a photo is compared with."""
    licences: Sequence[str] = ()
    """Names of the assets that shape theta, beside those of model and detector."""

    def reconstruct(
        self, photos: Sequence[Photo], predict: Callable[[Sequence[FoundFace]], FaceParameters]
    ) -> list[list[FaceReconstruction]]:
        """Every face of every photo, largest first.

        Args:
            predict: Theta of some faces, in their order.
        """
        by_photo = find_faces_of(photos, self.detector)
        found = [face for faces in by_photo for face in faces]
        results: list[FaceReconstruction] = []
        for first in range(0, len(found), _FACES_AT_ONCE):
            part = found[first : first + _FACES_AT_ONCE]
            results += self.results(part, predict(part))
        return split_by_photo(results, [len(faces) for faces in by_photo])

    def results(
        self, found: Sequence[FoundFace], theta: FaceParameters
    ) -> list[FaceReconstruction]:
        """The results for faces whose theta is known, with their errors (eq. 8 and 9)."""
        fit = measure_fit(self.renderer, FaceBatch.of([face.aligned for face in found]), theta)
        licences = (*self.detector.licences, *self.licences)
        return reconstructions_of(found, self.model, fit, method=self.method, licences=licences)
