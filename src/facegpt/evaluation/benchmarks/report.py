"""`docs/results.md`: every table of a folder of results with its commands, and the paper's orders.

All numbers come from `rows.jsonl` and `orders.jsonl`; nothing is computed here. Why an order holds
or not is said by people, in words, and comes from a file of remarks.
"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from facegpt.evaluation.benchmarks.errors import BenchmarkError
from facegpt.evaluation.benchmarks.orders import OPEN, OPPOSITE, SEEN, Finding, read_findings
from facegpt.evaluation.benchmarks.paper import TABLES, Source
from facegpt.evaluation.benchmarks.rows import Row, read_rows
from facegpt.evaluation.benchmarks.tables import markdown
from facegpt.geometry.export import write_atomically

_HEAD = """# Results

<!-- Written by `facegpt evaluate report`. Do not edit: no number here is typed by hand. -->

Every table of the paper, measured with the command below it. A cell without a number says below the
table why. `DATA` is a folder as [Evaluation](evaluation.md) describes it, `FOLDER` one of weights.
"""
_DIGITS = 4
_DEFAULTS = {"every": 1, "limit": 0, "sentences": "best", "seed": 0}
"""Of the command; what is as usual is not repeated."""
_FILES: dict[str, Source] = {"judge": "judge", "study": "study", "prompts": "talk"}
"""Flag -> what it is for. Files are named without the way to them, which differs elsewhere."""


def write_report(results: Path, output: Path, remarks: Path | None = None) -> Path:
    """Write the page; it is there in full or not at all.

    Args:
        remarks: What people say of the tables (`read_remarks`); stands below their orders.

    Raises:
        BenchmarkError, JsonFileError: There are no results, or they are damaged, or the remarks are
            of no table.
    """
    rows, findings = read_rows(results), read_findings(results)
    said = {} if remarks is None else read_remarks(remarks)
    parts = [_HEAD, f"{_made_with(rows)}\n", _at_a_glance(findings)]
    for name, spec in TABLES.items():
        own = [row for row in rows if row.table == name]
        if not own:
            continue
        parts += [
            markdown(spec, own, heading="##"),
            _command(name, own),
            _orders([finding for finding in findings if finding.table == name]),
            said.get(name, ""),
        ]
    text = "\n".join(part.rstrip() + "\n" for part in parts if part)
    write_atomically(output, text.encode())
    return output


def read_remarks(path: Path) -> dict[str, str]:
    """Name of a table -> what stands below its heading `## table1` in a Markdown file.

    Raises:
        BenchmarkError: There is no such file, or a heading names no table.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"the remarks in {path} cannot be read: {error}") from error
    _, *sections = re.split(r"^## +", text, flags=re.MULTILINE)
    said = {}
    for section in sections:
        name, _, body = section.partition("\n")
        if name.strip() not in TABLES:
            raise BenchmarkError(
                f"{path}: the heading '## {name.strip()}' names no table; headings are "
                f"{', '.join(f'## {table}' for table in TABLES)}"
            )
        said[name.strip()] = body.strip() + "\n"
    return said


def _made_with(rows: Sequence[Row]) -> str:
    made = [row.made for row in rows]
    commits = sorted({_short(str(m.get("commit") or "no checkout")) for m in made})
    versions = made[0].get("versions", {}) if made else {}
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    seeds = sorted({str(m.get("seed")) for m in made})
    return f"Commit: {', '.join(commits)}. Seed of the bootstrap: {', '.join(seeds)}. {libraries}."


def _short(commit: str) -> str:
    """Twelve digits name a commit, and whether files differed from it."""
    number, changes, _ = commit.partition("+")
    return f"{number[:12]}{changes and ' with changes'}"


def _command(table: str, rows: Sequence[Row]) -> str:
    made = rows[0].made
    given = ["facegpt", "evaluate", table, "--data", "DATA"]
    for name in dict.fromkeys(row.command for row in rows if _was_asked(row)):
        given += ["--method", name]
    for method, step in {row.method: row.thin for row in rows if row.thin > 1}.items():
        given += ["--thin", f"{method}={step}"]
    given += ["--split", str(made.get("split", "val"))]
    for flag, default in _DEFAULTS.items():
        value = made.get(flag, default)
        if value != default:
            given += [f"--{flag}", str(value)]
    for name, source in _FILES.items():
        if made.get(name) and source in TABLES[table].sources:
            given += [f"--{name}", str(made[name])]
    return f"```console\n$ {shlex.join([*given, '-o', 'OUT'])}\n```\n"


def _was_asked(row: Row) -> bool:
    """Whether the row stands for a method of the call, not for one that the paper has."""
    empty = all(cell.reason.startswith("not measured;") for cell in row.cells.values())
    return not empty and not row.command.startswith("--")


def _orders(findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    lines = ["Does the order hold?", ""]
    for claim in dict.fromkeys(finding.claim for finding in findings):
        lines.append(f"- {claim}:")
        lines += [f"    - {_sentence(f)}" for f in findings if f.claim == claim]
    return "\n".join([*lines, ""])


def _at_a_glance(findings: Sequence[Finding]) -> str:
    """The orders of the paper and the floors, each with the number of columns where it is seen."""
    if not findings:
        return ""
    lines = [
        "| Table | Order | Seen | Opposite | Not decided | Cannot be said |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for table, claim in dict.fromkeys((finding.table, finding.claim) for finding in findings):
        own = [f.verdict for f in findings if (f.table, f.claim) == (table, claim)]
        counts = [str(own.count(verdict)) for verdict in (SEEN, OPPOSITE, OPEN, "")]
        number = table.removeprefix("table")
        lines.append(f"| {number} | {claim} | {' | '.join(counts)} |")
    said = "Orders by number of columns and data sets; the differences stand below each table."
    return "\n".join([*lines, "", said, ""])


def _sentence(finding: Finding) -> str:
    where = finding.column if finding.data == "-" else f"{finding.column}, {finding.data}"
    if finding.advantage is None:
        return f"{where}: cannot be said: {' '.join(finding.reason.split())}."
    said = {
        SEEN: "**seen**",
        OPPOSITE: "**the opposite is seen**",
        OPEN: "not decided: the interval holds zero",
    }[finding.verdict]
    # Whoever is ahead is named first, so that a difference is never a negative lead.
    ahead, behind, sign = finding.better, finding.worse, 1
    if finding.advantage < 0:
        ahead, behind, sign = behind, ahead, -1
    ends = sorted(sign * end for end in (finding.low, finding.high) if end is not None)
    numbers = [f"{v:.{_DIGITS}g}" for v in (sign * finding.advantage, *ends)]
    return (
        f"{where}: {said}; {ahead} is better by {numbers[0]} than {behind} "
        f"({numbers[1]} to {numbers[2]}, n = {finding.n}, paired)."
    )
