"""Pictures to build a benchmark from, and a model behind a local server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sfg_folder import FakeFit, SfgFolder, make_folder, writes

from facegpt.data.answer_cache import AnswerCache
from facegpt.data.chat_server import ChatServer, ChatSettings
from facegpt.evaluation.asking import Interviewer
from facegpt.morphable.model import MorphableModel
from fake_chat_server import FakeChatServer


@pytest.fixture
def sfg(tmp_path: Path) -> SfgFolder:
    return make_folder(tmp_path)


@pytest.fixture
def server() -> Iterator[FakeChatServer]:
    running = FakeChatServer(writes)
    yield running
    running.close()


@pytest.fixture
def make(server: FakeChatServer, sfg: SfgFolder) -> Iterator[Callable[..., Interviewer]]:
    """Interviewers of the server that share the answers of the working folder."""
    made: list[ChatServer] = []

    def build(*, tries: int = 2, **settings: Any) -> Interviewer:
        usual = {"model": "m", "base_url": server.url, "seed": 5, "concurrency": 2, "attempts": 2}
        chat = ChatServer(ChatSettings(**(usual | settings)), sleep=lambda _: None)
        made.append(chat)
        return Interviewer(chat, AnswerCache(sfg.work.answers), tries)

    yield build
    for chat in made:
        chat.close()


@pytest.fixture
def fit(tiny_face_model: MorphableModel) -> FakeFit:
    return FakeFit(tiny_face_model)
