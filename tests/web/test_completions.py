"""The chat as OpenAI's own client asks it, over a real connection."""

import base64
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2 as httpx
import openai
import pytest

from tiny_facegpt import saying

SURE = "Sure, it is <FACE>."


@pytest.fixture
def client(listening: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{listening}/v1", api_key="none", max_retries=0)


def user(text: str, photo: bytes | None = None) -> dict[str, Any]:
    if photo is None:
        return {"role": "user", "content": text}
    uri = "data:image/png;base64," + base64.b64encode(photo).decode()
    shown = {"type": "image_url", "image_url": {"url": uri}}
    return {"role": "user", "content": [shown, {"type": "text", "text": text}]}


def ask(client: openai.OpenAI, *messages: dict[str, Any], **options: Any) -> Any:
    return client.chat.completions.create(model="nano", messages=list(messages), **options)  # type: ignore[call-overload]


def test_an_answer_with_a_face(served: Any, client: openai.OpenAI, listening: str) -> None:
    assert [model.id for model in client.models.list()] == ["nano"]
    with saying(served.engine.facegpt.network, SURE):
        answer = ask(client, user("Show me an old man."))
    [choice] = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("Sure, it is [face 1].", "stop")
    [face] = answer.faces
    assert choice.message.faces == [face]
    assert httpx.get(listening + face["files"]["json"]).json() == face["record"]
    assert face["record"]["source"]["text"] == "Show me an old man."


def test_a_conversation_about_a_photo_goes_on(
    served: Any, client: openai.OpenAI, photo_png: bytes
) -> None:
    turns = [user("Who is it?", photo_png)]
    with saying(served.engine.facegpt.network, SURE):
        first = ask(client, *turns, extra_body={"session": "mine"})
    assert "crop_from_image" in first.faces[0]["record"]
    turns += [{"role": "assistant", "content": first.choices[0].message.content}, user("Again?")]
    with saying(served.engine.facegpt.network, "Here: <FACE> and <FACE>."):
        again = ask(client, *turns)
    assert again.choices[0].message.content == "Here: [face 2] and [face 3]."
    assert len(again.faces) == 2
    assert served.engine.store.delete_session("mine") == 1


def test_an_answer_in_pieces(served: Any, client: openai.OpenAI) -> None:
    with saying(served.engine.facegpt.network, SURE):
        chunks = list(ask(client, user("Show me an old man."), stream=True))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert said == "Sure, it is [face 1]."
    assert len(chunks) > 4
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len(chunks[-1].choices[0].delta.faces) == 1
    assert len({chunk.id for chunk in chunks}) == 1


def test_what_cannot_be_answered_is_an_error_of_the_client(
    client: openai.OpenAI, photo_png: bytes
) -> None:
    fetched = {"type": "image_url", "image_url": {"url": "http://127.0.0.1/a.png"}}
    wrong: list[tuple[Any, str]] = [
        ({"role": "user", "content": ""}, "no text"),
        ({"role": "assistant", "content": "I begin."}, "ends with what the user says"),
        ({"role": "user", "content": [fetched]}, "never fetched"),
        ({"role": "judge", "content": "x"}, "messages.0.role"),
        (user("Who?", b"no picture"), "picture"),
    ]
    for message, words in wrong:
        with pytest.raises(openai.UnprocessableEntityError, match=words):
            ask(client, message)
    with pytest.raises(openai.UnprocessableEntityError, match="max_tokens"):
        ask(client, user("Hello"), max_tokens=10_000)


def test_an_error_in_the_middle_of_a_stream_is_told(
    served: Any, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(messages: Any, *, stream: Any, **options: Any) -> None:
        stream("So ")
        raise ArithmeticError("my secret")

    monkeypatch.setattr(served.engine.facegpt, "chat", breaks)
    with pytest.raises(openai.APIError, match="something went wrong here"):
        list(ask(client, user("Hello"), stream=True))


def test_who_goes_away_stops_the_work(
    served: Any, listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()

    def talks_for_ever(messages: Any, *, stream: Any, **options: Any) -> None:
        try:
            for _ in range(3000):
                stream("and ")
                time.sleep(0.01)
        except Exception:
            stopped.set()
            raise

    monkeypatch.setattr(served.engine.facegpt, "chat", talks_for_ever)
    body = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}
    with httpx.stream("POST", f"{listening}/v1/chat/completions", json=body) as answer:
        assert any("and " in text for text in answer.iter_text())
    assert stopped.wait(20)
    stopped.clear()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{listening}/v1/chat/completions", json={**body, "stream": False}, timeout=0.3)
    assert stopped.wait(20)
    monkeypatch.undo()
    answer = httpx.post(f"{listening}/v1/imagine", json={"text": "a man"}, timeout=30)
    assert answer.status_code == 200


def test_many_clients_get_their_own_faces(served: Any, listening: str) -> None:
    """Numbers in the texts come back with the faces: nothing is lost or mixed up."""

    def one(client: int) -> list[tuple[str, dict[str, Any]]]:
        with httpx.Client(base_url=listening, timeout=60) as session:
            return [talk(session, f"man number {client} of round {i}") for i in range(6)]

    def talk(session: httpx.Client, text: str) -> tuple[str, dict[str, Any]]:
        [face] = session.post("/v1/imagine", json={"text": text}).json()["faces"]
        again = session.get(face["files"]["json"]).json()
        assert again == face["record"]
        return text, face["record"]

    with ThreadPoolExecutor(8) as callers:
        rows = [row for rows in callers.map(one, range(8)) for row in rows]
    assert [text for text, _ in rows] == [record["source"]["text"] for _, record in rows]
    for text, record in rows[::7]:
        [alone] = served.engine.facegpt.imagine(text)
        expected = alone.reconstruction.parameters.shape[0].tolist()
        assert record["parameters"]["shape"] == pytest.approx(expected, abs=1e-3)
    assert len(served.engine.store) == 48
