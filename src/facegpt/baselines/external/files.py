"""The files of other methods, read with care: bounded in size, only numbers, never a pickle.

Knows formats (OBJ, PLY, NPY, MATLAB 5, text), no methods; numbers come out in the unit of the file.
"""

import math
import re
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from facegpt.baselines.external.errors import ExternalFaceError, ExternalFaceMissingError
from facegpt.geometry.export import TexturedMesh
from facegpt.geometry.obj import read_obj
from facegpt.geometry.ply import read_ply
from facegpt.morphable.default import FaceModelFileError
from facegpt.morphable.matlab import read_mat

MAX_MESH_BYTES = 1 << 25
"""Five times the largest mesh that one of the methods writes as text."""

MAX_MATLAB_BYTES = 1 << 26
"""DECA keeps its pictures there, too: some ten megabytes."""

MAX_NUMBERS_BYTES = 1 << 20
"""For files that hold a few points."""

_MOST_VERTICES = 1 << 31

_NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_mesh(path: Path, advice: str) -> TexturedMesh:
    """An OBJ or PLY file by its suffix. What `TexturedMesh` calls mm is the unit of the file here.

    Args:
        advice: What to do when there is no such file, as half a sentence.

    Raises:
        ExternalFaceMissingError: There is no such file.
        ExternalFaceError: It is too large, damaged or without triangles.
    """
    _check_size(path, MAX_MESH_BYTES, advice)
    try:
        mesh = read_ply(path) if path.suffix.lower() == ".ply" else read_obj(path)
    # Beside MeshFileError: texture numbers without coordinates, numbers beyond 64 bits.
    except (ValueError, OverflowError) as error:
        raise ExternalFaceError(f"{path} is no mesh that can be read: {error}") from error
    if len(mesh.triangles) == 0:
        raise ExternalFaceError(f"{path} has vertices but no triangles; it may be cut short")
    return mesh


def read_matlab(
    path: Path, shapes: Mapping[str, tuple[int, ...]], advice: str
) -> dict[str, Float[np.ndarray, "..."]]:
    """Tables of a MATLAB 5 file in float64; no other variable is loaded.

    Args:
        shapes: Name -> shape, without the dimensions of length one that MATLAB adds.

    Raises:
        ExternalFaceMissingError: There is no such file.
        ExternalFaceError: It is too large or damaged, or a variable is missing, of another shape or
            no table of finite numbers.
    """
    _check_size(path, MAX_MATLAB_BYTES, advice)
    try:
        found = read_mat(path, {name: math.prod(shape) for name, shape in shapes.items()})
    except FaceModelFileError as error:
        raise ExternalFaceError(str(error)) from error
    for name, shape in shapes.items():
        if found[name].squeeze().shape != shape:
            raise ExternalFaceError(
                f"{path}: {name} has shape {found[name].shape} instead of {shape}"
            )
    return {name: found[name].reshape(shape).astype(np.float64) for name, shape in shapes.items()}


def read_npy(path: Path, advice: str) -> Float[np.ndarray, "..."]:
    """The table of an NPY file in float64. The header is held against the size of the file before
    anything is allocated, and objects (pickles) are refused.

    Raises:
        ExternalFaceMissingError: There is no such file.
        ExternalFaceError: It is too large, damaged, cut short, or holds no finite numbers.
    """
    data = _read(path, MAX_NUMBERS_BYTES, advice)
    file = BytesIO(data)
    try:
        shape, is_fortran, dtype = _NPY_HEADERS[np.lib.format.read_magic(file)](file)
    # numpy's reader fails in many ways on a damaged header.
    except Exception as error:
        raise ExternalFaceError(f"{path} is damaged or no NPY file: {error}") from error
    if dtype.kind not in "fiu":
        raise ExternalFaceError(f"{path} holds {dtype} instead of numbers")
    start, count = file.tell(), math.prod(shape)
    if min(shape, default=0) < 0 or len(data) - start != count * dtype.itemsize:
        raise ExternalFaceError(
            f"{path} promises {count} numbers of shape {shape}, but has {len(data) - start} bytes "
            "of them; it may be cut short"
        )
    table = np.frombuffer(data, dtype, count, start)
    return _finite(path, table.reshape(shape, order="F" if is_fortran else "C").astype(np.float64))


def read_rows(path: Path, columns: int, advice: str) -> Float[np.ndarray, "row column"]:
    """A text file with as many numbers in every line, divided by blanks.

    Raises:
        ExternalFaceMissingError: There is no such file.
        ExternalFaceError: It is too large, or a line has other words or another number of them.
    """
    text = _read(path, MAX_NUMBERS_BYTES, advice).decode("ascii", "replace")
    rows = [line.split() for line in text.splitlines() if line.strip()]
    for number, row in enumerate(rows, start=1):
        if len(row) != columns:
            raise ExternalFaceError(f"{path}, row {number}: {len(row)} words instead of {columns}")
    try:
        table = np.array([[float(word) for word in row] for row in rows]).reshape(-1, columns)
    except ValueError as error:
        raise ExternalFaceError(f"{path} is no table of numbers: {error}") from error
    return _finite(path, table)


def read_landmark_vertices(path: Path) -> Int[np.ndarray, "68"]:
    """The vertices of a topology, counted from 0, that are the iBUG 68 points in their order.

    Args:
        path: NPY, or text with blanks, commas or line ends between the numbers.

    Raises:
        ExternalFaceMissingError: There is no such file.
        ExternalFaceError: It does not hold 68 different whole numbers.
    """
    advice = "it should hold the vertex numbers of the 68 landmarks"
    if path.suffix.lower() == ".npy":
        values = read_npy(path, advice).reshape(-1)
    else:
        text = _read(path, MAX_NUMBERS_BYTES, advice).decode("ascii", "replace")
        try:
            values = np.array([float(word) for word in re.split(r"[\s,;]+", text) if word])
        except ValueError as error:
            raise ExternalFaceError(f"{path} is no list of numbers: {error}") from error
    is_whole = (values == values.round()) & (np.abs(values) < _MOST_VERTICES)
    if len(values) != 68 or len(np.unique(values)) != 68 or not is_whole.all():
        raise ExternalFaceError(
            f"{path} must hold 68 different whole numbers, one per landmark; it has {len(values)} "
            f"numbers, {len(np.unique(values))} of them different"
        )
    return values.astype(np.int64)


def _finite(path: Path, table: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    if not np.isfinite(table).all():
        raise ExternalFaceError(f"{path} holds a number that is not finite")
    return table


def _read(path: Path, limit: int, advice: str) -> bytes:
    _check_size(path, limit, advice)
    return path.read_bytes()


def _check_size(path: Path, limit: int, advice: str) -> None:
    if not path.is_file():
        raise ExternalFaceMissingError(f"no file {path}; {advice}")
    size = path.stat().st_size
    if size > limit:
        raise ExternalFaceError(f"{path} has {size} bytes; at most {limit} are read")
