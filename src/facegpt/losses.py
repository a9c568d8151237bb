"""The self-supervised face loss of the paper (eq. 3) as pure functions that return named terms.

L_face = 0.5 L_pixel + 0.25 L_perc + 5e-4 L_LM + 0.1 L_reg. Every term is returned per face, so a
batch can be weighed, logged and fitted face by face. This module knows no renderer, no detector
and no network: it compares what it is given.

Where the paper leaves the scale of a norm open, or we depart from it:

- L_pixel is the mean over the pixels of A of the RGB distance, not the sum of its square: the mean
  does not depend on how much skin is visible, and the plain distance is robust to glasses, hands
  and hair that the skin mask lets through.
- L_perc is a quarter of the squared L2 distance of identity descriptors, not a cosine: the encoder
  shipped with dlib is trained for L2, and its descriptors share a large common direction that hides
  differences from a cosine. Their norm is about 1.4, so a quarter is of the size of 1 - cos.
- L_LM is the weighted sum over the 68 points as written, in pixels of the 224 crop; jaw points,
  which detectors place loosely, count 0.3.
- L_reg covers alpha, delta, gamma (in standard deviations) and phi, which is pulled to the light of
  an average photo; c is not pulled anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facegpt.morphable.colour import LUMINANCE_WEIGHTS
from facegpt.morphable.parameters import FaceParameters

JAW_POINTS = 17
"""The first 17 of the iBUG points run along the jaw."""

JAW_WEIGHT = 0.3

_SHAPE_SHARE, _EXPRESSION_SHARE, _ALBEDO_SHARE, _LIGHT_SHARE = 0.04, 0.04, 0.01, 0.003
"""Of lambda_reg. The paper sums the squares of theta, which would freeze the face at its mean next
to pixel errors that are means; these shares were chosen on training photos. gamma and phi are
pulled less: thousands of pixels speak for them, 68 points for shape and expression."""

MEAN_LIGHT = (0.905, -0.077, 0.018, 0.0, 0.0, 0.421, 0.44, 0.0, 0.169)
"""The light of an average photo, in the order of `geometry.lighting.sh_basis`: a little from the
front and above. Mean over the training photos of the default albedo (`scripts/build_albedo.py`)."""

MEAN_HARMONICS = (1.0, -0.053, 0.78, 0.0, 0.0, -0.009, 0.157, 0.0, 0.13)
"""Mean of H(n) over a frontal face: its product with a light is the mean shading of the face."""

EXPOSURE_DEVIATION, WHITE_BALANCE_DEVIATION = 0.06, 0.02
LEVEL_DEVIATION = (0.35, 0.35, 0.35, 0.35, 0.25, 0.25, 0.25, 0.25, 0.25)
TINT_DEVIATION = (0.06, 0.06, 0.06, 0.06, 0.05, 0.05, 0.05, 0.05, 0.05)
"""Spread over photos of the mean shading, of its colour, and of each harmonic in level and colour.
The first two are small: how light or dark a face is on the whole belongs to its skin, or a dark
skin and a dim lamp could not be told apart."""


@dataclass(frozen=True)
class LossWeights:
    """The lambdas of eq. 3 (section 4.2 of the paper)."""

    pixel: float = 0.5
    perceptual: float = 0.25
    landmark: float = 5e-4
    regularisation: float = 0.1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f"--weights.{name} must be zero or more, got {value}")


def weighted_sum(
    terms: Mapping[str, Float[Tensor, "batch"]], weights: LossWeights
) -> Float[Tensor, "batch"]:
    """L_face of eq. 3. A term that has no weight is a KeyError, not a silent zero."""
    return torch.stack([vars(weights)[name] * term for name, term in terms.items()]).sum(dim=0)


def luminance(images: Float[Tensor, "batch 3 height width"]) -> Tensor:
    """Grey pictures with three equal channels."""
    weights = torch.tensor(LUMINANCE_WEIGHTS, dtype=images.dtype, device=images.device)
    grey = (images * weights.view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    return grey.expand_as(images)


def comparable(
    images: Float[Tensor, "batch 3 height width"], is_grey: Bool[Tensor, "batch"]
) -> Float[Tensor, "batch 3 height width"]:
    """The pictures as they can be compared with photos of which some are greyscale."""
    if not is_grey.any():
        return images
    return torch.where(is_grey.view(-1, 1, 1, 1), luminance(images), images)


def colour_distance(
    photo: Float[Tensor, "batch 3 height width"],
    rendered: Float[Tensor, "batch 3 height width"],
) -> Float[Tensor, "batch height width"]:
    """RGB L2 distance of every pixel; smooth at zero, exact to 1e-4."""
    return ((photo - rendered).square().sum(dim=1) + 1e-8).sqrt()


def masked_mean(
    values: Float[Tensor, "batch height width"], mask: Bool[Tensor, "batch height width"]
) -> Float[Tensor, "batch"]:
    """Mean over the mask; zero where the mask is empty."""
    weight = mask.to(values.dtype)
    return (values * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp(min=1.0)


def pixel_term(
    photo: Float[Tensor, "batch 3 height width"],
    rendered: Float[Tensor, "batch 3 height width"],
    skin: Bool[Tensor, "batch height width"],
    is_grey: Bool[Tensor, "batch"] | None = None,
) -> Float[Tensor, "batch"]:
    """L_pixel: mean RGB distance over A. It is also the photometric error that we report (eq. 8).

    Args:
        skin: The mask A, already without pixels outside the photo and outside the rendered face.
        is_grey: Photos to be compared in luminance; grey photos have three equal channels.
    """
    if is_grey is not None:
        rendered = comparable(rendered, is_grey)
    return masked_mean(colour_distance(photo, rendered), skin)


def perceptual_term(
    photo_descriptors: Float[Tensor, "batch feature"],
    rendered_descriptors: Float[Tensor, "batch feature"],
) -> Float[Tensor, "batch"]:
    """L_perc: a quarter of the squared L2 distance of identity descriptors."""
    return 0.25 * (photo_descriptors - rendered_descriptors).square().sum(dim=-1)


def landmark_weights(
    *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> Float[Tensor, "68"]:
    """1 for the inner 51 points, 0.3 for the 17 of the jaw."""
    weights = torch.ones(68, dtype=dtype, device=device)
    weights[:JAW_POINTS] = JAW_WEIGHT
    return weights


def landmark_term(
    detected_px: Float[Tensor, "batch 68 2"], projected_px: Float[Tensor, "batch 68 2"]
) -> Float[Tensor, "batch"]:
    """L_LM: weighted sum of squared distances in pixels of the 224 crop.

    Args:
        detected_px: NaN where a point is not known; it does not count then.
    """
    weights = landmark_weights(dtype=projected_px.dtype, device=projected_px.device)
    # Chosen before anything is squared: a NaN would reach the gradient of its neighbours.
    away = torch.where(detected_px.isfinite(), detected_px - projected_px, 0.0)
    return (away.square().sum(dim=-1) * weights).sum(dim=-1)


def regularisation_term(theta: FaceParameters) -> Float[Tensor, "batch"]:
    """L_reg: squared distance from the mean face in the mean light, as a mean over the
    coefficients of each block, with a share for each block."""
    shape = theta.shape.square().mean(dim=-1)
    expression = theta.expression.square().mean(dim=-1)
    albedo = theta.albedo.square().mean(dim=-1)
    return (
        _SHAPE_SHARE * shape
        + _EXPRESSION_SHARE * expression
        + _ALBEDO_SHARE * albedo
        + _LIGHT_SHARE * light_prior(theta.illumination)
    )


def mean_light(
    *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> Float[Tensor, "27"]:
    """phi of the average photo."""
    light = torch.tensor(MEAN_LIGHT, dtype=dtype, device=device)
    light[0] -= 1.0  # phi counts from white ambient light
    return light.repeat_interleave(3)


def light_precision(
    *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> Float[Tensor, "27 27"]:
    """Inverse covariance of phi over photos: levels, tints, and above all the mean shading."""
    average = torch.full((3, 3), 1 / 3, dtype=dtype)
    rest = torch.eye(3, dtype=dtype) - average
    level = torch.tensor(LEVEL_DEVIATION, dtype=dtype).pow(-2).diag()
    tint = torch.tensor(TINT_DEVIATION, dtype=dtype).pow(-2).diag()
    harmonics = torch.tensor(MEAN_HARMONICS, dtype=dtype)
    shading = torch.outer(harmonics, harmonics)
    exposure = average / EXPOSURE_DEVIATION**2 + rest / WHITE_BALANCE_DEVIATION**2
    precision = torch.kron(level, average) + torch.kron(tint, rest) + torch.kron(shading, exposure)
    return precision.to(device)


def light_prior(illumination: Float[Tensor, "batch 27"]) -> Float[Tensor, "batch"]:
    """How unusual a light is: its squared Mahalanobis distance from the mean light, over 27."""
    dtype, device = illumination.dtype, illumination.device
    offset = illumination - mean_light(dtype=dtype, device=device)
    precision = light_precision(dtype=dtype, device=device)
    return torch.einsum("bi,ij,bj->b", offset, precision, offset) / offset.shape[-1]


def landmark_errors_px(
    detected_px: Float[Tensor, "batch 68 2"], projected_px: Float[Tensor, "batch 68 2"]
) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
    """Mean distance over all 68 points and over the inner 51 (eq. 9, per point), in pixels of the
    224 crop."""
    distance = (detected_px - projected_px).norm(dim=-1)
    return distance.mean(dim=-1), distance[:, JAW_POINTS:].mean(dim=-1)
