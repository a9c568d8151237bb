"""From photos to rows: perception, theta and, where nobody has to be waited for, words.

Photos are read some at a time, and what becomes of them depends on no other, so it does not matter
who reads them, where, and in which order. Knows no files of a data set.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from facegpt.data.describe import DescribeFailure, DescribeItem, Describer, Description
from facegpt.data.schema import FaceRow, encode_crop, encode_mask
from facegpt.data.sources import PhotoTask
from facegpt.data.theta import ThetaEstimator
from facegpt.data.tokens import NO_TOKENS, Tokens
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.alignment import AlignedFace, align
from facegpt.perception.images import ImageError, Photo, load_image
from facegpt.perception.landmarks import LandmarkDetector

PHOTOS_AT_ONCE = 16
"""Photos that are read together: what one worker is given at a time."""

_FACES_AT_ONCE = 32
"""Faces held decoded."""

_MOST_FACES = 16
"""Faces taken from one photo, the largest ones."""

Problem = dict[str, str]
"""A line of the side table: `source`, `problem` and, for single faces, `face_id`."""


@dataclass(frozen=True, eq=False)
class Piece:
    """What became of some photos that follow each other."""

    rows: list[FaceRow]
    problems: list[Problem]
    photos: tuple[tuple[int, int], ...]
    """Faces and problems that each photo brought."""
    undescribed: int = 0
    """Faces that stayed without words although a describer was asked."""


@runtime_checkable
class Engine(Protocol):
    """Who reads the photos."""

    def pieces(
        self, reader: "PhotoReader", batches: Sequence[Sequence[PhotoTask]]
    ) -> Iterator[Piece]:
        """What becomes of every batch, in their order."""
        ...


class SerialEngine:
    """One batch after the other, in this process."""

    def pieces(
        self, reader: "PhotoReader", batches: Sequence[Sequence[PhotoTask]]
    ) -> Iterator[Piece]:
        """What becomes of every batch, in their order."""
        return map(reader.read, batches)


@dataclass(frozen=True, eq=False)
class _Found:
    """One face of a photo, before it has words."""

    face_id: str
    task: PhotoTask
    aligned: AlignedFace


class PhotoReader:
    """Reads photos; can be sent to another process."""

    def __init__(
        self,
        faces: Literal["largest", "every"],
        detector: LandmarkDetector,
        estimator: ThetaEstimator | None,
        describer: Describer | None,
    ) -> None:
        """Take what rows are made with.

        Args:
            describer: One that answers at once; whoever waits for a server is asked later.
        """
        self.wanted = 1 if faces == "largest" else _MOST_FACES
        self.detector = detector
        self.estimator = estimator
        self.describer = describer

    def read(self, tasks: Sequence[PhotoTask]) -> Piece:
        """The rows of some photos; what cannot be used is reported and passed over."""
        rows: list[FaceRow] = []
        problems: list[Problem] = []
        photos: list[tuple[int, int]] = []
        waiting: list[_Found] = []
        undescribed = 0
        for task in tasks:
            known = len(problems)
            found = self._find(task, problems)
            photos.append((len(found), len(problems) - known))
            waiting += found
            while len(waiting) >= _FACES_AT_ONCE:
                undescribed += self._finish(waiting[:_FACES_AT_ONCE], rows, problems)
                del waiting[:_FACES_AT_ONCE]
        undescribed += self._finish(waiting, rows, problems)
        return Piece(rows, problems, tuple(photos), undescribed)

    def _find(self, task: PhotoTask, problems: list[Problem]) -> list[_Found]:
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
                problems.append(problem_of(face_id, task.source, str(error)))
        return found

    def _points(self, task: PhotoTask, photo: Photo) -> list[np.ndarray]:
        if task.landmarks68_px is None:
            return [face.landmarks68_px for face in self.detector.detect(photo)]
        known = [photo.from_original(face.astype(np.float64)) for face in task.landmarks68_px]
        return sorted(known, key=lambda points: -float(np.ptp(points, axis=0).prod()))

    def _finish(self, found: Sequence[_Found], rows: list[FaceRow], problems: list[Problem]) -> int:
        """Add the rows of some faces; how many stayed without words."""
        thetas = self._thetas(found, problems)
        method = "" if self.estimator is None else self.estimator.name
        made = [_row(face, theta, method) for face, theta in zip(found, thetas, strict=True)]
        if self.describer is None or not found:
            rows += made
            return 0
        items = [
            DescribeItem(face.face_id, face.task.source, face.aligned.crop, theta, face.task.labels)
            for face, theta in zip(found, thetas, strict=True)
        ]
        said = with_words(made, self.describer.describe(items), self.describer.name)
        rows += said.rows
        problems += said.problems
        return said.undescribed

    def _thetas(
        self, found: Sequence[_Found], problems: list[Problem]
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
            problems.append(problem_of(face.face_id, face.task.source, f"no theta: {error}"))
            return [None]


@dataclass(frozen=True, eq=False)
class Worded:
    """Rows with what was said about them."""

    rows: list[FaceRow]
    problems: list[Problem]
    undescribed: int
    tokens: Tokens


def with_words(
    rows: Sequence[FaceRow], answers: Sequence[Description | DescribeFailure], describer: str
) -> Worded:
    """Put answers into their rows; faces without words are problems.

    Args:
        describer: Name of who answered.
    """
    worded: list[FaceRow] = []
    problems: list[Problem] = []
    for row, answer in zip(rows, answers, strict=True):
        if isinstance(answer, DescribeFailure):
            reason = f"no description: {answer.reason}"
            problems.append(problem_of(row.face_id, row.source, reason))
            worded.append(row)
        else:
            worded.append(_worded(row, answer, describer))
    tokens = sum((answer.tokens for answer in answers), NO_TOKENS)
    return Worded(worded, problems, len(problems), tokens)


def _worded(row: FaceRow, said: Description, describer: str) -> FaceRow:
    return replace(
        row,
        descriptions=tuple(said.descriptions),
        short=said.short,
        conversations=tuple((question, answer) for question, answer in said.conversations),
        implicit=tuple(said.implicit),
        labels={**row.labels, **said.labels},
        describer=describer,
    )


def problem_of(face_id: str, source: str, problem: str) -> Problem:
    """A line of the side table about one face."""
    return {"source": source, "face_id": face_id, "problem": problem}


def _row(face: _Found, theta: FaceParameters | None, method: str) -> FaceRow:
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
        labels=dict(face.task.labels),
    )
