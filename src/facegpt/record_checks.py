"""Checks of JSON from an unknown hand: every failure names the path of the field.

This module knows JSON values only, not what they mean.
"""

import math
from collections.abc import Mapping
from typing import Any

_MAX_NAME = 120
_MAX_TEXT = 2000
_MAX_DEPTH = 6
_MAX_VALUES = 5000
_LARGEST = 1e12


class FaceRecordError(ValueError):
    """A face record cannot be used; `path` names the field (empty: the record itself)."""

    def __init__(self, path: str, problem: str) -> None:
        """`path` uses dots and [numbers], as in `parameters.shape[3]`."""
        super().__init__(f"face record, {path}: {problem}" if path else f"face record: {problem}")
        self.path = path


def member(record: object, key: str, prefix: str) -> Any:
    """The value of a key that must be there; `prefix` is the path of `record` with its dot."""
    if not isinstance(record, dict):
        raise FaceRecordError(prefix.rstrip("."), f"expected an object, got {kind(record)}")
    if key not in record:
        raise FaceRecordError(prefix + key, "missing")
    return record[key]


def child(record: object, key: str) -> dict[str, Any]:
    """The object under a key of the record itself."""
    value = member(record, key, "")
    if not isinstance(value, dict):
        raise FaceRecordError(key, f"expected an object, got {kind(value)}")
    return value


def number(value: object, path: str, largest: float = _LARGEST) -> float:
    """A finite number; booleans and strings are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FaceRecordError(path, f"expected a number, got {kind(value)}")
    # Compared before the conversion: a JSON integer may be too long for a float.
    if not -largest <= value <= largest or not math.isfinite(value):
        raise FaceRecordError(path, f"not a finite number up to {largest:g}")
    return float(value)


def numbers(value: object, path: str, count: int, largest: float = _LARGEST) -> list[float]:
    """A list of exactly `count` finite numbers."""
    if not isinstance(value, list):
        raise FaceRecordError(path, f"expected a list of {count} numbers, got {kind(value)}")
    if len(value) != count:
        raise FaceRecordError(path, f"expected {count} numbers, got {len(value)}")
    return [number(v, f"{path}[{i}]", largest) for i, v in enumerate(value)]


def matrix(record: object, key: str, rows: int, columns: int) -> list[list[float]]:
    """A list of `rows` lists of `columns` finite numbers under a key of the record itself."""
    value = member(record, key, "")
    if not isinstance(value, list) or len(value) != rows:
        got = len(value) if isinstance(value, list) else kind(value)
        raise FaceRecordError(key, f"expected {rows} lists of {columns} numbers, got {got}")
    return [numbers(row, f"{key}[{i}]", columns) for i, row in enumerate(value)]


def name_of(value: object, path: str) -> str:
    """A short text on one line."""
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= _MAX_NAME:
        raise FaceRecordError(path, f"expected a name of 1 to {_MAX_NAME} printable characters")
    return value


def plain(value: Any, path: str) -> Any:
    """Nested objects and lists of plain values, bounded in depth and number.

    Returns:
        The value itself: numbers stay the int or float they were.
    """
    _count_plain(value, path, 0, 0)
    return value


def _count_plain(value: object, path: str, depth: int, seen: int) -> int:
    if depth > _MAX_DEPTH:
        raise FaceRecordError(path, f"nested deeper than {_MAX_DEPTH}")
    if seen >= _MAX_VALUES:
        raise FaceRecordError(path, f"more than {_MAX_VALUES} values")
    seen += 1
    if isinstance(value, Mapping):
        for key, inner in value.items():
            seen = _count_plain(inner, f"{path}.{name_of(key, path)}", depth + 1, seen)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            seen = _count_plain(inner, f"{path}[{i}]", depth + 1, seen)
    elif isinstance(value, str):
        if len(value) > _MAX_TEXT:
            raise FaceRecordError(path, f"text longer than {_MAX_TEXT} characters")
    elif value is not None and not isinstance(value, bool):
        number(value, path)
    return seen


def kind(value: object) -> str:
    """What JSON calls the type of a value."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")
