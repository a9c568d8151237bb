"""Measurements of an expression, as differences to the same person's neutral face.

"left" and "right" of eyes, brows and smile are the person's own, as in the ARKit names; shifts and
glances are positive towards the right of the picture. The rotation of the head plays no part.
Wrinkles are not seen: a furrow is where the brows go, not the crease between them.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.morphable.identity_measurements import eye_height
from facegpt.morphable.measurement import Measurement, enter_into
from facegpt.morphable.probe import ProbedFace

TABLE: list[Measurement] = []
_of_expression = enter_into(TABLE, "expression")

_SMALLEST_EYE_MM = 2.0
"""A neutral opening below this is taken as this, or the openness of slit eyes would mean nothing.
"""

_CORNERS_FOLLOW_CHIN, _CORNERS_FOLLOW_GAP = 0.5, 0.1
"""A dropping jaw and parting lips take the corners of the mouth down by these shares.

Together they leave jawOpen of the default model without a smile; the split was chosen on photos
described as happy or not.
"""

_LIPS_THIN_BY = 0.25
"""An opening mouth stretches the lips by this share of the gap (default model: 0.18)."""


def _openness(face: ProbedFace, side: int) -> Float[Tensor, "batch"]:
    neutral = eye_height(face.neutral)[side].clamp(min=_SMALLEST_EYE_MM)
    return eye_height(face.moved)[side] / neutral


@_of_expression("ratio", "left eye", "closed", "wide open")
def eye_openness_left(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Opening of the person's left eye; 1 is neutral, 0 closed."""
    return _openness(face, 0)


@_of_expression("ratio", "right eye", "closed", "wide open")
def eye_openness_right(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Opening of the person's right eye; 1 is neutral, 0 closed."""
    return _openness(face, 1)


@_of_expression("ratio", "eyes", "closed", "wide open")
def eye_openness(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Opening of both eyes; 1 is neutral, 0 closed."""
    return (_openness(face, 0) + _openness(face, 1)) / 2


@_of_expression("mm", "lower lids", "relaxed", "raised, squinting")
def eye_squint(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Rise of the lower lids."""
    return face.offset.y(40, 41, 46, 47)


def _corner_raise(face: ProbedFace, corner: int) -> Float[Tensor, "batch"]:
    taken_down = _CORNERS_FOLLOW_GAP * mouth_open(face) - _CORNERS_FOLLOW_CHIN * face.offset.y(8)
    return face.offset.y(corner) + taken_down


def _smile(face: ProbedFace, corner: int, outwards: float) -> Float[Tensor, "batch"]:
    widening = outwards * (face.offset.x(corner) - face.offset.x(51, 57))
    return _corner_raise(face, corner) + 0.5 * widening


@_of_expression("mm", "left corner of the mouth", "lowered", "smiling")
def smile_left(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Rise of the left corner, beyond what the jaw does to it, plus half its way outwards."""
    return _smile(face, 54, 1.0)


@_of_expression("mm", "right corner of the mouth", "lowered", "smiling")
def smile_right(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Rise of the right corner, beyond what the jaw does to it, plus half its way outwards."""
    return _smile(face, 48, -1.0)


@_of_expression("mm", "mouth", "unsmiling", "smiling")
def smile(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Mean of the left and the right smile."""
    return (_smile(face, 54, 1.0) + _smile(face, 48, -1.0)) / 2


@_of_expression("mm", "smile", "stronger on the right side", "stronger on the left side")
def smile_asymmetry(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Left smile minus right smile: a smirk is far from zero."""
    return _smile(face, 54, 1.0) - _smile(face, 48, -1.0)


@_of_expression("mm", "corners of the mouth", "raised", "turned down")
def frown(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Fall of both corners of the mouth, beyond what the jaw does to them."""
    return -(_corner_raise(face, 54) + _corner_raise(face, 48)) / 2


@_of_expression("mm", "mouth", "closed", "open")
def mouth_open(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Growth of the gap between the lips."""
    return face.offset.y(61, 62, 63) - face.offset.y(65, 66, 67)


@_of_expression("mm", "jaw", "raised", "dropped")
def jaw_drop(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Fall of the chin."""
    return -face.offset.y(8)


@_of_expression("mm", "mouth", "narrowed", "stretched wide")
def mouth_width_change(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Growth of the distance of the corners of the mouth."""
    return face.offset.x(54) - face.offset.x(48)


@_of_expression("mm", "lips", "relaxed", "puckered")
def pucker(face: ProbedFace) -> Float[Tensor, "batch"]:
    """How far the upper lip comes forward plus half the narrowing of the mouth."""
    return face.offset.z(51) - (face.offset.x(54) - face.offset.x(48)) / 2


@_of_expression("mm", "lips", "relaxed", "pressed together")
def lip_press(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Loss of the visible height of both lips, less what an opening mouth stretches away."""
    o = face.offset
    upper = o.y(50, 51, 52) - o.y(61, 62, 63)
    lower = o.y(65, 66, 67) - o.y(56, 57, 58)
    return -(upper + lower) - _LIPS_THIN_BY * (o.y(61, 62, 63) - o.y(65, 66, 67))


@_of_expression("mm", "upper lip", "relaxed", "raised, baring teeth")
def upper_lip_raise(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Rise of the edge of the upper lip."""
    return face.offset.y(61, 62, 63)


@_of_expression("mm", "lower lip", "pushed up", "pulled down, baring teeth")
def lower_lip_drop(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Fall of the edge of the lower lip against the chin."""
    return face.offset.y(8) - face.offset.y(65, 66, 67)


@_of_expression("mm", "left brow", "lowered", "raised")
def brow_raise_left(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Rise of the person's left brow."""
    return face.offset.y(22, 23, 24, 25, 26)


@_of_expression("mm", "right brow", "lowered", "raised")
def brow_raise_right(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Rise of the person's right brow."""
    return face.offset.y(17, 18, 19, 20, 21)


@_of_expression("mm", "brows", "lowered", "raised")
def brow_raise(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Mean rise of both brows."""
    return (brow_raise_left(face) + brow_raise_right(face)) / 2


@_of_expression("mm", "inner brows", "lowered", "raised")
def brow_raise_inner(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Rise of the inner ends of the brows."""
    return face.offset.y(20, 21, 22, 23)


@_of_expression("mm", "outer brows", "lowered", "raised")
def brow_raise_outer(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Rise of the outer ends of the brows."""
    return face.offset.y(17, 18, 25, 26)


@_of_expression("mm", "brows", "smooth", "knitted")
def brow_furrow(face: ProbedFace) -> Float[Tensor, "batch"]:
    """How far the inner ends of the brows go down and towards each other."""
    return face.offset.x(21) - face.offset.x(22) - face.offset.y(20, 21, 22, 23)


@_of_expression("mm", "nose", "relaxed", "wrinkled")
def nose_wrinkle(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Rise of the wings of the nose."""
    return face.offset.y("wing_left", "wing_right", 31, 35)


@_of_expression("mm", "cheeks", "sucked in", "puffed out")
def cheek_puff(face: ProbedFace) -> Float[Tensor, "batch"]:
    """How far the cheeks go outwards and forwards."""
    o = face.offset
    outwards = (o.x("cheek_left") - o.x("cheek_right")) / 2
    return (outwards + o.z("cheek_left", "cheek_right")) * 0.5**0.5


@_of_expression("mm", "jaw", "shifted to the left of the picture", "shifted to the right")
def jaw_shift(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Way of the chin sideways, positive towards the right of the picture (ARKit jawLeft)."""
    return face.offset.x(8)


@_of_expression("mm", "mouth", "pulled to the left of the picture", "pulled to the right")
def mouth_shift(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Way of the mouth sideways, positive towards the right of the picture (ARKit mouthLeft)."""
    return face.offset.x(51, 57)


@_of_expression("mm", "tongue", "inside", "stuck out", needs=("tongue_tip",))
def tongue(face: ProbedFace) -> Float[Tensor, "batch"]:
    """How far the tip of the tongue comes forward against the lower lip."""
    return face.offset.z("tongue_tip") - face.offset.z(66)


def _glance(face: ProbedFace, axis: int) -> Float[Tensor, "batch"]:
    """Angle of the pupils, with half the width of an eye as the radius of the eyeball."""
    p = face.neutral
    radius = ((p(36) - p(39)).norm(dim=-1) + (p(42) - p(45)).norm(dim=-1)) / 4
    way = face.offset("pupil_left", "pupil_right")[:, axis]
    return torch.rad2deg(torch.atan2(way, radius))


@_of_expression(
    "degree",
    "gaze",
    "to the left of the picture",
    "to the right",
    needs=("pupil_left", "pupil_right"),
)
def gaze_horizontal(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Mean turn of the eyeballs in the head, positive towards the right of the picture."""
    return _glance(face, 0)


@_of_expression("degree", "gaze", "lowered", "raised", needs=("pupil_left", "pupil_right"))
def gaze_vertical(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Mean turn of the eyeballs in the head, positive upwards."""
    return _glance(face, 1)
