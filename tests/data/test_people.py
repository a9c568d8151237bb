"""Who composed people are and what they are called."""

import random

import pytest

from facegpt.data.facts import Reading
from facegpt.data.people import Person, draw_people, voice_of


def reading(fullness: float = 50.0, width: float = 50.0) -> Reading:
    return Reading({}, {"cheek_fullness": fullness, "face_width": width})


def nouns(person: Person, of: Reading) -> str:
    dice = random.Random(1)
    return " ".join(noun for _ in range(200) for noun in voice_of(person, of, dice).nouns)


def test_there_are_women_and_men_young_and_old() -> None:
    people = draw_people(1000, random.Random(0))
    assert {person.pronoun for person in people} == {"she", "he", "they"}
    ages = sorted(person.age for person in people)
    assert 18 <= ages[0] < 20
    assert 70 < ages[-1] <= 78
    assert ages[900] > 60


@pytest.mark.parametrize(
    ("person", "called", "never"),
    [
        (Person("he", 75.0), "elderly man", "woman"),
        (Person("she", 20.0), "young woman", "elderly"),
        (Person("they", 48.0), "middle-aged person", "young"),
    ],
)
def test_people_are_called_by_age(person: Person, called: str, never: str) -> None:
    said = nouns(person, reading())
    assert called in said
    assert never not in said


def test_the_build_is_that_of_the_face() -> None:
    assert "heavy" in nouns(Person("he"), reading(90.0, 80.0))
    assert "slim" in nouns(Person("he"), reading(10.0, 20.0))
    assert not {"heavy", "slim"} & set(nouns(Person("he"), reading(55.0, 60.0)).split())


def test_nobody_is_always_called_old() -> None:
    voices = [voice_of(Person("she", 70.0), reading(), random.Random(i)) for i in range(60)]
    assert any(voice.nouns == ("the woman",) for voice in voices)
    assert all(voice.pronoun == "she" and not voice.is_plural for voice in voices)
