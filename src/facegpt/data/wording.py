"""The `measured` describer: what the measurements of a face say, as a person would put it.

No human and no other model takes part, so descriptions are free, unlimited and correct by
construction. A text mentions what is notable, some ordinary things, and leaves the rest out; the
words are in `phrases_*.py`, the decisions in `facts.py`. Gender, age and hair are not in theta and
are never mentioned: the person is "they" unless the caller knows better.
"""

import random
from collections.abc import Callable, Mapping, Sequence

from facegpt.data.describe import DescribeFailure, DescribeItem, Description
from facegpt.data.facts import Facts, Reading, facts_of, labels_of, read_faces
from facegpt.data.grammar import VOICES, Pen, Pronoun, Voice, finish
from facegpt.data.phrases_scene import SHORTS
from facegpt.data.questions import answer_questions
from facegpt.data.wording_expression import expression_sentences, mood_word, mouth_aside
from facegpt.data.wording_scene import (
    light_aside,
    light_sentences,
    pose_sentences,
    skin_sentences,
    tone_word,
    toned,
    turn_aside,
)
from facegpt.data.wording_shape import describe_shape, noun_phrases, shape_sentences
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters

_GREY = 0.015
"""A crop whose channels differ less than this on average has no colour."""
_PRONOUNS: Mapping[str, Pronoun] = {
    **dict.fromkeys(("female", "woman", "f", "she"), "she"),
    **dict.fromkeys(("male", "man", "m", "he"), "he"),
}
_SHORTEST, _LONGEST = 3, 17
"""Words of a short request."""


class MeasuredDescriber:
    """Describes faces whose theta is known; every face always in the same words."""

    def __init__(
        self,
        model: MorphableModel,
        *,
        seed: int = 0,
        pronoun: Pronoun = "they",
        pronoun_label: str = "",
    ) -> None:
        """The same seed gives the same words, whatever else is in the batch.

        Args:
            pronoun: For everybody whose photo says nothing else.
            pronoun_label: Label of the photo that says woman or man (`index.gender`): theta holds
                no gender, but what is known may be said.
        """
        self.model = model
        self.seed = seed
        self.pronoun: Pronoun = pronoun
        self.pronoun_label = pronoun_label
        self.name = f"measured={pronoun_label}" if pronoun_label else "measured"
        """A data set whose words were made otherwise is refused by it."""

    def describe(self, items: Sequence[DescribeItem]) -> list[Description | DescribeFailure]:
        """Words for every face with theta."""
        known = [item for item in items if item.theta is not None and _is_sound(item.theta)]
        described: dict[int, Description] = {}
        if known:
            theta = FaceParameters.cat([item.theta for item in known if item.theta is not None])
            grey = [_is_grey(item) for item in known]
            for item, reading in zip(
                known, read_faces(theta, self.model, is_grey=grey), strict=True
            ):
                dice = random.Random(f"{self.seed}:{item.face_id}")
                pronoun = self._pronoun_of(item)
                described[id(item)] = describe_reading(reading, dice, voice=VOICES[pronoun])
        return [described.get(id(item)) or _failure(item) for item in items]

    def _pronoun_of(self, item: DescribeItem) -> Pronoun:
        said = item.labels.get(self.pronoun_label, "").strip().lower()
        return _PRONOUNS.get(said, self.pronoun)


def describe_reading(
    reading: Reading,
    dice: random.Random,
    *,
    voice: Voice = VOICES["they"],
    emotion: str | None = None,
) -> Description:
    """A full description, a brief one, a short request, questions with answers, and labels.

    Args:
        voice: How the texts speak of the person.
        emotion: What the face is known to express. Where the measurements speak against it, they
            win.
    """
    facts = facts_of(reading)
    if emotion is not None and is_coherent(emotion, facts):
        facts = facts_of(reading, emotion)
    return Description(
        descriptions=(
            full_description(reading, facts, Pen(dice, voice)),
            brief_description(reading, facts, Pen(dice, voice)),
        ),
        short=short_description(reading, facts, Pen(dice, voice)),
        conversations=answer_questions(reading, facts, Pen(dice, voice)),
        labels=labels_of(facts),
    )


_SMILES = ("slight", "clear", "broad")
_EVIDENCE: Mapping[str, Callable[[Facts], bool]] = {
    "neutral": lambda f: f.emotion == "neutral",
    "happiness": lambda f: f.smile in _SMILES,
    "pride": lambda f: f.smile in _SMILES,
    "embarrassment": lambda f: f.smile in _SMILES and (f.gaze == "down" or f.eyes != "normal"),
    "contempt": lambda f: bool(f.smile_side) or f.nose_wrinkled,
    "playfulness": lambda f: f.eyes == "wink" or f.mouth_shape in ("tongue", "pursed", "puffed"),
    "sadness": lambda f: f.mouth_shape == "frown" or f.brows == "inner raised",
    "fear": lambda f: f.eyes == "wide" and f.brows in ("inner raised", "raised"),
    "surprise": lambda f: f.brows in ("inner raised", "raised"),
    "anger": lambda f: f.brows in ("knitted", "drawn down"),
    "concentration": lambda f: f.brows in ("knitted", "drawn down"),
    "pain": lambda f: f.brows in ("knitted", "drawn down") and f.eyes in ("half", "closed"),
    "disgust": lambda f: f.nose_wrinkled,
    "tiredness": lambda f: f.eyes in ("half", "closed"),
    "speaking": lambda f: f.mouth in ("open", "wide"),
}
"""What must be seen on a face before an emotion that is known is also named."""


def is_coherent(emotion: str, facts: Facts) -> bool:
    """Whether a face can be called so without contradicting what is measured on it."""
    may_smile = ("happiness", "pride", "embarrassment", "contempt", "playfulness")
    if facts.smile in _SMILES and emotion not in may_smile:
        return False
    return _EVIDENCE[emotion](facts)


def full_description(reading: Reading, facts: Facts, pen: Pen) -> str:
    """Four to seven sentences over all five aspects, in varying order."""
    aspects = {
        "shape": lambda: shape_sentences(reading, pen),
        "expression": lambda: expression_sentences(reading, facts, pen),
        "skin": lambda: skin_sentences(reading, facts, pen),
        "light": lambda: light_sentences(facts, pen),
        "pose": lambda: pose_sentences(facts, pen),
    }
    first = pen.dice.choices(list(aspects), (6, 3, 0.5, 0.3, 1.2))[0]
    others = [name for name in aspects if name != first]
    pen.dice.shuffle(others)
    return finish(" ".join(s for name in [first, *others] for s in aspects[name]()))


def brief_description(reading: Reading, facts: Facts, pen: Pen) -> str:
    """One to three sentences: the shape, what the face does, and one thing more."""
    parts = [describe_shape(reading, pen), *expression_sentences(reading, facts, pen)[:1]]
    more = (
        lambda: skin_sentences(reading, facts, pen)[0],
        lambda: pose_sentences(facts, pen)[0],
        lambda: light_sentences(facts, pen)[0],
    )
    if pen.chance(0.4):
        parts.reverse()
    parts += [tell() for tell in pen.dice.sample(more, pen.dice.choice((0, 1, 1, 2)))]
    return finish(" ".join(parts))


def short_description(reading: Reading, facts: Facts, pen: Pen) -> str:
    """A noun phrase of 3 to 17 words, as in a request: no capital, no full stop."""
    tries: list[str] = []
    for _ in range(12):
        face, outline, parts = noun_phrases(reading, pen)
        text = pen.write(
            pen.dice.choice(SHORTS),
            face=face,
            outline=outline,
            a=parts[0],
            b=parts[1],
            c=parts[2],
            tone=tone_word(reading, facts, pen),
            toned=toned(reading, facts, pen),
            mood=mood_word(facts, pen),
            mouth=mouth_aside(facts, pen),
            turn=turn_aside(facts, pen),
            light=light_aside(facts, pen),
        )
        tries.append(finish(text))
        if _SHORTEST <= len(text.split()) <= _LONGEST:
            break
    text = min(tries, key=lambda t: max(len(t.split()) - _LONGEST, _SHORTEST - len(t.split())))
    return text[0].lower() + text[1:]


def _is_sound(theta: FaceParameters) -> bool:
    return len(theta) == 1 and bool(theta.to_vector().isfinite().all())


def _is_grey(item: DescribeItem) -> bool:
    spread = item.crop.amax(dim=0) - item.crop.amin(dim=0)
    return bool(spread.mean() < _GREY)


def _failure(item: DescribeItem) -> DescribeFailure:
    if item.theta is None:
        return DescribeFailure(item.face_id, "it has no theta to be measured: fit the photo first")
    return DescribeFailure(item.face_id, "its theta is not one finite vector")
