"""Cells, rows and tables: numbers, reasons, and what other commands wrote."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from facegpt.evaluation.benchmarks.errors import BenchmarkError
from facegpt.evaluation.benchmarks.measuring import ItemResult
from facegpt.evaluation.benchmarks.orders import (
    OPEN,
    OPPOSITE,
    SEEN,
    findings_of,
    read_findings,
    replace_findings,
)
from facegpt.evaluation.benchmarks.paper import FLOORS, ORDERS, TABLES, Source
from facegpt.evaluation.benchmarks.report import write_report
from facegpt.evaluation.benchmarks.rows import (
    Cell,
    Row,
    item_cell,
    item_rows,
    judge_cells,
    read_rows,
    replace_rows,
    study_cells,
)
from facegpt.evaluation.benchmarks.store import ItemStore
from facegpt.evaluation.benchmarks.tables import comma_separated, latex, markdown
from facegpt.evaluation.metrics import Bootstrap, mean_estimate, wilson_interval

FEW = Bootstrap(0, None, 200)
TABLE3 = TABLES["table3"]
PHOTO, KEYPOINT = TABLE3.columns[:2]


def results(
    values: list[float],
    data: str = "color",
    key: str = "landmark_px",
    source: Source = "photos",
) -> list[ItemResult]:
    return [
        ItemResult(f"p{i}", data, ("asian", "white")[i % 2], source, {key: value})
        for i, value in enumerate(values)
    ]


def rows() -> list[Row]:
    found = item_rows(TABLE3, ("nano", "nano"), results([1.0, 2.0, 3.0, 6.0]), FEW, {"seed": 0})
    empty = {column.name: Cell(reason="a | pipe and 100 % of_it") for column in TABLE3.columns}
    return [*found, Row("table3", "deca", "external:deca=FOLDER", "-", "all", empty, {})]


def test_the_papers_numbers_belong_to_columns_of_ours() -> None:
    for spec in TABLES.values():
        names = [column.name for column in spec.columns]
        assert len(set(names)) == len(names)
        assert all(set(paper.values) <= set(names) for paper in spec.paper_rows)
    for order in (*ORDERS, *FLOORS):
        assert set(order.columns) <= {column.name for column in TABLES[order.table].columns}
    face_gpt = {name: spec.paper_rows[-1].values for name, spec in TABLES.items()}
    assert list(face_gpt["table1"].values()) == ["11.5", "83.6", "64.0", "57.2"]
    assert list(face_gpt["table4"].values()) == ["79.6", "81.5", "92.6", "84.6"]


def test_a_cell_is_the_mean_with_its_interval() -> None:
    cell = item_cell(KEYPOINT, results([1.0, 2.0, 3.0, 6.0]), FEW)
    expected = mean_estimate(np.array([1.0, 2.0, 3.0, 6.0]), FEW)
    assert (cell.value, cell.n) == (3.0, 4)
    assert (cell.low, cell.high) == (expected.interval.low, expected.interval.high)


def test_sentences_of_one_photo_are_no_witnesses_of_their_own() -> None:
    same = [ItemResult("p", "d", "", "photos", {"landmark_px": v}) for v in (1.0, 2.0, 3.0)]
    cell = item_cell(KEYPOINT, same, FEW)
    assert (cell.value, cell.low, cell.high, cell.n) == (2.0, None, None, 3)
    other = ItemResult("q", "d", "", "photos", {"landmark_px": 4.0})
    cell = item_cell(KEYPOINT, [*same, other], FEW)
    assert (cell.low, cell.high) == (2.0, 4.0)


def test_answers_that_are_all_right_are_not_certain() -> None:
    agrees = next(c for c in TABLES["table4"].columns if c.key == "agrees")
    cell = item_cell(agrees, results([1.0] * 8, key="agrees", source="talk"), FEW)
    low = 100 * wilson_interval(8, 8).low
    assert (cell.value, cell.low, cell.high) == (100.0, pytest.approx(low), 100.0)
    assert low < 70


def test_missing_items_are_told() -> None:
    some = [*results([1.0, 3.0]), ItemResult("x", "color", "", "photos", problem="no face made")]
    cell = item_cell(KEYPOINT, some, FEW)
    assert (cell.value, cell.reason) == (2.0, "1 of 3 missing: no face made")
    assert item_cell(PHOTO, some, FEW).reason == "no face made"
    assert "does not give it" in item_cell(PHOTO, results([1.0]), FEW).reason


def test_items_of_another_source_are_not_missing() -> None:
    answers = results([1.0, 0.0], key="agrees", source="talk")
    prompts = results([1.0], key="face_made", source="talk")
    everything = [*results([1.0, 3.0]), *answers, *prompts]
    columns = {column.key: column for column in TABLES["table5"].columns}
    for key, n in (("landmark_px", 2), ("agrees", 2), ("face_made", 1)):
        cell = item_cell(columns[key], everything, FEW)
        assert (cell.n, cell.reason) == (n, "")


def test_groups_are_rows_of_their_own() -> None:
    found = {(row.data, row.group): row.cells[KEYPOINT.name].value for row in rows()[:3]}
    assert found == {("color", "all"): 3.0, ("color", "asian"): 2.0, ("color", "white"): 4.0}


def test_rows_come_back(tmp_path: Path) -> None:
    replace_rows(tmp_path, "table3", rows())
    assert read_rows(tmp_path) == rows()
    other = Row("table7", "nano", "nano", "color", "all", {}, {})
    replace_rows(tmp_path, "table7", [other])
    replace_rows(tmp_path, "table3", rows()[:1])
    assert read_rows(tmp_path) == [rows()[0], other]
    record = json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0])
    assert record["cells"][KEYPOINT.name]["unit"] == "px"


def test_damaged_rows(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"holds no rows\.jsonl"):
        read_rows(tmp_path)
    for text in ('{"table": "table99", "cells": {}}', '{"table": "table3", "cells": {"a": 1}}'):
        (tmp_path / "rows.jsonl").write_text(text)
        with pytest.raises(BenchmarkError, match="line 1"):
            read_rows(tmp_path)


def test_markdown_says_data_paper_and_reasons() -> None:
    text = markdown(TABLE3, rows())
    assert "| nano | 4 | " in text
    assert "3.00 (" in text
    assert "| *FOCUS (paper)* | | *0.077* | *2.2* |" in text
    assert "on CelebA-HQ test photos" in text
    assert "- (1) not measured on this data" in text
    assert "(2) a \\| pipe" in text
    assert "| nano | white | 2 |" in text
    table_lines = [line for line in text.splitlines() if line.startswith("| nano | 4")]
    assert table_lines[0].count(" | ") == len(TABLE3.columns) + 1


def test_csv_and_latex() -> None:
    read = list(csv.DictReader(io.StringIO(comma_separated(TABLE3, rows()))))
    ours = [r for r in read if r["source"] == "ours" and r["group"] == "all" and r["value"]]
    assert [(r["method"], r["value"], r["unit"]) for r in ours] == [("nano", "3", "px")]
    assert {r["value"] for r in read if r["method"] == "DECA"} == {"0.216", "5.2"}
    assert any(r["reason"].startswith("a | pipe") for r in read)
    text = latex(TABLE3, rows())
    assert r"\textcolor{gray}{\textit{0.103}}" in text
    assert r"keypoint [px] $\downarrow$" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1


def test_orders_are_paired() -> None:
    noise = np.linspace(0, 10, 30)
    found = {
        label: results((noise + shift).tolist()) + results((noise - shift).tolist(), "wild")
        for label, shift in (("nano", 0.0), ("mean-face", 0.5))
    }
    by_data = {f.data: f for f in findings_of(TABLE3, found, {}, FEW) if f.n}
    assert by_data["color"].verdict == SEEN
    assert by_data["wild"].verdict == OPPOSITE
    assert by_data["color"].advantage == pytest.approx(0.5)
    assert by_data["color"].low == pytest.approx(0.5)
    same = {label: results([1.0, 2.0]) for label in ("nano", "mean-face")}
    assert [f.verdict for f in findings_of(TABLE3, same, {}, FEW) if f.n] == [OPEN]


def test_orders_that_cannot_be_said(tmp_path: Path) -> None:
    found = findings_of(TABLE3, {"nano": results([1.0, 2.0])}, {"llava-key": "broken"}, FEW)
    reasons = {f.worse: f.reason for f in found}
    assert reasons["llava-key"] == "llava-key failed: broken"
    assert "was not among the methods" in reasons["mean-face"]
    replace_findings(tmp_path, "table3", found)
    assert read_findings(tmp_path) == found
    replace_findings(tmp_path, "table3", [])
    assert read_findings(tmp_path) == []


def test_the_report_holds_tables_commands_and_orders(tmp_path: Path) -> None:
    replace_rows(tmp_path, "table3", rows())
    found = findings_of(TABLE3, {"nano": results([1.0, 2.0])}, {}, FEW)
    replace_findings(tmp_path, "table3", found)
    text = write_report(tmp_path, tmp_path / "results.md").read_text()
    assert "## Table 3: 3D faces from photos" in text
    assert "$ facegpt evaluate table3 --data DATA --method nano" in text
    assert "cannot be said: llava-key was not among" in text
    assert str(tmp_path) not in text


def test_the_results_page_is_what_the_report_writes(project: Path, tmp_path: Path) -> None:
    kept = project / "benchmarks" / "assets" / "results"
    page = write_report(kept, tmp_path / "results.md", kept / "remarks.md")
    assert page.read_text() == (project / "docs" / "results.md").read_text()


def test_whoever_is_ahead_is_named_first(tmp_path: Path) -> None:
    replace_rows(tmp_path, "table3", rows())
    both = {"nano": results([1.0, 2.0, 3.0]), "llava-key": results([3.0, 4.0, 5.0])}
    for methods, ahead, behind, verdict in (
        (both, "nano", "llava-key", "seen"),
        ({"nano": both["llava-key"], "llava-key": both["nano"]}, "llava-key", "nano", "opposite"),
    ):
        replace_findings(tmp_path, "table3", findings_of(TABLE3, methods, {}, FEW))
        text = write_report(tmp_path, tmp_path / "results.md").read_text()
        [line] = [line for line in text.splitlines() if "keypoint [px] ↓, color:" in line]
        assert f"{ahead} is better by 2 than {behind} (2 to 2, n = 3, paired)" in line
        assert verdict in line
        counts = "1 | 0" if verdict == "seen" else "0 | 1"
        claim = "FaceGPT is better than LLaVA-Key at photos"
        assert f"| 3 | {claim} | {counts} | 0 | 0 |" in text


def test_the_command_names_what_the_table_was_given(tmp_path: Path) -> None:
    made = {"prompts": "asked.jsonl", "study": "tally.json"}
    for table in ("table3", "table5"):
        row = Row(table, "nano", "nano", "color", "all", {}, made)
        replace_rows(tmp_path, table, [row])
    lines = write_report(tmp_path, tmp_path / "results.md").read_text().splitlines()
    commands = [line for line in lines if line.startswith("$ ")]
    assert "--prompts" not in commands[0]
    assert "--prompts asked.jsonl " in commands[1]
    assert "--study" not in commands[1]


def test_remarks_stand_below_their_table(tmp_path: Path) -> None:
    replace_rows(tmp_path, "table3", rows())
    remarks = tmp_path / "remarks.md"
    said = "As the paper says.\n### Why\n\nWho knows.\n"
    remarks.write_text(f"Written by hand.\n\n## table3\n\n{said}")
    text = write_report(tmp_path, tmp_path / "results.md", remarks).read_text()
    place = text.index(said)
    assert text.index("## Table 3") < text.index("$ facegpt evaluate table3") < place
    assert "Written by hand" not in text
    remarks.write_text("## table9\n\nWhat?\n")
    with pytest.raises(BenchmarkError, match="'## table9' names no table"):
        write_report(tmp_path, tmp_path / "results.md", remarks)
    assert "As the paper says" in (tmp_path / "results.md").read_text()
    with pytest.raises(BenchmarkError, match="cannot be read"):
        write_report(tmp_path, tmp_path / "results.md", tmp_path / "no.md")


def test_what_a_judge_and_a_study_said(tmp_path: Path) -> None:
    score = {"value": 80.5, "interval": [70.0, 90.0], "questions": 30}
    scores = {"conv": score, "detail": {"questions": 0}}
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"models": {"nano": {"scores": scores}}}))
    cells = judge_cells(path)["nano"]
    assert cells["judge.conv"] == Cell(80.5, 70.0, 90.0, 30)
    assert cells["judge.detail"].value is None
    preference = {"method": "nano", "share": 0.6, "answers": 20}
    preference["interval"] = {"low": 0.4, "high": 0.8}
    path.write_text(json.dumps({"preferences": [preference]}))
    assert study_cells(path) == {"nano": Cell(60.0, 40.0, 80.0, 20)}
    for reader in (judge_cells, study_cells):
        path.write_text('{"models": {"nano": 1}, "preferences": [1]}')
        with pytest.raises(BenchmarkError, match=r"report\.json"):
            reader(path)


def test_a_store_forgets_what_was_made_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    ItemStore(path, {"weights": "a"}).add({"k": {"values": {"x": 1.5}}})
    again = ItemStore(path, {"weights": "a"})
    assert "k" in again
    assert again["k"] == {"values": {"x": 1.5}}
    assert "k" not in ItemStore(path, {"weights": "b"})
    path.write_text(path.read_text()[:-10])
    assert "k" not in ItemStore(path, {"weights": "a"})
