"""Deep3D's order: exact round trips, and the same points and colours as its own formulas."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facegpt.geometry.camera import project_perspective
from facegpt.geometry.lighting import shade
from facegpt.morphable.converters import (
    DEEP3D_FOCAL_PX,
    DEEP3D_SIZES,
    Deep3DFrame,
    theta_from_deep3d,
    theta_to_deep3d,
)
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters

FRAME = Deep3DFrame(1.03, torch.tensor([1.5, -12.0, -40.0], dtype=torch.float64))


def coefficients(seed: int, batch: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.3 * torch.randn(batch, 257, generator=generator, dtype=torch.float64)


def deep3d_rotation(angles: torch.Tensor) -> torch.Tensor:
    """Rz Ry Rx, written out as in its compute_rotation (before the transpose for row vectors)."""
    matrices = []
    for x, y, z in angles.tolist():
        rx = [[1, 0, 0], [0, math.cos(x), -math.sin(x)], [0, math.sin(x), math.cos(x)]]
        ry = [[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]]
        rz = [[math.cos(z), -math.sin(z), 0], [math.sin(z), math.cos(z), 0], [0, 0, 1]]
        rx, ry, rz = (torch.tensor(m, dtype=torch.float64) for m in (rx, ry, rz))
        matrices.append(rz @ ry @ rx)
    return torch.stack(matrices)


@given(seed=st.integers(0, 999))
def test_there_and_back(seed: int) -> None:
    given_coefficients = coefficients(seed)
    theta = theta_from_deep3d(given_coefficients, FRAME)
    torch.testing.assert_close(theta_to_deep3d(theta, FRAME), given_coefficients)
    ours = FaceParameters.from_vector(coefficients(seed + 1))
    again = theta_from_deep3d(theta_to_deep3d(ours, FRAME), FRAME)
    torch.testing.assert_close(again.to_vector(), ours.to_vector())


@pytest.mark.parametrize("seed", range(3))
def test_the_perspective_picture_is_that_of_deep3d(seed: int) -> None:
    given_coefficients = coefficients(seed)
    blocks = dict(
        zip(DEEP3D_SIZES, given_coefficients.split(list(DEEP3D_SIZES.values()), 1), strict=True)
    )
    generator = torch.Generator().manual_seed(seed)
    own_dm = torch.randn(3, 50, 3, generator=generator, dtype=torch.float64) * 0.7
    world = own_dm @ deep3d_rotation(blocks["angle"]).transpose(1, 2) + blocks["trans"][:, None]
    depth = 10.0 - world[..., 2]
    # its image has y up and the corner of the crop at 0; centres of pixels are half a pixel further
    x_px = DEEP3D_FOCAL_PX * world[..., 0] / depth + 112 - 0.5
    y_px = 224 - (DEEP3D_FOCAL_PX * world[..., 1] / depth + 112) - 0.5

    theta = theta_from_deep3d(given_coefficients, FRAME)
    ours_mm = own_dm * 100 + FRAME.origin_mm
    screen = project_perspective(
        ours_mm, theta.camera, 224, FRAME.pixels_per_mm, focal_px=DEEP3D_FOCAL_PX
    )
    torch.testing.assert_close(screen[..., 0], x_px)
    torch.testing.assert_close(screen[..., 1], y_px)


def test_the_light_is_that_of_deep3d() -> None:
    given_coefficients = coefficients(7)
    gamma = given_coefficients[:, 227:254]
    generator = torch.Generator().manual_seed(0)
    normals = torch.randn(3, 40, 3, generator=generator, dtype=torch.float64)
    normals = normals / normals.norm(dim=-1, keepdim=True)
    albedo = torch.rand(3, 40, 3, generator=generator, dtype=torch.float64)
    x, y, z = normals.unbind(-1)
    a0, a1, a2 = math.pi, 2 * math.pi / math.sqrt(3), 2 * math.pi / math.sqrt(8)
    c0, c1 = 1 / math.sqrt(4 * math.pi), math.sqrt(3) / math.sqrt(4 * math.pi)
    c2 = 3 * math.sqrt(5) / math.sqrt(12 * math.pi)
    harmonics = torch.stack(
        [
            a0 * c0 * torch.ones_like(x),
            -a1 * c1 * y,
            a1 * c1 * z,
            -a1 * c1 * x,
            a2 * c2 * x * y,
            -a2 * c2 * y * z,
            0.5 * a2 * c2 / math.sqrt(3) * (3 * z**2 - 1),
            -a2 * c2 * x * z,
            0.5 * a2 * c2 * (x**2 - y**2),
        ],
        dim=-1,
    )
    light = gamma.reshape(3, 3, 9) + torch.tensor([0.8] + [0.0] * 8, dtype=torch.float64)
    expected = albedo * (harmonics @ light.transpose(1, 2))
    theta = theta_from_deep3d(given_coefficients, FRAME)
    # our weights of the harmonics are written with six digits
    torch.testing.assert_close(
        shade(albedo, normals, theta.illumination), expected, rtol=1e-5, atol=1e-5
    )


def test_conversion_is_differentiable() -> None:
    vector = coefficients(1, batch=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: theta_from_deep3d(v, FRAME).to_vector(), (vector,))


def test_our_mean_face_becomes_a_neutral_deep3d_face(tiny_face_model: MorphableModel) -> None:
    frame = Deep3DFrame.of(tiny_face_model)
    given_coefficients = theta_to_deep3d(FaceParameters.zeros(1), frame)
    assert not given_coefficients[:, :227].any()
    assert given_coefficients[0, 227] == pytest.approx(1 / 0.886227 - 0.8, abs=1e-4)


def test_wrong_sizes_are_named() -> None:
    with pytest.raises(ValueError, match=r"got \(1, 256\)"):
        theta_from_deep3d(torch.zeros(1, 256), FRAME)
    behind = torch.zeros(1, 257, dtype=torch.float64)
    behind[0, 256] = 12.0
    with pytest.raises(ValueError, match="behind"):
        theta_from_deep3d(behind, FRAME)
    with pytest.raises(ValueError, match="blocks"):
        theta_to_deep3d(FaceParameters.zeros(1).replace(shape=torch.zeros(1, 10)), FRAME)
