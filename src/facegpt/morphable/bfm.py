"""The Basel Face Models of 2017 (HDF5) and 2009 (MATLAB, with the expressions of Guo et al.).

Layouts: BFM 2017 as Statismo writes it (`<part>/model/{mean,pcaBasis,pcaVariance}` for shape,
expression, color; `shape/representer/cells`; `metadata/landmarks/json`), in mm. BFM 2009 as
`util/load_mats.py` of sicxu/Deep3DFaceRecon_pytorch reads it, in micrometres: its deviations are in
`shapeEV`, colours go to 255, Exp_Pca.bin is one int32 (components), then float32 mean and basis for
the 53,215 vertices that `trimIndex` picks. Bases come out in standard deviations.

Neither has texture coordinates (a cylinder is unrolled), separate eyes or named expressions.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from facegpt.geometry.registration import nearest_vertices
from facegpt.morphable.assembly import (
    MAX_COMPONENTS,
    MAX_TRIANGLES,
    MAX_VERTICES,
    RawModel,
    assemble,
    check_count,
    check_mesh,
    check_rows,
)
from facegpt.morphable.default import FaceModelFileError
from facegpt.morphable.matlab import read_mat, variables_of
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import BLOCK_SIZES
from facegpt.morphable.transfer import lay_over

_MAX_TEXT = 1 << 20
_MM_PER_MICROMETRE = 1e-3
_MM_PER_DECIMETRE = 100.0

IBUG_OF_BFM_NAMES = {
    "center.chin.tip": 8,
    "center.nose.tip": 30,
    "center.nose.attachement_to_philtrum": 33,
    "right.eye.corner_outer": 36,
    "right.eye.corner_inner": 39,
    "left.eye.corner_inner": 42,
    "left.eye.corner_outer": 45,
    "right.lips.corner": 48,
    "center.lips.upper.outer": 51,
    "left.lips.corner": 54,
    "center.lips.lower.outer": 57,
    "center.lips.upper.inner": 62,
    "center.lips.lower.inner": 66,
}
"""Landmarks that BFM 2017 names itself; the spelling is theirs."""

_log = logging.getLogger(__name__)


def load_bfm2017(path: Path, *, landmark_donor: MorphableModel) -> MorphableModel:
    """Read model2017-1_face12_nomouth.h5, model2017-1_bfm_nomouth.h5 or the 2019 files.

    Args:
        landmark_donor: Gives the landmarks that the file does not name, by registration.

    Raises:
        ModuleNotFoundError: h5py is not installed; says how.
        FileNotFoundError: There is no such file.
        FaceModelFileError: It is damaged, or an array is missing or impossible.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "BFM 2017 is an HDF5 file and needs h5py: pip install 'facegpt[bfm]'"
        ) from error
    if not path.is_file():
        raise FileNotFoundError(f"no BFM 2017 at {path}")
    try:
        with h5py.File(path, "r") as file:
            return _bfm2017(path, _Hdf5(path, file), landmark_donor)
    except (OSError, RuntimeError, KeyError) as error:
        raise FaceModelFileError(f"{path} is damaged or no HDF5 file: {error}") from error


class _Hdf5:
    """Datasets of one file, by name, never larger than asked and never from another file."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self.file = path, file

    def read(self, name: str, most: tuple[int, ...], columns: int | None = None) -> np.ndarray:
        node = self._dataset(name)
        if node is None:
            raise FaceModelFileError(f"{self.path} has no table {name}")
        if node.dtype.kind not in "fiu" or len(node.shape) != len(most):
            raise FaceModelFileError(f"{self.path}: {name} is {node.dtype} {node.shape}")
        for size, limit in zip(node.shape, most, strict=True):
            check_count(self.path, f"values along {name}", size, 1, limit)
        return node[:, :columns] if columns else node[()]

    def text(self, name: str) -> str:
        """A short text, empty when it is not there."""
        node = self._dataset(name)
        if node is None or node.size is None or node.size * node.dtype.itemsize > _MAX_TEXT:
            return ""
        value = node[()]
        raw = value.tobytes() if isinstance(value, np.ndarray | np.void) else value
        return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)

    def _dataset(self, name: str) -> Any:
        """None where a step is missing, is a link elsewhere or keeps its data in another file."""
        import h5py

        node: Any = self.file
        for part in name.split("/"):
            link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
            if not isinstance(link, h5py.HardLink):
                return None
            node = node[part]
        own = isinstance(node, h5py.Dataset) and not node.external and not node.is_virtual
        return node if own else None


def _bfm2017(path: Path, file: _Hdf5, donor: MorphableModel) -> MorphableModel:
    shape_mean, identity = _component(file, "shape", BLOCK_SIZES["shape"])
    expression_mean, expression = _component(file, "expression", BLOCK_SIZES["expression"])
    albedo_mean, albedo = _component(file, "color", BLOCK_SIZES["albedo"])
    if shape_mean.shape != expression_mean.shape or shape_mean.shape != albedo_mean.shape:
        raise FaceModelFileError(f"{path}: shape, expression and color differ in their vertices")
    mean = shape_mean + expression_mean
    triangles = file.read("shape/representer/cells", (3, MAX_TRIANGLES)).T.astype(np.int64)
    check_mesh(path, mean, triangles)
    anchors = _named_landmarks(path, file.text("metadata/landmarks/json"), mean)
    laid = lay_over(donor, mean, triangles, anchors)
    landmarks68 = laid.landmarks68(mean, np.unique(triangles))
    landmarks68[list(anchors)] = list(anchors.values())
    _log.info("BFM 2017 names %d landmarks, the others come from %s", len(anchors), donor.name)
    return assemble(
        RawModel(
            name="bfm2017",
            source=path,
            mean_mm=mean,
            identity_mm=identity,
            expression_mm=expression,
            triangles=triangles,
            landmarks68=landmarks68,
            albedo_mean=albedo_mean,
            albedo_basis=albedo,
            part=np.zeros(len(mean), dtype=np.int64),
            part_names=("face",),
            licences=("bfm2017", *donor.licences),
        )
    )


def _component(
    file: _Hdf5, name: str, count: int
) -> tuple[Float[np.ndarray, "vertex 3"], Float[np.ndarray, "component vertex 3"]]:
    """Mean and the first components times their standard deviations."""
    rows = 3 * MAX_VERTICES
    mean = file.read(f"{name}/model/mean", (rows,))
    basis = file.read(f"{name}/model/pcaBasis", (rows, MAX_COMPONENTS), count)
    variance = file.read(f"{name}/model/pcaVariance", (MAX_COMPONENTS,))[:count]
    if len(mean) % 3 or len(basis) != len(mean) or len(variance) != basis.shape[1]:
        raise FaceModelFileError(
            f"{file.path}: {name} has a mean of {mean.shape}, a basis of {basis.shape} and "
            f"variances of {variance.shape}"
        )
    if not (variance >= 0).all():
        raise FaceModelFileError(f"{file.path}: {name} has variances below zero")
    return mean.reshape(-1, 3).astype(np.float64), _stack(basis * np.sqrt(variance))


def _stack(basis: Float[np.ndarray, "row component"]) -> Float[np.ndarray, "component vertex 3"]:
    return basis.T.reshape(basis.shape[1], -1, 3).astype(np.float32)


def _named_landmarks(path: Path, text: str, mean: Float[np.ndarray, "vertex 3"]) -> dict[int, int]:
    """iBUG number -> vertex, of those that the file names and we know."""
    try:
        listed = json.loads(text) if text else []
        places = {
            IBUG_OF_BFM_NAMES[entry["id"]]: [float(x) for x in entry["coordinates"]]
            for entry in listed
            if entry["id"] in IBUG_OF_BFM_NAMES and len(entry["coordinates"]) == 3
        }
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FaceModelFileError(f"{path}: its landmarks cannot be read: {error}") from error
    if not places:
        return {}
    points = np.array(list(places.values()))
    if not np.isfinite(points).all():
        raise FaceModelFileError(f"{path}: its landmarks are not finite")
    return dict(zip(places, nearest_vertices(points, mean).tolist(), strict=True))


def is_front_model(path: Path) -> bool:
    """True for Deep3D's BFM_model_front.mat, false for the file of the university.

    Raises:
        FileNotFoundError: There is no such file.
        FaceModelFileError: It is no MATLAB file.
    """
    return "meanshape" in variables_of(path)


def load_bfm2009(
    path: Path, expression: Path | None = None, deep3d: Path | None = None
) -> MorphableModel:
    """Read the model as Deep3D uses it: 35,709 vertices of the face, with 68 landmarks.

    Args:
        path: 01_MorphableModel.mat, or the BFM_model_front.mat that Deep3D made of all three.
        expression: Exp_Pca.bin; only needed with the former.
        deep3d: Folder with std_exp.txt, BFM_front_idx.mat, BFM_exp_idx.mat, facemodel_info.mat;
            the folder of `expression` when left out.

    Raises:
        FileNotFoundError: A file is not there.
        FaceModelFileError: One is damaged, or an array is missing or impossible.
    """
    if is_front_model(path):
        return _front(path, read_mat(path, _FRONT))
    if expression is None:
        raise FileNotFoundError(
            f"{path} has no expressions: Exp_Pca.bin is needed too, see: facegpt doctor"
        )
    return _front(path, _front_of_parts(path, expression, deep3d or expression.parent))


_ROWS = 3 * MAX_VERTICES
_FRONT = {
    "meanshape": _ROWS,
    "meantex": _ROWS,
    "idBase": _ROWS * MAX_COMPONENTS,
    "exBase": _ROWS * MAX_COMPONENTS,
    "texBase": _ROWS * MAX_COMPONENTS,
    "tri": 3 * MAX_TRIANGLES,
    "keypoints": 68,
}
"""Variable -> most values that are read."""

_RAW = {
    "shapeMU": _ROWS,
    "shapePC": _ROWS * 200,
    "shapeEV": 200,
    "texMU": _ROWS,
    "texPC": _ROWS * 200,
    "texEV": 200,
}


def _front(path: Path, found: Mapping[str, np.ndarray]) -> MorphableModel:
    """The model out of the variables of BFM_model_front.mat (decimetres, colours up to 255)."""
    mean = _triples(path, "meanshape", found["meanshape"].reshape(-1)) * _MM_PER_DECIMETRE
    triangles = found["tri"].reshape(-1, 3).astype(np.int64) - 1
    landmarks68 = found["keypoints"].reshape(-1).astype(np.int64) - 1
    check_mesh(path, mean, triangles)
    if len(landmarks68) != 68:
        raise FaceModelFileError(f"{path}: {len(landmarks68)} keypoints instead of 68")
    for key in ("idBase", "exBase", "texBase"):
        if found[key].ndim != 2 or len(found[key]) != mean.size:
            raise FaceModelFileError(f"{path}: {key} has shape {found[key].shape}")
    return assemble(
        RawModel(
            name="bfm2009",
            source=path,
            mean_mm=mean,
            identity_mm=_stack(found["idBase"]) * _MM_PER_DECIMETRE,
            expression_mm=_stack(found["exBase"]) * _MM_PER_DECIMETRE,
            triangles=triangles,
            landmarks68=landmarks68,
            albedo_mean=_triples(path, "meantex", found["meantex"].reshape(-1)) / 255,
            albedo_basis=_stack(found["texBase"]) / 255,
            part=np.zeros(len(mean), dtype=np.int64),
            part_names=("face",),
            licences=("bfm2009", "bfm2009-expression", "bfm2009-deep3d"),
        )
    )


def _front_of_parts(path: Path, expression: Path, folder: Path) -> dict[str, np.ndarray]:
    """What Deep3D's transferBFM09 makes of the published files."""
    raw = read_mat(path, _RAW)
    front = read_mat(folder / "BFM_front_idx.mat", {"idx": MAX_VERTICES})["idx"]
    trim = read_mat(folder / "BFM_exp_idx.mat", {"trimIndex": MAX_VERTICES})["trimIndex"]
    info = read_mat(folder / "facemodel_info.mat", {k: _FRONT[k] for k in ("tri", "keypoints")})
    front, trim = (rows.reshape(-1).astype(np.int64) - 1 for rows in (front, trim))
    check_rows(folder, "BFM_front_idx", front, len(trim))
    check_rows(folder, "BFM_exp_idx", trim, raw["shapeMU"].size // 3)
    rows = trim[front]
    scale = _MM_PER_MICROMETRE / _MM_PER_DECIMETRE
    pick = {
        key: _scaled(path, raw[f"{key}PC"], raw[f"{key}EV"], BLOCK_SIZES[block], rows)
        for key, block in (("shape", "shape"), ("tex", "albedo"))
    }
    return {
        "meanshape": _triples(path, "shapeMU", raw["shapeMU"].reshape(-1))[rows] * scale,
        "meantex": _triples(path, "texMU", raw["texMU"].reshape(-1))[rows],
        "idBase": pick["shape"] * scale,
        "texBase": pick["tex"],
        "exBase": _expressions(expression, folder / "std_exp.txt", len(trim), front) * scale,
        **info,
    }


def _scaled(
    path: Path,
    basis: Float[np.ndarray, "..."],
    deviation: Float[np.ndarray, "..."],
    count: int,
    rows: Int[np.ndarray, "chosen"],
) -> Float[np.ndarray, "row component"]:
    """Some vertices of the first components times their deviations."""
    deviation = deviation.reshape(-1)
    if basis.ndim != 2 or basis.shape[1] != len(deviation) or basis.shape[0] % 3:
        raise FaceModelFileError(
            f"{path}: a basis of {basis.shape} with {len(deviation)} deviations"
        )
    cut = basis[:, :count].reshape(-1, 3, min(count, basis.shape[1]))
    check_rows(path, "index files", rows, len(cut))
    return (cut[rows] * deviation[:count]).reshape(3 * len(rows), -1)


def _expressions(
    path: Path, deviations: Path, vertices: int, rows: Int[np.ndarray, "chosen"]
) -> Float[np.ndarray, "row component"]:
    """Exp_Pca.bin (its mean is not used, as in Deep3D) times std_exp.txt."""
    for file in (path, deviations):
        if not file.is_file():
            raise FileNotFoundError(f"no file {file}; see: facegpt doctor")
    size = path.stat().st_size
    header = np.fromfile(path, dtype="<i4", count=1)
    count = int(header[0]) if len(header) else 0
    check_count(path, "expression components", count, 1, MAX_COMPONENTS)
    if size < 4 + 4 * 3 * vertices * (1 + count):
        raise FaceModelFileError(
            f"{path} has {size} bytes, too few for {count} components of {vertices} vertices"
        )
    used = min(count, BLOCK_SIZES["expression"])
    start = 4 + 4 * 3 * vertices
    basis = np.fromfile(path, dtype="<f4", count=used * 3 * vertices, offset=start)
    try:
        text = deviations.read_text(encoding="ascii")[:_MAX_TEXT]
        deviation = np.array(text.split(), dtype=np.float64)[:used]
    except ValueError as error:
        raise FaceModelFileError(f"{deviations} is no list of numbers: {error}") from error
    if len(deviation) < used:
        raise FaceModelFileError(f"{deviations} has {len(deviation)} numbers, {used} are needed")
    stack = basis.reshape(used, vertices, 3)[:, rows] * deviation[:, None, None]
    return stack.reshape(used, -1).T


def _triples(
    path: Path, what: str, values: Float[np.ndarray, "value"]
) -> Float[np.ndarray, "vertex 3"]:
    if len(values) % 3:
        raise FaceModelFileError(f"{path}: {what} has {len(values)} values, no multiple of 3")
    return values.reshape(-1, 3).astype(np.float64)
