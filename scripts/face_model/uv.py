"""Texture coordinates: every piece of the head is flattened to a disc or a rounded square of its
own.

A convex combination map with a convex border cannot fold (Floater 1997), so nothing overlaps; its
weights are then adapted so that texels follow the wanted density (Yoshizawa, Belyaev, Seidel 2004).
"""

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl

from face_model import inside
from face_model.makehuman import Array, Indices
from face_model.subdivision import border_loops
from face_model.topology import EAR, FACE, NECK, SCALP, HeadMesh

_BOXES = {
    0: (0.004, 0.172, 0.996, 0.996),
    1: (0.330, 0.004, 0.490, 0.164),
    2: (0.168, 0.004, 0.328, 0.164),
    3: (0.004, 0.004, 0.164, 0.164),
    4: (0.660, 0.088, 0.832, 0.164),
    5: (0.660, 0.004, 0.832, 0.082),
    6: (0.494, 0.004, 0.654, 0.164),
    7: (0.836, 0.004, 0.996, 0.164),
}
"""Where each piece of `HeadMesh.piece` lies: u0, v0, u1, v1."""
_DENSITY = {FACE: 1.0, EAR: 0.75, SCALP: 0.3, NECK: 0.3}
"""Wanted texels per mm, relative."""


def texture_coordinates(mesh: HeadMesh) -> tuple[Array, Indices]:
    """The layout: (texel, 2) coordinates in [0, 1] and (triangle, 3) rows of it beside
    `mesh.triangles`."""
    coordinates, rows = [], np.zeros_like(mesh.triangles)
    count = 0
    for piece, box in _BOXES.items():
        mine = mesh.piece == piece
        used, triangles = np.unique(mesh.triangles[mine], return_inverse=True)
        triangles = triangles.reshape(-1, 3)
        points = mesh.mean_mm[used]
        if piece in (2, 3):
            flat = _eye(piece)
        else:
            scale = np.array([_DENSITY.get(int(p), 1.0) for p in mesh.part[used]])
            mirror = np.searchsorted(used, mesh.mirror[used])
            if piece == 0:
                triangles, twins, mirror = _cut_open(triangles, points, mirror)
                points, scale = points[twins], scale[twins]
            flat = flatten(triangles, points, scale, mirror, squareness=2 if piece in (1, 7) else 6)
        u0, v0, u1, v1 = box
        coordinates.append((flat + 1) / 2 * [u1 - u0, v1 - v0] + [u0, v0])
        rows[mine] = triangles + count
        count += len(flat)
    return np.concatenate(coordinates), rows


def _eye(piece: int) -> Array:
    """The dome of an eye around its axis, the front enlarged."""
    points, _ = inside.eye_dome()
    angle = np.arccos(np.clip(points[:, 2], -1, 1))
    direction = points[:, :2] / np.maximum(np.linalg.norm(points[:, :2], axis=1), 1e-12)[:, None]
    flat = direction * ((angle / angle.max()) ** 0.75)[:, None]
    return flat * [1 if piece == 2 else -1, 1]


def _cut_open(
    triangles: Indices, points: Array, mirror: Indices
) -> tuple[Indices, Indices, Indices]:
    """Open the skin along the midline of the back, from the neck to the crown.

    Returns:
        The triangles over the vertices with the left bank of the seam appended; the old vertex of
        each; the mirror map.
    """
    crown = points[:, 1].max() - 12
    back = (np.abs(points[:, 0]) < 1e-6) & (points[:, 2] < points[:, 2].max() - 130)
    seam = np.flatnonzero(back & (points[:, 1] < crown))
    twin = np.arange(len(points))
    twin[seam] = len(points) + np.arange(len(seam))
    left = points[triangles, 0].mean(1) > 0
    opened = np.where(left[:, None], twin[triangles], triangles)
    mirror = np.concatenate([mirror, seam])
    mirror[seam] = twin[seam]
    return opened, np.concatenate([np.arange(len(points)), seam]), mirror


def flatten(
    triangles: Indices,
    points: Array,
    density: Array,
    mirror: Indices,
    *,
    squareness: float,
    rounds: int = 12,
) -> Array:
    """Map a disc-like mesh (holes allowed) into [-1, 1] squared without folds.

    Args:
        density: Wanted texels per mm of every vertex, relative.
        squareness: Exponent of the superellipse of the border; 2 is a circle.
    """
    outer, *holes = border_loops(triangles)
    border = _on_superellipse(outer, points, density, squareness)
    filled, solid = _fill(triangles, points, holes)
    weights = _mean_value_weights(filled, solid)
    density = np.concatenate([density, np.ones(len(solid) - len(density))])
    best, least = _solve(weights, outer, border), np.inf
    flat = best
    for _ in range(rounds):
        stretch, total = _stretch(filled, solid, flat, density)
        if total < least:
            best, least = flat, total
        stretch[: len(points)] = (stretch[: len(points)] + stretch[mirror]) / 2
        weights = weights @ sp.diags(1 / stretch)
        flat = _solve(weights, outer, border)
    return best[: len(points)]


def _on_superellipse(loop: Indices, points: Array, density: Array, squareness: float) -> Array:
    """Places on the border by the length along the loop; the lowest midline point of the front at
    the bottom."""
    middle = loop[np.abs(points[loop, 0]) <= np.abs(points[loop, 0]).min() + 1e-6]
    first = np.flatnonzero(loop == middle[points[middle, 2].argmax()])[0]
    loop_from_front = np.roll(loop, -first)
    step = np.linalg.norm(points[np.roll(loop_from_front, -1)] - points[loop_from_front], axis=1)
    step *= density[loop_from_front]
    dense = np.linspace(0, 2 * np.pi, 20001)
    curve = np.stack([np.sin(dense), -np.cos(dense)], 1)
    curve /= (np.abs(curve) ** squareness).sum(1, keepdims=True) ** (1 / squareness)
    length = np.concatenate([[0], np.linalg.norm(np.diff(curve, axis=0), axis=1).cumsum()])
    at = np.concatenate([[0], step.cumsum()[:-1]]) / step.sum() * length[-1]
    places = np.stack([np.interp(at, length, curve[:, k]) for k in range(2)], 1)
    return np.roll(places, first, axis=0)


def _fill(triangles: Indices, points: Array, holes: list[Indices]) -> tuple[Indices, Array]:
    """Close the holes by a fan each, so that they cannot fold either."""
    for hole in holes:
        fan = np.stack([np.roll(hole, -1), hole, np.full(len(hole), len(points))], 1)
        triangles = np.concatenate([triangles, fan])
        points = np.concatenate([points, points[hole].mean(0, keepdims=True)])
    return triangles, points


def _mean_value_weights(triangles: Indices, points: Array) -> sp.csr_matrix:
    total = sp.csr_matrix((len(points), len(points)))
    for k in range(3):
        i, j, h = triangles[:, k], triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3]
        a, b = points[j] - points[i], points[h] - points[i]
        la, lb = np.linalg.norm(a, axis=1) + 1e-9, np.linalg.norm(b, axis=1) + 1e-9
        cosine = np.clip((a * b).sum(1) / (la * lb), -0.999, 0.9999)
        half = np.sqrt((1 - cosine) / (1 + cosine))
        shape = total.shape
        total = (
            total
            + sp.csr_matrix((half / la, (i, j)), shape)
            + sp.csr_matrix((half / lb, (i, h)), shape)
        )
    return total.tocsr()


def _solve(weights: sp.csr_matrix, border: Indices, places: Array) -> Array:
    count = weights.shape[0]
    free = np.setdiff1d(np.arange(count), border)
    flat = np.zeros((count, 2))
    flat[border] = places
    rows = sp.diags(1 / np.asarray(weights.sum(1)).ravel()) @ weights
    system = (sp.identity(count) - rows).tocsr()[free]
    solver = spl.splu(system[:, free].tocsc())
    flat[free] = solver.solve(-(system[:, border] @ places))
    return flat


def _stretch(triangles: Indices, points: Array, flat: Array, density: Array) -> tuple[Array, float]:
    """Root mean square of wanted over given size, around each vertex (median 1) and over all
    (Sander et al. 2001)."""
    corners, uv = points[triangles], flat[triangles]
    du, dv = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    det = np.maximum(np.abs(du[:, 0] * dv[:, 1] - du[:, 1] * dv[:, 0]), 1e-14)[:, None]
    p, q = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    along_u = (p * dv[:, 1:2] - q * du[:, 1:2]) / det
    along_v = (q * du[:, 0:1] - p * dv[:, 0:1]) / det
    square = ((along_u**2).sum(1) + (along_v**2).sum(1)) / 2 * density[triangles].mean(1) ** 2
    area = np.linalg.norm(np.cross(p, q), axis=1)
    share = np.bincount(triangles.ravel(), np.repeat(area * square, 3), len(points))
    around = np.bincount(triangles.ravel(), np.repeat(area, 3), len(points))
    stretch = np.sqrt(share / np.maximum(around, 1e-12))
    total = float((area * square).sum() / area.sum())
    return np.clip(stretch / np.median(stretch[stretch > 0]), 0.02, 50), total
