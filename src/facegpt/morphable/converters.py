"""Between our theta and the 257 numbers of Deep3D (Deng et al. 2019).

Deep3D's order is id 80, exp 64, tex 80, angle 3, gamma 27, trans 3; ours ends with phi and c. The
meaning is taken from `models/bfm.py` of sicxu/Deep3DFaceRecon_pytorch:

- id, exp, tex: standard deviations of BFM 2009, as ours under the model `bfm2009`. With any other
  model the numbers pass through but mean another face.
- gamma: colour-major (3 x 9), with 0.8 added to the constant, over harmonics of other weights and
  signs; ours is harmonic-major with 1 added. The conversion is exact.
- angle: the same rotation Rz Ry Rx in radians; the order x, y, z is our pitch, yaw, roll.
- trans: decimetres before a pinhole camera of 1015 pixels, 10 dm away. It becomes our shift and
  log-scale, and shows the same picture under a perspective camera of that focal length
  (`Renderer(..., focal_px=DEEP3D_FOCAL_PX)`). Under weak perspective, our default, near and far
  parts differ by a few percent in size: such a c is a start for fitting, not the same picture.

Both directions are differentiable and undo each other.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.geometry.camera import rotation_from_angles
from facegpt.geometry.lighting import HARMONIC_SCALE
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import BLOCK_SIZES, PARAMETER_COUNT, FaceParameters

DEEP3D_SIZES = {"id": 80, "exp": 64, "tex": 80, "angle": 3, "gamma": 27, "trans": 3}
"""Block -> size, in Deep3D's order."""

DEEP3D_FOCAL_PX = 1015.0
"""Focal length of its 224 crop."""

_CAMERA_DISTANCE_MM = 1000.0
_MM_PER_UNIT = 100.0
_INITIAL_LIGHT = 0.8

_A = (math.pi, 2 * math.pi / math.sqrt(3), 2 * math.pi / math.sqrt(8))
_C = (
    1 / math.sqrt(4 * math.pi),
    math.sqrt(3) / math.sqrt(4 * math.pi),
    3 * math.sqrt(5) / math.sqrt(12 * math.pi),
)
_BAND1, _BAND2 = _A[1] * _C[1], _A[2] * _C[2]
DEEP3D_HARMONICS = (
    _A[0] * _C[0],
    -_BAND1,
    _BAND1,
    -_BAND1,
    _BAND2,
    -_BAND2,
    0.5 * _BAND2 / math.sqrt(3),
    -_BAND2,
    0.5 * _BAND2,
)
"""Its factor of 1, y, z, x, xy, yz, 3z^2-1, xz, x^2-y^2."""


@dataclass(frozen=True)
class Deep3DFrame:
    """How Deep3D's mesh lies in the frame of one of our models."""

    pixels_per_mm: float
    origin_mm: Float[Tensor, "3"]
    """Its origin, the mean of the vertices of the mean face, in our frame."""

    @classmethod
    def of(cls, model: MorphableModel) -> "Deep3DFrame":
        """That of a model with Deep3D's vertices (`bfm2009`); a near miss for any other."""
        return cls(model.pixels_per_mm, model.mean_mm.mean(dim=0))


def theta_from_deep3d(
    coefficients: Float[Tensor, "batch coefficient"], frame: Deep3DFrame
) -> FaceParameters:
    """Our theta of Deep3D's coefficients.

    Raises:
        ValueError: The shape is not (batch, 257), or a face lies behind the camera.
    """
    if coefficients.ndim != 2 or coefficients.shape[1] != PARAMETER_COUNT:
        raise ValueError(
            f"Deep3D's coefficients must be (batch, {PARAMETER_COUNT}), got "
            f"{tuple(coefficients.shape)}"
        )
    blocks = dict(
        zip(DEEP3D_SIZES, coefficients.split(list(DEEP3D_SIZES.values()), dim=1), strict=True)
    )
    turned = _turned_origin(blocks["angle"], frame)
    shift_mm = blocks["trans"] * _MM_PER_UNIT - turned
    distance_mm = _CAMERA_DISTANCE_MM - shift_mm[:, 2]
    if not (distance_mm > 0).all():
        raise ValueError("a face lies behind Deep3D's camera: trans z is 10 or more")
    pixels_per_mm = DEEP3D_FOCAL_PX / distance_mm
    half = CROP_SIZE / 2
    camera = torch.cat(
        [
            blocks["angle"],
            (pixels_per_mm * shift_mm[:, 0] / half)[:, None],
            (-pixels_per_mm * shift_mm[:, 1] / half)[:, None],
            (pixels_per_mm / frame.pixels_per_mm).log()[:, None],
        ],
        dim=1,
    )
    return FaceParameters(
        shape=blocks["id"],
        expression=blocks["exp"],
        albedo=blocks["tex"],
        illumination=_light_from_deep3d(blocks["gamma"]),
        camera=camera,
    )


def theta_to_deep3d(theta: FaceParameters, frame: Deep3DFrame) -> Float[Tensor, "batch 257"]:
    """Deep3D's coefficients of our theta; c is read as that of a camera of 1015 pixels.

    Raises:
        ValueError: The blocks do not have the sizes of the paper.
    """
    sizes = {name: block.shape[1] for name, block in theta.blocks().items()}
    if sizes != BLOCK_SIZES:
        raise ValueError(f"Deep3D has blocks of {BLOCK_SIZES}, got {sizes}")
    angles, camera = theta.camera[:, :3], theta.camera
    pixels_per_mm = frame.pixels_per_mm * camera[:, 5].exp()
    half = CROP_SIZE / 2
    shift_mm = torch.stack(
        [
            half * camera[:, 3] / pixels_per_mm,
            -half * camera[:, 4] / pixels_per_mm,
            _CAMERA_DISTANCE_MM - DEEP3D_FOCAL_PX / pixels_per_mm,
        ],
        dim=1,
    )
    trans = (shift_mm + _turned_origin(angles, frame)) / _MM_PER_UNIT
    light = _light_to_deep3d(theta.illumination)
    return torch.cat([theta.shape, theta.expression, theta.albedo, angles, light, trans], dim=1)


def _turned_origin(
    angles: Float[Tensor, "batch 3"], frame: Deep3DFrame
) -> Float[Tensor, "batch 3"]:
    """Where the rotation of the head, which is about our origin, takes that of Deep3D."""
    return rotation_from_angles(angles) @ frame.origin_mm.to(angles)


def _ratio(like: Tensor) -> Float[Tensor, "9 1"]:
    """Deep3D's harmonics over ours."""
    return (like.new_tensor(DEEP3D_HARMONICS) / like.new_tensor(HARMONIC_SCALE))[:, None]


def _constant(like: Tensor, value: float) -> Float[Tensor, "9 1"]:
    constant = like.new_zeros(9, 1)
    constant[0] = value
    return constant


def _light_from_deep3d(gamma: Float[Tensor, "batch 27"]) -> Float[Tensor, "batch 27"]:
    light = gamma.view(-1, 3, 9).transpose(1, 2) + _constant(gamma, _INITIAL_LIGHT)
    return (light * _ratio(gamma) - _constant(gamma, 1.0)).flatten(1)


def _light_to_deep3d(phi: Float[Tensor, "batch 27"]) -> Float[Tensor, "batch 27"]:
    light = (phi.view(-1, 9, 3) + _constant(phi, 1.0)) / _ratio(phi)
    return (light - _constant(phi, _INITIAL_LIGHT)).transpose(1, 2).flatten(1)
