"""Identity: aligned random heads, their mean and principal components.

Knows samples of control vertices and a fine mesh over them; not where the samples come from.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from face_model.makehuman import Array, Indices
from face_model.topology import EAR, NECK, SCALP, HeadMesh

SIZE_SPREAD = 0.035
"""Standard deviation of the size of heads, relative (the sliders know none once height is left
out)."""
_IMPORTANCE = {EAR: 0.1, SCALP: 0.15, NECK: 0.05}
"""Weight of squared mm in the principal components; 1 on the face, which is what fitting sees."""


@dataclass(frozen=True)
class Identity:
    """Statistics over the control vertices, in mm."""

    mean: Array
    """(control, 3)."""
    basis: Array
    """(component, control, 3) offsets per standard deviation."""
    energy: Array
    """(component,) share of the variance up to and including each component."""


def vertex_importance(mesh: HeadMesh) -> Array:
    """The weight of each fine vertex in the principal components, (vertex,)."""
    return np.array([_IMPORTANCE.get(int(p), 1.0) for p in mesh.part])


def align(people: NDArray[np.float32], mesh: HeadMesh, generator: np.random.Generator) -> Array:
    """Remove rotation, translation and size by the visible face, then give a plain size back."""
    face = np.flatnonzero((mesh.part == 0) & ~mesh.socket)[::5]
    rows = mesh.stencil[face]
    visible = np.stack([rows @ person for person in people])
    reference = mesh.mean_mm[face]
    for _ in range(3):
        moves = [_similarity(points, reference) for points in visible]
        reference = np.mean([p @ a + t for p, (a, t) in zip(visible, moves, strict=True)], axis=0)
    aligned = np.stack([p @ a + t for p, (a, t) in zip(people, moves, strict=True)])
    natural = np.mean([1 / np.cbrt(np.linalg.det(a)) for a, _ in moves])
    sizes = natural * (1 + SIZE_SPREAD * generator.normal(size=(len(people), 1, 1)))
    centre = reference.mean(0)
    return (aligned - centre) * sizes + centre


def _similarity(source: Array, target: Array) -> tuple[Array, Array]:
    """A and t with source @ A + t close to target (Umeyama 1991)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, values, vt = np.linalg.svd(a.T @ b)
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    matrix = u @ flip @ vt * ((values * np.diag(flip)).sum() / (a**2).sum())
    return matrix, target.mean(0) - source.mean(0) @ matrix


def principal_components(people: Array, mesh: HeadMesh, mirror: Indices, count: int) -> Identity:
    """PCA of the people and their mirror images, so that each component is symmetric or
    antisymmetric.

    Args:
        people: (person, control, 3) aligned samples.
        mirror: (control,) mirror map of the control vertices.
    """
    flipped = people[:, mirror] * [-1, 1, 1]
    mean = (people.mean(0) + flipped.mean(0)) / 2
    gram = (mesh.stencil.T @ sp.diags(vertex_importance(mesh)) @ mesh.stencil).tocsr()
    found: list[tuple[float, Array]] = []
    total = 0.0
    for half in ((people + flipped) / 2 - mean, (people - flipped) / 2):
        covariance = sum(half[:, :, k] @ (gram @ half[:, :, k].T) for k in range(3)) / len(half)
        total += np.trace(covariance)
        values, vectors = np.linalg.eigh(covariance)
        for k in range(1, count + 1):
            shape = np.tensordot(vectors[:, -k], half, 1) / np.sqrt(len(half))
            found.append((values[-k], shape))
    found.sort(key=lambda pair: -pair[0])
    energy = np.cumsum([value for value, _ in found[:count]]) / total
    return Identity(mean, np.stack([_signed(shape) for _, shape in found[:count]]), energy)


def _signed(shape: Array) -> Array:
    """Fix the sign, which eigenvectors leave open: the largest offset is positive."""
    flat = shape.ravel()
    return shape * np.sign(flat[np.abs(flat).argmax()])
