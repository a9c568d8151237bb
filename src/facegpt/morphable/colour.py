"""Lightness and colour as a person sees them; knows no skin and no light."""

import torch
from jaxtyping import Float
from torch import Tensor

LUMINANCE_WEIGHTS = (0.299, 0.587, 0.114)
"""Rec. 601 luma of sRGB: what a grey photo keeps of a colour."""

REC709_LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Rec. 709 weights of R, G, B in light."""

_XYZ_FROM_RGB = ((0.4124, 0.3576, 0.1805), REC709_LUMINANCE, (0.0193, 0.1192, 0.9505))
_WHITE_D65 = (0.9505, 1.0, 1.089)


def linear_from_srgb(srgb: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Light of sRGB colours (IEC 61966-2-1), both in [0, 1]."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb.clamp(min=0) + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(linear: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """sRGB colours of light, both in [0, 1]."""
    small = linear <= 0.0031308
    return torch.where(small, linear * 12.92, 1.055 * linear.clamp(min=0) ** (1 / 2.4) - 0.055)


def cielab_from_srgb(srgb: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """CIELAB (D65) of sRGB colours (IEC 61966-2-1), which are cut to [0, 1]."""
    value = srgb.clamp(1e-4, 1.0)
    linear = linear_from_srgb(value)
    xyz = linear @ srgb.new_tensor(_XYZ_FROM_RGB).T / srgb.new_tensor(_WHITE_D65)
    root = torch.where(xyz > (6 / 29) ** 3, xyz ** (1 / 3), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    fx, fy, fz = root.unbind(-1)
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], dim=-1)
