"""Step three: a person keeps or rejects every sentence, in a table or in a browser.

`review.csv` opens in any spreadsheet; `review.html` (written by `page`) shows the pictures and
exports the same table. Every sentence has an id made of its picture and its words, so choices find
back to their sentence whatever was sorted or added in between.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from facegpt.evaluation.speculative.selection import Selected
from facegpt.evaluation.speculative.workspace import COMMAND, SpeculativeError, StepFile
from facegpt.geometry.export import write_atomically

Decision = Literal["keep", "reject", ""]
"""Empty: not decided yet."""

COLUMNS = ("id", "image", "sentence", "favourite", "decision", "note")
"""`favourite` is yes for the model's choice; `note` is for the person alone."""

_KEEP = frozenset({"keep", "yes", "y", "1", "x"})
_REJECT = frozenset({"reject", "no", "n", "0"})
_MOST_BYTES = 1 << 26


@dataclass(frozen=True)
class ReviewRow:
    """One sentence to be decided about."""

    row_id: str
    image: str
    sentence: str
    is_favourite: bool


def review_rows(selection: StepFile) -> list[ReviewRow]:
    """Every sentence that passed the rules, picture by picture.

    Raises:
        JsonFileError: The selection is damaged.
    """
    chosen = [Selected.from_record(item) for item in selection.items]
    return [
        ReviewRow(row_id(c.face.image, text), c.face.image, text, text == c.favourite)
        for c in chosen
        for text in c.sentences
    ]


def row_id(image: str, sentence: str) -> str:
    """A short name for a sentence about a picture. The letter in front keeps spreadsheets from
    taking it for a number."""
    return "s" + hashlib.sha256(f"{image}\n{sentence}".encode()).hexdigest()[:12]


def write_sheet(path: Path, rows: Sequence[ReviewRow]) -> None:
    """Write the table to be filled in, unless it is there already.

    Raises:
        SpeculativeError: There is one of another selection with decisions in it, or a file that is
            no such table. Nobody's work is written over.
    """
    if path.exists():
        old = _read_table(path)
        if set(old) == {row.row_id for row in rows}:
            return
        decided = sum(_decision(row, path) != "" for row in old.values())
        if decided:
            raise SpeculativeError(
                f"{path} holds {decided} decisions about another selection; move it away, then "
                f"run again: {COMMAND} review"
            )
    write_atomically(path, _table(rows))


def read_decisions(path: Path, rows: Sequence[ReviewRow]) -> dict[str, Decision]:
    """What was decided about every row, by its id; rows that are not in the table are open.

    Commas, semicolons and tabs may separate the columns, since spreadsheets choose for themselves.

    Raises:
        SpeculativeError: The table cannot be read, is about other sentences, or says something else
            than keep or reject.
    """
    found = _read_table(path)
    known = {row.row_id for row in rows}
    strangers = [one for one in found if one not in known]
    if strangers:
        raise SpeculativeError(
            f"{path} decides about {len(strangers)} sentences that are not in the selection, the "
            f"first has the id {strangers[0]}; it was made from another selection"
        )
    decisions: dict[str, Decision] = {one: _decision(row, path) for one, row in found.items()}
    return {row.row_id: decisions.get(row.row_id, "") for row in rows}


def _table(rows: Sequence[ReviewRow]) -> bytes:
    sheet = io.StringIO(newline="")
    writer = csv.writer(sheet)
    writer.writerow(COLUMNS)
    for row in rows:
        favourite = "yes" if row.is_favourite else ""
        writer.writerow((row.row_id, row.image, row.sentence, favourite, "", ""))
    # The mark at the beginning tells spreadsheets that this is UTF-8.
    return sheet.getvalue().encode("utf-8-sig")


def _read_table(path: Path) -> dict[str, Mapping[str, str]]:
    """Rows by their id."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SpeculativeError(f"{path} is larger than {_MOST_BYTES} bytes; it is no review")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpeculativeError(
            f"the review {path} cannot be read; save it as CSV in UTF-8"
        ) from error
    except OSError as error:
        raise SpeculativeError(f"the review {path} cannot be read: {error}") from error
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    try:
        table = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise SpeculativeError(f"the review {path} cannot be read: {error}") from error
    rows: dict[str, Mapping[str, str]] = {}
    for number, row in enumerate(table, start=2):
        one = (row.get("id") or "").strip()
        if not one or row.get("decision") is None:
            raise SpeculativeError(f"{path}, row {number}: it needs columns `id` and `decision`")
        if one in rows:
            raise SpeculativeError(f"{path}, row {number}: the id {one} comes twice")
        rows[one] = row
    if not rows:
        raise SpeculativeError(f"the review {path} holds no row")
    return rows


def _decision(row: Mapping[str, str], path: Path) -> Decision:
    said = row["decision"].strip().lower()
    if said in _KEEP:
        return "keep"
    if said in _REJECT:
        return "reject"
    if said:
        raise SpeculativeError(
            f"{path}, id {row['id']}: the decision is keep or reject, got {said[:60]!r}"
        )
    return ""
