"""Sentences about the shape of a face, from the percentiles of its measurements.

How far out a percentile lies decides what is worth a word and with which degree. Knows nothing of
expression, colour or light.
"""

from dataclasses import dataclass

from facegpt.data.facts import Reading
from facegpt.data.grammar import Pen, listed
from facegpt.data.phrases_shape import (
    BRIEF,
    DEGREES,
    FEATURES,
    OPENERS,
    OUTLINES,
    PARTS,
    TRAITS,
)

STRUCTURE = ("forehead", "cheeks", "cheekbones", "jaw", "chin")
FEATURE_PARTS = ("nose", "lips", "mouth", "eyes", "brows")

_NOTABLE, _QUITE, _VERY = 27.0, 36.0, 45.0
"""Distance of a percentile from the middle at which a trait is mentioned, and with which degree."""

_EMPHASISED = {"very": 1.0, "quite": 0.5, "some": 0.8}
"""How often the first trait of a text gets its adverb; the second half as often, and so on."""

_TRAITS_OF = {part: [t for t in TRAITS if t.part == part] for part in PARTS}

_PREDICATES = {
    "nose": "[straight|of medium size|of average length and width]",
    "lips": "[moderately full|neither thin nor full|of medium fullness]",
    "eyes": "[of medium size|evenly spaced|of ordinary size and distance]",
}


@dataclass(frozen=True)
class _Word:
    """One adjective or tail of a part, and how far out its percentile lies."""

    text: str
    distance: float
    is_tail: bool


def emphasised(words: str, distance: float, pen: Pen) -> str:
    """Words with an adverb of degree, as long as the text has few of them."""
    degree = degree_of(distance)
    share = _EMPHASISED.get(degree, 0.0) / (1 + pen.emphases)
    if not pen.chance(share):
        return words
    pen.emphases += 1
    return f"{pen.write(DEGREES[degree])} {words}"


def degree_of(distance: float) -> str:
    """very, quite, some or "" for a distance of a percentile from the middle."""
    steps = ((_VERY, "very"), (_QUITE, "quite"), (_NOTABLE, "some"))
    return next((name for edge, name in steps if distance > edge), "")


def words_of(reading: Reading, part: str) -> list[_Word]:
    """What is notable about one part, the strongest first."""
    words = []
    for trait in _TRAITS_OF[part]:
        rank = reading.rank.get(trait.measurement, 50.0)
        if abs(rank - 50) > _NOTABLE:
            text = trait.high if rank > 50 else trait.low
            words.append(_Word(f"[{text}]", abs(rank - 50), trait.is_tail))
    return sorted(words, key=lambda w: -w.distance)


def noun_phrase(reading: Reading, part: str, pen: Pen) -> str:
    """ "a very long, narrow nose with an upturned tip"; something ordinary where nothing is
    notable."""
    noun, words = PARTS[part], words_of(reading, part)
    adjectives = [w for w in words if not w.is_tail][: pen.dice.choice((1, 2, 2))]
    tails = [w for w in words if w.is_tail][:1]
    if not adjectives and not tails:
        return pen.pick(noun.ordinary)
    front = ", ".join(_adjectives(adjectives, pen))
    article = "" if noun.is_plural else "a "
    tail = pen.write(tails[0].text) if tails and pen.chance(0.8) else ""
    if not front and not tail:
        return pen.pick(noun.ordinary)
    return " ".join(f"{article}{front} {noun.noun} {tail}".split())


def predicate(reading: Reading, part: str, pen: Pen) -> str:
    """ "very long and narrow"."""
    words = words_of(reading, part)
    adjectives = [w for w in words if not w.is_tail][:2]
    if not adjectives:
        return pen.write(_PREDICATES[part])
    return listed(_adjectives(adjectives, pen))


def _adjectives(words: list[_Word], pen: Pen) -> list[str]:
    texts = [pen.write(w.text) for w in words]
    return [emphasised(texts[0], words[0].distance, pen), *texts[1:]] if words else []


def outline_of(reading: Reading) -> tuple[str, float]:
    """The outline of the face (a key of `OUTLINES`) and how far out it is, in percentiles."""
    rank = reading.rank
    ratio, square = rank["length_to_width"], rank["jaw_squareness"]
    distance = abs(ratio - 50)
    if ratio > 77:
        return ("narrow" if rank["face_width"] < 25 else "long"), distance
    if square > 80 and rank["jaw_width"] > 50:
        return "square", abs(square - 50)
    if ratio < 23:
        is_round = rank["cheek_fullness"] > 55 and square < 65
        return ("round" if is_round else "broad"), distance
    if rank["chin_width"] < 25 and square < 35:
        return "heart", 0.0
    if rank["face_length"] < 12:
        return "short", 50 - rank["face_length"]
    return "oval", 0.0


def outline_words(reading: Reading, pen: Pen) -> str:
    """ "rather long"; without an article."""
    outline, distance = outline_of(reading)
    words = pen.dice.choice(OUTLINES[outline])
    if outline in ("oval", "heart") or any(mark in words for mark in "-, "):
        return words
    return emphasised(words, distance, pen)


def salient_parts(reading: Reading, pen: Pen, parts: tuple[str, ...]) -> list[str]:
    """The parts, what is most notable first, with a little chance."""

    def salience(part: str) -> float:
        strongest = max((w.distance for w in words_of(reading, part)), default=15.0)
        return strongest + pen.dice.uniform(0, 16)

    return sorted(parts, key=lambda part: -salience(part))


def shape_sentences(reading: Reading, pen: Pen) -> list[str]:
    """The outline with what belongs to it, then nose, lips, eyes and brows."""
    sentences = [_opener(reading, pen, OPENERS, STRUCTURE)]
    if pen.chance(0.9):
        sentences.append(_features(reading, pen))
    return sentences


def describe_shape(reading: Reading, pen: Pen) -> str:
    """One sentence with what is most notable, wherever it is."""
    return _opener(reading, pen, BRIEF, STRUCTURE + FEATURE_PARTS)


def noun_phrases(reading: Reading, pen: Pen) -> tuple[str, str, list[str]]:
    """The face, its outline, and the three most notable parts as noun phrases."""
    outline = outline_words(reading, pen)
    notable = salient_parts(reading, pen, STRUCTURE + FEATURE_PARTS)[:3]
    parts = [noun_phrase(reading, part, pen) for part in notable]
    return f"a {outline} face", outline, parts


def _opener(reading: Reading, pen: Pen, templates: tuple[str, ...], among: tuple[str, ...]) -> str:
    parts = salient_parts(reading, pen, among)
    usable = templates
    if pen.mentioned:  # "This is a person with" introduces somebody.
        usable = tuple(t for t in templates if not t.startswith("This is"))
    template = pen.dice.choice(usable)
    if "{forehead}" in template:
        parts = [p for p in parts if p != "forehead"]
    outline = outline_words(reading, pen)
    pen.mentioned = pen.mentioned or template.startswith("This is")
    return pen.write(
        template,
        face=f"a {outline} face",
        outline=outline,
        a=noun_phrase(reading, parts[0], pen),
        b=noun_phrase(reading, parts[1], pen),
        c=noun_phrase(reading, parts[2], pen),
        there="there are" if PARTS[parts[0]].is_plural else "there is",
        forehead=noun_phrase(reading, "forehead", pen),
    )


def _features(reading: Reading, pen: Pen) -> str:
    lips = "mouth" if words_of(reading, "mouth") and not words_of(reading, "lips") else "lips"
    lips_is = (
        f"mouth is {listed([pen.write(w.text) for w in words_of(reading, 'mouth')])}"
        if lips == "mouth"
        else f"lips are {predicate(reading, 'lips', pen)}"
    )
    return pen.pick(
        FEATURES,
        nose=noun_phrase(reading, "nose", pen),
        nose_is=f"nose is {predicate(reading, 'nose', pen)}",
        lips=noun_phrase(reading, lips, pen),
        lips_is=lips_is,
        eyes=noun_phrase(reading, "eyes", pen),
        eyes_adjective=predicate(reading, "eyes", pen),
        brows=noun_phrase(reading, "brows", pen),
    )
