"""From statistics of the seen skin to an albedo model of the whole head.

What photos do not show is completed: ears, neck and scalp by a smooth extension that falls back to
the tone of the face, so that every component carries its tone everywhere without a seam; a short
dark cover of hair on the scalp; the inside of the mouth, teeth, tongue and eyes are painted. The
last components are the colour of the irises.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from numpy.typing import NDArray

from face_model.photo_light import LinearAlbedo
from face_model.procedural_albedo import FIXED_SRGB, AlbedoStatistics, eye_colours, iris_share
from face_model.surface import Array, Surface, eye_angles_degrees, regions

_SMOOTH_MM = 0.6
"""Length over which seen colours are smoothed."""
_FORGET_MM = 35.0
"""Distance from the seen skin at which the tone of the face takes over."""
_LIP_BORDER_MM = 2.5
"""How far the red of the lips runs into the mouth."""
_HAIR_COVER = 0.86
_HAIR_SRGB = (0.19, 0.15, 0.13)
_EAR_TINT = (0.01, -0.015, -0.012)


@dataclass(frozen=True)
class IrisStatistics:
    """Colour of the irises over the population, sRGB."""

    mean: Array
    """(3,)."""
    by_component: Array
    """(component, 3) change per standard deviation of each skin component."""
    own: Array
    """(2, 3) further principal changes that the skin does not tell."""


def whole_head(
    surface: Surface,
    skin: NDArray[np.int64],
    seen: LinearAlbedo,
    coverage: Array,
    iris: IrisStatistics,
) -> AlbedoStatistics:
    """Mean and components of the whole head: those of the skin, then two of the irises.

    Args:
        skin: (skin,) vertices that the statistics speak of.
        coverage: (skin,) in [0, 1], how well each was seen.
    """
    count = len(seen.basis)
    fields = np.concatenate([seen.mean[None], seen.basis]).astype(float)
    values = np.zeros((count + 1, len(surface.points_mm), 3))
    values[:, skin] = fields
    trust = np.zeros(len(surface.points_mm))
    trust[skin] = coverage
    values = _extend(surface, values, trust)
    mask = regions(surface)
    hair = (_HAIR_COVER * mask["hair"])[:, None]
    values[0] += mask["ears"][:, None] * _EAR_TINT
    values[0] += hair * (np.array(_HAIR_SRGB) - values[0])
    values[1:] *= 1 - hair
    turn = _principal_turn(surface, values[1:])
    values[1:] = np.tensordot(turn, values[1:], 1)
    values = _paint_eyes(
        surface, values, np.concatenate([turn @ iris.by_component, iris.own]), iris
    )
    return AlbedoStatistics(np.clip(values[0], 0.01, 0.99), values[1:])


def _extend(surface: Surface, values: Array, trust: Array) -> Array:
    """Smooth fields (field, vertex, 3) that keep what is seen and fall back to a tone elsewhere."""
    area = surface.vertex_areas_mm2()
    tone = _tone(surface, values, trust)
    fallback = np.repeat(tone[:, None], len(area), 1)
    pull = np.full(len(area), (_SMOOTH_MM / _FORGET_MM) ** 2)
    fixed = np.zeros(len(area), bool)
    for name, srgb in FIXED_SRGB.items():
        inner = surface.within(name)
        fallback[1:, inner] = 0
        fallback[0, inner] = srgb
        if name == "mouth":
            pull[inner] = (_SMOOTH_MM / _LIP_BORDER_MM) ** 2
        else:
            fixed |= inner
    pull[fixed] = 1e3
    system = sp.diags(area * (trust + pull)) + _SMOOTH_MM**2 * surface.laplacian()
    solve = spl.factorized(system.tocsc())
    right = area[:, None] * (trust[:, None] * values + pull[:, None] * fallback)
    flat = right.transpose(1, 0, 2).reshape(len(area), -1)
    solved = np.stack([solve(column) for column in flat.T], axis=1)
    return solved.reshape(len(area), len(values), 3).transpose(1, 0, 2)


def _tone(surface: Surface, values: Array, trust: Array) -> Array:
    """(field, 3) colour of the plain skin: cheeks, forehead, jaw."""
    mask = regions(surface)
    plain = surface.within("face") * trust
    for name in ("lips", "brows", "lids", "nostrils", "under_eyes"):
        plain = plain * (1 - mask[name])
    weight = plain * surface.vertex_areas_mm2()
    return np.tensordot(values, weight / weight.sum(), (1, 0))


def frontal_areas(surface: Surface) -> Array:
    """(vertex,) mm2 of the face as seen from the front; zero on other parts."""
    a, b, c = (surface.points_mm[surface.triangles[:, k]] for k in range(3))
    towards_viewer = np.maximum(np.cross(b - a, c - a)[:, 2], 0) / 6
    area = np.bincount(
        surface.triangles.ravel(), np.repeat(towards_viewer, 3), len(surface.points_mm)
    )
    return area * surface.within("face")


def _principal_turn(surface: Surface, basis: Array) -> Array:
    """Rotation of the components that makes them orthogonal over the face as seen from the front,
    strongest first; coefficients stay uncorrelated with unit variance.
    """
    root = np.sqrt(frontal_areas(surface))[:, None]
    symmetric = (basis * basis[:, surface.mirror]).sum((1, 2)) > 0
    left = np.repeat(surface.points_mm[:, 0] > 0, 3)
    found = []
    for own in (np.flatnonzero(symmetric), np.flatnonzero(~symmetric)):
        flat = (basis[own] * root).reshape(len(own), -1)
        values, vectors = np.linalg.eigh(flat @ flat.T)
        for value, vector in zip(values, vectors.T, strict=True):
            row = np.zeros(len(basis))
            # the sign is open: brighter on the left side of the person is positive
            row[own] = vector * np.where(vector @ flat[:, left].sum(1) < 0, -1, 1)
            found.append((value, row))
    found.sort(key=lambda pair: -pair[0])
    return np.stack([row for _, row in found])


def _paint_eyes(surface: Surface, values: Array, changes: Array, iris: IrisStatistics) -> Array:
    """Set the eyeballs and append the components of the irises.

    Args:
        changes: (component, 3) of the colour of the iris, those of the skin first.
    """
    angle = eye_angles_degrees(surface)
    eye = ~np.isnan(angle)
    values = np.concatenate([values, np.zeros((len(iris.own), *values.shape[1:]))])
    values[:, eye] = 0
    values[0, eye] = eye_colours(angle[eye], iris.mean)
    values[1:, eye] = iris_share(angle[eye])[:, None] * changes[:, None]
    return values


def iris_statistics(
    colours: Array, gamma: Array, weight: Array, *, ridge: float = 20.0
) -> IrisStatistics:
    """How the colour of the irises varies, by what the skin tells of it and beyond.

    Args:
        colours: (photo, 3) sRGB; nan where no iris was seen.
        gamma: (photo, component).
        weight: (photo,).
    """
    seen = np.isfinite(colours).all(1)
    colours, gamma, weight = colours[seen], gamma[seen], weight[seen, None]
    mean = (colours * weight).sum(0) / weight.sum()
    centred = gamma - (gamma * weight).sum(0) / weight.sum()
    normal = (centred * weight).T @ centred
    normal[np.diag_indices(len(normal))] += ridge
    by_component = np.linalg.solve(normal, (centred * weight).T @ (colours - mean))
    rest = colours - mean - centred @ by_component
    rest = rest.clip(*np.quantile(rest, (0.02, 0.98), axis=0))
    values, vectors = np.linalg.eigh((rest * weight).T @ rest / weight.sum())
    own = (vectors * np.sqrt(np.maximum(values, 0))).T[:0:-1]
    return IrisStatistics(mean, by_component, own * np.sign(own.sum(1, keepdims=True)))
