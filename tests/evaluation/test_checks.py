"""Bad input is named: how many, which item, what to do."""

import numpy as np
import pytest

from facegpt.evaluation.checks import check_any, check_finite, check_pairs, checked_cloud
from facegpt.evaluation.errors import MeasureError


def test_pairs_must_be_there_and_of_equal_number() -> None:
    check_pairs("a and b", [1, 2], "xy")
    with pytest.raises(MeasureError, match="a and b: 2 stand against 3; give one of each"):
        check_pairs("a and b", [1, 2], "xyz")
    with pytest.raises(MeasureError, match="a and b: there is nothing"):
        check_pairs("a and b", [], "")
    with pytest.raises(MeasureError, match="faces: there is nothing"):
        check_any("faces", [])


def test_the_first_item_that_is_not_finite_is_named() -> None:
    values = np.ones((4, 2))
    check_finite("weights", values)
    check_finite("counts", np.arange(3))
    values[2, 1] = np.inf
    values[3, 0] = np.nan
    with pytest.raises(MeasureError, match="weights: item 2 is not finite"):
        check_finite("weights", values)


def test_a_cloud_has_points_of_three_coordinates() -> None:
    cloud = checked_cloud("true", np.ones((2, 3), np.float32))
    assert cloud.dtype == np.float64
    assert len(checked_cloud("true", np.ones((2, 3)), 2)) == 2
    with pytest.raises(MeasureError, match=r"true cloud must have shape .* got \(1, 2, 3\)"):
        checked_cloud("true", np.ones((1, 2, 3)))
    with pytest.raises(MeasureError, match="has 2 points where at least 3"):
        checked_cloud("true", np.ones((2, 3)), 3)
    with pytest.raises(MeasureError, match="item 1 is not finite"):
        checked_cloud("true", np.array([[0.0, 0, 0], [0, np.nan, 0]]))
