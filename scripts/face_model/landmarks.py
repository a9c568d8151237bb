"""The iBUG 68 points as vertices of the head.

Lids and inner lips lie on the rims of the openings; all others are the vertices nearest to a table
of places. The table began as dlib's points on renderings, made symmetric, and was moved to where
dlib sees the points on photos of people (mean residual of landmark fits over the training photos).
"""

import numpy as np

from face_model.makehuman import Array, Indices
from face_model.topology import FACE, HeadMesh

_MIDLINE = (8, 27, 28, 29, 30, 33, 51, 57, 62, 66)
TWIN = {
    **{k: 16 - k for k in range(17)},
    **{k: 43 - k for k in range(17, 27)},
    **{k: k for k in (27, 28, 29, 30)},
    **{k: 66 - k for k in range(31, 36)},
    **dict(zip((*range(36, 48),), (45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40), strict=True)),
    **{k: 102 - k for k in range(48, 55)},
    **{k: 114 - k for k in range(55, 60)},
    **{k: 124 - k for k in range(60, 65)},
    **{k: 132 - k for k in range(65, 68)},
}
"""Each point's twin on the other side."""

_PLACES_MM = {
    0: (-68.8, 41.7, -98.3),
    1: (-67.3, 20.8, -92.1),
    2: (-63.9, 1.4, -83.1),
    3: (-60.8, -13.2, -78.0),
    4: (-55.4, -32.6, -71.8),
    5: (-46.1, -47.2, -60.4),
    6: (-32.5, -60.7, -48.6),
    7: (-16.9, -69.5, -39.3),
    8: (0.0, -71.4, -32.4),
    17: (-57.3, 45.7, -47.6),
    18: (-46.6, 55.4, -30.7),
    19: (-32.0, 58.0, -20.5),
    20: (-19.6, 56.1, -16.7),
    21: (-9.3, 50.5, -16.2),
    27: (0.0, 37.1, -18.3),
    28: (0.0, 25.6, -14.9),
    29: (0.0, 15.1, -8.0),
    30: (0.0, 2.0, -0.1),
    31: (-12.0, -5.2, -14.3),
    32: (-6.6, -7.8, -11.8),
    33: (0.0, -9.4, -9.1),
    48: (-25.0, -31.0, -21.2),
    49: (-15.0, -23.0, -11.9),
    50: (-6.1, -19.5, -7.7),
    51: (0.0, -21.9, -6.2),
    57: (0.0, -43.8, -14.9),
    58: (-9.0, -42.9, -15.6),
    59: (-14.8, -40.2, -16.3),
}
"""Places on the neutral head, relative to the tip of the nose; right half of the person."""
_LID_SHARE = {37: (0.345, True), 38: (0.67, True), 41: (0.27, False), 40: (0.67, False)}
_LIP_SHARE = {61: (0.66, True), 67: (0.66, False)}
"""How far along the opening, from its outer corner; upper side or not."""


def landmark_vertices(mesh: HeadMesh) -> Indices:
    """The 68 vertex numbers, the right side of the person first."""
    points, number = mesh.mean_mm, np.full(68, -1)
    skin = np.flatnonzero((mesh.part == FACE) & ~mesh.socket)
    middle = skin[np.abs(points[skin, 0]) < 1e-6]
    for k, place in _PLACES_MM.items():
        candidates = middle if k in _MIDLINE else skin
        place_mm = np.array(place) + mesh.tip_mm
        number[k] = candidates[np.linalg.norm(points[candidates] - place_mm, axis=1).argmin()]
    lid, lips = rims(mesh)
    _along_rim(number, points, lid[points[lid, 0] < 0], (36, 39), _LID_SHARE)
    right = lips[points[lips, 0] < 1e-6]
    _along_rim(number, points, right, (60, None), _LIP_SHARE)
    on_line = right[np.abs(points[right, 0]) < 1e-6]
    number[62] = on_line[points[on_line, 1].argmax()]
    number[66] = on_line[points[on_line, 1].argmin()]
    for k, twin in TWIN.items():
        if number[k] < 0:
            number[k] = mesh.mirror[number[twin]]
    return number


def rims(mesh: HeadMesh) -> tuple[Indices, Indices]:
    """Vertices of the lid margins and of the line where lips and mouth bag meet."""
    touching = [np.zeros(len(mesh.part), bool) for _ in range(3)]
    inner = mesh.socket[mesh.triangles].any(1)
    for mask, chosen in zip(
        touching, (mesh.piece == 1, inner, ~inner & (mesh.piece == 0)), strict=True
    ):
        mask[mesh.triangles[chosen]] = True
    bag, socket, skin = touching
    return np.flatnonzero(socket & skin & ~mesh.socket), np.flatnonzero(bag & skin)


def _along_rim(
    number: Indices,
    points: Array,
    rim: Indices,
    corners: tuple[int, int | None],
    shares: dict[int, tuple[float, bool]],
) -> None:
    """Fill in corners and the points at a share of the way between them."""
    first, last = rim[points[rim, 0].argmin()], rim[points[rim, 0].argmax()]
    number[corners[0]] = first
    a, b = points[first], points[last]
    if corners[1] is not None:
        number[corners[1]] = last
    else:  # half an opening: it ends between the lips, not on one of them
        b = points[rim[points[rim, 0] > b[0] - 1e-6]].mean(0)
    chord = np.interp(points[rim, 0], [a[0], b[0]], [a[1], b[1]])
    above = points[rim, 1] > chord
    for k, (share, upper) in shares.items():
        side = rim[above == upper]
        number[k] = side[np.abs(points[side, 0] - (a[0] + share * (b[0] - a[0]))).argmin()]
