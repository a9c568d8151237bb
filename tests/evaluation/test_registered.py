"""Rigid ICP by trimesh agrees with its slow twin, finds small motions, never scales or mirrors."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from facegpt.evaluation.errors import MeasureError, RegistrationUnavailableError
from facegpt.evaluation.registered import (
    registered_distances,
    rigid_registration,
    rigid_registration_by_pairs,
)
from facegpt.evaluation.surfaces import nearest_distances
from facegpt.geometry.registration import Similarity

SEEDS = st.integers(0, 10_000)


def bumps(seed: int) -> np.ndarray:
    """A cloud without symmetry: 100 mm wide, its points about 10 mm apart."""
    draw = np.random.default_rng(seed)
    x, y = (axis.ravel() for axis in np.meshgrid(*[np.linspace(-50, 50, 11)] * 2))
    z = 20 * np.sin(0.05 * x) + 15 * np.cos(0.04 * y + 1) + 0.004 * x * y
    return np.column_stack([x, y, z]) + 0.3 * draw.normal(size=(121, 3))


def small_motion(seed: int, scale: float = 1.0) -> Similarity:
    """Moves every point by less than half the way to the next one."""
    draw = np.random.default_rng(seed)
    turn = Rotation.from_rotvec(0.01 * draw.uniform(-1, 1, size=3)).as_matrix()
    return Similarity(scale, turn, draw.choice([-1.0, 1.0], size=3))


@given(seed=SEEDS)
def test_trimesh_and_the_slow_twin_find_the_same_motion(seed: int) -> None:
    truth = bumps(seed)
    predicted = small_motion(seed).apply(bumps(seed + 1)[:90])
    fast, slow = (
        f(predicted, truth, start=small_motion(seed + 2, 1.1))
        for f in (rigid_registration, rigid_registration_by_pairs)
    )
    np.testing.assert_allclose(fast.apply(predicted), slow.apply(predicted), atol=1e-8)
    np.testing.assert_allclose(fast.scale, slow.scale)


@given(seed=SEEDS)
def test_a_small_motion_is_undone(seed: int) -> None:
    truth = bumps(seed)
    moved = small_motion(seed).apply(truth)
    assert nearest_distances(moved, truth).chamfer_mm > 0.1
    assert registered_distances(moved, truth).chamfer_mm < 1e-6


def test_a_start_leads_home_from_far_away() -> None:
    truth = bumps(0)
    far = Similarity(0.1, Rotation.from_rotvec([0, 2.5, 0]).as_matrix(), np.full(3, 300.0))
    there = far.apply(truth)
    assert registered_distances(there, truth).chamfer_mm > 5
    rough = small_motion(3).after(far.inverse())
    assert registered_distances(there, truth, start=rough).chamfer_mm < 1e-6
    # The start brings its scale along; ICP adds none.
    assert rigid_registration(there, truth, start=rough).scale == pytest.approx(10.0)


def test_size_and_handedness_stay() -> None:
    truth = bumps(0)
    for predicted in (1.2 * truth, truth * (-1, 1, 1)):
        pose = rigid_registration(predicted, truth)
        assert pose.scale == 1.0
        np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(pose.rotation) == pytest.approx(1.0)
        assert registered_distances(predicted, truth).chamfer_mm > 1


def test_too_few_points_are_refused() -> None:
    with pytest.raises(MeasureError, match="predicted cloud has 2 points where at least 3"):
        rigid_registration(bumps(0)[:2], bumps(0))


def test_a_missing_library_is_answered_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trimesh.registration", None)
    with pytest.raises(RegistrationUnavailableError, match=r"pip install 'facegpt\[evaluate\]'"):
        rigid_registration(bumps(0), bumps(0))
