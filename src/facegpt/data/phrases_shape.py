"""Words for the shape of a face: tables only, in the language of `grammar.py`.

Adjectives stand alone and take a degree ("very", "slightly"); tails are phrases that follow a noun
("a nose with an upturned tip").
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Trait:
    """What the two ends of one measurement are called."""

    part: str
    """A key of `PARTS`."""
    measurement: str
    low: str
    high: str
    is_tail: bool = False
    """Follows the noun and takes no degree."""


@dataclass(frozen=True)
class Part:
    """A part of the face as a noun."""

    noun: str
    is_plural: bool
    ordinary: tuple[str, ...]
    """What it is called when nothing about it is notable: noun phrases."""


PARTS: dict[str, Part] = {
    "forehead": Part("forehead", False, ("a forehead of [average|medium|ordinary] height",)),
    "cheeks": Part("cheeks", True, ("[smooth|softly rounded] cheeks", "cheeks of medium fullness")),
    "cheekbones": Part("cheekbones", True, ("[soft|moderate|unobtrusive] cheekbones",)),
    "jaw": Part("jaw", False, ("a [regular|medium-wide|moderate] jaw", "an even jawline")),
    "chin": Part("chin", False, ("a [rounded|medium|neatly rounded|softly rounded] chin",)),
    "nose": Part(
        "nose",
        False,
        ("a [straight|medium-sized|regular] nose", "a nose of [medium|average|ordinary] size"),
    ),
    "lips": Part(
        "lips", True, ("[medium-full|moderately full|medium] lips", "lips of medium fullness")
    ),
    "mouth": Part("mouth", False, ("a mouth of [medium|average] width",)),
    "eyes": Part(
        "eyes",
        True,
        ("[medium-sized|evenly spaced|almond-shaped] eyes", "eyes of [medium|average] size"),
    ),
    "brows": Part("brows", True, ("[gently curved|softly curved|evenly drawn] brows",)),
}

TRAITS: tuple[Trait, ...] = (
    Trait("forehead", "forehead_height", "low|short", "high|tall"),
    Trait("forehead", "forehead_width", "narrow", "broad|wide"),
    Trait("cheeks", "cheek_fullness", "hollow|lean|thin|sunken", "full|rounded|plump"),
    Trait("cheekbones", "cheekbone_width", "narrow", "wide|broad"),
    Trait("cheekbones", "cheekbone_prominence", "flat", "prominent|pronounced|strong"),
    Trait("jaw", "jaw_width", "narrow|slim", "wide|broad"),
    Trait("jaw", "jaw_squareness", "tapered|tapering", "square|angular"),
    Trait("chin", "chin_width", "narrow|pointed", "broad|wide"),
    Trait("chin", "chin_length", "short|small", "long"),
    Trait("chin", "chin_projection", "receding", "prominent|jutting"),
    Trait("nose", "nose_length", "short", "long"),
    Trait("nose", "nose_width", "narrow|slim", "wide|broad"),
    Trait("nose", "nose_projection", "flat", "prominent"),
    Trait(
        "nose", "nose_tip", "with a drooping tip|that dips at the tip", "with an upturned tip", True
    ),
    Trait(
        "nose",
        "nose_bridge",
        "with a scooped bridge|with a slightly hollow bridge",
        "with a slight hump|with a humped bridge",
        True,
    ),
    Trait("lips", "lip_fullness", "thin", "full|thick"),
    Trait("mouth", "mouth_width", "narrow|small", "wide|broad"),
    Trait("eyes", "eye_size", "small", "large|big"),
    Trait("eyes", "eye_spacing", "close-set", "wide-set|widely spaced"),
    Trait("eyes", "eye_roundness", "narrow", "round"),
    Trait("eyes", "eye_depth", "shallow-set", "deep-set"),
    Trait(
        "eyes",
        "eye_tilt",
        "that slope down at the outer corners|with drooping outer corners",
        "that rise at the outer corners|with upturned outer corners",
        True,
    ),
    Trait("eyes", "eye_lightness", "dark", "light|pale"),
    Trait("brows", "brow_height", "low", "high"),
    Trait("brows", "brow_arch", "straight|flat", "arched|curved"),
    Trait("brows", "brow_darkness", "faint|thin|pale", "dark|thick|heavy"),
)

DEGREES: dict[str, str] = {
    "very": "[very|very|very|strikingly|remarkably]",
    "quite": "[quite|rather|rather|noticeably]",
    "some": "[slightly|somewhat|fairly]",
}
"""How far out a percentile lies -> adverb."""

OUTLINES: dict[str, tuple[str, ...]] = {
    "long": ("long", "elongated", "oblong", "long, narrow", "long oval", "long, thin"),
    "narrow": ("narrow", "slender", "slim oval", "thin", "long, thin"),
    "broad": ("broad", "wide", "broad oval"),
    "round": ("round", "rounded", "full, round", "round-cheeked"),
    "square": ("square", "squarish", "angular", "square-jawed"),
    "heart": ("heart-shaped", "tapering", "triangular"),
    "short": ("short", "compact"),
    "oval": ("oval", "regular oval", "evenly proportioned", "well-proportioned oval"),
}

OPENERS: tuple[str, ...] = (
    "What [catches the eye|stands out] first is {a}; the face is {outline}, with {b} and {c}.",
    "{a}, {b} and {c} [shape|make up] {face}.",
    "{face}: {a}, {b} and {c}.",
    "{They} {has} {face} and {a}; to this come {b} and {c}.",
    "The face, {outline}, has {a}, {b} and {c}.",
    "{They} {has} {face}[ with|, with] {a}, {b} and {c}.",
    "{They} {has} {face} with {a} and {b}.",
    "This is a {noun} with {face}, {a}, {b} and {c}.",
    "This is a {noun} with {face}: {a}, {b} and {c}.",
    "{Their} face is {outline}, with {a}, {b} and {c}.",
    "{Their} face is {outline}; {there} {a} and {b}.",
    "The face is {outline}, with {a}, {b} and {c}.",
    "The face is {outline} and [has|shows] {a}, {b} and {c}.",
    "The shape of the face is {outline}, with {a}, {b} and {c}.",
    "{They} {has} {a}, {b} and {c} in {face}.",
    "{face} with {a}, {b} and {c}.",
    "{face}, {a}, {b} and {c}.",
    "Below {forehead} the face is {outline}, with {a} and {b}.",
)

FEATURES: tuple[str, ...] = (
    "{Their} {nose_is}, the {lips_is}, and {eyes} [sit|stand|are set|lie] [under|beneath|below] "
    "{brows}.",
    "The {nose_is}, {their} {lips_is}, and {eyes} [look out|sit] [under|from beneath] {brows}.",
    "{eyes} [sit|are set|lie|stand] [under|beneath|below] {brows}; the {nose_is} and the "
    "{lips_is}.",
    "{They} {has} {nose}, {lips} and {eyes} under {brows}.",
    "There are {eyes} under {brows}, {nose} and {lips}.",
    "{brows} [lie|run] above {eyes}, and [below them come|there are] {nose} and {lips}.",
    "The {nose_is}; the {lips_is}.",
    "The {nose_is} and the {lips_is}.",
    "{nose} [stands|sits] above {lips}, and {eyes} lie under {brows}.",
    "The eyes are {eyes_adjective}, the {nose_is} and the {lips_is}.",
    "{nose}, {lips}, and {eyes} beneath {brows}.",
)

BRIEF: tuple[str, ...] = (
    "{They} {has} {face} with {a} and {b}.",
    "{They} {has} {face}, {a} and {b}.",
    "The face is {outline}, with {a} and {b}.",
    "This is a {noun} with {face}, {a} and {b}.",
    "{Their} face is {outline}; {there} {a} and {b}.",
    "{They} {has} {a} and {b} in {face}.",
)
