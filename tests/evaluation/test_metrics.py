"""Measures agree with their slow twins, with closed forms, and obey their laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegpt.evaluation.metrics import (
    auc,
    auc_by_pairs,
    bootstrap_interval,
    chamfer_distance_mm,
    chamfer_distance_mm_by_pairs,
    complete_rate,
    complete_rate_by_pairs,
    correlation,
    cosine,
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
    first, second = draw.normal(size=(count, 3)), draw.normal(size=(count + 3, 3))
    np.testing.assert_allclose(
        chamfer_distance_mm(first, second), chamfer_distance_mm_by_pairs(first, second)
    )
    rates = [rate(first, second, within_mm=0.7) for rate in (complete_rate, complete_rate_by_pairs)]
    assert rates[0] == rates[1]


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


def test_chamfer_of_a_shifted_plane_is_twice_the_shift() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(5) * 10.0] * 2), axis=-1).reshape(-1, 2)
    plane = np.concatenate([grid, np.zeros((25, 1))], axis=1)
    moved = plane + [0.0, 0.0, 3.0]
    assert chamfer_distance_mm(plane, moved) == pytest.approx(6.0)
    assert chamfer_distance_mm(plane, plane) == 0.0
    # A finer cloud is no farther away.
    assert chamfer_distance_mm(np.repeat(plane, 3, axis=0), moved) == pytest.approx(6.0)
    assert complete_rate(plane, moved, within_mm=3.1) == 1.0
    assert complete_rate(plane, moved, within_mm=3.0) == 0.0


def test_complete_rate_counts_the_points_of_both() -> None:
    first, second = np.zeros((3, 3)), np.array([[0.0, 0, 0], [50.0, 0, 0]])
    assert complete_rate(first, second) == pytest.approx(4 / 5)


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
