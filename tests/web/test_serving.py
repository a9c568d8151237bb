"""Listening, starting and stopping."""

import logging
import socket
import threading
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from facegpt.cli import main
from facegpt.listening import ServingRefusedError
from facegpt.morphable.model import MorphableModel
from facegpt.pipeline import FaceGPT
from facegpt.web import serving
from facegpt.web.settings import ServeSettings
from tiny_facegpt import tiny_facegpt


@pytest.fixture
def tiny_weights(tiny_face_model: MorphableModel, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiny_facegpt(tiny_face_model)
    monkeypatch.setattr(FaceGPT, "from_pretrained", lambda weights, **how: made)


def test_a_server_answers_until_it_is_interrupted(
    tiny_weights: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers: list[Any] = []

    class Kept(serving.uvicorn.Server):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            servers.append(self)

    monkeypatch.setattr(serving.uvicorn, "Server", Kept)
    for name in ("facegpt", "uvicorn"):
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "handlers", list(logger.handlers))
        monkeypatch.setattr(logger, "propagate", logger.propagate)
    addresses: list[str] = []
    announced = threading.Event()

    def announce(address: str) -> None:
        addresses.append(address)
        announced.set()

    settings = ServeSettings(port=0, data=tmp_path / "served", page=False)
    thread = threading.Thread(target=serving.serve, args=(settings, announce))
    thread.start()
    assert announced.wait(30)
    answer = httpx.post(f"{addresses[0]}/v1/imagine", json={"text": "a man"}, timeout=30)
    face = answer.json()["faces"][0]
    assert "server" not in answer.headers
    servers[0].should_exit = True
    thread.join(30)
    assert not thread.is_alive()
    # A restart loses no finished face.
    store = serving.FaceStore(tmp_path / "served", 3600.0)
    assert store.face(face["id"]).record == face["record"]
    store.close()


def test_a_taken_port_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = ServeSettings(port=taken.getsockname()[1], data=tmp_path / "served")
        with pytest.raises(ServingRefusedError, match="give another --port"):
            serving.serve(settings, lambda address: None)
    assert not (tmp_path / "served").exists()


def test_the_command_refuses_to_be_open(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--host", "0.0.0.0"])
    assert ended.value.code == 1
    assert "needs a token; give --token or FACEGPT_TOKEN, for example " in capsys.readouterr().err


def test_help_does_not_show_the_token(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEGPT_TOKEN", "a-secret-of-the-environment")
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    shown = capsys.readouterr().out
    assert "FACEGPT_TOKEN" in shown
    assert "a-secret-of-the-environment" not in shown


def test_log_lines_are_json() -> None:
    record = logging.LogRecord("facegpt.web", 30, "", 1, "a %s", ("word",), None)
    assert '"message": "a word"' in serving._JsonLines().format(record)


def test_the_link_has_the_token_unless_the_environment_gave_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "a" * 24
    given = ServeSettings(token=secret, data=tmp_path)
    assert serving._query(given) == f"/?token={secret}"
    assert serving._query(ServeSettings(token=secret, data=tmp_path, page=False)) == ""
    monkeypatch.setenv("FACEGPT_TOKEN", secret)
    assert serving._query(ServeSettings(data=tmp_path)) == ""
