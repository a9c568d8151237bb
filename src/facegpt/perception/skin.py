"""The skin mask A: inside the outline of the face, not eyes nor mouth, and of the colour of skin.

Colour is judged by two Gaussian mixtures in YCbCr (skin, not skin), a method of Deep3D; greyscale
photos have only the outline. Glasses, hands and caps may stay in: losses must be robust.
"""

import functools
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw

from facegpt.morphable.framing import CROP_SIZE

SKIN_PRIOR = 0.8
"""Share of skin expected inside the outline."""

FOREHEAD = 0.35
"""The outline rises this share of the way from nose bridge to chin above the brows."""

_HOLES = (range(36, 42), range(42, 48), range(60, 68))


@dataclass(frozen=True)
class ColourMixture:
    """A Gaussian mixture over (Y, Cb, Cr) in [0, 255]."""

    weights: Float[np.ndarray, "component"]
    means: Float[np.ndarray, "component 3"]
    precisions: Float[np.ndarray, "component 3 3"]

    def log_density(self, colours: Float[np.ndarray, "pixel 3"]) -> Float[np.ndarray, "pixel"]:
        """Logarithm of the density at each colour."""
        offset = colours[:, None] - self.means
        square = np.einsum("pki,kij,pkj->pk", offset, self.precisions, offset)
        scale = 0.5 * np.linalg.slogdet(self.precisions)[1] - 1.5 * np.log(2 * np.pi)
        return np.logaddexp.reduce(np.log(self.weights) + scale - 0.5 * square, axis=1)


@functools.cache
def colour_mixtures() -> tuple[ColourMixture, ColourMixture]:
    """The shipped mixtures: skin, and everything else (`scripts/build_skin_model.py`)."""
    file = files("facegpt.perception") / "assets" / "skin_colour.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        return tuple(
            ColourMixture(*(stored[f"{name}_{k}"] for k in ("weights", "means", "precisions")))
            for name in ("skin", "other")
        )  # pyright: ignore[reportReturnType]


def skin_mask(
    crop: UInt8[np.ndarray, "224 224 3"],
    landmarks68_px: Float[np.ndarray, "68 2"],
    *,
    is_grey: bool,
) -> Bool[np.ndarray, "224 224"]:
    """A of an aligned crop.

    Args:
        landmarks68_px: The 68 points in pixels of the crop.
        is_grey: Judge by the outline alone.
    """
    outline = face_outline(landmarks68_px)
    if is_grey or not outline.any():
        return outline
    mask = outline.copy()
    mask[outline] = skin_probability(crop[outline]) > 0.5
    return mask


def skin_probability(rgb: UInt8[np.ndarray, "pixel 3"]) -> Float[np.ndarray, "pixel"]:
    """Probability of skin for each colour, given that it lies inside the outline of a face."""
    colours = ycbcr(rgb)
    skin, other = colour_mixtures()
    odds = skin.log_density(colours) - other.log_density(colours)
    odds = odds + np.log(SKIN_PRIOR / (1 - SKIN_PRIOR))
    return 1 / (1 + np.exp(-np.clip(odds, -30, 30)))


def ycbcr(rgb: UInt8[np.ndarray, "pixel 3"]) -> Float[np.ndarray, "pixel 3"]:
    """Full-range YCbCr of sRGB bytes (Rec. 601)."""
    r, g, b = rgb.astype(np.float64).T
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return np.stack([y, 128 + 0.564 * (b - y), 128 + 0.713 * (r - y)], axis=1)


def face_outline(landmarks68_px: Float[np.ndarray, "68 2"]) -> Bool[np.ndarray, "224 224"]:
    """Jaw line and raised brows, without eyes and the open mouth."""
    points = np.asarray(landmarks68_px, np.float64)
    rise = (points[8] - points[27]) * FOREHEAD
    outline = [*points[:17], *(points[26:16:-1] - rise)]
    picture = Image.new("1", (CROP_SIZE, CROP_SIZE))
    draw = ImageDraw.Draw(picture)
    draw.polygon([tuple(p) for p in outline], fill=1)
    for hole in _HOLES:
        draw.polygon([tuple(points[i]) for i in hole], fill=0)
    return np.array(picture)
