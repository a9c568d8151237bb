"""Bring one cloud of points rigidly onto another before they are compared (paper, section 4.3).

The paper aligns "the 3D point clouds with the Iterative Closest Point (ICP) method" and says no
more. Here it is point to point ICP (Besl and McKay 1992) by trimesh, which comes with the extra
`facegpt[evaluate]`: rotation and translation only, no trimming, every point of the prediction.
Trimesh on its own would also allow scaling and mirror images.

Knows points, no faces. Distances after ICP can mislead: they may correlate as low as 0.41 with the
true error of a reconstruction (arXiv 2505.18025), so give those of the clouds as they are beside
them. ICP lowers the squared distances from the prediction to the truth, so the Chamfer distance,
which is neither squared nor one-sided, may even rise.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from facegpt.evaluation.checks import checked_cloud
from facegpt.evaluation.errors import RegistrationUnavailableError
from facegpt.evaluation.surfaces import NearestDistances, nearest_distances
from facegpt.geometry.registration import Similarity, umeyama

ICP_ROUNDS = 100
"""Rounds at most."""

ICP_STOP_MM2 = 1e-6
"""Stop when the mean squared distance falls by less than this in a round. On random faces of the
default model that came before the hundredth round, and stopping a thousand times later moved the
Chamfer distance by a ten-thousandth of a mm."""

_FEWEST_POINTS = 3


def rigid_registration(
    predicted_mm: Float[np.ndarray, "predicted 3"],
    truth_mm: Float[np.ndarray, "truth 3"],
    *,
    start: Similarity | None = None,
) -> Similarity:
    """The rigid motion that brings a prediction onto the truth, by point to point ICP.

    Args:
        start: Where to begin, since ICP finds the nearest minimum only: for a mesh of another
            method `umeyama` of the 68 landmarks. A scale in it stays as it is. Meshes of one
            morphable model share a frame and need none.

    Raises:
        MeasureError: A cloud has fewer than three points, is not (points, 3), or has a point that
            is not finite.
        RegistrationUnavailableError: trimesh is not installed; says how.
    """
    predicted = checked_cloud("predicted", predicted_mm, _FEWEST_POINTS)
    truth = checked_cloud("true", truth_mm, _FEWEST_POINTS)
    start = start or Similarity.identity()
    matrix, _, _ = _icp()(
        start.apply(predicted),
        truth,
        threshold=ICP_STOP_MM2,
        max_iterations=ICP_ROUNDS,
        reflection=False,
        scale=False,
    )
    return Similarity(1.0, matrix[:3, :3], matrix[:3, 3]).after(start)


def rigid_registration_by_pairs(
    predicted_mm: Float[np.ndarray, "predicted 3"],
    truth_mm: Float[np.ndarray, "truth 3"],
    *,
    start: Similarity | None = None,
) -> Similarity:
    """The same without trimesh, from the distances of all pairs."""
    pose, before = start or Similarity.identity(), np.inf
    for _ in range(ICP_ROUNDS):
        moved = pose.apply(predicted_mm)
        distance = np.linalg.norm(moved[:, None] - truth_mm[None, :], axis=-1)
        nearest = truth_mm[distance.argmin(axis=1)]
        pose = umeyama(moved, nearest, with_scale=False).after(pose)
        cost = float(np.square(pose.apply(predicted_mm) - nearest).sum(axis=1).mean())
        if before - cost < ICP_STOP_MM2:
            break
        before = cost
    return pose


def registered_distances(
    predicted_mm: Float[np.ndarray, "predicted 3"],
    truth_mm: Float[np.ndarray, "truth 3"],
    *,
    start: Similarity | None = None,
) -> NearestDistances:
    """Distances after `rigid_registration`: what eq. 6 and 7 are taken of in the paper's tables.

    Raises:
        MeasureError: As `rigid_registration`.
        RegistrationUnavailableError: As `rigid_registration`.
    """
    truth_from_predicted = rigid_registration(predicted_mm, truth_mm, start=start)
    return nearest_distances(truth_from_predicted.apply(predicted_mm), truth_mm)


def _icp() -> Callable[..., Any]:
    try:
        from trimesh.registration import icp
    except ModuleNotFoundError as error:
        raise RegistrationUnavailableError(
            "rigid ICP needs trimesh, which is not installed; run: pip install 'facegpt[evaluate]'"
        ) from error
    return icp
