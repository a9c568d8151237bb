"""Everyday situations with the face that they would show: text and ARKit weights, no picture.

One JSON object a line: `situation`, `face` (how it looks, in words), `emotion`, `arkit` (name ->
weight in [0, 1]); or `situation`, `emotion`, `strength` (0-1), to which a recipe of that emotion
gives the weights. Knows no morphable model: whether one has these blendshapes shows when they are
used.
"""

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path

from facegpt.data.emotions import UnknownEmotionError, mixed_weights

_TEXTS = ("situation", "face", "emotion")


class SituationsError(ValueError):
    """A file of situations cannot be used; the message names the line."""


@dataclass(frozen=True)
class Situation:
    """What happens, and what it does to a face."""

    situation: str
    face: str
    """How it looks, in words; empty where nobody said it."""
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
    by_recipe = "strength" in record and "arkit" not in record
    texts = _texts(record, [n for n in _TEXTS if n != "face" or not by_recipe], where)
    if by_recipe:
        return Situation(**texts, face="", arkit=_recipe(texts, record["strength"], where))
    return Situation(**texts, arkit=_weights(record, where))


def _texts(record: dict[str, object], names: list[str], where: str) -> dict[str, str]:
    texts = {}
    for name in names:
        text = record.get(name)
        if not isinstance(text, str) or not text.strip():
            raise SituationsError(f"{where}: {name!r} must be a text that is not empty")
        texts[name] = text.strip()
    return texts


def _recipe(texts: dict[str, str], strength: object, where: str) -> dict[str, float]:
    """The weights of a recipe; the same for the same situation wherever it stands in a file."""
    is_bool = isinstance(strength, bool)
    if is_bool or not isinstance(strength, int | float) or not 0 <= strength <= 1:
        raise SituationsError(f"{where}: 'strength' must be in [0, 1], got {strength!r}")
    try:
        return mixed_weights(texts["emotion"], strength, random.Random(texts["situation"]))
    except UnknownEmotionError as error:
        raise SituationsError(f"{where}: {error}") from error


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
