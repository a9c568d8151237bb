"""Distances of clouds agree with their slow twins and with closed forms, and obey their laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from facegpt.evaluation.errors import MeasureError
from facegpt.evaluation.surfaces import (
    CURVE_MM,
    chamfer_distance_mm,
    chamfer_distance_mm_by_pairs,
    complete_rate,
    complete_rate_by_pairs,
    complete_rate_curve,
    complete_rate_curve_by_pairs,
    nearest_distances,
    nearest_distances_by_pairs,
)

SEEDS = st.integers(0, 10_000)


def two_clouds(seed: int, count: int, other: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return 5 * draw.normal(size=(count, 3)), 5 * draw.normal(size=(other, 3))


@given(seed=SEEDS, count=st.integers(1, 40), other=st.integers(1, 40))
def test_fast_measures_equal_their_twins(seed: int, count: int, other: int) -> None:
    first, second = two_clouds(seed, count, other)
    fast, slow = (f(first, second) for f in (nearest_distances, nearest_distances_by_pairs))
    np.testing.assert_allclose(fast.of_predicted_mm, slow.of_predicted_mm)
    np.testing.assert_allclose(fast.of_truth_mm, slow.of_truth_mm)
    np.testing.assert_allclose(
        chamfer_distance_mm(first, second), chamfer_distance_mm_by_pairs(first, second)
    )
    rates = [rate(first, second, within_mm=4.0) for rate in (complete_rate, complete_rate_by_pairs)]
    assert rates[0] == rates[1]
    curves = [f(fast) for f in (complete_rate_curve, complete_rate_curve_by_pairs)]
    np.testing.assert_array_equal(*curves)


def test_a_shifted_plane_is_the_shift_away_in_both_directions() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(5) * 10.0] * 2), axis=-1).reshape(-1, 2)
    plane = np.concatenate([grid, np.zeros((25, 1))], axis=1)
    moved = plane + [0.0, 0.0, 3.0]
    found = nearest_distances(plane, moved)
    assert (found.accuracy_mm, found.completeness_mm) == (3.0, 3.0)
    assert found.chamfer_mm == chamfer_distance_mm(plane, moved) == 6.0
    # Eq. 6 as written: 25 points there, 25 points back.
    assert found.chamfer_sum_mm == 2 * 25 * 3.0
    assert chamfer_distance_mm(plane, plane) == 0.0
    # At the threshold itself a point is not nearer than it.
    assert found.complete_rate(within_mm=3.1) == 1.0
    assert found.complete_rate(within_mm=3.0) == 0.0
    assert complete_rate_curve(found, (2.9, 3.0, 3.1)).tolist() == [0.0, 0.0, 1.0]


def test_a_finer_cloud_changes_the_sum_and_not_the_mean() -> None:
    first, second = two_clouds(0, 20, 20)
    finer = np.repeat(first, 3, axis=0)
    assert chamfer_distance_mm(finer, second) == pytest.approx(chamfer_distance_mm(first, second))
    once, thrice = nearest_distances(first, second), nearest_distances(finer, second)
    extra = 2 * once.of_predicted_mm.sum()
    assert thrice.chamfer_sum_mm == pytest.approx(once.chamfer_sum_mm + extra)


def test_the_two_directions_differ_where_a_part_is_missing() -> None:
    whole = np.array([[0.0, 0, 0], [50.0, 0, 0]])
    found = nearest_distances(whole[:1], whole)
    assert (found.accuracy_mm, found.completeness_mm) == (0.0, 25.0)


def test_complete_rate_counts_the_points_of_both() -> None:
    first, second = np.zeros((3, 3)), np.array([[0.0, 0, 0], [50.0, 0, 0]])
    assert complete_rate(first, second) == pytest.approx(4 / 5)


@given(seed=SEEDS)
def test_exchange_and_a_common_motion_change_nothing(seed: int) -> None:
    first, second = two_clouds(seed, 12, 17)
    found, back = nearest_distances(first, second), nearest_distances(second, first)
    assert (found.accuracy_mm, found.completeness_mm) == (back.completeness_mm, back.accuracy_mm)
    turn = Rotation.from_rotvec(np.random.default_rng(seed).normal(size=3)).as_matrix()
    moved = nearest_distances(first @ turn.T + 7.0, second @ turn.T + 7.0)
    assert moved.chamfer_mm == pytest.approx(found.chamfer_mm)
    # Distances scale with the clouds.
    assert chamfer_distance_mm(10 * first, 10 * second) == pytest.approx(10 * found.chamfer_mm)


@given(seed=SEEDS)
def test_a_curve_rises_from_nothing_to_everything(seed: int) -> None:
    found = nearest_distances(*two_clouds(seed, 10, 10))
    curve = complete_rate_curve(found)
    assert len(curve) == len(CURVE_MM)
    assert (np.diff(curve) >= 0).all()
    assert complete_rate_curve(found, (0.0, 1e9)).tolist() == [0.0, 1.0]
    assert curve[CURVE_MM.index(10.0)] == found.complete_rate()


def test_a_cloud_that_cannot_be_measured_is_named() -> None:
    cloud = np.zeros((4, 3))
    with pytest.raises(MeasureError, match="the predicted cloud has 0 points"):
        nearest_distances(np.zeros((0, 3)), cloud)
    with pytest.raises(MeasureError, match="points of the true cloud: item 0 is not finite"):
        nearest_distances(cloud, cloud * np.nan)
