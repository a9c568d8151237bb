"""Which sentences may stand in a benchmark, and what is read from a model's answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sfg_folder import PLACES, bad_sentences, good_sentences

from facegpt.evaluation.asking import UnreadableAnswerError
from facegpt.evaluation.speculative.prompts import (
    EXAMPLES,
    propose_prompt,
    rank_prompt,
    read_choice,
    read_sentences,
)
from facegpt.evaluation.speculative.rules import (
    Novelty,
    SelectionRules,
    judged,
    meaning_words,
    objections,
    overlap,
)

RULES = SelectionRules()


@pytest.mark.parametrize("sentence", EXAMPLES)
def test_the_examples_of_the_paper_pass(sentence: str) -> None:
    assert objections(sentence, RULES) == ()


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("This person has wide eyes on the first day of school.", "names the face: 'eyes'"),
        ("This person raises an eyebrow at the price of the car.", "names the face: 'eyebrow'"),
        ("This person hides their face behind a large menu.", "names the face: 'their face'"),
        ("This person lets a facial treatment pass over them.", "names the face: 'facial'"),
        ("This person is smiling at a very old friend.", "names what the face does: 'smiling'"),
        ("This person Frowns at the bill of the hotel.", "names what the face does: 'frowns'"),
        ("This person has a look of somebody who lost.", "names what the face does: 'look of'"),
        ("This person is close to tears at the wedding.", "names what the face does: 'tears'"),
        ("This person is so happy about the new job.", "names the emotion: 'happy'"),
        ("This person is surprised by a call at night.", "names the emotion: 'surprised'"),
        ("This person opens the letter in surprise at home.", "names the emotion: 'in surprise'"),
        ("A person has just missed the last train home.", "form: does not begin"),
        ("This person has just missed the last train", "form: is no whole sentence"),
        ("This person has just\x07 missed the last train.", "form: is no whole sentence"),
        ("This person waits.", "length: 3 words"),
        ("This person waits " + "for ever and " * 20 + "ever.", "length: 64 words"),
        ("This person waits. It rains. Nobody comes to help.", "length: 3 sentences"),
    ],
)
def test_what_gives_the_face_away_is_refused(sentence: str, kind: str) -> None:
    assert any(reason.startswith(kind) for reason in objections(sentence, RULES))


@pytest.mark.parametrize(
    "sentence",
    [
        "This person is facing a difficult decision about a job.",
        "This person has to face the jury of a talent show.",
        "This person is planning a surprise party for a colleague.",
        "This person is holding a beam while the roof is repaired.",
        "This person hears about the early arrival of twins.",
        "This person is listening to a skinny dog bark at night.",
    ],
)
def test_words_that_only_look_like_it_pass(sentence: str) -> None:
    assert objections(sentence, RULES) == ()


def test_nearly_the_same_words_are_a_repetition() -> None:
    first = "This person has just missed the last train home."
    again = "This person has just missed their last train home!"
    other = "This person is tasting soup that needs more salt."
    verdicts = judged([first, again, other], RULES, Novelty(RULES))
    assert [bool(v) for v in verdicts] == [False, True, False]
    assert verdicts[1] == [f"repetition: of {first!r}"]


def test_the_examples_of_the_prompt_are_repetitions() -> None:
    assert all(judged(EXAMPLES, RULES, Novelty(RULES)))


def test_a_refused_sentence_makes_no_later_one_a_repetition() -> None:
    bad = "This person is smiling since the last train was late."
    good = "This person is waiting since the last train was late."
    assert [bool(v) for v in judged([bad, good], RULES, Novelty(RULES))] == [True, False]


def test_overlap_by_hand() -> None:
    first = meaning_words("This person lost the red ball.")
    assert first == {"lost", "red", "ball"}
    assert overlap(first, meaning_words("This person found a red ball.")) == pytest.approx(2 / 4)
    assert overlap(first, frozenset()) == 0.0
    assert overlap(frozenset(), frozenset()) == 0.0


WORDS = st.frozensets(st.sampled_from("abcdefgh"), max_size=6)


@given(WORDS, WORDS)
def test_overlap_is_symmetric_and_one_only_for_equals(
    first: frozenset[str], second: frozenset[str]
) -> None:
    assert overlap(first, second) == overlap(second, first)
    assert 0 <= overlap(first, second) <= 1
    assert (overlap(first, second) == 1) is (first == second != frozenset())


def test_the_sentences_of_the_tests_are_what_they_say() -> None:
    novelty = Novelty(RULES)
    for place in PLACES.values():
        assert not any(judged(good_sentences(place), RULES, novelty))
        assert all(objections(sentence, RULES) for sentence in bad_sentences(place))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fewest_words": 0}, "--fewest-words"),
        ({"fewest_words": 9, "most_words": 8}, "in this order"),
        ({"most_sentences": 0}, "--most-sentences"),
        ({"similarity": 0.0}, "--similarity"),
    ],
)
def test_impossible_rules(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SelectionRules(**change)


ONE, TWO = "This person waits for rain.", "This person has lost a key, again."


@pytest.mark.parametrize(
    "text",
    [
        f"1. {ONE}\n2. {TWO}",
        f"1) {ONE}\n\n2) {TWO}",
        f"- {ONE}\n* {TWO}",
        f'1. "{ONE}"\n2. “{TWO}”',
        f"1. **{ONE}**\n2. _{TWO}_",
        f'[\n  "{ONE}",\n  "{TWO}"\n]',
        f"1. He is calm.\n2. Perhaps a meeting.\n\nFacial descriptions:\n\n(1) {ONE}\n(2) {TWO}",
        f"{ONE}\r\n{TWO}\r\n{ONE}",
    ],
)
def test_sentences_are_found_in_any_list(text: str) -> None:
    assert read_sentences(text) == (ONE, TWO)


@pytest.mark.parametrize("text", ["", "I'm sorry.", "1. He waits.", "This personality test."])
def test_an_answer_without_sentences_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableAnswerError, match="no line begins with"):
        read_sentences(text)


@given(st.text())
def test_any_text_gives_sentences_or_an_error(text: str) -> None:
    try:
        found = read_sentences(text)
    except UnreadableAnswerError:
        return
    assert found
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("text", ["2", "2.", " **2** ", "(2)", "Number 2", "#2"])
def test_a_choice_is_read(text: str) -> None:
    assert read_choice(text, 3) == 1


@pytest.mark.parametrize("text", ["", "0", "4", "two", "1 or 2", "-", "2 because it rains"])
def test_no_choice_is_invented(text: str) -> None:
    with pytest.raises(UnreadableAnswerError, match="a number from 1 to 3"):
        read_choice(text, 3)


def test_the_prompt_is_that_of_the_paper_and_takes_any_description() -> None:
    prompt = propose_prompt("She has {braces} and {count} of them.", 7)
    assert prompt.startswith("As an AI visual assistant specializing in human face analysis")
    assert "craft 7 distinct facial descriptions" in prompt
    assert "5. This person appears to be caught off guard in a meeting" in prompt
    assert prompt.endswith("She has {braces} and {count} of them.")
    assert "1. A.\n2. B." in rank_prompt("{x}", ("A.", "B."))
