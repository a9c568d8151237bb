"""The skin mask A: inside the outline of the face, not eyes nor mouth, and of the colour of skin.

Colour is judged by two Gaussian mixtures in YCbCr (skin, not skin), the method of Deep3D, but
relative to the median of this face's own cheeks and nose: neither a skin tone nor a lamp is the
normal one. Lips and brows belong to the face by their place. Greyscale photos have only the
outline. Glasses, hands, pale hair and beards may stay in: losses must be robust.
"""

import functools
from dataclasses import dataclass
from importlib.resources import files
from typing import cast

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw

from facegpt.morphable.colour import LUMINANCE_WEIGHTS
from facegpt.morphable.framing import CROP_SIZE

LICENCES = ("skin-model",)
"""Assets behind the mask of a colour photo (see `facegpt.assets`)."""

SKIN_PRIOR = 0.85
"""Share of skin expected inside the outline."""

_FOREHEAD = 0.38
_FOREHEAD_GREY = 0.28
_HOLES = (range(36, 42), range(42, 48), range(60, 68))
_BROWS = (range(17, 22), range(22, 27))
_LIPS = range(48, 60)
_BROW_WIDTH_PX = 8
_BROW_ODDS = 4.0
_TYPICAL_SKIN = np.array([190.0, 145.0, 125.0])
_DARKEST = 12.0
_BRIGHTEST = 400.0
_FEWEST_PIXELS = 60
_SMOOTHING_PX = 0.8
_SPECK_PX = 40


@dataclass(frozen=True, eq=False)
class ColourMixture:
    """A Gaussian mixture over (Y, Cb, Cr) of relative colours."""

    weights: Float[np.ndarray, "component"]
    means: Float[np.ndarray, "component 3"]
    precisions: Float[np.ndarray, "component 3 3"]

    def log_density(self, colours: Float[np.ndarray, "pixel 3"]) -> Float[np.ndarray, "pixel"]:
        """Logarithm of the density at each colour."""
        roots = np.linalg.cholesky(self.precisions)
        square = np.stack(
            [
                (((colours - mean) @ root) ** 2).sum(axis=1)
                for mean, root in zip(self.means, roots, strict=True)
            ],
            axis=1,
        )
        scale = 0.5 * np.linalg.slogdet(self.precisions)[1] - 1.5 * np.log(2 * np.pi)
        return np.logaddexp.reduce(np.log(self.weights) + scale - 0.5 * square, axis=1)


@functools.cache
def colour_mixtures() -> tuple[ColourMixture, ColourMixture]:
    """The shipped mixtures: skin, and everything else (`scripts/build_skin_model.py`)."""
    file = files("facegpt.perception") / "assets" / "skin_colour.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        skin, other = (
            ColourMixture(*(stored[f"{name}_{k}"] for k in ("weights", "means", "precisions")))
            for name in ("skin", "other")
        )
    return skin, other


def skin_mask(
    crop: UInt8[np.ndarray, "224 224 3"],
    landmarks68_px: Float[np.ndarray, "68 2"],
    validity: Bool[np.ndarray, "224 224"],
    *,
    is_grey: bool,
) -> Bool[np.ndarray, "224 224"]:
    """A of an aligned crop, inside the photo.

    Args:
        landmarks68_px: The 68 points in pixels of the crop.
        validity: Pixels that lie inside the photo.
        is_grey: Judge by the outline alone.
    """
    outline = face_outline(landmarks68_px, _FOREHEAD_GREY if is_grey else _FOREHEAD) & validity
    certain = certain_skin(landmarks68_px) & outline
    if is_grey or certain.sum() < _FEWEST_PIXELS:
        return outline
    from scipy import ndimage  # half a second, and only photos need it

    odds = np.zeros(outline.shape)
    colours = relative_colours(crop[outline], own_skin_colour(crop[certain]))
    odds[outline] = np.clip(skin_log_odds(colours), -15, 15)
    odds += _BROW_ODDS * _brows(landmarks68_px)
    # Single pixels are noise of the sensor and of JPEG; blocks of it are not judged here.
    odds = ndimage.gaussian_filter(odds, _SMOOTHING_PX)
    mask = (odds > 0) | _polygon(landmarks68_px[list(_LIPS)])
    return _without_specks(mask & outline, outline)


def own_skin_colour(rgb: UInt8[np.ndarray, "pixel 3"]) -> Float[np.ndarray, "3"]:
    """The median colour of pixels that are nearly all skin, not quite black."""
    return np.maximum(np.median(rgb, axis=0), _DARKEST)


def relative_colours(
    rgb: UInt8[np.ndarray, "pixel 3"], own: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "pixel 3"]:
    """YCbCr of colours after a gain per channel that makes `own` the typical colour of skin."""
    return ycbcr(np.minimum(rgb * (_TYPICAL_SKIN / own), _BRIGHTEST))


def skin_log_odds(colours: Float[np.ndarray, "pixel 3"]) -> Float[np.ndarray, "pixel"]:
    """Logarithm of the odds of skin for relative colours inside the outline of a face."""
    skin, other = colour_mixtures()
    prior = np.log(SKIN_PRIOR / (1 - SKIN_PRIOR))
    return skin.log_density(colours) - other.log_density(colours) + prior


def ycbcr(rgb: Float[np.ndarray, "pixel 3"]) -> Float[np.ndarray, "pixel 3"]:
    """Full-range YCbCr of sRGB in [0, 255] (Rec. 601)."""
    r, _, b = rgb.T
    y = rgb @ np.array(LUMINANCE_WEIGHTS, rgb.dtype)
    return np.stack([y, 128 + 0.564 * (b - y), 128 + 0.713 * (r - y)], axis=1)


def face_outline(
    landmarks68_px: Float[np.ndarray, "68 2"], forehead: float = _FOREHEAD
) -> Bool[np.ndarray, "224 224"]:
    """Jaw line and raised brows, without eyes and the open mouth.

    Args:
        forehead: How far the outline rises above the brows, in distances of nose bridge and chin.
    """
    from scipy.spatial import ConvexHull, QhullError

    points = np.asarray(landmarks68_px, np.float64)
    raised = points[17:27] - (points[8] - points[27]) * forehead
    corners = np.concatenate([points, raised])
    try:
        hull = ConvexHull(corners).vertices.tolist()
    except QhullError:
        return np.zeros((CROP_SIZE, CROP_SIZE), bool)
    holes = [_polygon(points[list(hole)]) for hole in _HOLES]
    return _polygon(corners[hull]) & ~np.any(holes, axis=0)


def certain_skin(landmarks68_px: Float[np.ndarray, "68 2"]) -> Bool[np.ndarray, "224 224"]:
    """Cheeks and nose: mostly skin in every photo, whatever the hair, the beard and the glasses."""
    points = np.asarray(landmarks68_px, np.float64)
    inner = points + 0.2 * (points[30] - points)
    # Below the lids there are lashes and their shadow.
    lids = points + 0.08 * (points[8] - points[27])
    right = [points[31], points[48] + 0.5 * (inner[3] - points[48]), inner[3], inner[2]]
    left = [inner[14], inner[13], points[54] + 0.5 * (inner[13] - points[54]), points[35]]
    return _polygon(
        np.array(
            [points[33], *right, lids[41], lids[40], points[28], lids[47], lids[46], *left],
        )
    )


def _brows(landmarks68_px: Float[np.ndarray, "68 2"]) -> Bool[np.ndarray, "224 224"]:
    picture = Image.new("1", (CROP_SIZE, CROP_SIZE))
    draw = ImageDraw.Draw(picture)
    for brow in _BROWS:
        line = [(float(x), float(y)) for x, y in landmarks68_px[list(brow)]]
        draw.line(line, fill=1, width=_BROW_WIDTH_PX, joint="curve")
    return np.array(picture)


def _polygon(corners_px: Float[np.ndarray, "corner 2"]) -> Bool[np.ndarray, "224 224"]:
    picture = Image.new("1", (CROP_SIZE, CROP_SIZE))
    # Far corners overflow the integers of PIL.
    corners = np.clip(corners_px, -10 * CROP_SIZE, 10 * CROP_SIZE)
    ImageDraw.Draw(picture).polygon([(float(x), float(y)) for x, y in corners], fill=1)
    return np.array(picture)


def _without_specks(
    mask: Bool[np.ndarray, "224 224"], outline: Bool[np.ndarray, "224 224"]
) -> Bool[np.ndarray, "224 224"]:
    """Small islands removed and small gaps closed: highlights are skin, lonely pixels are not."""
    from scipy import ndimage

    for kept in (True, False):
        regions, _ = cast("tuple[np.ndarray, int]", ndimage.label((mask == kept) & outline))
        small = np.bincount(regions.ravel()) < _SPECK_PX
        small[0] = False
        mask = mask ^ small[regions]
    return mask
