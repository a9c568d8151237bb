"""Numbers of faces against their photos: eq. 8, eq. 9 with NME, and identity.

Photos are aligned by their reference landmarks. Knows theta and photos, no method.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from facegpt.evaluation.benchmarks.photo_data import PhotoItem
from facegpt.evaluation.landmarks import landmark_errors
from facegpt.fitting.synthesis import FaceBatch, identity_distance, measure_fit
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.alignment import AlignedFace, align
from facegpt.perception.identity import DlibIdentity, IdentityEncoder
from facegpt.perception.images import load_image
from facegpt.rendering.renderer import Renderer

VERSION = 1
"""Of the protocol; kept numbers of another one are computed again."""


@dataclass(frozen=True, eq=False)
class PhotoJudge:
    """Compares faces with photos."""

    model: MorphableModel

    @cached_property
    def encoder(self) -> IdentityEncoder:
        """dlib's identity network."""
        return DlibIdentity()

    @cached_property
    def renderer(self) -> Renderer:
        """Of the parts that a photo is compared with."""
        return Renderer(self.model.restricted_to())

    def values(self, items: Sequence[PhotoItem], theta: FaceParameters) -> list[dict[str, float]]:
        """`photometric`, `landmark_px`, `inner_px`, `nme`, `inner_nme` and `identity_l2` of each.

        Raises:
            ImageError: A photo cannot be read.
        """
        batch = FaceBatch.of([aligned(item) for item in items])
        with torch.no_grad():
            fit = measure_fit(self.renderer, batch, theta)
            projected = self.renderer(theta).landmarks_px
        identity = identity_distance(self.renderer, batch, theta, self.encoder)
        points = landmark_errors(batch.landmarks68_px.double().numpy(), projected.double().numpy())
        columns = {
            "photometric": fit.photometric,
            "landmark_px": points.all_px,
            "inner_px": points.inner_px,
            "nme": points.all_nme,
            "inner_nme": points.inner_nme,
            "identity_l2": identity,
        }
        return [
            {name: float(np.asarray(column[i])) for name, column in columns.items()}
            for i in range(len(items))
        ]


def aligned(item: PhotoItem) -> AlignedFace:
    """The crop that every method is shown.

    Raises:
        ImageError: The photo cannot be read.
    """
    photo = load_image(item.path)
    return align(photo, photo.from_original(item.landmarks68_px))
