"""The same face for everybody: the floor of every table.

The only thing it takes from a photo is where the face is, by the alignment of the crop. Whatever
does not beat it has learnt nothing about the person. Knows no network and no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from facegpt.baselines.one_pass import OnePass
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.images import ImageSource, Photo, load_image
from facegpt.perception.landmarks import LandmarkDetector
from facegpt.reconstruction import FaceReconstruction
from facegpt.rendering.renderer import Renderer


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
        one_pass = OnePass(self.name, self.model, self.detector, self.renderer)
        return one_pass.reconstruct(
            photos, lambda found: FaceParameters.cat([self.answer] * len(found))
        )
