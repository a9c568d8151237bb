"""REALY (Chai et al. 2022): what `main.py` of czh-98/REALY reads.

All meshes of a method lie in one folder, named as their images: digits, and for the views of one
person more digits behind underscores (`12.obj`, `12_3.obj`); the first number is the person, 1 to
100. All have the triangles of a template, `data/<template>.obj` of its repository, beside which
`data/<template>.txt` says where its 85 keypoints are: JSON, one [triangle, weight of the first
corner, weight of the second] each, counted from 0. Keypoints 0 to 67 are the iBUG points, 68 to 84
lie on cheeks and nose.

Ground truth are scans with the expression of the photo, so expressions are to be kept.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from facegpt.evaluation.answering import NamedReconstructor
from facegpt.evaluation.exports.errors import ExportError
from facegpt.evaluation.exports.meshes import SurfaceMesh, outer_model, surface_of
from facegpt.evaluation.exports.runner import (
    ExportOutcome,
    ExportSettings,
    ExportTask,
    claim_folder,
    export_faces,
)
from facegpt.fitting.photos import IMAGE_SUFFIXES
from facegpt.geometry.closest import TriangleSurface
from facegpt.geometry.export import TexturedMesh, write_atomically
from facegpt.geometry.obj import read_obj
from facegpt.geometry.registration import thin_plate_warp, umeyama
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.transfer import SKIN_PARTS

KEYPOINTS = 85
PEOPLE = 100

_LANDMARKS = 68
_NAME = re.compile(r"(\d+)(_\d+)*")
_EXAMPLE = "HIFI3D"
_MAX_KEYPOINT_BYTES = 1 << 20
_FARTHEST_MM = 20.0
"""From our surface to a keypoint of theirs that was carried over; more means that the template is
no face, or its keypoints are in another order."""


def realy_tasks(images: Path, output: Path) -> list[ExportTask]:
    """One task per image of a folder, by name.

    Args:
        output: The folder for REALY's --prediction; its meshes may be the only OBJ files there.

    Raises:
        ExportError: There is no image, a name is not that of an image of REALY, or two images have
            the same one.
    """
    found = sorted(p for p in images.glob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise ExportError(f"no image of REALY in {images}")
    tasks: dict[str, ExportTask] = {}
    for image in found:
        match = _NAME.fullmatch(image.stem)
        if match is None or not 1 <= int(match[1]) <= PEOPLE:
            raise ExportError(
                f"{image}: the code of REALY reads the number of the person, 1 to {PEOPLE}, from "
                "names such as 12.png or 12_3.png; leave only such images in the folder"
            )
        if image.stem in tasks:
            raise ExportError(f"{image} and {tasks[image.stem].image} would become the same mesh")
        tasks[image.stem] = ExportTask(image, output / f"{image.stem}.obj")
    return list(tasks.values())


def export_realy(
    method: NamedReconstructor,
    tasks: Sequence[ExportTask],
    output: Path,
    *,
    expression: bool,
    fill_in: FaceParameters | None = None,
    weights: str = "",
) -> Iterator[ExportOutcome]:
    """Write predictions for REALY; what is there already is passed over.

    Args:
        tasks: What `realy_tasks` gives for the same output.
        expression: Keep the expression of the photo, as the benchmark expects.
        fill_in: As in `export_faces`. REALY averages over the meshes that are there.
        weights: Where those of the method lie, for the record of the export.

    Raises:
        ExportError: The output holds an export with other settings.
    """
    name, model = method.name, method.model.name
    claim_folder(output, ExportSettings("REALY", name, model, expression, weights))
    return export_faces(method, tasks, write_realy_face, expression=expression, fill_in=fill_in)


def write_realy_face(task: ExportTask, face: SurfaceMesh) -> None:
    """The mesh in mm."""
    write_atomically(task.mesh, face.to_obj())


def write_realy_template(
    model: MorphableModel, realy_data: Path, output: Path, name: str = "facegpt"
) -> tuple[Path, Path]:
    """Write `<name>.obj` and `<name>.txt`, which belong into the folder `data` of REALY.

    Args:
        realy_data: That folder of a clone of czh-98/REALY: its example HIFI3D says where the
            keypoints are that iBUG does not have.
        output: Where to write both. Not the folder of the predictions.

    Returns:
        The mesh and the keypoints.

    Raises:
        FileNotFoundError: The example is not there.
        ExportError: It is damaged or no face.
    """
    mesh_path, keypoint_path = output / f"{name}.obj", output / f"{name}.txt"
    outer = outer_model(model)
    example = _read_example(realy_data / f"{_EXAMPLE}.obj")
    keypoints = _read_keypoints(realy_data / f"{_EXAMPLE}.txt", len(example.triangles))
    rows = keypoints_on(outer, example, keypoints)
    mean = surface_of(outer, FaceParameters.zeros(1), expression=False)
    write_atomically(keypoint_path, json.dumps([_listed(row) for row in rows]).encode())
    write_atomically(mesh_path, mean.to_obj())
    return mesh_path, keypoint_path


def keypoints_on(
    outer: MorphableModel, example: TexturedMesh, keypoints: Float[np.ndarray, "85 3"]
) -> Float[np.ndarray, "85 3"]:
    """The keypoints of an example mesh on the mean face of a model, in REALY's form.

    The first 68 are the landmarks of the model. The others are carried over: a similarity and then
    the smoothest warp that take the 68 points of the example to ours, and the closest point of our
    skin.

    Args:
        keypoints: Triangle of the example, and the weights of its first two corners.

    Raises:
        ExportError: A keypoint comes to lie far from the face.
    """
    mean_mm = outer.mean_mm.double().numpy()
    ours_mm = mean_mm[outer.landmarks68.numpy()]
    theirs = _places(example, keypoints)
    theirs_mm = umeyama(theirs[:_LANDMARKS], ours_mm).apply(theirs)
    carried_mm = thin_plate_warp(theirs_mm[:_LANDMARKS], ours_mm, theirs_mm)[_LANDMARKS:]
    triangles = outer.triangles.numpy()
    skin = np.flatnonzero(outer.part_mask(SKIN_PARTS).numpy()[triangles].all(axis=1))
    found = TriangleSurface(mean_mm, triangles[skin]).closest(carried_mm)
    if found.distance.max() > _FARTHEST_MM:
        raise ExportError(
            f"keypoint {_LANDMARKS + int(found.distance.argmax())} of REALY's example lies "
            f"{found.distance.max():.0f} mm from our face: its mesh and keypoints do not fit"
        )
    extra = np.column_stack([skin[found.triangle_ids], found.barycentric[:, :2]])
    own = [_at_vertex(triangles, int(vertex)) for vertex in outer.landmarks68]
    return np.concatenate([np.array(own, dtype=np.float64), extra])


def _places(mesh: TexturedMesh, keypoints: Float[np.ndarray, "85 3"]) -> Float[np.ndarray, "85 3"]:
    corners = mesh.vertices_mm.double().numpy()[
        mesh.triangles.numpy()[keypoints[:, 0].astype(np.int64)]
    ]
    weights = np.column_stack([keypoints[:, 1:], 1.0 - keypoints[:, 1] - keypoints[:, 2]])
    return np.einsum("pk,pkx->px", weights, corners)


def _at_vertex(triangles: Int[np.ndarray, "triangle 3"], vertex: int) -> tuple[float, float, float]:
    """A triangle with that corner, and all weight on it."""
    triangle, corner = np.argwhere(triangles == vertex)[0]
    return float(triangle), float(corner == 0), float(corner == 1)


def _listed(row: Float[np.ndarray, "3"]) -> list[int | float]:
    return [int(row[0]), float(row[1]), float(row[2])]


def _read_example(path: Path) -> TexturedMesh:
    try:
        return read_obj(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"no file {path}; it is in the folder data of https://github.com/czh-98/REALY"
        ) from error
    # Beside MeshFileError: texture numbers without coordinates, numbers beyond 64 bits.
    except (ValueError, OverflowError) as error:
        raise ExportError(f"{path} is no mesh that can be read: {error}") from error


def _read_keypoints(path: Path, triangles: int) -> Float[np.ndarray, "85 3"]:
    """
    Raises:
        ExportError: It is no list of 85 triangles and weights.
    """
    try:
        with path.open("rb") as file:
            table = np.array(json.loads(file.read(_MAX_KEYPOINT_BYTES)), dtype=np.float64)
    except (ValueError, TypeError, RecursionError) as error:
        raise ExportError(f"{path} is damaged: {error}") from error
    if table.shape != (KEYPOINTS, 3) or not np.isfinite(table).all():
        raise ExportError(f"{path} has shape {table.shape} instead of ({KEYPOINTS}, 3)")
    rows = table[:, 0]
    if (rows != rows.round()).any() or rows.min() < 0 or rows.max() >= triangles:
        raise ExportError(f"{path} names triangles that its mesh does not have")
    return table
