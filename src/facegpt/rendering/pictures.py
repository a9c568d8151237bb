"""Pictures of a reconstructed head: from any side, in any light, over its photo, on one sheet.

Pure functions: theta and textures in, uint8 pictures out. Everything that can be changed about a
picture is in theta (`lit`, `posed`, `portrait` give changed copies). This module knows no file.
"""

import difflib
import math

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from facegpt.geometry.camera import project_orthographic, rotation_from_angles
from facegpt.geometry.lighting import directional_light, shade
from facegpt.geometry.mesh import vertex_normals
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.rendering.renderer import render_mesh
from facegpt.rendering.texture import sample_texture, vertex_of_uv
from facegpt.rendering.tone import luminance

BACKGROUND = (236, 236, 238)

CLAY = np.full((2, 2, 3), (196, 190, 184), dtype=np.uint8)
"""A texture of one colour: shows the shape and nothing else."""

LIGHTS: dict[str, tuple[float, float, float]] = {
    "front": (0.0, 0.15, 1.0),
    "left": (-1.0, 0.2, 0.45),
    "right": (1.0, 0.2, 0.45),
    "top": (0.0, 1.0, 0.35),
    "bottom": (0.0, -1.0, 0.45),
    "rim": (0.8, 0.4, -0.7),
}
"""Name -> where the light comes from in viewer axes: x right, y up, z towards the viewer."""

_AMBIENT, _LAMP = 0.4, 0.75
_SUPERSAMPLING = 2
_LARGEST_RENDER_PX = 3000
"""Sides of a supersampled picture stay below this, whatever the size of the photo."""
_MARGIN = 1.06


def named_light(name: str) -> Float[Tensor, "1 27"]:
    """phi of a light by its name.

    Raises:
        ValueError: There is no light of this name.
    """
    if name not in LIGHTS:
        [nearest] = difflib.get_close_matches(name, LIGHTS, n=1, cutoff=0)
        raise ValueError(f"no light {name!r}; did you mean {nearest!r}? Known: {sorted(LIGHTS)}")
    direction = torch.tensor(LIGHTS[name])
    return directional_light(direction, ambient=_AMBIENT, strength=_LAMP)[None]


def lit(theta: FaceParameters, light: str) -> FaceParameters:
    """The same face in a named light."""
    return theta.replace(illumination=named_light(light).expand(len(theta), -1))


def posed(
    theta: FaceParameters, *, yaw: float, pitch: float = 0.0, roll: float = 0.0
) -> FaceParameters:
    """The same face turned to an angle (radians), place and scale kept."""
    camera = theta.camera.clone()
    camera[:, :3] = torch.tensor([pitch, yaw, roll])
    return theta.replace(camera=camera)


def portrait(
    model: MorphableModel,
    theta: FaceParameters,
    *,
    yaw: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
) -> FaceParameters:
    """The same face turned to an angle (radians), with the whole mesh in the picture.

    The scale does not depend on the angle, so the frames of a turntable fit together.
    """
    turned = posed(theta, yaw=yaw, pitch=pitch, roll=roll)
    mesh = model.vertices_mm(theta.shape, torch.zeros_like(theta.expression))[0]
    low, high = mesh.min(dim=0).values, mesh.max(dim=0).values
    centre = (low + high) / 2
    height = float(high[1] - low[1])
    reach = 2 * float((mesh - centre)[:, [0, 2]].norm(dim=1).max())
    pixels_per_mm = CROP_SIZE / (_MARGIN * max(height, reach))
    shifted = rotation_from_angles(turned.camera[:, :3])[0] @ centre * pixels_per_mm
    camera = turned.camera.clone()
    camera[:, 3], camera[:, 4] = -shifted[0] / (CROP_SIZE / 2), shifted[1] / (CROP_SIZE / 2)
    camera[:, 5] = math.log(pixels_per_mm / model.pixels_per_mm)
    return turned.replace(camera=camera)


def render_head(
    model: MorphableModel,
    theta: FaceParameters,
    *,
    texture: np.ndarray | None = None,
    size: int = 448,
    background: tuple[int, int, int] = BACKGROUND,
) -> UInt8[np.ndarray, "size size 3"]:
    """One face in the frame of the aligned crop, with smooth edges.

    Args:
        theta: A batch of one.
        texture: sRGB without light, first row at v = 1; without one the albedo of theta is shown.
    """
    fine = size * _SUPERSAMPLING
    screen = project_orthographic(_vertices(model, theta), theta.camera, fine, model.pixels_per_mm)
    colour, alpha = _shaded(model, theta, screen[0], fine, fine, texture)
    behind = torch.tensor(background, dtype=torch.float32)[:, None, None] / 255
    return _as_uint8(colour + behind * (1 - alpha))


def overlay(
    rgb: UInt8[np.ndarray, "height width 3"],
    model: MorphableModel,
    theta: FaceParameters,
    photo_from_crop: Float[Tensor, "3 3"],
    *,
    is_grey: bool = False,
) -> UInt8[np.ndarray, "height width 3"]:
    """The fitted face laid over its photo, at the resolution of the photo.

    Args:
        model: Usually `restricted_to()`: what the photo was compared with.
        photo_from_crop: Pixels of the aligned 224 crop to pixels of `rgb`.
        is_grey: Show the face in greys, as the photo.
    """
    crop = project_orthographic(
        _vertices(model, theta), theta.camera, CROP_SIZE, model.pixels_per_mm
    )
    matrix = photo_from_crop.to(crop.dtype)
    photo_px = crop[0, :, :2] @ matrix[:2, :2].T + matrix[:2, 2]
    height, width = rgb.shape[:2]
    limit = torch.tensor([width, height])
    low = (photo_px.min(dim=0).values.floor().long() - 2).clamp(min=0).minimum(limit)
    high = (photo_px.max(dim=0).values.ceil().long() + 3).clamp(min=0).minimum(limit)
    columns, rows = (high - low).tolist()
    if columns <= 0 or rows <= 0:
        return rgb.copy()
    factor = _SUPERSAMPLING if max(columns, rows) * _SUPERSAMPLING <= _LARGEST_RENDER_PX else 1
    local = (photo_px - low + 0.5) * factor - 0.5
    screen = torch.cat([local, crop[0, :, 2:]], dim=1)
    colour, alpha = _shaded(model, theta, screen, rows * factor, columns * factor, None, factor)
    if is_grey:
        grey = luminance(colour.permute(1, 2, 0).reshape(-1, 3)).view(1, rows, columns)
        colour = grey.expand(3, -1, -1)
    box = (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
    result = rgb.copy()
    photo = torch.from_numpy(rgb[box].copy()).permute(2, 0, 1).float() / 255
    result[box] = _as_uint8(colour + photo * (1 - alpha))
    return result


def turntable(
    model: MorphableModel,
    theta: FaceParameters,
    *,
    texture: np.ndarray | None = None,
    frames: int = 36,
    size: int = 320,
    widest: float = math.pi,
) -> list[UInt8[np.ndarray, "size size 3"]]:
    """Pictures of the head turning once around (or to and fro, if `widest` is less than pi)."""
    if widest >= math.pi:
        angles = [2 * math.pi * i / frames for i in range(frames)]
    else:
        angles = [widest * math.sin(2 * math.pi * i / frames) for i in range(frames)]
    return [
        render_head(model, portrait(model, theta, yaw=angle), texture=texture, size=size)
        for angle in angles
    ]


def tiled(
    pictures: dict[str, np.ndarray], *, columns: int = 4, side: int = 320
) -> UInt8[np.ndarray, "height width 3"]:
    """Pictures side by side with their names below, each scaled to fit a square."""
    label, gap = 22, 6
    rows = math.ceil(len(pictures) / columns)
    cell_width, cell_height = side + gap, side + gap + label
    sheet = Image.new("RGB", (columns * cell_width + gap, rows * cell_height + gap), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (name, pixels) in enumerate(pictures.items()):
        picture = Image.fromarray(pixels)
        scale = side / max(picture.size)
        width, height = (max(1, round(length * scale)) for length in picture.size)
        left, top = gap + i % columns * cell_width, gap + i // columns * cell_height
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(picture, (left + (side - width) // 2, top + (side - height) // 2))
        draw.text((left + 4, top + side + 3), name, fill=(70, 70, 74))
    return np.asarray(sheet)


def contact_sheet(
    photo_crop: np.ndarray,
    overlay_crop: np.ndarray,
    model: MorphableModel,
    theta: FaceParameters,
    texture: np.ndarray,
    *,
    side: int = 320,
) -> UInt8[np.ndarray, "height width 3"]:
    """Photo, overlay, shape, albedo, relit and three poses of one face.

    Args:
        photo_crop: The photo in the frame of the aligned crop, any size.
        overlay_crop: The same with the fitted face.
    """
    front = portrait(model, theta)
    white = front.replace(illumination=torch.zeros_like(theta.illumination))
    sheet = {
        "photo": photo_crop,
        "fit": overlay_crop,
        "shape": render_head(model, lit(front, "front"), texture=CLAY, size=side),
        "albedo": render_head(model, white, texture=texture, size=side),
        "light from the left": render_head(model, lit(front, "left"), texture=texture, size=side),
    }
    for degrees in (-40, 40, 85):
        pose = portrait(model, lit(theta, "front"), yaw=math.radians(degrees))
        name = f"yaw {degrees} degrees"
        sheet[name] = render_head(model, pose, texture=texture, size=side)
    return tiled(sheet, side=side)


def _vertices(model: MorphableModel, theta: FaceParameters) -> Float[Tensor, "1 vertex 3"]:
    return model.vertices_mm(theta.shape, theta.expression)


def _shaded(
    model: MorphableModel,
    theta: FaceParameters,
    screen: Float[Tensor, "vertex 3"],
    height: int,
    width: int,
    texture: np.ndarray | None,
    factor: int = _SUPERSAMPLING,
) -> tuple[Float[Tensor, "3 rows columns"], Float[Tensor, "1 rows columns"]]:
    """Colours (already times coverage) and coverage, `factor` times smaller than rendered."""
    normals = vertex_normals(_vertices(model, theta), model.triangles)
    normals = normals @ rotation_from_angles(theta.camera[:, :3]).transpose(1, 2)
    light = shade(torch.ones_like(normals), normals, theta.illumination)[0]
    if texture is None:
        attributes = light * model.albedo_srgb(theta.albedo)[0]
        image, ids = render_mesh(
            screen[None], attributes[None], model.triangles, height, width, cull_back=True
        )
        colour = image[0].permute(2, 0, 1)
    else:
        owner = vertex_of_uv(model)
        attributes = torch.cat([model.uv, light[owner]], dim=1)
        image, ids = render_mesh(
            screen[owner][None],
            attributes[None],
            model.uv_triangles,
            height,
            width,
            cull_back=True,
        )
        colour = (sample_texture(texture, image[0, ..., :2]) * image[0, ..., 2:]).permute(2, 0, 1)
    coverage = (ids[:1] >= 0).float()
    pool = torch.nn.functional.avg_pool2d
    return pool(colour.clamp(0, 1) * coverage, factor), pool(coverage, factor)


def _as_uint8(image: Float[Tensor, "3 rows columns"]) -> np.ndarray:
    return (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
