"""JSON that people and other programs hand over, and JSON of ours that must never be half there.

Readers name the file and the line of what is wrong; writers move whole files into their place.
Knows nothing of what the records mean.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facegpt.geometry.export import write_atomically

MOST_BYTES = 1 << 28
"""Larger files are not read: no benchmark is that long."""


class JsonFileError(ValueError):
    """A file is missing, too large, or not the JSON that it should be; the message says where."""


@dataclass(frozen=True)
class JsonLine:
    """One object, and where it stands."""

    record: dict[str, Any]
    where: str
    """File and line, for messages."""

    def text(self, name: str) -> str:
        """A text that must be there and say something, without white space around it."""
        value = self.record.get(name)
        if not isinstance(value, str) or not value.strip():
            raise JsonFileError(f"{self.where}: {name!r} must be a text that is not empty")
        return value.strip()

    def optional_text(self, name: str) -> str:
        """A text that may be missing or empty."""
        value = self.record.get(name, "")
        if not isinstance(value, str):
            raise JsonFileError(f"{self.where}: {name!r} must be a text, got {value!r:.60}")
        return value.strip()


def read_json_lines(path: Path) -> list[JsonLine]:
    """The objects of a JSONL file; empty lines are skipped.

    Raises:
        JsonFileError: There is no such file, a line is no JSON object, or there is none at all.
    """
    # Not splitlines: it also cuts at characters that may stand inside a JSON text.
    lines = _text_of(path).split("\n")
    found = [
        _object(line, f"{path}, line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not found:
        raise JsonFileError(f"{path} holds no record")
    return found


def read_json_object(path: Path) -> JsonLine:
    """The one object of a JSON file.

    Raises:
        JsonFileError: There is no such file, or it holds something else.
    """
    return _object(_text_of(path), str(path))


def write_json_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write one object a line; the file is there in full or not at all."""
    lines = [json.dumps(dict(r), ensure_ascii=False, allow_nan=False) + "\n" for r in records]
    write_atomically(path, "".join(lines).encode())


def write_json_object(path: Path, record: Mapping[str, Any]) -> None:
    """Write one object; the file is there in full or not at all."""
    text = json.dumps(dict(record), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, (text + "\n").encode())


def sha256_of(path: Path) -> str:
    """The checksum of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise JsonFileError(f"{path} is larger than {MOST_BYTES} bytes")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise JsonFileError(f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise JsonFileError(f"{path} cannot be read: {error}") from error


def _object(text: str, where: str) -> JsonLine:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise JsonFileError(f"{where}: not JSON ({error})") from error
    if not isinstance(record, dict):
        raise JsonFileError(f"{where}: expected an object, got {type(record).__name__}")
    return JsonLine(record, where)
