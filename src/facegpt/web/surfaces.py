"""The surface of a changed face, for sliders: computed in hundredths of a second, no file written.

What comes back lies over the GLB of the unchanged face, which a viewer has already, vertex by
vertex.
"""

from dataclasses import replace

import numpy as np
import torch

from facegpt.geometry.gltf import corner_arrays
from facegpt.morphable.model import MorphableModel
from facegpt.pipeline.changing import Change, changed_theta
from facegpt.reconstruction import FaceReconstruction
from facegpt.rendering.results import rigged_mesh
from facegpt.rendering.texture import albedo_factor


def surface_bytes(model: MorphableModel, face: FaceReconstruction, change: Change) -> bytes:
    """Three arrays one after the other, each float32, little-endian (corner, 3): POSITION in
    metres and NORMAL as the GLB of the changed face would have them, and by which factor of linear
    light the colour of the texture changes.

    Raises:
        ValueError: As `changed_theta`.
    """
    theta = changed_theta(model, face, change)
    with torch.no_grad():
        factor = albedo_factor(model, face.parameters, theta).numpy()
    # Corners are told apart by their texel, so the texture may have any size.
    texture = np.zeros((1, 1, 3), np.uint8)
    mesh = rigged_mesh(model, replace(face, parameters=theta), texture, {})
    return b"".join(array.astype("<f4").tobytes() for array in corner_arrays(mesh, factor))
