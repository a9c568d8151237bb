"""Closest points: equal to asking every triangle, robust against slivers and very unequal sizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegpt.geometry.closest import TriangleSurface, interpolate


def sampled_distance(point: np.ndarray, corners: np.ndarray) -> float:
    """An upper bound by brute force: points of a fine grid on every triangle."""
    steps = np.linspace(0, 1, 41)
    u, v = (g.ravel() for g in np.meshgrid(steps, steps))
    inside = u + v <= 1 + 1e-12
    weights = np.column_stack([1 - u - v, u, v])[inside]
    samples = np.einsum("gk,tkx->tgx", weights, corners)
    return float(np.linalg.norm(samples - point, axis=2).min())


@given(seed=st.integers(0, 999))
def test_no_sampled_point_is_closer(seed: int) -> None:
    generator = np.random.default_rng(seed)
    vertices = generator.standard_normal((30, 3))
    triangles = generator.integers(0, 30, (25, 3))
    vertices[:3] *= 40.0
    points = 3 * generator.standard_normal((6, 3))
    surface = TriangleSurface(vertices, triangles)
    found = surface.closest(points)
    for i, point in enumerate(points):
        sampled = sampled_distance(point, surface.corners)
        assert found.distance[i] <= sampled + 1e-9
    rebuilt = interpolate(found, surface.triangles, vertices)
    np.testing.assert_allclose(rebuilt, found.positions, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(rebuilt - points, axis=1), found.distance, atol=1e-9)
    np.testing.assert_allclose(found.barycentric.sum(axis=1), 1, atol=1e-12)
    assert found.barycentric.min() >= -1e-12


@pytest.mark.parametrize(
    ("point", "nearest"),
    [
        ((0.2, 0.2, 5.0), (0.2, 0.2, 0.0)),
        ((-1.0, -1.0, 0.0), (0.0, 0.0, 0.0)),
        ((2.0, 2.0, 1.0), (0.5, 0.5, 0.0)),
        ((0.5, -3.0, 0.0), (0.5, 0.0, 0.0)),
        ((9.0, -1.0, 0.0), (1.0, 0.0, 0.0)),
    ],
)
def test_regions_of_a_triangle(point: tuple[float, ...], nearest: tuple[float, ...]) -> None:
    surface = TriangleSurface(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]]))
    np.testing.assert_allclose(surface.closest(np.array([point])).positions, [nearest], atol=1e-12)


def test_a_triangle_without_area_counts_as_its_edges() -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 5, 5]])
    surface = TriangleSurface(vertices, np.array([[0, 1, 2], [3, 3, 3]]))
    found = surface.closest(np.array([[1.5, 1.0, 0.0], [6.0, 5.0, 5.0]]))
    np.testing.assert_allclose(found.positions, [[1.5, 0, 0], [5, 5, 5]], atol=1e-12)
    assert not surface.normals.any()


def test_many_points_equally_far_from_everything() -> None:
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    ring = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(400)])
    triangles = np.column_stack([np.arange(400), (np.arange(400) + 1) % 400, np.arange(400)])
    found = TriangleSurface(ring, triangles).closest(np.zeros((500, 3)))
    np.testing.assert_allclose(found.distance, np.cos(np.pi / 400), atol=1e-9)


def test_damaged_meshes_are_refused() -> None:
    vertices = np.eye(3)
    with pytest.raises(ValueError, match="at least one"):
        TriangleSurface(vertices, np.zeros((0, 3), dtype=np.int64))
    with pytest.raises(ValueError, match="beyond the 3"):
        TriangleSurface(vertices, np.array([[0, 1, 3]]))
    with pytest.raises(ValueError, match="not finite"):
        TriangleSurface(vertices + np.inf, np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match="not finite"):
        TriangleSurface(vertices, np.array([[0, 1, 2]])).closest(np.array([[np.nan, 0, 0]]))
