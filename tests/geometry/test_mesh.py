"""Normals of meshes."""

import torch

from facegpt.geometry.mesh import vertex_normals
from facegpt.morphable.model import MorphableModel


def octahedron() -> tuple[torch.Tensor, torch.Tensor]:
    """Corners on the axes, counter-clockwise seen from outside."""
    axes = torch.eye(3, dtype=torch.float64)
    vertices = torch.cat([axes, -axes])
    triangles = [(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2)]
    triangles += [(b, a, 5) for a, b, _ in triangles]
    return vertices[None], torch.tensor(triangles)


def test_normals_of_a_symmetric_body_point_outwards() -> None:
    vertices, triangles = octahedron()
    torch.testing.assert_close(vertex_normals(vertices, triangles), vertices)


def test_normals_forget_shift_and_scale_and_follow_rotation(
    tiny_face_model: MorphableModel,
) -> None:
    vertices = tiny_face_model.mean_mm[None].double()
    normals = vertex_normals(vertices, tiny_face_model.triangles)
    random = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    turn = torch.linalg.qr(random)[0]
    turn = turn * torch.linalg.det(turn)
    moved = vertices @ turn.T * 3.0 + 7.0
    torch.testing.assert_close(
        vertex_normals(moved, tiny_face_model.triangles), normals @ turn.T, rtol=1e-6, atol=1e-8
    )


def test_a_large_triangle_counts_more() -> None:
    vertices = torch.tensor([[[0.0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 1]]])
    triangles = torch.tensor([[0, 1, 2], [0, 3, 1]])
    normal = vertex_normals(vertices, triangles)[0, 0]
    torch.testing.assert_close(normal, torch.tensor([0.0, 10.0, 100.0]) / 10100**0.5)


def test_a_vertex_without_triangles_has_no_normal_and_no_nan() -> None:
    vertices = torch.ones(1, 4, 3, requires_grad=True)
    normals = vertex_normals(vertices, torch.tensor([[0, 1, 2]]))
    normals.sum().backward()
    assert normals.eq(0).all()
    assert vertices.grad is not None
    assert vertices.grad.isfinite().all()


def test_gradients() -> None:
    vertices, triangles = octahedron()
    noise = torch.rand(1, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    vertices = (vertices + 0.1 * noise).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: vertex_normals(v, triangles), (vertices,))
