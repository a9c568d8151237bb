"""Turns of a conversation with a tiny FaceGPT: what is shown, kept, remembered and stopped."""

import asyncio
import time
from typing import Any

import gradio as gr
import pytest

from facegpt.pipeline.changing import Change
from facegpt.web.errors import BusyError, UnreadableRequestError
from facegpt.web.page import panel, talking
from facegpt.web.page.photos import PhotoMemory
from facegpt.web.page.talk import Talk
from facegpt.web.page.talking import Listener, turn
from tiny_facegpt import nobody, saying

SURE = "Sure, it is <FACE>."


@pytest.fixture
def listener(served: Any) -> Listener:
    return Listener(served.engine, PhotoMemory(), 30.0)


def take(
    listener: Listener, talk: Talk, text: str = "", *files: bytes, keep_photos: bool = False
) -> list[str]:
    """One turn; what stood last after every change."""

    async def all_of_it() -> list[str]:
        return [
            said(talk.shown[-1])
            async for _ in turn(listener, talk, text, files, keep_photos=keep_photos)
        ]

    return asyncio.run(all_of_it())


def said(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else str(content.value)


def words(talk: Talk) -> list[str]:
    return [m["content"] for m in talk.shown if isinstance(m["content"], str)]


def test_words_become_a_face(listener: Listener) -> None:
    talk = Talk()
    with saying(listener.engine.facegpt.network, SURE):
        seen = take(listener, talk, "Show me an old man.")
    assert words(talk) == ["Show me an old man.", "Sure, it is **Face 1**."]
    assert any("(a face)" in piece for piece in seen), "it grows while it is said"
    [face] = talk.faces
    assert listener.engine.store.face(face.id).session == talk.session
    assert face.questions == ("Show me an old man.",)
    assert face.words[0].isupper()
    assert isinstance(talk.shown[-1]["content"], gr.HTML)
    assert face.id in said(talk.shown[-1])


def test_every_face_of_a_photo_is_a_card_and_the_answer_makes_no_second_one(
    listener: Listener, photo_png: bytes
) -> None:
    talk = Talk()
    with saying(listener.engine.facegpt.network, SURE):
        take(listener, talk, "Who is it?", photo_png)
    assert [face.name for face in talk.faces] == ["Face 1", "Face 2"]
    assert [face.place for face in talk.faces] == [0, 1]
    assert all(face.overlay.startswith("data:image/jpeg") for face in talk.faces)
    assert words(talk)[-1] == "Sure, it is **Face 1**."
    assert "I see 2 faces, the largest first." in words(talk)
    assert not any("Reading" in text for text in words(talk))


def test_a_photo_without_words_waits_for_the_question(
    listener: Listener, photo_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk, asked = Talk(), []
    take(listener, talk, "", photo_png)
    assert len(talk.faces) == 2
    assert talk.messages == []
    ask = listener.engine.ask
    monkeypatch.setattr(listener.engine, "ask", lambda q: asked.append(q) or ask(q))
    with saying(listener.engine.facegpt.network, "A man."):
        take(listener, talk, "Who is it?")
        take(listener, talk, "Is he glad?")
    first, second = (question.messages[-1]["content"] for question in asked)
    assert [part["type"] for part in first] == ["image", "text"]
    assert [part["type"] for part in second] == ["text"]
    assert len(asked[1].messages) == 3


def test_photos_are_kept_only_if_wanted(listener: Listener, photo_png: bytes) -> None:
    for wanted in (False, True):
        talk = Talk()
        take(listener, talk, "", photo_png, keep_photos=wanted)
        kept = listener.engine.store.photo(talk.faces[0].id)
        assert kept == (photo_png if wanted else None)


def test_the_second_one_is_looked_at(
    listener: Listener, photo_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk, looked = Talk(), []
    take(listener, talk, "", photo_png)
    around = talking.around_face
    monkeypatch.setattr(talking, "around_face", lambda p, box: looked.append(box) or around(p, box))
    talk.waiting_photos.clear()
    with saying(listener.engine.facegpt.network, SURE):
        take(listener, talk, "What does the second one feel?")
    assert looked == [list(talk.faces[1].record["box_px"])]
    assert words(talk)[-1] == "Sure, it is **Face 2**."
    assert len(talk.faces) == 2


def test_an_imagined_face_is_looked_at_as_a_portrait(listener: Listener) -> None:
    talk = Talk()
    with saying(listener.engine.facegpt.network, SURE):
        take(listener, talk, "Show me a man.")
    before = len(listener.memory)
    # The detector of the tests knows one place: whatever it says there, a picture is shown.
    take(listener, talk, "Is the first one sad?")
    assert len(listener.memory) == before + 1


def test_a_photo_without_a_face_is_said_and_nothing_is_answered(listener: Listener) -> None:
    import io

    from PIL import Image

    sink = io.BytesIO()
    Image.fromarray(nobody()).save(sink, "PNG")
    talk = Talk()
    take(listener, talk, "Who is it?", sink.getvalue())
    assert "no face" in words(talk)[-1]
    assert not talk.faces


@pytest.mark.parametrize("file", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 30])
def test_a_damaged_photo_is_said(listener: Listener, file: bytes) -> None:
    talk = Talk()
    take(listener, talk, "Who is it?", file)
    assert words(talk)[-1].endswith(".")
    assert "Traceback" not in words(talk)[-1]
    assert not talk.faces


def test_too_many_photos_and_too_long_a_text_are_said(listener: Listener, photo_png: bytes) -> None:
    talk = Talk()
    take(listener, talk, "", *[photo_png] * 5)
    assert "4 photos" in words(talk)[-1]
    take(listener, talk, "word " * 20_000)
    assert "can read" in words(talk)[-1] or "long" in words(talk)[-1]


def test_a_full_server_is_said(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(question: Any) -> Any:
        raise BusyError(64, 3.0)

    monkeypatch.setattr(listener.engine, "ask", full)
    talk = Talk()
    take(listener, talk, "Hello?")
    assert words(talk)[-1] == "64 requests are waiting; try again in 3 s."
    # The conversation goes on.
    monkeypatch.undo()
    with saying(listener.engine.facegpt.network, "Hello."):
        take(listener, talk, "Hello?")
    assert words(talk)[-1] == "Hello."


def test_what_is_ours_is_not_told(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(question: Any) -> Any:
        raise RuntimeError("a secret path")

    monkeypatch.setattr(listener.engine, "ask", broken)
    talk = Talk()
    with pytest.raises(RuntimeError):
        take(listener, talk, "Hello?")
    assert "secret" not in " ".join(words(talk))


def test_an_error_that_is_ours_is_logged_without_what_was_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = talking.answer_to(RuntimeError("a secret path"))
    assert told == "Something went wrong here; the log of the server names it."
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text
    assert talking.answer_to(BusyError(3, 2.0)).startswith("3 requests are waiting")


def test_whoever_stops_listening_stops_the_work(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Any] = []
    ask = listener.engine.ask
    monkeypatch.setattr(listener.engine, "ask", lambda q: jobs.append(ask(q)) or jobs[-1])

    async def listen_a_little() -> None:
        going = turn(listener, Talk(), "Tell me a story.", [], keep_photos=False)
        await anext(going)
        await anext(going)
        await going.aclose()

    with saying(listener.engine.facegpt.network, "word " * 150):
        asyncio.run(listen_a_little())
        assert jobs[0].is_cancelled
        until = time.monotonic() + 20
        while not jobs[0].result.done() and time.monotonic() < until:
            time.sleep(0.01)
    assert jobs[0].result.done()


def test_an_answer_that_takes_too_long_is_given_up(served: Any) -> None:
    talk = Talk()
    listener = Listener(served.engine, PhotoMemory(), 0.05)
    with saying(served.engine.facegpt.network, "word " * 150):
        take(listener, talk, "Tell me a story.")
    assert "longer than" in words(talk)[-1]


def test_a_changed_face_is_a_new_one(listener: Listener, photo_png: bytes) -> None:
    talk = Talk()
    take(listener, talk, "", photo_png, keep_photos=True)
    change = Change({"nose_width": 1.0}, {"jawOpen": 0.5})
    new = asyncio.run(panel.keep_changed(listener, talk, talk.faces[0], change))
    assert new.name == "Face 3"
    assert new.origin == "Face 1, changed"
    record = listener.engine.store.face(new.id).record
    assert record["source"]["changes"] == [
        {"semantics": {"nose_width": 1.0}, "arkit": {"jawOpen": 0.5}}
    ]
    assert record["errors"] == {}
    assert listener.engine.store.texture(new.id) is not None, "the skin of the photo goes along"
    with pytest.raises(UnreadableRequestError, match="move a slider"):
        asyncio.run(panel.keep_changed(listener, talk, talk.faces[0], Change()))


def test_a_face_is_fitted_to_its_photo(listener: Listener, photo_png: bytes) -> None:
    talk = Talk()
    take(listener, talk, "", photo_png)
    new = asyncio.run(panel.refine(listener, talk, talk.faces[1], keep_photo=False))
    assert new.record["method"].endswith("+refine")
    assert new.place == 1
    with saying(listener.engine.facegpt.network, SURE):
        take(listener, talk2 := Talk(), "Show me a man.")
    with pytest.raises(UnreadableRequestError, match="made from words"):
        asyncio.run(panel.refine(listener, talk2, talk2.faces[0], keep_photo=False))
    listener.memory.forget(talk.photo_keys)
    with pytest.raises(UnreadableRequestError, match="send the photo again"):
        asyncio.run(panel.refine(listener, talk, talk.faces[0], keep_photo=False))


def test_a_conversation_is_forgotten_with_all_it_had(listener: Listener, photo_png: bytes) -> None:
    talk, other = Talk(), Talk()
    take(listener, talk, "", photo_png, keep_photos=True)
    take(listener, other, "", photo_png)
    assert asyncio.run(panel.forget(listener, talk)) == 2
    assert len(listener.engine.store) == 2
    assert len(listener.memory) == 1


def test_a_conversation_has_an_end(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talking, "MOST_TURNS", 1)
    talk = Talk()
    with saying(listener.engine.facegpt.network, "Hello."):
        take(listener, talk, "Hello?")
        take(listener, talk, "Hello?")
    assert "begin a new conversation" in words(talk)[-1]
    assert take(listener, talk, "   ") == []
