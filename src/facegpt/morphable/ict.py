"""ICT-FaceKit (Li et al. 2020): the folder FaceXModel of 26,719-vertex OBJ files.

Layout: README.md and FaceXModel/ of ICT-VGL/ICT-FaceKit. In cm; identityNNN.obj less the neutral
mesh is one standard deviation; expressions are the ARKit shapes with _L and _R, two of them in
halves, listed in vertex_indices.json (other OBJ files of the folder are extras). Triangles and
quads. Kept: skin, mouth, teeth, eyeballs. Left out: tear film, lashes and the like, which need
shaders of their own.

Colours, and the names of parts of the skin, come from a donor by registration; there is no
tongueOut. The prior of the expressions is ours: a blendshape weight of 0.25 is taken as one
standard deviation.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from facegpt.geometry.export import MeshFileError, TexturedMesh, read_bounded
from facegpt.geometry.obj import read_obj
from facegpt.morphable.assembly import RawModel, assemble, check_finite, check_mesh, check_rows
from facegpt.morphable.default import FaceModelFileError
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import BLOCK_SIZES
from facegpt.morphable.transfer import SKIN_PARTS, lay_over

REGIONS = (
    ("face", 9409),
    ("scalp", 11248),
    ("mouth", 13294),
    ("eye_socket", 14062),
    ("mouth", 17039),
    ("teeth", 21451),
    ("eye_left", 23021),
    ("eye_right", 24591),
)
"""Part -> first vertex of the next one. `scalp` is head and neck until the donor names them."""

VERTEX_COUNT = 26_719
WEIGHT_PER_DEVIATION = 0.25

_MM_PER_CM = 10.0
_MAX_OBJ_BYTES = 64 << 20
_MAX_JSON_BYTES = 16 << 20
_MAX_EXPRESSIONS = 200
_MERGED = ("browInnerUp", "cheekPuff")


def load_ict(
    folder: Path,
    *,
    albedo_donor: MorphableModel,
    regions: tuple[tuple[str, int], ...] = REGIONS,
    vertex_count: int = VERTEX_COUNT,
) -> MorphableModel:
    """Read the folder FaceXModel; about ten seconds, most of it for 130 text files.

    Args:
        albedo_donor: Whose colours are taken over.
        regions: Part -> end of its vertices; for tests with small meshes.
        vertex_count: Of every OBJ file; for tests likewise.

    Raises:
        FileNotFoundError: The folder lacks a file that the model needs.
        FaceModelFileError: A file is damaged or of another mesh.
    """
    names, landmarks68 = _indices(folder / "vertex_indices.json")
    neutral = _neutral(folder / "generic_neutral_mesh.obj", vertex_count)
    kept = regions[-1][1]
    mean = neutral.vertices_mm.numpy().astype(np.float64)[:kept] * _MM_PER_CM
    inside = np.flatnonzero((neutral.triangles.numpy() < kept).all(axis=1))
    triangles = neutral.triangles.numpy()[inside]
    check_mesh(folder, mean, triangles)
    check_rows(folder, "landmarks", landmarks68, kept)
    shapes = {name: _offsets(folder, name, mean, vertex_count) for name in names}
    identity = [_offsets(folder, name, mean, vertex_count) for name in _identities(folder)]
    return assemble(
        RawModel(
            name="ict",
            source=folder,
            mean_mm=mean,
            identity_mm=np.stack(identity),
            expression_mm=np.stack(list(shapes.values())) * WEIGHT_PER_DEVIATION,
            triangles=triangles,
            landmarks68=landmarks68,
            licences=("ict", *albedo_donor.licences),
            uv=None if neutral.uv is None else neutral.uv.numpy(),
            uv_triangles=_uv_triangles(neutral, inside),
            arkit_mm=arkit_shapes(shapes),
            **_from_donor(albedo_donor, mean, triangles, landmarks68, regions),
        )
    )


def _from_donor(
    donor: MorphableModel,
    mean: Float[np.ndarray, "vertex 3"],
    triangles: Int[np.ndarray, "triangle 3"],
    landmarks68: Int[np.ndarray, "68"],
    regions: tuple[tuple[str, int], ...],
) -> dict[str, Any]:
    """Colours, and the parts of head and neck, as fields of a `RawModel`."""
    part, part_names = _parts(regions)
    skin = triangles[np.isin(part[triangles], _rows(part_names)).all(axis=1)]
    laid = lay_over(donor, mean, skin, dict(enumerate(landmarks68.tolist())))
    outer = np.flatnonzero(part == part_names.index("scalp"))
    part[outer] = [part_names.index(name) for name in laid.parts(mean[outer])]
    albedo_mean, albedo_basis = laid.albedo(mean, part, part_names)
    return {
        "part": part,
        "part_names": part_names,
        "albedo_mean": albedo_mean,
        "albedo_basis": albedo_basis,
    }


def _uv_triangles(
    neutral: TexturedMesh, inside: Int[np.ndarray, "kept"]
) -> Int[np.ndarray, "kept 3"] | None:
    return None if neutral.uv_triangles is None else neutral.uv_triangles.numpy()[inside]


def _neutral(path: Path, vertex_count: int) -> TexturedMesh:
    try:
        mesh = read_obj(path)
    except MeshFileError as error:
        raise FaceModelFileError(str(error)) from error
    count = len(mesh.vertices_mm)
    if count != vertex_count:
        raise FaceModelFileError(f"{path}: {count} vertices, ICT-FaceKit has {vertex_count}")
    return mesh


def _indices(path: Path) -> tuple[list[str], Int[np.ndarray, "68"]]:
    """Names of the expressions and the 68 landmark vertices."""
    try:
        content = json.loads(read_bounded(path, _MAX_JSON_BYTES))
        names, rows = content["expressions"], content["idx_to_landmark_verts"]
        landmarks68 = np.array(rows, dtype=np.int64)
    except (MeshFileError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise FaceModelFileError(
            f"{path} is damaged or not of ICT-FaceKit: {type(error).__name__} {error}"
        ) from error
    # A name becomes the name of a file: it may not lead out of the folder.
    good = isinstance(names, list) and all(isinstance(n, str) and n.isidentifier() for n in names)
    if not good or not 1 <= len(names) <= _MAX_EXPRESSIONS or landmarks68.shape != (68,):
        raise FaceModelFileError(f"{path}: expressions or landmarks are not those of ICT-FaceKit")
    return names, landmarks68


def _identities(folder: Path) -> list[str]:
    """The identity files there are, up to as many as theta holds."""
    names = []
    for i in range(BLOCK_SIZES["shape"]):
        if not (folder / f"identity{i:03d}.obj").is_file():
            break
        names.append(f"identity{i:03d}")
    if not names:
        raise FileNotFoundError(f"{folder} has no identity000.obj; see: facegpt doctor")
    return names


def _offsets(
    folder: Path, name: str, mean: Float[np.ndarray, "vertex 3"], vertex_count: int
) -> Float[np.ndarray, "vertex 3"]:
    """A morph target less the mean in mm; only the vertex lines are read."""
    path = folder / f"{name}.obj"
    try:
        lines = read_bounded(path, _MAX_OBJ_BYTES).split(b"\n")
        rows = [line[2:].split()[:3] for line in lines if line.startswith(b"v ")]
        if len(rows) != vertex_count:
            raise ValueError(f"{len(rows)} vertices, not {vertex_count}")
        vertices = np.array(rows[: len(mean)], dtype=np.float64)
        if vertices.shape != mean.shape:
            raise ValueError("a vertex has fewer than 3 numbers")
    except ValueError as error:
        raise FaceModelFileError(f"{path}: {error}") from error
    check_finite(path, "the mesh", vertices)
    return (vertices * _MM_PER_CM - mean).astype(np.float32)


def _parts(
    regions: tuple[tuple[str, int], ...],
) -> tuple[Int[np.ndarray, "vertex"], tuple[str, ...]]:
    names = tuple(dict.fromkeys([*SKIN_PARTS, *(name for name, _ in regions)]))
    part = np.empty(regions[-1][1], dtype=np.int64)
    start = 0
    for name, stop in regions:
        part[start:stop] = names.index(name)
        start = stop
    return part, names


def _rows(part_names: tuple[str, ...]) -> list[int]:
    return [part_names.index(name) for name in SKIN_PARTS]


def arkit_shapes(
    shapes: dict[str, Float[np.ndarray, "vertex 3"]],
) -> dict[str, Float[np.ndarray, "vertex 3"]]:
    """ICT's shapes under Apple's names: _L is Left, and two halves are added up."""
    named: dict[str, np.ndarray] = {}
    for name, offsets in shapes.items():
        stem, _, side = name.rpartition("_")
        if side not in ("L", "R") or not stem:
            named[name] = offsets
        elif stem in _MERGED:
            named[stem] = named[stem] + offsets if stem in named else offsets
        else:
            named[stem + {"L": "Left", "R": "Right"}[side]] = offsets
    return named
