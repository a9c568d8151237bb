"""What a mesh file holds, and the care every reader and writer of such files takes.

The formats themselves are in `gltf.py`, `obj.py` and `ply.py`. This module knows no morphable model
and no photo.
"""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from torch import Tensor

MAX_MESH_BYTES = 1 << 29
"""Larger files are not read: they would not fit in the memory of a small machine once parsed."""


class MeshFileError(ValueError):
    """A mesh file is damaged, too large or of a kind that is not read."""


@dataclass(frozen=True)
class TexturedMesh:
    """One surface with what files can say about it; triangles counter-clockwise from outside."""

    vertices_mm: Float[Tensor, "vertex 3"]
    triangles: Int[Tensor, "triangle 3"]
    uv: Float[Tensor, "texel 2"] | None = None
    """u right, v up, in [0, 1]."""
    uv_triangles: Int[Tensor, "triangle 3"] | None = None
    """Rows of `uv`, beside `triangles`."""
    texture: UInt8[np.ndarray, "height width 3"] | None = None
    """sRGB; the first row is the upper edge, v = 1."""
    colours: Float[Tensor, "vertex 3"] | None = None
    """sRGB in [0, 1]."""
    morphs_mm: dict[str, Float[Tensor, "vertex 3"]] = field(default_factory=dict)
    """Name -> offsets at weight 1."""
    morph_weights: dict[str, float] = field(default_factory=dict)
    """Weights that the file starts with; names left out are 0."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that is there in full or not at all, readable for everybody."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_bounded(path: Path, limit: int = MAX_MESH_BYTES) -> bytes:
    """The bytes of a file that is not larger than the limit.

    Raises:
        FileNotFoundError: There is no such file.
        MeshFileError: The file is larger.
    """
    size = path.stat().st_size
    if size > limit:
        raise MeshFileError(f"{path} has {size} bytes; at most {limit} are read")
    return path.read_bytes()


def check_triangles(path: Path, triangles: np.ndarray, count: int, what: str) -> None:
    """Stop at a triangle that names a vertex the file does not have.

    Raises:
        MeshFileError: Names the first such triangle.
    """
    wrong = ((triangles < 0) | (triangles >= count)).any(axis=1)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise MeshFileError(
            f"{path}: triangle {first} names {what} {triangles[first].tolist()}, there are {count}"
        )


def check_finite(path: Path, values: np.ndarray, what: str) -> None:
    """Stop at NaN or infinity.

    Raises:
        MeshFileError: Names the first row.
    """
    wrong = ~np.isfinite(values).all(axis=1)
    if wrong.any():
        raise MeshFileError(f"{path}: {what} {int(np.flatnonzero(wrong)[0])} is not finite")
