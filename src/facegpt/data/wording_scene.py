"""Sentences about skin, light and the pose of the head."""

from facegpt.data.facts import Facts, Reading
from facegpt.data.grammar import Pen, listed
from facegpt.data.phrases_scene import (
    ASIDE_NODS,
    ASIDE_TURNS,
    BRIGHTNESSES,
    DARKER_SIDES,
    GREY_SKINS,
    GREY_TONES,
    LIGHT_QUALITIES,
    LIGHT_SHADES,
    LIGHT_SIDES,
    LIGHTS,
    NO_BEARD,
    NODS,
    SKIN_EXTRAS,
    SKINS,
    TILTS,
    TONED,
    TONES,
    TURNS,
    UNDERTONES,
    WARMTHS,
)

_OTHER = {"left": "right", "right": "left"}
_HIGH, _LOW = 84.0, 14.0
"""Percentiles beyond which a colour is worth a word."""


def tone_word(reading: Reading, facts: Facts, pen: Pen) -> str:
    """The tone of the skin as an adjective."""
    return pen.dice.choice((GREY_TONES if reading.is_grey else TONES)[facts.tone])


def toned(reading: Reading, facts: Facts, pen: Pen) -> str:
    """The same as an adjective of the person: "dark-skinned"."""
    if reading.is_grey:
        return f"{tone_word(reading, facts, pen)}-skinned"
    return pen.dice.choice(TONED[facts.tone])


def skin_extras(reading: Reading, facts: Facts, pen: Pen) -> list[str]:
    """What else the skin shows, in chance order; the beard of a man is never left out."""
    rank = reading.rank
    found = []
    if not reading.is_grey:
        found += [UNDERTONES[facts.undertone]] if facts.undertone else []
        found += [SKIN_EXTRAS["ruddy"]] if rank["skin_redness"] > _HIGH + 5 else []
        found += [SKIN_EXTRAS["sallow"]] if rank["skin_redness"] < _LOW - 7 else []
        found += [SKIN_EXTRAS["rosy"]] if rank["cheek_redness"] > _HIGH else []
        found += [SKIN_EXTRAS["red nose"]] if rank["nose_redness"] > _HIGH + 7 else []
        found += [SKIN_EXTRAS["red lips"]] if rank["lip_redness"] > _HIGH else []
        found += [SKIN_EXTRAS["pale lips"]] if rank["lip_redness"] < _LOW else []
    if rank["lip_darkness"] > _HIGH + 4 and not any("lips" in extra for extra in found):
        found.append(SKIN_EXTRAS["dark lips"])
    pen.dice.shuffle(found)
    found = found[: pen.dice.choice((1, 2))]
    if pen.voice.pronoun != "she":  # a shadow on her chin is a shadow
        if facts.beard in SKIN_EXTRAS:
            found.append(SKIN_EXTRAS[facts.beard])
        elif facts.beard == "none" and pen.chance(0.3):
            found.append(f"[{'|'.join(NO_BEARD)}]")
    return [pen.write(extra) for extra in found]


def skin_sentences(reading: Reading, facts: Facts, pen: Pen) -> list[str]:
    """One sentence about the skin."""
    extras = skin_extras(reading, facts, pen)
    extra = pen.write("[ with|, with] {list}", list=listed(extras)) if extras else ""
    templates = GREY_SKINS if reading.is_grey else SKINS
    tone, person = tone_word(reading, facts, pen), toned(reading, facts, pen)
    return [pen.pick(templates, tone=tone, toned=person, extra=extra)]


def light_words(facts: Facts, pen: Pen) -> str:
    """ "warm, soft"; may be empty."""
    words = (
        pen.write(WARMTHS[facts.warmth]) if facts.warmth else "",
        pen.write(BRIGHTNESSES[facts.brightness]),
        pen.write(LIGHT_QUALITIES[facts.light]),
    )
    return ", ".join(w for w in words if w)


def light_origin(facts: Facts, pen: Pen) -> str:
    """ "from the left and above"."""
    side = pen.write(LIGHT_SIDES[facts.light_side_strength, facts.light_side])
    if not facts.light_height:
        return side
    return side + pen.write(f" and [from {facts.light_height}|{facts.light_height}]")


def light_sentences(facts: Facts, pen: Pen) -> list[str]:
    """One sentence about the light."""
    quality = light_words(facts, pen)
    shade = pen.write(LIGHT_SHADES[facts.light])
    if facts.light_side_strength in ("clear", "strong") and pen.chance(0.55):
        shade = pen.pick(DARKER_SIDES, other=_OTHER[facts.light_side])
    return [
        pen.pick(
            LIGHTS,
            quality=quality,
            quality_or=quality.replace(", ", " and ") or pen.write("[moderate|plain]"),
            side=light_origin(facts, pen),
            shade=shade,
        )
    ]


def light_aside(facts: Facts, pen: Pen) -> str:
    """The light, to hang on to a noun."""
    if facts.light_side or facts.light_height:
        return f"lit {light_origin(facts, pen)}"
    return f"in {light_words(facts, pen) or 'plain'} light"


def pose_sentences(facts: Facts, pen: Pen) -> list[str]:
    """One sentence about where the head points, one more where it leans."""
    nod = pen.write(NODS[facts.nod, facts.nod_strength])
    templates = TURNS[facts.turn]
    if facts.nod:  # A head that is bent down is not held straight.
        templates = tuple(t for t in templates if "straight" not in t)
    pose = pen.pick(templates, side=facts.turned, nod=nod)
    if not facts.tilted:
        return [pose]
    return [pose, pen.write(TILTS[facts.tilt_strength], side=facts.tilted)]


def turn_aside(facts: Facts, pen: Pen) -> str:
    """Where the head points, to hang on to a noun."""
    turn = pen.write(ASIDE_TURNS[facts.turn], side=facts.turned)
    return f"{turn}, {ASIDE_NODS[facts.nod]}" if facts.nod else turn
