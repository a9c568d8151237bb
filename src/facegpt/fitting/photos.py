"""Fitting many photo files: what to do, what is already done, what went wrong; results on disk.

One broken file never stops the others, and a finished photo is not fitted again.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from facegpt.morphable.model import MorphableModel
from facegpt.perception.images import ImageError, Photo, load_image
from facegpt.reconstruction import FaceReconstruction
from facegpt.rendering.results import FORMATS, is_complete, save_reconstruction

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"}
)
_PHOTOS_AT_ONCE = 8


@runtime_checkable
class PhotoReconstructor(Protocol):
    """A method that takes several photos at once, such as `AnalysisBySynthesis`."""

    @property
    def model(self) -> MorphableModel:
        """The whole head that results are written with."""
        ...

    def reconstruct_photos(self, photos: Sequence[Photo]) -> list[list[FaceReconstruction]]:
        """Every face of every photo, largest first."""
        ...


@dataclass(frozen=True)
class PhotoTask:
    """One photo and the folder of its largest face."""

    path: Path
    directory: Path


@dataclass(frozen=True)
class PhotoOutcome:
    """What became of one photo: folders of its faces, or why there is none."""

    path: Path
    directories: tuple[Path, ...] = ()
    skipped: bool = False
    error: str = ""

    @property
    def has_no_face(self) -> bool:
        """The photo was read, and there is nobody in it."""
        return not self.directories and not self.error


def plan_tasks(images: Iterable[Path], output: Path) -> list[PhotoTask]:
    """One task per photo; folders are searched (not below them), names that clash keep their
    suffix.

    Raises:
        FileNotFoundError: An argument does not exist, or a folder holds no picture.
    """
    paths = list(dict.fromkeys(path for image in images for path in _pictures_of(image)))
    tasks: list[PhotoTask] = []
    taken: set[str] = set()
    for path in paths:
        name = path.stem if path.stem not in taken else path.name.replace(".", "_")
        number = 1
        unique = name
        while unique in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique)
        tasks.append(PhotoTask(path, output / unique))
    return tasks


def _pictures_of(image: Path) -> list[Path]:
    if image.is_dir():
        inside = sorted(p for p in image.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not inside:
            raise FileNotFoundError(
                f"no picture in the folder {image} (looked for {', '.join(sorted(IMAGE_SUFFIXES))})"
            )
        return inside
    if not image.exists():
        raise FileNotFoundError(f"no such file or folder: {image}")
    return [image]


def fit_photos(
    reconstructor: PhotoReconstructor,
    tasks: Sequence[PhotoTask],
    formats: Sequence[str] = FORMATS,
) -> Iterator[PhotoOutcome]:
    """Fit every photo and write its faces, in batches; outcomes come in the order of the tasks."""
    reserved = {task.directory for task in tasks}
    for first in range(0, len(tasks), _PHOTOS_AT_ONCE):
        part = tasks[first : first + _PHOTOS_AT_ONCE]
        yield from _fit_some(reconstructor, part, formats, reserved)


def _fit_some(
    reconstructor: PhotoReconstructor,
    tasks: Sequence[PhotoTask],
    formats: Sequence[str],
    reserved: set[Path],
) -> list[PhotoOutcome]:
    outcomes: dict[Path, PhotoOutcome] = {}
    photos: dict[Path, Photo] = {}
    for task in tasks:
        if is_complete(task.directory, formats):
            outcomes[task.path] = PhotoOutcome(task.path, (task.directory,), skipped=True)
            continue
        try:
            photos[task.path] = load_image(task.path)
        except ImageError as error:
            outcomes[task.path] = PhotoOutcome(task.path, error=str(error))
    results = reconstructor.reconstruct_photos(list(photos.values()))
    waiting = [task for task in tasks if task.path in photos]
    for task, faces in zip(waiting, results, strict=True):
        directories = _face_directories(task.directory, len(faces), reserved)
        # The largest face is written last: its folder is the sign that the photo is finished.
        for face, directory in reversed(list(zip(faces, directories, strict=True))):
            save_reconstruction(
                face, reconstructor.model, photos[task.path], directory, formats=formats
            )
        outcomes[task.path] = PhotoOutcome(task.path, tuple(directories))
    return [outcomes[task.path] for task in tasks]


def _face_directories(first: Path, count: int, reserved: set[Path]) -> list[Path]:
    """`photo`, `photo-2`, `photo-3` ...; a number that names another photo of this run is passed
    over."""
    directories = [first][:count]
    number = 1
    while len(directories) < count:
        number += 1
        candidate = first.with_name(f"{first.name}-{number}")
        if candidate not in reserved:
            directories.append(candidate)
    return directories
