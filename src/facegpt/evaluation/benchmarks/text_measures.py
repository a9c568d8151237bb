"""Numbers of faces made from texts against the fitted faces of the photos: eq. 6, eq. 7 and RFRR.

The protocol of the surfaces is that of `face_surfaces`, that of RFRR in `recognition`. dlib's
descriptors of all heads point the same way, so RFRR is also given around a fixed centre: the mean
descriptor of random heads of the model, which depends on no data and on no method. Knows theta, no
texts and no method.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float

from facegpt.evaluation.face_surfaces import compare_surfaces
from facegpt.evaluation.recognition import identity_agreement, identity_descriptors
from facegpt.evaluation.surfaces import NearestDistances
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.identity import DlibIdentity, IdentityEncoder
from facegpt.rendering.renderer import Renderer

VERSION = 1
"""Of the protocol; kept numbers of another one are computed again."""

NEAR_MM = 2.0
"""Faces of one model are all within the paper's 10 mm; here they part."""

_HEADS, _SEED, _BLOCKS = 64, 0, ("shape", "expression", "albedo")


@dataclass(frozen=True, eq=False)
class TextJudge:
    """Compares faces with faces."""

    model: MorphableModel

    @cached_property
    def encoder(self) -> IdentityEncoder:
        """dlib's identity network."""
        return DlibIdentity()

    @cached_property
    def renderer(self) -> Renderer:
        """Of the face region."""
        return Renderer(self.model.restricted_to())

    @cached_property
    def centre(self) -> Float[np.ndarray, "feature"]:
        """The mean descriptor of random heads, N(0, 1) in shape, expression and albedo."""
        generator = torch.Generator().manual_seed(_SEED)
        zeros = FaceParameters.zeros(_HEADS)
        drawn = {
            name: torch.randn(zeros.blocks()[name].shape, generator=generator) for name in _BLOCKS
        }
        heads = zeros.replace(**drawn)
        return identity_descriptors(self.renderer, heads, self.encoder).mean(axis=0)

    def values(self, predicted: FaceParameters, truth: FaceParameters) -> list[dict[str, float]]:
        """`surface_values` and `rfrr`, `rfrr_plain`, `identity_l2` of each face.

        Raises:
            MeasureError: Theta is not finite.
            RegistrationUnavailableError: trimesh is not installed; says how.
        """
        surfaces = compare_surfaces(self.model, predicted, truth)
        seen = [
            identity_descriptors(self.renderer, theta, self.encoder) for theta in (predicted, truth)
        ]
        around = identity_agreement(*seen, centre=self.centre)
        plain = identity_agreement(*seen)
        pairs = zip(surfaces.registered, surfaces.as_they_are, strict=True)
        return [
            surface_values(registered, as_is)
            | _defined(
                rfrr=around.cosine[i], rfrr_plain=plain.cosine[i], identity_l2=plain.distance[i]
            )
            for i, (registered, as_is) in enumerate(pairs)
        ]


def surface_values(
    registered: NearestDistances, as_is: NearestDistances | None = None
) -> dict[str, float]:
    """`chamfer_mm`, `complete_10mm` and `complete_2mm` (0-1) after ICP, and `chamfer_as_is_mm`."""
    values = {
        "chamfer_mm": registered.chamfer_mm,
        "complete_10mm": registered.complete_rate(),
        "complete_2mm": registered.complete_rate(NEAR_MM),
    }
    return values if as_is is None else values | {"chamfer_as_is_mm": as_is.chamfer_mm}


def _defined(**values: float) -> dict[str, float]:
    """Without those that are not a number: a descriptor at the centre has no direction."""
    return {name: float(value) for name, value in values.items() if np.isfinite(value)}
