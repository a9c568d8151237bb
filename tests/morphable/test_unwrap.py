"""Texture coordinates of meshes that bring none."""

import numpy as np
import pytest

from facegpt.morphable.model import MorphableModel
from facegpt.morphable.unwrap import pieces, unwrap


def tube(rings: int = 6, sides: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """A closed wall around the y axis."""
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = np.column_stack([80 * np.sin(angle), np.zeros(sides), 80 * np.cos(angle)])
    vertices = np.concatenate([ring + (0.0, 20.0 * i, 0.0) for i in range(rings)])
    triangles = []
    for i in range(rings - 1):
        for j in range(sides):
            a, b = i * sides + j, i * sides + (j + 1) % sides
            triangles += [[a, b, b + sides], [a, b + sides, a + sides]]
    return vertices, np.array(triangles)


def areas(uv: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (uv[triangles[:, k]] for k in range(3))
    return ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2


def test_a_tube_unrolls_without_overlap() -> None:
    vertices, triangles = tube()
    uv, uv_triangles = unwrap(vertices, triangles)
    area = areas(uv, uv_triangles)
    assert (area > 0).all()
    assert area.sum() == pytest.approx(1.0, rel=1e-6)
    assert uv.min() >= 0
    assert uv.max() <= 1
    assert np.ptp(uv[uv_triangles][..., 0], axis=1).max() < 0.2


def test_the_seam_doubles_vertices_of_the_same_place() -> None:
    vertices, triangles = tube()
    _, uv_triangles = unwrap(vertices, triangles)
    place = np.full(uv_triangles.max() + 1, -1)
    place[uv_triangles] = triangles
    assert (place[uv_triangles] == triangles).all()
    seam = place[len(vertices) :]
    assert len(seam) == 6
    assert (vertices[seam, 2] < 0).all()


def test_small_pieces_get_tiles_of_their_own(tiny_face_model: MorphableModel) -> None:
    vertices = tiny_face_model.mean_mm.double().numpy()
    triangles = tiny_face_model.triangles.numpy()
    number, piece = pieces(len(vertices), triangles)
    assert number == 4
    uv, uv_triangles = unwrap(vertices, triangles)
    boxes = []
    for i in range(number):
        own = uv[uv_triangles[piece[triangles[:, 0]] == i]].reshape(-1, 2)
        boxes.append((own.min(axis=0), own.max(axis=0)))
    for i in range(number):
        for j in range(i):
            apart = (boxes[i][0] >= boxes[j][1]) | (boxes[j][0] >= boxes[i][1])
            assert apart.any()
    assert (areas(uv, uv_triangles) > 0).mean() > 0.99
