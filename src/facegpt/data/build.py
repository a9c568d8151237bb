"""From a folder of photos to a data set: perception, theta, words, Parquet shards.

The photos of a shard are fixed beforehand and nothing in a row depends on other shards, so a killed
build goes on where it stopped and ends in the same files as one that was never interrupted. A photo
that cannot be used is reported in `problems.jsonl` and passed over. Knows no command line.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from facegpt.data.describe import DescribeFailure, DescribeItem, Describer, Description
from facegpt.data.schema import DatasetError, FaceRow, encode_crop, encode_mask, import_datasets
from facegpt.data.shards import (
    MANIFEST,
    Manifest,
    append_problems,
    intact_prefix,
    read_manifest,
    read_problems,
    write_manifest,
    write_shard,
)
from facegpt.data.sources import PhotoTask, fingerprint, plan_photos
from facegpt.data.theta import ThetaEstimator
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.alignment import AlignedFace, align
from facegpt.perception.detection import DlibDetector
from facegpt.perception.images import ImageError, Photo, load_image
from facegpt.perception.landmarks import LandmarkDetector

_FACES_AT_ONCE = 32
"""Faces held decoded; describers that ask a server see so many at once."""

_MOST_FACES = 16
"""Faces taken from one photo, the largest ones."""

_Problem = dict[str, str]


@dataclass(frozen=True)
class BuildSettings:
    """What a data set is built from, and how."""

    images: Path
    """Folder of photos; the folders below it are searched, too."""
    output: Path
    """Folder of the data set. An unfinished build with the same settings goes on."""
    index: Path | None = None
    """CSV with a column `name` that chooses photos; its other columns become labels."""
    split: str | None = None
    """Only photos whose column `split` in the index says this."""
    landmarks: Path | None = None
    """npz with `names` and `landmarks` (68 points in pixels); the detector is then not asked."""
    faces: Literal["largest", "every"] = "largest"
    """Which faces of a photo to take."""
    shard_photos: int = 256
    """Photos per Parquet file, and per step that a killed build may lose."""
    limit: int | None = None
    """At most this many photos, the first by name."""
    seed: int = 0
    """Of what a describer decides at random; whoever makes the describer hands it on."""

    def __post_init__(self) -> None:
        if self.shard_photos < 1:
            raise DatasetError(f"--shard-photos must be at least 1, got {self.shard_photos}")
        if self.limit is not None and self.limit < 1:
            raise DatasetError(f"--limit must be at least 1, got {self.limit}")


@dataclass(frozen=True)
class BuildProgress:
    """How far a build is; said after every photo."""

    photos_done: int
    photos: int
    faces: int
    problems: int


@dataclass(frozen=True)
class BuildReport:
    """What a build came to."""

    output: Path
    photos: int
    faces: int
    problems: int
    undescribed: int
    """Faces of this run that stayed without words although a describer was asked."""
    photos_kept: int
    """Photos that an earlier run had finished."""


@dataclass(frozen=True, eq=False)
class _Found:
    """One face of a photo, before it has words."""

    face_id: str
    task: PhotoTask
    aligned: AlignedFace


class _Builder:
    """What every shard needs, and what has been counted so far."""

    def __init__(
        self,
        faces: Literal["largest", "every"],
        describer: Describer | None,
        detector: LandmarkDetector,
        estimator: ThetaEstimator | None,
    ) -> None:
        self.wanted = 1 if faces == "largest" else _MOST_FACES
        self.describer = describer
        self.detector = detector
        self.estimator = estimator
        self.undescribed = 0

    def rows(
        self, tasks: Sequence[PhotoTask], after_photo: Callable[[int, int], None]
    ) -> tuple[list[FaceRow], list[_Problem]]:
        """Rows and problems of one shard; `after_photo` hears how many faces and problems a photo
        brought."""
        rows: list[FaceRow] = []
        problems: list[_Problem] = []
        waiting: list[_Found] = []
        for task in tasks:
            known = len(problems)
            found = self._find(task, problems)
            after_photo(len(found), len(problems) - known)
            waiting += found
            while len(waiting) >= _FACES_AT_ONCE:
                rows += self._finish(waiting[:_FACES_AT_ONCE], problems)
                del waiting[:_FACES_AT_ONCE]
        rows += self._finish(waiting, problems)
        return rows, problems

    def _find(self, task: PhotoTask, problems: list[_Problem]) -> list[_Found]:
        if task.problem:
            problems.append({"source": task.source, "problem": task.problem})
            return []
        try:
            photo = load_image(task.path)
        except ImageError as error:
            problems.append({"source": task.source, "problem": str(error)})
            return []
        points = self._points(task, photo)[: self.wanted]
        if not points:
            problems.append({"source": task.source, "problem": "no face found"})
        found = []
        for number, landmarks68_px in enumerate(points):
            face_id = f"{task.source}:{number}"
            try:
                found.append(_Found(face_id, task, align(photo, landmarks68_px)))
            except ValueError as error:
                problems.append(_problem(face_id, task, str(error)))
        return found

    def _points(self, task: PhotoTask, photo: Photo) -> list[np.ndarray]:
        if task.landmarks68_px is None:
            return [face.landmarks68_px for face in self.detector.detect(photo)]
        known = [photo.from_original(face.astype(np.float64)) for face in task.landmarks68_px]
        return sorted(known, key=lambda points: -float(np.ptp(points, axis=0).prod()))

    def _finish(self, found: Sequence[_Found], problems: list[_Problem]) -> list[FaceRow]:
        thetas = self._thetas(found, problems)
        words = self._words(found, thetas, problems)
        method = "" if self.estimator is None else self.estimator.name
        describer = "" if self.describer is None else self.describer.name
        return [
            _row(face, theta, method, said, describer)
            for face, theta, said in zip(found, thetas, words, strict=True)
        ]

    def _thetas(
        self, found: Sequence[_Found], problems: list[_Problem]
    ) -> list[FaceParameters | None]:
        if self.estimator is None or not found:
            return [None] * len(found)
        try:
            return list(self.estimator.estimate([face.aligned for face in found]))
        except ValueError as error:
            if len(found) > 1:
                # One face spoilt the batch: find it, keep the others.
                parts = [self._thetas([face], problems) for face in found]
                return [theta for part in parts for theta in part]
            [face] = found
            problems.append(_problem(face.face_id, face.task, f"no theta: {error}"))
            return [None]

    def _words(
        self,
        found: Sequence[_Found],
        thetas: Sequence[FaceParameters | None],
        problems: list[_Problem],
    ) -> list[Description | None]:
        if self.describer is None or not found:
            return [None] * len(found)
        items = [
            DescribeItem(face.face_id, face.task.source, face.aligned.crop, theta, face.task.labels)
            for face, theta in zip(found, thetas, strict=True)
        ]
        words: list[Description | None] = []
        for face, answer in zip(found, self.describer.describe(items), strict=True):
            if isinstance(answer, DescribeFailure):
                self.undescribed += 1
                reason = f"no description: {answer.reason}"
                problems.append(_problem(face.face_id, face.task, reason))
                words.append(None)
            else:
                words.append(answer)
        return words


def build_dataset(
    settings: BuildSettings,
    *,
    describer: Describer | None = None,
    detector: LandmarkDetector | None = None,
    estimator: ThetaEstimator | None = None,
    made_with: Mapping[str, str] | None = None,
    progress: Callable[[BuildProgress], None] | None = None,
) -> BuildReport:
    """Build a data set, or go on with it.

    Args:
        describer: Gives words to faces; without one there are none.
        detector: Finds faces where no landmarks are known; dlib's if None.
        estimator: Gives theta to faces; without one there is none.
        made_with: What else shapes the rows, by name: settings of the describer or the estimator.
            Recorded in the manifest; a build with other values does not go on.
        progress: Hears after every photo how far the build is.

    Raises:
        DatasetError: The settings contradict each other or the build in the output folder, or a
            package is missing.
    """
    import_datasets()
    tasks = plan_photos(
        settings.images,
        index=settings.index,
        split=settings.split,
        landmarks=settings.landmarks,
        limit=settings.limit,
    )
    record = _record(settings, tasks, describer, estimator) | {"made_with": dict(made_with or {})}
    manifest = _begin(settings, Manifest(record, len(tasks)))
    kept = manifest.photos_done
    reached = BuildProgress(kept, len(tasks), manifest.rows, len(read_problems(settings.output)))

    def after_photo(faces: int, problems: int) -> None:
        nonlocal reached
        reached = BuildProgress(
            reached.photos_done + 1,
            reached.photos,
            reached.faces + faces,
            reached.problems + problems,
        )
        if progress is not None:
            progress(reached)

    builder = _Builder(settings.faces, describer, detector or DlibDetector(), estimator)
    while not manifest.is_complete:
        first = manifest.photos_done
        part = tasks[first : first + settings.shard_photos]
        rows, problems = builder.rows(part, after_photo)
        manifest = _store(settings.output, manifest, len(part), rows, problems)
    problem_count = len(read_problems(settings.output))
    return BuildReport(
        settings.output, len(tasks), manifest.rows, problem_count, builder.undescribed, kept
    )


def _begin(settings: BuildSettings, fresh: Manifest) -> Manifest:
    """The manifest to go on with; a folder that holds something else is refused."""
    output = settings.output
    if not (output / MANIFEST).exists():
        if output.exists() and (not output.is_dir() or any(_visible(output))):
            raise DatasetError(
                f"{output} exists and holds no data set; choose an empty folder: --output DIR"
            )
        output.mkdir(parents=True, exist_ok=True)
        write_manifest(output, fresh)
        return fresh
    before = read_manifest(output)
    for name, value in fresh.settings.items():
        if before.settings.get(name) != value:
            raise DatasetError(
                f"the data in {output} was built with another setting: {name} was "
                f"{before.settings.get(name)!r} and is now {value!r}; build into another folder: "
                f"--output DIR"
            )
    manifest = intact_prefix(output, before)
    append_problems(output, _problems_end(manifest), ())
    return manifest


def _visible(folder: Path) -> list[Path]:
    """What lies in a folder, without the unfinished files of a killed build."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _problems_end(manifest: Manifest) -> int:
    return manifest.shards[-1].problems_end if manifest.shards else 0


def _store(
    output: Path,
    manifest: Manifest,
    photos: int,
    rows: Sequence[FaceRow],
    problems: Sequence[_Problem],
) -> Manifest:
    end = append_problems(output, _problems_end(manifest), problems)
    number = len(manifest.shards)
    shard = write_shard(output, number, rows, photos=photos, problems_end=end)
    grown = manifest.with_shard(shard)
    write_manifest(output, grown)
    return grown


def _record(
    settings: BuildSettings,
    tasks: Sequence[PhotoTask],
    describer: Describer | None,
    estimator: ThetaEstimator | None,
) -> dict[str, Any]:
    """What shapes the rows, as JSON; where the photos lie does not."""
    places = ("images", "output", "index", "landmarks")
    record = {name: value for name, value in asdict(settings).items() if name not in places}
    record["describer"] = None if describer is None else describer.name
    record["theta_method"] = None if estimator is None else estimator.name
    record["photos_sha256"] = fingerprint(tasks)
    return record


def _problem(face_id: str, task: PhotoTask, problem: str) -> _Problem:
    return {"source": task.source, "face_id": face_id, "problem": problem}


def _row(
    face: _Found,
    theta: FaceParameters | None,
    method: str,
    words: Description | None,
    describer: str,
) -> FaceRow:
    said = words or Description((), "")
    return FaceRow(
        face_id=face.face_id,
        source=face.task.source,
        crop=encode_crop(face.aligned.crop),
        skin=encode_mask(face.aligned.skin),
        validity=encode_mask(face.aligned.validity),
        landmarks68_px=face.aligned.landmarks68_px,
        is_grey=face.aligned.is_grey,
        theta=None if theta is None else theta.to_vector()[0].float(),
        theta_method=method if theta is not None else "",
        descriptions=tuple(said.descriptions),
        short=said.short,
        conversations=tuple((question, answer) for question, answer in said.conversations),
        implicit=tuple(said.implicit),
        labels={**face.task.labels, **said.labels},
        describer=describer if words is not None else "",
    )
