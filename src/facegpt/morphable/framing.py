"""How a face sits in an aligned crop: the one place that fixes what the camera c = 0 shows.

Used from both sides: alignment cuts photos to this frame, loaders move models into it.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from facegpt.geometry.camera import CROP_SIZE

EYE_DISTANCE_PX = 63.0
"""Distance of the eye centres in an aligned crop (the framing of Deep3D)."""

_UNITS_OF_EYE_DISTANCE = ((-0.5, 0.0), (0.5, 0.0), (0.0, 0.565), (-0.457, 1.029), (0.457, 1.029))
_BETWEEN_EYES_PX = (111.5, 93.5)

FIVE_POINT_TEMPLATE_PX = torch.tensor(
    _UNITS_OF_EYE_DISTANCE, dtype=torch.float64
) * EYE_DISTANCE_PX + torch.tensor(_BETWEEN_EYES_PX, dtype=torch.float64)
"""(5, 2): eye centres, nose tip, mouth corners of an aligned 224 crop; pixel centres are
integers."""


def five_points(landmarks68: Float[Tensor, "*batch 68 axis"]) -> Float[Tensor, "*batch 5 axis"]:
    """Eye centres, nose tip and mouth corners out of the iBUG 68 points, image left first."""
    return torch.stack(
        [
            landmarks68[..., 36:42, :].mean(dim=-2),
            landmarks68[..., 42:48, :].mean(dim=-2),
            landmarks68[..., 30, :],
            landmarks68[..., 48, :],
            landmarks68[..., 54, :],
        ],
        dim=-2,
    )


def place_in_crop(
    mean_mm: Float[Tensor, "vertex 3"], landmarks68: Int[Tensor, "68"]
) -> tuple[Float[Tensor, "3"], float]:
    """Where the origin of a model must lie, and its scale, so that c = 0 shows it in the aligned
    frame.

    Returns:
        The offset in mm to add to every vertex, and the pixels per mm of a 224 crop.
    """
    points = five_points(mean_mm[landmarks68].double())
    pixels_per_mm = EYE_DISTANCE_PX / float((points[1] - points[0]).norm())
    centre_px = (CROP_SIZE - 1) / 2
    wanted_mm = (FIVE_POINT_TEMPLATE_PX.to(points.device) - centre_px) / pixels_per_mm
    offset = torch.zeros(3, dtype=torch.float64, device=points.device)
    offset[0] = (wanted_mm[:, 0] - points[:, 0]).mean()
    offset[1] = (-wanted_mm[:, 1] - points[:, 1]).mean()
    offset[2] = -points[:2, 2].mean()
    return offset.to(mean_mm.dtype), pixels_per_mm
