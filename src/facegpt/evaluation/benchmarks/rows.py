"""Rows of tables: means with 95 % intervals, and why a cell is empty. Kept in `rows.jsonl`.

A row is one method in one table on one data set, over all items or over one group of people. The
interval is a bootstrap over photos: the sentences of one photo are drawn together. Knows no method.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facegpt.evaluation.benchmarks.errors import BenchmarkError
from facegpt.evaluation.benchmarks.measuring import ItemResult
from facegpt.evaluation.benchmarks.paper import TABLES, Column, TableSpec
from facegpt.evaluation.json_lines import (
    JsonFileError,
    JsonLine,
    read_json_lines,
    read_json_object,
    write_json_lines,
)
from facegpt.evaluation.metrics import Bootstrap, Interval, mean_estimate, wilson_interval

ALL_GROUPS = "all"
ROWS_FILE = "rows.jsonl"

_FEWEST = 2
"""Photos of an interval: every draw of a single one looks the same."""


@dataclass(frozen=True)
class Cell:
    """One number, or why there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    reason: str = ""
    """Why it is empty, or why some items are missing in it."""


@dataclass(frozen=True)
class Row:
    """One method in one table."""

    table: str
    method: str
    command: str
    """How to ask for the method, folders left out."""
    data: str
    group: str
    cells: Mapping[str, Cell]
    """Column name -> cell."""
    made: Mapping[str, Any] = field(default_factory=dict)
    """Selection, seed, protocol, versions and commit."""

    @property
    def thin(self) -> int:
        """n of a method that was asked about every n-th item alone."""
        return int(self.made.get("thin", 1))

    @property
    def title(self) -> str:
        """What stands in the first column."""
        return self.method if self.thin == 1 else f"{self.method} (1 of {self.thin} items)"

    def record(self) -> dict[str, Any]:
        """As JSON, with the unit beside every number."""
        columns = {column.name: column for column in TABLES[self.table].columns}
        cells = {
            name: {**asdict(cell), "unit": columns[name].unit} for name, cell in self.cells.items()
        }
        return {**asdict(self), "cells": cells}

    @staticmethod
    def from_record(line: JsonLine) -> "Row":
        """From JSON.

        Raises:
            BenchmarkError: It is no row.
        """
        record = line.record
        cells, made = record.get("cells"), record.get("made", {})
        if record.get("table") not in TABLES or not isinstance(cells, dict):
            raise BenchmarkError(f"{line.where}: no row of a table of this version")
        try:
            read = {
                name: Cell(c["value"], c["low"], c["high"], c["n"], c["reason"])
                for name, c in cells.items()
            }
        except (KeyError, TypeError) as error:
            raise BenchmarkError(f"{line.where}: a cell is damaged ({error!r})") from error
        return Row(
            table=line.text("table"),
            method=line.text("method"),
            command=line.text("command"),
            data=line.text("data"),
            group=line.text("group"),
            cells=read,
            made=made,
        )


def item_rows(
    spec: TableSpec,
    method: tuple[str, str],
    results: Sequence[ItemResult],
    bootstrap: Bootstrap,
    made: Mapping[str, Any],
) -> list[Row]:
    """A row for every data set, and one for each of its groups.

    Args:
        method: Label and command.
        results: All of the method.
        bootstrap: Its seed and number of draws; the groups are found here.
    """
    rows = []
    for data in dict.fromkeys(result.data for result in results):
        inside = [result for result in results if result.data == data]
        groups = sorted({result.group for result in inside} - {""})
        for group in (ALL_GROUPS, *groups):
            chosen = [r for r in inside if group in (ALL_GROUPS, r.group)]
            cells = {
                column.name: item_cell(column, chosen, bootstrap)
                for column in spec.columns
                if column.source not in ("judge", "study")
            }
            rows.append(Row(spec.name, *method, data, group, cells, made))
    return rows


def item_cell(column: Column, results: Sequence[ItemResult], bootstrap: Bootstrap) -> Cell:
    """The mean over the items that have the value, in the unit of the column."""
    asked = [result for result in results if result.source == column.source]
    there = [result for result in asked if column.key in result.values]
    if not there:
        return Cell(
            reason=_commonest_problem(asked)
            or "not measured on this data, or the method does not give it"
        )
    values = column.scale * np.array([result.values[column.key] for result in there])
    _, photos = np.unique([result.name for result in there], return_inverse=True)
    found = mean_estimate(values, Bootstrap(bootstrap.seed, photos, bootstrap.resamples))
    # A question or a prompt has one of the values of its source, and cannot fail.
    lost = 0 if column.source == "talk" else len(asked) - len(there)
    reason = f"{lost} of {len(asked)} missing: {_commonest_problem(asked)}" if lost else ""
    if len(set(photos)) < _FEWEST:
        return Cell(found.value, n=found.count, reason=reason)
    interval = found.interval
    if column.source == "talk" and len(set(values)) == 1:
        # All right or all wrong: every draw looks the same, certainty is that of so many photos.
        count = len(set(photos))
        share = wilson_interval(count if values[0] else 0, count)
        interval = Interval(column.scale * share.low, column.scale * share.high)
    return Cell(found.value, interval.low, interval.high, found.count, reason)


def _commonest_problem(results: Sequence[ItemResult]) -> str:
    problems = Counter(result.problem for result in results if result.problem)
    return problems.most_common(1)[0][0] if problems else ""


def judge_cells(report: Path) -> dict[str, dict[str, Cell]]:
    """What `facegpt benchmark judge` found: model -> column name -> cell.

    Raises:
        BenchmarkError: It is no such report.
        JsonFileError: There is no such file, or it is no JSON.
    """
    line = read_json_object(report)
    models = line.record.get("models")
    if not isinstance(models, dict):
        raise BenchmarkError(f"{report} is no report of facegpt benchmark judge: no 'models' in it")
    try:
        return {
            str(name): {f"judge.{kind}": _judged(s) for kind, s in found["scores"].items()}
            for name, found in models.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BenchmarkError(f"{report}: the scores are damaged ({error!r})") from error


def _judged(score: Mapping[str, Any]) -> Cell:
    if not score["questions"]:
        return Cell(reason="no question of this kind was judged")
    low, high = score["interval"]
    return Cell(float(score["value"]), float(low), float(high), int(score["questions"]))


def study_cells(tally: Path) -> dict[str, Cell]:
    """What `facegpt study tally -o FOLDER` wrote into tally.json: method -> preference in %.

    Raises:
        BenchmarkError: It is no such file.
        JsonFileError: There is no such file, or it is no JSON.
    """
    line = read_json_object(tally)
    try:
        return {
            str(found["method"]): Cell(
                100 * float(found["share"]),
                100 * float(found["interval"]["low"]),
                100 * float(found["interval"]["high"]),
                int(found["answers"]),
            )
            for found in line.record["preferences"]
        }
    except (KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(
            f"{tally} is no tally.json of facegpt study tally ({error!r})"
        ) from error


def read_rows(output: Path) -> list[Row]:
    """All rows of a folder of results.

    Raises:
        BenchmarkError: There are none, or one is damaged.
    """
    path = output / ROWS_FILE
    if not path.is_file():
        raise BenchmarkError(
            f"{output} holds no {ROWS_FILE}; make it with: facegpt evaluate all --data DATA "
            "--method nano -o OUT"
        )
    return [Row.from_record(line) for line in read_json_lines(path)]


def replace_rows(output: Path, table: str, rows: Sequence[Row]) -> None:
    """Put the rows of one table in the place of those that were there; the others stay.

    Raises:
        BenchmarkError: The file that is there is damaged.
    """
    path = output / ROWS_FILE
    try:
        old = [row for row in read_rows(output) if row.table != table] if path.is_file() else []
    except JsonFileError as error:
        raise BenchmarkError(f"{error}; move {path} away, tables are made again") from error
    ordered = sorted([*old, *rows], key=lambda row: list(TABLES).index(row.table))
    write_json_lines(path, [row.record() for row in ordered])
