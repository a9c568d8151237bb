"""A painted face with known landmarks: nobody's photo."""

import numpy as np
from PIL import Image, ImageDraw

SKIN = (205, 150, 125)
HAIR = (45, 30, 25)
BACKGROUND = (90, 120, 160)


def _arc(x: float, y: float, width: float, height: float, angles: np.ndarray) -> np.ndarray:
    return np.stack([x + width * np.cos(angles), y + height * np.sin(angles)], axis=1)


def _landmarks() -> np.ndarray:
    jaw = _arc(112, 110, 62, 90, np.linspace(np.pi, 0, 17))
    brows = [
        np.stack([x + np.linspace(-15, 15, 5), 74 - 4 * np.cos(np.linspace(-1, 1, 5))], axis=1)
        for x in (80, 144)
    ]
    bridge = np.stack([np.full(4, 112.0), np.linspace(93, 129, 4)], axis=1)
    nostrils = np.stack([112 + np.linspace(-10, 10, 5), [138, 140, 141, 140, 138]], axis=1)
    eye = np.array([(-11, 0), (-4, -5), (4, -5), (11, 0), (4, 4), (-4, 4)])
    eyes = [eye + (80, 93), eye + (144, 93)]
    outer = _arc(112, 160, 29, 11, np.pi + np.arange(12) * np.pi / 6)
    inner = _arc(112, 160, 22, 4, np.pi + np.arange(8) * np.pi / 4)
    return np.concatenate([jaw, *brows, bridge, nostrils, *eyes, outer, inner]).astype(np.float64)


LANDMARKS_PX = _landmarks()
"""(68, 2) in pixels of the picture."""


def painted_face(skin: tuple[int, int, int] = SKIN, fringe: bool = False) -> np.ndarray:
    """(224, 224, 3): hair, face, eyes, open mouth; a little noise."""
    picture = Image.new("RGB", (224, 224), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((35, 5, 189, 205), fill=HAIR)
    draw.ellipse((50, 30, 174, 200), fill=skin)
    if fringe:
        draw.rectangle((50, 20, 174, 62), fill=HAIR)
    for eye in (LANDMARKS_PX[36:42], LANDMARKS_PX[42:48]):
        draw.polygon([tuple(p) for p in eye], fill=(235, 235, 235))
    draw.polygon([tuple(p) for p in LANDMARKS_PX[48:60]], fill=(170, 40, 60))
    draw.polygon([tuple(p) for p in LANDMARKS_PX[60:68]], fill=(20, 5, 5))
    noise = np.random.default_rng(0).normal(0, 4, (224, 224, 3))
    return np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)
