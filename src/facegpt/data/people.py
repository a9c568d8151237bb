"""Who a composed person is: woman or man, how old, and what such a person is called.

Theta holds neither gender nor age, and no photo is judged for them; but a face that is made up may
be made to look like somebody, and words may then say so. Knows names and numbers, no shapes.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from facegpt.data.facts import Reading
from facegpt.data.grammar import VOICES, Pen, Pronoun, Voice, finish

MEN: dict[Pronoun, float] = {"she": -1.0, "he": 1.0, "they": 0.0}
"""How far a face goes from the middle towards men."""

_PRONOUN_SHARES: dict[Pronoun, float] = {"she": 0.44, "he": 0.44, "they": 0.12}
_USUAL_AGE, _AGE_SPREAD, _AGES = 30.0, 8.0, (18.0, 78.0)
_ANY_AGE = 0.5
"""Share of the people who are as likely old as young."""

_AGE_WORDS: tuple[tuple[float, str], ...] = (
    (23.0, "[young|young|very young|youthful]"),
    (29.0, "[young|youngish|young]"),
    (43.0, ""),
    (54.0, "[middle-aged|middle-aged|mature]"),
    (63.0, "[older|ageing|mature|late-middle-aged]"),
    (70.0, "[older|elderly|old|aged]"),
    (200.0, "[elderly|old|elderly|very old|aged]"),
)
"""Up to this age, an adjective."""
_AGE_SAID, _BUILD_SAID = 0.8, 0.4
_NOTABLE_BUILD = 23.0
"""Distance from the middle, in percentiles, at which a face looks heavy or lean."""


@dataclass(frozen=True)
class Person:
    """Somebody who was never photographed."""

    pronoun: Pronoun = "they"
    age: float = _USUAL_AGE
    """Apparent, in years."""


def draw_people(count: int, dice: random.Random) -> list[Person]:
    """Women and men of all adult ages."""
    pronouns = dice.choices(list(_PRONOUN_SHARES), list(_PRONOUN_SHARES.values()), k=count)
    return [Person(pronoun, _age(dice)) for pronoun in pronouns]


def _age(dice: random.Random) -> float:
    if dice.random() < _ANY_AGE:
        return dice.uniform(*_AGES)
    return min(max(dice.gauss(_USUAL_AGE, _AGE_SPREAD), _AGES[0]), _AGES[1])


def voice_of(person: Person, reading: Reading, dice: random.Random) -> Voice:
    """How a text speaks of a person: "the heavy elderly man". Not every text says everything."""
    voice = VOICES[person.pronoun]
    words = []
    if dice.random() < _BUILD_SAID:
        words.append(_build(reading))
    if dice.random() < _AGE_SAID:
        words.append(next(word for edge, word in _AGE_WORDS if person.age <= edge))
    words = [Pen(dice, voice).write(word) for word in words if word]
    return Voice(
        voice.pronoun,
        voice.possessive,
        voice.objective,
        tuple(_with_adjectives(noun, words) for noun in voice.nouns),
        voice.is_plural,
    )


def _build(reading: Reading) -> str:
    fullness = reading.rank["cheek_fullness"] + reading.rank["face_width"] - 100
    if fullness > 2 * _NOTABLE_BUILD:
        return "[heavy|stout|chubby|heavyset|plump]"
    return "[slim|lean|thin|gaunt|slender]" if fullness < -2 * _NOTABLE_BUILD else ""


def _with_adjectives(noun: str, words: Sequence[str]) -> str:
    article, name = noun.split(" ", 1)
    return finish(" ".join((article, *words, name))).lower()
