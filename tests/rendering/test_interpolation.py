"""Compiled normals, light and interpolation: equal to their plain twins, with correct gradients."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from facegpt.geometry.lighting import light_coefficients, shade
from facegpt.geometry.mesh import vertex_normals
from facegpt.morphable.model import MorphableModel
from facegpt.rendering.fast import (
    interpolate_numba,
    normals_numba,
    rasterize_numba,
    shade_numba,
)
from facegpt.rendering.reference import interpolate

HEIGHT, WIDTH = 12, 15


def scene(
    seed: int, channels: int = 3, dtype: torch.dtype = torch.float64, vertices: int = 14
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Screen, values, ids and triangles of two pictures."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([WIDTH + 4.0, HEIGHT + 4.0, 5.0])
    screen = torch.rand(2, vertices, 3, generator=generator) * size
    screen = (screen + torch.tensor([-2.0, -2.0, 4.0])).to(dtype)
    values = torch.rand(2, vertices, channels, generator=generator).to(dtype)
    triangles = torch.randint(vertices, (12, 3), generator=generator)
    ids = rasterize_numba(screen, triangles, HEIGHT, WIDTH, cull_back=False)
    return screen, values, ids, triangles


def gradients(
    function: Callable[..., Tensor], inputs: tuple[Tensor, ...], weights: Tensor
) -> tuple[Tensor, ...]:
    leaves = [x.clone().requires_grad_() for x in inputs]
    return torch.autograd.grad((function(*leaves) * weights).sum(), leaves)


@given(st.integers(0, 10_000), st.sampled_from([1, 3, 5]), st.booleans())
def test_interpolation_and_its_twin_agree(seed: int, channels: int, perspective: bool) -> None:
    screen, values, ids, triangles = scene(seed, channels)

    def run(function: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda s, v: function(s, v, ids, triangles, perspective=perspective)

    fast, slow = run(interpolate_numba), run(interpolate)
    torch.testing.assert_close(fast(screen, values), slow(screen, values), rtol=0, atol=1e-12)
    weights = torch.linspace(-1, 1, ids.numel() * channels, dtype=torch.float64)
    weights = weights.view(*ids.shape, channels).sin()
    inputs = (screen, values)
    for one, other in zip(
        gradients(fast, inputs, weights), gradients(slow, inputs, weights), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


@given(st.integers(0, 10_000))
def test_single_precision_is_good_for_a_hundred_thousandth(seed: int) -> None:
    screen, values, ids, triangles = scene(seed, dtype=torch.float32)
    fast = interpolate_numba(screen, values, ids, triangles)
    slow = interpolate(screen, values, ids, triangles)
    assert fast.dtype == slow.dtype == torch.float32
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-5)


@pytest.mark.parametrize("perspective", [False, True])
@pytest.mark.parametrize("channels", [2, 3])
def test_gradient_of_interpolation(perspective: bool, channels: int) -> None:
    # A large triangle and a small one in front: no pixel lies where visibility or a guard changes.
    screen = torch.tensor(
        [
            [
                [0.2, 0.3, 9],
                [0.7, 9.6, 12],
                [11.4, 0.4, 7],
                [2.3, 2.2, 5],
                [2.4, 5.7, 6],
                [5.8, 2.1, 4],
            ]
        ],
        dtype=torch.float64,
    )
    triangles = torch.tensor([[0, 1, 2], [3, 4, 5]])
    ids = rasterize_numba(screen, triangles, 10, 12)
    assert set(ids.unique().tolist()) == {-1, 0, 1}
    values = torch.rand(1, 6, channels, generator=torch.Generator().manual_seed(0)).double()
    assert gradcheck(
        lambda s, v: interpolate_numba(s, v, ids, triangles, perspective=perspective),
        (screen.requires_grad_(), values.requires_grad_()),
        eps=1e-7,
    )


def test_a_linear_function_of_the_picture_is_reproduced() -> None:
    screen, _, ids, triangles = scene(3, vertices=9)
    shown = interpolate_numba(screen, screen[..., :2].contiguous(), ids, triangles)
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    expected = torch.stack([x, y], dim=-1).double().expand_as(shown)
    assert (ids >= 0).sum() > 50
    # Corners are snapped by up to 1/512 pixel: at its rim a triangle may be a little short.
    assert (shown - expected)[ids >= 0].abs().max() < 0.01
    assert shown[ids < 0].eq(0).all()


def test_perspective_interpolates_in_space() -> None:
    """x / depth is what the screen shows, so x itself must come out as screen x times depth."""
    screen = torch.tensor([[[0.0, 0, 2], [0, 11, 3], [14, 0, 9]]], dtype=torch.float64)
    triangles = torch.tensor([[0, 1, 2]])
    ids = rasterize_numba(screen, triangles, HEIGHT, WIDTH)
    depth = screen[..., 2:]
    space = torch.cat([screen[..., :2] * depth, depth], dim=-1)
    shown = interpolate_numba(screen, space, ids, triangles, perspective=True)[ids >= 0]
    _, row, column = (ids >= 0).nonzero(as_tuple=True)
    torch.testing.assert_close(shown[:, 0] / shown[:, 2], column.double())
    torch.testing.assert_close(shown[:, 1] / shown[:, 2], row.double())


@given(st.integers(0, 10_000), st.floats(1e-4, 0.3))
def test_slivers_stay_between_their_corners(seed: int, thickness: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    ends = torch.rand(1, 20, 1, 3, generator=generator) * 14
    along = torch.rand(1, 20, 1, 3, generator=generator) * 8 - 4
    screen = torch.cat([ends, ends + along, ends + along / 2 + thickness], dim=2).view(1, 60, 3)
    values = torch.rand(1, 60, 3, generator=generator)
    triangles = torch.arange(60).view(20, 3)
    ids = rasterize_numba(screen, triangles, HEIGHT, WIDTH, cull_back=False)
    for function in (interpolate_numba, interpolate):
        leaf = screen.clone().requires_grad_()
        shown = function(leaf, values, ids, triangles)
        assert shown.min() >= 0
        assert shown.max() <= 1 + 1e-6
        shown.sum().backward()
        assert leaf.grad is not None
        # One over the smallest height that the guard lets through, times some pixels.
        assert leaf.grad.abs().max() < 1e5


def test_normals_and_their_twin_agree(tiny_face_model: MorphableModel) -> None:
    triangles = tiny_face_model.triangles
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(3, *tiny_face_model.mean_mm.shape, generator=generator)
    vertices = tiny_face_model.mean_mm + noise
    weights = torch.randn(vertices.shape, generator=generator)
    torch.testing.assert_close(
        normals_numba(vertices, triangles), vertex_normals(vertices, triangles)
    )
    fast, slow = (
        gradients(lambda v, f=f: f(v, triangles), (vertices,), weights)[0]
        for f in (normals_numba, vertex_normals)
    )
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)


def test_shading_and_its_twin_agree() -> None:
    generator = torch.Generator().manual_seed(0)
    # More vertices than one block of the compiled sum.
    normals = torch.nn.functional.normalize(torch.randn(2, 700, 3, generator=generator), dim=-1)
    albedo, weights = torch.rand(2, 2, 700, 3, generator=generator)
    phi = torch.randn(2, 27, generator=generator) * 0.3
    inputs = (albedo, normals, phi)

    def fast(albedo: Tensor, normals: Tensor, phi: Tensor) -> Tensor:
        return shade_numba(albedo, normals, light_coefficients(phi))

    torch.testing.assert_close(fast(*inputs), shade(*inputs))
    for one, other in zip(
        gradients(fast, inputs, weights), gradients(shade, inputs, weights), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_gradients_of_normals_and_shading() -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()

    triangles = torch.tensor([[0, 1, 2], [1, 3, 2], [0, 2, 3], [4, 1, 0]])
    assert gradcheck(lambda v: normals_numba(v, triangles), (random(2, 5, 3),))
    assert gradcheck(shade_numba, (random(2, 4, 3), random(2, 4, 3), random(2, 9, 3)))
