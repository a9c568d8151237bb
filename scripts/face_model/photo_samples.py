"""What photos show at the vertices of the fitted face: colours without any model of albedo.

Each photo gives, for every skin vertex, the colour that explains its pixels best and how many
pixels that were. Light is still in it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facegpt.geometry.camera import project_orthographic, rotation_from_angles
from facegpt.geometry.mesh import vertex_normals
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.rendering.numba_kernels import (
    interpolate_backward,
    interpolate_forward,
    rasterize_one,
)

_SHARPENING = 4
"""Steps from the blurred average around a vertex towards the least-squares colour."""

_EDGE, _FACING = 0.06, 0.30
"""z of the normal from which on a vertex begins to count, and counts in full: a little beyond the
outline of a face, photos show hair or background."""


@dataclass(frozen=True)
class PhotoSamples:
    """Colours seen at the skin vertices of many photos."""

    colour: NDArray[np.float16]
    """(photo, skin, 3) sRGB."""
    pixels: NDArray[np.float16]
    """(photo, skin) number of pixels that speak for a vertex."""
    normals: NDArray[np.float16]
    """(photo, skin, 3) in viewer axes."""
    skin: NDArray[np.int64]
    """(skin,) vertex numbers in the model."""

    def __len__(self) -> int:
        return len(self.colour)


def sample_photos(
    model: MorphableModel,
    skin: NDArray[np.int64],
    photos: Iterable[tuple[NDArray[np.float32], NDArray[np.bool_], FaceParameters]],
) -> PhotoSamples:
    """Sample every photo at its fitted face.

    Args:
        skin: (skin,) vertices of interest.
        photos: Crop (224, 224, 3) in [0, 1], mask of usable pixels, theta of one face.
    """
    sampler = _Sampler(model, skin)
    rows = [sampler(crop, mask, theta) for crop, mask, theta in photos]
    colour, pixels, normals = (np.stack(column) for column in zip(*rows, strict=True))
    return PhotoSamples(colour, pixels, normals, skin)


class _Sampler:
    def __init__(self, model: MorphableModel, skin: NDArray[np.int64]) -> None:
        self._model, self._skin = model, skin
        self._triangles = model.triangles.numpy()
        count = len(model.mean_mm)
        self._ids = np.empty((CROP_SIZE, CROP_SIZE), np.int32)
        self._nearest = np.empty((CROP_SIZE, CROP_SIZE))
        self._corners = np.empty((count, 2), np.int64)
        self._image = np.empty((CROP_SIZE, CROP_SIZE, 3), np.float32)
        self._grad_screen = np.empty((count, 3), np.float32)

    def __call__(
        self, crop: NDArray[np.float32], mask: NDArray[np.bool_], theta: FaceParameters
    ) -> Iterator[NDArray[np.float16]]:
        model = self._model
        with torch.no_grad():
            vertices = model.vertices_mm(theta.shape, theta.expression)
            screen = project_orthographic(vertices, theta.camera, CROP_SIZE, model.pixels_per_mm)[
                0
            ].numpy()
            normals = vertex_normals(vertices, model.triangles)[0]
            normals = (normals @ rotation_from_angles(theta.camera[:, :3])[0].T).numpy()
        rasterize_one(screen, self._triangles, True, self._ids, self._nearest, self._corners)
        self._ids[~mask] = -1
        total = self._gather(screen, np.ones_like(crop))[:, :1].clip(0)
        share = 1 / np.maximum(total, 1e-3)
        colour = self._gather(screen, crop) * share
        for _ in range(_SHARPENING):
            interpolate_forward(screen, colour, self._ids, self._triangles, False, self._image)
            colour = colour + self._gather(screen, crop - self._image) * share
        total *= np.clip((normals[:, 2:] - _EDGE) / (_FACING - _EDGE), 0, 1)
        skin = self._skin
        seen = (colour.clip(0, 1)[skin], total[skin, 0], normals[skin])
        return (x.astype(np.float16) for x in seen)

    def _gather(
        self, screen: NDArray[np.float32], image: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Sum over the pixels, weighted as the vertices are interpolated."""
        values = np.zeros((len(screen), 3), np.float32)
        total = np.empty_like(values)
        interpolate_backward(
            screen, values, self._ids, self._triangles, False, image, self._grad_screen, total
        )
        return total
