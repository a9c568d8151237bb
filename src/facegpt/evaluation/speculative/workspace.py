"""The working folder of a benchmark that is being built, and the file of each step.

| file | step | what |
| --- | --- | --- |
| `answers.jsonl` | propose, select | what the model said; nothing is asked twice |
| `candidates.json` | propose | faces with the situations that were written for them |
| `selection.json` | select | the same with the objections to each, and the model's favourite |
| `review.csv`, `review.html` | review | for the person who keeps or rejects |
| `truth/`, `truth.json` | truth | `facegpt.face/1` records of the faces |

A step file says what it was made with and from which file. So a step that has nothing to do is
known, and one that was made from something older is refused. Files are there in full or not at all.
"""

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from facegpt.evaluation.json_lines import (
    JsonFileError,
    JsonLine,
    read_json_object,
    sha256_of,
    write_json_object,
)

COMMAND = "facegpt benchmark build-sfg"
_PACKAGES = ("facegpt", "numpy", "torch", "openai")


class SpeculativeError(ValueError):
    """A step cannot be taken; the message says why and what to do first."""


@dataclass(frozen=True)
class Workspace:
    """Where everything lies."""

    folder: Path

    @property
    def answers(self) -> Path:
        """What the model said."""
        return self.folder / "answers.jsonl"

    @property
    def candidates(self) -> Path:
        """Step file of propose."""
        return self.folder / "candidates.json"

    @property
    def selection(self) -> Path:
        """Step file of select."""
        return self.folder / "selection.json"

    @property
    def sheet(self) -> Path:
        """The review as a table."""
        return self.folder / "review.csv"

    @property
    def page(self) -> Path:
        """The review as a page for a browser."""
        return self.folder / "review.html"

    @property
    def truth(self) -> Path:
        """Step file of truth."""
        return self.folder / "truth.json"

    @property
    def records(self) -> Path:
        """Folder of the face records."""
        return self.folder / "truth"


@dataclass(frozen=True)
class DescribedFace:
    """A picture and what is known of it, as every step hands it on."""

    image: str
    """Name relative to the folder of pictures, with forward slashes."""
    sha256: str
    """Of the picture file, so that another picture under the same name is noticed."""
    description: str
    """Explicit: how the face looks."""
    labels: Mapping[str, Any] = field(default_factory=dict)
    """`expression`, `yaw` and what else the descriptions say in a word or a number."""

    def to_record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "image": self.image,
            "sha256": self.sha256,
            "description": self.description,
            "labels": dict(self.labels),
        }

    @staticmethod
    def from_record(line: JsonLine) -> "DescribedFace":
        """From JSON.

        Raises:
            JsonFileError: A field is missing.
        """
        labels = line.record.get("labels", {})
        if not isinstance(labels, dict):
            raise JsonFileError(f"{line.where}: 'labels' must be an object")
        return DescribedFace(
            line.text("image"), line.text("sha256"), line.text("description"), labels
        )


@dataclass(frozen=True)
class Problem:
    """A picture that a step could do nothing for."""

    image: str
    reason: str


@dataclass(frozen=True)
class StepFile:
    """What one step left."""

    made_with: Mapping[str, Any]
    """All that decides the items: settings, and the checksum of the file they were made from."""
    items: tuple[JsonLine, ...]
    problems: tuple[Problem, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the programs that made it."""


def write_step(
    path: Path,
    made_with: Mapping[str, Any],
    items: Iterable[Mapping[str, Any]],
    problems: Sequence[Problem] = (),
) -> StepFile:
    """Write the file of a step and read it back."""
    record = {
        "format": _format(path),
        "made_with": dict(made_with),
        "versions": versions(),
        "problems": [{"image": p.image, "reason": p.reason} for p in problems],
        "items": [dict(item) for item in items],
    }
    write_json_object(path, record)
    return _step(read_json_object(path), _format(path))


def read_step(path: Path, command: str) -> StepFile:
    """The file of an earlier step.

    Args:
        command: Which step writes it, for the message.

    Raises:
        SpeculativeError: It is missing or damaged.
    """
    if not path.exists():
        raise SpeculativeError(f"there is no {path}; first run: {COMMAND} {command}")
    try:
        return _step(read_json_object(path), _format(path))
    except JsonFileError as error:
        raise SpeculativeError(f"{error}; make it again with: {COMMAND} {command}") from error


def finished_step(path: Path, made_with: Mapping[str, Any]) -> StepFile | None:
    """What an earlier run left, if it was made with the same and nothing is left to do."""
    if not path.exists():
        return None
    try:
        step = _step(read_json_object(path), _format(path))
    except JsonFileError:
        # Damaged: this step is about to write it anew.
        return None
    return step if step.made_with == dict(made_with) and not step.problems else None


def check_made_from(step: StepFile, name: str, source: Path, command: str) -> None:
    """Stop where the file that a step was made from has changed since.

    Args:
        name: Key in `made_with` of that file's checksum.
        command: Which step has to be repeated.

    Raises:
        SpeculativeError: It has.
    """
    if step.made_with.get(name) != sha256_of(source):
        raise SpeculativeError(
            f"{source} has changed since the step after it; run again: {COMMAND} {command}"
        )


def versions() -> dict[str, str]:
    """Of Python and the packages that shape a benchmark; packages that are missing are left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _format(path: Path) -> str:
    return f"facegpt.sfg.{path.stem}/1"


def _step(line: JsonLine, wanted: str) -> StepFile:
    if line.text("format") != wanted:
        raise JsonFileError(f"{line.where}: expected the format {wanted!r}")
    parts = [line.record.get(name) for name in ("made_with", "versions", "problems", "items")]
    made_with, by, problems, items = parts
    if not isinstance(made_with, dict) or not isinstance(by, dict):
        raise JsonFileError(f"{line.where}: 'made_with' and 'versions' must be objects")
    return StepFile(
        made_with,
        tuple(_objects(items, f"{line.where}, item")),
        tuple(
            Problem(problem.text("image"), problem.text("reason"))
            for problem in _objects(problems, f"{line.where}, problem")
        ),
        by,
    )


def _objects(values: object, where: str) -> list[JsonLine]:
    if not isinstance(values, list) or not all(isinstance(v, dict) for v in values):
        raise JsonFileError(f"{where}: expected a list of objects")
    return [JsonLine(value, f"{where} {number}") for number, value in enumerate(values, start=1)]
