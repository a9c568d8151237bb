"""Measurements of the shape of a person: always on the neutral face, so that no smile changes a
jaw.

Distances are in mm of the model, which an aligned photo fixes only up to the scale of the head:
ratios and percentiles are surer than millimetres. "left" and "right" are the person's own.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.morphable.measurement import Measurement, enter_into
from facegpt.morphable.probe import Points, ProbedFace

TABLE: list[Measurement] = []
_of_shape = enter_into(TABLE, "shape")

_LEFT_OF_RIGHT = (
    [(i, 16 - i) for i in range(8)]
    + [(17 + i, 26 - i) for i in range(5)]
    + [(31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    + [(48, 54), (49, 53), (50, 52), (58, 56), (59, 55), (60, 64), (61, 63), (67, 65)]
)
_MIDLINE = (8, 27, 28, 29, 30, 33, 51, 57, 62, 66)


def _distance(points: Points, a: int | str, b: int | str) -> Float[Tensor, "batch"]:
    return (points(a) - points(b)).norm(dim=-1)


def _degrees(opposite: Tensor, adjacent: Tensor) -> Tensor:
    return torch.rad2deg(torch.atan2(opposite, adjacent))


@_of_shape("mm", "face", "short", "long")
def face_length(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Height from the chin to where the hairline would be."""
    return face.neutral.y("hairline") - face.neutral.y(8)


@_of_shape("mm", "face", "narrow", "broad")
def face_width(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Mean width of the outline from the ears to below the cheekbones."""
    return face.neutral.x(14, 15, 16) - face.neutral.x(0, 1, 2)


@_of_shape("ratio", "face", "round or broad", "long and narrow")
def length_to_width(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Length of the face divided by its width."""
    return face_length(face) / face_width(face)


@_of_shape("mm", "forehead", "low", "high")
def forehead_height(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Height from the brows to where the hairline would be."""
    return face.neutral.y("hairline") - face.neutral.y(19, 20, 23, 24)


@_of_shape("mm", "forehead", "narrow", "broad")
def forehead_width(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Distance of the temples above the ends of the brows."""
    return _distance(face.neutral, "temple_right", "temple_left")


@_of_shape("mm", "cheekbones", "narrow", "wide")
def cheekbone_width(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Distance of the two cheekbones below the outer corners of the eyes."""
    return _distance(face.neutral, "cheekbone_right", "cheekbone_left")


@_of_shape("mm", "cheekbones", "flat", "prominent")
def cheekbone_prominence(face: ProbedFace) -> Float[Tensor, "batch"]:
    """How far the front of the cheekbones stands before the line from eye to mouth corner."""
    p = face.neutral
    return p.z("malar_right", "malar_left") - p.z(36, 45, 48, 54)


@_of_shape("mm", "cheeks", "hollow", "full")
def cheek_fullness(face: ProbedFace) -> Float[Tensor, "batch"]:
    """How far the cheeks bulge beyond the lines between cheekbone, mouth corner and jaw."""
    p = face.neutral
    outwards = p.x("cheek_left") - p.x("cheek_right")
    outwards = outwards - (p.x("malar_left", 10, 54, 12) - p.x("malar_right", 6, 48, 4))
    forwards = p.z("cheek_left", "cheek_right")
    forwards = forwards - p.z("malar_left", "malar_right", 6, 10, 48, 54, 4, 12)
    return (outwards / 2 + forwards) * 0.5**0.5


@_of_shape("mm", "jaw", "narrow", "wide")
def jaw_width(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Distance of the angles of the jaw."""
    return face.neutral.x(12, 11) - face.neutral.x(4, 5)


@_of_shape("ratio", "jaw", "tapering", "square")
def jaw_squareness(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Width of the jaw beside the chin divided by the width at the height of the nose."""
    p = face.neutral
    return (p.x(10, 11) - p.x(5, 6)) / (p.x(14, 13) - p.x(2, 3))


@_of_shape("mm", "chin", "narrow or pointed", "broad")
def chin_width(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Width of the outline just beside the tip of the chin."""
    return face.neutral.x(9) - face.neutral.x(7)


@_of_shape("mm", "chin", "short", "long")
def chin_length(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Height from the lower edge of the lips to the tip of the chin."""
    return face.neutral.y(57) - face.neutral.y(8)


@_of_shape("mm", "chin", "receding", "prominent")
def chin_projection(face: ProbedFace) -> Float[Tensor, "batch"]:
    """How far the chin stands before the root and the base of the nose."""
    return face.neutral.z("pogonion") - face.neutral.z(27, 33)


@_of_shape("mm", "nose", "short", "long")
def nose_length(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Distance from the root of the nose to its base."""
    return _distance(face.neutral, 27, 33)


@_of_shape("mm", "nose", "narrow", "wide")
def nose_width(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Distance of the wings of the nose."""
    return _distance(face.neutral, "wing_right", "wing_left")


@_of_shape("mm", "nose", "flat", "prominent")
def nose_projection(face: ProbedFace) -> Float[Tensor, "batch"]:
    """How far the tip of the nose stands before its wings."""
    return face.neutral.z(30) - face.neutral.z("wing_right", "wing_left")


@_of_shape("mm", "nose", "small", "large")
def nose_size(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Geometric mean of length, width and projection of the nose."""
    volume = nose_length(face) * nose_width(face) * nose_projection(face).clamp(min=1.0)
    return volume ** (1 / 3)


@_of_shape("degree", "tip of the nose", "drooping", "upturned")
def nose_tip(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Angle of the underside of the nose above the horizontal."""
    p = face.neutral
    return _degrees(p.y(30) - p.y(33), p.z(30) - p.z(33))


@_of_shape("mm", "bridge of the nose", "scooped", "humped")
def nose_bridge(face: ProbedFace) -> Float[Tensor, "batch"]:
    """How far the bridge stands before the straight line from root to tip."""
    p = face.neutral
    along = (p.y(27) - p.y(28, 29)) / (p.y(27) - p.y(30))
    return p.z(28, 29) - torch.lerp(p.z(27), p.z(30), along)


@_of_shape("mm", "upper lip groove", "short", "long")
def philtrum_length(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Distance from the base of the nose to the upper edge of the lips."""
    return _distance(face.neutral, 33, 51)


@_of_shape("mm", "mouth", "narrow", "wide")
def mouth_width(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Distance of the corners of the mouth."""
    return _distance(face.neutral, 48, 54)


@_of_shape("mm", "upper lip", "thin", "full")
def upper_lip_fullness(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Height of the red of the upper lip in the middle."""
    return face.neutral.y(50, 51, 52) - face.neutral.y(61, 62, 63)


@_of_shape("mm", "lower lip", "thin", "full")
def lower_lip_fullness(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Height of the red of the lower lip in the middle."""
    return face.neutral.y(65, 66, 67) - face.neutral.y(56, 57, 58)


@_of_shape("mm", "lips", "thin", "full")
def lip_fullness(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Height of the red of both lips together."""
    return upper_lip_fullness(face) + lower_lip_fullness(face)


def eye_height(p: Points) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
    """Opening between the lids in mm, left and right; negative where lids overlap."""
    return p.y(43, 44) - p.y(46, 47), p.y(37, 38) - p.y(40, 41)


@_of_shape("mm", "eyes", "short", "wide")
def eye_width(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Distance of the inner and the outer corner of an eye, mean of both eyes."""
    return (_distance(face.neutral, 36, 39) + _distance(face.neutral, 42, 45)) / 2


@_of_shape("ratio", "eyes", "narrow", "round")
def eye_roundness(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Opening of the neutral eyes divided by their width."""
    left, right = eye_height(face.neutral)
    return (left + right) / 2 / eye_width(face)


@_of_shape("mm", "eyes", "small", "large")
def eye_size(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Geometric mean of width and neutral opening of the eyes."""
    left, right = eye_height(face.neutral)
    return (((left + right) / 2).clamp(min=0.5) * eye_width(face)).sqrt()


@_of_shape("mm", "eyes", "close-set", "wide-set")
def eye_spacing(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Distance of the inner corners of the eyes."""
    return _distance(face.neutral, 39, 42)


@_of_shape("degree", "eyes", "downturned", "upturned")
def eye_tilt(face: ProbedFace) -> Float[Tensor, "batch"]:
    """How far the outer corners of the eyes lie above the inner ones (canthal tilt)."""
    p = face.neutral
    right = _degrees(p.y(36) - p.y(39), p.x(39) - p.x(36))
    return (right + _degrees(p.y(45) - p.y(42), p.x(45) - p.x(42))) / 2


@_of_shape("mm", "eyes", "protruding", "deep-set")
def eye_depth(face: ProbedFace) -> Float[Tensor, "batch"]:
    """How far the lids lie behind the brows."""
    p = face.neutral
    return p.z(19, 20, 23, 24) - p.z(37, 38, 40, 41, 43, 44, 46, 47)


@_of_shape("mm", "brows", "low", "high")
def brow_height(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Height of the brows above the corners of the eyes."""
    p = face.neutral
    return p.y(18, 19, 20, 23, 24, 25) - p.y(36, 39, 42, 45)


@_of_shape("mm", "brows", "straight", "arched")
def brow_arch(face: ProbedFace) -> Float[Tensor, "batch"]:
    """How far the middle of each brow rises above the line between its ends."""
    p = face.neutral
    return p.y(18, 19, 20, 23, 24, 25) - p.y(17, 21, 22, 26)


@_of_shape("degree", "brows", "falling outwards", "rising outwards")
def brow_tilt(face: ProbedFace) -> Float[Tensor, "batch"]:
    """How far the outer ends of the brows lie above the inner ones."""
    p = face.neutral
    right = _degrees(p.y(17) - p.y(21), p.x(21) - p.x(17))
    return (right + _degrees(p.y(26) - p.y(22), p.x(26) - p.x(22))) / 2


@_of_shape("mm", "face", "symmetric", "lopsided")
def face_asymmetry(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Root mean square distance of the left landmarks from the mirrored right ones."""
    mm = face.neutral.mm
    right, left = (torch.tensor(side) for side in zip(*_LEFT_OF_RIGHT, strict=True))
    flip = mm.new_tensor([-1.0, 1.0, 1.0])
    middle = mm[:, list(_MIDLINE), 0].mean(dim=1, keepdim=True)
    shift = torch.stack([2 * middle, 0 * middle, 0 * middle], dim=-1)
    gap = mm[:, left] - (mm[:, right] * flip + shift)
    # The root has no gradient at zero: a perfectly even face reads 0.001 mm.
    return (gap.square().sum(-1).mean(-1) + 1e-6).sqrt()
