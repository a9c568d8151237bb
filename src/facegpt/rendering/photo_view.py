"""A sharp aligned crop of a photo with soft masks: where a texture may take its colours from.

The aligned 224 crop of perception is made for comparing; a texture wants every pixel the photo has.
This module knows no mesh.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from scipy import ndimage
from torch import Tensor

from facegpt.morphable.framing import CROP_SIZE
from facegpt.perception.alignment import align
from facegpt.perception.images import Photo
from facegpt.reconstruction import FaceReconstruction

MAX_SCALE = 4
"""Pixels of a view per pixel of the 224 crop, at most: 252 between the eyes."""

_BROW_WIDTH_PX = 7
"""The skin mask has holes at brows and nostrils; holes up to twice this are closed (224 crop)."""
_OUTLINE_PX = 3.0
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
    skin, eyes = _masks(aligned.skin.numpy(), aligned.validity.numpy(), points.numpy(), scale)
    image = resample(photo.rgb, _photo_from_view(photo, crop_from_image, scale), CROP_SIZE * scale)
    return PhotoView(image, skin, eyes, scale, photo.is_grey)


def _photo_from_view(
    photo: Photo, crop_from_image: Float[Tensor, "3 3"], scale: int
) -> Float[Tensor, "3 3"]:
    """Pixels of the view to pixels of the (perhaps reduced) photo, centres at whole numbers."""
    crop_from_view = image_scaling(1 / scale)
    photo_from_image = image_scaling(photo.photo_from_original)
    return photo_from_image @ torch.linalg.inv(crop_from_image) @ crop_from_view


def image_scaling(factor: float) -> Float[Tensor, "3 3"]:
    """Pixels of an image to pixels of the same image `factor` times as large."""
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[0, 0] = matrix[1, 1] = factor
    matrix[0, 2] = matrix[1, 2] = 0.5 * (factor - 1)
    return matrix


def resample(
    rgb: np.ndarray, source_from_target: Float[Tensor, "3 3"], side: int
) -> Float[Tensor, "3 side side"]:
    """Cut a square out of an image; averaged first where the image is finer than the square."""
    step = max(1, int(float(torch.linalg.det(source_from_target[:2, :2]).abs().sqrt())))
    corners = torch.tensor([[0, 0], [side, 0], [0, side], [side, side]], dtype=torch.float64)
    box = corners @ source_from_target[:2, :2].T + source_from_target[:2, 2]
    low = (box.min(dim=0).values.floor().long() - step).clamp(min=0)
    high = box.max(dim=0).values.ceil().long() + step + 1
    part = rgb[int(low[1]) : max(int(high[1]), 1), int(low[0]) : max(int(high[0]), 1)]
    if part.size == 0:
        return torch.zeros(3, side, side)
    image = torch.from_numpy(np.ascontiguousarray(part)).permute(2, 0, 1)[None].float() / 255
    step = min(step, *image.shape[2:])
    image = torch.nn.functional.avg_pool2d(image, step)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    target = torch.stack([x, y], dim=-1).double()
    source = target @ source_from_target[:2, :2].T + source_from_target[:2, 2] - low
    source = (source + 0.5) / step
    size = torch.tensor([image.shape[3], image.shape[2]], dtype=torch.float64)
    grid = (2 * source / size - 1).float()[None]
    return torch.nn.functional.grid_sample(image, grid, padding_mode="border", align_corners=False)[
        0
    ]


def _masks(
    skin: np.ndarray, validity: np.ndarray, landmarks68_px: np.ndarray, scale: int
) -> tuple[Tensor, Tensor]:
    eyes = sum(_polygon(landmarks68_px[list(eye)], 1) for eye in _EYES)
    mouth = _polygon(landmarks68_px[list(_LIPS_INSIDE)], 1)
    whole = ndimage.binary_closing(
        np.pad(skin | (eyes > 0) | (mouth > 0), 16), _disc(_BROW_WIDTH_PX)
    )[16:-16, 16:-16]
    whole = ndimage.binary_erosion(whole & validity, _disc(3))
    outline = ndimage.gaussian_filter(whole.astype(np.float32), _OUTLINE_PX)
    # The blur must not reach over the border of the mask: beyond it there is hair or nothing.
    outline = np.clip(2 * outline - 1, 0, 1)
    fine = torch.nn.functional.interpolate(
        torch.from_numpy(outline)[None, None],
        scale_factor=scale,
        mode="bilinear",
        align_corners=False,
    )[0, 0]
    points = (landmarks68_px + 0.5) * scale - 0.5
    eyes = np.maximum(*(_polygon(points[list(eye)], scale) for eye in _EYES))
    openings = np.maximum(eyes, _polygon(points[list(_LIPS_INSIDE)], scale))
    # The mesh knows where an eyeball ends; lashes on its rim look better than a white line.
    around_eyes = ndimage.binary_dilation(eyes, _disc(round(_LASHES_PX * scale)))
    return fine * (1 - _soft(openings, scale)), fine * _soft(around_eyes, scale)


def _polygon(points_px: np.ndarray, scale: int) -> np.ndarray:
    mask = Image.new("L", (CROP_SIZE * scale, CROP_SIZE * scale))
    ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in points_px], fill=1)
    return np.asarray(mask)


def _soft(mask: np.ndarray, scale: int) -> Tensor:
    return torch.from_numpy(ndimage.gaussian_filter(mask.astype(np.float32), _LID_PX * scale))


def _disc(radius: int) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return x**2 + y**2 <= radius**2
