"""Light and albedo coefficients of each photo under the current albedo model.

colour = albedo(gamma) * (H(n) phi') is linear in gamma for known light and the other way round, so
Gauss-Newton finds both in a few steps, with robust weights and priors. The priors are the choice
that separates skin from light: lamps are taken as nearly white and nearly equally bright, so what
is left over of lightness and hue belongs to the skin.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from face_model.photo_samples import PhotoSamples
from facegpt.geometry.lighting import sh_basis
from facegpt.losses import (
    EXPOSURE_DEVIATION,
    LEVEL_DEVIATION,
    TINT_DEVIATION,
    WHITE_BALANCE_DEVIATION,
)

Array32 = NDArray[np.float32]

_NOISE = 0.05
_INDEPENDENT = 0.15
"""Neighbouring vertices say nearly the same: this share of the pixels counts."""
_ROBUST = 0.07
"""Colour distance at which a vertex counts half."""
_DARKEST_SHADING = 0.05


@dataclass(frozen=True)
class LinearAlbedo:
    """Mean and offsets per standard deviation at the skin vertices, sRGB."""

    mean: Array32
    """(skin, 3)."""
    basis: Array32
    """(component, skin, 3)."""


@dataclass(frozen=True)
class Explanation:
    """How the current model explains the photos."""

    gamma: Array32
    """(photo, component)."""
    doubt: Array32
    """(photo, component) variance left in gamma for known light."""
    light: Array32
    """(photo, 9, 3) coefficients of H, the white ambient light included."""
    trust: NDArray[np.float16]
    """(photo, skin) in [0, 1]: small where the photo shows something else than skin."""
    error: Array32
    """(photo,) mean RGB distance over the pixels."""

    @classmethod
    def start(cls, photos: int, skin: int, components: int, light: Array32) -> "Explanation":
        """The mean face under the mean light."""
        return cls(
            np.zeros((photos, components), np.float32),
            np.zeros((photos, components), np.float32),
            np.repeat(light[None], photos, 0).astype(np.float32),
            np.ones((photos, skin), np.float16),
            np.zeros(photos, np.float32),
        )


def white_light() -> Array32:
    """(9, 3) ambient light that shows the albedo."""
    light = np.zeros((9, 3), np.float32)
    light[0] = 1
    return light


def harmonics(normals: NDArray[np.float16]) -> Array32:
    """H(n), (..., 9)."""
    return sh_basis(torch.from_numpy(normals.astype(np.float32))).numpy()


def explain(
    samples: PhotoSamples,
    albedo: LinearAlbedo,
    before: Explanation,
    mean_light: Array32,
    facing: Array32,
    *,
    rounds: int = 2,
    stride: int = 3,
) -> Explanation:
    """Solve light and gamma of every photo, starting from what was known before.

    Args:
        mean_light: (9, 3) the light to which little evidence falls back.
        facing: (9,) mean of H(n) over the seen face.
        stride: Every n-th vertex is looked at (the errors and `trust` cover all).
    """
    solver = _Solver(albedo, mean_light, facing, stride)
    columns = []
    for i in range(len(samples)):
        seen = (samples.colour[i], samples.pixels[i], samples.normals[i])
        gamma, light = before.gamma[i], before.light[i]
        columns.append(solver(*seen, before.trust[i], gamma, light, rounds))
    return Explanation(*(np.stack(c) for c in zip(*columns, strict=True)))


class _Solver:
    def __init__(
        self,
        albedo: LinearAlbedo,
        mean_light: Array32,
        facing: Array32,
        stride: int,
    ) -> None:
        count = len(albedo.mean)
        self._some = np.random.default_rng(0).permutation(count)[: count // stride]
        self._albedo = albedo
        self._flat = albedo.basis.reshape(len(albedo.basis), -1)
        self._mean_some = albedo.mean[self._some]
        self._basis_some = np.ascontiguousarray(
            albedo.basis[:, self._some].reshape(len(albedo.basis), -1)
        )
        self._gain = stride * _INDEPENDENT / _NOISE**2
        self._mean_light = mean_light
        self._light_precision = _light_precision(facing)

    def __call__(
        self,
        colour: NDArray[np.float16],
        pixels: NDArray[np.float16],
        normals: NDArray[np.float16],
        trust: NDArray[np.float16],
        gamma: Array32,
        light: Array32,
        rounds: int,
    ) -> tuple[NDArray, ...]:
        some = self._some
        target = colour[some].astype(np.float32)
        basis9 = harmonics(normals[some])
        believed = (pixels[some] * trust[some]).astype(np.float32) * self._gain
        for _ in range(rounds):
            light, gamma, doubt = self._step(basis9, light, gamma, target, believed)
        shading = np.maximum(harmonics(normals) @ light, _DARKEST_SHADING)
        shown = (self._albedo.mean + (gamma @ self._flat).reshape(-1, 3)) * shading
        distance = np.linalg.norm(shown - colour.astype(np.float32), axis=1)
        weight = pixels.astype(np.float32)
        error = (distance * weight).sum() / max(weight.sum(), 1)
        trust = 1 / (1 + (distance / _ROBUST) ** 2)
        return gamma, doubt, light.astype(np.float32), trust.astype(np.float16), np.float32(error)

    def _step(
        self, basis9: Array32, light: Array32, gamma: Array32, target: Array32, weight: Array32
    ) -> tuple[Array32, Array32, Array32]:
        """One Gauss-Newton step for light and gamma together: solved in turn they would hardly
        move along what they share, the lightness and hue of the skin."""
        albedo = self._mean_some + (gamma @ self._basis_some).reshape(-1, 3)
        shading = np.maximum(basis9 @ light, _DARKEST_SHADING)
        root = np.sqrt(weight)[:, None]
        design = np.zeros((27 + len(gamma), len(root), 3), np.float32)
        for c in range(3):
            design[c:27:3, :, c] = (basis9 * (albedo[:, c : c + 1] * root)).T
        design[27:] = self._basis_some.reshape(len(gamma), -1, 3) * (shading * root)
        design = design.reshape(len(design), -1)
        rest = ((target + (albedo - self._mean_some) * shading) * root).ravel()
        normal = design @ design.T
        normal[:27, :27] += self._light_precision
        normal[np.arange(27, len(normal)), np.arange(27, len(normal))] += 1
        right = design @ rest
        right[:27] += self._light_precision @ self._mean_light.ravel()
        solved = np.linalg.solve(normal, right).astype(np.float32)
        doubt = np.diag(np.linalg.inv(normal[27:, 27:])).astype(np.float32)
        return solved[:27].reshape(9, 3), solved[27:], doubt


def _light_precision(facing: Array32) -> Array32:
    """(27, 27) of the prior; `facing` is the mean of H(n) over the seen face."""
    average = np.full((3, 3), 1 / 3)
    precision = np.zeros((9, 3, 9, 3))
    for k in range(9):
        precision[k, :, k] = average / LEVEL_DEVIATION[k] ** 2
        precision[k, :, k] += (np.eye(3) - average) / TINT_DEVIATION[k] ** 2
    whole = average / EXPOSURE_DEVIATION**2 + (np.eye(3) - average) / WHITE_BALANCE_DEVIATION**2
    precision += np.einsum("k,l,cd->kcld", facing, facing, whole)
    return precision.reshape(27, 27).astype(np.float32)
