"""Baking a UV texture: the photo without its light where it shows the face, the model elsewhere.

Order of trust for every texel: the photo at its own place, the photo at its mirror image, the
albedo of the model. What is borrowed is first brought to the tone of its surroundings (`tone.py`),
so that no edge is left between the sources. The work is deterministic. This module knows no file.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from facegpt.geometry.camera import project_orthographic, rotation_from_angles
from facegpt.geometry.lighting import shade
from facegpt.geometry.mesh import vertex_normals
from facegpt.morphable.colour import linear_from_srgb, srgb_from_linear
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.rendering.photo_view import PhotoView
from facegpt.rendering.renderer import render_mesh
from facegpt.rendering.tone import luminance, single_tone, spread_tone

TEXTURE_SIZE = 1024

_EYE_PARTS = ("eye_left", "eye_right")
_NO_SKIN_PARTS = (*_EYE_PARTS, "mouth", "teeth", "tongue")
_GRAZING, _FRONTAL = 0.2, 0.55
"""Cosines between which a surface begins to be believed, and is believed in full."""
_HIDDEN_MM = 2.5
"""Deeper than this behind the nearest surface is hidden; less is noise of a coarse depth map."""
_DARKEST = 0.3
"""Shading is not divided out beyond this: the photo has nothing but noise there."""
_BRIGHTEST = 1.45
"""A texel is at most this much brighter than its surroundings: glints go, freckles stay."""
_MIRROR_TRUST = 0.9
_FEATHER_TEXELS = 8
_INNER_LIPS = slice(60, 68)
_MOUTH_FADES_MM, _BACK_OF_TEETH, _DEEPEST = 60.0, 0.35, 0.2
"""Depth over which light falls to a third, what of it reaches teeth from behind, and the least."""


@dataclass(frozen=True)
class _Seen:
    """How the photo sees each vertex."""

    place: Float[Tensor, "vertex 4"]
    """x, y in pixels of the view, depth in mm, cosine of the angle to the viewer."""
    shading: Float[Tensor, "vertex 3"]
    depth_mm: Float[Tensor, "side side"]
    """Nearest surface, infinite where there is none."""


def bake_texture(
    model: MorphableModel, theta: FaceParameters, view: PhotoView, *, size: int = TEXTURE_SIZE
) -> UInt8[np.ndarray, "size size 3"]:
    """The texture of one face, sRGB without light, first row at v = 1.

    Args:
        theta: A batch of one.
    """
    with torch.no_grad():
        seen = _look(model, theta, view)
        albedo = (model.albedo_srgb(theta.albedo)[0] * mouth_light(model)).clamp(0.01, 1.0)
        skin, eyes = (~model.part_mask(_NO_SKIN_PARTS)).float(), model.part_mask(_EYE_PARTS).float()
        parts = torch.stack([skin, eyes], dim=1)
        tone = _vertex_tone(model, seen, view, albedo, parts)
        vertex_data = torch.cat(
            [albedo, tone, parts, seen.place, seen.shading]
            + [seen.place[model.mirror], seen.shading[model.mirror], tone[model.mirror]],
            dim=1,
        )
        inside, texels = _texels(model, vertex_data, size)
        colour = _blend(texels, inside, seen.depth_mm, view)
        texture = torch.zeros(size, size, 3)
        texture[inside] = colour
        filled = _fill_outside(texture.permute(2, 0, 1), inside.float())
    return (filled.permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()


def model_texture(
    model: MorphableModel, theta: FaceParameters, *, size: int = TEXTURE_SIZE
) -> UInt8[np.ndarray, "size size 3"]:
    """The albedo of the model as a texture, for faces that have no photo."""
    with torch.no_grad():
        albedo = model.albedo_srgb(theta.albedo)[0] * mouth_light(model)
        inside, texels = _texels(model, albedo, size)
        texture = torch.zeros(size, size, 3)
        texture[inside] = texels
        filled = _fill_outside(texture.permute(2, 0, 1), inside.float())
    return (filled.permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()


def mouth_light(model: MorphableModel) -> Float[Tensor, "vertex 1"]:
    """How much light reaches each vertex inside the mouth; 1 everywhere else.

    No renderer of ours or of viewers casts shadows, so without it the far teeth, seen from inside,
    shine like lamps. Light falls off with the depth behind the lips, and on the backs of the teeth.
    """
    depth_mm = model.mean_mm[model.landmarks68[_INNER_LIPS], 2].mean() - model.mean_mm[:, 2]
    light = torch.exp(-depth_mm.clamp(min=0) / _MOUTH_FADES_MM)
    normals = vertex_normals(model.mean_mm[None], model.triangles)[0]
    teeth = model.part_mask(("teeth",))
    outwards = model.mean_mm - model.mean_mm[teeth].mean(dim=0)
    behind = teeth & ((normals * outwards)[:, [0, 2]].sum(dim=1) <= 0)
    light = torch.where(behind, light * _BACK_OF_TEETH, light).clamp(min=_DEEPEST)
    inside = model.part_mask(("mouth", "teeth", "tongue"))
    return torch.where(inside, light, torch.ones_like(light))[:, None]


def recoloured(
    texture: UInt8[np.ndarray, "height width 3"],
    model: MorphableModel,
    before: FaceParameters,
    after: FaceParameters,
) -> UInt8[np.ndarray, "height width 3"]:
    """A texture of `before` as it is when the albedo becomes that of `after`: each texel changes by
    the factor, of linear light, by which the albedo of the model does."""
    if torch.equal(before.albedo, after.albedo):
        return texture
    with torch.no_grad():
        factor = albedo_factor(model, before, after)
        inside, texels = _texels(model, factor, len(texture))
    image = torch.ones(len(texture), len(texture), 3)
    image[inside] = texels
    filled = _fill_outside(image.permute(2, 0, 1), inside.float()).permute(1, 2, 0)
    linear = linear_from_srgb(torch.from_numpy(texture.copy()) / 255) * filled
    return (srgb_from_linear(linear.clamp(0, 1)) * 255).round().byte().numpy()


def albedo_factor(
    model: MorphableModel, before: FaceParameters, after: FaceParameters
) -> Float[Tensor, "vertex 3"]:
    """By which factor of linear light the albedo of each vertex changes."""
    darkest = 0.02
    old, new = (
        linear_from_srgb(model.albedo_srgb(theta.albedo)[0].clamp(darkest, 1))
        for theta in (before, after)
    )
    return new / old


def _look(model: MorphableModel, theta: FaceParameters, view: PhotoView) -> _Seen:
    vertices = model.vertices_mm(theta.shape, theta.expression)
    side = view.image.shape[-1]
    projected = project_orthographic(vertices, theta.camera, CROP_SIZE, model.pixels_per_mm)
    screen = torch.cat([view.from_crop_px(projected[..., :2]), projected[..., 2:]], dim=-1)
    normals = vertex_normals(vertices, model.triangles)
    normals = normals @ rotation_from_angles(theta.camera[:, :3]).transpose(1, 2)
    shading = shade(torch.ones_like(normals), normals, theta.illumination)[0]
    depth, ids = render_mesh(screen, screen[..., 2:], model.triangles, side, side)
    depth_mm = depth[0, ..., 0].masked_fill(ids[0] < 0, torch.inf)
    place = torch.cat([screen[0], normals[0, :, 2:]], dim=1)
    return _Seen(place, _even_on_eyes(model, shading, normals[0]).clamp(min=_DARKEST), depth_mm)


def _even_on_eyes(
    model: MorphableModel, shading: Float[Tensor, "vertex 3"], normals: Float[Tensor, "vertex 3"]
) -> Float[Tensor, "vertex 3"]:
    """One brightness for the eyes: they are wet and lie in the shade of the lids, so the normals of
    a ball say nothing about their light."""
    eyes = model.part_mask(_EYE_PARTS)
    if not eyes.any():
        return shading
    facing = normals[eyes, 2:].clamp(min=0) + 1e-3
    even = (shading[eyes] * facing).sum(dim=0) / facing.sum()
    return torch.where(eyes[:, None], even, shading)


def _vertex_tone(
    model: MorphableModel,
    seen: _Seen,
    view: PhotoView,
    albedo: Float[Tensor, "vertex 3"],
    parts: Float[Tensor, "vertex 2"],
) -> Float[Tensor, "vertex 3"]:
    """log(photo / model): smooth on the skin, one value for the eyes, zero on everything else."""
    photo, trust = _take(seen.place, seen.shading, parts, seen, view)
    if view.is_grey:
        photo, albedo = luminance(photo).expand(-1, 3), luminance(albedo).expand(-1, 3)
    ratio = (photo.clamp(min=0.01) / albedo).log()
    skin, eyes = parts[:, :1], parts[:, 1:]
    lightness = single_tone(ratio.mean(dim=1), trust * eyes[:, 0])
    return spread_tone(model, ratio, trust * skin[:, 0]) * skin + lightness * eyes


def _take(
    place: Float[Tensor, "point 4"],
    shading: Float[Tensor, "point 3"],
    parts: Float[Tensor, "point 2"],
    seen: _Seen,
    view: PhotoView,
) -> tuple[Float[Tensor, "point 3"], Float[Tensor, "point"]]:
    """Colours of the photo with the light divided out, and how far each is believed in [0, 1]."""
    side = view.image.shape[-1]
    grid = ((2 * place[:, :2] + 1) / side - 1)[None, None]
    stack = torch.cat([view.image, view.skin[None], view.eyes[None]])[None]
    sampled = torch.nn.functional.grid_sample(stack, grid, align_corners=False)[0, :, 0].T
    column, row = place[:, :2].round().long().clamp(0, side - 1).unbind(dim=1)
    behind = place[:, 2] - seen.depth_mm[row, column]
    uncovered = (1 - (behind / _HIDDEN_MM - 1)).clamp(0, 1)
    facing = _smoothstep((place[:, 3] - _GRAZING) / (_FRONTAL - _GRAZING))
    mask = (sampled[:, 3:] * parts).sum(dim=1)
    return (sampled[:, :3] / shading.clamp(min=_DARKEST)).clamp(0, 1), mask * uncovered * facing


def _texels(
    model: MorphableModel, vertex_data: Float[Tensor, "vertex channel"], size: int
) -> tuple[Tensor, Float[Tensor, "inside channel"]]:
    """Values of the vertices at every texel that a triangle covers, and which texels these are."""
    vertex_of_texel = vertex_of_uv(model)
    uv = torch.stack([model.uv[:, 0], 1 - model.uv[:, 1]], dim=1) * size - 0.5
    # Some models reuse the texels of the skin inside the mouth: the skin lies in front.
    behind = model.part_mask(_NO_SKIN_PARTS).float()[vertex_of_texel]
    flat = torch.cat([uv, behind[:, None]], dim=1)[None]
    data = vertex_data[vertex_of_texel][None]
    image, ids = render_mesh(flat, data, model.uv_triangles, size, size)
    inside = ids[0] >= 0
    return inside, image[0][inside]


def sample_texture(
    texture: UInt8[np.ndarray, "height width 3"], uv: Float[Tensor, "*grid 2"]
) -> Float[Tensor, "*grid 3"]:
    """Colours of a texture (first row at v = 1) in [0, 1], bilinear."""
    image = torch.from_numpy(texture.copy()).permute(2, 0, 1)[None].float() / 255
    grid = torch.stack([2 * uv[..., 0] - 1, 1 - 2 * uv[..., 1]], dim=-1)
    sampled = torch.nn.functional.grid_sample(
        image, grid.reshape(1, 1, -1, 2), padding_mode="border", align_corners=False
    )
    return sampled[0, :, 0].T.reshape(*uv.shape[:-1], 3)


def vertex_of_uv(model: MorphableModel) -> Int[Tensor, "texel"]:
    """The vertex that each row of `uv` belongs to."""
    owner = torch.zeros(len(model.uv), dtype=torch.long)
    owner[model.uv_triangles.flatten()] = model.triangles.flatten()
    return owner


def _blend(
    texels: Float[Tensor, "inside 25"],
    inside: Tensor,
    depth_mm: Float[Tensor, "side side"],
    view: PhotoView,
) -> Float[Tensor, "inside 3"]:
    albedo, tone, parts, place, shading, other_place, other_shading, other_tone = texels.split(
        [3, 3, 2, 4, 3, 4, 3, 3], dim=1
    )
    seen = _Seen(place, shading, depth_mm)
    own, own_trust = _take(place, shading, parts, seen, view)
    other, other_trust = _take(other_place, other_shading, parts, seen, view)
    # A lamp from one side that the spherical harmonics missed shows as a difference of tone between
    # the halves: both are brought to the tone between them.
    even = (tone + other_tone) / 2
    own, other = own * (even - tone).exp(), other * (even - other_tone).exp()
    base = albedo * even.exp()
    if view.is_grey:
        own, other = (_coloured(photo, base) for photo in (own, other))
    # Where little light arrives, dividing it out can leave bright patches.
    own, other = own.minimum(base * _BRIGHTEST), other.minimum(base * _BRIGHTEST)
    own_weight = _feathered(own_trust, inside)
    other_weight = (1 - own_weight) * _feathered(other_trust * _MIRROR_TRUST, inside)
    own_weight, other_weight = own_weight[:, None], other_weight[:, None]
    return own * own_weight + other * other_weight + base * (1 - own_weight - other_weight)


def _coloured(photo: Float[Tensor, "point 3"], base: Float[Tensor, "point 3"]) -> Tensor:
    """The lightness of a greyscale photo on the colour of the model."""
    ratio = luminance(photo) / luminance(base).clamp(min=0.02)
    return (base * ratio.clamp(0.1, 2.5)).clamp(0, 1)


def _feathered(weight: Float[Tensor, "inside"], inside: Tensor) -> Float[Tensor, "inside"]:
    """The weight with a soft inner border, so that a change of source has no edge."""
    image = torch.zeros(2, *inside.shape)
    image[0, inside] = weight
    image[1] = inside
    # A border of some 40 texels needs no fine grid.
    pool = torch.nn.functional.avg_pool2d
    coarse = pool(image[None], _FEATHER_TEXELS)
    for _ in range(2):
        coarse = pool(coarse, 3, stride=1, padding=1)
    coarse = coarse[:, :1] / coarse[:, 1:].clamp(min=1e-3)
    around = torch.nn.functional.interpolate(
        coarse, inside.shape, mode="bilinear", align_corners=False
    )[0, 0][inside]
    return torch.minimum(weight, _smoothstep(2 * around - 1))


def _fill_outside(
    image: Float[Tensor, "3 side side"], weight: Float[Tensor, "side side"]
) -> Float[Tensor, "3 side side"]:
    """Texels that no triangle covers get the colour of what lies around (pull and push), so that no
    interpolation and no small mip level mixes black into the seams."""
    if image.shape[-1] <= 2 or image.shape[-1] % 2:
        mean = (image * weight).sum(dim=(1, 2)) / weight.sum().clamp(min=1e-6)
        return image * weight + mean[:, None, None] * (1 - weight)
    pool = torch.nn.functional.avg_pool2d
    small_weight = pool(weight[None, None], 2)[0, 0]
    small = pool((image * weight)[None], 2)[0] / small_weight.clamp(min=1e-6)
    small = _fill_outside(small, (small_weight > 0).float())
    large = torch.nn.functional.interpolate(
        small[None], scale_factor=2, mode="bilinear", align_corners=False
    )[0]
    return image * weight + large * (1 - weight)


def _smoothstep(x: Tensor) -> Tensor:
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)
