"""examples/03_chat.py as somebody types into it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from facegpt.morphable.model import MorphableModel
from facegpt.pipeline import ChatAnswer, FaceGPT
from tiny_facegpt import face_photo, nobody, saying

pytest.importorskip("skimage.data", reason="the photo of the example lies in scikit-image")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What comes from the keyboard, until it ends."""

    def feed(*lines: str) -> None:
        waiting = iter(lines)

        def read(_: str) -> str:
            try:
                return next(waiting)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr("builtins.input", read)

    return feed


@pytest.fixture
def told(tiny: FaceGPT, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Each answer of the model is a face; the roles of what it was shown are kept."""
    asked: list[list[str]] = []
    chat = FaceGPT.chat

    def answer(self: FaceGPT, messages: Sequence[Mapping[str, Any]], **options: Any) -> ChatAnswer:
        asked.append([part["type"] for turn in messages for part in turn["content"]])
        with saying(self.network, "Sure, it is <FACE>."):
            return chat(self, messages, **options)

    monkeypatch.setattr(FaceGPT, "chat", answer)
    return asked


def test_several_turns_a_photo_by_its_path_and_faces_on_disk(
    told: list[list[str]],
    tiny_face_model: MorphableModel,
    example: Callable[[str], ModuleType],
    typed: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photo = tmp_path / "her face.png"
    Image.fromarray(face_photo(tiny_face_model)[0]).save(photo)
    chat = example("03_chat")
    typed(f"/image {photo}", "Show it.", "", "Again.", "/new", "An old man.", "/quit", "no")
    chat.main(tmp_path / "out", chat.typed())
    assert told == [["image", "text"], ["image", "text", "text", "text"], ["text"]]
    said = capsys.readouterr().out
    assert said.count("[face 1] is in") == 2
    assert said.count("[face 2] is in") == 1
    folders = sorted((tmp_path / "out").iterdir())
    assert [folder.name for folder in folders] == ["chat-face-1", "chat-face-2", "chat-face-3"]
    assert (folders[0] / "overlay.png").is_file()
    assert (folders[2] / "portrait.png").is_file()


def test_what_cannot_be_shown_is_said_and_the_talk_goes_on(
    told: list[list[str]],
    example: Callable[[str], ModuleType],
    typed: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wall = tmp_path / "wall.png"
    Image.fromarray(nobody()).save(wall)
    chat = example("03_chat")
    typed(f"/image {wall}", "/image nowhere.png", "A laughing man.")
    chat.main(tmp_path / "out", chat.typed())
    said = capsys.readouterr().out
    assert "wall.png: no face found" in said
    assert "no file at nowhere.png" in said
    assert told == [["text"]]
