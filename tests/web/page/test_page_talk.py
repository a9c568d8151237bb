"""Which face a text speaks of, and which sliders say what."""

from typing import Any

import pytest

from facegpt.morphable.model import MorphableModel
from facegpt.pipeline.requests import conversation_request
from facegpt.web.page.controls import Controls
from facegpt.web.page.talk import ShownFace, Talk


def face(number: int, **fields: Any) -> ShownFace:
    return ShownFace(f"id{number}", f"Face {number}", "from your photo", {"arkit": {}}, **fields)


@pytest.fixture
def talk() -> Talk:
    return Talk(faces=[face(1), face(2, photo_key="k"), face(3, photo_key="k", place=1)])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("What does the second one feel?", 2),
        ("Is the 3rd person smiling?", 3),
        ("Compare with face 1.", 1),
        ("and the LAST one?", 3),
        ("number 2, please", 2),
        ("the first man", 1),
    ],
)
def test_a_face_is_meant_by_its_number(talk: Talk, text: str, number: int) -> None:
    assert talk.meant_by(text) == talk.faces[number - 1]


@pytest.mark.parametrize(
    "text", ["the fourth one", "face 9", "one second please", "the first time", "", "face 0"]
)
def test_no_face_is_meant(talk: Talk, text: str) -> None:
    assert talk.meant_by(text) is None
    assert Talk().meant_by("the first one") is None


def test_the_largest_face_stands_for_its_photo(talk: Talk) -> None:
    assert talk.face_of_photo("k") == talk.faces[1]
    assert talk.face_of_photo(None) == talk.faces[1]
    assert talk.face_of_photo("another") is None
    assert Talk().face_of_photo(None) is None


def test_two_conversations_share_nothing() -> None:
    one, other = Talk(), Talk()
    assert one.session != other.session
    one.messages.append({})
    assert not other.messages


@pytest.mark.parametrize(
    "text", ["She has just missed the train.", "an old man, grinning", "Someone won the lottery"]
)
def test_who_tells_of_a_person_wants_to_see_the_face(text: str) -> None:
    assert conversation_request(text) != text
    assert text[1:-1] in conversation_request(text)


@pytest.mark.parametrize(
    "text",
    ["What is a face?", "Thanks!", "Hello", "Is she sad?", "Show me a man.", "You are wrong."],
)
def test_everything_else_stays_as_it_is(text: str) -> None:
    assert conversation_request(text) == text


def test_sliders_ask_for_what_was_moved(tiny_face_model: MorphableModel) -> None:
    controls = Controls(tiny_face_model)
    names = [slider.name for slider in controls.meanings]
    assert "nose_width" in names
    name = controls.arkit[0]
    shown = ShownFace("i", "Face 1", "", {"arkit": {name: 0.25}})
    weights = controls.weights_of(shown)
    assert weights[0] == 0.25
    still = [0.0] * len(names)
    nothing = controls.change(shown, still, weights)
    assert not nothing.semantics
    assert not nothing.arkit
    moved = [1.5 if n == "nose_width" else 0.0 for n in names]
    change = controls.change(shown, moved, [0.5, *weights[1:]])
    assert change.semantics == {"nose_width": 1.5}
    assert change.arkit == {name: 0.5}
    assert controls.weights_of(None) == [0.0] * len(controls.arkit)
