"""The little language of varying text."""

import random

import pytest
import torch

from facegpt.data.grammar import VOICES, GrammarError, Pen, dice_of, every, finish, listed


def pen(seed: int = 0, pronoun: str = "they") -> Pen:
    return Pen(random.Random(seed), VOICES[pronoun])  # type: ignore[index]


def test_every_expansion_is_found_once() -> None:
    found = list(every("[a|b] [x|y[1|2]|]"))
    assert sorted(found) == ["a ", "a x", "a y1", "a y2", "b ", "b x", "b y1", "b y2"]


def test_written_text_is_one_of_the_expansions() -> None:
    template = "The [[very |]long|short] nose[, and more|]."
    seen = {pen(seed).write(template) for seed in range(60)}
    assert seen == set(every(template))


def test_verbs_agree_with_the_subject() -> None:
    written = {pen(seed).write("{They} smile{s}, {they} {is} glad.") for seed in range(200)}
    assert "This person smiles, they are glad." in written
    assert "They smile, they are glad." in written
    for text in written:
        first, second = text.split(", ")
        assert first.split()[-1] == ("smile" if first.startswith("They") else "smiles")
        assert second.split()[-2] == ("are" if second.startswith("they") else "is")


@pytest.mark.parametrize(
    ("pronoun", "text"),
    [("she", "She turns her head."), ("he", "He turns his head."), ("they", None)],
)
def test_a_voice_that_the_caller_gives(pronoun: str, text: str | None) -> None:
    written = pen(1, pronoun).write("{They} turn{s} {their} head.")
    assert written == (text or "This person turns their head.")


@pytest.mark.parametrize("template", ["[a|b", "a]", "a|b", "{unknown}", "a } b"])
def test_a_malformed_template_is_refused(template: str) -> None:
    with pytest.raises(GrammarError):
        pen().write(template)


def test_slots_are_taken_as_they_are() -> None:
    assert pen().write("{a} [x|x]", a="[not|a choice] {s}") == "[not|a choice] {s} x"


def test_a_text_uses_no_template_twice_while_others_are_left() -> None:
    writer = pen(3)
    assert {writer.pick(["a", "b", "c"]) for _ in range(3)} == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("a oval  face , with a open mouth", "An oval face, with an open mouth"),
        ("a one-sided smile. the nose is long.", "A one-sided smile. The nose is long."),
        ("it is,, so. a angry look", "It is, so. An angry look"),
    ],
)
def test_text_is_cleaned(raw: str, clean: str) -> None:
    assert finish(raw) == clean


def test_lists_are_joined_like_speech() -> None:
    assert [listed(items) for items in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


def test_dice_follow_the_generator() -> None:
    first = dice_of(torch.Generator().manual_seed(5)).random()
    assert first == dice_of(torch.Generator().manual_seed(5)).random()
    assert first != dice_of(torch.Generator().manual_seed(6)).random()
