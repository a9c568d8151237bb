"""NoW (Sanyal et al. 2019): what `compute_error.py` of soubhiksanyal/now_evaluation reads.

It goes through a list of images, `subject/challenge/file.jpg`, and looks for each in the folder of
predictions for `subject/challenge/file.obj` (four letters are cut from the file name) and, beside
it, `file.npy`: 7 landmarks of the mesh, (7, 3), in the unit of the mesh. Scans are neutral whatever
the face in the photo does, so the benchmark asks for meshes without expression.
"""

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from facegpt.baselines.external.written import NOW_LANDMARKS
from facegpt.evaluation.answering import NamedReconstructor
from facegpt.evaluation.exports.errors import ExportError
from facegpt.evaluation.exports.meshes import SurfaceMesh
from facegpt.evaluation.exports.runner import (
    ExportOutcome,
    ExportSettings,
    ExportTask,
    claim_folder,
    export_faces,
)
from facegpt.geometry.export import write_atomically
from facegpt.morphable.parameters import FaceParameters

_MAX_LIST_BYTES = 1 << 22
_SUFFIX_LETTERS = 4


def now_tasks(image_list: Path, images: Path, output: Path) -> list[ExportTask]:
    """One task per image of a list, in its order.

    Args:
        image_list: `imagepathsvalidation.txt` or `imagepathstest.txt` of the data set.
        images: Its folder `final_release_version/iphone_pictures`.
        output: The folder of predictions.

    Raises:
        FileNotFoundError: There is no such list.
        ExportError: It is empty or too large, or a line is no subject/challenge/file.jpg.
    """
    size = image_list.stat().st_size
    if size > _MAX_LIST_BYTES:
        raise ExportError(f"{image_list} has {size} bytes; the lists of NoW have less than 200,000")
    lines = image_list.read_text(encoding="utf-8", errors="replace").splitlines()
    wanted = dict.fromkeys(line.strip() for line in lines if line.strip())
    if not wanted:
        raise ExportError(f"{image_list} names no image")
    return [_task(image_list, line, images, output) for line in wanted]


def _task(image_list: Path, line: str, images: Path, output: Path) -> ExportTask:
    parts = line.split("/")[-3:]
    stem = parts[-1][:-_SUFFIX_LETTERS]
    if len(parts) < 3 or not stem or any(part in ("", ".", "..") for part in parts):
        raise ExportError(f"{image_list}: {line[:80]!r} is no subject/challenge/file.jpg")
    if not parts[-1][len(stem) :].startswith("."):
        raise ExportError(
            f"{image_list}: {line[:80]!r} has no suffix of three letters, which the code of NoW "
            "cuts off"
        )
    folder = output.joinpath(*parts[:2])
    return ExportTask(
        images.joinpath(*parts), folder / f"{stem}.obj", landmarks=folder / f"{stem}.npy"
    )


def export_now(
    method: NamedReconstructor,
    tasks: Sequence[ExportTask],
    output: Path,
    *,
    expression: bool,
    fill_in: FaceParameters | None = None,
    weights: str = "",
) -> Iterator[ExportOutcome]:
    """Write predictions for NoW; what is there already is passed over.

    Args:
        tasks: What `now_tasks` gives for the same output.
        expression: Keep the expression of the photo. The benchmark asks for neutral faces.
        fill_in: As in `export_faces`. NoW calls a result insufficient for comparison if faces are
            missing.
        weights: Where those of the method lie, for the record of the export.

    Raises:
        ExportError: The output holds an export with other settings.
    """
    name, model = method.name, method.model.name
    claim_folder(output, ExportSettings("NoW", name, model, expression, weights))
    return export_faces(method, tasks, write_now_face, expression=expression, fill_in=fill_in)


def write_now_face(task: ExportTask, face: SurfaceMesh) -> None:
    """The landmarks, then the mesh, both in mm."""
    points_mm = face.vertices_mm[face.landmarks68[list(NOW_LANDMARKS)]]
    table = BytesIO()
    np.save(table, points_mm.double().numpy(), allow_pickle=False)
    assert task.landmarks is not None
    write_atomically(task.landmarks, table.getvalue())
    write_atomically(task.mesh, face.to_obj())
