"""From a photo and 68 points to the aligned crop that every method works on.

The crop has 63 pixels between the eyes (the framing of Deep3D); integer coordinates are pixel
centres in every picture. Knows no detector.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor

from facegpt.morphable.framing import CROP_SIZE, FIVE_POINT_TEMPLATE_PX, five_points
from facegpt.perception.images import Photo
from facegpt.perception.resampling import inside_photo, resample
from facegpt.perception.skin import skin_mask

__all__ = ["AlignedFace", "align", "resample", "similarity"]


@dataclass(frozen=True)
class AlignedFace:
    """One face in the aligned frame."""

    crop: Float[Tensor, "3 224 224"]
    validity: Bool[Tensor, "224 224"]
    """Pixels that lie inside the photo."""
    skin: Bool[Tensor, "224 224"]
    """The mask A: skin, inside the photo."""
    landmarks68_px: Float[Tensor, "68 2"]
    """In pixels of the crop."""
    crop_from_image: Float[Tensor, "3 3"]
    """Similarity from pixels of the ORIGINAL picture, float64."""
    is_grey: bool


def align(photo: Photo, landmarks68_px: Real[np.ndarray, "points axis"]) -> AlignedFace:
    """Cut the face with these points (in pixels of `photo`) out of the photo.

    Raises:
        ValueError: The points are not 68 finite points, or all in one place.
    """
    points = np.asarray(landmarks68_px, np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise ValueError(f"alignment needs 68 finite points, got shape {points.shape}")
    crop_from_photo = similarity(five_points(torch.from_numpy(points)).numpy())
    photo_from_crop = np.linalg.inv(crop_from_photo)
    crop = resample(photo.rgb, photo_from_crop, CROP_SIZE)
    inside = inside_photo(photo.rgb.shape[:2], photo_from_crop, CROP_SIZE)
    in_crop = points @ crop_from_photo[:2, :2].T + crop_from_photo[:2, 2]
    skin = skin_mask(crop, in_crop, inside, is_grey=photo.is_grey)
    scale = photo.photo_from_original
    photo_from_image = np.array(
        [[scale, 0, 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5], [0, 0, 1]]
    )
    return AlignedFace(
        torch.from_numpy(crop).permute(2, 0, 1).float().div(255).contiguous(),
        torch.from_numpy(inside),
        torch.from_numpy(skin),
        torch.from_numpy(in_crop).float(),
        torch.from_numpy(crop_from_photo @ photo_from_image),
        photo.is_grey,
    )


def similarity(five_px: Float[np.ndarray, "5 2"]) -> Float[np.ndarray, "3 3"]:
    """Least-squares similarity from five points to the template of the crop (Umeyama 1991).

    Raises:
        ValueError: The points lie in one place.
    """
    target = FIVE_POINT_TEMPLATE_PX.numpy()
    source_mean, target_mean = five_px.mean(axis=0), target.mean(axis=0)
    source, centred = five_px - source_mean, target - target_mean
    spread = (source**2).sum()
    if not spread > 1e-6:
        raise ValueError("the five alignment points lie in one place; there is no face to align")
    # In the plane a rotation with scale is one complex number: no reflection can creep in.
    complex_source = source[:, 0] + 1j * source[:, 1]
    complex_target = centred[:, 0] + 1j * centred[:, 1]
    factor = (np.conj(complex_source) * complex_target).sum() / spread
    if not abs(factor) * np.sqrt(spread) > 1e-3:
        raise ValueError("the five alignment points do not have the shape of a face")
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = target_mean - turn @ source_mean
    return matrix
