"""Texts as requests: in the wordings that were learnt, and sorted into explicit and implicit."""

import pytest

from facegpt.data.conversations import wordings
from facegpt.pipeline import RequestError, requests
from facegpt.pipeline.lexicon import is_implicit
from facegpt.pipeline.requests import (
    LONGEST_TEXT,
    answer_turn,
    checked_text,
    image_request,
    said_before_face,
    text_request,
    wants_reason,
)


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("an old man", "An old man, can you give the 3DMM parameters of this person."),
        ("He is old.", "He is old. Can you give the 3DMM parameters of this person?"),
        ("he is old", "He is old. Can you give the 3DMM parameters of this person?"),
        ("show me a man who is late", "Show me a man who is late."),
        ("I'd like to see a widow!", "I'd like to see a widow!"),
        ("makeup on a pale face", "Makeup on a pale face. Can you give the 3DMM parameters of"),
    ],
)
def test_texts_are_asked_as_in_training(text: str, request_: str) -> None:
    assert text_request(text).startswith(request_)


def test_wordings_are_the_first_of_the_data() -> None:
    assert image_request() == wordings("image")[0]
    assert answer_turn()["content"][0]["text"] == "Sure, it is <FACE>."
    assert answer_turn("Brows rise")["content"][0]["text"] == "Brows rise. Sure, it is <FACE>."


def test_texts_are_tidied_and_bounded() -> None:
    assert checked_text("  a \n man ") == "a man"
    for empty in ("", " \n\t "):
        with pytest.raises(RequestError, match="empty; describe a person"):
            checked_text(empty)
    assert len(checked_text("x" * LONGEST_TEXT)) == LONGEST_TEXT
    with pytest.raises(RequestError, match="59,999 characters, at most 2,000"):
        checked_text("words " * 10_000)


@pytest.mark.parametrize(
    ("text", "implicit"),
    [
        ("This person has just won the lottery.", True),
        ("Someone who has waited an hour for a bus that does not come", True),
        ("A smiling woman", False),
        ("He has a Long NOSE.", False),
        ("a broad-faced man", False),
        ("dark skin", False),
        ("She grinned.", False),
    ],
)
def test_situations_are_told_from_descriptions(text: str, implicit: bool) -> None:
    assert is_implicit(text) == implicit


def test_who_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    for default in (True, False):
        monkeypatch.setattr(requests, "REASON_BY_DEFAULT", default)
        assert wants_reason("He lost his keys.", None) is default
        assert wants_reason("A smiling man", None) is False
        assert wants_reason("A smiling man", True) is True
        assert wants_reason("He lost his keys.", False) is False


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("The brows rise. Sure, it is <FACE>.", "The brows rise."),
        ("Brows up! Mouth open. It is <FACE>", "Brows up! Mouth open."),
        ("Sure, it is <FACE>.", ""),
        ("<FACE>", ""),
        ("The brows rise and the mou", "The brows rise and the mou"),
        ("The brows rise. The mou", "The brows rise."),
        ("", ""),
    ],
)
def test_words_before_the_face(answer: str, words: str) -> None:
    assert said_before_face(answer) == words
