"""FLAME 2020 and 2023 (Li et al. 2017) as a linear model.

FLAME = template + 300 shape + 100 expression directions + joints for neck, jaw and eyes. Taken: the
first 80 shape and 63 expression directions, both already in standard deviations, and the opening
of the jaw, linearised, as expression 64 (without it no mouth would open). Not taken: the other
joints, pose correctives, the remaining directions. Layout of the pickle: `flame_pytorch/flame.py`
of soubhiksanyal/FLAME_PyTorch; of the landmarks: `decalib/models/FLAME.py` of yfeng95/DECA.

FLAME has no colours and, without the user's landmark file, no landmarks: both come from a donor by
registration. Metres become mm.
"""

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from facegpt.morphable.assembly import (
    RawModel,
    assemble,
    check_count,
    check_finite,
    check_mesh,
    check_rows,
)
from facegpt.morphable.default import FaceModelFileError
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.restricted_pickle import (
    MAX_PICKLE_BYTES,
    Shell,
    array_of,
    parse_pickle,
    read_pickle,
)
from facegpt.morphable.transfer import LaidOverDonor, lay_over
from facegpt.morphable.unwrap import pieces

_MM_PER_METRE = 1000.0
_SHAPE_DIRECTIONS = 300
_EXPRESSIONS = 63
_JAW_JOINT = 2
_JAW_RADIANS = 0.1
"""Opening of the jaw at one standard deviation of its coefficient; our choice, not FLAME's."""

_log = logging.getLogger(__name__)


def load_flame(
    path: Path,
    landmark_embedding: Path | None = None,
    *,
    albedo_donor: MorphableModel,
    licence: str = "flame2020",
) -> MorphableModel:
    """Read generic_model.pkl, flame2023.pkl or one of their kind.

    Args:
        landmark_embedding: landmark_embedding.npy of DECA or EMOCA; without it the landmarks are
            those of the donor, laid over by registration (some mm off, no worse than its lids).
        albedo_donor: Whose colours, and names of parts of the skin, are taken over.
        licence: Name of the asset that `path` is.

    Raises:
        FileNotFoundError: A file is not there.
        UnsafePickleError: The file is damaged, or asks for what no face model needs.
        FaceModelFileError: An array is missing or impossible.
    """
    content = read_pickle(path)
    mean = _array(path, content, "v_template", 2) * _MM_PER_METRE
    triangles = _array(path, content, "f", 2).astype(np.int64)
    check_mesh(path, mean, triangles)
    identity, expression = _directions(path, content, mean)
    landmarks68, licences = None, (licence,)
    if landmark_embedding is not None:
        landmarks68 = _landmarks(landmark_embedding, triangles)
        licences = (licence, "flame-landmarks")
    taken = _from_donor(albedo_donor, mean, triangles, landmarks68)
    return assemble(
        RawModel(
            name="flame",
            source=path,
            mean_mm=mean,
            identity_mm=identity,
            expression_mm=expression,
            triangles=triangles,
            licences=(*licences, *albedo_donor.licences),
            **taken,
        )
    )


def _from_donor(
    donor: MorphableModel,
    mean: Float[np.ndarray, "vertex 3"],
    triangles: Int[np.ndarray, "triangle 3"],
    landmarks68: Int[np.ndarray, "68"] | None,
) -> dict[str, Any]:
    """Colours, parts and, where there are none, landmarks; as fields of a `RawModel`."""
    number, piece = pieces(len(mean), triangles)
    skin = np.flatnonzero(piece == np.bincount(piece, minlength=number).argmax())
    anchors = {} if landmarks68 is None else dict(enumerate(landmarks68.tolist()))
    laid = lay_over(donor, mean, triangles[np.isin(triangles[:, 0], skin)], anchors)
    if landmarks68 is None:
        _log.info("no landmark embedding: the 68 points are those of %s", donor.name)
        landmarks68 = laid.landmarks68(mean, skin)
    part, part_names = _parts(mean, skin, laid)
    albedo_mean, albedo_basis = laid.albedo(mean, part, part_names)
    return {
        "landmarks68": landmarks68,
        "part": part,
        "part_names": part_names,
        "albedo_mean": albedo_mean,
        "albedo_basis": albedo_basis,
    }


def _array(path: Path, content: Any, key: str, dimensions: int) -> np.ndarray:
    if not isinstance(content, dict) or key not in content:
        raise FaceModelFileError(f"{path} is no FLAME model: it has no {key!r}")
    array = array_of(content[key], f"{path}, {key}")
    if array.ndim != dimensions or (dimensions > 1 and array.shape[1] < 1):
        raise FaceModelFileError(f"{path}: {key} has shape {array.shape}")
    if dimensions == 2 and key in ("v_template", "f") and array.shape[1] != 3:
        raise FaceModelFileError(f"{path}: {key} has shape {array.shape}, expected (..., 3)")
    return array


def _directions(
    path: Path, content: Any, mean: Float[np.ndarray, "vertex 3"]
) -> tuple[Float[np.ndarray, "identity vertex 3"], Float[np.ndarray, "expression vertex 3"]]:
    stack = _array(path, content, "shapedirs", 3)
    if stack.shape[:2] != mean.shape:
        raise FaceModelFileError(f"{path}: shapedirs has shape {stack.shape}, not (vertex, 3, ...)")
    check_count(path, "shape directions", stack.shape[2], 1, 1000)
    stack = stack.transpose(2, 0, 1)
    identity = stack[: min(80, _SHAPE_DIRECTIONS)] * _MM_PER_METRE
    expression = stack[_SHAPE_DIRECTIONS:][:_EXPRESSIONS] * _MM_PER_METRE
    jaw = _jaw_opening(path, content, mean)
    if jaw is not None:
        filled = np.zeros((_EXPRESSIONS + 1, *mean.shape))
        filled[: len(expression)], filled[-1] = expression, jaw
        expression = filled
    return identity, expression


def _jaw_opening(
    path: Path, content: dict[str, Any], mean: Float[np.ndarray, "vertex 3"]
) -> Float[np.ndarray, "vertex 3"] | None:
    """mm per standard deviation when the jaw turns about its joint; None in a model without one."""
    if "weights" not in content or "J_regressor" not in content:
        return None
    weights = _array(path, content, "weights", 2)
    regressor = _array(path, content, "J_regressor", 2)
    if regressor.shape[1] != len(mean) or weights.shape != (len(mean), len(regressor)):
        raise FaceModelFileError(
            f"{path}: J_regressor {regressor.shape} and weights {weights.shape} do not belong "
            f"to {len(mean)} vertices"
        )
    if len(regressor) <= _JAW_JOINT:
        return None
    check_finite(path, "the joints", regressor)
    away = mean - (regressor @ mean)[_JAW_JOINT]
    # A small turn about x: down in front of the joint.
    turn = np.column_stack([np.zeros(len(mean)), -away[:, 2], away[:, 1]])
    return _JAW_RADIANS * weights[:, _JAW_JOINT, None] * turn


def _parts(
    mean: Float[np.ndarray, "vertex 3"], skin: Int[np.ndarray, "skin"], donor: LaidOverDonor
) -> tuple[Int[np.ndarray, "vertex"], tuple[str, ...]]:
    """The largest piece is skin, named as on the donor; the others are eyeballs."""
    names = ("face", "ear", "scalp", "neck", "eye_left", "eye_right")
    part = np.where(mean[:, 0] > 0, names.index("eye_left"), names.index("eye_right"))
    part[skin] = [names.index(n) if n in names else 0 for n in donor.parts(mean[skin])]
    return part, names


def _landmarks(path: Path, triangles: Int[np.ndarray, "triangle 3"]) -> Int[np.ndarray, "68"]:
    """The heaviest corner of the triangle each landmark lies on."""
    content = _npy_object(path)
    keys = ("full_lmk_faces_idx", "full_lmk_bary_coords")
    if not isinstance(content, dict) or any(key not in content for key in keys):
        raise FaceModelFileError(f"{path} is no landmark embedding: it lacks {' or '.join(keys)}")
    rows = array_of(content[keys[0]], f"{path}, {keys[0]}").reshape(-1)
    weights = array_of(content[keys[1]], f"{path}, {keys[1]}")
    if rows.shape != (68,) or weights.size != 68 * 3:
        raise FaceModelFileError(f"{path}: {rows.shape} triangles for 68 landmarks")
    check_rows(path, "landmarks", rows.astype(np.int64), len(triangles))
    heaviest = weights.reshape(68, 3).argmax(axis=1)
    return triangles[rows.astype(np.int64), heaviest]


def _npy_object(path: Path) -> Any:
    """The one object in an .npy file, as shells: `np.load(allow_pickle=True)` would run it."""
    if path.stat().st_size > MAX_PICKLE_BYTES:
        raise FaceModelFileError(f"{path} is too large for a landmark embedding")
    file = io.BytesIO(path.read_bytes())
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(file)
    except (ValueError, KeyError, EOFError) as error:
        raise FaceModelFileError(f"{path} is no .npy file of version 1 or 2: {error}") from error
    if shape != () or not dtype.hasobject:
        raise FaceModelFileError(f"{path} holds no table of landmarks but {dtype} {shape}")
    array = parse_pickle(file.read(), str(path))
    values = array.state[4] if isinstance(array, Shell) and isinstance(array.state, tuple) else []
    return values[0] if isinstance(values, list) and len(values) == 1 else None
