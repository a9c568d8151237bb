"""Random changes of aligned crops that keep picture, mask and landmarks together.

What a detector could have done (shift, scale, turn), what a mirror, a camera or an edge of a photo
does. Parts outside the photo have the grey that alignment gives them. All of it is decided by a
generator on the CPU, so every device and every run draws alike. Knows no model.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional

from facegpt.losses import luminance
from facegpt.morphable.framing import CROP_SIZE
from facegpt.perception.resampling import BACKGROUND

_OUTSIDE = BACKGROUND / 255
"""What `perception.resampling` puts where there is no photo."""

_ROUNDING = 1e-4
_MIRRORED_68 = (
    list(range(16, -1, -1))
    + list(range(26, 16, -1))
    + [27, 28, 29, 30, 35, 34, 33, 32, 31]
    + [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    + [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55]
    + [64, 63, 62, 61, 60, 67, 66, 65]
)
"""The iBUG point that each point becomes in a mirror."""


@dataclass(frozen=True)
class Augmentation:
    """How far a crop may be changed; all zero leaves it alone."""

    turn_degrees: float = 3.0
    """Standard deviation of the turn in the plane."""
    log_scale: float = 0.03
    shift_px: float = 2.0
    """Pixels of the 224 crop."""
    mirror: float = 0.5
    """Share of crops that are mirrored."""
    grey: float = 0.1
    """Share of colour crops that lose their colour."""
    border: float = 0.3
    """Share of crops cut off as if the photo ended there: without it the network learns the
    border of tightly cropped photos."""
    brightness: float = 0.05
    contrast: float = 0.08
    noise: float = 0.01


NO_AUGMENTATION = Augmentation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Crops:
    """Aligned crops with everything that belongs to them."""

    photo: Float[Tensor, "face 3 height width"]
    skin: Bool[Tensor, "face height width"]
    landmarks68_px: Float[Tensor, "face 68 2"]
    """Pixels of the 224 crop, whatever the size of the photo."""
    is_grey: Bool[Tensor, "face"]


def augment(
    photo: UInt8[Tensor, "face 3 224 224"],
    skin: Bool[Tensor, "face 224 224"],
    landmarks68_px: Float[Tensor, "face 68 2"],
    is_grey: Bool[Tensor, "face"],
    *,
    size: int,
    how: Augmentation,
    generator: torch.Generator,
) -> Crops:
    """Changed crops at `size` pixels, antialiased as the image processor does it."""
    count = len(photo)
    images = photo.float() / 255
    mask = skin.float().unsqueeze(1)
    points = landmarks68_px
    if how.turn_degrees or how.log_scale or how.shift_px or how.mirror:
        images, mask, points = _moved(images, mask, points, how, generator)
    images, mask = _cut_border(images, mask, how.border, generator)
    images = functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
    mask = functional.interpolate(mask, size=(size, size), mode="bilinear", antialias=True)
    lost = _chance(count, how.grey, generator) & ~is_grey
    images = torch.where(lost.view(-1, 1, 1, 1), luminance(images), images)
    images = _recoloured(images, how, generator)
    return Crops(images, mask[:, 0] > 0.75, points, is_grey | lost)


def _chance(count: int, share: float, generator: torch.Generator) -> Bool[Tensor, "face"]:
    return torch.rand(count, generator=generator) < share


def _moved(
    images: Tensor, mask: Tensor, points: Tensor, how: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """The same similarity, and the same mirror, for picture, mask and points."""
    count = len(images)
    drawn = torch.randn(4, count, generator=generator)
    angle = drawn[0].clamp(-2.5, 2.5) * math.radians(how.turn_degrees)
    scale = (drawn[1].clamp(-2.5, 2.5) * how.log_scale).exp()
    shift = drawn[2:].clamp(-2.5, 2.5).T * (how.shift_px * 2 / CROP_SIZE)
    mirror = _chance(count, how.mirror, generator)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    flip = torch.where(mirror, -1.0, 1.0)
    # new = A old + shift, in units of half crops; the columns that mirror come first.
    forward = torch.stack([cos * flip, -sin, sin * flip, cos], dim=1).view(-1, 2, 2)
    backward = torch.linalg.inv(forward)
    grid = torch.cat([backward, -(backward @ shift.unsqueeze(-1))], dim=2)
    sampling = functional.affine_grid(grid, list(images.shape), align_corners=False)
    # What comes in from beyond the crop is zero: the picture is shifted so that this is grey.
    both = torch.cat([images - _OUTSIDE, mask], dim=1)
    both = functional.grid_sample(both, sampling, align_corners=False)
    units = (points + 0.5) * (2 / CROP_SIZE) - 1
    units = units @ forward.transpose(1, 2) + shift.unsqueeze(1)
    moved = (units + 1) * (CROP_SIZE / 2) - 0.5
    moved = torch.where(mirror.view(-1, 1, 1), moved[:, _MIRRORED_68], moved)
    return both[:, :3] + _OUTSIDE, both[:, 3:], moved


def _cut_border(
    images: Tensor, mask: Tensor, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Up to a fifth of some sides is cut off, as where a photo ends."""
    count, _, height, width = images.shape
    cut = torch.rand(count, 4, generator=generator) * 0.22
    cut = cut * _chance(count, share, generator).view(-1, 1)
    cut = cut * (torch.rand(count, 4, generator=generator) < 0.6)
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    inside_rows = (rows > cut[:, :1]) & (rows < 1 - cut[:, 1:2])
    inside_columns = (columns > cut[:, 2:3]) & (columns < 1 - cut[:, 3:])
    inside = (inside_rows.unsqueeze(2) & inside_columns.unsqueeze(1)).unsqueeze(1)
    return torch.where(inside, images, _OUTSIDE), mask * inside


def _recoloured(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Brightness and contrast of a camera, and its noise; what is outside stays as it is."""
    count = len(images)
    drawn = torch.randn(2, count, generator=generator).clamp(-2.5, 2.5)
    gain = (drawn[0] * how.contrast).exp().view(-1, 1, 1, 1)
    offset = (drawn[1] * how.brightness).view(-1, 1, 1, 1)
    changed = (images - 0.45) * gain + 0.45 + offset
    if how.noise:
        changed = changed + how.noise * torch.randn(images.shape, generator=generator)
    outside = ((images - _OUTSIDE).abs() < _ROUNDING).all(dim=1, keepdim=True)
    return torch.where(outside, images, changed.clamp(0, 1))
