"""Pure measures of predictions: separation, rank correlation, distance of surfaces, certainty.

Numpy in float64, no gradient. A measure with a fast way has its slow, obvious twin beside it, named
`..._by_pairs`. Photometric and landmark errors (eq. 8 and 9) are in `facegpt.losses`; nothing here
knows faces, models or files.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.spatial import KDTree
from scipy.stats import rankdata

__all__ = [
    "Interval",
    "auc",
    "auc_by_pairs",
    "bootstrap_interval",
    "chamfer_distance_mm",
    "chamfer_distance_mm_by_pairs",
    "complete_rate",
    "complete_rate_by_pairs",
    "correlation",
    "cosine",
    "separating_direction",
    "spearman",
    "spearman_by_pairs",
    "wilson_interval",
]

MATCHED_MM = 10.0
"""Points closer than this count as matched in the complete rate (paper, A.5)."""


@dataclass(frozen=True)
class Interval:
    """Where a number lies with some certainty."""

    low: float
    high: float


def auc(scores: Shaped[np.ndarray, "item"], is_positive: Bool[np.ndarray, "item"]) -> float:
    """Area under the ROC curve: the chance that a positive item scores higher than a negative one,
    a tie counting half (Mann and Whitney 1947). NaN where one of the kinds is missing.
    """
    positive = int(is_positive.sum())
    negative = len(is_positive) - positive
    if positive == 0 or negative == 0:
        return float("nan")
    rank_sum = rankdata(np.asarray(scores, np.float64))[is_positive].sum()
    return float((rank_sum - positive * (positive + 1) / 2) / (positive * negative))


def auc_by_pairs(
    scores: Shaped[np.ndarray, "item"], is_positive: Bool[np.ndarray, "item"]
) -> float:
    """The same by comparing every positive item with every negative one."""
    wins = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high in scores[is_positive]
        for low in scores[~is_positive]
    ]
    return float(np.mean(wins)) if wins else float("nan")


def spearman(first: Shaped[np.ndarray, "item"], second: Shaped[np.ndarray, "item"]) -> float:
    """Spearman's rank correlation, -1 to 1; ties share their mean rank. NaN where either is
    constant.
    """
    return correlation(rankdata(first), rankdata(second))


def spearman_by_pairs(
    first: Shaped[np.ndarray, "item"], second: Shaped[np.ndarray, "item"]
) -> float:
    """The same with ranks found by comparing every item with every other."""
    ranks = []
    for values in (first, second):
        below = (values[:, None] > values[None, :]).sum(axis=1)
        equal = (values[:, None] == values[None, :]).sum(axis=1)
        ranks.append(below + (equal + 1) / 2)
    return correlation(*ranks)


def correlation(first: Shaped[np.ndarray, "item"], second: Shaped[np.ndarray, "item"]) -> float:
    """Pearson's correlation, -1 to 1; NaN where either is constant."""
    a = np.asarray(first, np.float64)
    b = np.asarray(second, np.float64)
    return cosine(a - a.mean(), b - b.mean())


def cosine(first: Shaped[np.ndarray, "item"], second: Shaped[np.ndarray, "item"]) -> float:
    """Cosine of the angle between two vectors; NaN where either is zero."""
    a = np.asarray(first, np.float64)
    b = np.asarray(second, np.float64)
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length > 1e-12 else float("nan")


def chamfer_distance_mm(
    first_mm: Float[np.ndarray, "first 3"], second_mm: Float[np.ndarray, "second 3"]
) -> float:
    """Chamfer distance of two point clouds in mm (paper, eq. 6), distances not squared.

    Each of the two sums is divided by its number of points, so the number does not depend on how
    fine a mesh is: twice the mean distance to the other cloud.
    """
    forth, back = _nearest_mm(first_mm, second_mm)
    return float(forth.mean() + back.mean())


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
    """
    distance = np.concatenate(_nearest_mm(first_mm, second_mm))
    return float((distance < within_mm).mean())


def complete_rate_by_pairs(
    first_mm: Float[np.ndarray, "first 3"],
    second_mm: Float[np.ndarray, "second 3"],
    within_mm: float = MATCHED_MM,
) -> float:
    """The same from the distances of all pairs."""
    near = np.linalg.norm(first_mm[:, None] - second_mm[None, :], axis=-1) < within_mm
    return float(np.concatenate([near.any(axis=1), near.any(axis=0)]).mean())


def _nearest_mm(
    first_mm: Float[np.ndarray, "first 3"], second_mm: Float[np.ndarray, "second 3"]
) -> tuple[Float[np.ndarray, "first"], Float[np.ndarray, "second"]]:
    forth = KDTree(second_mm).query(first_mm)[0]
    back = KDTree(first_mm).query(second_mm)[0]
    return np.asarray(forth), np.asarray(back)


def separating_direction(
    values: Float[np.ndarray, "item feature"],
    is_positive: Bool[np.ndarray, "item"],
    shrinkage: float = 0.1,
) -> Float[np.ndarray, "feature"]:
    """The direction along which two kinds of items differ most (Fisher 1936), of length one.

    Args:
        shrinkage: Share of the mean variance in the covariance within the kinds; it keeps few items
            of many features in hand.

    Raises:
        ValueError: One of the kinds is missing.
    """
    if not is_positive.any() or is_positive.all():
        raise ValueError(f"a direction between two kinds needs both, got {len(values)} of one")
    means = [values[kind].mean(axis=0) for kind in (is_positive, ~is_positive)]
    within = values - np.where(is_positive[:, None], *means)
    covariance = within.T @ within / len(values)
    size = values.shape[1]
    ridge = shrinkage * np.trace(covariance) / size + 1e-12
    covariance = (1 - shrinkage) * covariance + ridge * np.eye(size)
    direction = np.linalg.solve(covariance, means[0] - means[1])
    return direction / max(float(np.linalg.norm(direction)), 1e-12)


def bootstrap_interval(
    statistic: Callable[[Int[np.ndarray, "drawn"]], float],
    groups: Int[np.ndarray, "item"],
    generator: np.random.Generator,
    *,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap of any statistic (Efron 1979).

    Args:
        statistic: From numbers of items, some drawn several times, to the statistic. A draw for
            which it is NaN (an AUC without any positive item) does not count.
        groups: Items that belong together carry the same number and are drawn together: the five
            sentences of one picture are no five independent witnesses. `np.arange(n)` if all are.

    Returns:
        NaN twice where no draw counts.
    """
    _, owners = np.unique(groups, return_inverse=True)
    order = np.argsort(owners, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(owners))[:-1])
    found = np.empty(resamples)
    for number in range(resamples):
        drawn = generator.integers(len(members), size=len(members))
        found[number] = statistic(np.concatenate([members[i] for i in drawn]))
    found = found[~np.isnan(found)]
    if len(found) == 0:
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def wilson_interval(successes: int, count: int, z: float = 1.959964) -> Interval:
    """Score interval of a share (Wilson 1927), which stays honest near 0 and 1 where every resample
    of a bootstrap looks the same.

    Args:
        z: Standard deviations on each side; the default holds 95 %.

    Raises:
        ValueError: There are fewer trials than successes, or none.
    """
    if not 0 <= successes <= count or count == 0:
        raise ValueError(f"{successes} successes of {count} trials are no share")
    share = successes / count
    centre = share + z * z / (2 * count)
    half = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    low, high = (centre - half) / scale, (centre + half) / scale
    return Interval(max(float(low), 0.0), min(float(high), 1.0))
