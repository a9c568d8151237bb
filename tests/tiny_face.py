"""A morphable model small enough for every test: a domed mask with holes for eyes and mouth,
eyeballs and a mouth bag.

It is exactly symmetric, its 68 landmarks lie where a face has them, and it is complete: every field
of `MorphableModel` is filled in and the parts outside `FACE_PARTS` ("scalp") give `restricted_to`
something to do. It looks like nobody.
"""

import re

import numpy as np
import torch
from scipy.spatial import Delaunay

from facegpt.morphable.framing import place_in_crop
from facegpt.morphable.model import MorphableModel

EYE_DISTANCE_MM = 63.0
PART_NAMES = ("face", "eye_left", "eye_right", "mouth", "scalp")

# The side of the person's right (x < 0) and the midline, in eye distances around the point between
# the eyes.
HALF_LANDMARKS = {
    **dict(
        enumerate(
            [(-1.2, -0.05), (-1.19, -0.4), (-1.14, -0.75), (-1.05, -1.08), (-0.9, -1.38)]
            + [(-0.7, -1.62), (-0.47, -1.8), (-0.24, -1.91), (0.0, -1.95)]
        )
    ),
    17: (-0.95, 0.33),
    18: (-0.8, 0.45),
    19: (-0.62, 0.49),
    20: (-0.42, 0.45),
    21: (-0.22, 0.36),
    27: (0.0, 0.05),
    28: (0.0, -0.17),
    29: (0.0, -0.38),
    30: (0.0, -0.58),
    31: (-0.22, -0.72),
    32: (-0.11, -0.76),
    33: (0.0, -0.79),
    36: (-0.72, 0.0),
    37: (-0.6, 0.09),
    38: (-0.42, 0.09),
    39: (-0.28, -0.01),
    40: (-0.42, -0.07),
    41: (-0.58, -0.1),
    48: (-0.457, -1.1),
    49: (-0.28, -0.99),
    50: (-0.1, -0.95),
    51: (0.0, -0.97),
    57: (0.0, -1.33),
    58: (-0.13, -1.31),
    59: (-0.3, -1.24),
    60: (-0.38, -1.1),
    61: (-0.12, -1.06),
    62: (0.0, -1.07),
    66: (0.0, -1.16),
    67: (-0.12, -1.15),
}

LANDMARK_MIRROR = (
    [16 - i for i in range(17)]
    + [43 - i for i in range(17, 27)]
    + [27, 28, 29, 30, 35, 34, 33, 32, 31]
    + [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    + [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55]
    + [64, 63, 62, 61, 60, 67, 66, 65]
)
"""The iBUG point on the other side of the face."""

ARKIT_NAMES = tuple(
    name
    for line in (
        "eyeBlinkLeft eyeLookDownLeft eyeLookInLeft eyeLookOutLeft eyeLookUpLeft eyeSquintLeft",
        "eyeWideLeft eyeBlinkRight eyeLookDownRight eyeLookInRight eyeLookOutRight eyeLookUpRight",
        "eyeSquintRight eyeWideRight jawForward jawLeft jawRight jawOpen mouthClose mouthFunnel",
        "mouthPucker mouthLeft mouthRight mouthSmileLeft mouthSmileRight mouthFrownLeft",
        "mouthFrownRight mouthDimpleLeft mouthDimpleRight mouthStretchLeft mouthStretchRight",
        "mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthPressLeft",
        "mouthPressRight mouthLowerDownLeft mouthLowerDownRight mouthUpperUpLeft mouthUpperUpRight",
        "browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff",
        "cheekSquintLeft cheekSquintRight noseSneerLeft noseSneerRight tongueOut",
    )
    for name in line.split()
)

# Where a blendshape acts (x for the left of the person, in eye distances) and where to it pushes;
# the first match counts.
_PLACES = [
    ("eyeBlink|eyeWide|eyeSquint", (0.5, 0.09)),
    ("eye", (0.5, 0.0)),
    ("browInner", (0.22, 0.36)),
    ("brow", (0.7, 0.45)),
    ("mouthLower|Lower$", (0.15, -1.3)),
    ("mouthUpper|Upper$", (0.15, -0.95)),
    ("mouthSmile|Frown|Dimple|Stretch|Press", (0.457, -1.1)),
    ("mouth|tongue", (0.1, -1.1)),
    ("jaw", (0.0, -1.7)),
    ("cheek", (0.8, -0.6)),
    ("nose", (0.2, -0.7)),
]
_PUSHES = [
    ("Blink|Down|Frown|Open|Squint", (0.0, -1.0, 0.0)),
    ("Up|Wide|Smile|Sneer|Shrug", (0.2, 1.0, 0.0)),
    ("Out|Stretch|Dimple", (1.0, 0.0, 0.0)),
    ("In|Pucker|Press", (-1.0, 0.0, 0.2)),
    ("Forward|Funnel|Puff|tongue", (0.1, 0.0, 1.0)),
    ("Close|Roll", (0.0, 0.5, -0.5)),
]


def build_tiny_face_model(seed: int) -> MorphableModel:
    """The model; the seed changes its bases, never its mean shape or topology."""
    generator = np.random.default_rng(seed)
    points, triangles, mirror, part, landmarks68 = _mesh()
    uv, uv_triangles = _texture_coordinates(points, triangles, part)
    arkit = np.stack([_blendshape(name, points, mirror, part) for name in ARKIT_NAMES])
    mixture, _ = np.linalg.qr(generator.standard_normal((64, len(arkit))))
    mean = torch.tensor(points, dtype=torch.float32)
    landmarks = torch.tensor(landmarks68)
    offset, pixels_per_mm = place_in_crop(mean, landmarks)
    identity = _smooth_fields(points, generator, 80) * 2.5
    albedo = _smooth_fields(points, generator, 80) * 0.04
    albedo[0] = -0.1
    return MorphableModel(
        name="tiny",
        mean_mm=mean + offset,
        identity_mm=torch.tensor(identity, dtype=torch.float32),
        expression_mm=torch.tensor(np.tensordot(mixture, arkit, 1), dtype=torch.float32),
        albedo_mean=torch.tensor(_colours(points, part), dtype=torch.float32),
        albedo_basis=torch.tensor(albedo, dtype=torch.float32),
        triangles=torch.tensor(triangles),
        uv=torch.tensor(uv, dtype=torch.float32),
        uv_triangles=torch.tensor(uv_triangles),
        landmarks68=landmarks,
        mirror=torch.tensor(mirror),
        part=torch.tensor(part),
        part_names=PART_NAMES,
        arkit_mm=torch.tensor(arkit, dtype=torch.float32),
        arkit_names=ARKIT_NAMES,
        pixels_per_mm=pixels_per_mm,
        licences=("tiny-test-model",),
    )


def _mesh() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    half = _half_points()
    flat = half[:, 0] > -1e-9
    count, other = len(half), np.arange(len(half))
    other[~flat] = count + np.arange((~flat).sum())
    points = np.concatenate([half, half[~flat] * (-1, 1)]) * EYE_DISTANCE_MM
    right = _half_triangles(half)
    triangles = np.concatenate([right, other[right][:, ::-1]])
    mirror = np.concatenate([other, np.arange(count)[~flat]])
    rows = {number: row for row, number in enumerate(HALF_LANDMARKS)}
    landmarks = [rows[i] if i in rows else other[rows[LANDMARK_MIRROR[i]]] for i in range(68)]
    part = np.where(points[:, 1] > 0.95 * EYE_DISTANCE_MM, PART_NAMES.index("scalp"), 0)
    surface = np.column_stack([points, _depth(points)])
    return _add_patches(surface, triangles, mirror, part) + (np.array(landmarks),)


def _half_points() -> np.ndarray:
    landmarks = np.array(list(HALF_LANDMARKS.values()))
    x, y = np.meshgrid(np.linspace(-1.45, 0.0, 7), np.linspace(-2.3, 1.6, 17))
    grid = np.column_stack([x.ravel(), y.ravel()])
    outside = (grid[:, 0] / 1.5) ** 2 + ((grid[:, 1] + 0.3) / 2.05) ** 2 > 1
    near = np.linalg.norm(grid[:, None] - landmarks, axis=-1).min(axis=1) < 0.15
    return np.concatenate([landmarks, grid[~outside & ~near]])


def _half_triangles(half: np.ndarray) -> np.ndarray:
    """Delaunay, counter-clockwise, without the openings between the lids and between the lips."""
    triangles = Delaunay(half).simplices.astype(np.int64)
    a, b, c = (half[triangles[:, i]] for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    triangles[area < 0] = triangles[area < 0][:, ::-1]
    numbers = np.array([*HALF_LANDMARKS, *[-1] * (len(half) - len(HALF_LANDMARKS))])[triangles]
    lids = np.isin(numbers, range(36, 42)).all(axis=1)
    lips = np.isin(numbers, [60, 61, 62, 66, 67]).all(axis=1)
    return triangles[~lids & ~lips & (np.abs(area) > 1e-6)]


def _depth(points_mm: np.ndarray) -> np.ndarray:
    x, y = points_mm[:, 0], points_mm[:, 1] + 20
    nose = 18 * np.exp(-((x / 12) ** 2) - ((points_mm[:, 1] + 36) / 16) ** 2)
    return 70 * (1 - (x / 110) ** 2 - (y / 160) ** 2) + nose


def _add_patches(
    points: np.ndarray, triangles: np.ndarray, mirror: np.ndarray, part: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Eyeballs and a mouth bag: 3 x 3 plates behind the openings."""
    centres = {"eye_right": (-31.5, 0.0), "eye_left": (31.5, 0.0), "mouth": (0.0, -70.0)}
    half_size = {"eye_right": (16.0, 8.0), "eye_left": (16.0, 8.0), "mouth": (28.0, 8.0)}
    step = np.array([(i, j) for j in (-1, 0, 1) for i in (-1, 0, 1)], dtype=float)
    corner = np.array([0, 1, 3, 4])
    squares = [(s, s + 1, s + 4) for s in corner] + [(s, s + 4, s + 3) for s in corner]
    flipped = np.array([2, 1, 0, 5, 4, 3, 8, 7, 6])
    first = {name: len(points) + 9 * k for k, name in enumerate(centres)}
    twin = {"eye_right": "eye_left", "eye_left": "eye_right", "mouth": "mouth"}
    for name, centre in centres.items():
        xy = centre + step * half_size[name]
        plate = np.column_stack([xy, np.full(9, 38.0 if name == "mouth" else 46.0)])
        triangles = np.concatenate([triangles, np.array(squares) + first[name]])
        mirror = np.concatenate([mirror, first[twin[name]] + flipped])
        part = np.concatenate([part, np.full(9, PART_NAMES.index(name))])
        points = np.concatenate([points, plate])
    return points, triangles, mirror, part


def _texture_coordinates(
    points: np.ndarray, triangles: np.ndarray, part: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The mask seen from the front below, the plates in a strip above; a seam along the midline of
    the mask."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    uv = 0.02 + (points[:, :2] - low) / (high - low) * (0.94, 0.78)
    for row, name in enumerate(("eye_right", "eye_left", "mouth")):
        own = part == PART_NAMES.index(name)
        plate = points[own, :2]
        size = plate.max(axis=0) - plate.min(axis=0)
        uv[own] = (0.03 + 0.33 * row, 0.85) + (plate - plate.min(axis=0)) / size * (0.25, 0.12)
    seam = np.flatnonzero((np.abs(points[:, 0]) < 1e-9) & np.isin(part, [0, 4]))
    doubled = np.arange(len(points))
    doubled[seam] = len(points) + np.arange(len(seam))
    on_left = points[triangles, 0].mean(axis=1) > 0
    uv_triangles = np.where(on_left[:, None], doubled[triangles], triangles)
    return np.concatenate([uv, uv[seam] + (0.01, 0.0)]), uv_triangles


def _blendshape(name: str, points: np.ndarray, mirror: np.ndarray, part: np.ndarray) -> np.ndarray:
    """A soft push of a few mm; sided shapes act on their side, the others on both."""
    place = next(xy for pattern, xy in _PLACES if re.search(pattern, name))
    push = next((p for pattern, p in _PUSHES if re.search(pattern, name)), (0.0, 0.0, 0.3))
    width = 0.6 if name.startswith("jaw") else 0.25
    distance = (points[:, :2] / EYE_DISTANCE_MM - place) / width
    weight = np.exp(-(distance**2).sum(axis=1)) * ~np.isin(part, [1, 2])
    left = 6.0 * weight[:, None] * push
    right = left[mirror] * (-1, 1, 1)
    if name in ("jawLeft", "mouthLeft", "jawRight", "mouthRight"):
        sign = 1 if name.endswith("Left") else -1
        return (weight + weight[mirror])[:, None] * (3.0 * sign, 0.0, 0.0)
    if name.endswith("Left"):
        return left
    return right if name.endswith("Right") else left + right


def _smooth_fields(points: np.ndarray, generator: np.random.Generator, count: int) -> np.ndarray:
    """(count, vertex, 3) waves of about unit size that shrink and shorten with their number."""
    fields = np.empty((count, len(points), 3))
    for i in range(count):
        wave = generator.standard_normal((3, 3)) * (0.008 + 0.0006 * i)
        phase = generator.uniform(0, 2 * np.pi, 3)
        fields[i] = np.sin(points @ wave + phase) / (1 + 0.1 * i)
    return fields


def _colours(points: np.ndarray, part: np.ndarray) -> np.ndarray:
    colours = np.tile((0.75, 0.57, 0.48), (len(points), 1))
    x, y = points[:, 0] / 28, (points[:, 1] + 70) / 14
    colours += np.exp(-(x**2) - y**2)[:, None] * (-0.05, -0.2, -0.15)
    for name, colour in {"eye_left": 0.9, "eye_right": 0.9, "mouth": 0.25, "scalp": 0.3}.items():
        colours[part == PART_NAMES.index(name)] = colour
    return colours
