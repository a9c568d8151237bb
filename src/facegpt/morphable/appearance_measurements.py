"""Measurements of skin (on the albedo, without light), of light and of the pose of the head.

Colours are CIELAB under D65 of the mean sRGB albedo of a patch. Light is measured in the axes of
the viewer, so a turning head leaves it alone; "left" and "right" of light and pose are those of the
picture. What the albedo basis of a model does not hold (freckles, beards hair by hair, make-up) is
not seen, and light that a fit took for skin is measured as skin.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.geometry.lighting import light_coefficients, sh_basis
from facegpt.morphable.colour import REC709_LUMINANCE
from facegpt.morphable.measurement import Measurement, enter_into
from facegpt.morphable.probe import ProbedFace

TABLE: list[Measurement] = []
_of_albedo = enter_into(TABLE, "albedo")
_of_illumination = enter_into(TABLE, "illumination")
_of_camera = enter_into(TABLE, "camera")


@_of_albedo("L*", "skin", "dark", "light")
def skin_lightness(face: ProbedFace) -> Float[Tensor, "batch"]:
    """CIELAB lightness of cheeks and forehead, 0 black to 100 white."""
    return face.lab["skin"][:, 0]


@_of_albedo("degree", "skin", "dark", "very light")
def skin_typology_angle(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Individual typology angle atan2(L* - 50, b*): above 55 very light, 41 light, 28 intermediate,
    10 tan, below -30 dark.
    """
    lab = face.lab["skin"]
    return torch.rad2deg(torch.atan2(lab[:, 0] - 50, lab[:, 2]))


@_of_albedo("degree", "undertone", "cool, pink", "warm, golden")
def skin_undertone(face: ProbedFace) -> Float[Tensor, "batch"]:
    """CIELAB hue angle of the skin: small is pink, large is yellow."""
    lab = face.lab["skin"]
    return torch.rad2deg(torch.atan2(lab[:, 2], lab[:, 1]))


@_of_albedo("a*", "skin", "sallow", "ruddy")
def skin_redness(face: ProbedFace) -> Float[Tensor, "batch"]:
    """CIELAB a* of cheeks and forehead."""
    return face.lab["skin"][:, 1]


@_of_albedo("a*", "cheeks", "pale", "rosy")
def cheek_redness(face: ProbedFace) -> Float[Tensor, "batch"]:
    """a* of the cheeks less a* of the forehead."""
    return face.lab["cheeks"][:, 1] - face.lab["forehead"][:, 1]


@_of_albedo("a*", "nose", "pale", "red")
def nose_redness(face: ProbedFace) -> Float[Tensor, "batch"]:
    """a* of the tip of the nose less a* of cheeks and forehead."""
    return face.lab["nose"][:, 1] - face.lab["skin"][:, 1]


@_of_albedo("a*", "lips", "pale", "red")
def lip_redness(face: ProbedFace) -> Float[Tensor, "batch"]:
    """a* of the lips less a* of the skin."""
    return face.lab["lips"][:, 1] - face.lab["skin"][:, 1]


@_of_albedo("L*", "lips", "lighter", "darker")
def lip_darkness(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Lightness of the skin less that of the lips."""
    return face.lab["skin"][:, 0] - face.lab["lips"][:, 0]


@_of_albedo("L*", "brows", "faint", "dark and dense")
def brow_darkness(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Lightness of the forehead less that of the brows: density and thickness together."""
    return face.lab["forehead"][:, 0] - face.lab["brows"][:, 0]


@_of_albedo("L*", "beard", "none", "dark")
def beard_shadow(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Lightness of the cheeks less that of chin and jaw: stubble or a beard as far as the albedo
    holds it.
    """
    return face.lab["cheeks"][:, 0] - face.lab["beard"][:, 0]


@_of_albedo("L*", "eyes", "dark", "light", needs=("irises",))
def eye_lightness(face: ProbedFace) -> Float[Tensor, "batch"]:
    """CIELAB lightness of the irises."""
    return face.lab["irises"][:, 0]


@_of_albedo("b*", "eyes", "blue or grey", "brown", needs=("irises",))
def eye_warmth(face: ProbedFace) -> Float[Tensor, "batch"]:
    """CIELAB b* of the irises: negative is blue."""
    return face.lab["irises"][:, 2]


def _grey_coefficients(face: ProbedFace) -> Float[Tensor, "batch 9"]:
    light = light_coefficients(face.theta.illumination)
    return light @ light.new_tensor(REC709_LUMINANCE)


def facing_normals(count: int = 128, facing: float = 0.3) -> Float[Tensor, "normal 3"]:
    """Unit normals spread evenly (a spiral and its mirror images) over the part of the sphere that
    a face shows.
    """
    z = torch.linspace(facing, 1.0, count, dtype=torch.float64)
    turn = torch.arange(count, dtype=torch.float64) * torch.pi * (3 - 5**0.5)
    radius = (1 - z.square()).clamp(min=0.0).sqrt()
    x, y = radius * turn.cos(), radius * turn.sin()
    signs = ((1, 1), (-1, 1), (1, -1), (-1, -1))
    return torch.cat([torch.stack([i * x, j * y, z], dim=1) for i, j in signs])


_NORMALS = facing_normals()
_HARMONICS = sh_basis(_NORMALS)


def _shading(face: ProbedFace) -> Float[Tensor, "batch normal"]:
    """Luminance of a white face at each of the facing normals."""
    light = _grey_coefficients(face)
    return light @ _HARMONICS.to(light).T


@_of_illumination("ratio", "light", "dim", "bright")
def light_intensity(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Mean brightness of a white face; 1 shows the albedo as it is."""
    return _shading(face).mean(1)


@_of_illumination("ratio", "light", "soft and even", "hard and contrasty")
def light_contrast(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Standard deviation of the brightness over a white face, divided by its mean."""
    shading = _shading(face)
    # The root has no gradient at zero: even light reads 0.001.
    spread = (shading.var(dim=1, correction=0) + 1e-6).sqrt()
    return spread / shading.mean(1).clamp(min=0.05)


def _imbalance(face: ProbedFace, axis: int) -> Float[Tensor, "batch"]:
    shading = _shading(face)
    weight = _NORMALS[:, axis].to(shading)
    weight = weight / weight.abs().mean()
    return (shading * weight).mean(1) / shading.mean(1).clamp(min=0.05)


@_of_illumination("ratio", "light", "from the left of the picture", "from the right")
def light_side(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Brightness of the half of the face towards the right of the picture less the other half,
    relative to the mean.
    """
    return _imbalance(face, 0)


@_of_illumination("ratio", "light", "from below", "from above")
def light_height(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Brightness of what faces up less what faces down, relative to the mean."""
    return _imbalance(face, 1)


@_of_illumination("degree", "light", "from the left of the picture", "from the right")
def light_azimuth(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Direction of the linear band seen from above: 0 from the viewer, 90 from the right of the
    picture; weak light has none.
    """
    grey = _grey_coefficients(face)
    return torch.rad2deg(torch.atan2(grey[:, 3], grey[:, 2] + 1e-6))


@_of_illumination("degree", "light", "from below", "from above")
def light_elevation(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Height of the direction of the linear band above the horizontal; weak light has none."""
    grey = _grey_coefficients(face)
    level = (grey[:, 3].square() + grey[:, 2].square() + 1e-12).sqrt()
    return torch.rad2deg(torch.atan2(grey[:, 1], level))


@_of_illumination("log2 ratio", "light", "cool", "warm")
def light_warmth(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Binary logarithm of red over blue of the mean light; 0 is white."""
    light = light_coefficients(face.theta.illumination)
    mean = _HARMONICS.to(light).mean(0) @ light
    red, blue = mean[:, 0].clamp(min=0.02), mean[:, 2].clamp(min=0.02)
    return torch.log2(red / blue)


@_of_camera("degree", "head", "turned to the left of the picture", "turned to the right")
def yaw(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Turn of the head about the vertical, positive when the nose points to the right of the
    picture.
    """
    return torch.rad2deg(face.theta.camera[:, 1])


@_of_camera("degree", "head", "raised", "lowered")
def pitch(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Nod of the head, positive when it looks down."""
    return torch.rad2deg(face.theta.camera[:, 0])


@_of_camera("degree", "head", "tilted to the right of the picture", "tilted to the left")
def roll(face: ProbedFace) -> Float[Tensor, "batch"]:
    """Tilt of the head, positive when its top leans to the left (counter-clockwise)."""
    return torch.rad2deg(face.theta.camera[:, 2])
