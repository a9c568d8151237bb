"""How an emotion moves a face: plausible ARKit weights, never twice the same.

Every emotion has several recipes (a smile with closed lips, a grin, a laugh). An action without a
side stands for its pair, `mouthSmile` for `mouthSmileLeft` and `mouthSmileRight`. The recipes
follow what is commonly written about facial actions; nobody was measured for them.
"""

import difflib
import random
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from facegpt.data.grammar import dice_of

Recipe = Mapping[str, float]
"""Action -> weight at full intensity."""

RECIPES: dict[str, tuple[Recipe, ...]] = {
    "neutral": ({}, {"mouthFrown": 0.1}, {"jawOpen": 0.08}, {"browInnerUp": 0.12}),
    "happiness": (
        {"mouthSmile": 0.42, "cheekSquint": 0.3, "mouthPress": 0.1},
        {"mouthSmile": 0.42, "jawOpen": 0.25, "mouthUpperUp": 0.3, "mouthLowerDown": 0.3},
        {"mouthSmile": 0.5, "jawOpen": 0.32, "cheekSquint": 0.45, "mouthUpperUp": 0.35},
        {"mouthSmile": 0.55, "jawOpen": 0.4, "mouthUpperUp": 0.4, "mouthLowerDown": 0.35},
        {"mouthSmile": 0.6, "jawOpen": 0.65, "cheekSquint": 0.6, "eyeSquint": 0.5},
        {"mouthSmile": 0.4, "mouthDimple": 0.4, "browOuterUp": 0.2, "cheekSquint": 0.2},
    ),
    "sadness": (
        {"mouthFrown": 0.65, "browInnerUp": 0.75, "eyeLookDown": 0.3},
        {"mouthFrown": 0.8, "browInnerUp": 0.6, "mouthShrugLower": 0.45, "mouthPress": 0.3},
        {"browInnerUp": 0.85, "mouthFrown": 0.6, "jawOpen": 0.25, "eyeSquint": 0.5},
        {"mouthFrown": 0.7, "eyeBlink": 0.4, "browDown": 0.15, "mouthRollLower": 0.3},
    ),
    "anger": (
        {"browDown": 0.8, "mouthRollLower": 0.5, "mouthRollUpper": 0.4, "mouthFrown": 0.3},
        {"browDown": 0.85, "jawOpen": 0.55, "mouthUpperUp": 0.4, "eyeWide": 0.35},
        {"browDown": 0.75, "mouthLowerDown": 0.6, "mouthUpperUp": 0.35, "mouthFrown": 0.35},
        {"browDown": 0.7, "mouthFrown": 0.6, "mouthShrugLower": 0.3, "jawForward": 0.3},
        {"browDown": 0.6, "eyeSquint": 0.4, "mouthFrown": 0.25},
    ),
    "surprise": (
        {"browInnerUp": 0.8, "browOuterUp": 0.85, "eyeWide": 0.75, "jawOpen": 0.6},
        {"browInnerUp": 0.6, "browOuterUp": 0.7, "eyeWide": 0.5, "jawOpen": 0.3},
        {"browInnerUp": 0.7, "browOuterUp": 0.8, "jawOpen": 0.45, "mouthFunnel": 0.7},
    ),
    "fear": (
        {
            "eyeWide": 0.8,
            "browInnerUp": 0.85,
            "mouthStretch": 0.3,
            "mouthFrown": 0.3,
            "jawOpen": 0.3,
        },
        {"eyeWide": 0.9, "browInnerUp": 0.75, "browDown": 0.15, "jawOpen": 0.5},
        {"eyeWide": 0.8, "browInnerUp": 0.7, "browOuterUp": 0.3, "mouthFrown": 0.3},
    ),
    "disgust": (
        {"noseSneer": 0.95, "mouthUpperUp": 0.5, "browDown": 0.3, "eyeSquint": 0.4},
        {"noseSneer": 0.9, "mouthFrown": 0.6, "browDown": 0.35, "mouthShrugUpper": 0.4},
        {"noseSneer": 0.9, "mouthUpperUp": 0.5, "jawOpen": 0.25, "tongueOut": 0.4},
    ),
    "contempt": (
        {"mouthSmileLeft": 0.4, "mouthDimpleLeft": 0.4, "eyeSquint": 0.2},
        {"mouthSmileRight": 0.4, "mouthDimpleRight": 0.4, "browOuterUpLeft": 0.4},
        {"mouthUpperUpLeft": 0.5, "noseSneerLeft": 0.5, "mouthFrown": 0.3, "eyeBlink": 0.2},
    ),
    "pain": (
        {"browDown": 0.6, "eyeBlink": 0.6, "mouthFrown": 0.4, "mouthUpperUp": 0.4, "jawOpen": 0.2},
        {"eyeBlink": 0.85, "browDown": 0.7, "mouthFrown": 0.5, "mouthLowerDown": 0.5},
        {"eyeBlink": 0.7, "browDown": 0.5, "mouthRollLower": 0.5, "mouthFrown": 0.3},
    ),
    "speaking": (
        {"jawOpen": 0.3, "mouthLowerDown": 0.25},
        {"jawOpen": 0.35, "mouthFunnel": 0.45},
        {"jawOpen": 0.45, "mouthUpperUp": 0.2, "browOuterUp": 0.35, "browInnerUp": 0.3},
        {"jawOpen": 0.25, "mouthStretch": 0.2, "browInnerUp": 0.25},
        {"jawOpen": 0.65, "mouthLowerDown": 0.3},
    ),
    "tiredness": (
        {"eyeBlink": 0.6, "browInnerUp": 0.15, "mouthFrown": 0.2},
        {"eyeBlink": 0.55, "jawOpen": 0.15, "mouthShrugLower": 0.1},
        {"eyeBlink": 0.7, "jawOpen": 0.65, "browInnerUp": 0.3, "mouthFunnel": 0.2},
    ),
    "concentration": (
        {"browDown": 0.45, "eyeSquint": 0.45, "mouthRollLower": 0.3},
        {"browDown": 0.35, "eyeLookDown": 0.4, "mouthRollLower": 0.5},
        {"browDown": 0.3, "mouthPucker": 0.6, "eyeSquint": 0.3},
    ),
    "embarrassment": (
        {"mouthSmile": 0.25, "mouthPress": 0.4, "eyeLookDown": 0.7, "browInnerUp": 0.3},
        {"mouthSmile": 0.22, "mouthRollLower": 0.4, "eyeLookDown": 0.7, "cheekSquint": 0.2},
    ),
    "pride": (
        {"mouthSmile": 0.32, "browOuterUp": 0.3, "mouthPress": 0.2},
        {"mouthSmile": 0.28, "mouthDimple": 0.35, "eyeSquint": 0.2, "jawForward": 0.1},
    ),
    "playfulness": (
        {"tongueOut": 0.95, "jawOpen": 0.5, "mouthSmile": 0.2, "eyeSquint": 0.3},
        {"eyeBlinkLeft": 1.0, "mouthSmile": 0.4, "cheekSquintLeft": 0.6},
        {"eyeBlinkRight": 1.0, "mouthSmile": 0.4, "cheekSquintRight": 0.6},
        {"mouthPucker": 1.0, "browOuterUp": 0.4},
        {"cheekPuff": 1.0, "eyeWide": 0.4, "browOuterUp": 0.4},
    ),
}
"""Emotion -> recipes, each as likely as the next."""

UNPAIRED = frozenset(
    (
        *("jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel"),
        *("mouthPucker", "mouthLeft", "mouthRight", "mouthRollLower", "mouthRollUpper"),
        *("mouthShrugLower", "mouthShrugUpper", "browInnerUp", "cheekPuff", "tongueOut"),
    )
)
"""ARKit actions of the middle of the face."""

_JITTER, _SIDE_JITTER = 0.22, 0.07
_ONE_SIDED = 0.08
"""How often one half of the face does clearly more than the other."""
_MISSING = 0.15
"""How often an action of the recipe is left out."""


@dataclass(frozen=True)
class UnknownEmotionError(ValueError):
    """There is no recipe for an emotion of this name."""

    name: str

    def __str__(self) -> str:
        [nearest] = difflib.get_close_matches(self.name, RECIPES, n=1, cutoff=0)
        known = ", ".join(RECIPES)
        return f"no emotion {self.name!r}; did you mean {nearest!r}? Known: {known}"


def emotion_arkit(name: str, intensity: float, generator: torch.Generator) -> dict[str, float]:
    """ARKit weights in [0, 1] of somebody who shows an emotion.

    Args:
        name: A key of `RECIPES`.
        intensity: From 0 (nothing to be seen) to 1.

    Raises:
        UnknownEmotionError: There is no such emotion.
        ValueError: The intensity lies outside [0, 1].
    """
    return mixed_weights(name, intensity, dice_of(generator))


def mixed_weights(name: str, intensity: float, dice: random.Random) -> dict[str, float]:
    """`emotion_arkit` from a stream of choices."""
    if name not in RECIPES:
        raise UnknownEmotionError(name)
    if not 0.0 <= intensity <= 1.0:
        raise ValueError(f"the intensity of an emotion must be in [0, 1], got {intensity}")
    recipe = dice.choice(RECIPES[name])
    weaker_side = dice.choice(("Left", "Right")) if dice.random() < _ONE_SIDED else ""
    weaker_share = dice.uniform(0.3, 0.7)
    weights: dict[str, float] = {}
    for position, (action, weight) in enumerate(recipe.items()):
        if position > 0 and dice.random() < _MISSING:
            continue
        common = weight * intensity * (1 + dice.gauss(0, _JITTER))
        for half in halves(action):
            share = weaker_share if weaker_side and half.endswith(weaker_side) else 1.0
            share *= 1 + dice.gauss(0, _SIDE_JITTER)
            weights[half] = min(max(common * share, 0.0), 1.0)
    return weights


def halves(action: str) -> tuple[str, ...]:
    """The blendshapes of an action: itself, or its left and its right half."""
    if action in UNPAIRED or action.endswith(("Left", "Right")):
        return (action,)
    return (f"{action}Left", f"{action}Right")


_GLANCES: tuple[tuple[str, ...], ...] = (
    ("eyeLookOutLeft", "eyeLookInRight"),
    ("eyeLookInLeft", "eyeLookOutRight"),
    ("eyeLookDownLeft", "eyeLookDownRight"),
    ("eyeLookUpLeft", "eyeLookUpRight"),
)
_GLANCING = 0.15


def glance(dice: random.Random) -> dict[str, float]:
    """Mostly nothing; at times both eyes look aside, up or down."""
    if dice.random() > _GLANCING:
        return {}
    return dict.fromkeys(dice.choice(_GLANCES), dice.uniform(0.3, 0.8))
