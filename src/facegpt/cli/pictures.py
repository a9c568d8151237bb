"""`facegpt render` and `facegpt edit`: a saved face in another pose or light, or changed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro


def render(
    face: tyro.conf.Positional[Path],
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("face.png"),
    yaw: float | None = None,
    pitch: float | None = None,
    roll: float | None = None,
    light: str = "fitted",
    expression: tuple[str, ...] = (),
    size: int = 512,
    turntable: Path | None = None,
) -> int:
    """Render a saved face again: another pose, light or expression.

    Args:
        face: A face.json that facegpt wrote.
        output: The picture (PNG).
        yaw: Degrees, positive turns the nose to the right of the picture. Without any angle the
            head keeps the pose it has in the photo.
        pitch: Degrees, positive looks down.
        roll: Degrees, positive turns counter-clockwise.
        light: fitted (as in the photo), or a named one: front, left, right, top, bottom, rim.
        expression: ARKit weights in [0, 1], such as jawOpen=0.5 mouthSmileLeft=1.
        size: Side of the picture in pixels, 16 to 4096.
        turntable: Also write an animated GIF of the turning head.
    """
    from facegpt.rendering.restage import Staging, render_record

    staging = Staging(
        angles_degrees=(yaw, pitch, roll),
        light=light,
        arkit=_parse_weights(expression),
        size=size,
    )
    for path in render_record(face, staging, output, turntable):
        print(path)
    return 0


def edit(
    face: tyro.conf.Positional[Path],
    changes: tyro.conf.Positional[tuple[str, ...]] = (),
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("faces/edited"),
) -> int:
    """Change a saved face by meaning, and write the new head.

    A measurement (docs/semantics.md) moves by standard deviations of the population, such as
    nose_width=+1.5 or skin_lightness=-1; an ARKit blendshape is set to a weight between 0 and 1,
    such as jawOpen=0.4. The texture beside the record is kept and recoloured.

    Args:
        face: A face.json that facegpt wrote.
        changes: NAME=VALUE, one or more.
        output: Folder of the new head.
    """
    from facegpt.pipeline.changing import edit_record

    if not changes:
        raise ValueError("say what to change, such as: facegpt edit face.json nose_width=+1.5")
    for path in edit_record(face, changes, output):
        print(path)
    return 0


def _parse_weights(pairs: Sequence[str]) -> dict[str, float]:
    weights = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        try:
            weights[name] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise ValueError(f"--expression takes NAME=WEIGHT such as jawOpen=0.5, got {pair!r}")
    return weights
