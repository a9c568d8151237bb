"""Which photos a data set is built from, and what is known about them beforehand.

Photos come from one folder and what lies below it, in the order of their names, so the same folder
gives the same data set everywhere. An index (CSV) may choose among them and label them; known
landmarks (npz) may replace the detector. Reads no photo.
"""

import csv
import hashlib
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from facegpt.data.schema import LANDMARK_COUNT, DatasetError
from facegpt.fitting.photos import IMAGE_SUFFIXES

INDEX_PREFIX = "index."
"""Columns of the index become labels under this prefix."""

_NOT_LABELS = ("name", "split", "dup_of")


@dataclass(frozen=True, eq=False)
class PhotoTask:
    """One photo that shall become rows."""

    source: str
    """Relative to the folder of photos, with forward slashes."""
    path: Path
    labels: Mapping[str, str] = field(default_factory=dict)
    landmarks68_px: tuple[Float[np.ndarray, "68 2"], ...] | None = None
    """Of every known face, in pixels of the upright photo; None: to be detected."""
    problem: str = ""
    """Why this photo cannot be used, where that is known already."""


def plan_photos(
    images: Path,
    *,
    index: Path | None = None,
    split: str | None = None,
    landmarks: Path | None = None,
    limit: int | None = None,
) -> list[PhotoTask]:
    """The photos of a folder as tasks, sorted by name.

    Args:
        index: CSV with a column `name`; only its photos are used. A column `dup_of` that is not
            empty drops a duplicate, every other column becomes a label.
        split: Only photos whose column `split` says this.
        landmarks: npz with `names` and `landmarks` (68 points in pixels of the photo); a name may
            appear several times, once per face.
        limit: At most this many photos, the first ones.

    Raises:
        DatasetError: There is no photo to use, or the index or the landmarks cannot be read.
    """
    if index is None and split is not None:
        raise DatasetError(f"--split {split} needs an index that says who is in it: --index FILE")
    paths = _photos_below(images)
    labels = None if index is None else read_index(index, split)
    known = None if landmarks is None else read_known_landmarks(landmarks)
    names = sorted(paths if labels is None else labels)[:limit]
    tasks = [_task(name, paths, labels or {}, known) for name in names]
    if labels is not None and not any(name in paths for name in labels):
        raise DatasetError(
            f"none of the {len(labels)} photos of {index} is in {images}; names in the index are "
            f"relative to that folder"
        )
    return tasks


def fingerprint(tasks: Iterable[PhotoTask]) -> str:
    """A digest of what a build is made from: names and sizes of files, known points and labels."""
    digest = hashlib.sha256()
    for task in tasks:
        size = task.path.stat().st_size if task.path.is_file() else -1
        digest.update(ascii((task.source, size, sorted(task.labels.items()))).encode())
        for points in task.landmarks68_px or ():
            digest.update(points.tobytes())
    return digest.hexdigest()


def read_index(path: Path, split: str | None = None) -> dict[str, dict[str, str]]:
    """Name of a photo -> its labels, duplicates left out.

    Raises:
        DatasetError: The file is no such index, or nobody is in the split.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"the index {path} cannot be read: {error}") from error
    for column in ("name", "split")[: 1 if split is None else 2]:
        if not rows or column not in rows[0]:
            found = ", ".join(rows[0]) if rows else "nothing"
            raise DatasetError(f"the index {path} needs a column `{column}`; it has {found}")
    chosen = [row for row in rows if split is None or row["split"] == split]
    if not chosen:
        known = sorted({row["split"] for row in rows})
        raise DatasetError(f"nobody in {path} is in the split {split!r}; it has {known}")
    named = [row for row in chosen if row["name"] and not row.get("dup_of")]
    return {_posix(row["name"]): _labels(row) for row in named}


def read_known_landmarks(path: Path) -> dict[str, tuple[np.ndarray, ...]]:
    """Name of a photo -> the 68 points of each of its faces.

    Raises:
        DatasetError: The file is no such npz.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            names, points = file["names"], file["landmarks"]
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"the landmarks {path} cannot be read: {error}; expected an npz with `names` and "
            f"`landmarks`"
        ) from error
    if points.dtype.kind != "f":
        raise DatasetError(f"the landmarks of {path} are {points.dtype}, not floats")
    if names.ndim != 1 or points.shape != (len(names), LANDMARK_COUNT, 2):
        raise DatasetError(
            f"{path} has names of shape {names.shape} and landmarks of shape {points.shape}; "
            f"expected (face,) and (face, {LANDMARK_COUNT}, 2)"
        )
    known: dict[str, tuple[np.ndarray, ...]] = {}
    for name, face in zip(names, points, strict=True):
        key = _posix(str(name))
        known[key] = (*known.get(key, ()), face)
    return known


def _photos_below(images: Path) -> dict[str, Path]:
    if not images.is_dir():
        raise DatasetError(f"no folder of photos at {images}; give one with --images DIR")
    found = {
        path.relative_to(images).as_posix(): path
        for path in images.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    }
    if not found:
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DatasetError(f"no picture in the folder {images} or below (looked for {kinds})")
    return found


def _task(
    name: str,
    paths: Mapping[str, Path],
    labels: Mapping[str, Mapping[str, str]],
    known: Mapping[str, tuple[np.ndarray, ...]] | None,
) -> PhotoTask:
    problem = ""
    if name not in paths:
        problem = "it is in the index, but there is no such file"
    elif not name.isprintable():
        problem = "its name is not printable text; rename it"
    elif known is not None and name not in known:
        problem = "the file of known landmarks has no points for it"
    points = None if known is None else known.get(name, ())
    return PhotoTask(name, paths.get(name, Path(name)), labels.get(name, {}), points, problem)


def _labels(row: Mapping[str | None, str | None]) -> dict[str, str]:
    # A row with more or fewer fields than the header gives None as name or value.
    return {
        INDEX_PREFIX + name: value
        for name, value in row.items()
        if name and name not in _NOT_LABELS and isinstance(value, str) and value
    }


def _posix(name: str) -> str:
    return name.replace("\\", "/")
