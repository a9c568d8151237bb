"""What is skin and what is light, where photos cannot tell: the conventions.

A factor that depends on the normal only can go to the albedo or to the light of everybody. Chosen
here: the brightness of plain skin on the mean face does not depend on its normal, and the light,
averaged over the seen face and the population, is 1 in every colour.
"""

import numpy as np
from numpy.typing import NDArray

from face_model.photo_light import Array32, LinearAlbedo, harmonics
from facegpt.morphable.colour import LUMINANCE_WEIGHTS

_SYMMETRIC = (0, 1, 2, 5, 6, 8)
"""Harmonics that a mirror leaves alone."""
_ODD_IN_X = (3, 4, 7)
_LARGEST_STEP = 0.5
_ROUNDS = 10
_OUTLIER = 0.08


def flattened(
    albedo: LinearAlbedo,
    normals: Array32,
    plain: NDArray[np.float64],
    *,
    strength: float = 1.0,
) -> LinearAlbedo:
    """The albedo divided by the part of its mean brightness that the normal alone explains.

    Args:
        normals: (skin, 3) mean normals in viewer axes.
        plain: (skin,) weight of each vertex as plain skin; 0 for lips, brows, lids.
        strength: 1 removes all of it.
    """
    design = harmonics(normals)[:, _SYMMETRIC].astype(float)
    brightness = np.log(np.maximum(albedo.mean @ np.array(LUMINANCE_WEIGHTS), 0.02))
    weight, rest = plain, np.zeros_like(brightness)
    for _ in range(_ROUNDS):
        weight = plain / (1 + (rest / _OUTLIER) ** 2)
        normal = design.T @ (design * weight[:, None]) + 1e-3 * weight.sum() * np.eye(6)
        rest = brightness - design @ np.linalg.solve(normal, design.T @ (weight * brightness))
    shade = brightness - rest
    shade = strength * (shade - (shade * plain).sum() / plain.sum())
    factor = np.exp(shade.clip(-_LARGEST_STEP, _LARGEST_STEP)).astype(np.float32)[:, None]
    return LinearAlbedo(albedo.mean / factor, albedo.basis / factor)


def mean_light(light: Array32, people: Array32) -> Array32:
    """(9, 3) mean over the population and its mirror image."""
    mean = np.einsum("n,nkc->kc", people / people.sum(), light)
    mean[list(_ODD_IN_X)] = 0
    return mean


def with_white_light(
    albedo: LinearAlbedo, light: Array32, people: Array32, facing: Array32
) -> tuple[LinearAlbedo, Array32]:
    """The same photos with the mean brightness and colour of the light moved into the albedo.

    Args:
        facing: (9,) mean of H(n) over the seen face.
    """
    level = facing @ mean_light(light, people)
    scaled = LinearAlbedo(albedo.mean * level, albedo.basis * level)
    return scaled, (light / level).astype(np.float32)
