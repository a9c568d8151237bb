"""Who says in words how a face looks: the seam between data building and its sources of language.

Three describers stand behind one Protocol: `measured` (from theta, `wording.py`), `openai` (a
vision-language model, `openai_describer.py`) and `file` (written descriptions, here). This module
does not know the other two.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from facegpt.data.schema import decode_crop, encode_crop
from facegpt.data.tokens import NO_TOKENS, Tokens
from facegpt.morphable.parameters import FaceParameters


@dataclass(frozen=True)
class DescribeItem:
    """One face that wants words."""

    face_id: str
    source: str
    """Name of the file that the face was found in."""
    picture: Float[Tensor, "3 height width"] | bytes
    """The aligned crop: sRGB in [0, 1], or as it is stored (JPEG of 224 x 224), which is small."""
    theta: FaceParameters | None
    """One face (batch 1), where it is known."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What is known of the photo beforehand: `index.gender` and the like."""

    @property
    def crop(self) -> Float[Tensor, "3 height width"]:
        """The aligned crop, sRGB in [0, 1]; decoded at every call where it is stored."""
        if isinstance(self.picture, bytes):
            return decode_crop(self.picture).float() / 255
        return self.picture

    @property
    def jpeg(self) -> bytes:
        """The crop as it is stored."""
        return self.picture if isinstance(self.picture, bytes) else encode_crop(self.picture)


@dataclass(frozen=True)
class Description:
    """What a describer says about one face."""

    descriptions: tuple[str, ...]
    """Full descriptions, each complete in itself."""
    short: str
    """A noun phrase for a request, lower case and without a full stop: "a man with ..."."""
    conversations: tuple[tuple[str, str], ...] = ()
    """Questions about the face and their answers."""
    implicit: tuple[str, ...] = ()
    """Situations in which a face would look like this, without a word about the face."""
    labels: dict[str, str] = field(default_factory=dict)
    """Short words by name, where the describer gives them: expression, yaw ..."""
    tokens: Tokens = NO_TOKENS
    """Of a model that was asked, the answers kept from earlier included."""


@dataclass(frozen=True)
class DescribeFailure:
    """A face that stayed without words, and why, in one sentence."""

    face_id: str
    reason: str
    tokens: Tokens = NO_TOKENS
    """Of the answers that came before it failed."""


@runtime_checkable
class Describer(Protocol):
    """Turns faces into words; one answer per item, in the same order."""

    name: str

    def describe(self, items: Sequence[DescribeItem]) -> list[Description | DescribeFailure]:
        """Words for every face, or the reason why there are none."""
        ...


@runtime_checkable
class AsksServer(Protocol):
    """A describer that mostly waits: it wants many faces at the same time, from several threads."""

    @property
    def requests_in_flight(self) -> int:
        """Requests at the same time, over all calls of `describe`."""
        ...


class DescriptionsError(ValueError):
    """A file of descriptions cannot be used at all."""


class FileDescriber:
    """Descriptions that somebody wrote, found by the name of the picture."""

    name = "file"

    def __init__(self, paths: Sequence[Path]) -> None:
        """Read JSONL files; a damaged line is reported in `damaged` and left out.

        A line holds `image` (file name) and `description` (a text or several), and may hold
        `short`, `qa` (list of {"q", "a"}), `implicit` (list), and short labels such as
        `expression`, `yaw`.

        Raises:
            DescriptionsError: A file is missing, or none of the lines is of use.
        """
        damaged: list[str] = []
        self._by_image: dict[str, Description] = {}
        for path in paths:
            if not path.is_file():
                raise DescriptionsError(f"no file of descriptions at {path}")
            for number, line in enumerate(_lines(path), start=1):
                try:
                    _take(line, self._by_image)
                except ValueError as error:
                    damaged.append(f"{path}, line {number}: {error}")
        self.damaged = tuple(damaged)
        """One sentence for every line that could not be used."""
        if not self._by_image:
            why = damaged[0] if damaged else "there are no lines"
            raise DescriptionsError(f"no description in {', '.join(map(str, paths))}: {why}")

    def __len__(self) -> int:
        return len(self._by_image)

    def describe(self, items: Sequence[DescribeItem]) -> list[Description | DescribeFailure]:
        """What was written about each picture."""
        return [self._find(item) for item in items]

    def _find(self, item: DescribeItem) -> Description | DescribeFailure:
        found = self._by_image.get(PurePosixPath(item.source).name)
        if found is None:
            return DescribeFailure(item.face_id, f"no description of {item.source} in the files")
        return found


_OWN_FIELDS = ("image", "description", "short", "qa", "implicit", "best")


def _lines(path: Path) -> list[str]:
    # Not splitlines: it also cuts at characters that may stand inside a JSON text.
    return path.read_text(encoding="utf-8", errors="replace").split("\n")


def _take(line: str, into: dict[str, Description]) -> None:
    if not line.strip():
        return
    record = json.loads(line)
    if not isinstance(record, dict):
        raise ValueError(f"expected an object, got {type(record).__name__}")
    image = record.get("image")
    if not isinstance(image, str) or not image.strip():
        raise ValueError("'image' must be the name of a picture")
    name = PurePosixPath(image.replace("\\", "/")).name
    new, old = _description(record), into.get(name)
    into[name] = _joined(old, new) if old else new


def _description(record: dict[str, Any]) -> Description:
    written = record.get("description")
    texts = _texts([written] if isinstance(written, str) else written, "description")
    if not texts:
        raise ValueError("'description' must be a text, or a list of texts, that is not empty")
    short = record.get("short", "")
    if not isinstance(short, str):
        raise ValueError("'short' must be a text")
    return Description(
        descriptions=texts,
        short=short.strip(),
        conversations=_pairs(record.get("qa", [])),
        implicit=_texts(record.get("implicit", []), "implicit"),
        labels={k: str(v) for k, v in record.items() if k not in _OWN_FIELDS and _is_plain(v)},
    )


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _texts(values: object, name: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise ValueError(f"{name!r} must be a list of texts")
    return tuple(text for v in values if (text := " ".join(v.split())))


def _pairs(values: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(values, list):
        raise ValueError("'qa' must be a list of questions with answers")
    pairs = []
    for value in values:
        pair = (value.get("q"), value.get("a")) if isinstance(value, dict) else (None, None)
        if not all(isinstance(text, str) and text.strip() for text in pair):
            raise ValueError("every entry of 'qa' must have texts 'q' and 'a'")
        pairs.append((str(pair[0]).strip(), str(pair[1]).strip()))
    return tuple(pairs)


def _joined(old: Description, new: Description) -> Description:
    """Two lines about the same picture add up."""
    return Description(
        descriptions=tuple(dict.fromkeys((*old.descriptions, *new.descriptions))),
        short=old.short or new.short,
        conversations=tuple(dict.fromkeys((*old.conversations, *new.conversations))),
        implicit=tuple(dict.fromkeys((*old.implicit, *new.implicit))),
        labels=new.labels | old.labels,
    )
