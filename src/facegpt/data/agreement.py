"""Does an answer in free words agree with what is measured on the face?

Three things are judged: smile or none, turned left, right or not at all, mouth open or closed. The
reader looks for plain words, minds negations ("not smiling", "hardly open"), and keeps quiet where
an answer says nothing or hedges; faces near a threshold are not judged either. It does not
understand irony or anything else between the lines.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from facegpt.data.facts import Side

NO_SMILE_MM, SMILE_MM = 0.3, 1.0
CLOSED_MM, OPEN_MM = 1.0, 2.0
FRONTAL_DEGREES, TURNED_DEGREES = 5.0, 8.0
"""Below the first there is none, above the second there is; between them nobody is judged."""


@dataclass(frozen=True)
class Claims:
    """What an answer says; None where it says nothing clear."""

    smile: bool | None
    turned: Side | None
    """left, right, or "" for frontal."""
    mouth_open: bool | None


def agrees(
    answer: str, semantics: Mapping[str, float], *, question: str | None = None
) -> dict[str, bool]:
    """Whether each thing that the answer claims is so; things not claimed or not decidable are left
    out.

    Args:
        semantics: Measurements by name: smile, yaw and mouth_open are read.
        question: What was asked: it tells what a bare "yes" or "open" is about.

    Returns:
        Some of smile, turned and mouth_open.
    """
    claimed, true = claims(answer, question=question), truth(semantics)
    pairs = {name: (getattr(claimed, name), getattr(true, name)) for name in vars(claimed)}
    return {n: said == is_so for n, (said, is_so) in pairs.items() if None not in (said, is_so)}


def truth(semantics: Mapping[str, float]) -> Claims:
    """What a perfect answer would claim; None near the thresholds."""
    yaw = semantics["yaw"]
    side: Side | None = "left" if yaw < 0 else "right"
    if abs(yaw) < TURNED_DEGREES:
        side = "" if abs(yaw) < FRONTAL_DEGREES else None
    return Claims(
        smile=_decide(semantics["smile"], NO_SMILE_MM, SMILE_MM),
        turned=side,
        mouth_open=_decide(semantics["mouth_open"], CLOSED_MM, OPEN_MM),
    )


def claims(answer: str, *, question: str | None = None) -> Claims:
    """Read an answer."""
    text = _plain(answer)
    asked = _plain(question or "")
    return Claims(_smile(text, asked), _turned(text, asked), _mouth(text, asked))


def _decide(number: float, no: float, yes: float) -> bool | None:
    return False if number <= no else True if number >= yes else None


_CLAUSE = re.compile(r"[.;:!?,()]|\bbut\b|\bwhile\b|\bthough\b|\balthough\b|\bhowever\b")
_NO = re.compile(
    r"\b(no|not|none|never|nothing|nobody|without|neither|nor|lacks?|isnt|doesnt|arent|dont|cannot|"
    r"cant|wasnt|absent|far from|rather than|instead of|free of|no sign of)\b"
)
_HEDGE = re.compile(
    r"\b(hint(s|ing)?|trace|shadow|suggest(s|ion)?|beginning|start|idea|halfway|barely|hardly|scarcely|"
    r"almost|maybe|perhaps|faintest|possibly|tiny)\b"
)
_SMILE = re.compile(r"\b(smil\w*|grin\w*|beam(s|ing)?|laugh\w*)\b")
_GLAD = re.compile(r"\b(happy|happily|cheerful\w*|joyful\w*|joy|delighted|merry|amused)\b")
_GLUM = re.compile(
    r"\b(unsmiling|frown\w*|scowl\w*|sad|sadness|unhappy|angry|anger|furious|serious|stern|solemn|"
    r"grim|neutral|expressionless|downturned|afraid|frightened|disgusted)\b"
)
_MOUTH_ASKED = re.compile(r"\b(mouth|lips?)\b")
_HEAD_ASKED = re.compile(
    r"\b(head|turned|facing|face (the|point)|faces (the|point)|pose\w*|direction|oriented)\b"
)


def _plain(text: str) -> str:
    text = text.lower().replace("’", "'").replace("n't", "nt").replace("'", "")
    return text.replace("closed-lip ", "closed lips ").replace("-", " ")


def _clauses(text: str) -> list[str]:
    return [c.strip() for c in _CLAUSE.split(text) if c and c.strip()]


def _says_yes(text: str) -> bool | None:
    if re.match(r"(yes|yeah|sure|indeed|certainly|of course)\b", text):
        return True
    return False if re.match(r"(no|nope|not)\b", text) else None


def _negated(clause: str, start: int) -> bool:
    """A negation before the word in the same clause."""
    return _NO.search(clause[:start]) is not None


def _smile(text: str, asked: str) -> bool | None:
    said = _says_yes(text) if _SMILE.search(asked) else None
    if said is not None:
        return said
    hedged = False
    for clause in _clauses(text):
        found = _SMILE.search(clause)
        if not found:
            continue
        if _negated(clause, found.start()):
            return False
        if _HEDGE.search(clause):
            hedged = True
            continue
        return True
    return None if hedged else _smile_by_mood(text)


def _smile_by_mood(text: str) -> bool | None:
    """Where a smile is not mentioned, a happy or an unhappy look stands for it."""
    for clause in _clauses(text):
        glum = _GLUM.search(clause)
        if glum and not _negated(clause, glum.start()):
            return False
        glad = _GLAD.search(clause)
        if glad and not _HEDGE.search(clause):
            return not _negated(clause, glad.start())
    return None


_OPEN = re.compile(r"\b(open\w*|parted|part|apart|gap(es|ing)|agape|ajar|dropped)\b")
_CLOSED = re.compile(
    r"\b(clos(ed|es)|shut|together|pressed|sealed|touch(ing)?|clamped|puckered|pursed)\b"
)
_NOUN = re.compile(
    r"\b(mouth|lips?|jaw|smil\w*|grin\w*|eyes?|eyelids?|lids?|brows?|eyebrows?|hands?|arms?)\b"
)
_OF_MOUTH = ("mouth", "lip", "jaw", "smil", "grin")
_NEAR = 45
"""How many characters a word may stand from the noun that it describes."""


def _mouth(text: str, asked: str) -> bool | None:
    is_asked = _MOUTH_ASKED.search(asked) is not None
    for clause in _clauses(text):
        for pattern, is_open in ((_OPEN, True), (_CLOSED, False)):
            for found in pattern.finditer(clause):
                if _belongs_to_mouth(clause, found.start(), found.end(), is_asked=is_asked):
                    return is_open != _negated(clause, found.start())
    if is_asked and re.search(r"\b(open|closed)\b", asked) and " or " not in asked:
        said = _says_yes(text)
        return None if said is None else said == ("open" in asked)
    if re.search(r"\b(laugh\w*|yawn\w*|shout\w*|scream\w*|gap(es|ing))\b", text):
        return None if _NO.search(text) else True
    return None


def _belongs_to_mouth(clause: str, start: int, end: int, *, is_asked: bool) -> bool:
    """Whether the nearest noun is the mouth: right behind the word, else before it, else after."""
    nouns = [(n.start(), n.end(), n.group()) for n in _NOUN.finditer(clause)]
    behind = [n for n in nouns if 0 <= n[0] - end <= 1]
    before = [n for n in nouns if n[1] <= start and start - n[1] <= _NEAR]
    after = [n for n in nouns if n[0] >= end and n[0] - end <= 12]
    nearest = behind[:1] or before[-1:] or after[:1]
    if not nearest:
        return is_asked
    return nearest[0][2].startswith(_OF_MOUTH)


_FRONTAL = re.compile(
    r"\b(frontal\w*|straight (ahead|on|at|into)|(fac\w*|looks?|looking|points?|pointing|straight)"
    r"( \w+)? forwards?|head on|directly at|right (at|into)|head straight|"
    r"fac(e|es|ing) (us|the (camera|viewer|front|lens))|not turned|isnt turned|seen from the front|"
    r"(towards?|at|into) the (camera|viewer|lens)|square(ly)? (on|to)|neither left nor right)\b"
)
_DIRECTION = re.compile(r"\b(left|right)(ward|wards)?\b")
_TURNING = re.compile(
    r"\b(turn\w*|fac(es|ing)|heads?|points?|pointing|rotated?|pose|view|profile|"
    r"looks? (to|off|away)|looking (to|off|away)|angled|oriented)\b"
)
_LIGHT = re.compile(r"\b(light(ing)?|lit|illuminat\w*|shad(e|es|ed|ing|ow|ows|owed)|lamp|flash)\b")
"""A sentence with one of these speaks of light, and its sides are not those of the head."""
_NOT_POSE = re.compile(
    r"\b(cheeks?|eyes?|gaze\w*|glanc\w*|brows?|corner|smile\w*|ears?|earring|tilt\w*|lean\w*|"
    r"side of the (mouth|face)|lopsided|stronger)\b"
)
_SENTENCE = re.compile(r"[.;!?]")


def _leaves_open(sentence: str) -> bool:
    """Whether it only lists what could be: "to the left, to the right, or straight ahead"."""
    named = {found.group(1) for found in _DIRECTION.finditer(sentence)}
    return len(named) > 1 and " or " in sentence and not _NO.search(sentence)


def _turned(text: str, asked: str) -> Side | None:
    is_asked = _HEAD_ASKED.search(asked) is not None
    frontal = False
    spoken = [s for s in _SENTENCE.split(text) if is_asked or not _LIGHT.search(s)]
    spoken = [s for s in spoken if not _leaves_open(s)]
    for clause in (c for sentence in spoken for c in _clauses(sentence)):
        if _NOT_POSE.search(clause):
            continue
        if re.search(r"\bneither left nor right\b|\b(not|isnt) turned\b", clause):
            frontal = True
            continue
        found = _DIRECTION.search(re.sub(r"\bright (at|into|out)\b", "", clause))
        spoken_of = is_asked or frontal or _TURNING.search(clause)
        if found and spoken_of and not _negated(clause, clause.find(found.group(1))):
            return found.group(1)
        facing = _FRONTAL.search(clause)
        frontal = frontal or (facing is not None and not _negated(clause, facing.start()))
    return "" if frontal else None
