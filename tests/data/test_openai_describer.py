"""The `openai` describer against a small server that misbehaves on demand."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from facegpt.data.answer_cache import AnswerCache
from facegpt.data.describe import DescribeFailure, DescribeItem, Describer, Description
from facegpt.data.openai_describer import (
    PROMPT,
    SHORT_PROMPT,
    DescriberUnavailableError,
    OpenAIDescriber,
    OpenAISettings,
    answer_key,
)
from fake_chat_server import FakeChatServer, completion

pytest.importorskip("openai")

LONG = "She has an oval face with a high forehead, raised brows and a broad smile."


def prompt_of(body: dict[str, Any]) -> str:
    return body["messages"][0]["content"][1]["text"]


def polite(body: dict[str, Any], _: int) -> tuple[int, str]:
    if prompt_of(body) == PROMPT:
        return 200, completion(LONG)
    if prompt_of(body) == SHORT_PROMPT:
        return 200, completion('"a woman with an oval face and a broad smile."')
    return 200, completion("Brown.")


@pytest.fixture
def server() -> Iterator[FakeChatServer]:
    running = FakeChatServer(polite)
    yield running
    running.close()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def make(
    server: FakeChatServer, tmp_path: Path, waits: list[float]
) -> Iterator[Callable[..., OpenAIDescriber]]:
    made: list[OpenAIDescriber] = []

    def build(**settings: Any) -> OpenAIDescriber:
        defaults = {"model": "m", "base_url": server.url, "questions": 1, "concurrency": 2}
        describer = OpenAIDescriber(
            OpenAISettings(**(defaults | settings)),
            cache=tmp_path / "cache" / "answers.jsonl",
            generator=torch.Generator().manual_seed(0),
            sleep=waits.append,
        )
        made.append(describer)
        return describer

    yield build
    for describer in made:
        describer.close()


def items(count: int = 1) -> list[DescribeItem]:
    generator = torch.Generator().manual_seed(9)
    return [
        DescribeItem(f"face {i}", f"{i}.jpg", torch.rand(3, 16, 16, generator=generator), None)
        for i in range(count)
    ]


Make = Callable[..., OpenAIDescriber]


def test_a_face_is_described(make: Make, server: FakeChatServer) -> None:
    describer = make(questions=3)
    assert isinstance(describer, Describer)
    [said] = describer.describe(items())
    assert isinstance(said, Description)
    assert said.descriptions == (LONG,)
    assert said.short == "a woman with an oval face and a broad smile"
    assert [answer for _, answer in said.conversations] == ["Brown."] * 3
    assert len(server.asked) == 5
    picture = server.asked[0]["messages"][0]["content"][0]["image_url"]["url"]
    assert picture.startswith("data:image/jpeg;base64,/9j/")


def test_the_prompt_has_the_five_aspects() -> None:
    aspects = ("1. Face Shape:", "2. Face Expression:", "3. Face Color:", "4. Face Lighting:")
    assert all(aspect in PROMPT for aspect in (*aspects, "5. Pose of Head:"))
    assert PROMPT.startswith("Analyze the image and generate a detailed textual description")
    assert PROMPT.endswith("Please give a response starting with 'He' or 'She'.")


@pytest.mark.parametrize(
    "trouble",
    [(429, '{"error": {"message": "slow down"}}'), (500, "oops"), (200, "{"), (200, '{"a": 1}')]
    + [(200, completion(None)), (200, "[]")],
)
def test_trouble_that_passes(
    make: Make, server: FakeChatServer, waits: list[float], trouble: tuple[int, str]
) -> None:
    server.reply = lambda body, number: trouble if number <= 2 else polite(body, number)
    [said] = make().describe(items())
    assert isinstance(said, Description)
    assert said.descriptions == (LONG,)
    assert len(waits) == 2
    assert 0.5 <= waits[0] <= 1.0 <= waits[1] <= 2.0  # Doubling, less up to half of it.


def test_waits_end_and_are_bounded(make: Make, server: FakeChatServer, waits: list[float]) -> None:
    server.reply = lambda body, number: (503, "busy")
    [failure] = make(attempts=6, longest_wait_s=3.0).describe(items())
    assert isinstance(failure, DescribeFailure)
    assert failure.face_id == "face 0"
    assert "503" in failure.reason
    assert len(server.asked) == 6
    assert len(waits) == 5
    assert max(waits) <= 3.0


def test_a_request_that_is_refused_is_not_repeated(make: Make, server: FakeChatServer) -> None:
    server.reply = lambda body, number: (401, '{"error": {"message": "no key"}}')
    [failure] = make().describe(items())
    assert isinstance(failure, DescribeFailure)
    assert "401" in failure.reason
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        completion("I'm sorry, but I can't help with describing people in images like this."),
        completion(None, refusal="I do not describe people."),
        completion("Unfortunately, I cannot do this for reasons of my own policy."),
    ],
)
def test_a_model_that_declines(make: Make, server: FakeChatServer, answer: str) -> None:
    server.reply = lambda body, number: (200, answer)
    [failure] = make().describe(items())
    assert isinstance(failure, DescribeFailure)
    assert "declined" in failure.reason


def test_declined_questions_are_left_out(make: Make, server: FakeChatServer) -> None:
    def reply(body: dict[str, Any], number: int) -> tuple[int, str]:
        if prompt_of(body) in (PROMPT, SHORT_PROMPT):
            return polite(body, number)
        return 200, completion("I cannot say who that is.")

    server.reply = reply
    [said] = make(questions=2).describe(items())
    assert isinstance(said, Description)
    assert said.conversations == ()


def test_one_bad_face_does_not_stop_the_others(make: Make, server: FakeChatServer) -> None:
    faces = items(3)
    bad: list[str] = []

    def reply(body: dict[str, Any], number: int) -> tuple[int, str]:
        picture = body["messages"][0]["content"][0]["image_url"]["url"]
        bad.append(picture) if number == 1 else None
        return (400, "bad picture") if picture == bad[0] else polite(body, number)

    server.reply = reply
    said = make(concurrency=1).describe(faces)
    assert [type(s) for s in said] == [DescribeFailure, Description, Description]


def test_a_stopped_build_asks_only_what_is_open(make: Make, server: FakeChatServer) -> None:
    faces = items(3)
    first = make().describe(faces[:2])
    asked = len(server.asked)
    assert make().describe(faces[:2]) == first
    assert len(server.asked) == asked
    make().describe(faces)
    assert len(server.asked) == asked + 3


def test_another_model_is_asked_anew(make: Make, server: FakeChatServer) -> None:
    make().describe(items())
    asked = len(server.asked)
    make(model="other").describe(items())
    assert len(server.asked) == 2 * asked


def test_requests_run_side_by_side_but_not_too_many(make: Make, server: FakeChatServer) -> None:
    barrier = threading.Barrier(3, timeout=5)

    def reply(body: dict[str, Any], number: int) -> tuple[int, str]:
        if number <= 3:
            barrier.wait()  # Passes only when three requests are here at once.
        return polite(body, number)

    server.reply = reply
    said = make(concurrency=3).describe(items(6))
    assert all(isinstance(s, Description) for s in said)
    assert server.most_at_once == 3


def test_a_slow_server_is_given_up(make: Make, server: FakeChatServer) -> None:
    release = threading.Event()
    server.reply = lambda body, number: (release.wait(5), polite(body, number))[1]
    [failure] = make(timeout_s=0.1, attempts=2).describe(items())
    release.set()
    assert isinstance(failure, DescribeFailure)
    assert "APITimeoutError" in failure.reason


def test_the_picture_is_never_logged(
    make: Make, server: FakeChatServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    server.reply = lambda body, number: (500, "oops") if number == 1 else polite(body, number)
    make().describe(items())
    assert "base64" not in caplog.text
    assert "/9j/" not in caplog.text
    assert "/9j/" not in (tmp_path / "cache" / "answers.jsonl").read_text()


def test_without_the_package_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(DescriberUnavailableError, match="pip install openai"):
        OpenAIDescriber(
            OpenAISettings("m"), cache=tmp_path / "c.jsonl", generator=torch.Generator()
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": ""}, "--model"),
        ({"attempts": 0}, "--attempts"),
        ({"timeout_s": 0.0}, "--timeout-s"),
    ],
)
def test_impossible_settings(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OpenAISettings(**({"model": "m"} | change))


def test_keys_tell_their_parts_apart() -> None:
    assert answer_key(b"ab", "c", "m") != answer_key(b"a", "bc", "m")
    assert answer_key(b"ab", "c", "m") == answer_key(b"ab", "c", "m")


def test_a_broken_last_line_costs_one_answer(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    cache = AnswerCache(path)
    cache.put("1", "m", "p", "one")
    cache.put("2", "m", "p", "zwei ä")
    path.write_bytes(path.read_bytes()[:-9])  # The process died while it wrote.
    again = AnswerCache(path)
    assert (again.get("1"), again.get("2"), len(again)) == ("one", None, 1)
    again.put("3", "m", "p", "three")
    assert AnswerCache(path).get("3") == "three"
