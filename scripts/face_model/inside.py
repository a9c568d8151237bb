"""Eyeballs, teeth and tongue: what lies behind lids and lips.

The eyeballs are domes made here, with rings of vertices where pupil and iris end; they hang on the
MakeHuman eyes by an affine map, so that every slider and every glance carries them along.
"""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from face_model.makehuman import Array, Indices, MakeHuman
from face_model.subdivision import triangulate

EYE_RINGS_DEGREES = (4.0, 8.2, 10.0, 16.0, 22.0, 24.6, 27.0, 34.0, 44.0, 57.0, 74.0, 95.0, 128.0)
"""Angle from the axis of the eye of each ring; the pupil ends between 8.2 and 10, the iris between
22 and 27."""
PUPIL_DEGREES, IRIS_DEGREES = 9.1, 25.6
EYE_SECTORS = 24
LID_GAP_MM = 0.25
TONGUE_MM = 53.0
"""What lies deeper behind the front teeth is left out: the root of the tongue behind the throat."""


def parts(
    data: MakeHuman, neutral_mm: Array, left_lid_margin_mm: Array
) -> Iterator[tuple[int, sp.csr_matrix, Indices]]:
    """Piece number, stencil over all MakeHuman vertices and triangles of every inner part."""
    left = np.unique(data.quads[data.group == "helper-l-eye"])
    lips_z = neutral_mm[data.quads[data.group == "helper-upper-teeth"], 2].max()
    centre = sphere_centre(neutral_mm[left])
    radius = np.linalg.norm(left_lid_margin_mm - centre, axis=1).min() - LID_GAP_MM
    points, triangles = eye_dome()
    points = centre + radius * points
    weights = _affine_weights(points, neutral_mm[left])
    yield 2, _stencil(weights, left, len(neutral_mm)), triangles
    yield 3, _stencil(weights, data.mirror[left], len(neutral_mm)), triangles[:, [0, 2, 1]]
    for piece, group in (
        (4, "helper-upper-teeth"),
        (5, "helper-lower-teeth"),
        (6, "helper-tongue"),
    ):
        quads = data.quads[data.group == group]
        quads = quads[neutral_mm[quads, 2].mean(1) > lips_z - TONGUE_MM]
        used, quads = np.unique(quads, return_inverse=True)
        quads = quads.reshape(-1, 4)
        identity = _stencil(np.eye(len(used)), used, len(neutral_mm))
        yield piece, identity, triangulate(quads, neutral_mm[used].round(6))


def sphere_centre(points: Array) -> Array:
    """Centre of the best sphere through points, (3,)."""
    system = np.c_[2 * points, np.ones(len(points))]
    return np.linalg.lstsq(system, (points**2).sum(1), rcond=None)[0][:3]


def eye_dome() -> tuple[Array, Indices]:
    """The unit dome around +z: pole first, then ring by ring; symmetric under x -> -x."""
    angle = np.radians(EYE_RINGS_DEGREES)[:, None]
    around = 2 * np.pi * np.arange(EYE_SECTORS) / EYE_SECTORS
    rings = np.stack(
        [
            np.sin(angle) * np.sin(around),
            np.sin(angle) * np.cos(around),
            np.cos(angle) + 0 * around,
        ],
        -1,
    )
    points = np.concatenate([[[0.0, 0.0, 1.0]], rings.reshape(-1, 3)])
    number = 1 + np.arange(len(points) - 1).reshape(len(angle), EYE_SECTORS)
    after = np.roll(number, -1, 1)
    fan = np.stack([np.zeros(EYE_SECTORS, int), after[0], number[0]], -1)
    strips = [
        np.stack([number[:-1], after[:-1], after[1:]], -1),
        np.stack([number[:-1], after[1:], number[1:]], -1),
    ]
    return points, np.concatenate([fan, *(s.reshape(-1, 3) for s in strips)])


def _affine_weights(points: Array, controls: Array) -> Array:
    """Weights that carry points along with the affine motion of the control points."""
    homogeneous = np.c_[controls, np.ones(len(controls))]
    return np.c_[points, np.ones(len(points))] @ np.linalg.pinv(homogeneous)


def _stencil(weights: Array, columns: Indices, count: int) -> sp.csr_matrix:
    rows = np.repeat(np.arange(len(weights)), len(columns))
    return sp.csr_matrix(
        (weights.ravel(), (rows, np.tile(columns, len(weights)))), (len(weights), count)
    )
