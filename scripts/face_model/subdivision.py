"""Linear operators on meshes: Catmull-Clark subdivision, cuts along a level line, caps.

Every operator returns a sparse stencil, so that one matrix carries mean, sliders and blendshapes
alike.
"""

import numpy as np
import scipy.sparse as sp

from face_model.makehuman import Array, Indices


def catmull_clark(quads: Indices, count: int) -> tuple[sp.csr_matrix, Indices, Indices]:
    """One Catmull-Clark step over `count` vertices; borders become B-spline curves.

    Returns:
        The stencil (count + edges + quads, count); the new quads, of which corner 0 is an old
        vertex and corner 2 the old quad's centre; the parent of each new quad.
    """
    n_quads = len(quads)
    pairs = np.sort(np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2), 1)
    edges, edge_of = np.unique(pairs, axis=0, return_inverse=True)
    edge_of = edge_of.reshape(n_quads, 4)
    n_edges, rows = len(edges), np.repeat(np.arange(n_quads), 4)
    centre = _incidence(rows, quads, (n_quads, count), 0.25)
    edge_quad = _incidence(edge_of, rows, (n_edges, n_quads))
    border = np.asarray(edge_quad.sum(1)).ravel() < 2
    middle = _incidence(np.repeat(np.arange(n_edges), 2), edges, (n_edges, count), 0.5)
    edge_point = (
        sp.diags(np.where(border, 1.0, 0.5)) @ middle
        + sp.diags(np.where(border, 0.0, 0.25)) @ edge_quad @ centre
    )
    around = _incidence(quads, rows, (count, n_quads))
    around = sp.diags(1 / np.maximum(np.asarray(around.sum(1)).ravel(), 1)) @ around @ centre
    corner = np.repeat(count + n_edges + np.arange(n_quads)[:, None], 4, 1)
    new = np.stack([quads, count + edge_of, corner, count + np.roll(edge_of, 1, 1)], -1)
    vertex_point = _moved_vertices(edges, border, middle, around)
    return sp.vstack([vertex_point, edge_point, centre]).tocsr(), new.reshape(-1, 4), rows


def _incidence(i: Indices, j: Indices, shape: tuple[int, int], value: float = 1.0) -> sp.csr_matrix:
    return sp.csr_matrix((np.full(i.size, value), (i.ravel(), j.ravel())), shape)


def _moved_vertices(
    edges: Indices, border: Array, middle: sp.csr_matrix, around: sp.csr_matrix
) -> sp.csr_matrix:
    """Where the old vertices go: inner ones by the valence, border ones along the border.

    Args:
        edges: (edges, 2) vertices.
        border: (edges,) whether only one quad is there.
        middle: (edges, count) the middle of each edge.
        around: (count, count) the mean centre of the quads around each vertex.
    """
    n_edges, count = middle.shape
    valence = np.bincount(edges.ravel(), minlength=count).astype(float)
    on_border = np.zeros(count, bool)
    on_border[edges[border].ravel()] = True
    inner = (valence > 0) & ~on_border
    safe = np.maximum(valence, 1)
    vertex_edge = _incidence(edges, np.repeat(np.arange(n_edges), 2), (count, n_edges))
    smooth = sp.diags(np.where(inner, 1 / safe, 0)) @ (
        around + 2 * sp.diags(1 / safe) @ vertex_edge @ middle
    ) + sp.diags(np.where(inner, (valence - 3) / safe, 0))
    rim_edges = vertex_edge @ sp.diags(border.astype(float))
    rim_count = np.maximum(np.asarray(rim_edges.sum(1)).ravel(), 1)
    return (
        smooth
        + sp.diags(np.where(on_border, 0.5, 0))
        + sp.diags(np.where(on_border, 0.5 / rim_count, 0)) @ rim_edges @ middle
        + sp.diags((valence == 0).astype(float))
    )


def triangulate(quads: Indices, points_mm: Array) -> Indices:
    """Two triangles per quad along the shorter diagonal; quad 2 k and 2 k + 1 belong to quad k."""
    corners = points_mm[quads]
    first = np.linalg.norm(corners[:, 0] - corners[:, 2], axis=1)
    second = np.linalg.norm(corners[:, 1] - corners[:, 3], axis=1)
    swap = first > second + 1e-4  # the slack lets a quad and its mirror image agree on a tie
    along_02 = np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], 1)
    along_13 = np.stack([quads[:, [1, 2, 3]], quads[:, [1, 3, 0]]], 1)
    return np.where(swap[:, None, None], along_13, along_02).reshape(-1, 3)


def split_at_zero(
    triangles: Indices, field: Array, points_mm: Array, *, snap: float = 0.12
) -> tuple[Indices, Indices, sp.csr_matrix]:
    """Cut triangles where a field per vertex changes its sign, so that the level line runs along
    edges.

    A vertex closer to the line than `snap` of an edge counts as lying on it: no slivers.

    Returns:
        The triangles; for each its old triangle; the stencil (new vertices, old vertices) of the
        vertices to append.
    """
    value = _snapped(triangles, field, snap)
    count, new, stencil_rows = len(field), {}, []

    def crossing(a: int, b: int) -> int:
        key = (min(a, b), max(a, b))
        if key not in new:
            new[key] = count + len(new)
            share = value[key[0]] / (value[key[0]] - value[key[1]])
            stencil_rows.append((*key, share))
        return new[key]

    polygons, owner = [], []
    for number, triangle in enumerate(triangles):
        pieces = _pieces(triangle, value, crossing)
        polygons += pieces
        owner += [number] * len(pieces)
    table = np.array(stencil_rows).reshape(-1, 3)
    stencil = _interpolation(table, count)
    points = np.concatenate([points_mm, stencil @ points_mm]).round(6)
    result, parent = [], []
    for number, polygon in zip(owner, polygons, strict=True):
        new_triangles = [polygon] if len(polygon) == 3 else triangulate(np.array([polygon]), points)
        result += [list(t) for t in new_triangles]
        parent += [number] * len(new_triangles)
    return np.array(result), np.array(parent), stencil


def _interpolation(table: Array, count: int) -> sp.csr_matrix:
    """Rows between two vertices each; `table` has first vertex, second vertex, share of the
    second."""
    i = np.repeat(np.arange(len(table)), 2)
    weight = np.stack([1 - table[:, 2], table[:, 2]], 1).ravel()
    return sp.csr_matrix((weight, (i, table[:, :2].astype(int).ravel())), (len(table), count))


def _snapped(triangles: Indices, field: Array, snap: float) -> Array:
    edges = np.unique(np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1), axis=0)
    a, b = field[edges[:, 0]], field[edges[:, 1]]
    crosses = a * b < 0
    edges, a, b = edges[crosses], a[crosses], b[crosses]
    share = a / (a - b)
    value = field.copy()
    value[edges[share < snap, 0]] = 0
    value[edges[share > 1 - snap, 1]] = 0
    return value


def _pieces(triangle, value, crossing):
    signs = np.sign(value[triangle])
    if signs.min() >= 0 or signs.max() <= 0:
        return [list(triangle)]
    pieces = []
    for side in (1, -1):
        polygon = []
        for i in range(3):
            a, b = triangle[i], triangle[(i + 1) % 3]
            if signs[i] * side >= 0:
                polygon.append(a)
            if signs[i] * signs[(i + 1) % 3] < 0:
                polygon.append(crossing(a, b))
        pieces.append(polygon)
    return pieces


def border_loops(triangles: Indices) -> list[Indices]:
    """The closed borders of a triangle mesh, each in walking order (triangles to the left), longest
    first."""
    directed = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    known = {(int(a), int(b)) for a, b in directed}
    follow = {a: b for a, b in sorted(known) if (b, a) not in known}
    loops = []
    while follow:
        start, at = next(iter(follow.items()))
        loop = [start]
        del follow[start]
        while at != start and at in follow:
            loop.append(at)
            at = follow.pop(at)
        loops.append(np.array(loop))
    return sorted(loops, key=len, reverse=True)
