"""DECA (Feng et al. 2021): what `demos/demo_reconstruct.py --saveObj True --saveMat True` writes.

Per photo a folder of its name with `<name>.obj`, FLAME's mesh in metres, posed and with expression,
and `<name>.mat`, everything that its decoder made. Landmarks come from there: `landmarks3d_world`
lies on the mesh, while `<name>_kpt3d.txt` is projected by a camera that is not written.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from facegpt.baselines.external.files import read_matlab, read_mesh
from facegpt.baselines.external.written import WrittenFace

VERTICES, TRIANGLES = 5023, 9976

_ADVICE = "run DECA's demo_reconstruct.py with --saveObj True --saveMat True"
_HALF_CROP_PX = 112.0
_LARGEST_NORMALISED = 4.0


def read_deca(folder: Path, name: str) -> WrittenFace:
    """One face.

    Args:
        folder: DECA's --savefolder.

    Raises:
        ExternalFaceMissingError: A file is not there.
        ExternalFaceError: A file is damaged.
    """
    path = folder / name / f"{name}.obj"
    mesh = read_mesh(path, _ADVICE)
    shapes = {"landmarks3d_world": (68, 3), "landmarks2d": (68, 2)}
    found = read_matlab(folder / name / f"{name}.mat", shapes, _ADVICE)
    return WrittenFace(
        path=path,
        vertices=mesh.vertices_mm,
        triangles=mesh.triangles,
        mm_per_unit=1000.0,
        unit="metres",
        is_neutral=False,
        landmarks68=torch.from_numpy(found["landmarks3d_world"]).float(),
        landmarks68_px=torch.from_numpy(_pixels(found["landmarks2d"])).float(),
    )


def deca_names(folder: Path) -> list[str]:
    """The photos that DECA wrote a mesh for; its `_detail.obj` is not one of them."""
    return sorted(p.stem for p in folder.glob("*/*.obj") if p.stem == p.parent.name)


def _pixels(landmarks: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "68 2"]:
    """DECA writes [-1, 1] on a GPU, and pixels on a CPU, where drawing them changes them in
    place."""
    if np.abs(landmarks).max() > _LARGEST_NORMALISED:
        return landmarks
    return (landmarks + 1.0) * _HALF_CROP_PX
