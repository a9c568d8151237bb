"""Hundreds of requests in flight: as many as allowed and never more, patience, tokens and costs."""

import itertools
import json
import threading
import time
import tracemalloc
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import torch
from photo_folder import PhotoFolder

from facegpt.data.answer_cache import AnswerCache
from facegpt.data.build import BuildSettings, build_dataset
from facegpt.data.chat_server import ChatServer, ChatSettings, user_message
from facegpt.data.combined import CombinedDescriber, requests_in_flight
from facegpt.data.describe import DescribeFailure, DescribeItem, Describer, Description
from facegpt.data.openai_describer import PROMPT, OpenAIDescriber, OpenAISettings
from facegpt.data.shards import MANIFEST, read_manifest
from facegpt.data.table import FaceTable
from facegpt.data.tokens import NO_TOKENS, Prices, Tokens
from facegpt.data.wording import MeasuredDescriber
from facegpt.data.words_ahead import Draft, described_ahead, shards_ahead
from facegpt.morphable.model import MorphableModel
from fake_chat_server import FakeChatServer, completion, question_of

pytest.importorskip("openai")

LONG = "She has an oval face with a high forehead, raised brows and a broad smile."


def counted(text: str, prompt: int = 100, said: int = 10) -> str:
    """A completion whose server counts tokens."""
    usage = {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}
    return json.dumps({**json.loads(completion(text)), "usage": usage})


def polite(body: dict[str, Any], _: int) -> tuple[int, str]:
    return 200, counted(LONG if question_of(body) == PROMPT else "a calm woman")


@pytest.fixture
def server() -> Iterator[FakeChatServer]:
    running = FakeChatServer(polite)
    yield running
    running.close()


def describer_of(server: FakeChatServer, folder: Path, **settings: Any) -> OpenAIDescriber:
    defaults = {"model": "m", "base_url": server.url, "questions": 0, "first_wait_s": 0.01}
    return OpenAIDescriber(
        OpenAISettings(**{**defaults, **settings}),
        cache=folder / "answers.jsonl",
        generator=torch.Generator().manual_seed(0),
    )


def items(count: int) -> list[DescribeItem]:
    generator = torch.Generator().manual_seed(9)
    return [
        DescribeItem(f"face {i}", f"{i}.jpg", torch.rand(3, 8, 8, generator=generator), None)
        for i in range(count)
    ]


def test_two_hundred_requests_are_in_flight_and_never_more(
    server: FakeChatServer, tmp_path: Path
) -> None:
    wanted = 200
    together = threading.Barrier(wanted, timeout=60)

    def reply(body: dict[str, Any], number: int) -> tuple[int, str]:
        if number <= wanted:
            together.wait()  # Passes only when all of them are here at once.
        return polite(body, number)

    server.reply = reply
    describer = describer_of(server, tmp_path, concurrency=wanted)
    # Two calls at the same time share the bound.
    faces = items(260)
    halves: list[list[Any]] = [[], []]
    threads = [
        threading.Thread(target=lambda n=n: halves[n].extend(describer.describe(faces[n::2])))
        for n in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    describer.close()
    assert all(isinstance(said, Description) for half in halves for said in half)
    assert server.most_at_once == wanted
    assert describer.traffic.requests == 2 * len(faces)


def test_delays_failures_and_hung_requests_lose_nothing(
    server: FakeChatServer, tmp_path: Path
) -> None:
    release = threading.Event()

    def reply(body: dict[str, Any], number: int) -> tuple[int, str]:
        if number % 7 == 0:
            return (429, "slow down") if number % 2 else (503, "busy")
        if number == 10:
            release.wait(20)  # Hangs for longer than anybody waits.
        time.sleep(0.002 * (number % 5))
        return polite(body, number)

    server.reply = reply
    describer = describer_of(server, tmp_path, concurrency=32, timeout_s=2.0, attempts=8)
    said = describer.describe(items(60))
    release.set()
    describer.close()
    assert all(isinstance(one, Description) for one in said)
    traffic = describer.traffic
    assert traffic.unanswered == 0
    assert traffic.requests - traffic.retried == 120
    assert traffic.retried >= 120 // 7
    assert sum((one.tokens for one in said), NO_TOKENS) == Tokens(120, 0, 12_000, 1_200)
    assert server.most_at_once <= 33  # The server keeps hanging where the client has gone.


@pytest.mark.parametrize("form", ["seconds", "date", "far", "nonsense"])
def test_a_server_that_asks_for_patience_gets_it(server: FakeChatServer, form: str) -> None:
    said = {
        "seconds": "7",
        "date": formatdate(time.time() + 30, usegmt=True),
        "far": "86400",
        "nonsense": "soon",
    }[form]
    server.reply = lambda body, number: (429, "wait") if number == 1 else polite(body, number)
    server.answer_headers = {"Retry-After": said}
    waits: list[float] = []
    settings = ChatSettings("m", base_url=server.url, first_wait_s=1.0, longest_asked_wait_s=100.0)
    with ChatServer(settings, sleep=waits.append) as asked:
        assert asked.ask([user_message("Who?")]) == "a calm woman"
    low, high = {"seconds": (7.5, 8), "date": (25, 31), "far": (100.5, 101), "nonsense": (0.5, 1)}[
        form
    ]
    assert len(waits) == 1
    assert low <= waits[0] <= high


def test_words_are_asked_for_while_other_shards_wait(
    server: FakeChatServer, photos: PhotoFolder, tmp_path: Path
) -> None:
    """Six faces of three shards are asked about at once although a shard has two."""
    together = threading.Barrier(6, timeout=60)

    def reply(body: dict[str, Any], number: int) -> tuple[int, str]:
        if number <= 6:
            together.wait()
        return polite(body, number)

    server.reply = reply
    describer = describer_of(server, tmp_path, concurrency=6)
    settings = BuildSettings(
        photos.images, tmp_path / "out", landmarks=photos.landmarks, shard_photos=2
    )
    report = build_dataset(settings, describer=describer, prices=Prices(2.0, 10.0))
    assert report.tokens == Tokens(12, 0, 1200, 120)
    assert report.cost == pytest.approx((1200 * 2 + 120 * 10) / 1e6)
    record = json.loads((settings.output / MANIFEST).read_text())["answers"]
    assert record["prompt"] == 1200
    assert record["cost"] == pytest.approx(report.cost)
    assert record["prices_per_million"] == {"prompt": 2.0, "completion": 10.0}
    assert read_manifest(settings.output).prices == Prices(2.0, 10.0)
    table = FaceTable(settings.output)
    assert table.row(3).descriptions == (LONG,)
    assert table.row(3).describer == "openai"

    # The same from the cache: nothing is sent, and the files are the same, bill included.
    again = BuildSettings(
        photos.images, tmp_path / "again", landmarks=photos.landmarks, shard_photos=2
    )
    silent = describer_of(server, tmp_path, concurrency=6)
    build_dataset(again, describer=silent, prices=Prices(2.0, 10.0))
    assert silent.traffic.requests == 0
    for path in settings.output.iterdir():
        assert path.read_bytes() == (again.output / path.name).read_bytes()
    describer.close()
    silent.close()


def test_answers_that_are_not_counted_are_said_to_be_so(
    server: FakeChatServer, tmp_path: Path
) -> None:
    server.reply = lambda body, number: (200, completion(LONG))
    describer = describer_of(server, tmp_path)
    [said] = describer.describe(items(1))
    assert said.tokens == Tokens(answers=2, uncounted=2)
    assert describer.describe(items(1)) == [said]
    describer.close()


def test_what_was_asked_before_a_failure_is_counted(server: FakeChatServer, tmp_path: Path) -> None:
    server.reply = lambda body, number: polite(body, 0) if number == 1 else (400, "no")
    describer = describer_of(server, tmp_path)
    [failure] = describer.describe(items(1))
    assert isinstance(failure, DescribeFailure)
    assert failure.tokens == Tokens(1, 0, 100, 10)
    assert describer.traffic.unanswered == 1
    describer.close()


class Waits:
    """A describer behind a server, as far as bounds are concerned."""

    name = "waits"
    requests_in_flight = 4

    def __init__(self) -> None:
        self.release = threading.Event()

    def describe(self, items: Any) -> list[Description | DescribeFailure]:
        assert self.release.wait(30)
        return []


def test_no_more_shards_wait_than_allowed() -> None:
    describer = Waits()
    taken = itertools.count()
    reached = -1

    def drafts() -> Iterator[Draft]:
        nonlocal reached
        for reached in itertools.islice(taken, 10):
            yield Draft(1, [], [{"source": str(reached), "problem": "none"}])

    done = described_ahead(drafts(), describer, 3)
    first: list[Draft] = []
    thread = threading.Thread(target=lambda: first.append(next(done)))
    thread.start()
    time.sleep(0.3)
    assert reached == 2
    describer.release.set()
    thread.join()
    order = [draft.problems[0]["source"] for draft in [*first, *done]]
    assert order == [str(i) for i in range(10)]


def test_who_answers_at_once_does_not_wait(
    tiny_face_model: MorphableModel, server: FakeChatServer, tmp_path: Path
) -> None:
    measured: Describer = MeasuredDescriber(tiny_face_model)
    asked = describer_of(server, tmp_path, concurrency=100)
    assert requests_in_flight(None) == requests_in_flight(measured) == 0
    assert requests_in_flight(CombinedDescriber([measured, asked])) == 100
    assert shards_ahead(asked, 256) == 2
    assert shards_ahead(asked, 10) == 21
    asked.close()


def test_kept_answers_cost_memory_for_their_place_only(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "answers.jsonl")
    text = "long answer " * 2_000
    for number in range(300):
        cache.put(f"{number:064d}", "m", "p", text, Tokens(1, 0, 5, 7))
    tracemalloc.start()
    again = AnswerCache(tmp_path / "answers.jsonl")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(again) == 300
    assert held < 300 * 500  # The answers are 24 kB each.
    assert again.get(f"{299:064d}") == text
    assert again.tokens(f"{5:064d}") == Tokens(1, 0, 5, 7)


@pytest.mark.parametrize("count", [0, 1001])
def test_impossible_numbers_of_requests(count: int) -> None:
    with pytest.raises(ValueError, match=r"--concurrency must be 1|at most 1000 requests"):
        OpenAISettings("m", concurrency=count)


def test_prices_are_not_negative() -> None:
    with pytest.raises(ValueError, match="--prompt-price"):
        Prices(prompt=-1.0)
    assert Prices(1.0, 2.0).cost(Tokens(2, 0, 1_000_000, 500_000)) == 2.0
