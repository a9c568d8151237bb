"""Answers survive threads, reopening and each other."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from facegpt.evaluation.study import answers as answers_module
from facegpt.evaluation.study.answers import Answers, create_answers, open_answers
from facegpt.evaluation.study.errors import (
    AnswersError,
    StudyFullError,
    StudyMissingError,
    UnknownParticipantError,
)

STUDY = "0123456789abcdef"


@pytest.fixture
def answers(tmp_path: Path) -> Answers:
    return create_answers(tmp_path / "deep" / "answers.sqlite3", STUDY)


def test_a_later_choice_takes_the_place_of_the_earlier(answers: Answers) -> None:
    participant = answers.join()
    answers.save(participant, "q1", "a.png")
    answers.save(participant, "q2", "b.png")
    answers.save(participant, "q1", "c.png")
    assert answers.of(participant) == {"q1": "c.png", "q2": "b.png"}
    assert answers.of("nobody") == {}


def test_participants_get_random_ids_and_their_turn(answers: Answers) -> None:
    joined = [answers.join() for _ in range(5)]
    assert len(set(joined)) == 5
    assert all(len(participant) == 32 for participant in joined)
    assert [answers.turn(participant) for participant in joined] == [1, 2, 3, 4, 5]
    assert answers.turn("nobody") is None
    assert answers.by_participant() == {participant: {} for participant in joined}


def test_nobody_answers_without_joining(answers: Answers) -> None:
    with pytest.raises(UnknownParticipantError, match="begin anew"):
        answers.save("0" * 32, "q1", "a.png")
    assert answers.by_participant() == {}


def test_what_is_kept_is_there_after_reopening(answers: Answers) -> None:
    participant = answers.join()
    answers.save(participant, "q1", "a.png")
    for again in (open_answers(answers.path, STUDY), create_answers(answers.path, STUDY)):
        assert again.by_participant() == {participant: {"q1": "a.png"}}


def test_concurrent_writers_lose_nothing(answers: Answers) -> None:
    def take_part(number: int) -> str:
        participant = answers.join()
        for question in range(10):
            answers.save(participant, f"q{question}", f"{number}-{question}.png")
        return participant

    with ThreadPoolExecutor(8) as pool:
        joined = list(pool.map(take_part, range(16)))
    kept = answers.by_participant()
    assert sorted(answers.turn(participant) or 0 for participant in joined) == list(range(1, 17))
    for number, participant in enumerate(joined):
        assert kept[participant] == {f"q{q}": f"{number}-{q}.png" for q in range(10)}


def test_one_question_has_one_answer_however_many_threads_give_it(answers: Answers) -> None:
    participant = answers.join()
    choices = [f"{number}.png" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda choice: answers.save(participant, "q1", choice), choices))
    assert list(answers.of(participant)) == ["q1"]
    assert answers.of(participant)["q1"] in choices


def test_two_servers_may_make_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite3"
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: create_answers(path, STUDY), range(6)))
    assert {answers.path for answers in made} == {path}
    assert made[0].by_participant() == {}


def test_the_file_is_in_wal_mode_and_says_its_version(answers: Answers) -> None:
    connection = sqlite3.connect(answers.path)
    try:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    finally:
        connection.close()


def test_only_so_many_join(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers_module, "MAX_PARTICIPANTS", 2)
    answers.join()
    answers.join()
    with pytest.raises(StudyFullError, match="2 people have joined"):
        answers.join()


def test_foreign_files_are_refused_and_left_alone(answers: Answers, tmp_path: Path) -> None:
    with pytest.raises(AnswersError, match="of another study"):
        create_answers(answers.path, "f" * 16)
    with pytest.raises(StudyMissingError, match="no answers at"):
        open_answers(tmp_path / "nowhere.sqlite3", STUDY)
    assert not (tmp_path / "nowhere.sqlite3").exists()
    words = tmp_path / "words.sqlite3"
    words.write_text("no data base, just words. " * 100)
    before = words.read_bytes()
    with pytest.raises(AnswersError, match="cannot be used: file is not a database"):
        create_answers(words, STUDY)
    assert words.read_bytes() == before
    with pytest.raises(AnswersError, match="cannot be used"):
        create_answers(tmp_path, STUDY)


@pytest.mark.parametrize("version", [0, 2])
def test_other_versions_are_refused(version: int, tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE something (x)")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with pytest.raises(AnswersError, match=rf"no answers of version 1 \(but of {version}\)"):
        create_answers(path, STUDY)
