"""The `measured` describer: true to the measurements, varied, and in good order."""

import random
import re
from dataclasses import replace

import pytest
import torch

from facegpt.data.agreement import agrees
from facegpt.data.compose import ComposedFaces, compose_faces, draw_theta
from facegpt.data.describe import DescribeFailure, DescribeItem, Describer, Description
from facegpt.data.facts import facts_of, read_faces
from facegpt.data.grammar import VOICES, Pen
from facegpt.data.people import Person
from facegpt.data.phrases_questions import QUESTIONS
from facegpt.data.questions import ask, unmeasured
from facegpt.data.wording import MeasuredDescriber, describe_reading, is_coherent
from facegpt.morphable.default import load_default
from facegpt.morphable.parameters import FaceParameters

COUNT = 80
CROP = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def people() -> ComposedFaces:
    who = [Person("they", 35.0)] * COUNT  # of whom nothing is said that is not measured
    generator = torch.Generator().manual_seed(3)
    return compose_faces(COUNT, load_default(), generator=generator, people=who)


def texts_of(description: Description) -> list[str]:
    answers = [text for pair in description.conversations for text in pair]
    return [*description.descriptions, description.short, *answers]


def test_nothing_that_is_said_contradicts_the_measurements(people: ComposedFaces) -> None:
    judged = 0
    for said, semantics in zip(people.descriptions, people.semantics, strict=True):
        plain = [(None, text) for text in (*said.descriptions, said.short)]
        for question, text in [*plain, *said.conversations]:
            verdict = agrees(text, semantics, question=question)
            assert all(verdict.values()), (question, text, verdict)
            judged += len(verdict)
    assert judged > 4 * COUNT


def test_texts_are_well_formed(people: ComposedFaces) -> None:
    broken = re.compile(
        r"[\[\]{}|]|\s\s|\s[,.;]|,,|\.\.|\ba [aeiou](?!ne)|\b(\w+) \1\b", re.IGNORECASE
    )
    for said in people.descriptions:
        for text in texts_of(said):
            assert not broken.search(text), text
        for text in said.descriptions:
            assert text[0].isupper()
            assert text.endswith(".")
            assert not re.search(r"[.!?] [a-z]", text), text


def test_lengths(people: ComposedFaces) -> None:
    for said in people.descriptions:
        full, brief = (len(text.split()) for text in said.descriptions)
        assert 40 <= full <= 150
        assert 12 <= brief <= 90
        assert said.short[0].islower()
        assert not said.short.endswith(".")
    lengths = sorted(len(said.short.split()) for said in people.descriptions)
    assert lengths[0] >= 3
    assert lengths[int(0.98 * COUNT)] <= 17


def test_women_have_no_beard_whatever_their_skin_shows() -> None:
    women = [Person("she", 35.0)] * COUNT
    generator = torch.Generator().manual_seed(3)
    made = compose_faces(COUNT, load_default(), generator=generator, people=women)
    assert max(values["beard_shadow"] for values in made.semantics) > 8  # a man's would be named
    for said in made.descriptions:
        assert not re.search("beard|stubble", " ".join((*said.descriptions, said.short)))


def test_gender_age_and_hair_are_never_guessed(people: ComposedFaces) -> None:
    guess = re.compile(
        r"\b(she|he|her|his|him|man|woman|boy|girl|young|old|beautiful|aged)\b", re.IGNORECASE
    )
    for said in people.descriptions:
        for text in texts_of(said):
            assert not guess.search(text), text


def test_texts_vary(people: ComposedFaces) -> None:
    full = [said.descriptions[0] for said in people.descriptions]
    assert len(set(full)) == COUNT
    sentences = [s for text in full for s in re.split(r"(?<=\.) ", text)]
    assert len(set(sentences)) > 0.75 * len(sentences)
    openings = {" ".join(text.split()[:3]) for text in full}
    assert len(openings) > 30


def test_what_is_far_out_is_said() -> None:
    model = load_default()
    theta, _, _ = draw_theta(200, model, generator=torch.Generator().manual_seed(0))
    reading = max(read_faces(theta, model), key=lambda r: r.rank["nose_length"])
    assert reading.rank["nose_length"] > 96
    said = [describe_reading(reading, random.Random(i)).descriptions[0] for i in range(20)]
    assert sum("long" in text for text in said) > 15
    assert not any(re.search(r"short[^,.;]* nose", text) for text in said)


def test_every_topic_can_be_asked_about(people: ComposedFaces) -> None:
    readings = read_faces(people.theta[:40], load_default())
    for i, reading in enumerate(readings):
        facts = facts_of(reading)
        for topic in QUESTIONS:
            if topic == "beard" and not facts.beard:
                continue
            question, answer = ask(topic, reading, facts, Pen(random.Random(i), VOICES["they"]))
            assert question[-1] in ".?"
            assert answer.endswith(".")
            assert answer[0].isupper()


def test_a_known_emotion_gives_way_to_the_measurements(people: ComposedFaces) -> None:
    readings = read_faces(people.theta, load_default())
    smiling = next(r for r in readings if r.value["smile"] > 5)
    assert not is_coherent("anger", facts_of(smiling))
    said = describe_reading(smiling, random.Random(0), emotion="anger")
    assert said.labels["expression"] == "happiness"


class TestMeasuredDescriber:
    def item(
        self, face_id: str, theta: FaceParameters | None, crop: torch.Tensor = CROP
    ) -> DescribeItem:
        return DescribeItem(face_id, f"{face_id}.jpg", crop, theta)

    def test_it_is_a_describer(self) -> None:
        assert isinstance(MeasuredDescriber(load_default()), Describer)

    def test_words_do_not_depend_on_the_batch(self, people: ComposedFaces) -> None:
        items = [self.item(str(i), people.theta[i]) for i in range(4)]
        together = MeasuredDescriber(load_default()).describe(items)
        alone = [MeasuredDescriber(load_default()).describe([item])[0] for item in items]
        assert together == alone
        assert together != MeasuredDescriber(load_default(), seed=1).describe(items)

    def test_faces_without_a_sound_theta_are_reported(self, people: ComposedFaces) -> None:
        broken = people.theta[0].replace(shape=torch.full((1, 80), torch.nan))
        items = [self.item("a", None), self.item("b", people.theta[1]), self.item("c", broken)]
        first, second, third = MeasuredDescriber(load_default()).describe(items)
        assert isinstance(first, DescribeFailure)
        assert "fit the photo" in first.reason
        assert isinstance(second, Description)
        assert isinstance(third, DescribeFailure)

    def test_a_grey_crop_has_no_colours(self, people: ComposedFaces) -> None:
        hue = re.compile(
            r"golden|pink|rosy|tanned|\btan\b|olive|brown|\bred lips|flush|blush|ruddy"
        )
        grey = CROP.mean(dim=0, keepdim=True).expand(3, -1, -1)
        describer = MeasuredDescriber(load_default())
        said = describer.describe([self.item(str(i), people.theta[i], grey) for i in range(40)])
        for one in said:
            assert isinstance(one, Description)
            assert not hue.search(" ".join(texts_of(one)))

    def test_the_caller_may_know_the_pronoun(self, people: ComposedFaces) -> None:
        describer = MeasuredDescriber(load_default(), pronoun="she")
        said = describer.describe([self.item(str(i), people.theta[i]) for i in range(20)])
        texts = [d.descriptions[0] for d in said if isinstance(d, Description)]
        assert any("She" in text for text in texts)
        assert any("Her " in text or " her " in text for text in texts)
        assert not re.search(r"\b(their|this person|he|his)\b", " ".join(texts), re.IGNORECASE)

    def test_a_label_may_say_who_it_is(self, people: ComposedFaces) -> None:
        describer = MeasuredDescriber(load_default(), pronoun_label="index.gender")
        items = [self.item(str(i), people.theta[i]) for i in range(12)]
        for label, noun, wrong in (("Female", "woman", "he|his"), ("male", "man", "she|her")):
            known = [replace(item, labels={"index.gender": label}) for item in items]
            said = [d for d in describer.describe(known) if isinstance(d, Description)]
            whole = " ".join(text for d in said for text in (*d.descriptions, d.short))
            assert re.search(rf"\b{noun}\b", whole)
            assert not re.search(rf"\b({wrong}|their|person)\b", whole, re.IGNORECASE)
        unknown = [replace(item, labels={"index.gender": "?"}) for item in items]
        assert describer.describe(unknown) == describer.describe(items)


def test_what_measurements_do_not_tell_is_answered_so() -> None:
    """Every subject has questions that end, and answers without an open slot or a claim."""
    generator = torch.Generator().manual_seed(3)
    asked = [unmeasured(generator) for _ in range(300)]
    for question, answer in asked:
        assert question[-1] in "?."
        assert question[0].isupper()
        assert answer[0].isupper()
        assert answer.endswith(".")
        assert not re.search(r"[\[\]{}|]", question + answer)
        assert "smil" not in answer
    assert len({question for question, _ in asked}) > 60
    assert len({answer for _, answer in asked}) > 40


def test_people_are_called_by_their_skin(people: ComposedFaces) -> None:
    """ "dark-skinned" only of the dark, "pale" only of the pale."""
    tones = {"dark-skinned": set(), "pale person": set()}
    for said, value in zip(people.descriptions, people.semantics, strict=True):
        for word, found in tones.items():
            if word in said.short:
                found.add(value["skin_typology_angle"])
    assert tones["dark-skinned"]
    assert max(tones["dark-skinned"]) < 9
    assert all(angle > 37 for angle in tones["pale person"])
