"""L_face of eq. 3 for predicted theta, as named terms.

Any method that predicts theta is judged here: the vision tower, the language model from a picture,
the language model from text. This module renders; it knows no network that predicts and no data
set.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facegpt.fitting.expression_prior import ExpressionPrior
from facegpt.losses import (
    LossWeights,
    landmark_errors_px,
    landmark_term,
    perceptual_term,
    pixel_term,
    regularisation_term,
    weighted_sum,
)
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.identity import IdentityEncoder
from facegpt.rendering.renderer import Renderer, Rendering

GREATEST_COEFFICIENT = 4.0
"""Predicted shape, expression and albedo are held in [-4, 4] standard deviations, as fits are."""

_BOUNDED = ("shape", "expression", "albedo")
_LARGEST_ANGLE, _LARGEST_SHIFT, _LARGEST_LOG_SCALE = 1.5, 1.5, 1.0
_LARGEST_LIGHT = 4.0


@dataclass(frozen=True)
class TargetBatch:
    """What L_face compares faces with: pictures side by side, theta where it is known."""

    photo: Float[Tensor, "face 3 height width"]
    skin: Bool[Tensor, "face height width"]
    """The mask A, inside the photo only; nowhere true: the picture does not speak."""
    landmarks68_px: Float[Tensor, "face 68 2"]
    """Pixels of the 224 crop, whatever the size of the photo; NaN: the points do not speak."""
    is_grey: Bool[Tensor, "face"]
    theta: Float[Tensor, "face 257"] | None = None
    theta_mask: Bool[Tensor, "face 257"] | None = None
    """Which coefficients of `theta` are known."""

    def __len__(self) -> int:
        return len(self.photo)

    def __getitem__(self, index: Tensor | Sequence[int] | slice) -> "TargetBatch":
        """Some faces of the batch."""
        return TargetBatch(
            self.photo[index],
            self.skin[index],
            self.landmarks68_px[index],
            self.is_grey[index],
            None if self.theta is None else self.theta[index],
            None if self.theta_mask is None else self.theta_mask[index],
        )


def bounded(theta: Float[Tensor, "face 257"]) -> FaceParameters:
    """Theta that can be rendered: held inside wide bounds, with the gradient passed through so that
    a coefficient outside them can come back."""
    blocks = FaceParameters.from_vector(theta).blocks()
    for name in _BOUNDED:
        blocks[name] = _held(blocks[name], GREATEST_COEFFICIENT)
    blocks["illumination"] = _held(blocks["illumination"], _LARGEST_LIGHT)
    angles, shift, scale = blocks["camera"].split([3, 2, 1], dim=1)
    blocks["camera"] = torch.cat(
        [
            _held(angles, _LARGEST_ANGLE),
            _held(shift, _LARGEST_SHIFT),
            _held(scale, _LARGEST_LOG_SCALE),
        ],
        dim=1,
    )
    return FaceParameters(**blocks)


def _held(values: Tensor, bound: float) -> Tensor:
    """Clamped on the way there, the identity on the way back."""
    return values + (values.clamp(-bound, bound) - values).detach()


class FaceObjective:
    """Named terms of L_face (eq. 3) for predicted faces."""

    def __init__(
        self,
        renderer: Renderer,
        *,
        encoder: IdentityEncoder | None = None,
        weights: LossWeights | None = None,
    ) -> None:
        """Prepare the judge.

        Args:
            renderer: Draws pictures of the size of the targets.
            encoder: Identity network of L_perc; without one the term is left out.
            weights: The lambdas of eq. 3.
        """
        self.renderer = renderer
        self.encoder = encoder
        self.weights = weights or LossWeights()
        self._prior = ExpressionPrior.of(renderer.model)

    def to(self, device: torch.device | str) -> "FaceObjective":
        """The judge of faces on another device; the identity network follows its pictures."""
        moved = self.renderer.to(device)
        if moved is self.renderer:
            return self
        return FaceObjective(moved, encoder=self.encoder, weights=self.weights)

    def __call__(
        self,
        theta: Float[Tensor, "face 257"],
        target: TargetBatch,
        *,
        perceptual: bool = False,
    ) -> dict[str, Float[Tensor, "face"]]:
        """Terms per face: pixel, landmark, regularisation, perceptual if asked for, and theta (L1,
        Table 8) where targets carry one. None is weighted yet."""
        parameters = bounded(theta.float())
        rendering = self.renderer(parameters)
        terms = {
            "pixel": pixel_term(
                target.photo, rendering.image, target.skin & rendering.mask, target.is_grey
            ),
            "landmark": landmark_term(target.landmarks68_px, self.landmarks_in_crop(rendering)),
            "regularisation": regularisation_term(FaceParameters.from_vector(theta.float()))
            + self._prior.term(parameters.expression),
        }
        if perceptual and self.encoder is not None:
            terms["perceptual"] = self._perceptual(rendering, target, self.encoder)
        if target.theta is not None:
            terms["theta"] = self._supervised(theta.float(), target)
        return terms

    def weighted(
        self, terms: dict[str, Float[Tensor, "face"]], *, supervised: float = 0.0
    ) -> Float[Tensor, "face"]:
        """L_face of each face; `supervised` is the weight of the L1 distance of theta, which is no
        part of eq. 3."""
        named = {name: value for name, value in terms.items() if name != "theta"}
        total = weighted_sum(named, self.weights)
        if supervised and "theta" in terms:
            total = total + supervised * terms["theta"]
        return total

    def landmarks_in_crop(self, rendering: Rendering) -> Float[Tensor, "face 68 2"]:
        """The 68 points of a rendering of any size, in pixels of the 224 crop."""
        factor = CROP_SIZE / self.renderer.size
        return (rendering.landmarks_px + 0.5) * factor - 0.5

    def _perceptual(
        self, rendering: Rendering, target: TargetBatch, encoder: IdentityEncoder
    ) -> Tensor:
        grey = target.is_grey.view(-1, 1, 1, 1)
        image = rendering.image
        image = torch.where(grey, image.mean(dim=1, keepdim=True).expand_as(image), image)
        # Hair and background are taken from the photo: they then match and do not speak.
        shown = torch.where(rendering.mask.unsqueeze(1), image.clamp(0, 1), target.photo)
        factor = self.renderer.size / CROP_SIZE
        points = (target.landmarks68_px + 0.5) * factor - 0.5
        known = points.isfinite().flatten(1).all(dim=1)
        distance = image.new_zeros(len(image))
        if known.any():
            with torch.no_grad():
                photo = encoder.encode(target.photo[known], points[known])
            drawn = encoder.encode(shown[known], points[known])
            distance = distance.index_put((known,), perceptual_term(photo, drawn))
        return distance

    def _supervised(self, theta: Tensor, target: TargetBatch) -> Tensor:
        assert target.theta is not None
        mask = target.theta_mask
        known = torch.ones_like(theta) if mask is None else mask.to(theta.dtype)
        distance = (theta - target.theta.nan_to_num()).abs() * known
        return distance.sum(dim=1) / known.sum(dim=1).clamp(min=1.0)


@dataclass(frozen=True)
class FaceErrors:
    """How far predictions are from photos, per face, as they are reported (eq. 8 and 9)."""

    photometric: Float[Tensor, "face"]
    """Mean RGB distance over skin; luminance in three channels for grey photos."""
    landmark_px: Float[Tensor, "face"]
    landmark_inner_px: Float[Tensor, "face"]


def face_errors(
    objective: FaceObjective, theta: Float[Tensor, "face 257"], target: TargetBatch
) -> FaceErrors:
    """Photometric error and landmark errors in pixels of the 224 crop."""
    with torch.no_grad():
        rendering = objective.renderer(bounded(theta.float()))
        photometric = pixel_term(
            target.photo, rendering.image, target.skin & rendering.mask, target.is_grey
        )
        everywhere, inner = landmark_errors_px(
            target.landmarks68_px, objective.landmarks_in_crop(rendering)
        )
    return FaceErrors(photometric, everywhere, inner)
