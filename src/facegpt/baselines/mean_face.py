"""The same face for everybody: the floor of every table.

The only thing it takes from a photo is where the face is, by the alignment of the crop. Whatever
does not beat it has learnt nothing about the person. Knows no network and no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from facegpt.baselines.one_pass import OnePass, PhotoMethod
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.images import Photo
from facegpt.perception.landmarks import LandmarkDetector
from facegpt.reconstruction import FaceReconstruction


@dataclass(frozen=True, eq=False)
class MeanFace(PhotoMethod):
    """Answers every face of a photo with one theta (`FaceReconstructor`, `PhotoReconstructor`)."""

    model: MorphableModel
    detector: LandmarkDetector
    answer: FaceParameters = field(default_factory=lambda: FaceParameters.zeros(1))
    """A batch of one. Zero is the mean face of the model, neutral, frontal, in white ambient light,
    framed as the aligned crop frames the detected face. The mean theta of a training set is a
    stronger floor: it also has the mean light and the mean expression of its photos."""
    name: str = "mean-face"
    """What `FaceReconstruction.method` says."""

    def reconstruct_photos(self, photos: Sequence[Photo]) -> list[list[FaceReconstruction]]:
        """Every face of every photo, largest first."""
        one_pass = OnePass(self.name, self.model, self.detector, self.renderer)
        return one_pass.reconstruct(
            photos, lambda found: FaceParameters.cat([self.answer] * len(found))
        )
