"""Relative scores against numbers worked out by hand, and the files that are left."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from bench_folder import MERITS, QUESTIONS, BenchFiles

from facegpt.cli.benchmark import benchmark_app
from facegpt.evaluation.judging.bench_files import Answer, Question
from facegpt.evaluation.judging.judge import Comparison, Review, Unjudged
from facegpt.evaluation.judging.relative_score import ALL, position_bias, relative_scores
from facegpt.evaluation.judging.report import LIMITS, result_of, table, write_results
from facegpt.evaluation.judging.scores import Scores
from fake_chat_server import FakeChatServer, completion, question_of


def comparison(number: int, *, swapped: bool = False) -> Comparison:
    question = Question(**QUESTIONS[number])
    answers = (Answer("r", f"r{number}"), Answer("m", f"m{number}"))
    return Comparison(question, question.category, *answers, swapped)


def reviews(*, lead: float = 0.0, both_orders: bool = False) -> list[Review]:
    """What a judge says who gives `lead` points to whatever comes first."""
    found = []
    for number, (reference, answer) in MERITS.items():
        found.append(
            Review(comparison(number), f"q{number}", Scores(reference + lead, float(answer)))
        )
        if both_orders:
            scores = Scores(answer + lead, float(reference))
            found.append(Review(comparison(number, swapped=True), f"s{number}", scores))
    return found


def test_relative_scores_by_hand() -> None:
    found = relative_scores(reviews())
    # conv: (4 + 8) / (8 + 8); detail 9 / 10; complex 6 / 5; all 27 / 31.
    assert found["conv"].value == pytest.approx(75.0)
    assert found["detail"].value == pytest.approx(90.0)
    assert found["complex"].value == pytest.approx(120.0)
    assert found[ALL].value == pytest.approx(100 * 27 / 31)
    assert (found["conv"].questions, found[ALL].questions) == (2, 4)
    assert found[ALL].answer_mean == pytest.approx(6.75)
    assert found[ALL].reference_mean == pytest.approx(7.75)


def test_it_is_what_llava_would_print(tmp_path: Path) -> None:
    """Their script: means of both columns, then 100 * second / first."""
    write_results(tmp_path, [result_of("m", reviews(), both_orders=False)], {})
    written = [json.loads(line) for line in (tmp_path / "reviews-m.jsonl").read_text().splitlines()]
    first, second = np.array([review["tuple"] for review in written]).mean(axis=0)
    assert 100 * second / first == pytest.approx(relative_scores(reviews())[ALL].value)


def test_the_interval_draws_pictures_not_questions() -> None:
    found = relative_scores(reviews())[ALL]
    # Two pictures, so only three statistics: a twice 13/18, b twice 14/13, both 27/31.
    assert found.interval.low == pytest.approx(100 * 13 / 18)
    assert found.interval.high == pytest.approx(100 * 14 / 13)
    detail = relative_scores(reviews())["detail"]
    assert (detail.interval.low, detail.interval.high) == (pytest.approx(90), pytest.approx(90))


def test_intervals_are_the_same_for_the_same_seed() -> None:
    assert relative_scores(reviews()) == relative_scores(reviews())


def test_a_column_without_questions_is_empty() -> None:
    found = relative_scores(reviews()[:1])
    assert math.isnan(found["complex"].value)
    assert found["complex"].questions == 0


def test_both_orders_cancel_and_show_the_favour() -> None:
    both = reviews(lead=0.5, both_orders=True)
    one = relative_scores(reviews(lead=0.5))[ALL]
    assert one.value == pytest.approx(100 * 27 / 33)
    # Both answers gain a quarter of a point on average: (27 + 1) / (31 + 1).
    assert relative_scores(both, orders=2)[ALL].value == pytest.approx(87.5)
    bias = position_bias(both)
    assert bias is not None
    assert bias.points == pytest.approx(0.5)
    assert bias.pairs == 4
    assert bias.reference_first == pytest.approx(100 * 27 / 33)
    assert bias.reference_second == pytest.approx(100 * 29 / 31)
    assert (bias.interval.low, bias.interval.high) == (pytest.approx(0.5), pytest.approx(0.5))


def test_an_upright_judge_has_no_bias() -> None:
    bias = position_bias(reviews(both_orders=True))
    assert bias is not None
    assert bias.points == pytest.approx(0.0)
    assert bias.reference_first == pytest.approx(bias.reference_second)
    assert position_bias(reviews()) is None


def test_a_question_judged_in_one_order_only_does_not_count() -> None:
    both = reviews(lead=0.5, both_orders=True)[1:]
    assert relative_scores(both, orders=2)[ALL].questions == 3
    bias = position_bias(both)
    assert bias is not None
    assert bias.pairs == 3


def test_the_table_says_what_it_cannot_bear() -> None:
    both = [*reviews(lead=0.5, both_orders=True)[:-2], Unjudged(comparison(3), "no answer")]
    result = result_of("our-model", both, both_orders=True)
    text = table([result], "gpt")
    assert "| model | Conv | Detail | Complex | All |" in text
    assert re.search(r"\| our-model \| \d+\.\d \(\d+\.\d to \d+\.\d, n = 1\) \|", text)
    assert "what comes first gets +0.50 points" in text
    assert "1 comparisons were not judged and do not count, the first because: no answer" in text
    for limit in LIMITS:
        assert limit in text


def test_what_is_left_is_json_even_without_any_score(tmp_path: Path) -> None:
    result = result_of("m", [Unjudged(comparison(0), "no")], both_orders=False)
    record = json.loads(write_results(tmp_path, [result], {"model": "j"}).read_text())
    assert record["models"]["m"]["scores"]["all"] == {"questions": 0}
    assert record["models"]["m"]["unjudged"][0]["reason"] == "no"
    assert record["limits"] == list(LIMITS)
    assert "| m | - | - | - | - |" in table([result], "j")


def call(files: BenchFiles, server: FakeChatServer, output: Path, *more: str) -> int:
    return benchmark_app.cli(
        prog="facegpt benchmark",
        args=[
            "judge", "--questions", str(files.questions), "--context", str(files.context),
            "--reference", str(files.reference), "--answers", str(files.answers),
            "--model", "judge", "--server", server.url, "-o", str(output), *more,
        ],
    )  # fmt: skip


def test_the_command_from_files_to_table(
    files: BenchFiles, server: FakeChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openai")
    output = tmp_path / "judged"
    more = ("--both-orders", "--rules", str(files.rules))
    assert call(files, server, output, *more) == 0
    shown = capsys.readouterr().out
    assert "| our-model | 75.0 (" in shown
    assert LIMITS[0] in shown
    report = json.loads((output / "report.json").read_text())
    assert report["models"]["our-model"]["scores"]["all"]["value"] == pytest.approx(100 * 27 / 31)
    assert report["models"]["our-model"]["position_bias"]["points"] == pytest.approx(0.0)
    assert report["settings"]["temperature"] == 0
    review = json.loads((output / "reviews-our-model.jsonl").read_text().splitlines()[1])
    assert review == {
        "id": 2,
        "question_id": 1,
        "answer1_id": 1,
        "answer2_id": "id1",
        "category": "detail",
        "content": "10 9\nThe first says more.",
        "tuple": [10.0, 9.0],
    }
    swapped = json.loads((output / "reviews-our-model-swapped.jsonl").read_text().splitlines()[1])
    assert (swapped["answer1_id"], swapped["tuple"]) == ("id1", [9.0, 10.0])
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    asked = len(server.asked)
    assert call(files, server, output, *more) == 0
    assert len(server.asked) == asked
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    # Judged in one order only, the reviews of the other are of another run.
    assert call(files, server, output, "--rules", str(files.rules)) == 0
    assert not (output / "reviews-our-model-swapped.jsonl").exists()


def test_the_command_says_that_something_failed(
    files: BenchFiles, server: FakeChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openai")

    def reply(body: dict, number: int) -> tuple[int, str]:
        is_hard = "How many?" in question_of(body)
        return (400, "no") if is_hard else (200, completion("6 3"))

    server.reply = reply
    assert call(files, server, tmp_path / "judged") == 1
    shown = capsys.readouterr().out
    assert "1 comparisons were not judged" in shown
    assert "| our-model | 50.0 (50.0 to 50.0, n = 1) |" in shown


def test_two_models_of_one_name_are_refused(
    files: BenchFiles, server: FakeChatServer, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="have the same name"):
        call(files, server, tmp_path, "--answers", str(files.answers), str(files.answers))
    assert server.asked == []
