"""Photos with reference landmarks, and the descriptions of some of them, as tables need them.

A set of photos is a folder with pictures, `index.csv` (columns `name` and `split`; perhaps `score`,
`face_px`, `dup_of`, and `ethnicity`, by which numbers are also given) and `landmarks.npz` (`names`;
`landmarks`: 68 points each, in pixels). A data folder is such a set or holds several, and perhaps
`descriptions/SPLIT.jsonl` (`image`, `description`, `implicit`: sentences, `best`: number of one).

Left out are exact duplicates (`dup_of`) and, where the index has `face_px`, photos that the
detector hardly took for a face or that are small. Knows no method.
"""

import csv
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from facegpt.evaluation.benchmarks.errors import DataFolderError
from facegpt.evaluation.json_lines import JsonLine, read_json_lines

MIN_SCORE, MIN_FACE_PX = 0.4, 120
GROUP_COLUMN = "ethnicity"

Sentences = Literal["best", "all"]

_INDEX, _LANDMARKS = "index.csv", "landmarks.npz"
_MAX_INDEX_BYTES = 1 << 26


@dataclass(frozen=True)
class Selection:
    """Which items of a data set are measured."""

    split: str = "val"
    every: int = 1
    """Only every n-th item."""
    limit: int = 0
    """Only so many of them; 0 = all."""

    def __post_init__(self) -> None:
        if self.every < 1 or self.limit < 0:
            raise DataFolderError(
                f"--every must be at least 1 and --limit at least 0, got {self.every} and "
                f"{self.limit}"
            )

    def of(self, items: Sequence[Any]) -> list[Any]:
        """The chosen ones, in order."""
        chosen = list(items)[:: self.every]
        return chosen[: self.limit] if self.limit else chosen


def evenly(items: Sequence[Any], most: int) -> tuple[Any, ...]:
    """Up to `most` of the items, from the first to the last."""
    places = np.linspace(0, len(items) - 1, min(len(items), most)).round().astype(int)
    return tuple(items[place] for place in places)


@dataclass(frozen=True, eq=False)
class PhotoItem:
    """One photo."""

    path: Path
    landmarks68_px: Float[np.ndarray, "68 2"]
    """Reference points in pixels of the file."""
    group: str = ""
    """Empty where the index knows none."""

    @property
    def name(self) -> str:
        """Its file without the suffix: what other programs call its results."""
        return self.path.stem

    @cached_property
    def key(self) -> str:
        """Changes when the picture or its points change."""
        digest = hashlib.sha256(np.ascontiguousarray(self.landmarks68_px, np.float64).tobytes())
        try:
            digest.update(self.path.read_bytes())
        except OSError as error:
            raise DataFolderError(
                f"{self.path}: {_INDEX} names it, but it cannot be read ({error}); put the picture "
                "there, or take its line out"
            ) from error
        return digest.hexdigest()[:24]


@dataclass(frozen=True)
class PhotoSet:
    """Photos of one folder."""

    name: str
    items: tuple[PhotoItem, ...]


@dataclass(frozen=True, eq=False)
class TextItem:
    """One text about a photo."""

    text: str
    photo: PhotoItem

    @property
    def name(self) -> str:
        """The name of its photo: what other programs call its results."""
        return self.photo.name

    @property
    def key(self) -> str:
        """Changes when the text, the picture or its points change."""
        return hashlib.sha256(f"{self.photo.key} {self.text}".encode()).hexdigest()[:24]


def read_photo_sets(data: Path, selection: Selection) -> list[PhotoSet]:
    """The chosen photos of every set of a data folder.

    Raises:
        DataFolderError: There is no set, one is damaged, or nothing is chosen.
    """
    sets = []
    for folder in _set_folders(data):
        items = selection.of(_items(folder, selection.split))
        if items:
            sets.append(PhotoSet(folder.name, tuple(items)))
    if not sets:
        raise DataFolderError(
            f"{data}: no usable photo of the split {selection.split!r}; the column split of "
            f"{_INDEX} says which there are"
        )
    return sets


def read_texts(
    data: Path,
    selection: Selection,
    source: Literal["implicit", "explicit"],
    sentences: Sentences = "best",
) -> list[TextItem]:
    """The chosen texts of a data folder, each with its photo.

    Args:
        source: Situations that say nothing of the face, or descriptions of it.
        sentences: Of the situations of a photo, the best one, as in the paper, or all of them.

    Raises:
        DataFolderError: There are no descriptions, or one names a photo that no set has.
        JsonFileError: The file is damaged.
    """
    path = data / "descriptions" / f"{selection.split}.jsonl"
    if not path.is_file():
        raise DataFolderError(
            f"there is no {path}; tables of texts need descriptions of the photos there (one JSON "
            "object a line with image, description, implicit and best)"
        )
    photos = {
        item.path.name: item
        for folder in _set_folders(data)
        for item in _items(folder, "", only_usable=False)
    }
    found = []
    for line in selection.of(read_json_lines(path)):
        image = line.text("image")
        if image not in photos:
            raise DataFolderError(f"{line.where}: no set of {data} has the photo {image!r}")
        found += [TextItem(text, photos[image]) for text in _texts(line, source, sentences)]
    return found


def _texts(line: JsonLine, source: str, sentences: Sentences) -> list[str]:
    if source == "explicit":
        return [line.text("description")]
    said, best = line.record.get("implicit"), line.record.get("best", 0)
    if not isinstance(said, list) or not said or not all(isinstance(s, str) for s in said):
        raise DataFolderError(f"{line.where}: 'implicit' must be a list of sentences")
    if sentences == "all":
        return said
    if not isinstance(best, int) or not 0 <= best < len(said):
        raise DataFolderError(f"{line.where}: 'best' must be the number of one of {len(said)}")
    return [said[best]]


def _set_folders(data: Path) -> list[Path]:
    if not data.is_dir():
        raise DataFolderError(f"there is no folder {data}; name one with --data")
    if (data / _INDEX).is_file():
        return [data]
    found = sorted(path.parent for path in data.glob(f"*/{_INDEX}"))
    if not found:
        raise DataFolderError(
            f"{data} holds no {_INDEX}, nor does a folder in it; docs/evaluation.md says what data "
            "look like"
        )
    return found


def _items(folder: Path, split: str, *, only_usable: bool = True) -> list[PhotoItem]:
    points = _reference_points(folder / _LANDMARKS)
    return [
        PhotoItem(folder / row["name"], points[row["name"]], row.get(GROUP_COLUMN) or "")
        for row in _index_rows(folder / _INDEX)
        if row["name"] in points and (not only_usable or _is_usable(folder, row, split))
    ]


def _index_rows(path: Path) -> list[dict[str, str]]:
    if path.stat().st_size > _MAX_INDEX_BYTES:
        raise DataFolderError(f"{path} is larger than {_MAX_INDEX_BYTES} bytes")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [{k: v or "" for k, v in row.items() if k} for row in csv.DictReader(file)]
    except (UnicodeDecodeError, csv.Error, AttributeError) as error:
        raise DataFolderError(f"{path} is no CSV file in UTF-8 ({error})") from error
    for number, row in enumerate(rows, start=2):
        if not row.get("name") or "split" not in row:
            raise DataFolderError(f"{path}, line {number}: the columns name and split are needed")
        if Path(row["name"]).name != row["name"]:
            raise DataFolderError(f"{path}, line {number}: {row['name']!r} is no name of a file")
    return rows


def _is_usable(folder: Path, row: Mapping[str, str], split: str) -> bool:
    if row["split"] != split or row.get("dup_of"):
        return False
    if "face_px" not in row:
        return True
    try:
        score, size = float(row.get("score") or 0), float(row["face_px"] or 0)
    except ValueError as error:
        raise DataFolderError(
            f"{folder / _INDEX}: score and face_px of {row['name']} must be numbers ({error})"
        ) from error
    return score > MIN_SCORE and size >= MIN_FACE_PX


def _reference_points(path: Path) -> dict[str, Float[np.ndarray, "68 2"]]:
    try:
        # Opened here: numpy leaves a file that is no archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            names, points = stored["names"], np.asarray(stored["landmarks"], np.float64)
    except FileNotFoundError as error:
        raise DataFolderError(
            f"there is no {path}; it must hold names and landmarks (68 points each, in pixels)"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataFolderError(f"{path} cannot be read ({error}); make it again") from error
    if points.shape != (len(names), 68, 2) or not np.isfinite(points).all():
        raise DataFolderError(
            f"{path}: landmarks must be finite and of shape ({len(names)}, 68, 2) beside "
            f"{len(names)} names, got {points.shape}"
        )
    return {str(name): row for name, row in zip(names, points, strict=True)}
