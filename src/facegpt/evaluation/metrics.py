"""Statistics of predictions: separation, rank correlation, direction, and how certain numbers are.

Numpy in float64, no gradient. A measure with a fast way has its slow, obvious twin beside it, named
`..._by_pairs`, `..._by_rows` or `..._by_draws`. Nothing here knows faces, models or files.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.stats import rankdata

from facegpt.evaluation.errors import MeasureError

__all__ = [
    "Bootstrap",
    "Estimate",
    "Interval",
    "auc",
    "auc_by_pairs",
    "bootstrap_interval",
    "correlation",
    "cosine",
    "cosines",
    "cosines_by_rows",
    "mean_estimate",
    "ratio_estimate",
    "ratio_estimate_by_draws",
    "ratio_estimates",
    "separating_direction",
    "spearman",
    "spearman_by_pairs",
    "wilson_interval",
]

_LEVEL = 0.95
_DRAWN_AT_ONCE = 1 << 18
"""Drawn groups in memory at once."""


@dataclass(frozen=True)
class Interval:
    """Where a number lies with some certainty."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A number over items, and how certain it is."""

    value: float
    """NaN where no item counts."""
    interval: Interval
    """95 %, percentile bootstrap. Where every item is right, or none, every draw looks the same and
    the interval has no width: take `wilson_interval` there."""
    count: int
    """Items that count."""


@dataclass(frozen=True)
class Bootstrap:
    """How items are drawn again for an interval. Every number draws the same items, so that two
    numbers over the same items can be compared."""

    seed: int = 0
    groups: Int[np.ndarray, "item"] | None = None
    """As in `bootstrap_interval`; every item stands for itself when left out."""
    resamples: int = 10_000

    def groups_of(self, count: int) -> Int[np.ndarray, "item"]:
        """The group of each of so many items.

        Raises:
            MeasureError: Groups were given for another number of items.
        """
        if self.groups is None:
            return np.arange(count)
        if len(self.groups) != count:
            raise MeasureError(
                f"{len(self.groups)} groups stand against {count} items; give one for every item"
            )
        return self.groups


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


def cosines(
    first: Shaped[np.ndarray, "item feature"], second: Shaped[np.ndarray, "item feature"]
) -> Float[np.ndarray, "item"]:
    """`cosine` row by row; NaN where either row is zero."""
    a = np.asarray(first, np.float64)
    b = np.asarray(second, np.float64)
    length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    product = np.einsum("if,if->i", a, b)
    return np.divide(product, length, out=np.full(len(a), np.nan), where=length > 1e-12)


def cosines_by_rows(
    first: Shaped[np.ndarray, "item feature"], second: Shaped[np.ndarray, "item feature"]
) -> Float[np.ndarray, "item"]:
    """The same by one `cosine` after the other."""
    return np.array([cosine(a, b) for a, b in zip(first, second, strict=True)])


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
    return _percentiles(found, level)


def _percentiles(found: Float[np.ndarray, "draw"], level: float) -> Interval:
    found = found[~np.isnan(found)]
    if len(found) == 0:
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def ratio_estimate(
    numerators: Shaped[np.ndarray, "item"],
    denominators: Shaped[np.ndarray, "item"],
    bootstrap: Bootstrap | None = None,
) -> Estimate:
    """Sum over sum of items, with its interval: shares, means, precision, recall and F1 are of this
    kind. The interval is that of `bootstrap_interval`, from sums over the groups.

    Args:
        numerators: Such as 1 for an item that is right ...
        denominators: ... and 1 for an item that counts, 0 for one that does not.

    Raises:
        MeasureError: As `Bootstrap.groups_of`.
    """
    [estimate] = ratio_estimates(numerators[:, None], denominators[:, None], bootstrap)
    return estimate


def ratio_estimates(
    numerators: Shaped[np.ndarray, "item column"],
    denominators: Shaped[np.ndarray, "item column"],
    bootstrap: Bootstrap | None = None,
) -> list[Estimate]:
    """`ratio_estimate` of every column over the same items, which are drawn once for all.

    Raises:
        MeasureError: As `Bootstrap.groups_of`.
    """
    bootstrap = bootstrap or Bootstrap()
    above, below = (np.asarray(v, np.float64) for v in (numerators, denominators))
    groups, owners = np.unique(bootstrap.groups_of(len(above)), return_inverse=True)
    sums = np.zeros((2, len(groups), above.shape[1]))
    np.add.at(sums[0], owners, above)
    np.add.at(sums[1], owners, below)
    drawn = [_ratio(*(times @ sums)) for times in _times_drawn(len(groups), bootstrap)]
    drawn_columns = np.concatenate([np.zeros((0, above.shape[1])), *drawn]).T
    values = _ratio(above.sum(axis=0), below.sum(axis=0)).tolist()
    counts = (below != 0).sum(axis=0).tolist()
    return [
        Estimate(value, _percentiles(column, _LEVEL), count)
        for value, column, count in zip(values, drawn_columns, counts, strict=True)
    ]


def _times_drawn(size: int, bootstrap: Bootstrap) -> Iterator[Float[np.ndarray, "draw group"]]:
    """How often each group is in each draw, some draws at a time; none of no groups."""
    generator = np.random.default_rng(bootstrap.seed)
    at_once = max(1, _DRAWN_AT_ONCE // max(1, size))
    for first in range(0, bootstrap.resamples if size else 0, at_once):
        rows = min(at_once, bootstrap.resamples - first)
        drawn = generator.integers(size, size=(rows, size))
        places = drawn + size * np.arange(rows)[:, None]
        times = np.bincount(places.ravel(), minlength=rows * size)
        yield times.reshape(rows, size).astype(np.float64)


def ratio_estimate_by_draws(
    numerators: Shaped[np.ndarray, "item"],
    denominators: Shaped[np.ndarray, "item"],
    bootstrap: Bootstrap | None = None,
) -> Estimate:
    """The same by `bootstrap_interval`, which draws item by item."""
    bootstrap = bootstrap or Bootstrap()

    def ratio(rows: Int[np.ndarray, "drawn"]) -> float:
        below = float(denominators[rows].sum())
        return float(numerators[rows].sum()) / below if below else float("nan")

    interval = bootstrap_interval(
        ratio,
        bootstrap.groups_of(len(numerators)),
        np.random.default_rng(bootstrap.seed),
        resamples=bootstrap.resamples,
        level=_LEVEL,
    )
    return Estimate(ratio(np.arange(len(numerators))), interval, int((denominators != 0).sum()))


def mean_estimate(
    values: Shaped[np.ndarray, "item"], bootstrap: Bootstrap | None = None
) -> Estimate:
    """The mean with its interval; items without a value (NaN) do not count.

    Raises:
        MeasureError: As `Bootstrap.groups_of`.
    """
    there = ~np.isnan(values)
    return ratio_estimate(np.where(there, values, 0.0), there, bootstrap)


def _ratio(
    above: Float[np.ndarray, "*shape"], below: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)


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
