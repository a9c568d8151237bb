"""What is measured on a face as a few plain sentences, for a language model to read.

A small language model that shall speak about a photo finds it hard to take a fact out of a picture
token; a sentence is easier, and easiest is one that answers the question already. So the face is
made first, its measurements are put into a sentence for every topic that is asked about, and these
lines stand beside the picture while the model speaks. What is left to it is to find the line that
a question means. Beyond the paper, whose model has seven billion weights and needs no note. The
same thresholds decide here as in descriptions (`facts.py`).
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from facegpt.data.facts import Reading, facts_of, read_faces
from facegpt.data.grammar import VOICES, Pen
from facegpt.data.phrases_questions import QUESTIONS
from facegpt.data.questions import ask
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters

_WHOLE = "whole"
_OF_THE_WHOLE = ("shape", "smile", "turned", "skin")
"""Lines that together answer what a face looks like. A smile says what the mouth does, too."""
_POSE = ("turned", "nod")
"""Questions about the head that are easily taken for each other: one sentence answers both."""
_CHINS = {"": "level", "up": "raised", "down": "lowered"}
_STRENGTHS = {"slight": "slightly ", "strong": "far "}
_OPENING, _CLOSING = "[face", "]"


@dataclass(frozen=True)
class FaceNote:
    """Sentences about one face by topic (the keys of `QUESTIONS`)."""

    sentences: Mapping[str, str]

    def __str__(self) -> str:
        """The lines as the model reads them: "[face", one line per topic, "]"."""
        lines = [f"{topic}: {sentence}" for topic, sentence in self.sentences.items()]
        return "\n".join([_OPENING, *lines, _CLOSING])

    def about(self, topics: Iterable[str]) -> "FaceNote":
        """The lines on some topics alone, in their usual order."""
        wanted = set(topics)
        return FaceNote({t: s for t, s in self.sentences.items() if t in wanted})

    def answer(self, topic: str) -> str:
        """What the lines say on a topic: the line itself, or those that make up the whole.

        Raises:
            KeyError: There is no such line.
        """
        parts = _OF_THE_WHOLE if topic == _WHOLE else (topic,)
        return " ".join(self.sentences[part] for part in parts)

    @property
    def topics(self) -> tuple[str, ...]:
        """What can be asked: every line, and the whole."""
        return (*self.sentences, _WHOLE)


def lines_for(topics: Iterable[str]) -> set[str]:
    """The lines that answer questions on these topics."""
    return {line for topic in topics for line in (_OF_THE_WHOLE if topic == _WHOLE else (topic,))}


class _FirstWording(random.Random):
    """Takes the first of everything, and no chance: what a note says of one topic does not change
    when wordings are added behind the first, of this topic or of another. A model that was trained
    before them reads what it read."""

    def getrandbits(self, k: int, /) -> int:
        """Zero, the place of the first; choosing and shuffling come to an end with it."""
        return 0

    def random(self) -> float:
        """As good as one: nothing that is left to chance comes."""
        return 1.0 - 2.0**-53


def face_note(reading: Reading, dice: random.Random | None = None) -> FaceNote:
    """The sentences of one face.

    Args:
        dice: Chooses among wordings; without it the first of each is taken.
    """
    facts = facts_of(reading)
    pen = Pen(dice or _FirstWording(), VOICES["they"])
    topics = [t for t in QUESTIONS if t != _WHOLE and (t != "beard" or facts.beard)]
    sentences = {topic: ask(topic, reading, facts, pen)[1] for topic in topics}
    chin = f"the chin {_STRENGTHS.get(facts.nod_strength, '')}{_CHINS[facts.nod]}"
    pose = f"{sentences['turned'].removesuffix('.')}, {chin}."
    return FaceNote(sentences | dict.fromkeys(_POSE, pose))


def face_notes(
    theta: FaceParameters,
    model: MorphableModel,
    *,
    is_grey: Sequence[bool] | None = None,
    dice: random.Random | None = None,
) -> list[FaceNote]:
    """The sentences of a batch of faces.

    Args:
        is_grey: Faces seen in photos without colour, whose hues mean nothing.
        dice: As for `face_note`.

    Raises:
        ValueError: As `semantics.measure`.
    """
    return [face_note(reading, dice) for reading in read_faces(theta, model, is_grey=is_grey)]
