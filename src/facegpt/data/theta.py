"""Where the theta of a stored photo comes from: a seam for fitting, and for any method that is
better.

Theta makes the supervised variant of training (Table 8) and the `measured` describer possible; the
self-supervised loss does without. Knows aligned faces, not files.
"""

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from facegpt.data.schema import DatasetError
from facegpt.fitting.synthesis import FaceBatch, FitSettings, fit_faces
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.alignment import AlignedFace
from facegpt.perception.identity import DlibIdentity, IdentityEncoder
from facegpt.rendering.renderer import Renderer

FACES_AT_ONCE = 8


@runtime_checkable
class ThetaEstimator(Protocol):
    """Finds theta of aligned photos."""

    @property
    def name(self) -> str:
        """What the column `theta_method` says."""
        ...

    def estimate(self, faces: Sequence[AlignedFace]) -> FaceParameters:
        """Theta of every face, in the same order; the answer does not depend on the others.

        Raises:
            ValueError: A face cannot be explained.
        """
        ...


class FittedTheta:
    """Analysis by synthesis (`facegpt.fitting`)."""

    name = "fit"

    def __init__(
        self,
        model: MorphableModel,
        settings: FitSettings | None = None,
        *,
        encoder: IdentityEncoder | None = None,
    ) -> None:
        """Without an encoder the perceptual term is left out."""
        self.renderer = Renderer(model.restricted_to())
        self.settings = settings or FitSettings()
        self.encoder = encoder

    def estimate(self, faces: Sequence[AlignedFace]) -> FaceParameters:
        """Theta by gradient descent on eq. 3."""
        parts = [
            fit_faces(
                self.renderer,
                FaceBatch.of(faces[first : first + FACES_AT_ONCE]),
                self.settings,
                encoder=self.encoder,
            ).parameters
            for first in range(0, len(faces), FACES_AT_ONCE)
        ]
        return FaceParameters.cat([FaceParameters.zeros(0), *parts])


class TowerTheta:
    """A trained vision tower (`facegpt train vision`): 10 ms a face, self-supervised like a fit."""

    name = "vision"

    def __init__(self, folder: Path) -> None:
        """Load the autoencoder.

        Raises:
            DatasetError: The folder holds none.
        """
        # Workers that read photos need it seldom, and transformers takes seconds.
        from facegpt.model.vision_tower import FaceVisionAutoencoder

        if not (folder / "config.json").is_file():
            raise DatasetError(
                f"no vision tower at {folder or '(no folder given)'}; train one with facegpt train "
                "vision, then say --reconstructor vision=FOLDER"
            )
        loaded = FaceVisionAutoencoder.from_pretrained(folder, local_files_only=True)
        self._tower = loaded.eval()

    def estimate(self, faces: Sequence[AlignedFace]) -> FaceParameters:
        """Theta in one look."""
        if not faces:
            return FaceParameters.zeros(0)
        with torch.no_grad():
            theta = self._tower.see(torch.stack([face.crop for face in faces]))
        return FaceParameters.from_vector(theta)


ESTIMATORS: dict[str, Callable[[MorphableModel, str], ThetaEstimator | None]] = {
    "none": lambda model, argument: None,
    "fit": lambda model, argument: FittedTheta(model, encoder=DlibIdentity()),
    "vision": lambda model, argument: TowerTheta(Path(argument)),
}
"""Name on the command line -> estimator of a morphable model; `none` leaves theta out. What follows
`=` is the argument: `vision=FOLDER`."""


def find_estimator(name: str, model: MorphableModel) -> ThetaEstimator | None:
    """An estimator by its name.

    Raises:
        DatasetError: There is none of this name, or it lacks what it needs.
    """
    name, _, argument = name.partition("=")
    if name not in ESTIMATORS:
        [nearest] = difflib.get_close_matches(name, ESTIMATORS, n=1, cutoff=0)
        raise DatasetError(
            f"no reconstructor {name!r}; did you mean {nearest!r}? Known: {sorted(ESTIMATORS)}"
        )
    return ESTIMATORS[name](model, argument)
