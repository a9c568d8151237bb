"""Sentences about what a face does: mouth, brows, eyes, and what it seems to feel."""

from facegpt.data.facts import Facts, Reading
from facegpt.data.grammar import Pen
from facegpt.data.phrases_expression import (
    ASIDES,
    BROWS,
    EYES,
    GAZES,
    MOOD_WORDS,
    MOODS,
    MOUTHS,
    NOSE_WRINKLED,
    UPPER_SENTENCES,
    UPPER_TAILS,
)

_SMILES = ("slight", "clear", "broad")
_STRONG = {"broad": "very", "clear": "quite", "slight": "slightly"}


def mouth_key(facts: Facts) -> str:
    """What the mouth does, as a key of `MOUTHS`."""
    opened = "closed" if facts.mouth == "closed" else "open"
    if facts.smile in _SMILES:
        if facts.smile_side:
            return "one_sided"
        is_laugh = facts.smile == "broad" and facts.mouth == "wide"
        return "laugh" if is_laugh else f"{facts.smile}_{opened}"
    if facts.mouth_shape:
        return facts.mouth_shape
    if facts.mouth == "wide":
        return "wide"
    if facts.smile == "trace":
        return f"trace_{opened}"
    return {"closed": "neutral_closed", "parted": "neutral_parted"}.get(facts.mouth, "open")


def mouth_sentence(facts: Facts, pen: Pen) -> str:
    """One sentence about the mouth."""
    return pen.pick(MOUTHS[mouth_key(facts)], side=facts.smile_side)


def expression_sentences(reading: Reading, facts: Facts, pen: Pen) -> list[str]:
    """The mouth first, then brows and eyes, then the feeling, each where it is worth a word."""
    mouth = mouth_sentence(facts, pen)
    brows, eyes = upper_words(facts, pen)
    notable = facts.brows != "relaxed" or facts.eyes != "normal" or bool(facts.gaze)
    sentences = [mouth]
    if notable or pen.chance(0.45):
        slots = {"brows": brows, "eyes": eyes, "are": "are " if pen.chance(0.3) else ""}
        if pen.chance(0.5) and mouth.count(",") < 2:
            sentences = [mouth.removesuffix(".") + pen.pick(_tails(facts), **slots) + "."]
        else:
            sentences.append(pen.pick(UPPER_SENTENCES, **slots))
    if facts.nose_wrinkled:
        sentences.append(pen.pick(NOSE_WRINKLED))
    if pen.chance(0.7 if facts.emotion not in ("neutral", "happiness") else 0.35):
        sentences.append(mood_sentence(facts, pen))
    return sentences


def _tails(facts: Facts) -> tuple[str, ...]:
    """An aside must not leave out what is notable."""
    needs = [n for n, is_idle in _idle(facts).items() if not is_idle]
    return tuple(t for t in UPPER_TAILS if all(f"{{{need}}}" in t for need in needs))


def _idle(facts: Facts) -> dict[str, bool]:
    return {
        "brows": facts.brows == "relaxed",
        "eyes": facts.eyes == "normal" and not facts.gaze,
    }


def upper_words(facts: Facts, pen: Pen) -> tuple[str, str]:
    """What the brows and the eyes are."""
    eyes = pen.dice.choice(EYES[facts.eyes])
    if facts.gaze:
        gaze = pen.write(GAZES[facts.gaze])
        eyes = gaze if facts.eyes == "normal" else f"{eyes} and {gaze}"
    return pen.dice.choice(BROWS[facts.brows]), eyes


def mood_sentence(facts: Facts, pen: Pen) -> str:
    """What the face seems to feel."""
    degree = _STRONG.get(facts.smile, "") if facts.emotion == "happiness" else ""
    return pen.pick(MOODS[facts.emotion], degree=f"{degree} " if degree else "")


def mood_word(facts: Facts, pen: Pen) -> str:
    """An adjective for the person."""
    return pen.write(MOOD_WORDS[facts.emotion])


def mouth_aside(facts: Facts, pen: Pen) -> str:
    """What the mouth does, to hang on to a noun."""
    return pen.write(ASIDES[mouth_key(facts)], side=facts.smile_side)
