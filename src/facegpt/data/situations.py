"""Everyday situations with the face that they would show: text and ARKit weights, no picture.

One JSON object a line: `situation`, `face` (how it looks, in words), `emotion`, `arkit` (name ->
weight in [0, 1]). Knows no morphable model: whether one has these blendshapes shows when they are
used.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

_TEXTS = ("situation", "face", "emotion")


class SituationsError(ValueError):
    """A file of situations cannot be used; the message names the line."""


@dataclass(frozen=True)
class Situation:
    """What happens, and what it does to a face."""

    situation: str
    face: str
    emotion: str
    arkit: dict[str, float]
    """Blendshape -> weight in [0, 1]; those left out are 0."""


def read_situations(path: Path) -> list[Situation]:
    """All situations of a file; empty lines are skipped.

    Raises:
        SituationsError: There is no such file, or a line is not a situation. A reasoning set is
            small and hand-written, so one bad line stops the whole file.
    """
    if not path.is_file():
        raise SituationsError(f"no file of situations at {path}")
    situations = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            situations.append(_situation(line, f"{path}, line {number}"))
    if not situations:
        raise SituationsError(f"{path} holds no situation")
    return situations


def _situation(line: str, where: str) -> Situation:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise SituationsError(f"{where}: not JSON ({error})") from error
    if not isinstance(record, dict):
        raise SituationsError(f"{where}: expected an object, got {type(record).__name__}")
    for name in _TEXTS:
        if not isinstance(record.get(name), str) or not record[name].strip():
            raise SituationsError(f"{where}: {name!r} must be a text that is not empty")
    texts = {name: record[name].strip() for name in _TEXTS}
    return Situation(**texts, arkit=_weights(record, where))


def _weights(record: dict[str, object], where: str) -> dict[str, float]:
    weights = record.get("arkit")
    if not isinstance(weights, dict):
        raise SituationsError(f"{where}: 'arkit' must be an object of blendshape weights")
    for name, weight in weights.items():
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not is_number or not math.isfinite(weight) or not 0 <= weight <= 1:
            raise SituationsError(
                f"{where}: the weight of {name} must be in [0, 1], got {weight!r}"
            )
    return {str(name): float(weight) for name, weight in weights.items()}
