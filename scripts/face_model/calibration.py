"""Move the mean of the sliders to where people are.

The average of MakeHuman's sliders has small, far-set eyes, a short nose and full lips beside photos
of people. The mean is therefore moved within the space of identities until its landmarks lie where
photos have them. Only these averages of photos enter, no picture. Depth is not measured: it follows
from what goes together in the sliders.
"""

import numpy as np

from face_model.identity import Identity
from face_model.landmarks import TWIN
from face_model.makehuman import Array, Indices
from face_model.topology import HeadMesh

_WANTED_MM = {
    0: (4.95, -8.22),
    1: (4.47, -5.08),
    2: (4.07, -2.10),
    3: (4.48, -2.26),
    4: (3.61, 2.04),
    5: (2.60, 3.23),
    6: (0.59, 3.41),
    7: (-0.43, 1.14),
    8: (0.00, 0.04),
    17: (2.44, 0.06),
    18: (1.57, -2.40),
    19: (-0.01, -3.37),
    20: (-0.40, -2.90),
    21: (-0.15, -1.64),
    27: (0.00, -0.94),
    28: (0.00, -1.21),
    29: (0.00, -1.46),
    30: (0.00, 0.85),
    31: (-0.89, -1.12),
    32: (0.06, -0.74),
    33: (0.00, -0.97),
    36: (-0.10, -1.24),
    37: (-0.72, -1.64),
    38: (0.47, -1.65),
    39: (1.60, -1.64),
    40: (0.41, -0.59),
    41: (-0.02, -0.55),
    48: (-0.66, 4.39),
    49: (-1.29, 0.98),
    50: (-0.80, -0.22),
    51: (0.00, 0.27),
    57: (0.00, 5.19),
    58: (0.30, 5.05),
    59: (-1.98, 5.55),
    60: (0.08, 3.50),
    61: (-0.29, 2.32),
    62: (0.00, 2.20),
    66: (0.00, 2.36),
    67: (-0.12, 2.97),
}
"""How far (x, y) the points of the slider mean lie from the average of people: right half of the
person. Averaged over landmark fits (weak perspective, identity and expression, prior N(0, 1)) of
225 frontal training photos with closed, calm lips, repeated with the moved mean until it stayed."""
_TRUST_MM = {**dict.fromkeys(range(17), 0.9), **dict.fromkeys(range(17, 27), 0.45)}
_TRUST_EYES_NOSE_MM, _TRUST_LIPS_MM = 0.3, 0.42
"""How closely the moved mean follows; jaw and brow points are loose, calm lips still smile a
little."""


SPREAD = 0.8
"""Share of the sliders' standard deviation that is kept: in landmark fits of 1,200 photos the ten
leading coefficients have a root mean square of 0.3 to 0.6, and heads drawn at 1 looked odd."""


def calibrated(identity: Identity, mesh: HeadMesh, landmarks68: Indices) -> Array:
    """The mean (control, 3) in mm, moved within the span of the identity axes."""
    wanted = np.zeros((68, 2))
    for k, offset in _WANTED_MM.items():
        wanted[k] = offset
        wanted[TWIN[k]] = np.array(offset) * [-1 if TWIN[k] != k else 1, 1]
    trust = np.array(
        [_TRUST_MM.get(k, _TRUST_LIPS_MM if k > 47 else _TRUST_EYES_NOSE_MM) for k in range(68)]
    )
    rows = mesh.stencil[landmarks68]
    axes = np.stack([(rows @ axis)[:, :2] / trust[:, None] for axis in identity.basis])
    axes = axes.reshape(len(axes), -1)
    goal = (wanted / trust[:, None]).ravel()
    shift = np.linalg.solve(axes @ axes.T + np.eye(len(axes)), axes @ goal)
    return identity.mean + np.tensordot(shift, identity.basis, 1)
