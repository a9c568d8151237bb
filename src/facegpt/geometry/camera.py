"""The camera c of theta: rotation of the head, weak perspective and, as an option, perspective.

Model axes are x right, y up, z towards the viewer; camera axes are OpenCV's: x right, y down, z
away. Integer pixel coordinates are pixel centres. Knows nothing about faces.
"""

import torch
from jaxtyping import Float
from torch import Tensor

CROP_SIZE = 224
"""`pixels_per_mm` is stated for a picture of this side."""


def rotation_from_angles(angles: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch 3 3"]:
    """R = Rz(roll) Ry(yaw) Rx(pitch) in model axes.

    Args:
        angles: Pitch, yaw, roll in radians. Positive pitch looks down, positive yaw turns the nose
            to the right of the picture, positive roll turns counter-clockwise in the picture.
    """
    (cx, cy, cz), (sx, sy, sz) = angles.cos().unbind(-1), angles.sin().unbind(-1)
    rows = [
        torch.stack([cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz], dim=-1),
        torch.stack([cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz], dim=-1),
        torch.stack([-sy, sx * cy, cx * cy], dim=-1),
    ]
    return torch.stack(rows, dim=-2)


def scale_px_per_mm(
    camera: Float[Tensor, "batch 6"], size: int, pixels_per_mm: float
) -> Float[Tensor, "batch"]:
    """Pixels per mm in a picture of side `size`."""
    return camera[:, 5].exp() * (pixels_per_mm * size / CROP_SIZE)


def to_camera_axes(
    vertices_mm: Float[Tensor, "batch vertex 3"], camera: Float[Tensor, "batch 6"]
) -> Float[Tensor, "batch vertex 3"]:
    """Rotate the head and turn to OpenCV axes; the origin stays the origin of the model."""
    flip = vertices_mm.new_tensor([[1.0], [-1.0], [-1.0]])
    return vertices_mm @ (rotation_from_angles(camera[:, :3]) * flip).transpose(1, 2)


def project_orthographic(
    vertices_mm: Float[Tensor, "batch vertex 3"],
    camera: Float[Tensor, "batch 6"],
    size: int,
    pixels_per_mm: float,
) -> Float[Tensor, "batch vertex 3"]:
    """Weak perspective, the camera of the paper: x_px, y_px, and depth in mm (small is near)."""
    points = to_camera_axes(vertices_mm, camera)
    scale = scale_px_per_mm(camera, size, pixels_per_mm).view(-1, 1, 1)
    shift = camera[:, None, 3:5] * (size / 2) + (size - 1) / 2
    return torch.cat([points[..., :2] * scale + shift, points[..., 2:]], dim=-1)


def project_perspective(
    vertices_mm: Float[Tensor, "batch vertex 3"],
    camera: Float[Tensor, "batch 6"],
    size: int,
    pixels_per_mm: float,
    focal_px: float,
) -> Float[Tensor, "batch vertex 3"]:
    """Pinhole camera that shows the origin of the model at the place and scale of c."""
    points = to_camera_axes(vertices_mm, camera)
    scale = scale_px_per_mm(camera, size, pixels_per_mm).view(-1, 1, 1)
    shift_mm = camera[:, None, 3:5] * (size / 2) / scale
    depth = points[..., 2:] + focal_px / scale
    plane = (points[..., :2] + shift_mm) * focal_px / depth + (size - 1) / 2
    return torch.cat([plane, depth], dim=-1)
