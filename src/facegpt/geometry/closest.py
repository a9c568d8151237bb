"""The closest point on a triangle surface, exactly, for many points at once.

A KD-tree proposes triangles by their centroids, each is projected on exactly, and more are asked
for until no other one can be closer. Numpy, float64, no gradient.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

_AT_ONCE = 1 << 18
"""Pairs of a point and a triangle in memory at once."""


@dataclass(frozen=True)
class SurfacePoints:
    """Points on a surface: where, on which triangle, and how far from what was asked."""

    positions: Float[np.ndarray, "point 3"]
    triangle_ids: Int[np.ndarray, "point"]
    barycentric: Float[np.ndarray, "point 3"]
    """Weights of the corners, in [0, 1] with sum 1."""
    distance: Float[np.ndarray, "point"]

    def chosen(self, which: Bool[np.ndarray, "point"]) -> "SurfacePoints":
        """Some of the points."""
        return SurfacePoints(
            self.positions[which],
            self.triangle_ids[which],
            self.barycentric[which],
            self.distance[which],
        )


class TriangleSurface:
    """A mesh that answers for the closest point on it."""

    def __init__(
        self, vertices: Float[np.ndarray, "vertex 3"], triangles: Int[np.ndarray, "triangle 3"]
    ) -> None:
        """
        Raises:
            ValueError: There is no triangle, one names a vertex that is not there, or a vertex
                that is used is not finite.
        """
        self.triangles = np.asarray(triangles, dtype=np.int64)
        if len(self.triangles) == 0:
            raise ValueError("a surface needs at least one triangle")
        if self.triangles.min() < 0 or self.triangles.max() >= len(vertices):
            raise ValueError(f"a triangle names a vertex beyond the {len(vertices)} there are")
        self.corners = np.asarray(vertices, dtype=np.float64)[self.triangles]
        if not np.isfinite(self.corners).all():
            raise ValueError("a vertex of the surface is not finite")
        centroids = self.corners.mean(axis=1)
        radius = np.linalg.norm(self.corners - centroids[:, None], axis=2).max(axis=1)
        # Groups of like size: one large triangle would otherwise make every search wide.
        size = np.floor(np.log2(np.maximum(radius, radius.max() * 2.0**-8 + 1e-300)))
        self._groups = [
            (np.flatnonzero(size == s), KDTree(centroids[size == s]), radius[size == s].max())
            for s in np.unique(size)
        ]
        self._groups.sort(key=lambda group: -len(group[0]))

    @cached_property
    def normals(self) -> Float[np.ndarray, "triangle 3"]:
        """Unit normals of the triangles; zero where a triangle has no area."""
        a, b, c = self.corners.transpose(1, 0, 2)
        cross = np.cross(b - a, c - a)
        length = np.linalg.norm(cross, axis=1, keepdims=True)
        return np.divide(cross, length, out=np.zeros_like(cross), where=length > 0)

    def closest(self, points: Float[np.ndarray, "point 3"]) -> SurfacePoints:
        """The closest point of the surface for each point.

        Raises:
            ValueError: A point is not finite.
        """
        points = np.asarray(points, dtype=np.float64)
        if not np.isfinite(points).all():
            raise ValueError("a point to be brought to the surface is not finite")
        best = SurfacePoints(
            np.zeros_like(points),
            np.zeros(len(points), dtype=np.int64),
            np.zeros_like(points),
            np.full(len(points), np.inf),
        )
        for numbers, tree, radius in self._groups:
            # Most points are settled by the first group; the nearest centroid of another tells.
            away = np.asarray(tree.query(points)[0])
            open_rows = np.flatnonzero(away - radius < best.distance)
            count = min(4, len(numbers))
            while len(open_rows):
                pieces = -(-len(open_rows) * count // _AT_ONCE)
                still_open = [
                    self._search(points, rows, count, (numbers, tree, float(radius)), best)
                    for rows in np.array_split(open_rows, pieces)
                ]
                open_rows = np.concatenate(still_open)
                count = min(4 * count, len(numbers))
        return best

    def _search(
        self,
        points: Float[np.ndarray, "point 3"],
        rows: Int[np.ndarray, "open"],
        count: int,
        group: tuple[Int[np.ndarray, "group"], KDTree, float],
        best: SurfacePoints,
    ) -> Int[np.ndarray, "still_open"]:
        """Enter what the first `count` triangles of a group know better into `best`.

        Returns:
            The rows for which a further triangle of the group may be closer.
        """
        numbers, tree, radius = group
        away, proposed = (
            np.asarray(answer).reshape(len(rows), count)
            for answer in tree.query(points[rows], k=count)
        )
        candidates = numbers[proposed]
        found = _closest_of(points[rows], self.corners[candidates], candidates)
        better = found.distance < best.distance[rows]
        target = rows[better]
        best.positions[target] = found.positions[better]
        best.triangle_ids[target] = found.triangle_ids[better]
        best.barycentric[target] = found.barycentric[better]
        best.distance[target] = found.distance[better]
        if count == len(numbers):
            return rows[:0]
        # A triangle is no closer than its centroid less its radius.
        return rows[away[:, -1] - radius < best.distance[rows]]


def _closest_of(
    points: Float[np.ndarray, "point 3"],
    corners: Float[np.ndarray, "point candidate 3 3"],
    candidates: Int[np.ndarray, "point candidate"],
) -> SurfacePoints:
    weights = _project(points[:, None], corners)
    positions = np.einsum("pck,pckx->pcx", weights, corners)
    distance = np.linalg.norm(positions - points[:, None], axis=2)
    rows, choice = np.arange(len(points)), distance.argmin(axis=1)
    return SurfacePoints(
        positions[rows, choice],
        candidates[rows, choice],
        weights[rows, choice],
        distance[rows, choice],
    )


def _project(
    point: Float[np.ndarray, "point 1 3"], corners: Float[np.ndarray, "point candidate 3 3"]
) -> Float[np.ndarray, "point candidate 3"]:
    """Barycentric weights of the closest point of each triangle: inside, or on the best edge."""
    a, b, c = (corners[..., k, :] for k in range(3))
    inside, valid = _inside_weights(point - a, b - a, c - a)
    best = np.where(valid[..., None], inside, 0.0)
    reached = np.where(valid, _square_distance(point, corners, inside), np.inf)
    for first, second in ((0, 1), (1, 2), (2, 0)):
        edge = corners[..., second, :] - corners[..., first, :]
        length = np.square(edge).sum(axis=-1)
        along = ((point - corners[..., first, :]) * edge).sum(axis=-1)
        share = np.clip(np.divide(along, length, out=np.zeros_like(along), where=length > 0), 0, 1)
        weights = np.zeros((*share.shape, 3))
        weights[..., first], weights[..., second] = 1 - share, share
        square = _square_distance(point, corners, weights)
        better = square < reached
        best = np.where(better[..., None], weights, best)
        reached = np.where(better, square, reached)
    return best


def _inside_weights(
    offset: Float[np.ndarray, "point candidate 3"],
    u: Float[np.ndarray, "point candidate 3"],
    v: Float[np.ndarray, "point candidate 3"],
) -> tuple[Float[np.ndarray, "point candidate 3"], Bool[np.ndarray, "point candidate"]]:
    """Weights of the foot of the perpendicular, and where it lies inside the triangle."""
    uu, uv, vv = (np.einsum("...x,...x", p, q) for p, q in ((u, u), (u, v), (v, v)))
    ou, ov = np.einsum("...x,...x", offset, u), np.einsum("...x,...x", offset, v)
    area = uu * vv - uv * uv
    flat = area <= 1e-12 * uu * vv
    area = np.where(flat, 1.0, area)
    s, t = (vv * ou - uv * ov) / area, (uu * ov - uv * ou) / area
    valid = ~flat & (s >= 0) & (t >= 0) & (s + t <= 1)
    return np.stack([1 - s - t, s, t], axis=-1), valid


def _square_distance(
    point: Float[np.ndarray, "point 1 3"],
    corners: Float[np.ndarray, "point candidate 3 3"],
    weights: Float[np.ndarray, "point candidate 3"],
) -> Float[np.ndarray, "point candidate"]:
    position = np.einsum("pck,pckx->pcx", weights, corners)
    return np.square(position - point).sum(axis=-1)


def interpolate(
    found: SurfacePoints,
    triangles: Int[np.ndarray, "triangle 3"],
    values: Float[np.ndarray, "vertex channel"],
) -> Float[np.ndarray, "point channel"]:
    """Values of the vertices at points of the surface."""
    return np.einsum("pk,pkc->pc", found.barycentric, values[triangles[found.triangle_ids]])
