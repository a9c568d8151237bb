"""How a text becomes a request for its face, and how the answer is begun.

The wordings are the paper's own (section 4.1), the first of every list in `data/conversations.py`.
Knows words, not what the model makes of them.
"""

import re
from typing import Any

from facegpt.data.conversations import FACE_TOKEN, forced_answer, reasoned_answer, wordings
from facegpt.data.examples import note_part
from facegpt.data.phrases_requests import IMPERATIVES
from facegpt.pipeline.errors import RequestError
from facegpt.pipeline.lexicon import is_implicit

REASON_BY_DEFAULT = False
"""Whether implicit texts are first answered in words; set by what measured better."""

LONGEST_TEXT = 2000
"""Characters of a text to make a face from; face.json keeps no more either."""

REASONED_OPENING = "The mouth"
"""How an answer begins that says how a face looks before it makes it. Left to itself nano brings
the face at once."""

_TEXT, _PERSON = "{text}", "{person}"
_PERSON_BEGINS = re.compile(r"(a|an|the|some|any|my|our|your|another|one|two)\b", re.IGNORECASE)
_TELLS = re.compile(
    r"(a|an|the|some|somebody|someone|another|one|my|his|her|our|their|he|she|they)\b(?!,)",
    re.IGNORECASE,
)
_SENTENCE_ENDS = (".", "!", "?", '"', "'", "…")
_LAST_SENTENCE = re.compile(r"(?s)^(.*[.!?…])\s")


def checked_text(text: str) -> str:
    """A text to make a face from, its spaces tidied.

    Raises:
        RequestError: It is empty or too long.
    """
    tidy = " ".join(text.split())
    if not tidy:
        raise RequestError(
            "the text is empty; describe a person or a situation, such as: an elderly man with a "
            "long thin face, grinning"
        )
    if len(tidy) > LONGEST_TEXT:
        raise RequestError(
            f"the text has {len(tidy):,} characters, at most {LONGEST_TEXT:,} are read; a few "
            "sentences about one face are enough"
        )
    return tidy


def wants_reason(text: str, reason: bool | None) -> bool:
    """Whether the model shall say in words how the face looks before it makes it."""
    return reason if reason is not None else REASON_BY_DEFAULT and is_implicit(text)


def text_request(text: str) -> str:
    """The request for the face of a description, a person or a situation.

    Args:
        text: From `checked_text`. What already is a request ("Show me ...") stays as it is.
    """
    text = text[0].upper() + text[1:]
    lowered = text.lower()
    if any(lowered.startswith(f"{word} ") for word in IMPERATIVES):
        return text if text.endswith(_SENTENCE_ENDS) else f"{text}."
    if not text.endswith(_SENTENCE_ENDS) and _PERSON_BEGINS.match(text):
        return wordings("person")[0].replace(_PERSON, text)
    sentence = text if text.endswith(_SENTENCE_ENDS) else f"{text}."
    return wordings("text")[0].replace(_TEXT, sentence)


def conversation_request(text: str) -> str:
    """What is said in a conversation, as the request that it means: somebody who only describes a
    person or tells what happens to one wants to see the face. Questions, and whatever does not
    begin with a person, stay as they are.
    """
    tells = _TELLS.match(text) is not None and "?" not in text
    return text_request(checked_text(text)) if tells else text


def image_request() -> str:
    """The request for the face of a photo."""
    return wordings("image")[0]


def user_turn(text: str, *, image: bool = False, note: str = "") -> dict[str, Any]:
    """What the user says, as a message.

    Args:
        image: A photo is shown.
        note: What was read from the photo (`PhotoReader.notes`); empty: nothing.
    """
    parts: list[dict[str, str]] = [{"type": "image"}] if image else []
    parts += [note_part(note)] if note else []
    return {"role": "user", "content": [*parts, {"type": "text", "text": text}]}


def answer_turn(words: str = "") -> dict[str, Any]:
    """The forced answer, which holds `<FACE>`, perhaps after some words."""
    text = reasoned_answer(words) if words else forced_answer()
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def said_before_face(answer: str) -> str:
    """The whole sentences of an answer before its `<FACE>` and before the one that announces it."""
    before, face, _ = answer.partition(FACE_TOKEN)
    if not face:
        return whole_sentences(answer) or answer.strip()
    return whole_sentences(before)


def whole_sentences(text: str) -> str:
    """A text without the sentence that is not over; empty when the first is not."""
    match = _LAST_SENTENCE.match(f"{text} ")
    return match[1].strip() if match else ""
