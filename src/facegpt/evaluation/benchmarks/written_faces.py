"""Numbers of faces that other programs wrote to disk (`external:PROGRAM=FOLDER`).

They have no theta of ours. Photos: the program must have been run on the aligned crops that
`facegpt evaluate crops` writes, then its landmarks are pixels of the crop. Texts: its mesh is laid
onto the truth by the 68 landmarks (rigidly: methods keep their size), of its vertices those count
whose nearest vertex of the whole true head belongs to the face region, then rigid ICP follows.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from facegpt.baselines.external import ExternalFace, ExternalFaceError, read_external_face
from facegpt.baselines.external.errors import ExternalFaceMissingError
from facegpt.evaluation.benchmarks.errors import BenchmarkError
from facegpt.evaluation.benchmarks.text_measures import surface_values
from facegpt.evaluation.face_surfaces import region_mm
from facegpt.evaluation.landmarks import landmark_errors
from facegpt.evaluation.registered import registered_distances
from facegpt.geometry.registration import umeyama
from facegpt.morphable.model import FACE_PARTS, MorphableModel
from facegpt.morphable.parameters import FaceParameters

FARTHEST_PX = 40.0
"""A mean landmark error above this, with 63 pixels between the eyes, is another picture."""

_FEWEST_LANDMARKS = 4


@dataclass(frozen=True)
class WrittenFaces:
    """What one program wrote."""

    program: str
    folder: Path
    landmark_vertices: Int[np.ndarray, "68"] | None = None

    def photo_values(self, name: str, detected_px: Float[np.ndarray, "68 2"]) -> dict[str, float]:
        """`landmark_px`, `inner_px`, `nme` and `inner_nme` of the crop of that name.

        Args:
            detected_px: The reference points in pixels of the crop.

        Raises:
            BenchmarkError: There is no such face, it has no landmarks, or they are not of the crop.
        """
        points = self._face(name).landmarks68_px
        if points is None:
            raise BenchmarkError(f"{self.program} writes no landmarks in the picture")
        found = landmark_errors(detected_px[None], points.double().numpy()[None])
        if found.all_px[0] > FARTHEST_PX:
            raise BenchmarkError(
                f"{name}: the landmarks of {self.program} lie {found.all_px[0]:.0f} px from the "
                "face; run it on the pictures of: facegpt evaluate crops"
            )
        return {
            "landmark_px": float(found.all_px[0]),
            "inner_px": float(found.inner_px[0]),
            "nme": float(found.all_nme[0]),
            "inner_nme": float(found.inner_nme[0]),
        }

    def text_values(
        self, name: str, model: MorphableModel, truth: FaceParameters
    ) -> dict[str, float]:
        """`surface_values` of the face of that name, after ICP; it has no frame before.

        Raises:
            BenchmarkError: There is no such face, or it has too few landmarks.
        """
        face = self._face(name)
        known = face.known_landmarks.numpy()
        if known.sum() < _FEWEST_LANDMARKS:
            raise BenchmarkError(
                f"{self.program} writes no landmarks to begin the registration with; give "
                "--landmark-vertices (docs/external_methods.md)"
            )
        head_mm = region_mm(model, truth)[0]
        points_mm = head_mm[model.landmarks68.numpy()]
        start = umeyama(
            face.landmarks68_mm.double().numpy()[known], points_mm[known], with_scale=False
        )
        vertices_mm = face.vertices_mm.double().numpy()
        nearest = KDTree(head_mm).query(start.apply(vertices_mm))[1]
        inside = model.part_mask(FACE_PARTS).numpy()[nearest]
        region = region_mm(model.restricted_to(), truth)[0]
        return surface_values(registered_distances(vertices_mm[inside], region, start=start))

    def _face(self, name: str) -> ExternalFace:
        try:
            return read_external_face(
                self.program, self.folder, name, landmark_vertices=self.landmark_vertices
            )
        except (ExternalFaceError, ExternalFaceMissingError) as error:
            raise BenchmarkError(str(error)) from error
