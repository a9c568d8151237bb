"""Rows as tables: Markdown, CSV and LaTeX; below ours the paper's own numbers, in italics or grey.

An empty cell carries a number, and below the table stands why it is empty. Knows rows, nothing of
how they came about.
"""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from facegpt.evaluation.benchmarks.paper import Column, PaperRow, TableSpec
from facegpt.evaluation.benchmarks.rows import ALL_GROUPS, Cell, Row
from facegpt.geometry.export import write_atomically

_EMPTY = "-"
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}


class _Notes:
    """Numbers for reasons; the same reason has one number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, reason: str) -> str:
        """Where to look for the reason."""
        number = self._numbers.setdefault(reason, len(self._numbers) + 1)
        return f"({number})"

    def lines(self) -> list[str]:
        """All of them."""
        return [f"({number}) {_plain(reason)}" for reason, number in self._numbers.items()]


def write_tables(folder: Path, spec: TableSpec, rows: Sequence[Row]) -> list[Path]:
    """Write NAME.md, NAME.csv and NAME.tex; each is there in full or not at all."""
    texts = {
        f"{spec.name}.md": markdown(spec, rows),
        f"{spec.name}.csv": comma_separated(spec, rows),
        f"{spec.name}.tex": latex(spec, rows),
    }
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    return [folder / name for name in texts]


def markdown(spec: TableSpec, rows: Sequence[Row], *, heading: str = "#") -> str:
    """One table for every data set, then the numbers by group of people where there are some."""
    notes = _Notes()
    lines = [f"{heading} {_number(spec)}: {spec.title}", ""]
    for data in _datas(rows):
        lines += [f"**{data}**" if data != _EMPTY else "**no data of ours**", ""]
        lines += _markdown_head(["Method", "n"], spec.columns)
        for row in _of_data(rows, data):
            cells = [_shown(column, row.cells.get(column.name), notes) for column in spec.columns]
            lines.append(f"| {_plain(row.title)} | {_count(row)} | {' | '.join(cells)} |")
        for paper in spec.paper_rows:
            cells = [_italic(_paper_number(column, paper)) for column in spec.columns]
            lines.append(f"| *{paper.method} (paper)* | | {' | '.join(cells)} |")
        lines += ["", _which_data(spec, rows, data), ""]
        lines += _group_table(spec, rows, data, notes)
    lines += [f"- {line}" for line in notes.lines()]
    return "\n".join([*lines, "", f"Protocol. {spec.protocol}", ""])


def comma_separated(spec: TableSpec, rows: Sequence[Row]) -> str:
    """One line for every cell: source (ours or paper), where it belongs, number, interval, unit."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    head = ("table", "source", "data", "group", "method", "column")
    writer.writerow((*head, "value", "low", "high", "n", "unit", "reason"))
    for row in rows:
        for column in spec.columns:
            cell = row.cells.get(column.name, Cell())
            numbers = ["" if v is None else f"{v:.6g}" for v in (cell.value, cell.low, cell.high)]
            place = (spec.name, "ours", row.data, row.group, row.method, column.heading)
            writer.writerow((*place, *numbers, cell.n, column.unit, cell.reason))
    for paper in spec.paper_rows:
        for column in spec.columns:
            if column.name in paper.values:
                place = (spec.name, "paper", spec.paper_data, ALL_GROUPS, paper.method)
                value = paper.values[column.name]
                writer.writerow((*place, column.heading, value, "", "", "", column.unit, ""))
    return sink.getvalue()


def latex(spec: TableSpec, rows: Sequence[Row]) -> str:
    """A tabular for every data set; needs booktabs and xcolor."""
    lines = [f"% {_number(spec)}: {spec.title}. Needs \\usepackage{{booktabs,xcolor}}."]
    notes = _Notes()
    for data in _datas(rows):
        headings = [_tex(column.heading) for column in spec.columns]
        lines += [
            f"\\begin{{tabular}}{{l{'r' * len(spec.columns)}}}",
            "\\toprule",
            f"{_tex(data)} & {' & '.join(headings)} \\\\",
            "\\midrule",
        ]
        for row in _of_data(rows, data):
            cells = [_shown(column, row.cells.get(column.name), notes) for column in spec.columns]
            lines.append(f"{_tex(row.title)} & {' & '.join(map(_tex, cells))} \\\\")
        lines.append("\\midrule")
        for paper in spec.paper_rows:
            cells = [paper.method, *(_paper_number(column, paper) for column in spec.columns)]
            grey = [f"\\textcolor{{gray}}{{\\textit{{{_tex(c)}}}}}" if c else "" for c in cells]
            lines.append(f"{' & '.join(grey)} \\\\")
        lines += ["\\bottomrule", "\\end{tabular}"]
        lines.append(f"% {_which_data(spec, rows, data)}")
    return "\n".join([*lines, *(f"% {line}" for line in notes.lines()), ""])


def _group_table(spec: TableSpec, rows: Sequence[Row], data: str, notes: _Notes) -> list[str]:
    grouped = [row for row in rows if row.data == data and row.group != ALL_GROUPS]
    columns = [column for column in spec.columns if column.source not in ("judge", "study")]
    if not grouped:
        return []
    lines = [f"**{data}**, by group (labels of the data; small groups)", ""]
    lines += _markdown_head(["Method", "Group", "n"], columns)
    for row in grouped:
        cells = [_shown(column, row.cells.get(column.name), notes) for column in columns]
        lines.append(
            f"| {_plain(row.title)} | {_plain(row.group)} | {_count(row)} | {' | '.join(cells)} |"
        )
    return [*lines, ""]


def _markdown_head(first: Sequence[str], columns: Sequence[Column]) -> list[str]:
    headings = [*first, *(column.heading for column in columns)]
    return [f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"]


def _datas(rows: Sequence[Row]) -> list[str]:
    """The data sets; rows without data are shown in each of them."""
    found = list(dict.fromkeys(row.data for row in rows if row.data != _EMPTY))
    return found or [_EMPTY]


def _of_data(rows: Sequence[Row], data: str) -> list[Row]:
    return [row for row in rows if row.data in (data, _EMPTY) and row.group == ALL_GROUPS]


def _which_data(spec: TableSpec, rows: Sequence[Row], data: str) -> str:
    paper = f"the paper's own numbers, on {spec.paper_data}"
    if data == _EMPTY:
        return f"Italics: {paper}."
    made = next((row.made for row in rows if row.data == data), {})
    which = f"split {made.get('split', '?')}"
    if made.get("every", 1) != 1:
        which += f", every {made['every']}th"
    if made.get("limit"):
        which += f", at most {made['limit']}"
    return (
        f"Ours: {data}, {which}; in brackets the 95 % bootstrap interval. Italics: {paper}. Other "
        "data, another face model and other encoders: compare orders, not numbers."
    )


def _count(row: Row) -> str:
    counts = [cell.n for cell in row.cells.values() if cell.n]
    return str(max(counts)) if counts else ""


def _shown(column: Column, cell: Cell | None, notes: _Notes) -> str:
    if cell is None or cell.value is None:
        reason = cell.reason if cell is not None and cell.reason else "not measured"
        return f"{_EMPTY} {notes.mark(reason)}"
    # z: no minus before a zero.
    form = f"z.{column.digits}f"
    text = f"{cell.value:{form}}"
    if cell.low is not None and cell.high is not None:
        text += f" ({cell.low:{form}} to {cell.high:{form}})"
    return f"{text} {notes.mark(cell.reason)}" if cell.reason else text


def _paper_number(column: Column, paper: PaperRow) -> str:
    return paper.values.get(column.name, "")


def _italic(text: str) -> str:
    return f"*{text}*" if text else ""


def _number(spec: TableSpec) -> str:
    return f"Table {spec.name.removeprefix('table')}"


def _plain(text: str) -> str:
    """One line that does not end a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _tex(text: str) -> str:
    return re.sub("[" + re.escape("".join(_LATEX)) + "]", lambda m: _LATEX[m[0]], text)
