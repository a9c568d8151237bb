"""Which parts of the MakeHuman body become the head, and the fine mesh over them.

The fine mesh is linear in the control vertices (a subset of the MakeHuman vertices): `stencil @
controls`.
Knows geometry, no statistics.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from face_model import inside
from face_model.makehuman import Array, Indices, MakeHuman
from face_model.subdivision import border_loops, catmull_clark, split_at_zero, triangulate

PARTS = ("face", "ear", "scalp", "neck", "eye_left", "eye_right", "mouth", "teeth", "tongue")
FACE, EAR, SCALP, NECK, EYE_LEFT, EYE_RIGHT, MOUTH, TEETH, TONGUE = range(9)
_SEGMENT = {0x70ACFF: MOUTH, 0xFDF910: -2, 0xF96C88: -2}
"""Colours of the body part picture of the wheel: mouth bag and the two eye sockets (-2)."""
SOCKET = -2
_MOUTH_RINGS, _SOCKET_RINGS = 7, 2
"""How many of the ten rings of quads behind the lips and behind the lid margin are kept."""


@dataclass(frozen=True)
class HeadMesh:
    """The fine mesh of the head and how it hangs on the control vertices."""

    controls: Indices
    """(control,) vertex numbers of MakeHuman."""
    stencil: sp.csr_matrix
    """(vertex, control)."""
    triangles: Indices
    part: Indices
    """(vertex,) row of PARTS."""
    piece: Indices
    """(triangle,) 0 skin, 1 mouth bag, 2 and 3 left and right eyeball, 4 and 5 upper and lower
    teeth, 6 tongue, 7 cap of the neck: what shares one island of the texture."""
    socket: Array
    """(vertex,) bool: inner side of the lids."""
    mirror: Indices
    mean_mm: Array
    """(vertex, 3) of the neutral head."""
    tip_mm: Array
    """Tip of the nose."""


def build_head(data: MakeHuman, neutral_mm: Array) -> HeadMesh:
    """Select, subdivide, cut the neck, close the holes, label the parts."""
    quads, kind = select(data, neutral_mm)
    body = kind < 10
    fine, new_quads, parent = catmull_clark(quads[body], len(neutral_mm))
    kept = _without_deep_rings(data, quads[body], kind[body])[parent]
    new_quads, new_kind = new_quads[kept], kind[body][parent][kept]
    points = fine @ neutral_mm
    triangles = triangulate(new_quads, points.round(6))
    label = np.repeat(new_kind, 2)
    tip = _nose_tip(points, np.unique(triangles[label == FACE]))
    mesh = _Growing(fine, triangles, np.where(label == MOUTH, 1, 0), label)
    mesh = mesh.cut(_neck_field, neutral_mm, tip, keep_outside=False)
    mesh = mesh.without_islands()
    mesh = mesh.cut(_face_field, neutral_mm, tip, keep_outside=True)
    mesh = mesh.capped(neutral_mm)
    for piece, stencil, part_triangles in inside.parts(data, neutral_mm, mesh.lid_rim(neutral_mm)):
        mesh = mesh.joined(stencil, part_triangles, piece)
    return _finish(data, neutral_mm, mesh, tip)


def select(data: MakeHuman, neutral_mm: Array) -> tuple[Indices, Indices]:
    """Quads of head and neck with their kind: 0 skin, MOUTH, SOCKET."""
    centre = neutral_mm[data.quads].mean(1)
    chosen = (data.group == "body") & (centre[:, 1] > 560) & (np.abs(centre[:, 0]) < 120)
    colour = data.image("segmentation/body_parts_segmentation.png")[..., :3].astype(np.int64)
    colour = colour @ np.array([65536, 256, 1])
    seen = data.sample(colour, data.uv[data.uv_quads].mean(1))
    kind = np.full(len(data.quads), FACE)
    for key, value in _SEGMENT.items():
        kind[seen == key] = value
    return data.quads[chosen], kind[chosen]


def _without_deep_rings(data: MakeHuman, quads: Indices, kind: Indices) -> Array:
    """False for quads of the mouth bag and the sockets that lie too many rings behind the skin."""
    keep = np.ones(len(quads), bool)
    skin = np.unique(quads[kind == FACE])
    for value, rings in ((MOUTH, _MOUTH_RINGS), (SOCKET, _SOCKET_RINGS)):
        mine = kind == value
        level = np.full(len(data.vertices_mm), 99)
        level[np.intersect1d(skin, quads[mine])] = 0
        for ring in range(rings):
            touched = np.unique(quads[mine][(level[quads[mine]] == ring).any(1)])
            level[touched] = np.minimum(level[touched], ring + 1)
        keep[mine] = (level[quads[mine]] <= rings).all(1)
    return keep


def _nose_tip(points: Array, skin: Indices) -> Array:
    middle = skin[np.abs(points[skin, 0]) < 5]
    return points[middle[points[middle, 2].argmax()]]


def smooth_minimum(*values: Array, width: float = 6.0) -> Array:
    """A minimum without an edge, rounded over about `width`."""
    stack = np.stack(values)
    low = stack.min(0)
    return low - width * np.log(np.exp((low - stack) / width).sum(0))


def _neck_field(points: Array, tip: Array) -> Array:
    """Positive above the cut of the neck: a plane across its axis, lower in front."""
    return points[:, 1] - (tip[1] - 101) + 0.28 * (points[:, 2] - tip[2] + 135)


def _face_field(points: Array, tip: Array) -> Array:
    """Positive on the face: below the hairline, in front of the ears, above the neck (mm,
    roughly)."""
    y, z = points[:, 1] - tip[1], points[:, 2] - tip[2]
    side = np.hypot(points[:, 0], 20.0) - 20.0
    return smooth_minimum(
        90 - 0.0024 * points[:, 0] ** 2 - y,
        z + 93 + 0.12 * (y + 20).clip(0),
        0.55 * (y + 84) + 0.8 * (z + 53 + 0.55 * side),
        width=5.0,
    )


@dataclass(frozen=True)
class _Growing:
    """A mesh under construction."""

    stencil: sp.csr_matrix
    triangles: Indices
    piece: Indices
    label: Indices
    """(triangle,) FACE, MOUTH, NECK for a cap, SOCKET, or 10 + part for what is added."""
    inner: Array | None = None
    """(vertex,) bool: on the face side of the border (or on it)."""

    def cut(
        self,
        field_of: Callable[[Array, Array], Array],
        neutral_mm: Array,
        tip: Array,
        *,
        keep_outside: bool,
    ) -> "_Growing":
        """Split the skin along the zero of a field; drop what lies outside, or only mark it."""
        mine = self.label == FACE
        points = self.stencil @ neutral_mm
        field = field_of(points, tip)
        new, parent, rows = split_at_zero(self.triangles[mine], field, points)
        value = np.concatenate([field, np.zeros(rows.shape[0])])
        # the middle of a triangle decides, because a snapped corner lies on the line, whatever its
        # sign
        inside_mesh = value[new].sum(1) > 0
        inner = np.zeros(len(value), bool)
        inner[new[inside_mesh]] = True
        inner[self.triangles[~mine]] = True
        kept = np.ones(len(new), bool) if keep_outside else inside_mesh
        return replace(
            self,
            stencil=sp.vstack([self.stencil, rows @ self.stencil]).tocsr(),
            triangles=np.concatenate([self.triangles[~mine], new[kept]]),
            piece=np.concatenate([self.piece[~mine], self.piece[mine][parent][kept]]),
            label=np.concatenate([self.label[~mine], self.label[mine][parent][kept]]),
            inner=inner,
        )

    def without_islands(self) -> "_Growing":
        """Only what hangs together with most of the skin."""
        count = self.stencil.shape[0]
        edges = self.triangles[:, [0, 1, 1, 2]].reshape(-1, 2)
        graph = sp.csr_matrix((np.ones(len(edges)), edges.T), (count, count))
        island = connected_components(graph, False)[1]
        largest = np.bincount(island[self.triangles[:, 0]]).argmax()
        keep = island[self.triangles[:, 0]] == largest
        return replace(
            self, triangles=self.triangles[keep], piece=self.piece[keep], label=self.label[keep]
        )

    def capped(self, neutral_mm: Array) -> "_Growing":
        """Close the throat with a fan and the neck with a disc of its own (its rim stays sharp)."""
        points = self.stencil @ neutral_mm
        bag, skin = self.triangles[self.label == MOUTH], self.triangles[self.label == FACE]
        throat = min(border_loops(bag), key=lambda loop: points[loop, 2].mean())
        rim = min(border_loops(skin), key=lambda loop: points[loop, 1].mean())
        return self._fan(throat, MOUTH, 1, own_rim=False)._fan(rim, NECK, 7, own_rim=True)

    def _fan(self, loop: Indices, label: int, piece: int, *, own_rim: bool) -> "_Growing":
        count, size = self.stencil.shape[0], len(loop)
        rim, rows = loop, [self.stencil]
        if own_rim:
            rows.append(self.stencil[loop])
            rim = count + np.arange(size)
        middle = sp.csr_matrix(self.stencil[loop].mean(0))
        centre = count + size * own_rim
        rows.append(middle)
        fan = np.stack([np.roll(rim, -1), rim, np.full(size, centre)], 1)
        return replace(
            self,
            stencil=sp.vstack(rows).tocsr(),
            triangles=np.concatenate([self.triangles, fan]),
            piece=np.concatenate([self.piece, np.full(size, piece)]),
            label=np.concatenate([self.label, np.full(size, label)]),
        )

    def lid_rim(self, neutral_mm: Array) -> Array:
        """Points of the margin of the left lids, where skin and socket meet."""
        margin = np.intersect1d(
            self.triangles[self.label == FACE], self.triangles[self.label == SOCKET]
        )
        points = self.stencil[margin] @ neutral_mm
        return points[points[:, 0] > 0]

    def joined(self, stencil: sp.csr_matrix, triangles: Indices, piece: int) -> "_Growing":
        part = {2: EYE_LEFT, 3: EYE_RIGHT, 4: TEETH, 5: TEETH, 6: TONGUE}[piece]
        return replace(
            self,
            stencil=sp.vstack([self.stencil, stencil]).tocsr(),
            triangles=np.concatenate([self.triangles, triangles + self.stencil.shape[0]]),
            piece=np.concatenate([self.piece, np.full(len(triangles), piece)]),
            label=np.concatenate([self.label, np.full(len(triangles), 10 + part)]),
        )


def _finish(data: MakeHuman, neutral_mm: Array, mesh: _Growing, tip: Array) -> HeadMesh:
    used, triangles = np.unique(mesh.triangles, return_inverse=True)
    triangles = triangles.reshape(-1, 3)
    stencil = mesh.stencil[used]
    controls = np.unique(stencil.indices)
    controls = np.union1d(controls, data.mirror[controls])
    stencil = stencil[:, controls].tocsr()
    stencil.eliminate_zeros()
    points = stencil @ neutral_mm[controls]
    part, socket = _labels(data, mesh, triangles, used, points, tip, controls, stencil)
    mirror = _mirror_map(points, part, triangles, mesh.piece)
    # rounding at a border may label twins differently: the lower number, nearer to the face, wins
    eyes = np.isin(part, (EYE_LEFT, EYE_RIGHT))
    part = np.where(eyes, part, np.minimum(part, part[mirror]))
    return HeadMesh(controls, stencil, triangles, part, mesh.piece, socket, mirror, points, tip)


def _labels(data, mesh, triangles, used, points, tip, controls, stencil):
    part = np.full(len(used), SCALP)
    skin = np.unique(triangles[(mesh.label == FACE) | (mesh.label == SOCKET)])
    y, z = points[:, 1] - tip[1], points[:, 2] - tip[2]
    hair = 90 - 0.0024 * points[:, 0] ** 2 - y
    nape = y + 38 - 0.42 * (z + 93).clip(-70, 0)
    part[skin[nape[skin] < 0]] = NECK
    front = skin[(z[skin] > -93) & (hair[skin] > 0)]
    part[front[y[front] < -40]] = NECK
    quads = np.flatnonzero(np.isin(data.quads, controls).all(1) & (data.group == "body"))
    ears = (stencil @ data.vertex_mask("ears", quads)[controls]) > 0.5
    part[skin[ears[skin]]] = EAR
    inner = np.zeros(mesh.stencil.shape[0], bool)
    inner[: len(mesh.inner)] = mesh.inner
    part[skin[inner[used][skin]]] = FACE
    for label in (MOUTH, NECK, *(10 + k for k in (EYE_LEFT, EYE_RIGHT, TEETH, TONGUE))):
        mine = np.unique(triangles[mesh.label == label])
        part[np.setdiff1d(mine, skin)] = label % 10
    lid = np.setdiff1d(triangles[mesh.label == SOCKET], triangles[mesh.label == FACE])
    return part, np.isin(np.arange(len(used)), lid)


def _mirror_map(points: Array, part: Indices, triangles: Indices, piece: Indices) -> Indices:
    """The vertex at the mirrored place, within the same piece.

    Raises:
        ValueError: The mesh is not symmetric.
    """
    own = np.zeros(len(points))
    own[triangles.ravel()] = np.repeat(piece, 3)
    own[(part == EYE_RIGHT)] = 2
    key = np.c_[points, own * 1000]
    distance, mirror = cKDTree(key).query(key * [-1, 1, 1, 1])
    if distance.max() > 1e-6 or (mirror[mirror] != np.arange(len(points))).any():
        raise ValueError(
            f"the head is not symmetric: {distance.max():.2g} mm between mirrored twins"
        )
    return mirror
