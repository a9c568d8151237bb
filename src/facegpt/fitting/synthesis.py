"""Stage three: all of theta against the rendered picture, by the loss of the paper (eq. 3).

Faces of a batch are independent: their losses are added, so the gradient of one never touches
another. Nothing is random, so the same photos give the same theta.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facegpt.fitting.expression_prior import ExpressionPrior
from facegpt.fitting.landmarks import fit_landmarks
from facegpt.fitting.light import SurfaceSamples, sample_surface, start_from_photo
from facegpt.geometry.camera import rotation_from_angles
from facegpt.geometry.mesh import vertex_normals
from facegpt.losses import (
    LossWeights,
    landmark_errors_px,
    landmark_term,
    perceptual_term,
    pixel_term,
    regularisation_term,
    weighted_sum,
)
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.alignment import AlignedFace
from facegpt.perception.identity import IdentityEncoder
from facegpt.rendering.renderer import Renderer, Rendering

_LEARNING_RATES = {
    "shape": 0.05,
    "expression": 0.05,
    "albedo": 0.08,
    "illumination": 0.015,
    "camera": 0.004,
}


@dataclass(frozen=True)
class FitSettings:
    """How long and how strictly to fit."""

    steps: int = 120
    """Gradient steps of the last stage; 0 stops after landmarks, light and albedo."""
    perceptual_every: int = 6
    """The identity encoder costs five times a rendering: it speaks at every n-th step, n times as
    loud; 0 = never."""
    landmark_noise_px: float = 1.0
    """Standard deviation expected of the detected points in the first stage."""
    bound: float = 4.0
    """No coefficient of shape, expression or albedo leaves [-bound, bound] standard deviations."""
    weights: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.steps < 0 or self.perceptual_every < 0:
            raise ValueError(
                f"--steps and --perceptual-every must be zero or more, got {self.steps} and "
                f"{self.perceptual_every}"
            )
        if not self.bound > 0 or not self.landmark_noise_px > 0:
            raise ValueError(
                f"--bound and --landmark-noise-px must be positive, got {self.bound} and "
                f"{self.landmark_noise_px}"
            )


@dataclass(frozen=True)
class FaceBatch:
    """Aligned faces side by side: what the loss compares a rendering with."""

    photo: Float[Tensor, "batch 3 height width"]
    skin: Bool[Tensor, "batch height width"]
    """The mask A, inside the photo only."""
    landmarks68_px: Float[Tensor, "batch 68 2"]
    """NaN: the point is not known and not fitted; the landmark errors of its face are NaN then."""
    is_grey: Bool[Tensor, "batch"]

    @classmethod
    def of(cls, faces: Sequence[AlignedFace]) -> "FaceBatch":
        """Stack what alignment made of single faces."""
        return cls(
            torch.stack([f.crop for f in faces]),
            torch.stack([f.skin for f in faces]),
            torch.stack([f.landmarks68_px for f in faces]).float(),
            torch.tensor([f.is_grey for f in faces]),
        )

    def __len__(self) -> int:
        return len(self.photo)


@dataclass(frozen=True)
class FitResult:
    """Theta of every face and how well it explains its photo."""

    parameters: FaceParameters
    photometric: Float[Tensor, "batch"]
    """Mean RGB L2 distance over the skin pixels that the face covers, colours in [0, 1] (eq. 8)."""
    landmark_px: Float[Tensor, "batch"]
    """Mean distance of the 68 points in pixels of the 224 crop (eq. 9)."""
    landmark_inner_px: Float[Tensor, "batch"]
    """The same without the jaw: the 51 inner points."""

    def __getitem__(self, index: int) -> "FitResult":
        """One face, as a batch of one."""
        one = slice(index, index + 1)
        return FitResult(
            self.parameters[one],
            self.photometric[one],
            self.landmark_px[one],
            self.landmark_inner_px[one],
        )


def fit_faces(
    renderer: Renderer,
    batch: FaceBatch,
    settings: FitSettings | None = None,
    *,
    encoder: IdentityEncoder | None = None,
    start: FaceParameters | None = None,
) -> FitResult:
    """Fit the morphable model of `renderer` to aligned photos.

    Args:
        renderer: Renders crops of the size of the photos.
        encoder: Identity network of the perceptual term; without one the term is left out.
        start: Begin here instead of at the mean face: the first two stages are skipped, so this
            refines a prediction.
    """
    settings = settings or FitSettings()
    if len(batch) == 0:
        empty = torch.zeros(0)
        return FitResult(FaceParameters.zeros(0), empty, empty, empty)
    prior = ExpressionPrior.of(renderer.model)
    with torch.no_grad():
        theta = start or _coarse(renderer, batch, settings, prior)
    theta = _descend(renderer, batch, theta, settings, encoder, prior)
    with torch.no_grad():
        return measure_fit(renderer, batch, theta)


def measure_fit(renderer: Renderer, batch: FaceBatch, theta: FaceParameters) -> FitResult:
    """The errors that we report (eq. 8 and 9) of any theta against its photo."""
    rendering = renderer(theta)
    photometric = pixel_term(
        batch.photo, rendering.image.clamp(0, 1), batch.skin & rendering.mask, batch.is_grey
    )
    every, inner = landmark_errors_px(batch.landmarks68_px, rendering.landmarks_px)
    return FitResult(theta.detach(), photometric, every, inner)


def identity_distance(
    renderer: Renderer, batch: FaceBatch, theta: FaceParameters, encoder: IdentityEncoder
) -> Float[Tensor, "batch"]:
    """L2 distance of the identity descriptors of each photo and of the face laid over it."""
    with torch.no_grad():
        shown = encoder.encode(_over_photo(renderer(theta), batch), batch.landmarks68_px)
        photo = encoder.encode(batch.photo, batch.landmarks68_px)
    return (shown - photo).norm(dim=-1)


def _coarse(
    renderer: Renderer, batch: FaceBatch, settings: FitSettings, prior: ExpressionPrior
) -> FaceParameters:
    theta = fit_landmarks(
        renderer.model,
        batch.landmarks68_px,
        noise_px=settings.landmark_noise_px,
        bound=settings.bound,
        prior=prior,
    )
    samples = _sample_surfaces(renderer, batch, theta)
    return start_from_photo(renderer.model, theta, samples, settings.bound)


def _sample_surfaces(
    renderer: Renderer, batch: FaceBatch, theta: FaceParameters
) -> list[SurfaceSamples]:
    model = renderer.model
    rendering = renderer(theta)
    vertices = model.vertices_mm(theta.shape, theta.expression)
    normals = vertex_normals(vertices, model.triangles)
    normals = normals @ rotation_from_angles(theta.camera[:, :3]).transpose(1, 2)
    samples = []
    for i in range(len(batch)):
        ids = rendering.triangle_ids[i]
        visible = torch.zeros(len(model.mean_mm), dtype=torch.bool)
        visible[model.triangles[ids[ids >= 0].unique().long()].flatten()] = True
        samples.append(
            sample_surface(
                batch.photo[i],
                batch.skin[i],
                rendering.vertices_px[i],
                normals[i],
                visible,
                is_grey=bool(batch.is_grey[i]),
            )
        )
    return samples


def _descend(
    renderer: Renderer,
    batch: FaceBatch,
    theta: FaceParameters,
    settings: FitSettings,
    encoder: IdentityEncoder | None,
    prior: ExpressionPrior,
) -> FaceParameters:
    if settings.steps == 0:
        return theta
    blocks = {name: value.detach().clone() for name, value in theta.blocks().items()}
    for value in blocks.values():
        value.requires_grad_()
    optimiser = torch.optim.Adam(
        [{"params": [blocks[name]], "lr": rate} for name, rate in _LEARNING_RATES.items()],
        betas=(0.85, 0.98),
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 1.0 - 0.95 * step / settings.steps
    )
    places_px = _chip_points(renderer, batch, theta)
    described = _describe_photos(batch, places_px, settings, encoder)
    for step in range(settings.steps):
        optimiser.zero_grad()
        theta = FaceParameters(**blocks)
        loud = settings.perceptual_every and step % settings.perceptual_every == 0
        terms = _terms(renderer(theta), theta, batch, prior)
        if encoder is not None and described is not None and loud:
            shown = _over_photo(terms.rendering, batch)
            distance = perceptual_term(described, encoder.encode(shown, places_px))
            terms.values["perceptual"] = distance * settings.perceptual_every
        weighted_sum(terms.values, settings.weights).sum().backward()
        optimiser.step()
        schedule.step()
        _project(blocks, batch.is_grey, settings.bound)
    return FaceParameters(**blocks).detach()


@dataclass(frozen=True)
class _Terms:
    values: dict[str, Tensor]
    rendering: Rendering


def _terms(
    rendering: Rendering, theta: FaceParameters, batch: FaceBatch, prior: ExpressionPrior
) -> _Terms:
    values = {
        "pixel": pixel_term(
            batch.photo, rendering.image, batch.skin & rendering.mask, batch.is_grey
        ),
        "landmark": landmark_term(batch.landmarks68_px, rendering.landmarks_px),
        "regularisation": regularisation_term(theta) + prior.term(theta.expression),
    }
    return _Terms(values, rendering)


def _chip_points(
    renderer: Renderer, batch: FaceBatch, theta: FaceParameters
) -> Float[Tensor, "batch 68 2"]:
    """Where the identity network looks: at the known points, and where the first theta puts the
    others."""
    known = batch.landmarks68_px.isfinite()
    if known.all():
        return batch.landmarks68_px
    with torch.no_grad():
        return torch.where(known, batch.landmarks68_px, renderer(theta).landmarks_px)


def _describe_photos(
    batch: FaceBatch,
    places_px: Float[Tensor, "batch 68 2"],
    settings: FitSettings,
    encoder: IdentityEncoder | None,
) -> Tensor | None:
    if encoder is None or settings.perceptual_every == 0 or settings.weights.perceptual == 0:
        return None
    with torch.no_grad():
        return encoder.encode(batch.photo, places_px)


def _over_photo(rendering: Rendering, batch: FaceBatch) -> Float[Tensor, "batch 3 height width"]:
    """The face laid over its photo: hair and background then match and do not speak in the
    descriptor."""
    face = rendering.mask.unsqueeze(1)
    image = rendering.image
    grey = batch.is_grey.view(-1, 1, 1, 1)
    image = torch.where(grey, image.mean(dim=1, keepdim=True).expand_as(image), image)
    return torch.where(face, image.clamp(0, 1), batch.photo)


def _project(blocks: dict[str, Tensor], is_grey: Bool[Tensor, "batch"], bound: float) -> None:
    """Back to what is allowed: bounded coefficients, and colourless light on grey photos."""
    with torch.no_grad():
        for name in ("shape", "expression", "albedo"):
            blocks[name].clamp_(-bound, bound)
        if is_grey.any():
            phi = blocks["illumination"][is_grey].view(-1, 9, 3)
            blocks["illumination"][is_grey] = (
                phi.mean(-1, keepdim=True).expand(-1, -1, 3).flatten(1)
            )
