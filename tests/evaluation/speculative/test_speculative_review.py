"""The review sheet: a table and a page that say the same, and choices that find back."""

import csv
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sfg_folder import SfgFolder, fill, good_sentences, select_without_model

from facegpt.evaluation.json_lines import sha256_of
from facegpt.evaluation.speculative import page as page_module
from facegpt.evaluation.speculative.page import make_review
from facegpt.evaluation.speculative.review import (
    COLUMNS,
    ReviewRow,
    read_decisions,
    row_id,
    write_sheet,
)
from facegpt.evaluation.speculative.workspace import SpeculativeError, write_step

EVIL = 'This person reads </script><script>alert("1")</script> & <!--DATA--> aloud.'


@pytest.fixture
def selected(sfg: SfgFolder) -> SfgFolder:
    select_without_model(sfg)
    return sfg


def test_every_sentence_is_in_the_table_and_open(selected: SfgFolder) -> None:
    rows, problems = make_review(selected.work, selected.images)
    assert problems == []
    assert [row.sentence for row in rows[:3]] == good_sentences("harbour")
    text = selected.work.sheet.read_bytes().decode("utf-8-sig")
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    assert tuple(table[0]) == COLUMNS
    assert [row["sentence"] for row in table] == [row.sentence for row in rows]
    assert set(read_decisions(selected.work.sheet, rows).values()) == {""}
    assert len({row.row_id for row in rows}) == len(rows) == 9


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_decisions_are_read_back_as_spreadsheets_save_them(
    selected: SfgFolder, separator: str, tmp_path: Path
) -> None:
    rows, _ = make_review(selected.work, selected.images)
    said = ["keep", " Reject ", "YES", "no", "1", "0", "x", "n", ""]
    lines = [separator.join(("decision", "sentence", "id"))]
    for row, decision in zip(reversed(rows), said, strict=True):
        lines.append(separator.join((decision, f'"{row.sentence}"', row.row_id)))
    path = tmp_path / "choices.csv"
    path.write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    found = read_decisions(path, rows)
    assert [found[row.row_id] for row in reversed(rows)] == [
        "keep", "reject", "keep", "reject", "keep", "reject", "keep", "reject", ""
    ]  # fmt: skip


def test_rows_that_are_gone_are_open(selected: SfgFolder, tmp_path: Path) -> None:
    rows, _ = make_review(selected.work, selected.images)
    found = read_decisions(fill(tmp_path / "c.csv", rows[2:]), rows)
    assert [found[row.row_id] for row in rows[:3]] == ["", "", "keep"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no row"),
        ("id,decision\n", "holds no row"),
        ("name,decision\nx,keep\n", "row 2: it needs columns"),
        ("id,keep\ns1,x\n", "row 2: it needs columns"),
        ("id,decision\nsnobody,keep\n", "1 sentences that are not in the selection, .* snobody"),
        ("id,decision\n{id},perhaps\n", "the decision is keep or reject, got 'perhaps'"),
        ("id,decision\n{id},keep\n{id},reject\n", "row 3: the id .* comes twice"),
    ],
)
def test_damaged_choices_are_refused(
    selected: SfgFolder, tmp_path: Path, text: str, message: str
) -> None:
    rows, _ = make_review(selected.work, selected.images)
    path = tmp_path / "choices.csv"
    path.write_text(text.replace("{id}", rows[0].row_id))
    with pytest.raises(SpeculativeError, match=message):
        read_decisions(path, rows)


def test_a_table_that_is_no_text_is_refused(selected: SfgFolder, tmp_path: Path) -> None:
    path = tmp_path / "choices.csv"
    path.write_bytes(b"id,decision\n\xff\xfe\n")
    with pytest.raises(SpeculativeError, match="save it as CSV in UTF-8"):
        read_decisions(path, [])
    with pytest.raises(SpeculativeError, match="cannot be read"):
        read_decisions(tmp_path / "nothing.csv", [])


def test_what_was_decided_is_never_written_over(selected: SfgFolder) -> None:
    rows, _ = make_review(selected.work, selected.images)
    fill(selected.work.sheet, rows)
    before = selected.work.sheet.read_bytes()
    make_review(selected.work, selected.images)
    assert selected.work.sheet.read_bytes() == before
    # The page opens with the decisions of the table.
    assert '"decision": "keep"' in selected.work.page.read_text()
    select_without_model(selected, extra="This person is the first to sign a very long contract.")
    with pytest.raises(SpeculativeError, match="holds 9 decisions about another selection"):
        make_review(selected.work, selected.images)
    assert selected.work.sheet.read_bytes() == before
    fill(selected.work.sheet, rows, "")
    assert len(make_review(selected.work, selected.images)[0]) == 10


def test_a_crash_between_table_and_page_leaves_nothing_half_written(
    selected: SfgFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(path: Path, data: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(page_module, "write_atomically", crash)
    with pytest.raises(KeyboardInterrupt):
        make_review(selected.work, selected.images)
    names = {path.name for path in selected.work.folder.iterdir()}
    assert names == {"candidates.json", "selection.json", "review.csv"}
    digest = sha256_of(selected.work.sheet)
    monkeypatch.undo()
    make_review(selected.work, selected.images)
    assert selected.work.page.is_file()
    assert sha256_of(selected.work.sheet) == digest


def test_nothing_to_review(sfg: SfgFolder) -> None:
    with pytest.raises(SpeculativeError, match=r"first run: .* select"):
        make_review(sfg.work, sfg.images)
    write_step(sfg.work.selection, {}, [])
    with pytest.raises(SpeculativeError, match=r"no sentence .* passed the rules"):
        make_review(sfg.work, sfg.images)


class Seen(HTMLParser):
    """What a browser would find in the page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_from_outside(selected: SfgFolder) -> None:
    make_review(selected.work, selected.images)
    seen = Seen(selected.work.page)
    links = [v for _, a in seen.tags for k, v in a.items() if k in ("src", "href", "action")]
    assert len(links) == 3
    assert all(link and link.startswith("data:image/jpeg;base64,") for link in links)
    policy = next(a["content"] for _, a in seen.tags if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "http" not in re.sub(r"base64,[^\"]*|http-equiv", "", selected.work.page.read_text())
    assert sum(tag == "input" for tag, _ in seen.tags) == 2 * 9


def test_what_the_page_quotes_is_text(sfg: SfgFolder) -> None:
    select_without_model(sfg, extra=EVIL)
    rows, _ = make_review(sfg.work, sfg.images)
    seen = Seen(sfg.work.page)
    assert sum(tag == "script" for tag, _ in seen.tags) == 2
    assert EVIL in seen.text
    assert "His mouth is a <line> & shut." in seen.text
    data = json.loads(re.findall(r'id="data">(.*?)</script>', sfg.work.page.read_text())[0])
    assert [row["id"] for row in data["rows"]] == [row.row_id for row in rows]
    assert data["rows"][3]["sentence"] == EVIL


def test_a_picture_that_is_gone_leaves_its_sentences(selected: SfgFolder) -> None:
    (selected.images / "a.png").unlink()
    rows, problems = make_review(selected.work, selected.images)
    assert [p.image for p in problems] == ["a.png"]
    assert rows[0].sentence in Seen(selected.work.page).text


# A browser small enough for a test: elements by id and name, and a click on two buttons.
BROWSER = """
const fs = require("fs");
const html = fs.readFileSync(process.argv[1], "utf8");
const scripts = html.matchAll(/<script[^>]*>([\\s\\S]*?)<\\/script>/g);
const [data, program] = [...scripts].map((found) => found[1]);
const element = () => ({ listeners: {}, addEventListener(n, f) { this.listeners[n] = f; },
  click() { this.listeners.click?.(); } });
const ids = { data: { textContent: data }, state: element(), rest: element(), export: element() };
const inputs = {};
for (const row of JSON.parse(data).rows)
  inputs[row.id] = ["keep", "reject"].map((value) => ({ ...element(), value, checked: false }));
const kept = {};
globalThis.localStorage = { getItem: (k) => kept[k] ?? null, setItem: (k, v) => { kept[k] = v; } };
globalThis.document = { getElementById: (id) => ids[id], getElementsByName: (n) => inputs[n],
  createElement: () => element() };
let exported;
globalThis.Blob = class { constructor(parts) { exported = parts.join(""); } };
globalThis.URL = { createObjectURL: () => "blob:1", revokeObjectURL: () => {} };
globalThis.setTimeout = () => {};
(0, eval)(program);
const first = Object.values(inputs)[0];
first[0].listeners.change();
ids.rest.click();
ids.export.click();
process.stdout.write(JSON.stringify({ exported, state: ids.state.textContent,
  checked: first.map((i) => i.checked), kept: Object.values(kept)[0] }));
"""


def test_the_page_exports_choices_that_are_read_back(sfg: SfgFolder, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("the page is run by Node.js, and there is no `node` on the PATH")
    select_without_model(sfg, extra='This person calls "Taxi", then waits; nobody comes.')
    rows, _ = make_review(sfg.work, sfg.images)
    result = subprocess.run(
        [node, "-e", BROWSER, str(sfg.work.page)], capture_output=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr.decode()
    said = json.loads(result.stdout)
    assert said["state"] == "10 sentences: 1 kept, 9 rejected, 0 open."
    assert said["checked"] == [True, False]
    assert json.loads(said["kept"])[rows[0].row_id] == "keep"
    choices = tmp_path / "choices.csv"
    choices.write_bytes(said["exported"].encode())
    decisions = read_decisions(choices, rows)
    assert list(decisions.values()) == ["keep"] + ["reject"] * 9


def test_ids_stay_the_same_and_are_no_numbers() -> None:
    assert row_id("a.png", "This person waits.") == row_id("a.png", "This person waits.")
    assert row_id("a.png", "x") != row_id("b.png", "x")
    assert row_id("a.png", "x").startswith("s")


def test_writing_a_table_twice_changes_nothing(tmp_path: Path) -> None:
    rows = [ReviewRow("s1", "a.png", "This person waits.", True)]
    write_sheet(tmp_path / "r.csv", rows)
    before = (tmp_path / "r.csv").read_bytes()
    write_sheet(tmp_path / "r.csv", rows)
    assert (tmp_path / "r.csv").read_bytes() == before
