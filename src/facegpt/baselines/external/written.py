"""A face as another method wrote it, and the same face in millimetres.

Here is decided what all methods have in common: the unit, which side of a triangle is outside,
which points are landmarks, and whether the numbers can be a face at all. Knows no files.

How the unit is found: a method that writes metres, decimetres or millimetres is believed, and its
landmarks are then held against the size of a face. A method without a unit (Describe3D) is scaled
until its eye centres are as far apart as those of adults on average, so its faces have no size of
their own.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from facegpt.baselines.external.errors import ExternalFaceError
from facegpt.morphable.converters import Deep3DFrame, theta_from_deep3d
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters

NOW_LANDMARKS = (36, 39, 42, 45, 33, 48, 54)
"""The 7 points of the NoW benchmark as iBUG numbers, in its order: four eye corners from the
person's right to the left, the lower end of the nose, and the corners of the mouth."""

EYE_DISTANCE_MM = 63.0
"""Mean distance of the pupils of adults (Dodgson 2004)."""

_UNKNOWN = float("nan")
_PLAUSIBLE_MM = {
    "the eye centres": ((36, 39), (42, 45), 40.0, 90.0),
    "the corners of the mouth": ((48,), (54,), 25.0, 100.0),
    "eyes and mouth": ((36, 39, 42, 45), (48, 54), 35.0, 110.0),
}
"""What -> landmarks at both ends (their means), and how close and how far they may be in any face,
children and caricatures too."""
_FARTHEST_LANDMARK_MM = 12.0
"""From the nearest vertex: half an edge of the coarsest mesh (FLAME) and to spare."""
_MOST_UNUSED = 0.05
"""Share of the vertices that may belong to no triangle; more means that triangles are missing."""


@dataclass(frozen=True)
class WrittenFace:
    """What a method wrote, in its own unit."""

    path: Path
    """Of the mesh, for messages."""
    vertices: Float[Tensor, "vertex 3"]
    """x to the viewer's right, y up, z towards the viewer; posed or not, as the method does."""
    triangles: Int[Tensor, "triangle 3"]
    mm_per_unit: float | None
    """None: the method has no unit."""
    unit: str
    """The unit in words."""
    is_neutral: bool
    landmarks68: Float[Tensor, "68 3"]
    """The iBUG points; NaN where the method writes none."""
    landmarks68_px: Float[Tensor, "68 2"] | None = None
    coefficients: Float[Tensor, "1 257"] | None = None
    """Deep3D's, in its order."""


@dataclass(frozen=True)
class ExternalFace:
    """One face that another method made, in millimetres."""

    method: str
    name: str
    """The name of its photo (or of its description) without a suffix."""
    vertices_mm: Float[Tensor, "vertex 3"]
    """x to the viewer's right, y up, z towards the viewer. Origin and pose are the method's own:
    register before you compare."""
    triangles: Int[Tensor, "triangle 3"]
    """Counter-clockwise seen from outside."""
    unit: str
    """How the millimetres were found, such as "metres" or "eye centres 63 mm apart"."""
    is_neutral: bool
    """The method leaves out the expression of the photo."""
    landmarks68_mm: Float[Tensor, "68 3"]
    """The iBUG points; NaN where the method writes none."""
    landmarks68_px: Float[Tensor, "68 2"] | None = None
    """The iBUG points in pixels of the 224 crop that the method itself looked at; None when it
    does not write them."""
    coefficients: Float[Tensor, "1 257"] | None = None
    """Deep3D's 257 numbers in its order; None for every other method."""

    @property
    def known_landmarks(self) -> Bool[Tensor, "68"]:
        """Which of the landmarks there are."""
        return self.landmarks68_mm.isfinite().all(dim=1)

    def theta(self, model: MorphableModel) -> FaceParameters | None:
        """Theta of the coefficients, a batch of one; None for a method that writes none.

        Args:
            model: One with Deep3D's vertices (`bfm2009`); see `facegpt.morphable.converters`.

        Raises:
            ValueError: The face lies behind the camera.
        """
        if self.coefficients is None:
            return None
        return theta_from_deep3d(self.coefficients, Deep3DFrame.of(model))


def no_landmarks() -> Float[Tensor, "68 3"]:
    """All of them unknown."""
    return torch.full((68, 3), _UNKNOWN)


def face_in_mm(
    method: str,
    name: str,
    written: WrittenFace,
    landmark_vertices: Int[np.ndarray, "68"] | None = None,
) -> ExternalFace:
    """The same face in mm, with triangles that look outwards.

    Args:
        landmark_vertices: Vertices of the method's topology that are the iBUG points; they take
            the place of the landmarks that the method wrote.

    Raises:
        ExternalFaceError: The unit cannot be found, or the numbers cannot be a face.
    """
    _check_mesh(written)
    landmarks = written.landmarks68
    if landmark_vertices is not None:
        landmarks = _landmarks_at(written, landmark_vertices)
    scale, unit = _mm_per_unit(written, landmarks)
    vertices_mm, landmarks68_mm = written.vertices * scale, landmarks * scale
    _check_landmarks(written, unit, vertices_mm, landmarks68_mm)
    return ExternalFace(
        method=method,
        name=name,
        vertices_mm=vertices_mm,
        triangles=_outwards(vertices_mm, written.triangles),
        unit=unit,
        is_neutral=written.is_neutral,
        landmarks68_mm=landmarks68_mm,
        landmarks68_px=written.landmarks68_px,
        coefficients=written.coefficients,
    )


def _check_mesh(written: WrittenFace) -> None:
    unused = len(written.vertices) - len(written.triangles.unique())
    if unused > _MOST_UNUSED * len(written.vertices):
        raise ExternalFaceError(
            f"{written.path}: {unused} of {len(written.vertices)} vertices belong to no triangle; "
            "it may be cut short"
        )


def _landmarks_at(written: WrittenFace, rows: Int[np.ndarray, "68"]) -> Float[Tensor, "68 3"]:
    if rows.min() < 0 or rows.max() >= len(written.vertices):
        raise ExternalFaceError(
            f"{written.path} has {len(written.vertices)} vertices, but the landmarks name vertices "
            f"from {rows.min()} to {rows.max()}"
        )
    return written.vertices[torch.from_numpy(rows)]


def _mm_per_unit(written: WrittenFace, landmarks: Float[Tensor, "68 3"]) -> tuple[float, str]:
    if written.mm_per_unit is not None:
        return written.mm_per_unit, written.unit
    distance = _distance(landmarks, (36, 39), (42, 45))
    if not distance > 0:
        raise ExternalFaceError(
            f"{written.path} has no unit and no landmarks to find one by; give the vertex numbers "
            "of its 68 landmarks (docs/external_methods.md says where they are)"
        )
    return EYE_DISTANCE_MM / distance, f"eye centres {EYE_DISTANCE_MM:g} mm apart"


def _distance(
    landmarks: Float[Tensor, "68 3"], first: tuple[int, ...], second: tuple[int, ...]
) -> float:
    """Between the means of two groups of landmarks; NaN where one is unknown."""
    between = landmarks[list(first)].mean(dim=0) - landmarks[list(second)].mean(dim=0)
    return float(between.norm())


def _check_landmarks(
    written: WrittenFace,
    unit: str,
    vertices_mm: Float[Tensor, "vertex 3"],
    landmarks68_mm: Float[Tensor, "68 3"],
) -> None:
    for what, (first, second, low, high) in _PLAUSIBLE_MM.items():
        distance = _distance(landmarks68_mm, first, second)
        if distance < low or distance > high:
            raise ExternalFaceError(
                f"{written.path}: {what} would be {distance:.3g} mm apart (unit: {unit}), which no "
                "face is; unit or landmarks are not those of the method"
            )
    known = landmarks68_mm[landmarks68_mm.isfinite().all(dim=1)]
    if len(known):
        away = np.asarray(KDTree(vertices_mm.numpy()).query(known.numpy())[0])
        if away.max() > _FARTHEST_LANDMARK_MM:
            raise ExternalFaceError(
                f"{written.path}: a landmark lies {away.max():.3g} mm from the mesh; the files "
                "belong to different faces, or their units differ"
            )


def _outwards(
    vertices: Float[Tensor, "vertex 3"], triangles: Int[Tensor, "triangle 3"]
) -> Int[Tensor, "triangle 3"]:
    """Turned around if the surface, seen from its middle, shows its outside inwards."""
    a, b, c = (vertices[triangles[:, k]].double() - vertices.mean(dim=0) for k in range(3))
    volume = (a * torch.linalg.cross(b, c)).sum()
    return triangles if volume >= 0 else triangles.flip(1)
