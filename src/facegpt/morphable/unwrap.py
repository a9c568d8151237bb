"""Texture coordinates for a mesh that brings none: a cylinder around the head, tiles for the rest.

The largest connected piece is unrolled about the vertical axis with its seam at the back; other
pieces (eyeballs) are seen from the front, each in a tile of a strip below.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

_STRIP = 0.14
_MARGIN = 0.005


def pieces(
    count: int, triangles: Int[np.ndarray, "triangle 3"]
) -> tuple[int, Int[np.ndarray, "vertex"]]:
    """How many connected pieces there are, and the piece of each vertex."""
    start, end = triangles[:, [0, 1]].ravel(), triangles[:, [1, 2]].ravel()
    graph = coo_matrix((np.ones(len(start)), (start, end)), shape=(count, count))
    number, piece = connected_components(graph, directed=False)
    return int(number), piece


def unwrap(
    vertices: Float[np.ndarray, "vertex 3"], triangles: Int[np.ndarray, "triangle 3"]
) -> tuple[Float[np.ndarray, "texel 2"], Int[np.ndarray, "triangle 3"]]:
    """Coordinates in [0, 1] and their triangles; vertices on the seam at the back are there twice.

    Where the surface folds under itself (nostrils, behind the ears) triangles may overlap.
    """
    number, piece = pieces(len(vertices), triangles)
    sizes = np.bincount(piece[triangles[:, 0]], minlength=number)
    largest = int(sizes.argmax())
    small = [i for i in np.argsort(-sizes, kind="stable") if i != largest and sizes[i] > 0]
    floor = _STRIP if small else 0.0
    uv, uv_triangles = _cylinder(vertices, triangles, piece == largest)
    uv[:, 1] = floor + uv[:, 1] * (1 - floor)
    for k, i in enumerate(small):
        own = np.flatnonzero(piece == i)
        corner = np.array([k / len(small), 0.0]) + _MARGIN
        size = np.array([1 / len(small), _STRIP]) - 2 * _MARGIN
        uv[own] = corner + _unit(vertices[own, :2]) * np.maximum(size, 1e-4)
    return np.clip(uv, 0.0, 1.0), uv_triangles


def _unit(points: Float[np.ndarray, "point 2"]) -> Float[np.ndarray, "point 2"]:
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - low) / np.maximum(high - low, 1e-9)


def _cylinder(
    vertices: Float[np.ndarray, "vertex 3"],
    triangles: Int[np.ndarray, "triangle 3"],
    own: np.ndarray,
) -> tuple[Float[np.ndarray, "texel 2"], Int[np.ndarray, "triangle 3"]]:
    body = vertices[own]
    width = body[:, 0].max() - body[:, 0].min()
    # The axis of a face mask lies where that of its head would, about half a width behind its rim.
    axis = np.array([body[:, 0].mean(), min(body[:, 2].max() - width / 2, body[:, 2].mean())])
    angle = np.arctan2(vertices[:, 0] - axis[0], vertices[:, 2] - axis[1]) / (2 * np.pi)
    uv = np.column_stack([angle, vertices[:, 1]])
    across = own[triangles[:, 0]] & (np.ptp(angle[triangles], axis=1) > 0.5)
    beyond = across[:, None] & (angle[triangles] < 0)
    doubled, row = np.unique(triangles[beyond], return_inverse=True)
    uv_triangles = triangles.copy()
    uv_triangles[beyond] = len(vertices) + row
    uv = np.concatenate([uv, uv[doubled] + (1.0, 0.0)])
    used = np.concatenate([own, np.ones(len(doubled), dtype=bool)])
    low, high = uv[used].min(axis=0), uv[used].max(axis=0)
    return (uv - low) / np.maximum(high - low, 1e-9), uv_triangles
