"""A sharp aligned crop of a photo with soft masks: where a texture may take its colours from.

The aligned 224 crop of perception is made for comparing; a texture wants every pixel the photo has.
This module knows no mesh.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw
from scipy import ndimage
from torch import Tensor

from facegpt.morphable.framing import CROP_SIZE
from facegpt.perception.alignment import align
from facegpt.perception.images import Photo
from facegpt.perception.resampling import resample
from facegpt.reconstruction import FaceReconstruction

MAX_SCALE = 4
"""Pixels of a view per pixel of the 224 crop, at most: 252 between the eyes."""

_BROW_WIDTH_PX = 7
"""The skin mask has holes at brows and nostrils; holes up to twice this are closed (224 crop)."""
_SAFETY_PX = 2
_HAIR_DARKER, _HAIR_TINT = 0.4, 0.22
"""Logarithms of the lightness and the tint that set hair apart from the cheeks."""
_OUTLINE_PX = 2.5
_LID_PX = 0.7
_LASHES_PX = 1.5
_EYES = (range(36, 42), range(42, 48))
_LIPS_INSIDE = range(60, 68)


@dataclass(frozen=True)
class PhotoView:
    """A square crop in the frame of the aligned crop, `scale` times as fine."""

    image: Float[Tensor, "3 side side"]
    """sRGB in [0, 1]."""
    skin: Float[Tensor, "side side"]
    """1 where the photo shows the skin of the face (brows and nostrils too), soft at its edges."""
    eyes: Float[Tensor, "side side"]
    """1 between the lids and a little beyond, soft at its edges."""
    scale: int
    is_grey: bool

    def from_crop_px(self, crop_px: Float[Tensor, "*batch axis"]) -> Float[Tensor, "*batch axis"]:
        """Pixels of the 224 crop as pixels of this view."""
        return (crop_px + 0.5) * self.scale - 0.5


def photo_view(photo: Photo, reconstruction: FaceReconstruction) -> PhotoView:
    """The view of one reconstructed face; the work is bounded, however large the photo is."""
    original_px = reconstruction.landmarks68_px
    photo_px = (original_px + 0.5) * photo.photo_from_original - 0.5
    aligned = align(photo, photo_px.numpy().astype(np.float32))
    crop_from_image = reconstruction.crop_from_image.double()
    image_px_per_crop_px = 1 / float(torch.linalg.det(crop_from_image[:2, :2]).sqrt())
    photo_px_per_crop_px = image_px_per_crop_px * photo.photo_from_original
    scale = int(np.clip(np.ceil(photo_px_per_crop_px), 1, MAX_SCALE))
    points = original_px.double() @ crop_from_image[:2, :2].T + crop_from_image[:2, 2]
    whole = without_fringe(aligned.skin.numpy(), aligned.crop.numpy(), points.numpy())
    skin, eyes = _masks(whole, aligned.validity.numpy(), points.numpy(), scale)
    photo_from_view = photo_from_crop(photo, reconstruction) @ image_scaling(1 / scale)
    pixels = resample(photo.rgb, photo_from_view.numpy(), CROP_SIZE * scale)
    image = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    return PhotoView(image, skin, eyes, scale, photo.is_grey)


def photo_from_crop(photo: Photo, reconstruction: FaceReconstruction) -> Float[Tensor, "3 3"]:
    """Pixels of the aligned 224 crop to pixels of the (perhaps reduced) photo."""
    image_from_crop = torch.linalg.inv(reconstruction.crop_from_image.double())
    return image_scaling(photo.photo_from_original) @ image_from_crop


def image_scaling(factor: float) -> Float[Tensor, "3 3"]:
    """Pixels of an image to pixels of the same image `factor` times as large."""
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[0, 0] = matrix[1, 1] = factor
    matrix[0, 2] = matrix[1, 2] = 0.5 * (factor - 1)
    return matrix


def without_fringe(
    skin: Bool[np.ndarray, "224 224"],
    crop: Float[np.ndarray, "3 224 224"],
    landmarks68_px: Float[np.ndarray, "68 2"],
) -> Bool[np.ndarray, "224 224"]:
    """The skin mask without hair that falls over the forehead.

    Skin models take much blond and brown hair for skin. On a texture a cut strip of it is ugly, so
    the forehead ends where, going up from the brows, the colour first leaves that of the cheeks.
    """
    rows, columns = np.mgrid[:CROP_SIZE, :CROP_SIZE]
    brows = landmarks68_px[17:27][np.argsort(landmarks68_px[17:27, 0])]
    brow_line = np.interp(columns[0], brows[:, 0], brows[:, 1]) - _BROW_WIDTH_PX
    eye_line, mouth_line = landmarks68_px[36:48, 1].max(), landmarks68_px[48:68, 1].min()
    cheeks = skin & (rows > eye_line) & (rows < mouth_line)
    if cheeks.sum() < 50:
        return skin
    colour = np.log(ndimage.gaussian_filter(crop, (0, 1, 1)) + 0.02)
    apart = colour - np.median(colour[:, cheeks], axis=1)[:, None, None]
    lightness = apart.mean(axis=0)
    tint = np.abs(apart - lightness).max(axis=0)
    hair = (lightness < -_HAIR_DARKER) | (tint > _HAIR_TINT)
    hair = ndimage.binary_opening(hair, _disc(1)) & (rows < brow_line)
    covered = np.logical_or.accumulate(hair[::-1], axis=0)[::-1]
    return skin & ~covered


def _masks(
    skin: np.ndarray, validity: np.ndarray, landmarks68_px: np.ndarray, scale: int
) -> tuple[Tensor, Tensor]:
    """Soft masks of skin and eyes at the scale of the view, from those of the 224 crop."""
    coarse_eyes, coarse_lips = _openings(landmarks68_px, 1)
    outline = _outline(skin | (coarse_eyes > 0) | (coarse_lips > 0), validity)
    fine = torch.nn.functional.interpolate(
        torch.from_numpy(outline)[None, None],
        scale_factor=scale,
        mode="bilinear",
        align_corners=False,
    )[0, 0]
    eyes, lips = _openings((landmarks68_px + 0.5) * scale - 0.5, scale)
    # The mesh knows where an eyeball ends; lashes on its rim look better than a white line.
    around_eyes = ndimage.binary_dilation(eyes, _disc(round(_LASHES_PX * scale)))
    return fine * (1 - _soft(np.maximum(eyes, lips), scale)), fine * _soft(around_eyes, scale)


def _outline(whole: np.ndarray, validity: np.ndarray) -> np.ndarray:
    margin = 2 * _BROW_WIDTH_PX
    closed = ndimage.binary_closing(np.pad(whole, margin), _disc(_BROW_WIDTH_PX))
    closed = closed[margin:-margin, margin:-margin]
    kept = ndimage.binary_erosion(closed & validity, _disc(_SAFETY_PX))
    blurred = ndimage.gaussian_filter(kept.astype(np.float32), _OUTLINE_PX)
    # The blur must not reach over the border of the mask: beyond it there is hair or nothing.
    return np.clip(2 * blurred - 1, 0, 1)


def _openings(points_px: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Between the lids and between the lips."""
    eyes = [_polygon(points_px[list(eye)], scale) for eye in _EYES]
    return np.maximum(*eyes), _polygon(points_px[list(_LIPS_INSIDE)], scale)


def _polygon(points_px: np.ndarray, scale: int) -> np.ndarray:
    mask = Image.new("L", (CROP_SIZE * scale, CROP_SIZE * scale))
    ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in points_px], fill=1)
    return np.asarray(mask)


def _soft(mask: np.ndarray, scale: int) -> Tensor:
    return torch.from_numpy(ndimage.gaussian_filter(mask.astype(np.float32), _LID_PX * scale))


def _disc(radius: int) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return x**2 + y**2 <= radius**2
