"""Asking for a face, getting it, and talking without one."""

import re

import pytest
import torch

from facegpt.data.conversations import (
    FACE_TALK,
    FACE_TOKEN,
    NEGATIVE_REQUESTS,
    PHOTO_QUESTIONS,
    TABLE_6,
    face_request,
    face_talk,
    forced_answer,
    image_conversation,
    negative_request,
    reasoned_answer,
    wordings,
)

PAIRS = tuple((f"Question {i}?", f"Answer {i}.") for i in range(5))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("form", ["image", "text", "person", "situation", "who"])
def test_there_are_many_wordings(form: str) -> None:
    found = wordings(form)
    assert len(found) >= 60
    slot = {
        "image": "",
        "text": "{text}",
        "person": "{person}",
        "situation": "{text}",
        "who": "{who}",
    }
    assert all(slot[form] in wording for wording in found)


def test_the_templates_of_the_paper_are_among_them() -> None:
    assert "Can you give the 3DMM parameters of this person." in wordings("image")
    assert forced_answer() == "Sure, it is <FACE>."


def test_requests_vary_and_follow_the_generator() -> None:
    seen = {face_request("image", None, generator(seed)) for seed in range(200)}
    assert len(seen) > 40
    assert face_request("image", None, generator(4)) == face_request("image", None, generator(4))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("text", "He has a long face, e.g. like that. He smiles [a|lot]."),
        ("text", "a man with a oval face"),
        ("situation", "Ice cracks under the sledge, once, then again."),
        ("situation", '"Self-made," says the widow'),
    ],
)
def test_the_words_of_the_user_are_not_touched(kind: str, text: str) -> None:
    for seed in range(30):
        request = face_request(kind, text, generator(seed))  # type: ignore[arg-type]
        assert text in request or text[0].upper() + text[1:] in request


def test_a_request_is_a_situation_as_it_stands() -> None:
    text = "Show me a lanky bus driver singing along."
    assert face_request("situation", text, generator()) == text


def test_situations_of_this_person_are_turned_into_someone_who() -> None:
    text = "This person is calling out for a lost dog."
    seen = [face_request("situation", text, generator(seed)) for seed in range(60)]
    turned = [request for request in seen if "who is calling out for a lost dog" in request]
    assert 10 < len(turned) < 50
    assert all("This person" not in request for request in turned)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [("text", None, "needs a text"), ("image", "x", "takes no text"), ("text", "  ", "is empty")],
)
def test_requests_that_make_no_sense(kind: str, text: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        face_request(kind, text, generator())  # type: ignore[arg-type]


def test_answers_end_in_the_face() -> None:
    seen = {forced_answer(generator(seed)) for seed in range(100)}
    assert len(seen) > 10
    assert all(answer.endswith("<FACE>.") and answer.count(FACE_TOKEN) == 1 for answer in seen)
    reasoned = reasoned_answer("The brows rise", generator())
    assert reasoned.startswith("The brows rise. ")
    assert reasoned.endswith("<FACE>.")


def test_conversations_about_a_photo_end_with_the_face() -> None:
    fused = alone = 0
    for seed in range(80):
        turns = image_conversation(PAIRS, generator(seed))
        *before, (request, answer) = turns
        assert answer.endswith("<FACE>.")
        assert all(pair in PAIRS for pair in before)
        assert len({question for question, _ in before}) == len(before)
        if request.startswith("Question"):
            number = request[9]
            assert answer.startswith(f"Answer {number}. ")
            assert (f"Question {number}?", f"Answer {number}.") not in before
            fused += 1
        alone += len(turns) == 1
    assert fused > 10
    assert alone > 5


def test_a_photo_without_questions_is_just_asked_for() -> None:
    [(request, answer)] = image_conversation((), generator())
    assert request in wordings("image")
    assert answer.endswith("<FACE>.")


def test_talk_holds_no_face() -> None:
    assert len(face_talk(PAIRS, generator(3), most=1)) == 1
    turns = face_talk(PAIRS, generator(3))
    assert 1 <= len(turns) <= 4
    assert set(turns) <= set(PAIRS)
    with pytest.raises(ValueError, match="at least one question"):
        face_talk((), generator())


def test_negative_requests_never_ask_for_a_face() -> None:
    assert len(NEGATIVE_REQUESTS) >= 150
    assert len(set(NEGATIVE_REQUESTS)) == len(NEGATIVE_REQUESTS)
    asks = re.compile(
        r"\b(show|give|make|create|generate|build)( me)? (a|the|this) (3D )?face\b", re.I
    )
    positive = {w for form in ("image", "text", "situation") for w in wordings(form)}
    for request in (*NEGATIVE_REQUESTS, *PHOTO_QUESTIONS):
        assert not asks.search(request)
        assert request not in positive
    assert negative_request(generator(1)) in NEGATIVE_REQUESTS
    assert len({negative_request(generator(s)) for s in range(100)}) > 50


def test_talk_about_faces_is_answered_in_words() -> None:
    assert all(FACE_TOKEN not in answer and answer.endswith(".") for _, answer in FACE_TALK)
    assert set(dict(FACE_TALK)) <= set(NEGATIVE_REQUESTS)


def test_table_6_is_complete() -> None:
    assert len(TABLE_6) == 6
    assert set(TABLE_6) <= set(PHOTO_QUESTIONS)
