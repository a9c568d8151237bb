"""Answers of a model on disk, one JSON object a line: what was asked once is not asked again.

Lines are only ever added, so a process that dies leaves at most one broken line, which is skipped.
In memory is where each answer lies, not what it says: about 170 bytes an answer. Safe for threads,
not for several processes on the same file. Knows texts, no pictures.
"""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facegpt.data.tokens import Tokens


class AnswerCache:
    """A dictionary of answers that survives the process."""

    def __init__(self, path: Path) -> None:
        """Find the answers that are there; the folder is made when it is missing."""
        self.path = path
        self._lock = threading.Lock()
        self._places: dict[str, int] = dict(_places(path)) if path.exists() else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._needs_newline = not _ends_in_newline(path)

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: str) -> str | None:
        """The answer, or None when there is none yet."""
        record = self._record(key)
        return None if record is None else record["answer"]

    def tokens(self, key: str) -> Tokens:
        """What a kept answer took when it was given."""
        record = self._record(key) or {}
        counts = record.get("tokens")
        if not (isinstance(counts, list) and len(counts) == 2 and all(map(_is_count, counts))):
            return Tokens(answers=1, uncounted=1)
        return Tokens(answers=1, prompt=counts[0], completion=counts[1])

    def put(
        self, key: str, model: str, prompt: str, answer: str, tokens: Tokens | None = None
    ) -> None:
        """Keep an answer; it is on disk when this returns."""
        record: dict[str, Any] = {
            "key": key,
            "model": model,
            "prompt": prompt[:80],
            "answer": answer,
        }
        if tokens is not None and not tokens.uncounted:
            record["tokens"] = [tokens.prompt, tokens.completion]
        line = json.dumps(record, ensure_ascii=False).encode(errors="replace") + b"\n"
        with self._lock, self.path.open("ab") as file:
            if self._needs_newline:
                # The broken last line of a process that died must not swallow this one.
                file.write(b"\n")
                self._needs_newline = False
            self._places[key] = file.tell()
            file.write(line)

    def _record(self, key: str) -> dict[str, Any] | None:
        with self._lock:
            place = self._places.get(key)
        if place is None:
            return None
        with self.path.open("rb") as file:
            file.seek(place)
            return _parsed(file.readline())


def _places(path: Path) -> Iterator[tuple[str, int]]:
    """Key and beginning of every line that holds an answer."""
    place = 0
    with path.open("rb") as file:
        for line in file:
            record = _parsed(line)
            if record is not None:
                yield record["key"], place
            place += len(line)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line.decode(errors="replace"))
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    kept = isinstance(record.get("key"), str) and isinstance(record.get("answer"), str)
    return record if kept else None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _ends_in_newline(path: Path) -> bool:
    """Also where there is no file, or nothing in it."""
    if not path.exists() or path.stat().st_size == 0:
        return True
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"
