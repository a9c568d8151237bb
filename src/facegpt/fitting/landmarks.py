"""Stage one: pose, shape and expression from 68 points, by Gauss-Newton on the maximum a
posteriori estimate.

The points say little about 144 coefficients; the prior N(0, 1) says the rest. Twelve solves of a
150 x 150 system per face replace hundreds of gradient steps. Orthographic camera only.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.fitting.expression_prior import DEVIATION, ExpressionPrior
from facegpt.geometry.camera import rotation_from_angles
from facegpt.losses import landmark_weights
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters

_ITERATIONS = 12
_ANGLE_DEVIATION = (0.5, 1.0, 0.6)
"""Prior spread of pitch, yaw and roll in radians. It only keeps faces without profile cues from
tumbling."""
_SHIFT_DEVIATION = 0.5
_SCALE_DEVIATION = 0.4


@dataclass(frozen=True)
class _SparseModel:
    """The 68 landmark vertices of a model, with shape and expression side by side."""

    mean_mm: Float[Tensor, "68 3"]
    basis_mm: Float[Tensor, "coefficient 68 3"]
    pixels_per_mm: float
    shape_count: int

    @classmethod
    def of(cls, model: MorphableModel) -> "_SparseModel":
        points = model.landmarks68
        basis = torch.cat([model.identity_mm[:, points], model.expression_mm[:, points]])
        return cls(
            model.mean_mm[points].double(),
            basis.double(),
            model.pixels_per_mm,
            len(model.identity_mm),
        )


def fit_landmarks(
    model: MorphableModel,
    landmarks68_px: Float[Tensor, "batch 68 2"],
    *,
    noise_px: float = 1.0,
    bound: float = 4.0,
    start: FaceParameters | None = None,
    prior: ExpressionPrior | None = None,
) -> FaceParameters:
    """Pose, shape and expression whose landmarks lie on the detected ones.

    Args:
        landmarks68_px: Detected points in pixels of the aligned 224 crop; NaN where one is not
            known: it is not fitted then.
        noise_px: Standard deviation of the detector; smaller trusts the points more and the prior
            less.
        bound: No coefficient leaves [-bound, bound].
        start: Where to begin; its albedo and illumination are kept.
        prior: That of `model`, when it is already at hand.

    Returns:
        Theta in the dtype of the points.
    """
    sparse = _SparseModel.of(model)
    prior = prior or ExpressionPrior.of(model)
    device = landmarks68_px.device
    theta = start or FaceParameters.zeros(len(landmarks68_px), device=device)
    coefficients = torch.cat([theta.shape, theta.expression], dim=1).double()
    camera = theta.camera.double()
    target = _Target.of(landmarks68_px, noise_px)
    for _ in range(_ITERATIONS):
        camera, coefficients = _gauss_newton_step(sparse, prior, target, camera, coefficients)
        coefficients = coefficients.clamp(-bound, bound)
    dtype = landmarks68_px.dtype
    shape, expression = coefficients.to(dtype).tensor_split([sparse.shape_count], dim=1)
    return theta.replace(shape=shape, expression=expression, camera=camera.to(dtype))


@dataclass(frozen=True)
class _Target:
    """Where the points shall lie, and how much each coordinate counts."""

    points_px: Float[Tensor, "batch 68 2"]
    weight: Float[Tensor, "batch residual"]
    """Zero where the point is not known."""

    @classmethod
    def of(cls, landmarks68_px: Float[Tensor, "batch 68 2"], noise_px: float) -> "_Target":
        known = landmarks68_px.isfinite()
        weight = landmark_weights(dtype=torch.float64, device=landmarks68_px.device)
        weight = weight.view(1, -1, 1) * known / noise_px**2
        return cls(landmarks68_px.double().where(known, 0.0), weight.flatten(1))


def _gauss_newton_step(
    sparse: _SparseModel,
    prior: ExpressionPrior,
    target: _Target,
    camera: Float[Tensor, "batch 6"],
    coefficients: Float[Tensor, "batch coefficient"],
) -> tuple[Tensor, Tensor]:
    projected, jacobian = _project_with_jacobian(sparse, camera, coefficients)
    unknowns = torch.cat([camera, coefficients], dim=1)
    deviation = _prior_deviation(unknowns)
    residual = (target.points_px - projected).flatten(1)
    weighted = jacobian * target.weight.unsqueeze(-1)
    normal = weighted.transpose(1, 2) @ jacobian + torch.diag(deviation.pow(-2))
    gradient = (weighted.transpose(1, 2) @ residual.unsqueeze(-1)).squeeze(-1)
    gradient = gradient - unknowns * deviation.pow(-2)
    # Weights that lie outside [0, 1] now are pulled to its border in this step.
    delta = slice(6 + sparse.shape_count, None)
    outside = prior.outside(unknowns[:, delta]) / DEVIATION**2
    rows = prior.weights_from_delta.to(unknowns.device)
    active = rows * (outside != 0).unsqueeze(-1)
    normal[:, delta, delta] += active.transpose(1, 2) @ rows / DEVIATION**2
    gradient[:, delta] -= outside @ rows
    # Not linalg.solve: MKL's threaded LU can hang on AMD once somebody has called set_num_threads.
    factor = torch.linalg.cholesky(normal)
    unknowns = unknowns + torch.cholesky_solve(gradient.unsqueeze(-1), factor).squeeze(-1)
    return unknowns[:, :6], unknowns[:, 6:]


def _prior_deviation(unknowns: Tensor) -> Float[Tensor, "unknown"]:
    deviation = torch.ones_like(unknowns[0])
    deviation[:3] = torch.tensor(_ANGLE_DEVIATION)
    deviation[3:5] = _SHIFT_DEVIATION
    deviation[5] = _SCALE_DEVIATION
    return deviation


def _project_with_jacobian(
    sparse: _SparseModel,
    camera: Float[Tensor, "batch 6"],
    coefficients: Float[Tensor, "batch coefficient"],
) -> tuple[Float[Tensor, "batch 68 2"], Float[Tensor, "batch residual unknown"]]:
    """Landmarks in pixels and their derivatives by camera and coefficients, residuals point by
    point (x, y)."""
    points = sparse.mean_mm + torch.einsum("bk,kpc->bpc", coefficients, sparse.basis_mm)
    rotation = rotation_from_angles(camera[:, :3])
    pixels = sparse.pixels_per_mm * camera[:, 5].exp()
    # Rows of the image plane: x as in the model, y turned downwards.
    plane = (
        rotation[:, :2] * torch.tensor([[1.0], [-1.0]], dtype=camera.dtype) * pixels.view(-1, 1, 1)
    )
    in_plane = points @ plane.transpose(1, 2)
    half = CROP_SIZE / 2
    projected = in_plane + (CROP_SIZE - 1) / 2 + half * camera[:, None, 3:5]
    columns = [_angle_columns(camera, points, pixels)]
    shift = torch.zeros(len(camera), 68, 2, 2, dtype=camera.dtype)
    shift[:, :, 0, 0] = shift[:, :, 1, 1] = half
    columns += [shift, in_plane.unsqueeze(-1)]
    columns.append(torch.einsum("kpc,brc->bprk", sparse.basis_mm, plane))
    return projected, torch.cat(columns, dim=-1).flatten(1, 2)


def _angle_columns(
    camera: Float[Tensor, "batch 6"], points: Float[Tensor, "batch 68 3"], pixels: Tensor
) -> Float[Tensor, "batch 68 2 3"]:
    """Derivatives by pitch, yaw and roll: R = Rz Ry Rx, so each is R with one generator put in its
    place."""
    pitch, yaw, roll = (torch.zeros_like(camera[:, :3]) for _ in range(3))
    pitch[:, 0], yaw[:, 1], roll[:, 2] = camera[:, 0], camera[:, 1], camera[:, 2]
    about_x, about_y, about_z = (rotation_from_angles(a) for a in (pitch, yaw, roll))
    generators = torch.zeros(3, 3, 3, dtype=camera.dtype)
    generators[0, 2, 1] = generators[1, 0, 2] = generators[2, 1, 0] = 1.0
    generators = generators - generators.transpose(1, 2)
    derivatives = (
        about_z @ about_y @ about_x @ generators[0],
        about_z @ about_y @ generators[1] @ about_x,
        about_z @ generators[2] @ about_y @ about_x,
    )
    flip = torch.tensor([1.0, -1.0], dtype=camera.dtype).view(1, 1, 2)
    columns = [(points @ d[:, :2].transpose(1, 2)) * flip for d in derivatives]
    return torch.stack(columns, dim=-1) * pixels.view(-1, 1, 1, 1)
