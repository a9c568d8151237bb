"""What a benchmark is built from: a folder of pictures and explicit descriptions of them.

Descriptions are JSONL with `image` and `description`, as `facegpt data build` takes them; words and
numbers beside them (`expression`, `yaw` ...) go along as labels. Reads no picture but its bytes.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from facegpt.evaluation.json_lines import JsonLine, read_json_lines, sha256_of
from facegpt.evaluation.speculative.workspace import DescribedFace, Problem, SpeculativeError
from facegpt.perception.images import load_image

_NOT_LABELS = frozenset({"image", "description", "qa", "implicit", "best"})
_SERVER_SIDE_PX = 768


@dataclass(frozen=True)
class Sources:
    """The pictures to start from."""

    images: Path
    faces: tuple[DescribedFace, ...]
    problems: tuple[Problem, ...]
    """Descriptions without a picture."""


def read_sources(images: Path, descriptions: Path, limit: int | None = None) -> Sources:
    """The described pictures, in the order of the file.

    Args:
        limit: At most this many descriptions, the first ones.

    Raises:
        JsonFileError: The descriptions cannot be read; a line without `image` or `description`.
        SpeculativeError: A picture is described twice, or none of them is in the folder.
    """
    if limit is not None and limit < 1:
        raise SpeculativeError(f"--limit must be 1 or more, got {limit}")
    faces: dict[str, DescribedFace] = {}
    problems: list[Problem] = []
    seen: set[str] = set()
    for line in read_json_lines(descriptions)[:limit]:
        image = line.text("image").replace("\\", "/")
        if image in seen:
            raise SpeculativeError(f"{line.where}: {image} is described before")
        seen.add(image)
        path = picture_path(images, image)
        if path is None:
            problems.append(Problem(image, f"there is no such picture in {images}"))
        else:
            faces[image] = DescribedFace(
                image, sha256_of(path), _description(line), _labels(line.record)
            )
    if not faces:
        raise SpeculativeError(f"none of the pictures of {descriptions} is in {images}")
    return Sources(images, tuple(faces.values()), tuple(problems))


def picture_path(images: Path, image: str) -> Path | None:
    """The file of a picture, or None where there is none in the folder or below it."""
    path = images / image
    # A name from a file of somebody else must not lead out of the folder.
    inside = path.resolve().is_relative_to(images.resolve())
    return path if inside and path.is_file() else None


def jpeg_of(path: Path, side_px: int = _SERVER_SIDE_PX) -> bytes:
    """A picture as a JPEG whose longer side is at most so long, without the file's metadata.

    Raises:
        ImageError: It cannot be read.
    """
    picture = Image.fromarray(load_image(path).rgb)
    picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _description(line: JsonLine) -> str:
    value = line.record.get("description")
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = " ".join(value)
    return " ".join(JsonLine({"description": value}, line.where).text("description").split())


def _labels(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in record.items()
        if name not in _NOT_LABELS
        and isinstance(value, str | int | float)
        and not isinstance(value, bool)
    }
