"""Bring one surface onto another: similarity from pairs of points, ICP, closest points, soft warps.

Everything is numpy in float64 and without gradient. This module knows points and triangles, no
faces; who gives pairs of points decides what is to match.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import RBFInterpolator
from scipy.spatial import KDTree

from facegpt.geometry.closest import SurfacePoints, TriangleSurface

Step = Literal["point", "plane"]


@dataclass(frozen=True)
class Similarity:
    """target = scale * rotation @ source + translation."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, "3"]

    @classmethod
    def identity(cls) -> "Similarity":
        """Leaves every point where it is."""
        return cls(1.0, np.eye(3), np.zeros(3))

    def apply(self, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 3"]:
        """The points moved."""
        return self.scale * (points @ self.rotation.T) + self.translation

    def after(self, first: "Similarity") -> "Similarity":
        """Apply `first`, then this one."""
        return Similarity(
            self.scale * first.scale,
            self.rotation @ first.rotation,
            self.scale * self.rotation @ first.translation + self.translation,
        )

    def inverse(self) -> "Similarity":
        """The way back."""
        back = self.rotation.T
        return Similarity(1 / self.scale, back, -(back @ self.translation) / self.scale)


def umeyama(
    source: Float[np.ndarray, "point 3"],
    target: Float[np.ndarray, "point 3"],
    *,
    weights: Float[np.ndarray, "point"] | None = None,
    with_scale: bool = True,
) -> Similarity:
    """The least-squares similarity (or rigid motion) between pairs of points (Umeyama 1991).

    Never a reflection: the best proper rotation is given where a mirror image would fit better.

    Raises:
        ValueError: Fewer than three pairs count, a number is not finite, or the source is one
            point.
    """
    weight = np.ones(len(source)) if weights is None else np.asarray(weights, dtype=np.float64)
    if (weight > 0).sum() < 3:
        raise ValueError(f"a similarity needs 3 pairs of points, got {(weight > 0).sum()}")
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise ValueError("points to register must be finite")
    weight = weight / weight.sum()
    source_mean, target_mean = weight @ source, weight @ target
    a, b = source - source_mean, target - target_mean
    spread = float(weight @ np.square(a).sum(axis=1))
    if spread <= 0:
        raise ValueError("the source points to register all lie in one place")
    left, values, right = np.linalg.svd((b * weight[:, None]).T @ a)
    signs = np.ones(3)
    signs[2] = np.sign(np.linalg.det(left) * np.linalg.det(right)) or 1.0
    rotation = (left * signs) @ right
    scale = float(values @ signs) / spread if with_scale else 1.0
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)


@dataclass(frozen=True)
class IcpResult:
    """Where ICP ended."""

    target_from_source: Similarity
    rms: float
    """Root mean square distance to the surface of the points that were kept."""
    iterations: int


def icp(
    source: Float[np.ndarray, "point 3"],
    surface: TriangleSurface,
    *,
    start: Similarity | None = None,
    step: Step = "plane",
    with_scale: bool = False,
    keep: float = 0.8,
    iterations: int = 50,
    tolerance: float = 1e-5,
) -> IcpResult:
    """Trimmed iterative closest point of points onto a surface (Chen and Medioni 1992).

    Args:
        start: Where to begin: ICP finds the nearest minimum only.
        step: "plane" lets points slide along the surface and needs fewer rounds.
        with_scale: Estimate the scale too; without landmarks it tends to shrink.
        keep: Share of the closest points that count in a round.
        tolerance: Stop when the RMS changes by less than this share.

    Raises:
        ValueError: `keep` is not in (0, 1], or there is no iteration.
    """
    if not 0 < keep <= 1 or iterations < 1:
        raise ValueError(f"keep must be in (0, 1] and iterations 1 or more: {keep}, {iterations}")
    pose, best = start or Similarity.identity(), None
    for count in range(1, iterations + 1):
        moved = pose.apply(source)
        found = surface.closest(moved)
        used = found.distance <= np.quantile(found.distance, keep)
        rms = float(np.sqrt(np.square(found.distance[used]).mean()))
        before = np.inf if best is None else best.rms
        if best is None or rms < before:
            best = IcpResult(pose, rms, count)
        if before - rms <= tolerance * rms:
            break
        pose = _STEPS[step](moved[used], found.chosen(used), surface, with_scale).after(pose)
    return best or IcpResult(pose, np.inf, 0)


def _point_step(
    moved: Float[np.ndarray, "point 3"],
    found: SurfacePoints,
    surface: TriangleSurface,
    with_scale: bool,
) -> Similarity:
    return umeyama(moved, found.positions, with_scale=with_scale)


def _plane_step(
    moved: Float[np.ndarray, "point 3"],
    found: SurfacePoints,
    surface: TriangleSurface,
    with_scale: bool,
) -> Similarity:
    """Least squares of the distances along the normals, linear in a small turn, scale and shift."""
    normals = surface.normals[found.triangle_ids]
    centre = moved.mean(axis=0)
    arms = moved - centre
    size = np.sqrt(np.square(arms).sum(axis=1).mean()) + 1e-12
    columns = [np.cross(arms, normals) / size, normals]
    if with_scale:
        columns.append((arms * normals).sum(axis=1, keepdims=True) / size)
    system = np.concatenate(columns, axis=1)
    distance = ((found.positions - moved) * normals).sum(axis=1)
    # A damped solution: a sphere or a plane leaves directions open, which then stay still.
    square = system.T @ system
    damping = 1e-6 * np.trace(square) / len(square) * np.eye(len(square))
    answer = np.linalg.solve(square + damping, system.T @ distance)
    rotation = _rotation(answer[:3] / size)
    scale = float(np.exp(answer[6] / size)) if with_scale else 1.0
    return Similarity(scale, rotation, centre + answer[3:6] - scale * rotation @ centre)


_STEPS: dict[str, Callable[..., Similarity]] = {"point": _point_step, "plane": _plane_step}


def _rotation(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Rodrigues' formula."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def thin_plate_warp(
    source: Float[np.ndarray, "pair 3"],
    target: Float[np.ndarray, "pair 3"],
    points: Float[np.ndarray, "point 3"],
    *,
    smoothing: float | Float[np.ndarray, "pair"] = 0.0,
) -> Float[np.ndarray, "point 3"]:
    """Carry points along with the smoothest map that takes the source points to the targets.

    The kernel is r, the biharmonic spline of three dimensions (Bookstein's thin plate of two), on
    the displacements: far from all pairs, points move as the pairs do on average.

    Args:
        smoothing: 0 meets the targets exactly; larger values bend less. One for all or one each.
    """
    source, first = np.unique(source, axis=0, return_index=True)
    move = target[first] - source
    smooth = np.broadcast_to(smoothing, len(target))[first]
    warp = RBFInterpolator(
        source,
        move,
        kernel="linear",
        degree=0,
        smoothing=smooth,  # pyright: ignore[reportArgumentType] one per pair is allowed
    )
    return points + warp(points)


def soft_registration(
    source: Float[np.ndarray, "point 3"],
    surface: TriangleSurface,
    *,
    reach: float,
    pinned: Int[np.ndarray, "pin"] | None = None,
    rounds: int = 5,
    handles: int = 1000,
) -> Float[np.ndarray, "point 3"]:
    """Bend points onto a surface, from coarse to fine; start from a good rigid position.

    A spread subset is pulled to its closest points, as far as these are in reach and can be
    trusted; everything follows smoothly. Holes and far parts follow their surroundings.

    Args:
        source: Points to bend, such as the vertices of a mesh.
        reach: Distance beyond which a closest point is not believed.
        pinned: Numbers of points that are right already and stay.
    """
    pinned = np.zeros(0, dtype=np.int64) if pinned is None else pinned
    moved, chosen, pins = source.copy(), spread_subset(source, handles), source[pinned]
    chosen = np.setdiff1d(chosen, pinned)
    for turn in range(rounds):
        found = surface.closest(moved[chosen])
        near = found.distance < max(reach * (1 - turn / rounds), reach / 4)
        if near.sum() < 8:
            break
        smoothing = 4.0 * reach * (1 - turn / rounds) + 0.1
        start = np.concatenate([moved[pinned], moved[chosen][near]])
        goal = np.concatenate([pins, found.positions[near]])
        weights = np.concatenate([np.zeros(len(pins)), np.full(len(goal) - len(pins), smoothing)])
        moved = thin_plate_warp(start, goal, moved, smoothing=weights)
    return moved


def spread_subset(points: Float[np.ndarray, "point 3"], count: int) -> Int[np.ndarray, "chosen"]:
    """Numbers of up to `count` points that lie evenly: the ones closest to the centres of cells."""
    if len(points) <= count:
        return np.arange(len(points))
    low, high = points.min(axis=0), points.max(axis=0)
    cell = float(np.prod(np.maximum(high - low, 1e-9)) / count) ** (1 / 3)
    numbers, keys, group = np.arange(len(points)), points, np.arange(len(points))
    for _ in range(40):
        keys = np.floor((points - low) / cell).astype(np.int64)
        _, group = np.unique(keys, axis=0, return_inverse=True)
        group = group.reshape(-1)
        if group.max() + 1 <= count:
            break
        cell *= 1.15
    centres = (keys + 0.5) * cell + low
    order = np.lexsort((np.square(points - centres).sum(axis=1), group))
    _, first = np.unique(group[order], return_index=True)
    return np.sort(numbers[order[first]])


def nearest_vertices(
    points: Float[np.ndarray, "point 3"], vertices: Float[np.ndarray, "vertex 3"]
) -> Int[np.ndarray, "point"]:
    """The number of the vertex closest to each point."""
    return np.asarray(KDTree(vertices).query(points)[1], dtype=np.int64)
