"""What is measured on a face as one line of plain words, for a language model to read.

A small language model that shall speak about a photo finds it hard to take a fact out of a picture
token; a sentence should be easier. So the face is made first, its measurements are put into words,
and the line stands beside the picture while the model speaks; beyond the paper, whose model has
seven billion weights and needs none. The same thresholds decide here as in descriptions
(`facts.py`), and nothing is left to chance.
"""

from collections.abc import Sequence

from facegpt.data.facts import Facts, Reading, facts_of, read_faces
from facegpt.data.phrases_scene import GREY_TONES
from facegpt.data.wording_shape import FEATURE_PARTS, STRUCTURE, outline_of, words_of
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters

_MOST_WORDS = {"nose": 2, "eyes": 2}
"""Notable words of a part; one of the others."""


def face_note(reading: Reading) -> str:
    """The line of one face: "[face: smile clear; mouth open; ... ]"."""
    facts = facts_of(reading)
    parts = (*_expression(facts), *_pose(facts), *_light(facts), _skin(facts, reading))
    shape = f"shape {outline_of(reading)[0]}"
    return f"[face: {'; '.join((*parts, shape, *_features(reading)))}]"


def face_notes(
    theta: FaceParameters, model: MorphableModel, *, is_grey: Sequence[bool] | None = None
) -> list[str]:
    """The lines of a batch of faces.

    Args:
        is_grey: Faces seen in photos without colour, whose hues mean nothing.

    Raises:
        ValueError: As `semantics.measure`.
    """
    return [face_note(reading) for reading in read_faces(theta, model, is_grey=is_grey)]


def _expression(facts: Facts) -> list[str]:
    smile = f"smile {facts.smile}"
    mouth = f"mouth {'wide open' if facts.mouth == 'wide' else facts.mouth}"
    found = [
        f"{smile}, {facts.smile_side}" if facts.smile_side else smile,
        f"{mouth}, {facts.mouth_shape}" if facts.mouth_shape else mouth,
        f"brows {facts.brows}",
        f"lids {facts.eyes}",
    ]
    found += [f"gaze {facts.gaze}"] if facts.gaze else []
    return [*found, f"mood {facts.emotion}"]


def _pose(facts: Facts) -> list[str]:
    found = [f"head turned {facts.turned}, {facts.turn}" if facts.turned else "head frontal"]
    found.append(f"chin {facts.nod}, {facts.nod_strength}" if facts.nod else "chin level")
    return found + ([f"tilted {facts.tilted}, {facts.tilt_strength}"] if facts.tilted else [])


def _light(facts: Facts) -> list[str]:
    side = facts.light_side or "front"
    words = (side, facts.light_height, facts.light, facts.warmth)
    return [f"light {', '.join(word for word in words if word)}"]


def _skin(facts: Facts, reading: Reading) -> str:
    tone = GREY_TONES[facts.tone][0] if reading.is_grey else facts.tone
    beard = "beard shadow" if facts.beard == "shadow" else facts.beard.replace("none", "")
    return f"skin {', '.join(word for word in (tone, facts.undertone, beard) if word)}"


def _features(reading: Reading) -> list[str]:
    found = []
    for part in (*STRUCTURE, *FEATURE_PARTS):
        words = words_of(reading, part)[: _MOST_WORDS.get(part, 1)]
        if words:
            texts = (word.text.strip("[]").split("|")[0] for word in words)
            found.append(f"{part} {', '.join(texts)}")
    return found
