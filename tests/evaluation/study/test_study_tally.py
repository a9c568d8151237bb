"""Counts agree with numbers worked out by hand, from the answers to the reports."""

import csv
import io
import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from facegpt.evaluation.metrics import Interval
from facegpt.evaluation.study.answers import Answers, create_answers
from facegpt.evaluation.study.errors import (
    AnswersError,
    NoAnswersError,
    StudyError,
    StudyMissingError,
)
from facegpt.evaluation.study.plan import Study, read_key
from facegpt.evaluation.study.server import create_app, load_images
from facegpt.evaluation.study.tally import (
    tally_csv,
    tally_json,
    tally_markdown,
    tally_study,
    write_tally,
)


@pytest.fixture
def answers(built: tuple[Study, Path]) -> Answers:
    return create_answers(built[1] / "answers.sqlite3", built[0].id)


def choose(answers: Answers, built: tuple[Study, Path], *methods: str) -> None:
    """A new participant who chooses these methods, from the first question on."""
    study, folder = built
    key = read_key(folder / "key.json")
    participant = answers.join()
    for question, method in zip(study.questions, methods, strict=False):
        [image] = [i for i in question.alternatives if key.method_of[i] == method]
        answers.save(participant, question.id, image)


def test_counts_by_hand(built: tuple[Study, Path], answers: Answers) -> None:
    choose(answers, built, "ours", "ours", "llava-key")
    choose(answers, built, "ours", "llava-key", "ours")
    choose(answers, built, "describe3d")
    choose(answers, built)
    tally = tally_study(built[1])
    assert (tally.participants_complete, tally.participants_incomplete) == (2, 2)
    found = {p.method: p for p in tally.preferences}
    assert tally.preferences[0].method == "ours"
    assert (found["ours"].chosen, found["ours"].answers) == (4, 6)
    assert found["ours"].share == pytest.approx(2 / 3)
    assert (found["llava-key"].chosen, found["describe3d"].chosen) == (2, 0)
    # Wilson for 4 of 6 with z = 1.96: (4 + z^2 / 2 -+ z sqrt(4/3 + z^2 / 4)) / (6 + z^2).
    assert found["ours"].interval.low == pytest.approx(0.3000, abs=1e-4)
    assert found["ours"].interval.high == pytest.approx(0.9032, abs=1e-4)
    # For 0 of 6: 0 and z^2 / (6 + z^2).
    assert found["describe3d"].interval.low == 0.0
    assert found["describe3d"].interval.high == pytest.approx(3.841457 / 9.841457, abs=1e-6)
    first = {p.method: p.chosen for p in tally.questions[0].preferences}
    assert first == {"describe3d": 0, "llava-key": 0, "ours": 2}
    third = {p.method: p.chosen for p in tally.questions[2].preferences}
    assert third == {"describe3d": 0, "llava-key": 1, "ours": 1}


def test_unfinished_participants_count_when_asked(
    built: tuple[Study, Path], answers: Answers
) -> None:
    choose(answers, built, "ours", "ours", "llava-key")
    choose(answers, built, "describe3d")
    choose(answers, built)
    tally = tally_study(built[1], counted="all")
    assert {p.method: (p.chosen, p.answers) for p in tally.preferences} == {
        "ours": (2, 4),
        "llava-key": (1, 4),
        "describe3d": (1, 4),
    }
    assert [q.preferences[0].answers for q in tally.questions] == [2, 1, 1]
    assert "1 complete, 2 incomplete (counted, too)" in tally_markdown(tally)


def test_nothing_to_count_is_a_sentence(built: tuple[Study, Path], answers: Answers) -> None:
    with pytest.raises(NoAnswersError, match="nobody has taken part yet"):
        tally_study(built[1])
    choose(answers, built, "ours")
    with pytest.raises(NoAnswersError, match=r"none of the 1 who joined .* all 3 questions; .*all"):
        tally_study(built[1])
    choose(answers, built)
    assert tally_study(built[1], counted="all").preferences[0].chosen == 1


def test_a_question_that_nobody_answered(built: tuple[Study, Path], answers: Answers) -> None:
    choose(answers, built, "ours")
    tally = tally_study(built[1], counted="all")
    assert tally.questions[2].preferences == ()
    assert "| q3 |" in tally_markdown(tally)
    assert not [row for row in tally_csv(tally).splitlines() if row.startswith("q3")]


def test_files_of_other_studies_are_refused(
    built: tuple[Study, Path], answers: Answers, tmp_path: Path
) -> None:
    choose(answers, built, "ours", "ours", "ours")
    key = json.loads((built[1] / "key.json").read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**key, "study": "f" * 16}))
    with pytest.raises(StudyError, match="key belongs to another study"):
        tally_study(built[1], key=other)
    other.write_text(json.dumps({**key, "method_of": {}}))
    with pytest.raises(StudyError, match="key belongs to another study"):
        tally_study(built[1], key=other)
    with pytest.raises(StudyMissingError, match="give its place with --key"):
        tally_study(built[1], key=tmp_path / "nowhere.json")
    with pytest.raises(StudyMissingError, match="no answers at"):
        tally_study(built[1], answers=tmp_path / "nowhere.sqlite3")
    answers.save(answers.join(), "q1", "invented.png")
    with pytest.raises(AnswersError, match=r"'invented\.png', which is no picture"):
        tally_study(built[1], counted="all")


def test_the_key_may_lie_elsewhere(
    built: tuple[Study, Path], answers: Answers, tmp_path: Path
) -> None:
    choose(answers, built, "ours", "ours", "ours")
    key = (built[1] / "key.json").rename(tmp_path / "hidden.json")
    moved = answers.path.rename(tmp_path / "moved.sqlite3")
    assert tally_study(built[1], key=key, answers=moved).preferences[0].share == 1.0


def test_the_reports_say_the_same(
    built: tuple[Study, Path], answers: Answers, tmp_path: Path
) -> None:
    choose(answers, built, "ours", "ours", "llava-key")
    choose(answers, built, "ours", "llava-key", "ours")
    tally = tally_study(built[1])
    markdown = tally_markdown(tally)
    assert "Participants: 2 complete, 0 incomplete (not counted)." in markdown
    assert "| ours | 4 | 6 | 66.7 | 30.0 to 90.3 |" in markdown
    assert "| question | pictures | describe3d | llava-key | ours | text |" in markdown
    record = json.loads(tally_json(tally))
    assert record["format"] == "facegpt.study-tally/1"
    assert Interval(**record["preferences"][0]["interval"]) == tally.preferences[0].interval
    rows = list(csv.DictReader(io.StringIO(tally_csv(tally))))
    assert len(rows) == 3 * (1 + 3)
    assert (rows[0]["question"], rows[0]["method"], rows[0]["chosen"]) == ("all", "ours", "4")
    per_question = [int(row["chosen"]) for row in rows if row["question"] != "all"]
    assert sum(per_question) == 6
    for _ in range(2):
        assert [p.name for p in write_tally(tmp_path / "out", tally)] == [
            "tally.md",
            "tally.json",
            "tally.csv",
        ]
    assert (tmp_path / "out" / "tally.md").read_text() == markdown
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_words_do_not_break_the_table(built: tuple[Study, Path], answers: Answers) -> None:
    path = built[1] / "study.json"
    record = json.loads(path.read_text())
    record["questions"][0]["text"] = "one | two\nthree"
    path.write_text(json.dumps(record))
    choose(answers, built, "ours", "ours", "ours")
    assert r"| one \| two three |" in tally_markdown(tally_study(built[1]))


def test_from_folders_over_the_page_to_the_result(
    built: tuple[Study, Path], answers: Answers, tmp_path: Path
) -> None:
    study, folder = built
    # The server needs no key.
    key = (folder / "key.json").rename(tmp_path / "key.json")
    method_of = read_key(key).method_of
    app = create_app(study, load_images(folder, study), answers)
    for favourite in ("ours", "ours", "llava-key", "ours"):
        with TestClient(app, base_url="http://127.0.0.1") as client:
            client.post("/api/participants", json={})
            for question in client.get("/api/study").json()["questions"]:
                [image] = [i for i in question["alternatives"] if method_of[i] == favourite]
                body = {"question": question["id"], "choice": image}
                assert client.post("/api/answers", json=body).status_code == 204
    tally = tally_study(folder, key=key)
    assert tally.participants_complete == 4
    assert {p.method: p.chosen for p in tally.preferences} == {
        "ours": 9,
        "llava-key": 3,
        "describe3d": 0,
    }
