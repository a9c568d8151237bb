"""What the MakeHuman shapes get wrong on a close look, put right on the control vertices.

Lips that do not meet, teeth that touch the lips, a wavy line of the closed lids, creases in the
cheeks at a full smile, glances that hardly turn the eyes.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from face_model.deform import ControlGraph
from face_model.inside import sphere_centre
from face_model.makehuman import Array, Indices, MakeHuman
from face_model.topology import EYE_LEFT, FACE, MOUTH, SOCKET, HeadMesh, select

GLANCE_DEGREES = {"In": 27.0, "Out": 27.0, "Up": 20.0, "Down": 24.0}
_GLANCE_LID_SHARE = 0.42
"""How much of a blink the upper lid makes when the eye looks down."""
_LIP_OVERLAP_MM = 0.38
"""Subdivision rounds the rims off; without this they would stand apart again."""


_BAG_BEHIND_LIPS_MM = 5.0


@dataclass(frozen=True)
class Rims:
    """Rows of control vertices around the openings.

    Attributes:
        lips: The ring where lips and mouth bag meet.
        lid: The margin of the left lids.
        eye: The left eyeball.
        upper_teeth, lower_teeth, tongue: What lies in the mouth.
        bag: The mouth bag without its rim.
        socket: What lies behind the left lid margin, and `behind`, the margin vertex each belongs
            to.
        dome: Stencil of the fine left eyeball.
    """

    lips: Indices
    lid: Indices
    eye: Indices
    upper_teeth: Indices
    lower_teeth: Indices
    tongue: Indices
    bag: Indices
    socket: Indices
    behind: Indices
    dome: sp.csr_matrix


def find_rims(data: MakeHuman, neutral_mm: Array, mesh: HeadMesh, graph: ControlGraph) -> Rims:
    """The rows of `Rims`, from the groups of the base mesh."""
    quads, kind = select(data, neutral_mm)
    skin, bag, socket = (np.unique(quads[kind == k]) for k in (FACE, MOUTH, SOCKET))
    lid = np.intersect1d(skin, socket)

    def rows(vertices: Indices) -> Indices:
        found = graph.row[vertices]
        return found[found >= 0]

    groups = ("l-eye", "upper-teeth", "lower-teeth", "tongue")
    eye, upper, lower, tongue = (
        rows(np.unique(data.quads[data.group == f"helper-{name}"])) for name in groups
    )
    margin = rows(lid[neutral_mm[lid, 0] > 0])
    inner = np.setdiff1d(socket, skin)
    inner = rows(inner[neutral_mm[inner, 0] > 0])
    return Rims(
        rows(np.intersect1d(skin, bag)),
        margin,
        eye,
        upper,
        lower,
        tongue,
        rows(np.setdiff1d(bag, skin)),
        inner,
        _ancestors(graph, margin, inner),
        mesh.stencil[mesh.part == EYE_LEFT],
    )


def _ancestors(graph: ControlGraph, margin: Indices, inner: Indices) -> Indices:
    """For each inner vertex the margin vertex at the front end of its row of edges."""
    root = np.full(graph.adjacency.shape[0], -1)
    root[margin] = margin
    waiting = set(inner.tolist())
    while waiting:
        reached = {}
        for vertex in waiting:
            known = [root[v] for v in graph.adjacency[vertex].indices if root[v] >= 0]
            if known:
                reached[vertex] = known[0]
        if not reached:
            break
        for vertex, value in reached.items():
            root[vertex] = value
        waiting -= set(reached)
    return root[inner]


def _upper_and_lower(points: Array, rim: Indices) -> tuple[Indices, Indices]:
    """The rim cut at its two corners, each half sorted along x."""
    rim = rim[points[rim, 0].argsort()]
    first, last = points[rim[0]], points[rim[-1]]
    chord = np.interp(points[rim, 0], [first[0], last[0]], [first[1], last[1]])
    above = points[rim, 1] > chord
    return rim[above], rim[~above]


def closed_mouth(mean_mm: Array, rims: Rims, graph: ControlGraph) -> Array:
    """Mean with lips that meet, teeth a little behind them and a tongue that leaves room."""
    upper, lower = _upper_and_lower(mean_mm, rims.lips)
    height = {
        name: np.interp(np.abs(mean_mm[rims.lips, 0]), *_half_profile(mean_mm, side))
        for name, side in (("upper", upper), ("lower", lower))
    }
    middle = (height["upper"] + height["lower"]) / 2
    overlap = np.where(np.isin(rims.lips, upper), -_LIP_OVERLAP_MM, _LIP_OVERLAP_MM)
    inward = np.clip((21.5 - np.abs(mean_mm[rims.lips, 0])) / 4, 0, 1)
    offsets = np.zeros((len(rims.lips), 3))
    offsets[:, 1] = (middle - mean_mm[rims.lips, 1] + overlap) * inward
    result = mean_mm + graph.spread(rims.lips, offsets, 4, np.array([], int))
    result[rims.upper_teeth] += [0, -4.5, -1.5]
    result[rims.lower_teeth] += [0, -3.5, -2.0]
    result[rims.tongue] += [0, -4.0, -3.0]
    # Receding chins and pressed lips would otherwise let the bag look out below the lower lip.
    depth = np.clip(graph.rings(rims.lips, 4)[rims.bag] / 3, 0, 1) * _BAG_BEHIND_LIPS_MM
    result[rims.bag, 2] -= depth
    return result


def _half_profile(points: Array, side: Indices) -> tuple[Array, Array]:
    order = side[np.abs(points[side, 0]).argsort()]
    return np.abs(points[order, 0]), points[order, 1]


def snug_lids(mean_mm: Array, rims: Rims, graph: ControlGraph) -> Array:
    """Mean whose lids run from their margin straight into the eyeball, so that no gap opens at the
    corners."""
    centre, radius = _eyeball(mean_mm, rims)
    level = graph.rings(rims.lid, 12)[rims.socket]
    outward = mean_mm[rims.behind] - centre
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    depth = np.where(level == 1, 0.2, np.where(level == 2, 2.0, 4.0))
    result = mean_mm.copy()
    result[rims.socket] = centre + outward * (radius - depth)[:, None]
    result[graph.mirror[rims.socket]] = result[rims.socket] * [-1, 1, 1]
    return result


def blink_left(offsets: Array, mean_mm: Array, rims: Rims, graph: ControlGraph) -> Array:
    """eyeBlinkLeft whose lids meet on one smooth curve in front of the eyeball."""
    centre, radius = _eyeball(mean_mm, rims)
    upper, lower = _upper_and_lower(mean_mm, rims.lid)
    inner, outer = rims.lid[mean_mm[rims.lid, 0].argmin()], rims.lid[mean_mm[rims.lid, 0].argmax()]
    x0, x1 = mean_mm[inner, 0], mean_mm[outer, 0]
    along = lambda rows: (mean_mm[rows, 0] - x0) / (x1 - x0)  # noqa: E731
    sag = (mean_mm[lower, 1] - _chord(mean_mm, inner, outer, lower)).min()
    target = {}
    for rows, shift in ((upper, -0.9), (lower, 0.25)):
        share = along(rows)
        fade = np.clip(np.minimum(share, 1 - share) / 0.12, 0, 1)
        curve = _chord(mean_mm, inner, outer, rows) + 0.85 * sag * 4 * share * (1 - share)
        place = mean_mm[rows].copy()
        place[:, 1] += (curve + shift - place[:, 1]) * fade
        lift = 0.9 if shift < 0 else 0.3
        flat = (place[:, :2] - centre[:2]) ** 2
        front = centre[2] + np.sqrt(np.maximum((radius + lift) ** 2 - flat.sum(1), 0))
        place[:, 2] = np.where(fade > 0, np.maximum(place[:, 2], front), place[:, 2])
        target.update(dict(zip(rows.tolist(), place - mean_mm[rows], strict=True)))
    handles = np.array(list(target))
    wanted = np.array(list(target.values()))
    still = np.flatnonzero(np.abs(mean_mm[:, 1] - centre[1]) > 26)
    result = offsets + graph.spread(handles, wanted - offsets[handles], 5, still)
    return _outside(result, mean_mm, centre, radius, graph.rings(rims.lid, 5))


def _chord(points: Array, inner: int, outer: int, rows: Indices) -> Array:
    ends = points[[inner, outer]]
    return np.interp(points[rows, 0], ends[:, 0], ends[:, 1])


def _eyeball(mean_mm: Array, rims: Rims) -> tuple[Array, float]:
    dome = rims.dome @ mean_mm
    centre = sphere_centre(dome)
    return centre, float(np.linalg.norm(dome - centre, axis=1).mean())


def _outside(offsets: Array, mean_mm: Array, centre: Array, radius: float, ring: Indices) -> Array:
    """Push lids that would cut into the eyeball back to its surface, plus the thickness of skin."""
    near = np.flatnonzero((ring < 4) & (mean_mm[:, 2] > centre[2] + 3))
    place = (mean_mm + offsets)[near] - centre
    start = np.linalg.norm(mean_mm[near] - centre, axis=1)
    least = np.minimum(radius + 0.9, start)
    # forward only: a push along the radius would carry the line of the lids down
    surface = np.sqrt(np.maximum(least**2 - place[:, 0] ** 2 - place[:, 1] ** 2, 0))
    result = offsets.copy()
    result[near, 2] += np.maximum(surface - place[:, 2], 0)
    return result


def glance_left(
    offsets: Array, direction: str, blink: Array, mean_mm: Array, rims: Rims, graph: ControlGraph
) -> Array:
    """eyeLook<direction>Left that truly turns the eyeball; looking down takes the upper lid
    along."""
    centre, _ = _eyeball(mean_mm, rims)
    axis = {"In": [0, -1, 0], "Out": [0, 1, 0], "Up": [-1, 0, 0], "Down": [1, 0, 0]}[direction]
    angle = np.radians(GLANCE_DEGREES[direction])
    k = np.cross(np.eye(3), axis)
    turn = np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k
    result = offsets.copy()
    if direction == "Down":
        result = blink * _GLANCE_LID_SHARE
    result[rims.eye] = (mean_mm[rims.eye] - centre) @ turn.T - (mean_mm[rims.eye] - centre)
    return result


def opened_jaw(offsets: Array, rims: Rims) -> Array:
    """jawOpen whose tongue stays on the floor of the mouth."""
    result = offsets.copy()
    result[rims.tongue] += [0, -8.0, 0]
    return result


def without_creases(offsets: Array, mean_mm: Array, rims: Rims, graph: ControlGraph) -> Array:
    """Offsets of a mouth shape, smoothed over the cheeks; lips, lids and nose keep theirs."""
    distance = graph.rings(rims.lips, 12)
    eye = graph.rings(np.concatenate([rims.lid, graph.mirror[rims.lid]]), 6)
    weight = np.clip((distance - 4) / 3.0, 0, 1) * np.clip((eye - 2) / 3.0, 0, 1)
    weight *= np.clip((np.abs(mean_mm[:, 0]) - 15) / 8, 0, 1)
    inner = np.concatenate([rims.eye, rims.upper_teeth, rims.lower_teeth, rims.tongue, rims.bag])
    weight[inner] = 0
    return graph.smoothed(offsets, weight, 12)
