"""A saved face in another pose, light or expression: what `facegpt render` does.

The texture that was saved beside the record is used when it is there, else the albedo of theta.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from facegpt.morphable.blendshapes import expression_from_arkit
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.registry import load_morphable_model
from facegpt.reconstruction import read_record
from facegpt.rendering.pictures import lit, portrait, render_head, turntable
from facegpt.rendering.results import load_texture

FITTED_LIGHT = "fitted"
_TURNTABLE_FRAMES = 36
_TURNTABLE_MS = 80


@dataclass(frozen=True)
class Staging:
    """How to show a face."""

    angles_degrees: tuple[float | None, float | None, float | None] = (None, None, None)
    """Yaw, pitch, roll; all None keeps the pose of the photo, one given puts the others at 0."""
    light: str = FITTED_LIGHT
    """`fitted`, or a named light (`rendering.pictures.LIGHTS`)."""
    arkit: Mapping[str, float] = field(default_factory=dict)
    """Blendshapes to set, weights in [0, 1]; the others stay as fitted."""
    size: int = 512
    """Side of the picture in pixels."""

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 4096:
            raise ValueError(f"--size must be between 16 and 4096 pixels, got {self.size}")
        for name, angle in zip(("yaw", "pitch", "roll"), self.angles_degrees, strict=True):
            if angle is not None and not abs(angle) <= 360:
                raise ValueError(f"--{name} must lie within 360 degrees, got {angle}")


def render_record(
    record: Path, staging: Staging, output: Path, turntable_output: Path | None = None
) -> list[Path]:
    """Render a face.json into a PNG, and into an animated GIF of the turning head if asked for.

    Returns:
        The files written.

    Raises:
        FaceRecordError: The record is damaged.
        ValueError: No such blendshape or light.
        AssetMissingError: The morphable model of the record is not installed.
    """
    face = read_record(record)
    model = load_morphable_model(face.morphable_model)
    texture = load_texture(record.parent)
    theta = staged(model, face.parameters, face.arkit, staging)
    pixels = render_head(model, theta, texture=texture, size=staging.size)
    _save(Image.fromarray(pixels), output)
    if turntable_output is None:
        return [output]
    frames = turntable(
        model, theta, texture=texture, frames=_TURNTABLE_FRAMES, size=min(staging.size, 512)
    )
    first, *rest = (Image.fromarray(frame) for frame in frames)
    _save(
        first,
        turntable_output,
        save_all=True,
        append_images=rest,
        duration=_TURNTABLE_MS,
        loop=0,
    )
    return [output, turntable_output]


def staged(
    model: MorphableModel,
    theta: FaceParameters,
    fitted_arkit: Mapping[str, float],
    staging: Staging,
) -> FaceParameters:
    """Theta of the face as it shall be shown."""
    if staging.arkit:
        wanted = expression_from_arkit(model, staging.arkit)
        present = {name: fitted_arkit.get(name, 0.0) for name in staging.arkit}
        change = wanted - expression_from_arkit(model, present)
        theta = theta.replace(expression=theta.expression + change)
    if staging.light != FITTED_LIGHT:
        theta = lit(theta, staging.light)
    if any(angle is not None for angle in staging.angles_degrees):
        yaw, pitch, roll = (math.radians(angle or 0.0) for angle in staging.angles_degrees)
        theta = portrait(model, theta, yaw=yaw, pitch=pitch, roll=roll)
    return theta


def _save(picture: Image.Image, path: Path, **options: Any) -> None:
    """Write beside the target and move: a picture is never half there."""
    suffix = path.suffix.lower()
    if suffix not in Image.registered_extensions():
        raise ValueError(f"{path} has no picture suffix that can be written; use .png or .gif")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{suffix}")
    try:
        picture.save(partial, **options)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
