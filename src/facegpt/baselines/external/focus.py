"""FOCUS (Li et al. 2023, Occlusion-Robust-MoFA): what its `Demo.py` writes.

Per photo `<name>.obj`, the mesh of BFM 2017 in mm without expression and without pose, and
`<name>.txt` with the 7 points of the NoW benchmark, cut to whole mm: up to one mm is lost per axis.
The vertex numbers of BFM 2017's landmarks give all 68 points without that loss.
"""

from pathlib import Path

import torch

from facegpt.baselines.external.errors import ExternalFaceError
from facegpt.baselines.external.files import read_mesh, read_rows
from facegpt.baselines.external.written import NOW_LANDMARKS, WrittenFace, no_landmarks

VERTICES, TRIANGLES = 53149, 105694

_ADVICE = "run Demo.py of Occlusion-Robust-MoFA on .jpg photos"


def read_focus(folder: Path, name: str) -> WrittenFace:
    """One face.

    Args:
        folder: FOCUS's --save_path.
        name: Path of the photo below --test_path, without a suffix.

    Raises:
        ExternalFaceMissingError: A file is not there.
        ExternalFaceError: A file is damaged.
    """
    path, points = folder / f"{name}.obj", folder / f"{name}.txt"
    rows = read_rows(points, 3, _ADVICE)
    if len(rows) != len(NOW_LANDMARKS):
        raise ExternalFaceError(f"{points} has {len(rows)} points instead of {len(NOW_LANDMARKS)}")
    mesh = read_mesh(path, _ADVICE)
    landmarks68 = no_landmarks()
    landmarks68[list(NOW_LANDMARKS)] = torch.from_numpy(rows).float()
    return WrittenFace(
        path=path,
        vertices=mesh.vertices_mm,
        triangles=mesh.triangles,
        mm_per_unit=1.0,
        unit="millimetres",
        is_neutral=True,
        landmarks68=landmarks68,
    )


def focus_names(folder: Path) -> list[str]:
    """The photos that it wrote a mesh for; folders below are searched, too."""
    meshes = folder.rglob("*.obj")
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in meshes)
