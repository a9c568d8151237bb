"""Questions about a face and the answers that its measurements give.

Everything is looked up from the same facts as the descriptions, so an answer never contradicts
them. What theta does not hold (hair, clothes, age, place) is not asked here.
"""

from collections.abc import Callable, Mapping

import torch

from facegpt.data.facts import Facts, Reading
from facegpt.data.grammar import VOICES, Pen, dice_of, finish, listed
from facegpt.data.phrases_questions import (
    BEARD_ANSWERS,
    LID_ANSWERS,
    MOUTH_ANSWERS,
    NOD_ANSWERS,
    QUESTIONS,
    SMILE_ANSWERS,
    TURN_ANSWERS,
)
from facegpt.data.phrases_unmeasured import UNMEASURED, UNMEASURED_ANSWERS
from facegpt.data.wording_expression import (
    expression_sentences,
    mood_sentence,
    mouth_sentence,
    upper_words,
)
from facegpt.data.wording_scene import light_sentences, pose_sentences, skin_sentences
from facegpt.data.wording_shape import describe_shape, noun_phrase, outline_words, predicate

Answer = Callable[[Reading, Facts, Pen], str]

_ALWAYS = ("expression", "smile", "mouth", "turned")
"""What evaluation asks too; two of these in every conversation."""
_SMILE_AFTER_ALL_MM = 0.75
"""The middle of what facts call a trace of a smile."""
_NOD_STRENGTHS = {"slight": "slightly ", "strong": "far "}


def answer_questions(
    reading: Reading, facts: Facts, pen: Pen, *, count: int = 6
) -> tuple[tuple[str, str], ...]:
    """Some questions on different topics with their answers, in chance order."""
    topics = [t for t in QUESTIONS if t != "beard" or facts.beard]
    first = pen.dice.sample(_ALWAYS, 2)
    rest = pen.dice.sample([t for t in topics if t not in first], max(count - 2, 0))
    chosen = [*first, *rest][:count]
    pen.dice.shuffle(chosen)
    return tuple(ask(topic, reading, facts, pen) for topic in chosen)


def ask(topic: str, reading: Reading, facts: Facts, pen: Pen) -> tuple[str, str]:
    """One question on a topic (a key of `QUESTIONS`) and its answer."""
    question = finish(pen.pick(QUESTIONS[topic]))
    pen.mentioned = True  # The question has named the person.
    return question, finish(_ANSWERS[topic](reading, facts, pen))


def question_on(topic: str, generator: torch.Generator) -> str:
    """One question on a topic (a key of `QUESTIONS`)."""
    return finish(Pen(dice_of(generator), VOICES["they"]).pick(QUESTIONS[topic]))


def unmeasured(generator: torch.Generator) -> tuple[str, str]:
    """One question about a photo that the face does not answer, and an answer that says so."""
    pen = Pen(dice_of(generator), VOICES["they"])
    questions, what = UNMEASURED[pen.dice.choice(list(UNMEASURED))]
    question = finish(pen.pick(questions))
    return question, finish(pen.pick(UNMEASURED_ANSWERS, what=what))


def _smile(reading: Reading, facts: Facts, pen: Pen) -> str:
    mouth = mouth_sentence(facts, pen).removesuffix(".")
    # Who asks wants yes or no: even a trace is nearer to one of them.
    is_less = facts.smile == "trace" and reading.value["smile"] < _SMILE_AFTER_ALL_MM
    kind = "less than a trace" if is_less else facts.smile
    return pen.pick(SMILE_ANSWERS[kind], mouth=_as_clause(mouth))


def _as_clause(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _whole(reading: Reading, facts: Facts, pen: Pen) -> str:
    parts = [describe_shape(reading, pen), mouth_sentence(facts, pen)]
    more: tuple[Callable[[], list[str]], ...] = (
        lambda: skin_sentences(reading, facts, pen),
        lambda: pose_sentences(facts, pen),
        lambda: light_sentences(facts, pen),
    )
    return " ".join([*parts, *pen.dice.choice(more)()])


def _nod(_: Reading, facts: Facts, pen: Pen) -> str:
    strength = _NOD_STRENGTHS.get(facts.nod_strength, "")
    return pen.pick(NOD_ANSWERS[facts.nod], strength=strength)


def _brows(reading: Reading, facts: Facts, pen: Pen) -> str:
    brows = upper_words(facts, pen)[0]
    return pen.write("[They|The brows] are {brows}.", brows=brows)


def _features(reading: Reading, part: str, pen: Pen) -> str:
    return pen.write(
        "[They are|The {part} are] {words}.", part=part, words=predicate(reading, part, pen)
    )


def _jaw(reading: Reading, _: Facts, pen: Pen) -> str:
    parts = listed([noun_phrase(reading, part, pen) for part in ("jaw", "chin")])
    return pen.write("[The person has {parts}|There is {parts}|It shows {parts}].", parts=parts)


_ANSWERS: Mapping[str, Answer] = {
    "expression": lambda r, f, pen: " ".join(expression_sentences(r, f, pen)),
    "smile": _smile,
    "mouth": lambda _, f, pen: pen.pick(MOUTH_ANSWERS[f.mouth]),
    "turned": lambda _, f, pen: pen.pick(TURN_ANSWERS[f.turn], side=f.turned),
    "nod": _nod,
    "light": lambda _, f, pen: light_sentences(f, pen)[0],
    "skin": lambda r, f, pen: skin_sentences(r, f, pen)[0],
    "shape": lambda r, _, pen: pen.write(
        "[It is|The face is|I would call it] {outline}.", outline=outline_words(r, pen)
    ),
    "nose": lambda r, _, pen: pen.write(
        "[It is|The nose is] {words}.", words=predicate(r, "nose", pen)
    ),
    "lips": lambda r, _, pen: _features(r, "lips", pen),
    "eyes": lambda r, _, pen: _features(r, "eyes", pen),
    "lids": lambda _, f, pen: pen.pick(LID_ANSWERS[f.eyes]),
    "brows": _brows,
    "jaw": _jaw,
    "beard": lambda _, f, pen: pen.pick(BEARD_ANSWERS[f.beard]),
    "mood": lambda _, f, pen: mood_sentence(f, pen),
    "whole": _whole,
}
