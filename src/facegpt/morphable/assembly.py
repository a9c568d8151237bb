"""From the raw arrays of somebody's model to our `MorphableModel`: sizes, frame, mirror, texture.

The loaders of BFM, FLAME and ICT end here. Every array is checked before it is used, because it
comes from a file that a user brought. This module knows no file format.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from facegpt.geometry.registration import nearest_vertices
from facegpt.morphable.default import FaceModelFileError
from facegpt.morphable.framing import place_in_crop
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import BLOCK_SIZES
from facegpt.morphable.unwrap import unwrap

MAX_VERTICES = 200_000
MAX_TRIANGLES = 400_000
MAX_COMPONENTS = 1000

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RawModel:
    """A face model in mm, x to the person's left, y up, z out of the face; bases times their
    standard deviation."""

    name: str
    source: Path
    mean_mm: Float[np.ndarray, "vertex 3"]
    identity_mm: Float[np.ndarray, "identity vertex 3"]
    expression_mm: Float[np.ndarray, "expression vertex 3"]
    triangles: Int[np.ndarray, "triangle 3"]
    landmarks68: Int[np.ndarray, "68"]
    albedo_mean: Float[np.ndarray, "vertex 3"]
    albedo_basis: Float[np.ndarray, "albedo vertex 3"]
    part: Int[np.ndarray, "vertex"]
    part_names: tuple[str, ...]
    licences: tuple[str, ...]
    uv: Float[np.ndarray, "texel 2"] | None = None
    uv_triangles: Int[np.ndarray, "triangle 3"] | None = None
    arkit_mm: dict[str, Float[np.ndarray, "vertex 3"]] = field(default_factory=dict)


def check_count(source: Path, what: str, count: int, low: int, high: int) -> None:
    """Stop at a size that no face model has, before memory is taken for it.

    Raises:
        FaceModelFileError: The count lies outside [low, high].
    """
    if not low <= count <= high:
        raise FaceModelFileError(f"{source}: {count} {what}; between {low} and {high} are read")


def check_mesh(
    source: Path, vertices: Float[np.ndarray, "vertex 3"], triangles: Int[np.ndarray, "triangle 3"]
) -> None:
    """Stop at a mesh that cannot be one.

    Raises:
        FaceModelFileError: Sizes out of bounds, a number that is not finite, or a triangle that
            names a vertex that is not there.
    """
    check_count(source, "vertices", len(vertices), 4, MAX_VERTICES)
    check_count(source, "triangles", len(triangles), 1, MAX_TRIANGLES)
    check_finite(source, "the mean shape", vertices)
    check_rows(source, "triangles", triangles, len(vertices))


def check_finite(source: Path, what: str, values: Float[np.ndarray, "..."]) -> None:
    """Stop at NaN and infinity.

    Raises:
        FaceModelFileError: Names what holds them.
    """
    if not np.isfinite(values).all():
        raise FaceModelFileError(f"{source}: {what} holds numbers that are not finite")


def check_rows(source: Path, what: str, rows: Int[np.ndarray, "..."], count: int) -> None:
    """Stop at a vertex number that is not there.

    Raises:
        FaceModelFileError: Names what holds it.
    """
    if rows.size and not (rows.min() >= 0 and rows.max() < count):
        raise FaceModelFileError(
            f"{source}: {what} name vertices {rows.min()} to {rows.max()}, there are {count}"
        )


def assemble(raw: RawModel) -> MorphableModel:
    """The model with bases of our sizes, in our frame, with a mirror map and texture coordinates.

    A basis longer than ours (80 identity, 64 expression, 80 albedo) is cut, a shorter one is filled
    with zeros; the log says so.

    Raises:
        FaceModelFileError: The arrays contradict each other or hold impossible numbers.
    """
    _check(raw)
    triangles = outward(raw.mean_mm, raw.triangles)
    uv, uv_triangles = raw.uv, raw.uv_triangles
    if uv is None or uv_triangles is None:
        uv, uv_triangles = unwrap(raw.mean_mm, triangles)
    elif triangles is not raw.triangles:
        uv_triangles = uv_triangles[:, ::-1]
    mean, landmarks68 = _real(raw.mean_mm), _whole(raw.landmarks68)
    offset, pixels_per_mm = place_in_crop(mean, landmarks68)
    mean = mean + offset
    part = with_landmarks(raw.part, raw.part_names, triangles, raw.landmarks68)
    names = tuple(raw.arkit_mm)
    arkit = np.stack([raw.arkit_mm[n] for n in names]) if names else np.zeros((0, *mean.shape))
    return MorphableModel(
        name=raw.name,
        mean_mm=mean,
        identity_mm=_sized(raw, "identity", raw.identity_mm, BLOCK_SIZES["shape"]),
        expression_mm=_sized(raw, "expression", raw.expression_mm, BLOCK_SIZES["expression"]),
        albedo_mean=_real(raw.albedo_mean),
        albedo_basis=_sized(raw, "albedo", raw.albedo_basis, BLOCK_SIZES["albedo"]),
        triangles=_whole(triangles),
        uv=_real(uv),
        uv_triangles=_whole(uv_triangles),
        landmarks68=landmarks68,
        mirror=_whole(mirror_map(mean.numpy(), part, raw.part_names)),
        part=_whole(part),
        part_names=raw.part_names,
        arkit_mm=_real(arkit),
        arkit_names=names,
        pixels_per_mm=pixels_per_mm,
        licences=raw.licences,
    )


def _check(raw: RawModel) -> None:
    check_mesh(raw.source, raw.mean_mm, raw.triangles)
    check_rows(raw.source, "landmarks", raw.landmarks68, len(raw.mean_mm))
    stacks = {
        "identity": raw.identity_mm,
        "expression": raw.expression_mm,
        "albedo": raw.albedo_basis,
        "albedo mean": raw.albedo_mean[None],
    }
    for what, stack in stacks.items():
        if stack.shape[1:] != raw.mean_mm.shape:
            raise FaceModelFileError(
                f"{raw.source}: {what} is for {stack.shape[1]} vertices, the mean shape has "
                f"{len(raw.mean_mm)}"
            )
        check_finite(raw.source, what, stack)
    right, left = raw.mean_mm[raw.landmarks68[[36, 45]]]
    if not 20.0 < left[0] - right[0] < 200.0:
        raise FaceModelFileError(
            f"{raw.source}: the outer corners of the eyes are {left[0] - right[0]:.3g} mm apart "
            "along x; the unit or the axes are not what was expected"
        )


def _sized(
    raw: RawModel, what: str, stack: Float[np.ndarray, "component vertex 3"], size: int
) -> Float[Tensor, "size vertex 3"]:
    count = len(stack)
    if count > size:
        _log.info("%s: the first %d of %d %s components are used", raw.name, size, count, what)
    elif count < size:
        _log.info("%s: %d %s components, filled with zeros to %d", raw.name, count, what, size)
    sized = torch.zeros(size, *stack.shape[1:])
    sized[: min(count, size)] = _real(stack[:size])
    return sized


def _real(values: Float[np.ndarray, "..."]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _whole(values: Int[np.ndarray, "..."]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64))


def outward(
    vertices: Float[np.ndarray, "vertex 3"], triangles: Int[np.ndarray, "triangle 3"]
) -> Int[np.ndarray, "triangle 3"]:
    """The triangles counter-clockwise seen from outside; the same array when they are already.

    Outside is away from the centre: right for a mask of a face as for a head.
    """
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    away = (a + b + c) / 3 - vertices.mean(axis=0)
    return triangles if np.sum(np.cross(b - a, c - a) * away) > 0 else triangles[:, ::-1]


def with_landmarks(
    part: Int[np.ndarray, "vertex"],
    part_names: Sequence[str],
    triangles: Int[np.ndarray, "triangle 3"],
    landmarks68: Int[np.ndarray, "68"],
) -> Int[np.ndarray, "vertex"]:
    """The parts with the triangles around every landmark in "face".

    Jaw points lie where face, ear and neck meet; the rendered part of a model must hold them all.
    """
    if "face" not in part_names:
        return part
    around = triangles[np.isin(triangles, landmarks68).any(axis=1)]
    grown = part.copy()
    skin = np.isin(part, [part_names.index(n) for n in ("ear", "scalp", "neck") if n in part_names])
    rim = np.unique(around)
    grown[rim[skin[rim]]] = part_names.index("face")
    return grown


def mirror_map(
    vertices: Float[np.ndarray, "vertex 3"],
    part: Int[np.ndarray, "vertex"],
    part_names: Sequence[str],
) -> Int[np.ndarray, "vertex"]:
    """The vertex nearest to the mirror image of each, about x = 0; a left eye finds a right one.

    Exact on a mesh with mirrored halves. Elsewhere (BFM) neighbours may share one partner, so twice
    the map may end beside the start.
    """
    swapped = [
        name.replace("left", "?").replace("right", "left").replace("?", "right")
        for name in part_names
    ]
    mirror = np.arange(len(vertices))
    for row, other in enumerate(swapped):
        own = np.flatnonzero(part == row)
        partners = (
            np.flatnonzero(part == list(part_names).index(other)) if other in part_names else own
        )
        if len(own) and len(partners):
            mirror[own] = partners[nearest_vertices(vertices[own] * (-1, 1, 1), vertices[partners])]
    return mirror
