"""Principal components of albedo from many photos that each show a part of the face.

Alternating least squares: given gamma and light of every photo, mean and basis of each vertex are a
small weighted regression; then the components are made orthogonal again. Photos count together with
their mirror images, so every component is symmetric or antisymmetric.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_model.photo_light import Array32, Explanation, LinearAlbedo, harmonics
from face_model.photo_samples import PhotoSamples

_CHUNK = 256
_PRIOR_PHOTOS = 12.0
"""How many photos the old value of a component at a vertex is worth."""
_DARKEST_SHADING = 0.3


@dataclass(frozen=True)
class Population:
    """Who counts how much, and where."""

    people: Array32
    """(photo,) weights, mean 1."""
    metric: Array32
    """(skin,) pixels that a vertex fills on average."""
    mirror: NDArray[np.int64]
    """(skin,) positions within the skin vertices."""

    @classmethod
    def of(cls, samples: PhotoSamples, people: Array32, mirror: NDArray[np.int64]) -> "Population":
        """The pixels are counted in the samples; `mirror` is the map of the model."""
        own = np.searchsorted(samples.skin, mirror[samples.skin])
        pixels = np.zeros(samples.pixels.shape[1], np.float32)
        for row, weight in zip(samples.pixels, people, strict=True):
            pixels += row.astype(np.float32) * weight
        pixels = (pixels + pixels[own]) / (2 * len(samples))
        return cls(people, np.maximum(pixels, 0.02), own)


def delit(samples: PhotoSamples, explanation: Explanation, rows: slice) -> tuple[Array32, Array32]:
    """Colours without the fitted light, and how far to believe them, for some photos.

    Returns:
        (photo, skin, 3), (photo, skin) in [0, 1].
    """
    shading = harmonics(samples.normals[rows]) @ explanation.light[rows]
    clipped = np.maximum(shading, _DARKEST_SHADING)
    albedo = samples.colour[rows].astype(np.float32) / clipped
    seen = np.minimum(samples.pixels[rows].astype(np.float32) / 0.5, 1)
    grey = clipped.mean(-1)
    weight = seen * explanation.trust[rows].astype(np.float32) * np.minimum(grey, 1) ** 2
    return albedo, weight


def weighted_mean(
    samples: PhotoSamples, explanation: Explanation, population: Population
) -> Array32:
    """Mean colour of each vertex without the fitted light, (skin, 3)."""
    total = np.zeros((len(population.metric), 3), np.float32)
    share = np.full((len(population.metric), 1), 1e-3, np.float32)
    for rows in _chunks(len(samples)):
        colour, weight = delit(samples, explanation, rows)
        weight = weight * population.people[rows, None]
        total += np.einsum("nv,nvc->vc", weight, colour)
        share += weight.sum(0)[:, None]
    mirror = population.mirror
    return (total + total[mirror]) / (share + share[mirror])


def first_components(
    samples: PhotoSamples,
    explanation: Explanation,
    population: Population,
    counts: tuple[int, int],
    *,
    iterations: int = 5,
) -> tuple[LinearAlbedo, NDArray[np.float32]]:
    """Start: mean and principal components by subspace iteration, what is not seen filled in.

    Args:
        counts: Number of symmetric and of antisymmetric components.

    Returns:
        The albedo and the sign (component,) under mirroring.
    """
    signs = np.repeat([1.0, -1.0], counts).astype(np.float32)
    mean = weighted_mean(samples, explanation, population)
    generator = np.random.default_rng(0)
    basis = generator.normal(size=(len(signs), *mean.shape)).astype(np.float32)
    root = np.sqrt(population.metric)[:, None]
    for step in range(iterations):
        basis = _orthonormal_rows(_with_sign(basis, signs, population.mirror) * root, signs)
        total = np.zeros_like(basis)
        second = np.zeros((len(signs), len(signs)))
        for rows in _chunks(len(samples)):
            colour, weight = delit(samples, explanation, rows)
            offset = ((colour - mean) * weight[..., None] * root).reshape(len(weight), -1)
            flat = basis.reshape(len(signs), -1)
            score = offset @ flat.T
            if step:
                unseen = (1 - weight)[..., None] * (score @ flat).reshape(*weight.shape, 3)
                offset += unseen.reshape(len(weight), -1)
                score = offset @ flat.T
            counted = score * population.people[rows, None]
            total += (counted.T @ offset).reshape(basis.shape)
            second += counted.T @ score
        basis = total / root
    deviation = np.sqrt(np.diag(second) / len(samples))
    unit = _orthonormal_rows(_with_sign(basis, signs, population.mirror) * root, signs) / root
    return LinearAlbedo(mean, unit * deviation[:, None, None].astype(np.float32)), signs


def regress(
    samples: PhotoSamples,
    explanation: Explanation,
    population: Population,
    before: LinearAlbedo,
    signs: Array32,
) -> LinearAlbedo:
    """Mean and basis that explain the photos best, given gamma and light of each."""
    count = len(signs) + 1
    design = np.c_[np.ones(len(samples), np.float32), explanation.gamma]
    upper = np.triu_indices(count)
    skin = len(before.mean)
    normal = np.zeros((skin, len(upper[0])), np.float32)
    right = np.zeros((skin, count, 3), np.float32)
    doubt = np.zeros((skin, count), np.float32)
    for rows in _chunks(len(samples)):
        colour, weight = delit(samples, explanation, rows)
        weight = weight * population.people[rows, None]
        z = design[rows]
        normal += weight.T @ (z[:, upper[0]] * z[:, upper[1]])
        doubt[:, 1:] += weight.T @ explanation.doubt[rows]
        for c in range(3):
            right[:, :, c] += (colour[..., c] * weight).T @ z
    flip = np.concatenate([[1], signs]).astype(np.float32)
    mirror = population.mirror
    normal += normal[mirror] * (flip[upper[0]] * flip[upper[1]])
    right += right[mirror] * flip[:, None]
    doubt += doubt[mirror]
    old = np.concatenate([before.mean[None], before.basis]).transpose(1, 0, 2)
    solved = np.empty_like(old)
    full = np.empty((count, count), np.float32)
    for v in range(skin):
        full[upper] = normal[v]
        full.T[upper] = normal[v]
        full[np.diag_indices(count)] += _PRIOR_PHOTOS + doubt[v]
        solved[v] = np.linalg.solve(full, right[v] + _PRIOR_PHOTOS * old[v])
    solved = solved.transpose(1, 0, 2)
    return LinearAlbedo(np.ascontiguousarray(solved[0]), np.ascontiguousarray(solved[1:]))


def principal_axes(
    albedo: LinearAlbedo, explanation: Explanation, population: Population, signs: Array32
) -> tuple[LinearAlbedo, Array32]:
    """The same model with uncorrelated gamma of unit variance and orthogonal components, the
    strongest first within its symmetry.

    Returns:
        The albedo, and gamma in its axes.
    """
    weight = population.people / population.people.sum()
    gamma, doubt = explanation.gamma, weight @ explanation.doubt
    mean, basis, new_gamma = albedo.mean.copy(), albedo.basis.copy(), gamma.copy()
    root = np.sqrt(population.metric)[:, None]
    for sign in (1, -1):
        own = np.flatnonzero(signs == sign)
        block, score = albedo.basis[own], gamma[:, own]
        centre = weight @ score if sign > 0 else np.zeros(len(own), np.float32)
        mean += np.tensordot(centre, block, 1)
        score = score - centre
        second = (score * weight[:, None]).T @ score + np.diag(doubt[own])
        spread, axes = np.linalg.eigh(second)
        spread = np.sqrt(np.maximum(spread, 1e-8))
        whitened = (block.reshape(len(own), -1).T @ (axes * spread)).T.reshape(block.shape)
        flat = (whitened * root).reshape(len(own), -1)
        turn = np.linalg.eigh(flat @ flat.T)[1][:, ::-1]
        basis[own] = np.tensordot(turn.T, whitened, 1)
        new_gamma[:, own] = score @ (axes / spread) @ turn
    return LinearAlbedo(mean, basis), new_gamma


def _chunks(count: int) -> list[slice]:
    return [slice(i, min(i + _CHUNK, count)) for i in range(0, count, _CHUNK)]


def _with_sign(basis: Array32, signs: Array32, mirror: NDArray[np.int64]) -> Array32:
    return (basis + signs[:, None, None] * basis[:, mirror]) / 2


def _orthonormal_rows(basis: Array32, signs: Array32) -> Array32:
    result = np.empty_like(basis)
    for sign in (1, -1):
        own = np.flatnonzero(signs == sign)
        q, _ = np.linalg.qr(basis[own].reshape(len(own), -1).T)
        result[own] = q.T.reshape(basis[own].shape)
    return result
