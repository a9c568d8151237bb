"""Expression: the 52 ARKit shapes, repaired, and the 64-dimensional space that contains them.

The space is spanned by the 52 shapes and 12 further directions of MakeHuman's expression units. Its
axes are whitened by the second moment of plausible sparse activations about the neutral face, so
zero is neutral and delta is N(0, 1) in size.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from face_model import repairs
from face_model.deform import ControlGraph
from face_model.identity import vertex_importance
from face_model.makehuman import ETHNICITIES, Array, MakeHuman
from face_model.topology import HeadMesh

_PAIRS_BEFORE_JAW = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp")
ARKIT = (
    *(f"{n}Left" for n in (*_PAIRS_BEFORE_JAW, "eyeSquint", "eyeWide")),
    *(f"{n}Right" for n in (*_PAIRS_BEFORE_JAW, "eyeSquint", "eyeWide")),
    *("jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker"),
    *("mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight"),
    *("mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight"),
    *("mouthStretchLeft", "mouthStretchRight", "mouthRollLower", "mouthRollUpper"),
    *("mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight"),
    *("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight"),
    "tongueOut",
)
"""Apple's names in Apple's order; left is the person's left."""
DIMENSIONS = 64


@dataclass(frozen=True)
class Expression:
    """Shapes over the control vertices, in mm."""

    arkit: Array
    """(52, control, 3) at weight 1. mouthClose is a corrective: it closes the lips of jawOpen =
    1."""
    further: Array
    """(12, control, 3) directions outside the span of the 52."""
    whitening: Array
    """(64, 64): expression axis = whitening @ (52 shapes, 12 directions)."""


def build_expression(
    data: MakeHuman,
    mesh: HeadMesh,
    mean_mm: Array,
    rims: repairs.Rims,
    graph: ControlGraph,
    generator: np.random.Generator,
) -> Expression:
    """Read, repair, extend, whiten."""
    arkit = _repaired(data, mesh, mean_mm, rims, graph)
    units = _units(data, mesh)
    gram = (mesh.stencil.T @ sp.diags(vertex_importance(mesh)) @ mesh.stencil).tocsr()
    inner = lambda a, b: sum(a[:, :, k] @ (gram @ b[:, :, k].T) for k in range(3))  # noqa: E731
    share = np.linalg.solve(inner(arkit, arkit), inner(arkit, units))
    rest = units - np.tensordot(share.T, arkit, 1)
    values, vectors = np.linalg.eigh(inner(rest, rest))
    order = np.argsort(-values)[: DIMENSIONS - len(ARKIT)]
    further = np.tensordot(vectors[:, order].T, rest, 1)
    scale = np.abs(further).max((1, 2), keepdims=True)
    further = 6.0 * further / scale
    shapes = np.concatenate([arkit, further])
    moment = _second_moment(generator)
    return Expression(arkit, further, _whitening(moment, inner(shapes, shapes)))


def _second_moment(generator: np.random.Generator, count: int = 40_000) -> Array:
    """E[w w^T] of sparse, mostly two-sided activations of the 52 shapes and 12 directions."""
    active = generator.random((count, len(ARKIT))) < 0.22
    weight = active * generator.beta(1.2, 2.0, (count, len(ARKIT)))
    for left, name in enumerate(ARKIT):
        if name.endswith("Left") and name not in ("jawLeft", "mouthLeft"):
            right = ARKIT.index(name.removesuffix("Left") + "Right")
            if name.startswith("eyeLookIn"):
                right = ARKIT.index("eyeLookOutRight")
            elif name.startswith("eyeLookOut"):
                right = ARKIT.index("eyeLookInRight")
            both = generator.random(count) < 0.8
            noise = generator.normal(0, 0.06, count) * (weight[:, left] > 0)
            weight[both, right] = np.clip(weight[:, left] + noise, 0, 1)[both]
    close, jaw = ARKIT.index("mouthClose"), ARKIT.index("jawOpen")
    weight[:, close] = np.minimum(weight[:, close], weight[:, jaw])
    further = generator.normal(0, 0.22, (count, DIMENSIONS - len(ARKIT)))
    weight = np.concatenate([weight, further], 1)
    return weight.T @ weight / count


def _whitening(moment: Array, gram: Array) -> Array:
    """Axes A (64, 64) over the shapes, so that coefficients of activations have the identity as
    second moment.

    The axes are those of the principal motion in mm: A.T @ A equals the second moment, and the
    shapes A stands for are mutually orthogonal, largest first.
    """
    root = np.linalg.cholesky(moment)
    values, vectors = np.linalg.eigh(root.T @ gram @ root)
    axes = (root @ vectors[:, ::-1]).T
    if values[0] <= 0:
        raise ValueError("the 64 expression shapes are linearly dependent")
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(1)]
    return axes * np.sign(largest)[:, None]


def _units(data: MakeHuman, mesh: HeadMesh) -> Array:
    names = [n.split("/")[-1] for n in data.target_names("expression/units/caucasian")]
    folders = [f"expression/units/{name}" for name in ETHNICITIES]
    return np.stack(
        [
            np.mean([data.target(f"{f}/{n}")[mesh.controls].astype(float) for f in folders], axis=0)
            for n in names
            if n != "neck-platysma"
        ]
    )


def _repaired(
    data: MakeHuman, mesh: HeadMesh, mean_mm: Array, rims: repairs.Rims, graph: ControlGraph
) -> Array:
    """The 52 shapes; what exists on two sides is made on the left and mirrored."""
    shapes = {n: data.target(f"faceunits/{n}")[mesh.controls].astype(float) for n in ARKIT}
    for name in ARKIT:
        if name.startswith(("mouth", "cheek", "jaw")):
            shapes[name] = repairs.without_creases(shapes[name], mean_mm, rims, graph)
    shapes["jawOpen"] = repairs.opened_jaw(shapes["jawOpen"], rims)
    blink = repairs.blink_left(shapes["eyeBlinkLeft"], mean_mm, rims, graph)
    shapes["eyeBlinkLeft"] = blink
    for direction in repairs.GLANCE_DEGREES:
        name = f"eyeLook{direction}Left"
        shapes[name] = repairs.glance_left(shapes[name], direction, blink, mean_mm, rims, graph)
    for name in ARKIT:
        twin = name.replace("Right", "Left")
        flipped = shapes[twin][graph.mirror] * [-1, 1, 1]
        if twin != name:
            shapes[name] = flipped
        elif not name.endswith("Left"):
            shapes[name] = (shapes[name] + flipped) / 2
    return np.stack([shapes[name] for name in ARKIT])
