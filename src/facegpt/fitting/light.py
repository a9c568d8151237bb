"""Stage two: illumination and albedo at the visible vertices, by Gauss-Newton.

With the geometry fixed, colour = albedo(gamma) * H(n) phi is bilinear. Both are solved together:
solved in turn, whichever comes first swallows the tone of the skin and never gives it back. The
prior of the light (`losses.light_precision`) decides what is skin and what is lamp. A few steps
land where hundreds of gradient steps would.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facegpt.geometry.lighting import sh_basis
from facegpt.losses import light_precision, mean_light
from facegpt.morphable.colour import LUMINANCE_WEIGHTS
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters

_STEPS = 4
_FACING = 0.25
"""Vertices whose normal is turned further than about 75 degrees from the viewer are not
believed."""
_COLOUR_NOISE = 0.05
_EFFECTIVE_SHARE = 0.02
"""Neighbouring vertices say nearly the same: every fiftieth counts as a measurement of its own."""
_STRIDE = 2
"""Every second vertex is looked at: half the time for the same answer."""


@dataclass(frozen=True)
class SurfaceSamples:
    """What the photo shows at the vertices of one face."""

    colour: Float[Tensor, "vertex 3"]
    normals: Float[Tensor, "vertex 3"]
    """Unit normals in viewer axes."""
    weight: Float[Tensor, "vertex"]
    """Zero where the vertex is hidden or not skin."""
    is_grey: bool


def sample_surface(
    photo: Float[Tensor, "3 height width"],
    skin: Bool[Tensor, "height width"],
    vertices_px: Float[Tensor, "vertex 3"],
    normals: Float[Tensor, "vertex 3"],
    visible: Bool[Tensor, "vertex"],
    *,
    is_grey: bool,
) -> SurfaceSamples:
    """Colours of the photo at the projected vertices (bilinear), weighted by how well each is
    seen."""
    size = torch.tensor([photo.shape[2], photo.shape[1]], dtype=photo.dtype)
    grid = ((vertices_px[:, :2] * 2 + 1) / size - 1).view(1, 1, -1, 2)
    stack = torch.cat([photo, skin.to(photo.dtype).unsqueeze(0)]).unsqueeze(0)
    sampled = torch.nn.functional.grid_sample(stack, grid, align_corners=False)[0, :, 0].T
    facing = ((normals[:, 2] - _FACING) / (1 - _FACING)).clamp(min=0.0)
    whole = (sampled[:, 3] > 0.99) & visible
    return SurfaceSamples(sampled[:, :3], normals, facing * whole.to(photo.dtype), is_grey)


def fit_light_and_albedo(
    model: MorphableModel, samples: SurfaceSamples, *, bound: float = 4.0
) -> tuple[Float[Tensor, "27"], Float[Tensor, "albedo"]]:
    """phi and gamma that explain the sampled colours; mean light and mean albedo where too little
    was seen."""
    phi, gamma = mean_light(dtype=torch.float64), torch.zeros(len(model.albedo_basis)).double()
    seen = (samples.weight > 0).nonzero()[:, 0][::_STRIDE]
    if len(seen) < 50:
        return phi.float(), gamma.float()
    surface = _Surface(
        sh_basis(samples.normals[seen]).double(),
        model.albedo_mean[seen].double(),
        model.albedo_basis[:, seen].double(),
        samples.colour[seen].double(),
        samples.is_grey,
    )
    weight = samples.weight[seen].double() * (_STRIDE * _EFFECTIVE_SHARE / _COLOUR_NOISE**2)
    for _ in range(_STEPS):
        phi, gamma = _gauss_newton_step(surface, weight, phi, gamma)
        gamma = gamma.clamp(-bound, bound)
    return phi.float(), gamma.float()


@dataclass(frozen=True)
class _Surface:
    harmonics: Float[Tensor, "vertex 9"]
    mean: Float[Tensor, "vertex 3"]
    basis: Float[Tensor, "albedo vertex 3"]
    colour: Float[Tensor, "vertex 3"]
    is_grey: bool

    def shown(self, colours: Float[Tensor, "vertex 3 *unknown"]) -> Tensor:
        """Colours as the photo can show them: a grey photo has only its luminance."""
        if not self.is_grey:
            return colours
        weights = torch.tensor(LUMINANCE_WEIGHTS, dtype=colours.dtype)
        return torch.einsum("vc...,c->v...", colours, weights).unsqueeze(1)


def _gauss_newton_step(
    surface: _Surface,
    weight: Float[Tensor, "vertex"],
    phi: Float[Tensor, "27"],
    gamma: Float[Tensor, "albedo"],
) -> tuple[Float[Tensor, "27"], Float[Tensor, "albedo"]]:
    """One step of the robust maximum a posteriori estimate of light and albedo together."""
    white = torch.zeros(9, 3, dtype=phi.dtype)
    white[0] = 1.0
    albedo = surface.mean + torch.einsum("k,kvc->vc", gamma, surface.basis)
    shading = surface.harmonics @ (phi.view(9, 3) + white)
    by_light = torch.zeros(*albedo.shape, 9, 3, dtype=phi.dtype)
    for c in range(3):
        by_light[:, c, :, c] = surface.harmonics * albedo[:, c : c + 1]
    by_albedo = (surface.basis * shading).permute(1, 2, 0)
    design = surface.shown(torch.cat([by_light.flatten(2), by_albedo], dim=2))
    error = surface.shown(surface.colour - albedo * shading)
    # Cauchy weights: glasses, hair and highlights lose their say.
    robust = weight / (1 + (error.norm(dim=1) / (2 * _COLOUR_NOISE)).square())
    precision = torch.block_diag(
        light_precision(dtype=phi.dtype), torch.eye(len(gamma), dtype=phi.dtype)
    )
    offset = torch.cat([phi - mean_light(dtype=phi.dtype), gamma])
    rows = design.flatten(0, 1)
    weighted = rows * robust.repeat_interleave(design.shape[1]).unsqueeze(-1)
    step = torch.linalg.solve(
        weighted.T @ rows + precision, weighted.T @ error.flatten() - precision @ offset
    )
    phi, gamma = phi + step[:27], gamma + step[27:]
    if surface.is_grey:  # A grey photo can only have been taken in colourless light.
        phi = phi.view(9, 3).mean(dim=1, keepdim=True).expand(9, 3).reshape(27)
    return phi, gamma


def start_from_photo(
    model: MorphableModel, theta: FaceParameters, samples: list[SurfaceSamples], bound: float
) -> FaceParameters:
    """Theta with illumination and albedo of every face solved for."""
    solved = [fit_light_and_albedo(model, s, bound=bound) for s in samples]
    dtype = theta.shape.dtype
    return theta.replace(
        illumination=torch.stack([phi for phi, _ in solved]).to(dtype),
        albedo=torch.stack([gamma for _, gamma in solved]).to(dtype),
    )
