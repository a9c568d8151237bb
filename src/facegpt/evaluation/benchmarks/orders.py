"""Where the paper finds an order between two methods: do we see it?

For every pair of methods and every column, the difference of the same items by both methods, with a
95 % bootstrap interval over photos. An order is seen if the interval lies on its side of zero. Of a
judge's scores there are no items here; only whether their intervals part is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facegpt.evaluation.benchmarks.errors import BenchmarkError
from facegpt.evaluation.benchmarks.measuring import ItemResult
from facegpt.evaluation.benchmarks.paper import FLOORS, ORDERS, Column, Order, TableSpec
from facegpt.evaluation.json_lines import read_json_lines, write_json_lines
from facegpt.evaluation.metrics import Bootstrap, mean_estimate

ORDERS_FILE = "orders.jsonl"

SEEN, OPPOSITE, OPEN = "seen", "the opposite is seen", "not decided"


@dataclass(frozen=True)
class Finding:
    """One order on one data set in one column."""

    table: str
    claim: str
    better: str
    worse: str
    column: str
    """Heading of the column."""
    data: str
    advantage: float | None = None
    """How much better `better` is, in the unit of the column; negative is worse."""
    low: float | None = None
    high: float | None = None
    n: int = 0
    verdict: str = ""
    reason: str = ""
    """Why it cannot be said."""


def findings_of(
    spec: TableSpec,
    results: Mapping[str, Sequence[ItemResult]],
    reasons: Mapping[str, str],
    bootstrap: Bootstrap,
) -> list[Finding]:
    """Every order of a table.

    Args:
        results: Label of a method -> its items, of all sources.
        reasons: Label of a method -> why it has none.
    """
    columns = {column.name: column for column in spec.columns}
    found = []
    for order in (*ORDERS, *FLOORS):
        if order.table != spec.name:
            continue
        absent = [label for label in (order.better, order.worse) if not results.get(label)]
        if absent:
            failed = reasons.get(absent[0])
            why = f"failed: {failed}" if failed else "was not among the methods"
            found.append(_unsaid(order, "all columns", f"{absent[0]} {why}"))
            continue
        for name in order.columns:
            found += _of_column(order, columns[name], results, bootstrap)
    return found


def _of_column(
    order: Order,
    column: Column,
    results: Mapping[str, Sequence[ItemResult]],
    bootstrap: Bootstrap,
) -> list[Finding]:
    if column.source in ("judge", "study"):
        why = "compare the intervals in the table: items of both methods are not kept together"
        return [_unsaid(order, column.heading, why)]
    better = _by_item(results[order.better], column.key)
    worse = _by_item(results[order.worse], column.key)
    datas = dict.fromkeys(data for data, _, _ in better)
    return [_paired(order, column, data, better, worse, bootstrap) for data in datas]


def _by_item(results: Sequence[ItemResult], key: str) -> dict[tuple[str, str, int], float]:
    """Values by data set, name and number among the items of that name."""
    seen: dict[tuple[str, str], int] = {}
    values = {}
    for result in results:
        place = (result.data, result.name)
        seen[place] = seen.get(place, -1) + 1
        if key in result.values:
            values[(*place, seen[place])] = result.values[key]
    return values


def _paired(
    order: Order,
    column: Column,
    data: str,
    better: Mapping[tuple[str, str, int], float],
    worse: Mapping[tuple[str, str, int], float],
    bootstrap: Bootstrap,
) -> Finding:
    both = [item for item in better if item in worse and item[0] == data]
    if len(both) < 2:
        return _unsaid(order, column.heading, "fewer than two items have both numbers", data)
    sign = column.scale if column.higher_is_better else -column.scale
    advantage = sign * np.array([better[item] - worse[item] for item in both])
    _, photos = np.unique([name for _, name, _ in both], return_inverse=True)
    found = mean_estimate(advantage, Bootstrap(bootstrap.seed, photos, bootstrap.resamples))
    low, high = found.interval.low, found.interval.high
    verdict = SEEN if low > 0 else OPPOSITE if high < 0 else OPEN
    return Finding(
        order.table,
        order.claim,
        order.better,
        order.worse,
        column.heading,
        data,
        found.value,
        low,
        high,
        found.count,
        verdict,
    )


def _unsaid(order: Order, column: str, why: str, data: str = "-") -> Finding:
    return Finding(order.table, order.claim, order.better, order.worse, column, data, reason=why)


def read_findings(output: Path) -> list[Finding]:
    """All findings of a folder of results; none where there is no file.

    Raises:
        BenchmarkError: One is damaged.
        JsonFileError: The file is.
    """
    path = output / ORDERS_FILE
    if not path.is_file():
        return []
    try:
        return [Finding(**line.record) for line in read_json_lines(path)]
    except TypeError as error:
        raise BenchmarkError(f"{path} is damaged ({error}); move it away") from error


def replace_findings(output: Path, table: str, findings: Sequence[Finding]) -> None:
    """Put the findings of one table in the place of those that were there.

    Raises:
        BenchmarkError, JsonFileError: The file that is there is damaged.
    """
    kept = [finding for finding in read_findings(output) if finding.table != table]
    records: list[dict[str, Any]] = [asdict(finding) for finding in (*kept, *findings)]
    if records:
        write_json_lines(output / ORDERS_FILE, records)
    else:
        (output / ORDERS_FILE).unlink(missing_ok=True)
