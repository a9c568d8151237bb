"""The camera of theta: signs, limits, gradients, and the photo cameras of other programs."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facegpt.geometry.camera import (
    camera_matrices,
    pixels_from_blender,
    pixels_from_opencv,
    pixels_from_opengl,
    project_orthographic,
    project_perspective,
    rotation_from_angles,
)

PIXELS_PER_MM = 0.97
IMPORTERS = {
    "opencv": pixels_from_opencv,
    "opengl": pixels_from_opengl,
    "blender": pixels_from_blender,
}
ANGLES = st.floats(-math.pi, math.pi)


def camera(**values: float) -> torch.Tensor:
    """c of one face in float64."""
    names = ("pitch", "yaw", "roll", "x", "y", "log_scale")
    return torch.tensor([[values.pop(name, 0.0) for name in names]], dtype=torch.float64)


def points_mm(count: int = 20, seed: int = 0) -> torch.Tensor:
    """Points in a ball of about the size of a head."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, count, 3, dtype=torch.float64, generator=generator) * 50


NOSE, CROWN, LEFT_EAR = torch.eye(3, dtype=torch.float64)[[2, 1, 0]] * 50


def seen_px(point: torch.Tensor, c: torch.Tensor, size: int = 224) -> list[float]:
    return project_orthographic(point.view(1, 1, 3), c, size, PIXELS_PER_MM)[0, 0].tolist()


def test_zero_camera_looks_at_the_face() -> None:
    assert seen_px(torch.zeros(3).double(), camera()) == [111.5, 111.5, 0.0]
    assert seen_px(NOSE, camera())[2] < 0, "the nose is nearer than the origin"
    assert seen_px(CROWN, camera())[1] < 111.5, "up in the model is up in the picture"
    assert seen_px(LEFT_EAR, camera())[0] > 111.5, "the person's left is at the right"


def test_signs_of_the_angles() -> None:
    assert seen_px(NOSE, camera(yaw=0.3))[0] > 112, "positive yaw turns the nose to the right"
    assert seen_px(NOSE, camera(pitch=0.3))[1] > 112, "positive pitch looks down"
    assert seen_px(CROWN, camera(roll=0.3))[0] < 111, "positive roll is counter-clockwise"


def test_shift_counts_in_half_crops_and_scale_is_a_logarithm() -> None:
    x, y, _ = seen_px(torch.zeros(3).double(), camera(x=0.5, y=-0.25))
    assert (x, y) == (111.5 + 56, 111.5 - 28)
    plain, doubled = seen_px(LEFT_EAR, camera()), seen_px(LEFT_EAR, camera(log_scale=math.log(2)))
    assert doubled[0] - 111.5 == pytest.approx(2 * (plain[0] - 111.5))
    assert plain[0] - 111.5 == pytest.approx(50 * PIXELS_PER_MM)


def test_a_larger_picture_shows_the_same() -> None:
    c = camera(yaw=0.4, x=0.2, y=-0.1, log_scale=0.3)
    small = project_orthographic(points_mm(), c, 224, PIXELS_PER_MM)
    large = project_orthographic(points_mm(), c, 448, PIXELS_PER_MM)
    torch.testing.assert_close((large[..., :2] + 0.5) / 2, small[..., :2] + 0.5)
    torch.testing.assert_close(large[..., 2], small[..., 2])


@given(ANGLES, ANGLES, ANGLES)
def test_rotation_is_a_product_of_three(pitch: float, yaw: float, roll: float) -> None:
    (cp, cy, cr), (sp, sy, sr) = np.cos([pitch, yaw, roll]), np.sin([pitch, yaw, roll])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    found = rotation_from_angles(torch.tensor([[pitch, yaw, roll]], dtype=torch.float64))[0]
    np.testing.assert_allclose(found.numpy(), about_z @ about_y @ about_x, atol=1e-12)
    torch.testing.assert_close(found @ found.T, torch.eye(3, dtype=torch.float64))


def test_a_long_lens_is_orthographic() -> None:
    c = camera(pitch=0.2, yaw=-0.4, roll=0.1, x=0.1, y=0.2, log_scale=-0.1)
    flat = project_orthographic(points_mm(), c, 224, PIXELS_PER_MM)
    errors = []
    for focal_px in (1e3, 1e4, 1e5):
        lens = project_perspective(points_mm(), c, 224, PIXELS_PER_MM, focal_px)
        errors.append(float((lens - flat)[..., :2].abs().max()))
        order = lens[0, :, 2].argsort()
        assert order.equal(flat[0, :, 2].argsort())
    assert errors[1] < errors[0] / 8
    assert errors[2] < errors[1] / 8
    assert errors[2] < 0.2


def test_a_lens_shows_the_origin_where_the_flat_camera_does_and_enlarges_what_is_near() -> None:
    c = camera(yaw=0.5, x=0.3, y=-0.2, log_scale=0.2)
    origin = torch.zeros(1, 1, 3, dtype=torch.float64)
    flat = project_orthographic(origin, c, 224, PIXELS_PER_MM)
    lens = project_perspective(origin, c, 224, PIXELS_PER_MM, 800.0)
    torch.testing.assert_close(lens[..., :2], flat[..., :2])
    near = torch.tensor([[[-30.0, 0, 60], [30, 0, 60]]], dtype=torch.float64)
    far = near * torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
    widths = [
        float(torch.diff(project_perspective(p, camera(), 224, PIXELS_PER_MM, 800.0)[0, :, 0]))
        for p in (near, far)
    ]
    assert widths[0] > widths[1]


def test_gradients() -> None:
    c = camera(pitch=0.2, yaw=-0.4, roll=0.1, x=0.1, y=0.2, log_scale=-0.1).requires_grad_()
    points = points_mm(4).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v, c: project_orthographic(v, c, 32, PIXELS_PER_MM), (points, c)
    )
    assert torch.autograd.gradcheck(
        lambda v, c: project_perspective(v, c, 32, PIXELS_PER_MM, 300.0), (points, c)
    )


def similarity(scale: float, turn: float, x: float, y: float) -> torch.Tensor:
    """crop_from_image."""
    c, s = scale * math.cos(turn), scale * math.sin(turn)
    return torch.tensor([[c, -s, x], [s, c, y], [0, 0, 1]], dtype=torch.float64)


@given(
    st.tuples(*[st.floats(-1.0, 1.0)] * 6),
    st.floats(0.02, 5.0),
    ANGLES,
    st.sampled_from([(640, 480), (333, 1001), (1, 1)]),
)
def test_every_photo_camera_sees_the_same_pixels(
    c: tuple[float, ...], scale: float, turn: float, image_size: tuple[int, int]
) -> None:
    vector = torch.tensor(c, dtype=torch.float64)
    crop_from_image = similarity(scale, turn, -35.5, 12.25)
    flat = project_orthographic(points_mm(), vector[None], 224, PIXELS_PER_MM)[0]
    homogeneous = torch.nn.functional.pad(flat[:, :2], (0, 1), value=1.0)
    wanted = (homogeneous @ torch.linalg.inv(crop_from_image).T)[:, :2]
    record = camera_matrices(vector, PIXELS_PER_MM, crop_from_image, image_size)
    record = json.loads(json.dumps(record))
    for name, follow in IMPORTERS.items():
        torch.testing.assert_close(
            follow(record[name], points_mm()[0]), wanted, rtol=1e-6, atol=1e-6, msg=name
        )


def test_photo_cameras_are_what_their_programs_expect() -> None:
    record = camera_matrices(
        camera(yaw=0.5, roll=0.2)[0], PIXELS_PER_MM, similarity(0.5, 0.3, 4, 5), (640, 480)
    )
    opencv = torch.tensor(record["opencv"]["camera_from_world"])
    view = torch.tensor(record["opengl"]["view"])
    matrix_world = torch.tensor(record["blender"]["matrix_world"])
    for rotation in (opencv[:, :3], view[:3, :3], matrix_world[:3, :3]):
        torch.testing.assert_close(rotation @ rotation.T, torch.eye(3))
        torch.testing.assert_close(torch.linalg.det(rotation), torch.tensor(1.0))
    assert opencv[2, 3] > 0, "OpenCV looks along +z"
    assert view[2, 3] < 0, "OpenGL looks along -z"
    points = torch.nn.functional.pad(points_mm()[0].float(), (0, 1), value=1.0)
    depth = (points @ (torch.tensor(record["opengl"]["projection"]) @ view).T)[:, 2]
    assert depth.abs().max() < 1, "the head lies between the clipping planes"
    assert depth[points_mm()[0, :, 2].argmax()] < 0.3
    settings = record["blender"]
    assert settings["type"] == "ORTHO"
    px_per_mm = PIXELS_PER_MM / 0.5
    assert settings["ortho_scale"] == pytest.approx(640 / px_per_mm / 1000)


@pytest.mark.parametrize(
    "matrix",
    [torch.zeros(3, 3), torch.diag(torch.tensor([1.0, 2.0, 1.0])), torch.eye(3)[[1, 0, 2]]],
)
def test_a_crop_that_is_no_similarity_is_refused(matrix: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="crop_from_image must turn, scale and shift only"):
        camera_matrices(camera()[0], PIXELS_PER_MM, matrix.double(), (640, 480))
    with pytest.raises(ValueError, match=r"\(0, 480\)"):
        camera_matrices(camera()[0], PIXELS_PER_MM, similarity(1, 0, 0, 0), (0, 480))
