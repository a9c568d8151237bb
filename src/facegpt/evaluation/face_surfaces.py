"""The surface measures of the paper on faces of a morphable model (section 4.3 and A.5).

The protocol, in full: of the predicted theta and of the true one the face region is taken
(`FACE_PARTS` of the model: skin in front of the ears, eyeballs, mouth), as vertices in mm in the
frame of the model. Shape and expression count; pose, place and scale of the camera do not. The two
clouds are compared as they are and after rigid ICP of the prediction onto the truth, face by face.

Knows models and theta, no photos and no text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from facegpt.evaluation.checks import check_pairs
from facegpt.evaluation.metrics import Bootstrap, Estimate, mean_estimate, ratio_estimates
from facegpt.evaluation.registered import registered_distances
from facegpt.evaluation.surfaces import (
    CURVE_MM,
    NearestDistances,
    complete_rate_curve,
    nearest_distances,
)
from facegpt.morphable.model import FACE_PARTS, MorphableModel
from facegpt.morphable.parameters import FaceParameters


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances of every predicted face to its truth."""

    as_they_are: tuple[NearestDistances, ...]
    registered: tuple[NearestDistances, ...]
    """After rigid ICP, as in the paper's tables."""


def compare_surfaces(
    model: MorphableModel,
    predicted: FaceParameters,
    truth: FaceParameters,
    *,
    parts: Sequence[str] = FACE_PARTS,
) -> SurfaceDistances:
    """Both comparisons of every face; ICP takes about a second for each of the default model.

    Args:
        parts: What counts as the face region.

    Raises:
        MeasureError: There are no faces or not as many of both, or theta is not finite.
        RegistrationUnavailableError: trimesh is not installed; says how.
        ValueError: As `MorphableModel.restricted_to`.
    """
    check_pairs("predicted and true faces", predicted, truth)
    region = model.restricted_to(parts)
    clouds = [region_mm(region, theta) for theta in (predicted, truth)]
    return SurfaceDistances(
        tuple(nearest_distances(*pair) for pair in zip(*clouds, strict=True)),
        tuple(registered_distances(*pair) for pair in zip(*clouds, strict=True)),
    )


def region_mm(region: MorphableModel, theta: FaceParameters) -> Float[np.ndarray, "face vertex 3"]:
    """The vertices of each face in mm, in the frame of the model.

    Args:
        region: Usually `MorphableModel.restricted_to()`, the face region.
    """
    with torch.no_grad():
        vertices = region.vertices_mm(
            theta.shape.to(region.mean_mm.dtype), theta.expression.to(region.mean_mm.dtype)
        )
    return vertices.double().cpu().numpy()


def surface_estimates(
    distances: Sequence[NearestDistances], bootstrap: Bootstrap | None = None
) -> dict[str, Estimate]:
    """Means over the faces with 95 % intervals.

    Returns:
        `chamfer_mm`, `chamfer_sum_mm`, `accuracy_mm` and `completeness_mm` (eq. 6; see
        `NearestDistances`), and `complete_rate` (eq. 7 at 10 mm, 0-1).

    Raises:
        MeasureError: As `Bootstrap.groups_of`.
    """
    names = ("chamfer_mm", "chamfer_sum_mm", "accuracy_mm", "completeness_mm")
    values = {name: [getattr(face, name) for face in distances] for name in names}
    values["complete_rate"] = [face.complete_rate() for face in distances]
    return {name: mean_estimate(np.array(v), bootstrap) for name, v in values.items()}


def curve_estimates(
    distances: Sequence[NearestDistances],
    bootstrap: Bootstrap | None = None,
    *,
    thresholds_mm: Sequence[float] = CURVE_MM,
) -> list[Estimate]:
    """The complete-rate curve, its mean over the faces at each threshold with a 95 % interval of
    that point alone, not of the curve as a whole.

    Raises:
        MeasureError: As `Bootstrap.groups_of`.
    """
    curves = np.zeros((len(distances), len(thresholds_mm)))
    for row, face in enumerate(distances):
        curves[row] = complete_rate_curve(face, thresholds_mm)
    return ratio_estimates(curves, np.ones_like(curves), bootstrap)
