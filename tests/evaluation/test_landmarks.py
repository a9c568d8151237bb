"""Landmark errors agree with their twin, with the training loss, and with closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facegpt.evaluation.errors import MeasureError
from facegpt.evaluation.landmarks import landmark_errors, landmark_errors_by_points
from facegpt.losses import landmark_errors_px

FIELDS = ("all_px", "inner_px", "all_nme", "inner_nme")


def points(seed: int, count: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 224, (count, 68, 2))


@given(seed=st.integers(0, 10_000), count=st.integers(1, 4), size_px=st.floats(10, 1000))
def test_errors_equal_their_twin_and_those_of_training(
    seed: int, count: int, size_px: float
) -> None:
    detected, projected = points(seed, count), points(seed + 1, count)
    fast, slow = (
        f(detected, projected, size_px=size_px)
        for f in (landmark_errors, landmark_errors_by_points)
    )
    for field in FIELDS:
        np.testing.assert_allclose(getattr(fast, field), getattr(slow, field))
    every, inner = landmark_errors_px(torch.from_numpy(detected), torch.from_numpy(projected))
    at_224 = landmark_errors(detected, projected)
    np.testing.assert_allclose(at_224.all_px, every.numpy())
    np.testing.assert_allclose(at_224.inner_px, inner.numpy())


def test_a_shift_of_known_length() -> None:
    detected = points(0, 1)
    detected[0, 36], detected[0, 45] = (60.0, 90.0), (160.0, 90.0)
    found = landmark_errors(detected, detected + [3.0, 4.0])
    assert [getattr(found, field)[0] for field in FIELDS] == pytest.approx([5.0, 5.0, 0.05, 0.05])
    jaw = detected.copy()
    jaw[0, :17] += [0.0, 6.8]
    found = landmark_errors(detected, jaw)
    assert found.all_px[0] == pytest.approx(6.8 * 17 / 68)
    assert found.inner_px[0] == 0.0


@given(seed=st.integers(0, 10_000), factor=st.floats(0.2, 5))
def test_a_larger_crop_has_the_same_errors(seed: int, factor: float) -> None:
    detected, projected = points(seed), points(seed + 1)
    small = landmark_errors(detected, projected)
    # Whole numbers are pixel centres.
    large = landmark_errors(
        *((p + 0.5) * factor - 0.5 for p in (detected, projected)), size_px=224 * factor
    )
    for field in FIELDS:
        np.testing.assert_allclose(getattr(large, field), getattr(small, field))


def test_bad_points_are_named() -> None:
    good = points(0)
    with pytest.raises(MeasureError, match="nothing to measure"):
        landmark_errors(good[:0], good[:0])
    broken = good.copy()
    broken[1, 5, 0] = np.nan
    with pytest.raises(MeasureError, match="detected landmarks: item 1 is not finite"):
        landmark_errors(broken, good)
    with pytest.raises(MeasureError, match="projected landmarks: item 1 is not finite"):
        landmark_errors(good, broken)
    one_eyed = good.copy()
    one_eyed[1, 36] = one_eyed[1, 45]
    with pytest.raises(MeasureError, match="of face 1 lie in one place"):
        landmark_errors(one_eyed, good)
    with pytest.raises(MeasureError, match=r"size_px=0\.0"):
        landmark_errors(good, good, size_px=0.0)
