"""Measures agree with their slow twins, with closed forms, and obey their laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegpt.evaluation.errors import MeasureError
from facegpt.evaluation.metrics import (
    Bootstrap,
    Interval,
    auc,
    auc_by_pairs,
    bootstrap_interval,
    correlation,
    cosine,
    cosines,
    cosines_by_rows,
    mean_estimate,
    ratio_estimate,
    ratio_estimate_by_draws,
    ratio_estimates,
    separating_direction,
    spearman,
    spearman_by_pairs,
    wilson_interval,
)

SEEDS = st.integers(0, 10_000)


@given(seed=SEEDS, count=st.integers(2, 40))
def test_fast_measures_equal_their_twins_with_ties(seed: int, count: int) -> None:
    draw = np.random.default_rng(seed)
    scores = draw.integers(0, 6, count)
    kinds = draw.random(count) < 0.4
    np.testing.assert_allclose(auc(scores, kinds), auc_by_pairs(scores, kinds))
    other = draw.integers(0, 6, count)
    np.testing.assert_allclose(spearman(scores, other), spearman_by_pairs(scores, other))
    first, second = draw.normal(size=(count, 3)), draw.normal(size=(count, 3))
    first[draw.random(count) < 0.2] = 0.0
    np.testing.assert_allclose(cosines(first, second), cosines_by_rows(first, second))


def test_auc_of_known_orders() -> None:
    kinds = np.array([True, True, False, False])
    assert auc(np.array([4.0, 3.0, 2.0, 1.0]), kinds) == 1.0
    assert auc(np.array([1.0, 2.0, 3.0, 4.0]), kinds) == 0.0
    assert auc(np.zeros(4), kinds) == 0.5
    assert auc(np.array([4.0, 1.0, 2.0, 3.0]), kinds) == 0.5
    assert math.isnan(auc(np.zeros(4), np.zeros(4, bool)))


@given(seed=SEEDS)
def test_auc_of_the_opposite_is_the_rest(seed: int) -> None:
    draw = np.random.default_rng(seed)
    scores, kinds = draw.normal(size=20), np.arange(20) % 3 == 0
    assert auc(scores, kinds) + auc(-scores, kinds) == pytest.approx(1.0)
    assert auc(np.exp(scores), kinds) == auc(scores, kinds)


def test_spearman_of_known_orders() -> None:
    up = np.arange(10.0)
    assert spearman(up, up**3) == pytest.approx(1.0)
    assert spearman(up, -up) == pytest.approx(-1.0)
    # 1 - 6 sum(d^2) / (n (n^2 - 1)) with two neighbours exchanged, d = 1, -1.
    exchanged = np.array([1.0, 0, *range(2, 10)])
    assert spearman(up, exchanged) == pytest.approx(1 - 6 * 2 / (10 * 99))
    assert math.isnan(spearman(up, np.ones(10)))


def test_correlation_forgets_the_mean_and_cosine_does_not() -> None:
    first, second = np.array([1.0, 2.0, 3.0]), np.array([11.0, 12.0, 13.0])
    assert correlation(first, second) == pytest.approx(1.0)
    assert cosine(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(math.sqrt(0.5))
    assert math.isnan(cosine(np.zeros(2), np.ones(2)))


def test_direction_points_from_the_rest_to_the_kind_and_minds_the_spread() -> None:
    draw = np.random.default_rng(0)
    kinds = np.arange(4000) % 2 == 0
    values = draw.normal(size=(4000, 2)) * [1.0, 5.0]
    values[kinds] += [1.0, 1.0]
    # Fisher: difference over variance, (1, 1 / 25), if nothing is shrunk.
    direction = separating_direction(values, kinds, shrinkage=0.0)
    np.testing.assert_allclose(direction, np.array([1, 0.04]) / math.hypot(1, 0.04), atol=0.03)
    with pytest.raises(ValueError, match="needs both"):
        separating_direction(values, np.ones(4000, bool))


def test_bootstrap_of_a_mean_is_that_of_the_normal_law() -> None:
    draw = np.random.default_rng(1)
    values = draw.normal(size=400)
    found = bootstrap_interval(
        lambda rows: float(values[rows].mean()), np.arange(400), draw, resamples=1500
    )
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_bootstrap_draws_what_belongs_together_as_one() -> None:
    values, groups = np.repeat([0.0, 1.0], 50), np.repeat([7, 3], 50)
    found = bootstrap_interval(
        lambda rows: float(values[rows].mean()), groups, np.random.default_rng(2), resamples=500
    )
    assert (found.low, found.high) == (0.0, 1.0)
    seeds = [
        bootstrap_interval(
            lambda rows: float(rows.mean()), groups, np.random.default_rng(3), resamples=50
        )
        for _ in range(2)
    ]
    assert seeds[0] == seeds[1]


def test_bootstrap_passes_over_draws_without_a_value() -> None:
    scores, kinds = np.arange(4.0), np.array([False, False, False, True])
    found = bootstrap_interval(
        lambda rows: auc(scores[rows], kinds[rows]),
        np.arange(4),
        np.random.default_rng(4),
        resamples=200,
    )
    assert (found.low, found.high) == (1.0, 1.0)
    never = bootstrap_interval(
        lambda rows: float("nan"), np.arange(4), np.random.default_rng(4), resamples=5
    )
    assert math.isnan(never.low)
    assert math.isnan(never.high)


@given(count=st.integers(1, 300), data=st.data())
def test_wilson_bounds_are_where_the_share_is_just_not_surprising(
    count: int, data: st.DataObject
) -> None:
    successes = data.draw(st.integers(0, count))
    found = wilson_interval(successes, count, z=2.0)
    for bound in (found.low, found.high):
        # By definition: the distance from the true share, in its own standard deviations.
        distance = abs(successes / count - bound)
        assert distance == pytest.approx(2.0 * math.sqrt(bound * (1 - bound) / count), abs=1e-7)
    with pytest.raises(ValueError, match="no share"):
        wilson_interval(count + 1, count)


@given(seed=SEEDS, count=st.integers(1, 30), grouped=st.booleans())
def test_intervals_of_ratios_equal_those_drawn_item_by_item(
    seed: int, count: int, grouped: bool
) -> None:
    draw = np.random.default_rng(seed)
    counts = draw.integers(0, 3, count)
    right = np.minimum(counts, draw.integers(0, 3, count))
    groups = draw.integers(0, 6, count) if grouped else None
    # An odd number of draws: random numbers left over from one must serve the next one.
    bootstrap = Bootstrap(seed=seed, groups=groups, resamples=101)
    fast, slow = (f(right, counts, bootstrap) for f in (ratio_estimate, ratio_estimate_by_draws))
    np.testing.assert_allclose(
        [fast.value, fast.interval.low, fast.interval.high],
        [slow.value, slow.interval.low, slow.interval.high],
    )
    assert fast.count == slow.count


def test_columns_are_estimated_as_each_alone() -> None:
    draw = np.random.default_rng(6)
    counts = draw.integers(0, 3, (9, 4))
    counts[:, 2] = 0
    bootstrap = Bootstrap(groups=draw.integers(0, 4, 9), resamples=101)
    together = ratio_estimates(counts // 2, counts, bootstrap)
    alone = [ratio_estimate(c // 2, c, bootstrap) for c in counts.T]
    assert str(together) == str(alone)
    assert [estimate.count for estimate in together] == (counts > 0).sum(axis=0).tolist()
    assert math.isnan(ratio_estimates(counts[:0], counts[:0])[0].value)


def test_a_ratio_is_drawn_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(5).normal(size=7)
    whole = ratio_estimate(values, np.ones(7), Bootstrap(resamples=101))
    monkeypatch.setattr("facegpt.evaluation.metrics._DRAWN_AT_ONCE", 21)
    pieces = ratio_estimate(values, np.ones(7), Bootstrap(resamples=101))
    assert pieces.interval.low == pytest.approx(whole.interval.low)
    assert pieces.interval.high == pytest.approx(whole.interval.high)


def test_estimate_of_a_mean_passes_over_what_has_no_value() -> None:
    values = np.array([1.0, np.nan, 3.0, 2.0])
    found = mean_estimate(values, Bootstrap(resamples=500))
    assert (found.value, found.count) == (2.0, 3)
    assert 1.0 <= found.interval.low < 2.0 < found.interval.high <= 3.0
    assert mean_estimate(np.full(9, 4.0), Bootstrap(resamples=50)).interval == Interval(4.0, 4.0)
    nothing = mean_estimate(np.array([np.nan]))
    assert nothing.count == 0
    assert math.isnan(nothing.value)
    assert math.isnan(nothing.interval.low)


@given(seed=SEEDS)
def test_one_witness_told_many_times_is_no_more_certain(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=12)
    once = mean_estimate(values, Bootstrap(resamples=200))
    often = Bootstrap(groups=np.repeat(np.arange(12), 5), resamples=200)
    five_times = mean_estimate(np.repeat(values, 5), often)
    np.testing.assert_allclose(five_times.interval.low, once.interval.low)
    np.testing.assert_allclose(five_times.interval.high, once.interval.high)


def test_groups_must_be_there_for_every_item() -> None:
    with pytest.raises(MeasureError, match="2 groups stand against 3 items"):
        mean_estimate(np.ones(3), Bootstrap(groups=np.zeros(2, int)))
