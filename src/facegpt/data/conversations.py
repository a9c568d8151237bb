"""Conversations about faces: asking for one, getting it, and talking without asking for one.

The templates of section 4.1 in many wordings, the fused conversations of A.3, the questions of
Table 6 and more, and requests that must NOT be answered with a face. Knows strings, not pictures:
where the picture goes is the processor's business.
"""

from collections.abc import Sequence
from functools import cache
from typing import Literal

import torch

from facegpt.data.grammar import VOICES, Pen, dice_of, every, finish
from facegpt.data.phrases_requests import (
    ALSO,
    ANNOUNCEMENTS,
    ANSWERS,
    DESCRIPTION_REQUESTS,
    IMAGE_REQUESTS,
    IMPERATIVES,
    PERSON_REQUESTS,
    SITUATION_REQUESTS,
    WHO_REQUESTS,
)
from facegpt.data.phrases_talk import FACE_TALK, OTHER_REQUESTS, PHOTO_QUESTIONS

__all__ = [
    "ANNOUNCEMENTS",
    "FACE_TALK",
    "FACE_TOKEN",
    "NEGATIVE_REQUESTS",
    "PHOTO_QUESTIONS",
    "TABLE_6",
    "face_request",
    "face_talk",
    "forced_answer",
    "image_conversation",
    "negative_request",
    "reasoned_answer",
    "wordings",
]

RequestKind = Literal["image", "text", "situation"]

FACE_TOKEN = "<FACE>"

TABLE_6: tuple[str, ...] = (
    "How is the person's hair styled?",
    "What colors dominate this image?",
    "Based on the attire and styling, can you infer anything about the event or occasion for this "
    "photo?",
    "Can you describe the person's expression?",
    "Is there any indication of where this person might be?",
    "What is the person wearing?",
)
"""Table 6 of the paper, verbatim."""

NEGATIVE_REQUESTS: tuple[str, ...] = tuple(dict.fromkeys((*OTHER_REQUESTS, *dict(FACE_TALK))))
"""Requests without a picture that ask for words, code or numbers, never for a face."""

_FUSED = 0.4
"""How often the last question and the request for the face share a turn."""

_BLANK = "\ue000"
"""Stands for the text of the user until a request is finished."""

_FORMS = {
    "image": IMAGE_REQUESTS,
    "text": DESCRIPTION_REQUESTS,
    "person": PERSON_REQUESTS,
    "situation": SITUATION_REQUESTS,
    "who": WHO_REQUESTS,
}


@cache
def wordings(form: str) -> tuple[str, ...]:
    """All wordings of a kind of request, with `{text}`, `{person}` or `{who}` left open.

    Args:
        form: image, text (sentences), person (a noun phrase), situation or who ("who is ...").
    """
    return tuple(dict.fromkeys(w for template in _FORMS[form] for w in every(template)))


def face_request(kind: RequestKind, text: str | None, generator: torch.Generator) -> str:
    """One request for a face.

    Args:
        kind: What the face is to be made from.
        text: The description (sentences, or a noun phrase like "a man with ...") or the situation;
            None for "image".

    Raises:
        ValueError: There is no text where one is needed, or one where none has a place.
    """
    if (text is None) != (kind == "image"):
        raise ValueError(
            f"a request of kind {kind!r} {'needs a' if text is None else 'takes no'} text"
        )
    if text is None:
        return _one_of("image", generator)
    text = " ".join(text.split())
    if not text:
        raise ValueError("the text to make a face from is empty; describe a person or a situation")
    return _about_text(text, generator) if kind == "text" else _about_situation(text, generator)


def _one_of(form: str, generator: torch.Generator, **slots: str) -> str:
    """Templates first, then a wording of the template: those with many wordings do not crowd out
    the rest. What the user wrote is put in last, so that nothing in it is touched."""
    pen = Pen(dice_of(generator), VOICES["they"])
    request = finish(pen.pick(_FORMS[form], **dict.fromkeys(slots, _BLANK)))
    text = next(iter(slots.values()), "")
    if request.startswith(_BLANK):
        text = text[:1].upper() + text[1:]
    return request.replace(_BLANK, text)


def _about_text(text: str, generator: torch.Generator) -> str:
    if text[-1] in ".!?":
        return _one_of("text", generator, text=text)
    return _one_of("person", generator, person=text)


def _about_situation(text: str, generator: torch.Generator) -> str:
    sentence = text if text[-1] in ".!?\"'" else f"{text}."
    if text.lower().startswith(IMPERATIVES):
        return sentence
    subject = "this person "
    flip = bool(torch.rand((), generator=generator) < 0.5)
    if flip and sentence.lower().startswith(subject) and sentence.count(".") == 1:
        return _one_of("who", generator, who=sentence[len(subject) :].rstrip("."))
    return _one_of("situation", generator, text=sentence)


def forced_answer(generator: torch.Generator | None = None) -> str:
    """An answer that ends in the face token; the paper's own without a generator."""
    if generator is None:
        return ANSWERS[0]
    return Pen(dice_of(generator), VOICES["they"]).pick(ANSWERS)


def reasoned_answer(face: str, generator: torch.Generator | None = None) -> str:
    """First how the face looks, in words, then the face: "The brows rise. Sure, it is <FACE>."."""
    words = face.strip()
    sentence = words if words.endswith((".", "!", "?")) else f"{words}."
    return f"{sentence} {forced_answer(generator)}"


def image_conversation(
    pairs: Sequence[tuple[str, str]], generator: torch.Generator
) -> list[tuple[str, str]]:
    """A conversation about a photo that ends with its face (A.3): some of the questions and
    answers, then the request, at times in the same turn as the last question.

    Args:
        pairs: Questions about the face and their answers; may be empty.

    Returns:
        Turns (user, assistant). Only the last answer holds the face token, at its end.
    """
    turns = _some(pairs, 0, 3, generator)
    request, answer = face_request("image", None, generator), forced_answer(generator)
    dice = dice_of(generator)
    if turns and dice.random() < _FUSED:
        question, words = turns.pop()
        also = dice.choice(ALSO)
        follow = request[0].lower() + request[1:] if also and request[0] != "I" else request
        return [*turns, (f"{question} {also} {follow}".replace("  ", " "), f"{words} {answer}")]
    return [*turns, (request, answer)]


def face_talk(
    pairs: Sequence[tuple[str, str]], generator: torch.Generator, most: int = 4
) -> list[tuple[str, str]]:
    """A conversation about a photo in words only: one to `most` of the questions and answers.

    Raises:
        ValueError: There are no pairs.
    """
    if not pairs:
        raise ValueError("a conversation in words needs at least one question with its answer")
    return _some(pairs, 1, most, generator)


def negative_request(generator: torch.Generator) -> str:
    """One request without a picture that must not be answered with a face."""
    return NEGATIVE_REQUESTS[int(torch.randint(len(NEGATIVE_REQUESTS), (1,), generator=generator))]


def _some(
    pairs: Sequence[tuple[str, str]], fewest: int, most: int, generator: torch.Generator
) -> list[tuple[str, str]]:
    dice = dice_of(generator)
    count = min(dice.randint(fewest, most), len(pairs))
    return [pairs[i] for i in dice.sample(range(len(pairs)), count)]
