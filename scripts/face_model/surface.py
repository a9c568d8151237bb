"""The mean head as a surface, and soft masks of its regions found from parts and landmarks.

Every mask is a number in [0, 1] per vertex and symmetric. Nothing here knows a colour.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from face_model.inside import EYE_RINGS_DEGREES, EYE_SECTORS, sphere_centre
from facegpt.morphable.transfer import SKIN_PARTS

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

EYE_PARTS = ("eye_left", "eye_right")


@dataclass(frozen=True)
class Surface:
    """The mean face in mm (x to the viewer's right, y up, z to the viewer)."""

    points_mm: Array
    """(vertex, 3)."""
    triangles: Indices
    part: Indices
    """(vertex,) row of `part_names`."""
    part_names: tuple[str, ...]
    landmarks68: Indices
    mirror: Indices

    def within(self, *names: str) -> NDArray[np.bool_]:
        """(vertex,) True in the named parts."""
        rows = [i for i, name in enumerate(self.part_names) if name in names]
        return np.isin(self.part, rows)

    @property
    def skin(self) -> NDArray[np.bool_]:
        """(vertex,) True on skin, with or without hair."""
        return self.within(*SKIN_PARTS)

    def symmetric(self, field: Array) -> Array:
        """A field per vertex averaged with its mirror image."""
        return (field + field[self.mirror]) / 2

    def vertex_areas_mm2(self) -> Array:
        """(vertex,) a third of the area of the triangles around each vertex."""
        a, b, c = (self.points_mm[self.triangles[:, k]] for k in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
        return np.bincount(self.triangles.ravel(), np.repeat(area / 3, 3), len(self.points_mm))

    def laplacian(self) -> sp.csr_matrix:
        """Cotangent stiffness matrix over all vertices; negative weights are cut off, so that it
        never overshoots (Pinkall and Polthier 1993)."""
        count = len(self.points_mm)
        rows, columns, weights = [], [], []
        for k in range(3):
            apex, b, c = (self.triangles[:, (k + i) % 3] for i in range(3))
            u = self.points_mm[b] - self.points_mm[apex]
            v = self.points_mm[c] - self.points_mm[apex]
            sine = np.maximum(np.linalg.norm(np.cross(u, v), axis=1), 1e-9)
            weight = np.clip(0.5 * (u * v).sum(1) / sine, 1e-3, 20.0)
            rows += [b, c]
            columns += [c, b]
            weights += [weight, weight]
        entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
        adjacency = sp.csr_matrix(entries, (count, count))
        return (sp.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency).tocsr()


def smooth_modes(surface: Surface, count: int) -> tuple[Array, Array]:
    """The smoothest fields on the skin: Laplace-Beltrami modes without the constant.

    Returns:
        (count, vertex) with mean square 1 over the skin, zero elsewhere; (count,) wavelengths in
        mm.
    """
    skin = np.flatnonzero(surface.skin)
    stiffness = surface.laplacian()[skin][:, skin]
    stiffness = stiffness - sp.diags(np.asarray(stiffness.sum(1)).ravel())
    mass = np.maximum(surface.vertex_areas_mm2()[skin], 1e-6)
    start = np.ones(len(skin))
    values, vectors = spl.eigsh(stiffness, count + 1, M=sp.diags(mass), sigma=-1e-5, v0=start)
    order = np.argsort(values)[1:]
    vectors = vectors[:, order].T
    vectors /= np.sqrt((vectors**2 @ mass) / mass.sum())[:, None]
    fields = np.zeros((count, len(surface.points_mm)))
    fields[:, skin] = vectors
    return fields, 2 * np.pi / np.sqrt(np.maximum(values[order], 1e-9))


def regions(surface: Surface) -> dict[str, Array]:
    """Name -> soft mask: lips, brows, lids, under_eyes, cheeks, nose, nostrils, beard, ears,
    hair."""
    points, mark = surface.points_mm, surface.points_mm[surface.landmarks68]
    size = np.linalg.norm(mark[36:42].mean(0) - mark[42:48].mean(0)) / 63.0

    def blob(centres: Array, radius: float) -> Array:
        distance = cKDTree(np.atleast_2d(centres)).query(points)[0] / size
        return np.exp(-((distance / radius) ** 2) / 2)

    def halfway(a: int, b: int, *offset: float) -> Array:
        return (mark[a] + mark[b]) / 2 + size * np.array(offset)

    front = np.clip((points[:, 2] - mark[[0, 16], 2].mean()) / (20 * size), 0, 1)
    nose_base = np.stack([halfway(32, 32, 0.5, 1, -3), halfway(34, 34, -0.5, 1, -3)])
    found = {
        "lips": _lips(surface, size),
        "brows": _brows(surface, size),
        "lids": np.maximum(blob(_curve(mark[36:42], closed=True), 2.2), 0)
        + blob(_curve(mark[42:48], closed=True), 2.2),
        "under_eyes": blob(np.stack([halfway(40, 41, 0, -7, 0), halfway(46, 47, 0, -7, 0)]), 6.5),
        "cheeks": blob(np.stack([halfway(3, 31, 4, 12, 12), halfway(13, 35, -4, 12, 12)]), 15),
        "nose": blob(mark[[30]], 10),
        "nostrils": blob(nose_base, 2.4),
        "beard": _beard(surface, size) * front,
    }
    face_like = surface.within("face")
    found = {k: v * face_like for k, v in found.items()}
    found["ears"] = surface.within("ear").astype(float)
    ramp = np.clip((beyond_hairline_mm(surface) + 16) / 46, 0, 1)
    found["hair"] = _averaged(surface, ramp**2 * (3 - 2 * ramp), rounds=4)
    return {k: np.clip(surface.symmetric(v), 0, 1) * surface.skin for k, v in found.items()}


def eye_angles_degrees(surface: Surface) -> Array:
    """(vertex,) angle between the axis of the eye and each of its vertices; nan elsewhere.

    Eyeballs made by `inside.eye_dome` know it by their rings, also when they are stretched.
    """
    rings = np.concatenate([[0.0], np.repeat(EYE_RINGS_DEGREES, EYE_SECTORS)])
    angle = np.full(len(surface.points_mm), np.nan)
    for name in EYE_PARTS:
        own = np.flatnonzero(surface.within(name))
        if len(own) == len(rings):
            angle[own] = rings
        elif len(own):
            angle[own] = _angles_from_front(surface.points_mm[own])
    return angle


def _angles_from_front(points: Array) -> Array:
    """Of the best sphere through the points."""
    offset = points - sphere_centre(points)
    cosine = offset[:, 2] / np.linalg.norm(offset, axis=1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _averaged(surface: Surface, field: Array, rounds: int) -> Array:
    """Average each vertex with its neighbours, several times."""
    edges = surface.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    count = len(field)
    adjacency = sp.csr_matrix((np.ones(len(edges)), edges.T), (count, count))
    adjacency = ((adjacency + adjacency.T) > 0).astype(float) + sp.identity(count)
    average = sp.diags(1 / np.asarray(adjacency.sum(1)).ravel()) @ adjacency
    for _ in range(rounds):
        field = average @ field
    return field


def beyond_hairline_mm(surface: Surface) -> Array:
    """(vertex,) distance from the bare skin on the scalp, minus the distance from the scalp
    elsewhere; minus infinity on a head without one.
    """
    scalp = surface.within("scalp")
    bare = surface.skin & ~scalp
    if not scalp.any():
        return np.full(len(scalp), -np.inf)
    inside = cKDTree(surface.points_mm[bare]).query(surface.points_mm)[0]
    outside = cKDTree(surface.points_mm[scalp]).query(surface.points_mm)[0]
    return np.where(scalp, inside, -outside)


def _curve(points: Array, *, closed: bool = False) -> Array:
    """A dense smooth curve through points."""
    if closed:
        points = np.concatenate([points, points[:1]])
    at = np.arange(len(points))
    spline = CubicSpline(at, points, bc_type="periodic" if closed else "not-a-knot")
    return spline(np.linspace(0, len(points) - 1, 40 * len(points)))


def _inside_polygon(points: Array, polygon: Array) -> NDArray[np.bool_]:
    """Even-odd rule, (point,)."""
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        spans = (y0 > points[:, 1]) != (y1 > points[:, 1])
        crossing = x0 + (points[:, 1] - y0) / (y1 - y0 if y1 != y0 else 1.0) * (x1 - x0)
        inside ^= spans & (points[:, 0] < crossing)
    return inside


def _lips(surface: Surface, size: float) -> Array:
    """The red of the lips: between the outer and the inner contour, seen from the front."""
    mark = surface.points_mm[surface.landmarks68]
    xy = surface.points_mm[:, :2]

    def depth(contour: Array) -> Array:
        distance = cKDTree(contour).query(xy)[0] / size
        return np.where(_inside_polygon(xy, contour), distance, -distance)

    upper = np.concatenate([_curve(mark[48:52, :2])[:-1], _curve(mark[51:55, :2])])
    lower = _curve(mark[[54, 55, 56, 57, 58, 59, 48], :2])
    outer = depth(np.concatenate([upper, lower]))
    near = surface.points_mm[:, 2] > mark[[48, 54], 2].min() - 8 * size
    return near / (1 + np.exp(-(outer + 0.2) / 0.6))


def _brows(surface: Surface, size: float) -> Array:
    """Density of the brows: full in the middle, thin and faint at both ends."""
    density = np.zeros(len(surface.points_mm))
    for order in (range(17, 22), range(26, 21, -1)):
        line = _curve(surface.points_mm[surface.landmarks68[list(order)]])
        line = line - [0, 1.6 * size, 0]
        along = np.linspace(0, 1, len(line))
        distance, nearest = cKDTree(line).query(surface.points_mm)
        along = along[nearest]
        half_width = np.interp(along, [0, 0.35, 0.75, 1.0], [1.3, 2.6, 3.1, 2.3])
        strength = np.interp(along, [0, 0.3, 0.75, 1.0], [0.5, 1.0, 0.9, 0.15])
        density += strength * np.exp(-((distance / size / half_width) ** 2) / 1.3)
    return density


def _beard(surface: Surface, size: float) -> Array:
    """Where a beard grows: upper lip, chin and jaw."""
    points, mark = surface.points_mm, surface.points_mm[surface.landmarks68]
    below = np.clip((mark[33, 1] - 3 * size - points[:, 1]) / (9 * size), 0, 1)
    side = np.clip((np.abs(points[:, 0]) - 18 * size) / (16 * size), 0, 1)
    below_cheek = np.clip((mark[48, 1] + 12 * size - points[:, 1]) / (16 * size), 0, 1)
    above_neck = np.clip((points[:, 1] - mark[8, 1] + 14 * size) / (12 * size), 0, 1)
    return (below * (1 - side) + below_cheek * side) * above_neck * (1 - _lips(surface, size))
