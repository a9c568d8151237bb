"""Any estimator of theta as a method for photos: it is shown the aligned crops and nothing else.

So whoever answers aligned faces (`ThetaEstimator`: a vision tower, a regression head) takes part
wherever photos are read. Knows no network and no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from facegpt.baselines.one_pass import OnePass, PhotoMethod
from facegpt.data.theta import ThetaEstimator
from facegpt.morphable.model import MorphableModel
from facegpt.perception.images import Photo
from facegpt.perception.landmarks import LandmarkDetector
from facegpt.reconstruction import FaceReconstruction


@dataclass(frozen=True, eq=False)
class EstimatedFaces(PhotoMethod):
    """An estimator behind a detector (`FaceReconstructor`, `PhotoReconstructor`)."""

    estimator: ThetaEstimator
    model: MorphableModel
    detector: LandmarkDetector
    licences: Sequence[str] = ()
    """Names of the assets that shape what the estimator says."""

    @property
    def name(self) -> str:
        """What `FaceReconstruction.method` says."""
        return self.estimator.name

    def reconstruct_photos(self, photos: Sequence[Photo]) -> list[list[FaceReconstruction]]:
        """Every face of every photo, largest first, estimated in batches across the photos."""
        one_pass = OnePass(self.name, self.model, self.detector, self.renderer, self.licences)
        return one_pass.reconstruct(
            photos, lambda found: self.estimator.estimate([face.aligned for face in found])
        )
