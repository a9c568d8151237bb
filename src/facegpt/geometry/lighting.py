"""Light phi as spherical harmonics of bands 0 to 2, per colour.

Normals are unit vectors in viewer axes: x right, y up, z towards the viewer. Colours are multiplied
in sRGB, as in the paper and in Deep3D; nothing is clamped here.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

_CONSTANT = math.pi * 0.282095
_LINEAR = 2 * math.pi / 3 * 0.488603 / _CONSTANT
_BAND2 = math.pi / 4 / _CONSTANT
HARMONIC_SCALE = (
    1.0,
    _LINEAR,
    _LINEAR,
    _LINEAR,
    _BAND2 * 1.092548,
    _BAND2 * 1.092548,
    _BAND2 * 0.315392,
    _BAND2 * 1.092548,
    _BAND2 * 0.546274,
)
"""Irradiance weights (Ramamoorthi and Hanrahan 2001) over the weight of the constant."""


def sh_basis(normals: Float[Tensor, "*grid 3"]) -> Float[Tensor, "*grid 9"]:
    """H(n) in the order 1, y, z, x, xy, yz, 3z^2-1, xz, x^2-y^2; the constant is 1."""
    x, y, z = normals.unbind(-1)
    polynomials = [
        torch.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y
    ]  # fmt: skip
    return torch.stack(polynomials, dim=-1) * normals.new_tensor(HARMONIC_SCALE)


def light_coefficients(phi: Float[Tensor, "batch 27"]) -> Float[Tensor, "batch 9 3"]:
    """phi with the white ambient light added that phi = 0 stands for."""
    white = torch.zeros(9, 3, dtype=phi.dtype, device=phi.device)
    white[0] = 1.0
    return phi.unflatten(1, (9, 3)) + white


def shade(
    albedo: Float[Tensor, "batch vertex 3"],
    normals: Float[Tensor, "batch vertex 3"],
    phi: Float[Tensor, "batch 27"],
) -> Float[Tensor, "batch vertex 3"]:
    """Colour of a lit surface: albedo * (H(n) phi)."""
    return albedo * (sh_basis(normals) @ light_coefficients(phi))


def directional_light(
    direction: Float[Tensor, "3"], *, ambient: float = 0.55, strength: float = 0.5
) -> Float[Tensor, "27"]:
    """phi of a white lamp in a room.

    Args:
        direction: From the face to the lamp, in viewer axes; any length.
        ambient: Irradiance from all around, 1 is that of phi = 0.
        strength: Irradiance of a surface that faces the lamp, on top.
    """
    towards = direction / direction.norm()
    # max(n.l, 0) = 1/4 + 1/2 P1(n.l) + 5/16 P2(n.l) + ..., by the addition theorem of P2.
    x, y, z = towards.unbind()
    zero = torch.zeros_like(x)
    polynomial = torch.stack(
        [
            zero + 0.25, y / 2, z / 2, x / 2,
            15 / 16 * x * y, 15 / 16 * y * z, 5 / 64 * (3 * z * z - 1),
            15 / 16 * x * z, 15 / 64 * (x * x - y * y),
        ]
    )  # fmt: skip
    harmonics = strength * polynomial / polynomial.new_tensor(HARMONIC_SCALE)
    harmonics[0] += ambient - 1.0
    return harmonics.view(9, 1).expand(9, 3).flatten()
