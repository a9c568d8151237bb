"""The camera c of theta: rotation of the head, weak perspective and, as an option, perspective.

Model axes are x right, y up, z towards the viewer; camera axes are OpenCV's: x right, y down, z
away. Integer pixel coordinates are pixel centres. `camera_matrices` says the same camera in the
words of OpenCV, OpenGL and Blender, for the whole photo instead of the crop; the functions
`pixels_from_*` are the recipe that an importer follows. Knows nothing about faces.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

CROP_SIZE = 224
"""Side of an aligned crop in pixels; `pixels_per_mm` is stated for a picture of this side."""

DISTANCE_MM = 1000.0
"""From the camera of a photo to the origin of the model. Without perspective any will do that keeps
the head in front of the camera."""
NEAR_MM, FAR_MM = 100.0, 2000.0

_AXES = torch.tensor(
    [
        [[0, 0, 0], [0, 0, -1], [0, 1, 0]],
        [[0, 0, 1], [0, 0, 0], [-1, 0, 0]],
        [[0, -1, 0], [1, 0, 0], [0, 0, 0]],
    ],
    dtype=torch.float64,
)
"""Cross product matrices of the axes x, y, z."""
_AXES_SQUARED = _AXES @ _AXES


def rotation_from_angles(angles: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch 3 3"]:
    """R = Rz(roll) Ry(yaw) Rx(pitch) in model axes.

    Args:
        angles: Pitch, yaw, roll in radians. Positive pitch looks down, positive yaw turns the nose
            to the right of the picture, positive roll turns counter-clockwise in the picture.
    """
    # Rodrigues' formula for the three axes at once: few operations, because each costs in training.
    turn, turn_twice = _AXES.to(angles), _AXES_SQUARED.to(angles)
    sine, versine = angles.sin()[..., None, None], 1 - angles.cos()[..., None, None]
    identity = torch.eye(3, dtype=angles.dtype, device=angles.device)
    about_x, about_y, about_z = (identity + sine * turn + versine * turn_twice).unbind(1)
    return about_z @ about_y @ about_x


def scale_px_per_mm(
    camera: Float[Tensor, "batch 6"], size: int, pixels_per_mm: float
) -> Float[Tensor, "batch"]:
    """Pixels per mm in a picture of side `size`."""
    return camera[:, 5].exp() * (pixels_per_mm * size / CROP_SIZE)


def camera_from_model_rotation(camera: Float[Tensor, "batch 6"]) -> Float[Tensor, "batch 3 3"]:
    """Rotation of the head and turn to OpenCV axes, diag(1, -1, -1) R."""
    flip = camera.new_tensor([[1.0], [-1.0], [-1.0]])
    return rotation_from_angles(camera[:, :3]) * flip


def project_orthographic(
    vertices_mm: Float[Tensor, "batch vertex 3"],
    camera: Float[Tensor, "batch 6"],
    size: int,
    pixels_per_mm: float,
) -> Float[Tensor, "batch vertex 3"]:
    """Weak perspective, the camera of the paper: x_px, y_px, and depth in mm (small is near)."""
    scale = scale_px_per_mm(camera, size, pixels_per_mm)
    # Scale and shift ride along with the 3 x 3 rotation: the vertices are touched twice only.
    scales = torch.stack([scale, scale, torch.ones_like(scale)], dim=-1)
    screen_from_model = camera_from_model_rotation(camera) * scales[:, :, None]
    shift = camera[:, None, 3:5] * (size / 2) + (size - 1) / 2
    return vertices_mm @ screen_from_model.transpose(1, 2) + torch.nn.functional.pad(shift, (0, 1))


def project_perspective(
    vertices_mm: Float[Tensor, "batch vertex 3"],
    camera: Float[Tensor, "batch 6"],
    size: int,
    pixels_per_mm: float,
    focal_px: float,
) -> Float[Tensor, "batch vertex 3"]:
    """Pinhole camera that shows the origin of the model at the place and scale of c."""
    points = vertices_mm @ camera_from_model_rotation(camera).transpose(1, 2)
    scale = scale_px_per_mm(camera, size, pixels_per_mm).view(-1, 1, 1)
    shift_mm = camera[:, None, 3:5] * (size / 2) / scale
    depth = points[..., 2:] + focal_px / scale
    plane = (points[..., :2] + shift_mm) * focal_px / depth + (size - 1) / 2
    return torch.cat([plane, depth], dim=-1)


def camera_matrices(
    camera: Float[Tensor, "6"],
    pixels_per_mm: float,
    crop_from_image: Float[Tensor, "3 3"],
    image_size: tuple[int, int],
) -> dict[str, dict[str, Any]]:
    """The weak perspective camera c of a crop as an orthographic camera of the ORIGINAL image.

    All three look at the centre of the image and know no lens, so no shift of the sensor is needed.

    - opencv: `K` 3 x 3, `camera_from_world` 3 x 4, world = model in mm (`pixels_from_opencv`).
    - opengl: `view` and `projection` 4 x 4, column vectors, world = model in mm
      (`pixels_from_opengl`).
    - blender: `matrix_world` 4 x 4 and the settings of a camera of type ORTHO, world = what
      Blender makes of a glTF file: metres, z up (`pixels_from_blender`).

    Args:
        camera: c, seen in the aligned crop.
        pixels_per_mm: Of the morphable model.
        crop_from_image: Similarity from pixels of the image to pixels of the 224 crop.
        image_size: Width and height of the original image.

    Returns:
        Plain lists and numbers, ready for JSON.

    Raises:
        ValueError: `crop_from_image` is no similarity, or the image is empty.
    """
    width, height = image_size
    scale, camera_from_model = _camera_of_image(camera, pixels_per_mm, crop_from_image, image_size)
    view = torch.diag(camera_from_model.new_tensor([1, -1, -1, 1])) @ camera_from_model
    common = {"model": "orthographic", "image_size": [width, height]}
    opencv = {
        "K": [[scale, 0.0, (width - 1) / 2], [0.0, scale, (height - 1) / 2], [0.0, 0.0, 1.0]],
        "camera_from_world": camera_from_model[:3].tolist(),
    }
    opengl = {
        "view": view.tolist(),
        "projection": _orthographic_projection(2 * scale / width, 2 * scale / height),
    }
    return {
        "opencv": {**common, "unit": "mm", **opencv},
        "opengl": {**common, "unit": "mm", **opengl},
        "blender": {**common, "unit": "m", **_blender_camera(view, scale, image_size)},
    }


def _orthographic_projection(x_per_mm: float, y_per_mm: float) -> list[list[float]]:
    depth = FAR_MM - NEAR_MM
    return [
        [x_per_mm, 0.0, 0.0, 0.0],
        [0.0, y_per_mm, 0.0, 0.0],
        [0.0, 0.0, -2 / depth, -(FAR_MM + NEAR_MM) / depth],
        [0.0, 0.0, 0.0, 1.0],
    ]


def _camera_of_image(
    camera: Tensor, pixels_per_mm: float, crop_from_image: Tensor, image_size: tuple[int, int]
) -> tuple[float, Tensor]:
    """Pixels per mm of the image, and a 4 x 4 rigid matrix into OpenCV axes whose third axis goes
    through the centre of the image.
    """
    c = camera.detach().double().cpu()[None]
    crop_from_image = crop_from_image.double().cpu()
    turn = crop_from_image[:2, :2]
    crop_px_per_px = float(turn.det().clamp(min=0).sqrt())
    unit = turn / max(crop_px_per_px, 1e-12)
    is_similarity = torch.allclose(unit @ unit.T, torch.eye(2).to(unit), atol=1e-4)
    if not (crop_px_per_px > 0 and is_similarity and min(image_size) > 0):
        raise ValueError(
            f"crop_from_image must turn, scale and shift only, and the image hold pixels; got "
            f"{crop_from_image.tolist()} and {image_size}"
        )
    scale = float(scale_px_per_mm(c, CROP_SIZE, pixels_per_mm)) / crop_px_per_px
    image_from_crop = torch.eye(3, dtype=torch.float64)
    image_from_crop[:2, :2] = unit.T
    origin_crop = c[0, 3:5] * (CROP_SIZE / 2) + (CROP_SIZE - 1) / 2
    origin_px = torch.linalg.solve(turn, origin_crop - crop_from_image[:2, 2])
    centre_px = (torch.tensor(image_size, dtype=torch.float64) - 1) / 2
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    camera_from_model = torch.eye(4, dtype=torch.float64)
    camera_from_model[:3, :3] = image_from_crop @ flip @ rotation_from_angles(c[:, :3])[0]
    camera_from_model[:2, 3] = (origin_px - centre_px) / scale
    camera_from_model[2, 3] = DISTANCE_MM
    return scale, camera_from_model


def _blender_camera(view: Tensor, scale: float, image_size: tuple[int, int]) -> dict[str, Any]:
    """Looks along -z as OpenGL does; the glTF import of Blender turns (x, y, z) to (x, -z, y)."""
    blender_from_model = torch.tensor(
        [[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=torch.float64
    )
    matrix_world = blender_from_model @ torch.linalg.inv(view)
    matrix_world[:3, 3] /= 1000
    return {
        "type": "ORTHO",
        "matrix_world": matrix_world.tolist(),
        "ortho_scale": image_size[0] / scale / 1000,
        "sensor_fit": "HORIZONTAL",
        "sensor_width": 36.0,
        "shift_x": 0.0,
        "shift_y": 0.0,
        "clip_start": NEAR_MM / 1000,
        "clip_end": FAR_MM / 1000,
        "resolution_x": image_size[0],
        "resolution_y": image_size[1],
    }


def pixels_from_opencv(
    camera: Mapping[str, Any], points_mm: Float[Tensor, "point 3"]
) -> Float[Tensor, "point 2"]:
    """Where an importer that follows the `opencv` entry sees points of the model: as with a lens,
    but K multiplies (x, y, 1) instead of (x, y, z) / z.
    """
    points = _homogeneous(points_mm) @ _matrix(camera, "camera_from_world").T
    return points[:, :2] @ _matrix(camera, "K")[:2, :2].T + _matrix(camera, "K")[:2, 2]


def pixels_from_opengl(
    camera: Mapping[str, Any], points_mm: Float[Tensor, "point 3"]
) -> Float[Tensor, "point 2"]:
    """Where an importer that follows the `opengl` entry sees points of the model.

    Clip coordinates reach from -1 at the outer corner of the first pixel, left or below, to 1 at
    that of the last.
    """
    size = points_mm.new_tensor(camera["image_size"]).double()
    clip = _homogeneous(points_mm) @ (_matrix(camera, "projection") @ _matrix(camera, "view")).T
    across = clip[:, :2] / clip[:, 3:] * clip.new_tensor([1.0, -1.0])
    return (across + 1) / 2 * size - 0.5


def pixels_from_blender(
    camera: Mapping[str, Any], points_mm: Float[Tensor, "point 3"]
) -> Float[Tensor, "point 2"]:
    """Where an importer that follows the `blender` entry sees points of the model, as in the frame
    of a render.
    """
    x, y, z = (points_mm.double() / 1000).unbind(-1)
    world = _homogeneous(torch.stack([x, -z, y], dim=-1))
    local = world @ torch.linalg.inv(_matrix(camera, "matrix_world")).T
    width, height = camera["image_size"]
    px_per_m = width / camera["ortho_scale"]
    # Both shifts count in widths, because the sensor is fitted to the width.
    left = (width - 1) / 2 - camera["shift_x"] * width
    top = (height - 1) / 2 + camera["shift_y"] * width
    return torch.stack([left + local[:, 0] * px_per_m, top - local[:, 1] * px_per_m], dim=-1)


def _homogeneous(points: Tensor) -> Tensor:
    return torch.nn.functional.pad(points.double(), (0, 1), value=1.0)


def _matrix(camera: Mapping[str, Any], key: str) -> Tensor:
    return torch.tensor(camera[key], dtype=torch.float64)
