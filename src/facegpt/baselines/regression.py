"""Theta of photos by a vision tower and an MLP, without a language model (Table 7).

Trained by `facegpt train regression` on the photos and the loss of nano. Knows no files but its own
weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from facegpt.baselines.one_pass import OnePass, PhotoMethod
from facegpt.baselines.regression_network import RegressionNetwork
from facegpt.fitting.found import FoundFace
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.registry import load_morphable_model
from facegpt.perception.detection import DlibDetector
from facegpt.perception.images import Photo
from facegpt.perception.landmarks import LandmarkDetector
from facegpt.pipeline.network import bounded
from facegpt.reconstruction import FaceReconstruction


@dataclass(frozen=True, eq=False)
class Regression(PhotoMethod):
    """Reads every face of a photo off the tower (`FaceReconstructor`, `PhotoReconstructor`)."""

    network: RegressionNetwork
    model: MorphableModel
    """The one that the network was trained for."""
    detector: LandmarkDetector
    licences: Sequence[str] = ("nano-tower",)
    """Names of the assets that shape theta, beside those of model and detector."""
    name: str = "regression"
    """What `FaceReconstruction.method` says."""

    @classmethod
    def load(cls, folder: Path, *, detector: LandmarkDetector | None = None) -> "Regression":
        """The baseline of a folder that `facegpt train regression` wrote: `best` or `last`.

        Args:
            detector: Finds faces in photos; dlib's by default.

        Raises:
            BaselineWeightsError: There are no weights, or they are damaged.
        """
        network = RegressionNetwork.load(folder)
        model = load_morphable_model(network.config.morphable_model)
        return cls(network, model, detector or DlibDetector())

    def reconstruct_photos(self, photos: Sequence[Photo]) -> list[list[FaceReconstruction]]:
        """Every face of every photo, largest first."""
        one_pass = OnePass(self.name, self.model, self.detector, self.renderer, self.licences)
        return one_pass.reconstruct(photos, self.predict)

    def predict(self, found: Sequence[FoundFace]) -> FaceParameters:
        """Theta of aligned faces, bounded as nano's is."""
        with torch.no_grad():
            theta = self.network.see(torch.stack([face.aligned.crop for face in found]))
        return bounded(theta)
