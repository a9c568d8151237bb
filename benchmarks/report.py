"""What a benchmark found, as Markdown tables for people and JSON for programs.

One line is one number: what was asked, what was measured, what the floors (answers that know
nothing) and the ceiling (the fit, which saw the photo) reach, and over how many.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from facegpt.evaluation.metrics import Interval


@dataclass(frozen=True)
class Bar:
    """What is asked of a number."""

    limit: float
    at_least: bool = False
    """The number must reach the limit; otherwise it must not exceed it."""

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g}"

    def is_met(self, measured: float) -> bool:
        """Whether a number is good enough; NaN never is."""
        return measured >= self.limit if self.at_least else measured <= self.limit


@dataclass(frozen=True)
class Line:
    """One measured number and what it is to be compared with."""

    what: str
    measured: float
    count: int
    bar: Bar | None = None
    interval: Interval | None = None
    """95 %, by bootstrap."""
    floors: Mapping[str, float] = field(default_factory=dict)
    """Name of an answer that knows nothing -> what it reaches."""
    ceiling: float | None = None
    digits: int = 3

    def cells(self) -> list[str]:
        """The cells of the Markdown table."""
        met = "" if self.bar is None else "yes" if self.bar.is_met(self.measured) else "**no**"
        bounds = self.interval and (self.interval.low, self.interval.high)
        return [
            self.what,
            str(self.bar or ""),
            self._text(self.measured),
            " ... ".join(self._text(bound) for bound in bounds) if bounds else "",
            ", ".join(f"{name} {self._text(value)}" for name, value in self.floors.items()),
            "" if self.ceiling is None else self._text(self.ceiling),
            str(self.count),
            met,
        ]

    def _text(self, number: float) -> str:
        return "-" if math.isnan(number) else f"{number:.{self.digits}f}"


@dataclass(frozen=True)
class Table:
    """Lines under a title."""

    title: str
    lines: Sequence[Line]

    def __str__(self) -> str:
        head = ("what", "asked", "measured", "95 %", "floor", "ceiling (fit)", "n", "met")
        rows = [head, ["---"] * len(head), *(line.cells() for line in self.lines)]
        return "\n".join([f"\n### {self.title}\n", *(f"| {' | '.join(row)} |" for row in rows)])


def write_json(path: Path, settings: Any, tables: Sequence[Table], more: Any = None) -> None:
    """Everything in the tables, with the settings that it was measured with.

    Args:
        settings: A dataclass.
        more: Whatever else is worth keeping, such as single answers.
    """
    record = {
        "settings": asdict(settings),
        "tables": [asdict(table) for table in tables],
        "more": more,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_plain(record), indent=1, default=str) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """NaN is no JSON."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
