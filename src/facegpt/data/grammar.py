"""A small language for text that varies: `[a|b|c]` picks one, `{slot}` is filled in.

    pen = Pen(random.Random(7), VOICES["they"])
    pen.write("{They} smile{s} [broadly|from ear to ear].")   # "This person smiles broadly."

Choices nest and may be empty. `{They}` names the person, once as a noun and later mostly as a
pronoun, and the verbs behind it agree: `{s}`, `{es}`, `{is}`, `{has}`, `{does}`. Knows nothing of
faces.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

Pronoun = Literal["they", "she", "he"]

_INNERMOST = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")


class GrammarError(ValueError):
    """A template is malformed or leaves a slot open."""


@dataclass(frozen=True)
class Voice:
    """How a text speaks of the person."""

    pronoun: str
    possessive: str
    objective: str
    nouns: tuple[str, ...]
    """Subjects beside the pronoun, singular."""
    is_plural: bool
    """Whether verbs behind the pronoun are plural."""


VOICES: dict[Pronoun, Voice] = {
    "they": Voice("they", "their", "them", ("this person", "the person"), True),
    "she": Voice("she", "her", "her", ("the woman",), False),
    "he": Voice("he", "his", "him", ("the man",), False),
}

_VERBS = {"s": ("s", ""), "es": ("es", ""), "is": ("is", "are"), "has": ("has", "have")}
_VERBS |= {"does": ("does", "do"), "looks": ("looks", "look"), "ies": ("ies", "y")}
"""Slot -> singular and plural."""

_NOUN_FIRST, _NOUN_LATER = 0.85, 0.12
"""How often the person is named by a noun, where a pronoun is unclear and where it is not."""


def dice_of(generator: torch.Generator) -> random.Random:
    """A stream of choices that depends on the generator alone; faster than tensors of one
    number."""
    return random.Random(int(torch.randint(2**62, (1,), generator=generator)))


@dataclass
class Pen:
    """Writes one text; remembers whom it spoke of and which templates it used."""

    dice: random.Random
    voice: Voice
    mentioned: bool = False
    """The person was named already."""
    emphases: int = 0
    """How many adverbs of degree the text has: too many of them ring false."""
    _plural: bool = False
    _used: set[str] = field(default_factory=set)

    def write(self, template: str, **slots: str) -> str:
        """One expansion of the template.

        Raises:
            GrammarError: The template is malformed or has a slot without a filling.
        """
        chosen = template
        while found := _INNERMOST.search(chosen):
            option = self.dice.choice(found.group(1).split("|"))
            chosen = f"{chosen[: found.start()]}{option}{chosen[found.end() :]}"
        if any(mark in chosen for mark in "[]|"):
            raise GrammarError(f"unbalanced brackets, or a | outside, in {template!r}")
        words = _SLOT.split(chosen)
        words[1::2] = [slots[n] if n in slots else self._own_word(n) for n in words[1::2]]
        if any(mark in part for part in words[::2] for mark in "{}"):
            raise GrammarError(f"a stray brace in {template!r}")
        return "".join(words)

    def pick(self, templates: Sequence[str], **slots: str) -> str:
        """One expansion of one of the templates, not one that this text has used already as long
        as there is another."""
        fresh = [t for t in templates if t not in self._used] or list(templates)
        template = self.dice.choice(fresh)
        self._used.add(template)
        return self.write(template, **slots)

    def chance(self, probability: float) -> bool:
        """True that often."""
        return self.dice.random() < probability

    def _own_word(self, name: str) -> str:
        if name in _VERBS:
            return _VERBS[name][self._plural]
        if name in ("They", "they"):
            subject = self._subject()
            return subject[0].upper() + subject[1:] if name == "They" else subject
        words = {"their": self.voice.possessive, "them": self.voice.objective}
        words |= {"Their": self.voice.possessive.capitalize(), "noun": self.voice.nouns[-1][4:]}
        if name not in words:
            raise GrammarError(f"the slot {{{name}}} has no filling")
        return words[name]

    def _subject(self) -> str:
        by_noun = self.chance(_NOUN_LATER if self.mentioned else _NOUN_FIRST)
        if not self.voice.is_plural and not self.mentioned:
            by_noun = False
        self.mentioned = True
        self._plural = self.voice.is_plural and not by_noun
        return self.dice.choice(self.voice.nouns) if by_noun else self.voice.pronoun


def every(template: str) -> Iterator[str]:
    """All expansions of a template, slots left as they are."""
    waiting, seen = [template], set[str]()
    while waiting:
        text = waiting.pop()
        found = _INNERMOST.search(text)
        if found:
            options = reversed(found.group(1).split("|"))
            waiting += [f"{text[: found.start()]}{o}{text[found.end() :]}" for o in options]
        elif text not in seen:
            seen.add(text)
            yield text


_VOWEL_SOUND = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])(?!one|uni|use|eu)")
_SPACE_BEFORE = re.compile(r"\s+([,.;:!?])")
_SENTENCE = re.compile(r"(?:^|(?<=[.!?] ))[a-z]")


def finish(text: str) -> str:
    """Clean spaces, "an" before vowels, a capital at the head of every sentence."""
    text = " ".join(text.split())
    text = _SPACE_BEFORE.sub(r"\1", text).replace(",,", ",").replace(", .", ".")
    text = _VOWEL_SOUND.sub(r"\1n ", text)
    return _SENTENCE.sub(lambda match: match.group().upper(), text)


def listed(items: Sequence[str], last: str = "and") -> str:
    """a, b and c."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"
