"""MICA (Zielonka et al. 2022): what its `demo.py` writes.

Per photo a folder of its name with `mesh.ply` (and the same as `mesh.obj`), FLAME's mesh in mm
without expression and without pose, `kpt68.npy` and `kpt7.npy`, landmarks in mm, and
`identity.npy`, FLAME's shape coefficients, which are not needed here.
"""

from pathlib import Path

import torch

from facegpt.baselines.external.errors import ExternalFaceError
from facegpt.baselines.external.files import read_mesh, read_npy
from facegpt.baselines.external.written import WrittenFace

VERTICES, TRIANGLES = 5023, 9976

_ADVICE = "run MICA's demo.py"


def read_mica(folder: Path, name: str) -> WrittenFace:
    """One face.

    Args:
        folder: MICA's -o.

    Raises:
        ExternalFaceMissingError: A file is not there.
        ExternalFaceError: A file is damaged.
    """
    path, points = folder / name / "mesh.ply", folder / name / "kpt68.npy"
    mesh = read_mesh(path, _ADVICE)
    landmarks = read_npy(points, _ADVICE)
    # MICA leaves its batch dimension of one in this file.
    if landmarks.shape not in ((1, 68, 3), (68, 3)):
        raise ExternalFaceError(f"{points} has shape {landmarks.shape} instead of (1, 68, 3)")
    return WrittenFace(
        path=path,
        vertices=mesh.vertices_mm,
        triangles=mesh.triangles,
        mm_per_unit=1.0,
        unit="millimetres",
        is_neutral=True,
        landmarks68=torch.from_numpy(landmarks.reshape(68, 3)).float(),
    )


def mica_names(folder: Path) -> list[str]:
    """The photos that it wrote a mesh for."""
    return sorted(path.parent.name for path in folder.glob("*/mesh.ply"))
