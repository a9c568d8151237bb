"""Make the faces of an export and write them, so that it can be stopped and repeated.

Files are there in full or not at all, and a photo whose files are all there is passed over. A
record beside them keeps what was exported how; a folder with another export is refused. Knows no
benchmark.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from facegpt.evaluation.answering import NamedReconstructor
from facegpt.evaluation.exports.errors import ExportError
from facegpt.evaluation.exports.meshes import SurfaceMesh, outer_model, surface_of
from facegpt.geometry.export import write_atomically
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.images import ImageError, Photo, load_image

RECORD = "facegpt-export.json"
"""Name of the record in the folder of an export."""

_PHOTOS_AT_ONCE = 8
_MAX_RECORD_BYTES = 1 << 16

Status = Literal["written", "there already", "no face", "filled in", "unreadable"]


@dataclass(frozen=True)
class ExportTask:
    """One photo and the files that its face shall become."""

    image: Path
    mesh: Path
    """Is written last, so it is the sign that all are there."""
    landmarks: Path | None = None
    """A file of landmarks, if the benchmark wants one per face."""

    @property
    def is_done(self) -> bool:
        """Whether an earlier run has written all of it."""
        return self.mesh.is_file() and (self.landmarks is None or self.landmarks.is_file())


@dataclass(frozen=True)
class ExportOutcome:
    """What became of one photo."""

    task: ExportTask
    status: Status
    problem: str = ""
    """Why it is unreadable."""


@dataclass(frozen=True)
class ExportSettings:
    """What an export holds; the record of it is compared when the export goes on."""

    benchmark: str
    method: str
    morphable_model: str
    expression: bool
    """Faces keep the expression of the photo; otherwise they are neutral."""
    weights: str = ""
    """Where the weights of the method lie, if it has some beside those it is shipped with: two
    trainings have the same name."""


WriteFace = Callable[[ExportTask, SurfaceMesh], None]


def export_faces(
    method: NamedReconstructor,
    tasks: Sequence[ExportTask],
    write: WriteFace,
    *,
    expression: bool,
    fill_in: FaceParameters | None = None,
) -> Iterator[ExportOutcome]:
    """Write the largest face of every photo; outcomes come in the order of the tasks.

    Args:
        write: How the benchmark wants a face.
        expression: Keep the expression of the photo; otherwise faces are neutral.
        fill_in: Theta, a batch of one, for photos in which no face is found; None leaves them out.
    """
    outer = outer_model(method.model)
    for first in range(0, len(tasks), _PHOTOS_AT_ONCE):
        part = tasks[first : first + _PHOTOS_AT_ONCE]
        photos, outcomes = _load(part)
        answers = method.reconstruct_photos([photos[task] for task in photos])
        for task, faces in zip(photos, answers, strict=True):
            theta = faces[0].parameters if faces else fill_in
            if theta is None:
                outcomes[task] = ExportOutcome(task, "no face")
                continue
            write(task, surface_of(outer, theta, expression=expression))
            outcomes[task] = ExportOutcome(task, "written" if faces else "filled in")
        yield from (outcomes[task] for task in part)


def _load(
    tasks: Sequence[ExportTask],
) -> tuple[dict[ExportTask, Photo], dict[ExportTask, ExportOutcome]]:
    """The photos that are to be read, and what is known of the others already."""
    photos: dict[ExportTask, Photo] = {}
    outcomes: dict[ExportTask, ExportOutcome] = {}
    for task in tasks:
        if task.is_done:
            outcomes[task] = ExportOutcome(task, "there already")
            continue
        try:
            photos[task] = load_image(task.image)
        except ImageError as error:
            outcomes[task] = ExportOutcome(task, "unreadable", str(error))
    return photos, outcomes


def claim_folder(output: Path, settings: ExportSettings) -> None:
    """Write the record of an export, or find that it is the one that is there.

    Raises:
        ExportError: The folder holds an export with other settings, or its record is damaged.
    """
    path, wanted = output / RECORD, asdict(settings)
    if not path.exists():
        write_atomically(path, (json.dumps(wanted, indent=1) + "\n").encode())
        return
    found = _read_record(path)
    different = [name for name, value in wanted.items() if found.get(name) != value]
    if different:
        says = ", ".join(f"{name} {found.get(name)!r}" for name in different)
        wants = ", ".join(f"{name} {wanted[name]!r}" for name in different)
        raise ExportError(
            f"{output} holds an export with {says}, not {wants}; choose another --output"
        )


def _read_record(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            record = json.loads(file.read(_MAX_RECORD_BYTES))
    except (ValueError, RecursionError) as error:
        raise ExportError(f"{path} is damaged: {error}; choose another --output") from error
    if not isinstance(record, dict):
        raise ExportError(f"{path} is no record of an export; choose another --output")
    return record
