"""From theta to a picture: compiled against plain, gradients, framing, and input that cannot be."""

import pytest
import torch

from facegpt.geometry.camera import project_orthographic
from facegpt.morphable.framing import FIVE_POINT_TEMPLATE_PX, five_points
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.rendering.renderer import Renderer, Rendering, render_mesh

SPREAD = {"shape": 0.7, "expression": 0.7, "albedo": 0.7, "illumination": 0.1, "camera": 0.2}


def some_faces(count: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> FaceParameters:
    generator = torch.Generator().manual_seed(seed)
    return FaceParameters(
        **{
            name: SPREAD[name] * torch.randn(block.shape, generator=generator, dtype=dtype)
            for name, block in FaceParameters.zeros(count).blocks().items()
        }
    )


def test_zero_is_the_mean_face_where_an_aligned_crop_shows_it(
    tiny_face_model: MorphableModel,
) -> None:
    rendering = Renderer(tiny_face_model)(FaceParameters.zeros(1))
    assert rendering.image.shape == (1, 3, 224, 224)
    five = five_points(rendering.landmarks_px[0].double())
    assert (five - FIVE_POINT_TEMPLATE_PX).mean(0).abs().max() < 1e-3
    torch.testing.assert_close(five[1, 0] - five[0, 0], torch.tensor(63.0).double())
    assert rendering.mask[0, 111, 111]
    assert rendering.mask.equal(rendering.triangle_ids >= 0)
    assert rendering.image[~rendering.mask[:, None].expand(-1, 3, -1, -1)].eq(0).all()


def test_white_light_shows_the_albedo(tiny_face_model: MorphableModel) -> None:
    rendering = Renderer(tiny_face_model)(FaceParameters.zeros(1))
    shown = rendering.image[0][:, rendering.mask[0]]
    albedo = tiny_face_model.albedo_mean
    torch.testing.assert_close(shown.T, shown.T.clamp(albedo.min(0).values, albedo.max(0).values))


def test_turning_right_moves_the_nose_right(tiny_face_model: MorphableModel) -> None:
    theta = FaceParameters.zeros(2)
    theta.camera[1, 1] = 0.4
    nose = Renderer(tiny_face_model).landmarks_px(theta)[:, 30]
    assert nose[1, 0] > nose[0, 0] + 5


@pytest.mark.parametrize("focal_px", [None, 900.0])
def test_compiled_and_plain_pictures_agree(
    tiny_face_model: MorphableModel, focal_px: float | None
) -> None:
    results = []
    for name in ("numba", "torch"):
        vector = some_faces(4).to_vector().requires_grad_()
        renderer = Renderer(tiny_face_model, 112, rasterizer=name, focal_px=focal_px)
        rendering = renderer(FaceParameters.from_vector(vector))
        (rendering.image - 0.4).square().mean().backward()
        results.append((rendering, vector.grad))
    (fast, fast_slope), (plain, slope) = results
    assert fast.triangle_ids.equal(plain.triangle_ids)
    torch.testing.assert_close(fast.image, plain.image, rtol=0, atol=1e-5)
    assert fast_slope is not None
    assert slope is not None
    assert (fast_slope - slope).abs().max() < 1e-4 * slope.abs().max()


@pytest.mark.parametrize("focal_px", [None, 900.0])
def test_gradient_of_theta(tiny_face_model: MorphableModel, focal_px: float | None) -> None:
    """Against finite differences along random directions; visibility does not move by so little."""
    renderer = Renderer(tiny_face_model.to(torch.float64), 48, focal_px=focal_px)
    start = some_faces(2, dtype=torch.float64).to_vector()

    def loss(vector: torch.Tensor) -> tuple[torch.Tensor, Rendering]:
        rendering = renderer(FaceParameters.from_vector(vector))
        return (rendering.image.square() * 3 + rendering.image).mean(), rendering

    vector = start.clone().requires_grad_()
    value, rendering = loss(vector)
    [gradient] = torch.autograd.grad(value, vector)
    generator = torch.Generator().manual_seed(1)
    checked = 0
    for _ in range(8):
        step = 1e-7 * torch.randn(start.shape, dtype=torch.float64, generator=generator)
        (above, one), (below, other) = loss(start + step), loss(start - step)
        if not one.triangle_ids.equal(other.triangle_ids):
            continue
        expected = float((gradient * step).sum() * 2)
        assert float(above - below) == pytest.approx(expected, rel=1e-4, abs=1e-13)
        checked += 1
    assert checked >= 4
    assert rendering.mask.any()


def test_landmarks_without_drawing_are_the_same(tiny_face_model: MorphableModel) -> None:
    theta = some_faces(3)
    for focal_px in (None, 900.0):
        renderer = Renderer(tiny_face_model, 128, focal_px=focal_px)
        torch.testing.assert_close(renderer.landmarks_px(theta), renderer(theta).landmarks_px)


def test_positions_are_those_of_model_and_camera(tiny_face_model: MorphableModel) -> None:
    theta = some_faces(2)
    vertices = tiny_face_model.vertices_mm(theta.shape, theta.expression)
    expected = project_orthographic(vertices, theta.camera, 160, tiny_face_model.pixels_per_mm)
    found = Renderer(tiny_face_model, 160)(theta).vertices_px
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-3)


def test_a_long_lens_gives_the_orthographic_picture(tiny_face_model: MorphableModel) -> None:
    theta = some_faces(2)
    flat = Renderer(tiny_face_model, 96)(theta)
    lens = Renderer(tiny_face_model, 96, focal_px=1e5)(theta)
    assert (lens.triangle_ids == flat.triangle_ids).float().mean() > 0.99
    assert (lens.image - flat.image).abs().mean() < 3e-3
    assert (lens.landmarks_px - flat.landmarks_px).abs().max() < 0.1


def test_a_short_lens_inside_the_head_is_refused(tiny_face_model: MorphableModel) -> None:
    with pytest.raises(ValueError, match="reaches behind the camera: with a focal length of 20"):
        Renderer(tiny_face_model, focal_px=20.0)(FaceParameters.zeros(1))


@pytest.mark.parametrize("block", ["shape", "expression", "camera"])
def test_nan_is_refused(tiny_face_model: MorphableModel, block: str) -> None:
    theta = FaceParameters.zeros(2)
    getattr(theta, block)[1, 0] = torch.nan
    with pytest.raises(ValueError, match="of face 1 cannot be drawn"):
        Renderer(tiny_face_model)(theta)


def test_a_scale_beyond_reason_is_refused(tiny_face_model: MorphableModel) -> None:
    theta = FaceParameters.zeros(1)
    theta.camera[0, 5] = 200.0
    with pytest.raises(ValueError, match="cannot be drawn"):
        Renderer(tiny_face_model)(theta)


def test_impossible_settings_are_refused(tiny_face_model: MorphableModel) -> None:
    with pytest.raises(ValueError, match="at least 1 pixel, got 0"):
        Renderer(tiny_face_model, 0)
    with pytest.raises(ValueError, match="did you mean 'torch'"):
        Renderer(tiny_face_model, rasterizer="toch")


@pytest.mark.parametrize("name", ["numba", "torch"])
def test_no_face_and_a_face_out_of_the_picture(tiny_face_model: MorphableModel, name: str) -> None:
    renderer = Renderer(tiny_face_model, 32, rasterizer=name)
    nobody = renderer(FaceParameters.zeros(0))
    assert nobody.image.shape == (0, 3, 32, 32)
    assert nobody.landmarks_px.shape == (0, 68, 2)
    vector = FaceParameters.zeros(1).to_vector()
    vector[0, -3] = 40.0
    vector.requires_grad_()
    away = renderer(FaceParameters.from_vector(vector))
    away.image.sum().backward()
    assert not away.mask.any()
    assert vector.grad is not None
    assert vector.grad.eq(0).all()


def test_other_precisions_of_theta_and_autocast(tiny_face_model: MorphableModel) -> None:
    renderer = Renderer(tiny_face_model, 64)
    theta = some_faces(2)
    expected = renderer(theta).image
    torch.testing.assert_close(renderer(theta.to(torch.float64)).image, expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert renderer(theta).image.equal(expected)
        half = renderer(theta.to(torch.bfloat16))
    assert half.image.dtype == torch.float32


def test_a_batch_is_its_faces(tiny_face_model: MorphableModel) -> None:
    renderer, theta = Renderer(tiny_face_model, 64), some_faces(5)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        together = renderer(theta).image
    finally:
        torch.set_num_threads(before)
    for i in range(5):
        torch.testing.assert_close(renderer(theta[i]).image[0], together[i], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["numba", "torch"])
def test_render_mesh_draws_any_attributes_of_either_side(name: str) -> None:
    corners = torch.tensor([[[0.0, 0, 1], [0, 6, 1], [9, 6, 1], [9, 0, 1]]])
    triangles = torch.tensor([[0, 1, 2], [0, 3, 2]])
    values = torch.cat([corners, corners.flip(-1), torch.ones(1, 4, 1)], dim=-1)
    picture, ids = render_mesh(corners, values, triangles, 6, 9, rasterizer=name)
    assert picture.shape == (1, 6, 9, 7)
    assert ids.ge(0).all(), "back sides are drawn too"
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(9.0), indexing="ij")
    torch.testing.assert_close(picture[0, ..., 0], x)
    torch.testing.assert_close(picture[0, ..., 1], y)
    assert picture[0, ..., 6].sub(1).abs().max() < 1e-6
    front = render_mesh(corners, values, triangles, 6, 9, rasterizer=name, cull_back=True)[1]
    assert (front < 0).any()
    with pytest.raises(ValueError, match="cannot be drawn"):
        render_mesh(corners * torch.nan, values, triangles, 6, 9, rasterizer=name)
