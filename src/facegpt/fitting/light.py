"""Stage two: illumination and albedo at the visible vertices, by alternating linear least squares.

With the geometry fixed, colour = albedo(gamma) * H(n) phi is linear in phi for known gamma and the
other way round. Both halves are solved in closed form with robust weights and their priors. A few
rounds land where hundreds of gradient steps would.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facegpt.geometry.lighting import sh_basis
from facegpt.losses import LUMINANCE_WEIGHTS
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters

_ROUNDS = 4
_FACING = 0.25
"""Vertices whose normal is turned further than about 75 degrees from the viewer are not
believed."""
_COLOUR_NOISE = 0.05
_LEVEL_DEVIATION = 0.35
_TINT_DEVIATION = 0.06
_EFFECTIVE_SHARE = 0.02
"""Neighbouring vertices say nearly the same: every fiftieth counts as a measurement of its own."""


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
    """phi and gamma that explain the sampled colours; zeros where nothing was seen."""
    count = model.albedo_basis.shape[0]
    phi = torch.zeros(9, 3, dtype=torch.float64)
    gamma = torch.zeros(count, dtype=torch.float64)
    seen = samples.weight > 0
    if int(seen.sum()) < 100:
        return phi.reshape(27).float(), gamma.float()
    harmonics = sh_basis(samples.normals[seen]).double()
    basis = model.albedo_basis[:, seen].double()
    mean = model.albedo_mean[seen].double()
    colour = samples.colour[seen].double()
    base_weight = samples.weight[seen].double() * _EFFECTIVE_SHARE / _COLOUR_NOISE**2
    weight = base_weight
    for _ in range(_ROUNDS):
        albedo = mean + torch.einsum("k,kvc->vc", gamma, basis)
        phi = _solve_light(harmonics, albedo, colour, weight, samples.is_grey)
        irradiance = harmonics @ (phi + _white(phi))
        gamma = _solve_albedo(basis, mean, irradiance, colour, weight, samples.is_grey)
        gamma = gamma.clamp(-bound, bound)
        albedo = mean + torch.einsum("k,kvc->vc", gamma, basis)
        distance = (_shown(albedo * irradiance - colour, samples.is_grey)).norm(dim=-1)
        weight = base_weight / (1 + (distance / (2 * _COLOUR_NOISE)).square())
    return phi.reshape(27).float(), gamma.float()


def _white(phi: Float[Tensor, "9 3"]) -> Float[Tensor, "9 3"]:
    white = torch.zeros_like(phi)
    white[0] = 1.0
    return white


def _shown(difference: Float[Tensor, "vertex 3"], is_grey: bool) -> Tensor:
    """The difference as the photo can show it: a grey photo has only its luminance."""
    if not is_grey:
        return difference
    weights = torch.tensor(LUMINANCE_WEIGHTS, dtype=difference.dtype)
    return (difference @ weights).unsqueeze(-1)


def _solve_light(
    harmonics: Float[Tensor, "vertex 9"],
    albedo: Float[Tensor, "vertex 3"],
    colour: Float[Tensor, "vertex 3"],
    weight: Float[Tensor, "vertex"],
    is_grey: bool,
) -> Float[Tensor, "9 3"]:
    """Offsets of phi from white light; a grey photo can only have been taken in colourless
    light."""
    if is_grey:
        level = _shown(albedo, is_grey)
        rows = (harmonics * level).unsqueeze(1)
        precision = torch.eye(9, dtype=harmonics.dtype) / _LEVEL_DEVIATION**2
        phi = _ridge(rows, _shown(colour - albedo, is_grey), weight, precision)
        return phi.view(9, 1).expand(9, 3)
    # The prior is on level and tint, so the 27 unknowns are solved together.
    design = torch.zeros(len(harmonics), 3, 9, 3, dtype=harmonics.dtype)
    for c in range(3):
        design[:, c, :, c] = harmonics * albedo[:, c : c + 1]
    precision = _light_precision(harmonics.dtype)
    return _ridge(design.flatten(2), colour - albedo, weight, precision).view(9, 3)


def _light_precision(dtype: torch.dtype) -> Float[Tensor, "27 27"]:
    average = torch.full((3, 3), 1 / 3, dtype=dtype)
    per_harmonic = (
        average / _LEVEL_DEVIATION**2 + (torch.eye(3, dtype=dtype) - average) / _TINT_DEVIATION**2
    )
    return torch.kron(torch.eye(9, dtype=dtype), per_harmonic)


def _solve_albedo(
    basis: Float[Tensor, "albedo vertex 3"],
    mean: Float[Tensor, "vertex 3"],
    irradiance: Float[Tensor, "vertex 3"],
    colour: Float[Tensor, "vertex 3"],
    weight: Float[Tensor, "vertex"],
    is_grey: bool,
) -> Float[Tensor, "albedo"]:
    design = (basis * irradiance).permute(1, 2, 0)
    target = colour - mean * irradiance
    precision = torch.eye(basis.shape[0], dtype=basis.dtype)
    return _ridge(_rows(design, is_grey), _shown(target, is_grey), weight, precision)


def _rows(design: Float[Tensor, "vertex 3 unknown"], is_grey: bool) -> Tensor:
    if not is_grey:
        return design
    weights = torch.tensor(LUMINANCE_WEIGHTS, dtype=design.dtype)
    return torch.einsum("vcu,c->vu", design, weights).unsqueeze(1)


def _ridge(
    design: Float[Tensor, "vertex channel unknown"],
    target: Float[Tensor, "vertex channel"],
    weight: Float[Tensor, "vertex"],
    precision: Float[Tensor, "unknown unknown"],
) -> Float[Tensor, "unknown"]:
    flat = design.flatten(0, 1)
    weighted = flat * weight.repeat_interleave(design.shape[1]).unsqueeze(-1)
    return torch.linalg.solve(weighted.T @ flat + precision, weighted.T @ target.flatten())


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
