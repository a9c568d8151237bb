"""The surface of a changed face, for sliders: computed in hundredths of a second, no file written.

What comes back lies over the GLB of the unchanged face, which a viewer has already, vertex by
vertex.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.geometry.gltf import corner_arrays
from facegpt.morphable.model import MorphableModel
from facegpt.pipeline.changing import Change, changed_theta
from facegpt.reconstruction import FaceReconstruction
from facegpt.rendering.results import rigged_mesh
from facegpt.rendering.texture import albedo_factor


def surface_bytes(model: MorphableModel, face: FaceReconstruction, change: Change) -> bytes:
    """Three arrays one after the other, each float32, little-endian (corner, 3): POSITION in
    metres and NORMAL of the changed face as they must be for it to look as fitted when the
    blendshapes of the GLB stand at its ARKit weights, and by which factor of linear light the
    colour of the texture changes. A GLB alone shows of the expression what blendshapes can.

    Args:
        change: Blendshapes in it make no difference: a viewer sets these itself.

    Raises:
        ValueError: As `changed_theta`.
    """
    theta = changed_theta(model, face, Change(change.semantics))
    with torch.no_grad():
        factor = albedo_factor(model, face.parameters, theta).numpy()
    # Corners are told apart by their texel, so the texture may have any size.
    texture = np.zeros((1, 1, 3), np.uint8)
    mesh = rigged_mesh(model, replace(face, parameters=theta), texture, {})
    mesh = replace(mesh, vertices_mm=mesh.vertices_mm + _beyond_blendshapes(model, face))
    return b"".join(array.astype("<f4").tobytes() for array in corner_arrays(mesh, factor))


def _beyond_blendshapes(
    model: MorphableModel, face: FaceReconstruction
) -> Float[Tensor, "vertex 3"]:
    """What the fitted expression has and its ARKit weights do not, in mm."""
    theta = face.parameters
    if not model.arkit_names:
        return torch.zeros_like(model.mean_mm)
    with torch.no_grad():
        still = model.vertices_mm(theta.shape, torch.zeros_like(theta.expression))[0]
        moved = model.vertices_mm(theta.shape, theta.expression)[0]
    weights = torch.tensor([face.arkit.get(name, 0.0) for name in model.arkit_names])
    return moved - still - torch.einsum("k,kva->va", weights, model.arkit_mm)
