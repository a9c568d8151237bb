"""A server with a tiny FaceGPT: asked in this process, or listening on a port."""

import asyncio
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import uvicorn
from fastapi.testclient import TestClient
from PIL import Image

from facegpt.morphable.model import MorphableModel
from facegpt.pipeline.spread import Spread
from facegpt.web.counting import Counters
from facegpt.web.engine import Engine
from facegpt.web.serving import guarded
from facegpt.web.settings import ServeSettings
from facegpt.web.store import FaceStore
from tiny_facegpt import face_photo, tiny_facegpt

BASE = "http://127.0.0.1"
SPREAD = 0.1 * torch.randn(3, 257, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Served:
    """A server, and what is behind it."""

    client: TestClient
    engine: Engine
    app: Any


@pytest.fixture(autouse=True)
def no_token_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may serve with a token."""
    monkeypatch.delenv("FACEGPT_TOKEN", raising=False)


@pytest.fixture(scope="session")
def photo_png(tiny_face_model: MorphableModel) -> bytes:
    """A photo of two faces, as a file."""
    sink = io.BytesIO()
    Image.fromarray(face_photo(tiny_face_model)[0]).save(sink, "PNG")
    return sink.getvalue()


@pytest.fixture
def make_served(tiny_face_model: MorphableModel, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Makes servers; `keep_hours`, `token` and the other settings as arguments."""
    engines: list[Engine] = []
    loops: list[asyncio.AbstractEventLoop] = []

    def make(**options: Any) -> Served:
        given = {"data": tmp_path / "served", "requests_per_minute": 1_000_000, "page": False}
        given |= options
        settings = ServeSettings(**given)
        counters = Counters()
        store = FaceStore(settings.folder, settings.keep_hours * 3600)
        facegpt = tiny_facegpt(tiny_face_model, faces=2, spread=Spread(SPREAD))
        engine = Engine(facegpt, store, settings, counters.done)
        counters.watch(engine)
        engines.append(engine)
        with closing_loops_of_gradio(loops):
            app = guarded(engine, settings, counters)
        return Served(TestClient(app, base_url=BASE, raise_server_exceptions=False), engine, app)

    yield make
    for engine in engines:
        engine.close()
    for loop in loops:
        loop.close()


@contextmanager
def closing_loops_of_gradio(loops: list[asyncio.AbstractEventLoop]) -> Iterator[None]:
    """Gradio makes event loops where none runs, for its locks, and never closes them."""
    make = asyncio.new_event_loop

    def remembered() -> asyncio.AbstractEventLoop:
        loops.append(make())
        return loops[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", remembered)
        yield


@pytest.fixture
def served(make_served: Callable[..., Served]) -> Served:
    """With the usual settings."""
    return make_served()


@pytest.fixture
def listening(served: Served) -> Iterator[str]:
    """The address of a server on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(served.app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until = time.monotonic() + 30
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        yield f"{BASE}:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(30)
