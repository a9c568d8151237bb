"""How far apart two surfaces are as clouds of points: Chamfer distance, complete rate (eq. 6, 7).

Numpy in float64, mm, no gradient. A measure with a fast way has its slow, obvious twin beside it,
named `..._by_pairs`. Clouds are compared where they lie: which points are the face is the business
of `face_surfaces`, bringing one cloud onto the other that of `registered`.

The distances are between points, not between surfaces. Two meshes of the same surface with other
vertices are therefore some tenths of their edge length apart, never at zero; vertices of one
morphable model have no such floor.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from facegpt.evaluation.checks import checked_cloud

MATCHED_MM = 10.0
"""Points closer than this count as matched in the complete rate (paper, A.5)."""

CURVE_MM = tuple(step / 2 for step in range(1, 41))
"""Thresholds of the complete-rate curve: 0.5 to 20 mm by half a millimetre."""


@dataclass(frozen=True)
class NearestDistances:
    """How far every point of two clouds is from the nearest point of the other one, in mm.

    One search serves all measures: both directions of the Chamfer distance and every threshold of
    the complete rate.
    """

    of_predicted_mm: Float[np.ndarray, "predicted"]
    """From each predicted point to the truth."""
    of_truth_mm: Float[np.ndarray, "truth"]
    """From each true point to the prediction."""

    @property
    def every_mm(self) -> Float[np.ndarray, "both"]:
        """Those of the predicted points, then those of the true ones."""
        return np.concatenate([self.of_predicted_mm, self.of_truth_mm])

    @property
    def chamfer_sum_mm(self) -> float:
        """Eq. 6 as it is written: the sum over the points of both clouds, in mm, not squared.

        It grows with the number of vertices, so it compares faces of one mesh only. Over the
        thousands of vertices of a face it comes to thousands of mm, so the 7.28 to 153.1 of the
        paper's tables were divided by something that the paper does not name.
        """
        return float(self.of_predicted_mm.sum() + self.of_truth_mm.sum())

    @property
    def accuracy_mm(self) -> float:
        """First half of eq. 6 per point: the mean distance from the prediction to the truth."""
        return float(self.of_predicted_mm.mean())

    @property
    def completeness_mm(self) -> float:
        """Second half of eq. 6 per point: the mean distance from the truth to the prediction."""
        return float(self.of_truth_mm.mean())

    @property
    def chamfer_mm(self) -> float:
        """Eq. 6 with each sum divided by its number of points: both means added, about twice the
        mean distance, however fine the meshes are.
        """
        return self.accuracy_mm + self.completeness_mm

    def complete_rate(self, within_mm: float = MATCHED_MM) -> float:
        """Eq. 7: the share of all points, of both clouds, nearer to the other one than that, 0-1.

        The paper speaks of "the number of all points" and of their "CD value"; eq. 6 runs over both
        clouds, so both are counted here.
        """
        return float((self.every_mm < within_mm).mean())


def nearest_distances(
    predicted_mm: Float[np.ndarray, "predicted 3"], truth_mm: Float[np.ndarray, "truth 3"]
) -> NearestDistances:
    """Search both clouds with a KD-tree.

    Raises:
        MeasureError: A cloud is empty, not (points, 3), or has a point that is not finite.
    """
    predicted = checked_cloud("predicted", predicted_mm)
    truth = checked_cloud("true", truth_mm)
    forth = KDTree(truth).query(predicted)[0]
    back = KDTree(predicted).query(truth)[0]
    return NearestDistances(np.asarray(forth), np.asarray(back))


def nearest_distances_by_pairs(
    predicted_mm: Float[np.ndarray, "predicted 3"], truth_mm: Float[np.ndarray, "truth 3"]
) -> NearestDistances:
    """The same from the distances of all pairs."""
    distance = np.linalg.norm(predicted_mm[:, None].astype(np.float64) - truth_mm[None, :], axis=-1)
    return NearestDistances(distance.min(axis=1), distance.min(axis=0))


def chamfer_distance_mm(
    first_mm: Float[np.ndarray, "first 3"], second_mm: Float[np.ndarray, "second 3"]
) -> float:
    """Chamfer distance of two point clouds in mm (paper, eq. 6), distances not squared.

    Each of the two sums is divided by its number of points, so the number does not depend on how
    fine a mesh is: twice the mean distance to the other cloud.

    Raises:
        MeasureError: As `nearest_distances`.
    """
    return nearest_distances(first_mm, second_mm).chamfer_mm


def chamfer_distance_mm_by_pairs(
    first_mm: Float[np.ndarray, "first 3"], second_mm: Float[np.ndarray, "second 3"]
) -> float:
    """The same from the distances of all pairs."""
    distance = np.linalg.norm(first_mm[:, None] - second_mm[None, :], axis=-1)
    return float(distance.min(axis=1).mean() + distance.min(axis=0).mean())


def complete_rate(
    first_mm: Float[np.ndarray, "first 3"],
    second_mm: Float[np.ndarray, "second 3"],
    within_mm: float = MATCHED_MM,
) -> float:
    """Share of the points of both clouds that have a point of the other one nearby (eq. 7), 0 to
    1.

    Raises:
        MeasureError: As `nearest_distances`.
    """
    return nearest_distances(first_mm, second_mm).complete_rate(within_mm)


def complete_rate_by_pairs(
    first_mm: Float[np.ndarray, "first 3"],
    second_mm: Float[np.ndarray, "second 3"],
    within_mm: float = MATCHED_MM,
) -> float:
    """The same from the distances of all pairs."""
    near = np.linalg.norm(first_mm[:, None] - second_mm[None, :], axis=-1) < within_mm
    return float(np.concatenate([near.any(axis=1), near.any(axis=0)]).mean())


def complete_rate_curve(
    distances: NearestDistances, thresholds_mm: Sequence[float] = CURVE_MM
) -> Float[np.ndarray, "threshold"]:
    """The complete rate (eq. 7) at every threshold, 0-1.

    Faces of one model differ by a few mm, so that the rate at the paper's 10 mm is near 1 for all
    of them, the mean face too; the curve shows where they part.
    """
    ascending = np.sort(distances.every_mm)
    # On the left: a point at the threshold itself is not nearer than it.
    return np.searchsorted(ascending, thresholds_mm, side="left") / len(ascending)


def complete_rate_curve_by_pairs(
    distances: NearestDistances, thresholds_mm: Sequence[float] = CURVE_MM
) -> Float[np.ndarray, "threshold"]:
    """The same by comparing every point with every threshold."""
    return np.array([distances.complete_rate(threshold) for threshold in thresholds_mm])
