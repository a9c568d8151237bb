"""A judge behind a real server: what it is asked, how it fails, and what is asked again."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from bench_folder import BenchFiles, upright

from facegpt.evaluation.asking import Interviewer
from facegpt.evaluation.judging.bench_files import Bench, read_answers, read_bench
from facegpt.evaluation.judging.judge import (
    SYSTEM,
    Comparison,
    Review,
    Unjudged,
    comparisons,
    judge,
)
from facegpt.evaluation.judging.scores import Scores
from fake_chat_server import FakeChatServer, completion, question_of

pytest.importorskip("openai")

Make = Callable[..., Interviewer]


@pytest.fixture
def bench(files: BenchFiles) -> Bench:
    return read_bench(files.questions, files.context, files.rules)


@pytest.fixture
def asked(bench: Bench, files: BenchFiles) -> list[Comparison]:
    """Four questions, the reference first."""
    reference = read_answers(files.reference, bench.questions)
    return comparisons(bench, reference, read_answers(files.answers, bench.questions))


@pytest.fixture
def asked_twice(bench: Bench, files: BenchFiles) -> list[Comparison]:
    """Four questions in both orders."""
    reference = read_answers(files.reference, bench.questions)
    answers = read_answers(files.answers, bench.questions)
    return comparisons(bench, reference, answers, both_orders=True)


def scores(judged: list[Review | Unjudged]) -> list[tuple[float, float] | None]:
    """Of reference and model."""
    return [(r.reference_score, r.answer_score) if isinstance(r, Review) else None for r in judged]


BAD_KEY = '{"error": {"message": "bad key sk-very-secret"}}'
RIGHT = [(8, 4), (10, 9), (5, 6), (8, 8)]


def test_every_question_is_judged(
    make: Make, server: FakeChatServer, bench: Bench, asked: list[Comparison]
) -> None:
    heard: list[tuple[int, int]] = []
    judged = judge(make(), bench, asked, lambda *numbers: heard.append(numbers))
    assert scores(judged) == RIGHT
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(server.asked) == 4
    assert server.paths[0] == "/v1/chat/completions"


def test_the_request_has_the_layout_of_llava(
    make: Make, server: FakeChatServer, bench: Bench, asked: list[Comparison]
) -> None:
    judge(make(concurrency=1), bench, asked[:1])
    [body] = server.asked
    assert body["model"] == "judge"
    assert body["temperature"] == 0
    assert body["messages"][0] == {"role": "system", "content": SYSTEM}
    assert question_of(body) == (
        "[Context]\nTwo cats.\nCats on a wall.\n\ncat: [0.1, 0.2, 0.5, 0.6]\n\n"
        "[Question]\nHow many?\n\n"
        "[Assistant 1]\nreference 0 worth 8\n\n[End of Assistant 1]\n\n"
        "[Assistant 2]\nmodel 0 worth 4\n\n[End of Assistant 2]\n\n"
        "[System]\nRate: conv.\n\n"
    )


def test_both_orders_give_the_same_scores_to_the_same_answers(
    make: Make, server: FakeChatServer, bench: Bench, asked_twice: list[Comparison]
) -> None:
    judged = judge(make(), bench, asked_twice)
    assert scores(judged) == [pair for pair in RIGHT for _ in range(2)]
    [straight, swapped, *_] = judged
    assert isinstance(straight, Review)
    assert isinstance(swapped, Review)
    assert straight.scores == Scores(8.0, 4.0)
    assert swapped.scores == Scores(4.0, 8.0)


@pytest.mark.parametrize(
    "trouble",
    [
        (429, '{"error": {"message": "slow down"}}'),
        (500, "oops"),
        (200, completion("8 7")[:40]),
        (200, "[]"),
        (200, completion("")),
    ],
)
def test_trouble_of_the_server_passes(
    make: Make,
    server: FakeChatServer,
    bench: Bench,
    asked: list[Comparison],
    trouble: tuple[int, str],
) -> None:
    server.reply = lambda body, number: trouble if number <= 3 else upright(body, number)
    assert scores(judge(make(), bench, asked)) == RIGHT
    assert len(server.asked) == 7


def test_nonsense_is_asked_again_with_a_reminder(
    make: Make, server: FakeChatServer, bench: Bench, asked: list[Comparison]
) -> None:
    def reply(body: dict[str, Any], number: int) -> tuple[int, str]:
        is_reminded = len(body["messages"]) > 2
        return upright(body, number) if is_reminded else (200, completion("12 twelve"))

    server.reply = reply
    assert scores(judge(make(concurrency=1), bench, asked)) == RIGHT
    assert len(server.asked) == 8
    turns = server.asked[-3]["messages"]
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "user"]
    assert turns[2]["content"] == "12 twelve"
    assert "score of Helper 1 and the score of Helper 2" in turns[3]["content"]


def test_a_judge_that_talks_only_nonsense_is_given_up_and_asked_anew_later(
    make: Make, server: FakeChatServer, bench: Bench, asked: list[Comparison]
) -> None:
    def reply(body: dict[str, Any], number: int) -> tuple[int, str]:
        is_hard = "How many?" in question_of(body)
        return (200, completion("99 99")) if is_hard else upright(body, number)

    server.reply = reply
    judged = judge(make(tries=2), bench, asked)
    assert scores(judged) == [None, *RIGHT[1:]]
    [failed, *_] = judged
    assert isinstance(failed, Unjudged)
    assert "no readable answer in 2 tries: scores go from 1 to 10" in failed.reason
    assert len(server.asked) == 2 + 3
    server.reply = upright
    assert scores(judge(make(), bench, asked)) == RIGHT
    assert len(server.asked) == 2 + 3 + 1


def test_a_server_that_refuses_is_not_pressed(
    make: Make, server: FakeChatServer, bench: Bench, asked: list[Comparison]
) -> None:
    server.reply = lambda body, number: (404, '{"error": {"message": "no such model"}}')
    judged = judge(make(), bench, asked)
    assert all(isinstance(r, Unjudged) and "status 404" in r.reason for r in judged)
    assert len(server.asked) == 4


def test_a_stopped_run_asks_only_what_is_open(
    make: Make, server: FakeChatServer, bench: Bench, asked: list[Comparison]
) -> None:
    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge(make(concurrency=1), bench, asked, stop)
    assert len(server.asked) >= 2
    assert scores(judge(make(), bench, asked)) == RIGHT
    assert len(server.asked) == 4
    assert scores(judge(make(), bench, asked)) == RIGHT
    assert len(server.asked) == 4


def test_a_broken_last_line_costs_one_question(
    make: Make, server: FakeChatServer, bench: Bench, asked: list[Comparison]
) -> None:
    first = make()
    judge(first, bench, asked)
    path = first.cache.path
    path.write_bytes(path.read_bytes()[:-20])
    assert scores(judge(make(), bench, asked)) == RIGHT
    assert len(server.asked) == 5


def test_a_kept_answer_that_is_unreadable_now_is_asked_for_again(
    make: Make, server: FakeChatServer, bench: Bench, asked: list[Comparison]
) -> None:
    first = make()
    judge(first, bench, asked[:1])
    path = first.cache.path
    path.write_text(path.read_text().replace("8 4", "eight four"))
    assert scores(judge(make(), bench, asked[:1])) == RIGHT[:1]
    assert len(server.asked) == 2
    # The later line counts from now on.
    judge(make(), bench, asked[:1])
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "change", [{"model": "other"}, {"temperature": 0.5}, {"max_tokens": 7}, {"seed": 1}]
)
def test_whatever_decides_an_answer_is_part_of_its_key(
    make: Make,
    server: FakeChatServer,
    bench: Bench,
    asked: list[Comparison],
    change: dict[str, Any],
) -> None:
    judge(make(), bench, asked[:1])
    judge(make(**change), bench, asked[:1])
    assert len(server.asked) == 2
    name, value = next(iter(change.items()))
    assert server.asked[1][name] == value


def test_another_rule_or_order_is_another_question(
    make: Make, server: FakeChatServer, bench: Bench, asked_twice: list[Comparison]
) -> None:
    judge(make(), bench, asked_twice[:2])
    assert len(server.asked) == 2
    judge(make(), Bench(bench.questions, bench.contexts), asked_twice[:1])
    assert len(server.asked) == 3


def test_questions_are_asked_side_by_side_but_not_too_many(
    make: Make, server: FakeChatServer, bench: Bench, asked_twice: list[Comparison]
) -> None:
    barrier = threading.Barrier(3, timeout=10)

    def reply(body: dict[str, Any], number: int) -> tuple[int, str]:
        if number <= 3:
            barrier.wait()  # Passes only when three requests are here at once.
        return upright(body, number)

    server.reply = reply
    judged = judge(make(concurrency=3), bench, asked_twice)
    assert None not in scores(judged)
    assert server.most_at_once == 3


def test_the_key_is_sent_and_said_nowhere(
    make: Make,
    server: FakeChatServer,
    bench: Bench,
    asked: list[Comparison],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("JUDGE_KEY", "sk-very-secret")
    # Some servers repeat the key when they refuse it.
    server.reply = lambda body, number: (401, BAD_KEY)
    interviewer = make(key_variable="JUDGE_KEY")
    [failed] = judge(interviewer, bench, asked[:1])
    assert server.headers[0]["authorization"] == "Bearer sk-very-secret"
    assert isinstance(failed, Unjudged)
    assert "bad key ***" in failed.reason
    assert "very-secret" not in failed.reason + caplog.text + repr(interviewer.server.settings)


def test_an_address_is_shown_without_its_password(make: Make) -> None:
    chat = make(base_url="http://me:word@localhost:1/v1?token=x").server
    assert chat.settings.shown_url == "http://localhost:1/v1"
    assert "word" not in str(chat.settings.record())


def test_impossible_settings(make: Make) -> None:
    with pytest.raises(ValueError, match="--tries must be 1 or more"):
        make(tries=0)
    with pytest.raises(ValueError, match="--temperature must be in"):
        make(temperature=-1.0)
