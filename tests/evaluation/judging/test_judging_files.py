"""LLaVA's files: read as they are, joined by id, refused in one sentence when they do not fit."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from bench_folder import BenchFiles, lines

from facegpt.evaluation.json_lines import JsonFileError
from facegpt.evaluation.judging.bench_files import (
    CATEGORIES,
    OWN_RULES,
    WILD_PREFIX,
    JudgingFilesError,
    read_answers,
    read_bench,
)


def test_a_bench_is_read(files: BenchFiles) -> None:
    bench = read_bench(files.questions, files.context, files.rules)
    assert [q.question_id for q in bench.questions] == [0, 1, 2, 3]
    assert bench.contexts["a.jpg"].in_words() == (
        "Two cats.\nCats on a wall.\n\ncat: [0.1, 0.2, 0.5, 0.6]"
    )
    assert bench.contexts["b.jpg"].in_words() == "A red bus."
    assert bench.rule(bench.questions[2]).role == "Helper"
    assert bench.rule_name(bench.questions[0]) == "conv"


def test_answers_are_joined_by_id_not_by_place(files: BenchFiles) -> None:
    bench = read_bench(files.questions, files.context)
    answers = read_answers(files.answers, bench.questions)
    assert answers[0].text == "model 0 worth 4"
    assert answers[0].answer_id == "id0"
    assert read_answers(files.reference, bench.questions)[3].answer_id == 3


def test_the_wild_has_captions_and_rules_of_its_own(files: BenchFiles) -> None:
    lines(
        files.context,
        [{"image": "a.jpg", "caption": "Cats."}, {"image": "b.jpg", "caption": ["A bus.", "Red."]}],
    )
    bench = read_bench(files.questions, files.context)
    assert bench.contexts["b.jpg"].in_words() == "A bus.\nRed."
    assert bench.rule_name(bench.questions[0]) == "llava_bench_conv"
    # A rule.json that has only the plain names still serves.
    plain = read_bench(files.questions, files.context, files.rules)
    assert plain.rule_name(plain.questions[0]) == "conv"


def test_our_own_rules_serve_every_category_and_ask_for_one_line_of_scores() -> None:
    assert set(OWN_RULES) == {p + c for p in ("", WILD_PREFIX) for c in CATEGORIES}
    for name, rule in OWN_RULES.items():
        assert "one line with nothing but the two scores" in rule.prompt
        assert ("boxes" in rule.prompt) is not name.startswith(WILD_PREFIX)
        assert "{" not in rule.prompt


def test_an_empty_answer_is_an_answer(files: BenchFiles) -> None:
    bench = read_bench(files.questions, files.context)
    records = [{"question_id": n, "text": ""} for n in range(4)]
    assert read_answers(lines(files.answers, records), bench.questions)[0].text == ""


Damage = Callable[[BenchFiles], object]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f.questions.write_text('{"question_id": 0'), r"questions\.jsonl, line 1: not J"),
        (lambda f: f.questions.write_text("[]\n"), "line 1: expected an object"),
        (lambda f: f.questions.write_text("\n\n"), "holds no record"),
        (lambda f: f.questions.write_bytes(b"\xff\xfe{}"), "cannot be read"),
        (lambda f: f.questions.unlink(), r"there is no file .*questions\.jsonl"),
        (lambda f: f.rules.write_text('{"conv": "rate"}'), "rule 'conv' must be an object"),
        (lambda f: f.rules.write_text('{"conv": {"role": "A"}}'), "'prompt' must be a text"),
        (lambda f: lines(f.context, [{"image": "a.jpg", "captions": []}]), "needs 'captions'"),
        (
            lambda f: lines(
                f.context, [{"image": "a.jpg", "captions": ["x"], "instances": [{"bbox": [1]}]}]
            ),
            "'instances' must be",
        ),
        (lambda f: lines(f.questions, [{"question_id": True}]), "'question_id' must be a number"),
        (
            lambda f: lines(
                f.questions, [{"question_id": 0, "category": "conv", "image": "a.jpg"}]
            ),
            "'text' must be a text",
        ),
    ],
)
def test_damaged_files_are_named_with_their_line(
    files: BenchFiles, damage: Damage, message: str
) -> None:
    damage(files)
    with pytest.raises(JsonFileError, match=message):
        read_bench(files.questions, files.context, files.rules)


def test_parts_that_do_not_fit_together(files: BenchFiles) -> None:
    bench = read_bench(files.questions, files.context, files.rules)
    lines(files.answers, [{"question_id": 2, "text": "x"}])
    with pytest.raises(JudgingFilesError, match="no answer to 3 of 4 questions, the first is 0"):
        read_answers(files.answers, bench.questions)
    lines(files.answers, [{"question_id": 2, "text": "x"}] * 2)
    with pytest.raises(JudgingFilesError, match="line 2: question 2 is answered before"):
        read_answers(files.answers, bench.questions)
    lines(files.context, [{"image": "a.jpg", "captions": ["x"]}])
    with pytest.raises(JudgingFilesError, match=r"says nothing about b\.jpg, the picture of qu"):
        read_bench(files.questions, files.context, files.rules)


def test_questions_and_rules_that_do_not_fit(files: BenchFiles, tmp_path: Path) -> None:
    (tmp_path / "rule.json").write_text(json.dumps({"conv": {"role": "A", "prompt": "B"}}))
    with pytest.raises(JudgingFilesError, match="no rule for the category 'detail'"):
        read_bench(files.questions, files.context, tmp_path / "rule.json")
    question = {"question_id": 0, "image": "a.jpg", "text": "?", "category": "maths"}
    with pytest.raises(JudgingFilesError, match=r"must be one of .*got 'maths'"):
        read_bench(lines(files.questions, [question]), files.context)
    question["category"] = "conv"
    with pytest.raises(JudgingFilesError, match="line 2: question 0 comes twice"):
        read_bench(lines(files.questions, [question] * 2), files.context)
    twice = [{"image": "a.jpg", "captions": ["x"]}] * 2
    lines(files.questions, [question])
    with pytest.raises(JudgingFilesError, match=r"a\.jpg comes twice"):
        read_bench(files.questions, lines(files.context, twice))
