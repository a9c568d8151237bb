"""From measurements to facts that a person would state: smiling or not, turned left, fair skin.

One place decides where words begin to be true; descriptions, answers to questions, labels and the
judgement of answers (`agreement.py`) all ask here, so they cannot disagree. Thresholds were set on
fits of described training photos. Sides are those of the picture unless a name says otherwise. This
module knows no sentence.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.semantics import (
    MEASUREMENTS,
    Population,
    default_population,
    measure,
)

_RANKED = ("shape", "albedo")

Side = str
"""left, right, or "" for neither."""


@dataclass(frozen=True)
class Reading:
    """The measurements of one face."""

    value: Mapping[str, float]
    """Name -> value in its own unit."""
    rank: Mapping[str, float]
    """Name -> percentile in the population, 0-100; of shape and albedo only: what is much and
    little there depends on others, a smile does not."""
    is_grey: bool = False
    """Seen in a photo without colour: hues mean nothing."""


def read_faces(
    theta: FaceParameters,
    model: MorphableModel,
    *,
    is_grey: Sequence[bool] | None = None,
    population: Population | None = None,
) -> list[Reading]:
    """Measure a batch of faces once, for everything that is said about them.

    Raises:
        ValueError: As `semantics.measure`.
    """
    with torch.no_grad():
        values = measure(theta, model)
        ranked = {n: v for n, v in values.items() if MEASUREMENTS[n].block in _RANKED}
        ranks = (population or default_population(model)).percentiles(ranked)
    columns = {name: v.tolist() for name, v in values.items()}
    standings = {name: r.tolist() for name, r in ranks.items()}
    grey = is_grey or [False] * len(theta)
    return [
        Reading(
            {name: column[i] for name, column in columns.items()},
            {name: column[i] for name, column in standings.items()},
            grey[i],
        )
        for i in range(len(theta))
    ]


@dataclass(frozen=True)
class Scale:
    """Words for stretches of a number: `names[i]` holds from `edges[i - 1]` to `edges[i]`."""

    edges: tuple[float, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        assert len(self.names) == len(self.edges) + 1, "one word more than edges"

    def __call__(self, number: float) -> str:
        return self.names[bisect_right(self.edges, number)]


SMILE_MM = Scale((0.5, 1.0, 2.2, 4.2), ("none", "trace", "slight", "clear", "broad"))
MOUTH_MM = Scale((1.3, 3.0, 8.0), ("closed", "parted", "open", "wide"))
EYES = Scale((0.4, 0.72, 0.85, 1.07), ("closed", "half", "narrow", "normal", "wide"))
TURN_DEGREES = Scale((5.0, 8.0, 13.0, 22.0), ("none", "trace", "slight", "clear", "strong"))
NOD_DEGREES = Scale((5.5, 9.0, 14.0), ("none", "slight", "clear", "strong"))
TILT_DEGREES = Scale((3.0, 6.0, 11.0), ("none", "slight", "clear", "strong"))
LIGHT_SIDE = Scale((0.05, 0.09, 0.18), ("none", "slight", "clear", "strong"))
CONTRAST = Scale((0.115, 0.185, 0.26), ("even", "soft", "contrasty", "hard"))
BRIGHTNESS = Scale((0.925, 1.05), ("dim", "medium", "bright"))
TONE_DEGREES = Scale(
    (-12.0, -1.0, 9.0, 19.0, 28.5, 37.0, 45.0),
    ("very dark", "deep brown", "brown", "medium brown", "tan", "light", "fair", "very fair"),
)
"""Of the individual typology angle."""


@dataclass(frozen=True)
class Facts:
    """What can be said about one face, in words of fixed lists."""

    smile: str
    """none, trace, slight, clear or broad."""
    smile_side: Side
    """Where a one-sided smile pulls."""
    mouth: str
    """closed, parted, open or wide."""
    mouth_shape: str
    """What else the mouth does: rounded, bared, frown, pressed, pursed, puffed, tongue, or ""."""
    brows: str
    """relaxed, raised, inner raised, knitted, drawn down, or raised on one side: left, right."""
    eyes: str
    """closed, half, narrow, normal, wide, or one closed: wink."""
    gaze: str
    """left, right, up, down or ""."""
    nose_wrinkled: bool
    emotion: str
    """happiness, sadness, anger ... neutral, or speaking: the best guess from the rest."""
    turned: Side
    turn: str
    """none, trace, slight, clear or strong."""
    nod: str
    """up, down or ""."""
    nod_strength: str
    tilted: Side
    """Where the top of the head leans."""
    tilt_strength: str
    light_side: Side
    light_side_strength: str
    light_height: str
    """above, below or ""."""
    light: str
    """even, soft, contrasty or hard."""
    brightness: str
    warmth: str
    """warm, cool or ""."""
    tone: str
    """very dark, deep brown, brown, medium brown, tan, light, fair or very fair."""
    undertone: str
    """golden, pink, olive or ""."""
    beard: str
    """none, shadow, stubble, beard or "" (not to be said)."""


def facts_of(reading: Reading, emotion: str | None = None) -> Facts:
    """Decide everything about one face.

    Args:
        emotion: Where it is known what the face expresses; otherwise it is guessed.
    """
    v = reading.value
    strength, side = TURN_DEGREES(abs(v["yaw"])), LIGHT_SIDE(abs(v["light_side"]))
    nod, tilt = NOD_DEGREES(abs(v["pitch"])), TILT_DEGREES(abs(v["roll"]))
    return Facts(
        **_mimics(v, emotion),
        turned=_side(v["yaw"], strength),
        turn=strength,
        nod="" if nod == "none" else "down" if v["pitch"] > 0 else "up",
        nod_strength=nod,
        tilted=_side(-v["roll"], tilt),
        tilt_strength=tilt,
        light_side=_side(v["light_side"], side),
        light_side_strength=side,
        light_height=_light_height(v["light_height"]),
        light=CONTRAST(v["light_contrast"]),
        brightness=BRIGHTNESS(v["light_intensity"]),
        warmth=_warmth(v["light_warmth"]) if not reading.is_grey else "",
        tone=TONE_DEGREES(v["skin_typology_angle"]),
        undertone=_undertone(v) if not reading.is_grey else "",
        beard=_beard(v["beard_shadow"]),
    )


def _mimics(v: Mapping[str, float], emotion: str | None) -> dict[str, Any]:
    """The part of the facts that an expression decides."""
    smile, mouth = SMILE_MM(v["smile"]), MOUTH_MM(v["mouth_open"])
    seen = {
        "smile": smile,
        "smile_side": _smile_side(v),
        "mouth": mouth,
        "mouth_shape": _mouth_shape(v, smile, mouth),
        "brows": _brows(v),
        "eyes": _eyes(v),
        "gaze": _gaze(v),
        "nose_wrinkled": v["nose_wrinkle"] > 1.9 and smile in ("none", "trace"),
    }
    return seen | {"emotion": emotion or _emotion(v, seen)}


def labels_of(facts: Facts) -> dict[str, str]:
    """The short words that travel with a description."""
    return {
        "expression": facts.emotion,
        "smile": facts.smile,
        "mouth": facts.mouth,
        "yaw": facts.turned or "frontal",
        "pitch": facts.nod or "level",
        "skin": facts.tone,
        "light": facts.light_side or "front",
    }


def _side(number: float, strength: str) -> Side:
    return "" if strength == "none" else "right" if number > 0 else "left"


def _smile_side(v: Mapping[str, float]) -> Side:
    """Asymmetry counts the person's own left, which is the right of the picture."""
    if abs(v["smile_asymmetry"]) < 2.4 or max(v["smile_left"], v["smile_right"]) < 1.2:
        return ""
    return "right" if v["smile_asymmetry"] > 0 else "left"


def _mouth_shape(v: Mapping[str, float], smile: str, mouth: str) -> str:
    if v.get("tongue", -9.0) > 5.0:
        return "tongue"
    if smile in ("clear", "broad"):
        return ""
    if mouth in ("open", "wide"):
        if v["pucker"] > 3.6:
            return "rounded"
        if v["upper_lip_raise"] > 1.7 or v["mouth_width_change"] > 4.5:
            return "bared"
        return "frown" if v["frown"] > 3.2 else ""
    if v["cheek_puff"] > 4.0:
        return "puffed"
    if v["pucker"] > 4.2:
        return "pursed"
    if v["frown"] > 1.7:
        return "frown"
    return "pressed" if v["lip_press"] > 3.3 and mouth == "closed" else ""


def _brows(v: Mapping[str, float]) -> str:
    left, right = v["brow_raise_left"], v["brow_raise_right"]
    if abs(left - right) > 1.6 and max(left, right) > 1.8:
        return "right" if left > right else "left"  # The person's own left is to the right.
    if v["brow_furrow"] > 0.4:
        return "drawn down"
    if v["brow_furrow"] > -0.6:
        return "knitted"
    if v["brow_raise_inner"] > 2.1 and v["brow_raise_inner"] - v["brow_raise_outer"] > 2.0:
        return "inner raised"
    return "raised" if v["brow_raise"] > 1.75 else "relaxed"


def _eyes(v: Mapping[str, float]) -> str:
    left, right = v["eye_openness_left"], v["eye_openness_right"]
    if min(left, right) < 0.35 and max(left, right) > 0.7:
        return "wink"
    eyes = EYES((left + right) / 2)
    return "narrow" if eyes == "normal" and v["eye_squint"] > 0.95 else eyes


def _gaze(v: Mapping[str, float]) -> str:
    across, upwards = v.get("gaze_horizontal", 0.0), v.get("gaze_vertical", 0.0)
    if _eyes(v) in ("closed", "wink"):
        return ""
    if abs(across) > 9.0:
        return "right" if across > 0 else "left"
    if abs(upwards - 1.0) > 6.0:
        return "up" if upwards > 0 else "down"
    return ""


def _emotion(v: Mapping[str, float], seen: Mapping[str, Any]) -> str:
    smile, mouth, shape = seen["smile"], seen["mouth"], seen["mouth_shape"]
    brows, eyes = seen["brows"], seen["eyes"]
    is_open = mouth in ("open", "wide")
    down = brows in ("drawn down", "knitted")
    rules = (
        ("happiness", smile in ("clear", "broad") or (smile == "slight" and not down)),
        ("concentration", smile == "slight"),
        ("disgust", seen["nose_wrinkled"] and v["upper_lip_raise"] > 1.2),
        ("pain", eyes in ("closed", "half") and down and (is_open or v["eye_squint"] > 0.8)),
        ("anger", brows == "drawn down" or (down and shape in ("bared", "frown", "pressed"))),
        (
            "fear",
            eyes == "wide" and (shape == "bared" or (not is_open and brows == "inner raised")),
        ),
        (
            "surprise",
            is_open and brows in ("raised", "inner raised") and eyes in ("normal", "wide"),
        ),
        ("sadness", shape == "frown" or (brows == "inner raised" and not is_open)),
        ("speaking", is_open),
        ("tiredness", eyes in ("half", "closed")),
    )
    return next((name for name, holds in rules if holds), "neutral")


def _light_height(number: float) -> str:
    return "above" if number > 0.16 else "below" if number < -0.02 else ""


def _warmth(number: float) -> str:
    return "warm" if number > 0.06 else "cool" if number < -0.07 else ""


def _undertone(v: Mapping[str, float]) -> str:
    hue, tone = v["skin_undertone"], TONE_DEGREES(v["skin_typology_angle"])
    if hue > 54.6:
        return "olive" if tone in ("tan", "light") and v["skin_redness"] < 15.3 else "golden"
    return "pink" if hue < 48.8 else ""


def _beard(number: float) -> str:
    return Scale((-0.5, 7.0, 9.5, 14.0), ("none", "", "shadow", "stubble", "beard"))(number)
