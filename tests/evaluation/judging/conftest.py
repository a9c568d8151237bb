"""A small benchmark in LLaVA's files, and a judge behind a local server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bench_folder import CONTEXTS, MERITS, QUESTIONS, RULES, BenchFiles, lines, upright

from facegpt.data.answer_cache import AnswerCache
from facegpt.data.chat_server import ChatServer, ChatSettings
from facegpt.evaluation.asking import Interviewer
from fake_chat_server import FakeChatServer


@pytest.fixture
def files(tmp_path: Path) -> BenchFiles:
    """The answers say who gave them and what they are worth."""
    folder = tmp_path / "bench"
    folder.mkdir()
    (folder / "rule.json").write_text(json.dumps(RULES))
    reference = [
        {"question_id": n, "text": f"reference {n} worth {merit[0]}", "category": "conv"}
        for n, merit in MERITS.items()
    ]
    answers = [
        {
            "question_id": n,
            "prompt": "?",
            "text": f"model {n} worth {merit[1]}",
            "answer_id": f"id{n}",
            "model_id": "m",
            "metadata": {},
        }
        for n, merit in reversed(MERITS.items())
    ]
    return BenchFiles(
        lines(folder / "questions.jsonl", QUESTIONS),
        lines(folder / "context.jsonl", CONTEXTS),
        folder / "rule.json",
        lines(folder / "answers-gpt4.jsonl", reference),
        lines(folder / "our-model.jsonl", answers),
    )


@pytest.fixture
def server() -> Iterator[FakeChatServer]:
    running = FakeChatServer(upright)
    yield running
    running.close()


Make = Callable[..., Interviewer]


@pytest.fixture
def make(server: FakeChatServer, tmp_path: Path) -> Iterator[Make]:
    """Interviewers of the server that share one file of answers."""
    made: list[ChatServer] = []

    def build(*, tries: int = 3, **settings: Any) -> Interviewer:
        usual = {"model": "judge", "base_url": server.url, "temperature": 0.0, "concurrency": 2}
        chat = ChatServer(ChatSettings(**(usual | settings)), sleep=lambda _: None)
        made.append(chat)
        return Interviewer(chat, AnswerCache(tmp_path / "out" / "judgements.jsonl"), tries)

    yield build
    for chat in made:
        chat.close()
