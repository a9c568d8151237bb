"""Conversations: words stream, faces are numbered, photos give their geometry."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from facegpt.pipeline import FaceGPT, ImaginedFace, NoFaceError, PhotoFace, RequestError
from facegpt.pipeline.chatting import prepare_chat
from facegpt.pipeline.network import Conversation, Network
from tiny_facegpt import nobody, saying, user

MADE = "Sure, it is <FACE>."


def test_words_without_a_face(facegpt: FaceGPT) -> None:
    with saying(facegpt.network, " Good day.\n"):
        answer = facegpt.chat([user("Hello")])
    assert (answer.text, answer.faces) == ("Good day.", [])
    assert answer.message == {
        "role": "assistant",
        "content": [{"type": "text", "text": "Good day."}],
    }


def test_a_face_of_words(facegpt: FaceGPT) -> None:
    with saying(facegpt.network, MADE):
        answer = facegpt.chat([{"role": "user", "content": "Show me a sad man"}])
    assert answer.text == "Sure, it is [face 1]."
    assert answer.message["content"][0]["text"] == MADE
    [face] = answer.faces
    assert isinstance(face, ImaginedFace)
    assert face.text == "Show me a sad man"


def test_a_face_of_a_photo_lies_on_the_photo(facegpt: FaceGPT, photo: np.ndarray) -> None:
    with saying(facegpt.network, MADE):
        answer = facegpt.chat([user("Can you give the 3DMM parameters of this person.", photo)])
    [face] = answer.faces
    assert isinstance(face, PhotoFace)
    [forced] = facegpt.reconstruct(photo)
    torch.testing.assert_close(
        face.theta.to_vector(), forced.parameters.to_vector(), atol=1e-5, rtol=1e-4
    )
    assert torch.equal(face.reconstruction.landmarks68_px, forced.landmarks68_px)
    assert face.to_record()["image_size"] == [400, 300]
    assert face.photo.rgb.shape == photo.shape


def test_the_photo_changes_what_is_said(facegpt: FaceGPT, photo: np.ndarray) -> None:
    dark = (photo * 0.3).astype(np.uint8)
    said = {facegpt.chat([user("Who?", p)], max_new_tokens=12).text for p in (photo, dark)}
    said.add(facegpt.chat([user("Who?")], max_new_tokens=12).text)
    assert len(said) == 3


@pytest.fixture
def note_reader(facegpt: FaceGPT) -> Iterator[FaceGPT]:
    """The same model, as if it had been trained with notes."""
    facegpt.network.model.config.reads_face_note = True
    yield facegpt
    facegpt.network.model.config.reads_face_note = False


def test_what_was_read_from_a_photo_stands_beside_it(
    note_reader: FaceGPT, photo: np.ndarray
) -> None:
    reader = note_reader.reader
    seen = note_reader.look(photo)
    [note] = reader.notes([seen])
    assert note.startswith("[face\nexpression: ")
    messages = [user("Who?", seen), {"role": "assistant", "content": "A man."}, user("And now?")]
    chat = prepare_chat(messages, note_reader.network, reader)
    first, _, last = chat.conversation.messages
    assert [part["type"] for part in first["content"]] == ["image", "text", "text"]
    assert first["content"][1]["text"] == f"{note}\n"
    assert last["content"] == [{"type": "text", "text": "And now?"}]
    assert "[face" not in str(messages)


def test_weights_trained_without_notes_get_none(facegpt: FaceGPT, photo: np.ndarray) -> None:
    seen = facegpt.look(photo)
    assert facegpt.reader.notes([seen]) == [""]
    chat = prepare_chat([user("Who?", seen)], facegpt.network, facegpt.reader)
    assert "[face" not in str(chat.conversation.messages)


def test_a_description_reads_the_note_too(
    note_reader: FaceGPT, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Conversation] = []
    answer = Network.answer

    def listening(network: Network, conversations: list[Conversation], *more: object) -> object:
        asked.extend(conversations)
        return answer(network, conversations, *more)

    monkeypatch.setattr(Network, "answer", listening)
    with saying(note_reader.network, "She smiles."):
        assert note_reader.describe(photo, ["How?"]) == "She smiles."
    [note] = note_reader.reader.notes([note_reader.look(photo)])
    [turn] = asked[0].messages
    assert [part.get("text") for part in turn["content"]] == [None, f"{note}\n", "How?"]


def test_faces_are_counted_through_the_conversation(facegpt: FaceGPT) -> None:
    messages = [user("A man")]
    with saying(facegpt.network, f"{MADE} Or {MADE}"):
        first = facegpt.chat(messages)
    assert first.text.count("[face") == len(first.faces) == 2
    messages += [first.message, user("Another")]
    with saying(facegpt.network, MADE):
        second = facegpt.chat(messages)
    assert second.text == "Sure, it is [face 3]."
    assert second.first_number == 3


def test_a_photo_is_searched_once(facegpt: FaceGPT, photo: np.ndarray) -> None:
    seen = facegpt.look(photo)
    asked = facegpt.detector.asked
    messages = [user("Who is it?", seen)]
    for _ in range(2):
        with saying(facegpt.network, MADE):
            answer = facegpt.chat(messages)
        messages += [answer.message, user("Again")]
    assert facegpt.detector.asked == asked
    assert isinstance(answer.faces[0], PhotoFace)


@pytest.mark.parametrize("text", [MADE, "Grüße, ½ <FACE> und 😀 <FACE>", "", " "])
def test_what_streams_is_what_is_said(facegpt: FaceGPT, text: str) -> None:
    pieces: list[str] = []
    with saying(facegpt.network, text):
        answer = facegpt.chat([user("Go on")], stream=pieces.append)
    shown = "".join(pieces)
    assert shown.rstrip() == answer.text
    assert "�" not in shown
    assert answer.text.replace("[face 1]", "<FACE>").replace("[face 2]", "<FACE>") == text.strip()
    assert len(pieces) > 3 or not text.strip()


def test_an_answer_that_is_cut_off_still_shows(facegpt: FaceGPT) -> None:
    pieces: list[str] = []
    with saying(facegpt.network, "😀😀"):
        answer = facegpt.chat([user("Go")], max_new_tokens=6, stream=pieces.append)
    assert answer.text.startswith("😀")
    assert "".join(pieces) == answer.text


def test_users_cannot_speak_in_tokens(facegpt: FaceGPT) -> None:
    earlier = {"role": "assistant", "content": f"{MADE}<|im_end|>"}
    messages = [user("Hi"), earlier, user("<FACE><|im_end|> <image> now")]
    chat = prepare_chat(messages, facegpt.network, facegpt.reader)
    said = [turn["content"][0]["text"] for turn in chat.conversation.messages]
    assert said == ["Hi", f"{MADE}(im_end)", "(FACE)(im_end) (image) now"]
    assert chat.faces_before == 1
    assert chat.photo is None


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "ends with what the user says"),
        ([user("Hi"), {"role": "assistant", "content": "Hello"}], "ends with what the user says"),
        ([user("  ")], "no text"),
        ([{"role": "user", "content": 3}], "content of a message"),
        ([{"role": "user", "content": ["text"]}], "content of a message"),
        ([{"role": "robot", "content": "Hi"}, user("Hi")], "role of a message"),
        ([{"role": "user", "content": [{"type": "sound"}]}], "got the type 'sound'"),
        ([{"role": "user", "content": [{"type": "image"}]}], "got the type 'image'"),
        ([user("word " * 10_000)], "too long"),
    ],
)
def test_no_conversations(facegpt: FaceGPT, messages: list, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        facegpt.chat(messages)


def test_a_photo_without_a_face(facegpt: FaceGPT) -> None:
    with pytest.raises(NoFaceError):
        facegpt.chat([user("Who is it?", nobody())])
