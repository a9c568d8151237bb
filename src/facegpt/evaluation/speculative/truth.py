"""Step four: pseudo ground truth, the theta of every face by fitting it to its picture.

The records are those of `facegpt fit --format json`. Each lies in a folder named after what it was
made with and after the picture's checksum, so another model, another number of steps or another
picture never meets an old record. Where there are several faces, the largest one counts.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facegpt.evaluation.asking import Progress
from facegpt.evaluation.json_lines import JsonFileError, JsonLine, sha256_of
from facegpt.evaluation.speculative.selection import Selected
from facegpt.evaluation.speculative.sources import picture_path
from facegpt.evaluation.speculative.workspace import (
    DescribedFace,
    Problem,
    StepFile,
    Workspace,
    read_step,
    write_step,
)
from facegpt.fitting.photos import PhotoOutcome, PhotoReconstructor, PhotoTask, fit_photos
from facegpt.reconstruction import read_record
from facegpt.record_checks import FaceRecordError

RECORD = "face.json"
_FORMATS = ("json",)


@dataclass(frozen=True)
class TruthSettings:
    """What decides the fit, beside the picture."""

    model: str = "default"
    """Morphable model, as `facegpt fit` knows it."""
    steps: int = 120
    """Gradient steps of the last stage."""
    method: str = "fit"

    @property
    def folder_name(self) -> str:
        """Where records made like this lie."""
        return f"{self.method}-{self.model}-{self.steps}"


@dataclass(frozen=True)
class FittedFace:
    """The record of one picture."""

    image: str
    record: str
    """Path in the working folder, with forward slashes."""
    sha256: str
    """Of the record."""
    faces: int
    """In the picture; the record is that of the largest."""

    @staticmethod
    def from_record(line: JsonLine) -> "FittedFace":
        """From JSON.

        Raises:
            JsonFileError: A field is missing.
        """
        faces = line.record.get("faces")
        if not isinstance(faces, int):
            raise JsonFileError(f"{line.where}: 'faces' must be a number")
        return FittedFace(line.text("image"), line.text("record"), line.text("sha256"), faces)


def fit_truth(
    work: Workspace,
    images: Path,
    reconstructor: PhotoReconstructor,
    settings: TruthSettings,
    progress: Progress | None = None,
) -> StepFile:
    """Fit every face of the selection that has a sentence, and write `truth.json`.

    Pictures that were fitted before are passed over, so a run that was stopped goes on. Pictures
    that are gone, changed, broken or without a face are among the problems.

    Args:
        reconstructor: Made according to `settings`.

    Raises:
        SpeculativeError: The step before is missing or damaged.
    """
    selection = read_step(work.selection, "select")
    chosen = [Selected.from_record(item) for item in selection.items]
    made_with = {"selection": sha256_of(work.selection), **asdict(settings)}
    faces, problems = _usable([c.face for c in chosen if c.sentences], images)
    folder = work.records / settings.folder_name
    # Two names of the same picture are one fit.
    tasks = {f.sha256: PhotoTask(images / f.image, folder / f.sha256[:16]) for f in faces}
    for task in tasks.values():
        _drop_damaged(task.directory / RECORD)
    outcomes: dict[str, PhotoOutcome] = {}
    fitted = fit_photos(reconstructor, list(tasks.values()), _FORMATS)
    for digest, outcome in zip(tasks, fitted, strict=True):
        outcomes[digest] = outcome
        if progress is not None:
            progress(len(outcomes), len(tasks))
    items = []
    for face in faces:
        reason = _reason(outcomes[face.sha256])
        if reason:
            problems.append(Problem(face.image, reason))
        else:
            items.append(_item(face.image, tasks[face.sha256].directory, work))
    return write_step(work.truth, made_with, items, problems)


def _usable(
    faces: Sequence[DescribedFace], images: Path
) -> tuple[list[DescribedFace], list[Problem]]:
    """The faces whose pictures are there and still the same."""
    usable, problems = [], []
    for face in faces:
        path = picture_path(images, face.image)
        if path is None:
            problems.append(Problem(face.image, f"there is no such picture in {images}"))
        elif sha256_of(path) != face.sha256:
            problems.append(Problem(face.image, "the picture is not the one that was described"))
        else:
            usable.append(face)
    return usable, problems


def _drop_damaged(record: Path) -> None:
    """Remove a record that cannot be read, so that its picture is fitted again."""
    try:
        read_record(record)
    except FileNotFoundError:
        return
    except FaceRecordError:
        record.unlink()


def _reason(outcome: PhotoOutcome) -> str:
    """Why there is no record; empty where there is one."""
    return outcome.error or ("there is no face in it" if outcome.has_no_face else "")


def _item(image: str, directory: Path, work: Workspace) -> dict[str, Any]:
    record = directory / RECORD
    return {
        "image": image,
        "record": record.relative_to(work.folder).as_posix(),
        "sha256": sha256_of(record),
        # Further faces lie in DIRECTORY-2 and so on; the name itself holds no hyphen.
        "faces": 1 + len(list(directory.parent.glob(f"{directory.name}-*"))),
    }
