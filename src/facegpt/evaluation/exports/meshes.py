"""What of a head benchmarks are given: its outer surface, with or without expression, as plain OBJ.

The inside of the mouth is left out: scans do not have it, and the way from a scan to the nearest
point of a mesh would end there. Knows no benchmark.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters

INNER_PARTS = ("mouth", "teeth", "tongue")


@dataclass(frozen=True)
class SurfaceMesh:
    """The outer surface of one face; all faces of a model have the same triangles."""

    vertices_mm: Float[Tensor, "vertex 3"]
    """In the frame of the model: no pose, x to the viewer's right, y up, z out of the face."""
    triangles: Int[Tensor, "triangle 3"]
    landmarks68: Int[Tensor, "68"]
    """The iBUG points as vertex numbers."""

    def to_obj(self) -> bytes:
        """A Wavefront file of `v` and `f` lines alone: the reader of NoW takes no colours behind a
        vertex, that of REALY no empty place between two slashes."""
        lines = [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in self.vertices_mm.tolist()]
        lines += [f"f {a} {b} {c}" for a, b, c in (self.triangles + 1).tolist()]
        return ("\n".join(lines) + "\n").encode("ascii")


def outer_model(model: MorphableModel) -> MorphableModel:
    """The model without the inside of the mouth."""
    return model.restricted_to([name for name in model.part_names if name not in INNER_PARTS])


def surface_of(outer: MorphableModel, theta: FaceParameters, *, expression: bool) -> SurfaceMesh:
    """The surface of one face.

    Args:
        outer: What `outer_model` gives.
        theta: A batch of one.
        expression: Keep the expression; without it the face is neutral.
    """
    delta = theta.expression if expression else torch.zeros_like(theta.expression)
    vertices_mm = outer.vertices_mm(theta.shape, delta)[0].detach()
    return SurfaceMesh(vertices_mm, outer.triangles, outer.landmarks68)
