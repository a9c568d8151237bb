"""Render the pictures of README and manual into docs/images: the model alone, no photo of anybody.

python scripts/build_pictures.py
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from facegpt.morphable.blendshapes import expression_from_arkit
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.registry import load_morphable_model
from facegpt.rendering.pictures import CLAY, lit, portrait, render_head

OUTPUT = Path(__file__).parent.parent / "docs/images"
SIDE = 256

EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "cheekSquintLeft": 0.5,
              "cheekSquintRight": 0.5, "jawOpen": 0.08, "mouthUpperUpLeft": 0.3,
              "mouthUpperUpRight": 0.3},
    "surprise": {"jawOpen": 0.45, "browInnerUp": 0.9, "browOuterUpLeft": 0.8,
                 "browOuterUpRight": 0.8, "eyeWideLeft": 0.7, "eyeWideRight": 0.7},
    "anger": {"browDownLeft": 0.9, "browDownRight": 0.9, "eyeSquintLeft": 0.5,
              "eyeSquintRight": 0.5, "noseSneerLeft": 0.4, "noseSneerRight": 0.4,
              "mouthFrownLeft": 0.4, "mouthFrownRight": 0.4, "mouthPressLeft": 0.4,
              "mouthPressRight": 0.4},
    "sadness": {"browInnerUp": 0.9, "mouthFrownLeft": 0.7, "mouthFrownRight": 0.7,
                "mouthShrugLower": 0.3, "eyeLookDownLeft": 0.3, "eyeLookDownRight": 0.3},
    "wink": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.5, "mouthSmileLeft": 0.6,
             "mouthSmileRight": 0.25},
}  # fmt: skip
LIGHTS = ("right", "left", "right", "top", "left", "right")


def people(model: MorphableModel, count: int, *, seed: int, spread: float) -> FaceParameters:
    """Random faces of the model."""
    random = torch.Generator().manual_seed(seed)
    shape = torch.randn(count, model.identity_mm.shape[0], generator=random) * spread
    albedo = torch.randn(count, model.albedo_basis.shape[0], generator=random) * spread
    return FaceParameters.zeros(count).replace(shape=shape, albedo=albedo)


def row(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures side by side."""
    return np.concatenate(pictures, axis=1)


def teaser(model: MorphableModel) -> np.ndarray:
    """Six people; each with an expression; in another light; as clay."""
    faces = people(model, len(EXPRESSIONS), seed=7, spread=0.85)
    plain, acting, relit, clay = [], [], [], []
    for i, weights in enumerate(EXPRESSIONS.values()):
        face = faces[i]
        yaw = math.radians((-25, 0, 20, -10, 30, 0)[i])
        expression = expression_from_arkit(model, weights)
        moved = replace(face, expression=expression)
        plain.append(shown(model, lit(portrait(model, face, yaw=yaw), "front")))
        acting.append(shown(model, lit(portrait(model, moved), "front")))
        relit.append(shown(model, lit(portrait(model, moved, yaw=-yaw), LIGHTS[i])))
        clay.append(shown(model, lit(portrait(model, moved, yaw=yaw), "left"), CLAY))
    return np.concatenate([row(plain), row(acting), row(relit), row(clay)])


def shown(
    model: MorphableModel, theta: FaceParameters, texture: np.ndarray | None = None
) -> np.ndarray:
    """One head at the size of a tile."""
    return render_head(model, theta, texture=texture, size=SIDE)


def components(model: MorphableModel) -> np.ndarray:
    """The first components of identity (above) and albedo (below), at -2 and +2 deviations."""
    rows = []
    for block in ("shape", "albedo"):
        for sign in (-2.0, 2.0):
            tiles = []
            for k in range(6):
                theta = FaceParameters.zeros(1)
                getattr(theta, block)[0, k] = sign
                tiles.append(shown(model, lit(portrait(model, theta, yaw=0.35), "front")))
            rows.append(row(tiles))
    return np.concatenate(rows)


def main() -> None:
    """Write the pictures."""
    model = load_morphable_model("default")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for name, pixels in (("teaser", teaser(model)), ("components", components(model))):
        path = OUTPUT / f"{name}.png"
        Image.fromarray(pixels).quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(
            path, optimize=True
        )
        print(f"{path.name}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
