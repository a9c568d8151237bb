"""Deep3DFaceRecon_pytorch (Deng et al. 2019): what its `test.py` writes.

Per photo `<name>.obj`, the mesh in decimetres as it lies before the camera, with expression, and
`<name>.mat` with the 257 coefficients and `lm68`, the landmarks in the picture. Which vertices
these are is not written and belongs to the Basel Face Model; but each lies exactly where its vertex
is seen, so the vertices are found by projecting the mesh.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from facegpt.baselines.external.errors import ExternalFaceError
from facegpt.baselines.external.files import read_matlab, read_mesh
from facegpt.baselines.external.written import WrittenFace
from facegpt.morphable.converters import DEEP3D_FOCAL_PX, DEEP3D_SIZES

VERTICES, TRIANGLES = 35709, 70789

_ADVICE = "run test.py of Deep3DFaceRecon_pytorch"
_SIDE_PX = 224
_CENTRE_PX = 112.0
_CAMERA_DISTANCE = 10.0
_MOST_PX = 0.05
"""Text with eight digits is exact to a thousandth of a pixel; vertices are half a pixel apart."""


def read_deep3d(folder: Path, name: str) -> WrittenFace:
    """One face.

    Args:
        folder: `checkpoints/<model>/results/<images>/epoch_<epoch>_000000` of its test.py.

    Raises:
        ExternalFaceMissingError: A file is not there.
        ExternalFaceError: A file is damaged, or mesh and landmarks are of different faces.
    """
    path, table = folder / f"{name}.obj", folder / f"{name}.mat"
    landmarks68_px = read_matlab(table, {"lm68": (68, 2)}, _ADVICE)["lm68"]
    mesh = read_mesh(path, _ADVICE)
    rows = _landmark_vertices(path, mesh.vertices_mm.double().numpy(), landmarks68_px)
    return WrittenFace(
        path=path,
        vertices=mesh.vertices_mm,
        triangles=mesh.triangles,
        mm_per_unit=100.0,
        unit="decimetres",
        is_neutral=False,
        landmarks68=mesh.vertices_mm[torch.from_numpy(rows)],
        landmarks68_px=torch.from_numpy(landmarks68_px).float(),
        coefficients=read_deep3d_coefficients(table),
    )


def read_deep3d_coefficients(path: Path) -> Float[Tensor, "1 257"]:
    """The coefficients of a `<name>.mat` alone, for `facegpt.morphable.converters`.

    Raises:
        ExternalFaceMissingError: The file is not there.
        ExternalFaceError: It is damaged, or a block is missing or of another size.
    """
    found = read_matlab(path, {name: (size,) for name, size in DEEP3D_SIZES.items()}, _ADVICE)
    return torch.from_numpy(np.concatenate([found[name] for name in DEEP3D_SIZES])[None]).float()


def deep3d_names(folder: Path) -> list[str]:
    """The photos that it wrote a mesh for."""
    return sorted(path.stem for path in folder.glob("*.obj"))


def _landmark_vertices(
    path: Path,
    vertices: Float[np.ndarray, "vertex 3"],
    landmarks68_px: Float[np.ndarray, "68 2"],
) -> Int[np.ndarray, "68"]:
    """The vertices that are seen where the landmarks are."""
    depth = _CAMERA_DISTANCE - vertices[:, 2]
    if not (depth > 0).all():
        raise ExternalFaceError(f"{path}: a vertex lies behind Deep3D's camera")
    seen_px = DEEP3D_FOCAL_PX * vertices[:, :2] / depth[:, None] + _CENTRE_PX
    seen_px[:, 1] = _SIDE_PX - 1 - seen_px[:, 1]
    away_px, rows = (np.asarray(found) for found in KDTree(seen_px).query(landmarks68_px))
    if away_px.max() > _MOST_PX:
        raise ExternalFaceError(
            f"{path}: landmark {int(away_px.argmax())} of the MAT file lies {away_px.max():.3g} "
            "pixels from every vertex; the two files belong to different faces"
        )
    return rows.astype(np.int64)
