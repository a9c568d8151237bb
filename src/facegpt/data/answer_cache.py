"""Answers of a model on disk, one JSON object a line: what was asked once is not asked again.

Lines are only ever added, so a process that dies leaves at most one broken line, which is skipped.
Safe for threads, not for several processes on the same file. Knows texts, no pictures.
"""

import json
import threading
from pathlib import Path


class AnswerCache:
    """A dictionary of answers that survives the process."""

    def __init__(self, path: Path) -> None:
        """Read the answers that are there; the folder is made when it is missing."""
        self.path = path
        self._lock = threading.Lock()
        self._answers = dict(_read(path)) if path.exists() else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._needs_newline = path.exists() and not path.read_bytes().endswith(b"\n")

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: str) -> str | None:
        """The answer, or None when there is none yet."""
        with self._lock:
            return self._answers.get(key)

    def put(self, key: str, model: str, prompt: str, answer: str) -> None:
        """Keep an answer; it is on disk when this returns."""
        line = json.dumps(
            {"key": key, "model": model, "prompt": prompt[:80], "answer": answer},
            ensure_ascii=False,
        )
        with self._lock:
            self._answers[key] = answer
            with self.path.open("a", encoding="utf-8") as file:
                # The broken last line of a process that died must not swallow this one.
                file.write(("\n" if self._needs_newline else "") + line + "\n")
            self._needs_newline = False


def _read(path: Path) -> list[tuple[str, str]]:
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            key, answer = record.get("key"), record.get("answer")
            if isinstance(key, str) and isinstance(answer, str):
                found.append((key, answer))
    return found
