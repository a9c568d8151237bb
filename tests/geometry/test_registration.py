"""Registration: exact round trips, the reflection guard, noise, holes, soft warps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from facegpt.geometry.closest import TriangleSurface
from facegpt.geometry.registration import (
    Similarity,
    icp,
    soft_registration,
    spread_subset,
    thin_plate_warp,
    umeyama,
)


def random_similarity(seed: int, scale: float = 1.0, angle: float = 1.0) -> Similarity:
    generator = np.random.default_rng(seed)
    turn = Rotation.from_rotvec(angle * generator.standard_normal(3)).as_matrix()
    return Similarity(scale, turn, generator.standard_normal(3))


def bumpy_surface() -> tuple[np.ndarray, np.ndarray]:
    """A height field without symmetry, about 20 mm wide."""
    x, y = np.meshgrid(np.linspace(-10, 10, 25), np.linspace(-10, 10, 25))
    z = 2 * np.sin(0.5 * x) + 1.5 * np.cos(0.4 * y + 1) + 0.1 * x * y / 4
    number = np.arange(25 * 25).reshape(25, 25)
    a, b, c, d = (
        n.ravel() for n in (number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:])
    )
    triangles = np.concatenate([np.column_stack([a, b, d]), np.column_stack([a, d, c])])
    return np.column_stack([x.ravel(), y.ravel(), z.ravel()]), triangles


@given(seed=st.integers(0, 999), scale=st.floats(0.05, 50))
def test_umeyama_finds_the_similarity_it_was_given(seed: int, scale: float) -> None:
    points = np.random.default_rng(seed).standard_normal((7, 3))
    truth = random_similarity(seed, scale)
    found = umeyama(points, truth.apply(points))
    np.testing.assert_allclose(found.apply(points), truth.apply(points), atol=1e-9 * max(1, scale))
    np.testing.assert_allclose(found.scale, scale, rtol=1e-9)


@given(seed=st.integers(0, 999))
def test_umeyama_never_reflects(seed: int) -> None:
    points = np.random.default_rng(seed).standard_normal((6, 3))
    found = umeyama(points, points * (-1, 1, 1))
    assert np.linalg.det(found.rotation) > 0.999


def test_umeyama_of_a_flat_triangle_is_a_rotation() -> None:
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
    truth = random_similarity(3, 2.0)
    found = umeyama(points, truth.apply(points))
    np.testing.assert_allclose(found.rotation, truth.rotation, atol=1e-9)


def test_weights_of_zero_take_a_pair_away() -> None:
    points = np.random.default_rng(0).standard_normal((8, 3))
    target = random_similarity(0).apply(points)
    target[0] += 100
    found = umeyama(points, target, weights=np.array([0.0] + [1.0] * 7), with_scale=False)
    np.testing.assert_allclose(found.apply(points)[1:], target[1:], atol=1e-9)
    assert found.scale == 1.0


def test_umeyama_refuses_what_it_cannot_answer() -> None:
    points = np.random.default_rng(0).standard_normal((5, 3))
    with pytest.raises(ValueError, match="3 pairs"):
        umeyama(points[:2], points[:2])
    with pytest.raises(ValueError, match="finite"):
        umeyama(points * np.nan, points)
    with pytest.raises(ValueError, match="one place"):
        umeyama(points[:1].repeat(5, axis=0), points)


@given(seed=st.integers(0, 99))
def test_similarities_compose_and_invert(seed: int) -> None:
    points = np.random.default_rng(seed).standard_normal((4, 3))
    first, second = random_similarity(seed, 2.0), random_similarity(seed + 1, 0.3)
    np.testing.assert_allclose(
        second.after(first).apply(points), second.apply(first.apply(points)), atol=1e-9
    )
    np.testing.assert_allclose(first.inverse().apply(first.apply(points)), points, atol=1e-9)


@pytest.mark.parametrize("step", ["plane", "point"])
@pytest.mark.parametrize("scale", [1.0, 1.1])
def test_icp_finds_the_way_back(step: str, scale: float) -> None:
    vertices, triangles = bumpy_surface()
    truth = random_similarity(5, scale, angle=0.05)
    source = truth.inverse().apply(vertices[::3])
    result = icp(
        source,
        TriangleSurface(vertices, triangles),
        step=step,  # pyright: ignore[reportArgumentType]
        with_scale=scale != 1.0,
        keep=1.0,
        iterations=200,
        tolerance=1e-7,
    )
    error = np.linalg.norm(result.target_from_source.apply(source) - vertices[::3], axis=1)
    # Points pull along a surface slowly: that step ends early, in the same place.
    assert error.max() < (1e-4 if step == "plane" else 0.7)
    assert result.rms < (1e-5 if step == "plane" else 0.1)


def test_icp_forgets_points_that_have_no_partner() -> None:
    vertices, triangles = bumpy_surface()
    truth = random_similarity(6, angle=0.03)
    source = truth.inverse().apply(vertices[::2])
    source[:30] += (0.0, 0.0, 15.0)
    result = icp(source, TriangleSurface(vertices, triangles), keep=0.8)
    error = np.linalg.norm(result.target_from_source.apply(source) - vertices[::2], axis=1)
    assert np.median(error) < 0.02


def test_icp_refuses_nonsense() -> None:
    surface = TriangleSurface(*bumpy_surface())
    with pytest.raises(ValueError, match="keep"):
        icp(np.zeros((3, 3)), surface, keep=0.0)
    with pytest.raises(ValueError, match="iteration"):
        icp(np.zeros((3, 3)), surface, iterations=0)


def test_a_warp_meets_its_targets_and_keeps_shifts() -> None:
    generator = np.random.default_rng(1)
    source, points = generator.standard_normal((20, 3)), generator.standard_normal((50, 3))
    shifted = thin_plate_warp(source, source + (1.0, -2.0, 3.0), points)
    np.testing.assert_allclose(shifted, points + (1.0, -2.0, 3.0), atol=1e-8)
    target = source + generator.standard_normal((20, 3))
    np.testing.assert_allclose(thin_plate_warp(source, target, source), target, atol=1e-8)


def test_a_warp_takes_a_pair_that_is_there_twice() -> None:
    source = np.random.default_rng(2).standard_normal((8, 3))
    twice = np.concatenate([source, source[:2]])
    np.testing.assert_allclose(thin_plate_warp(twice, twice, source), source, atol=1e-9)


def test_soft_registration_bends_onto_the_surface() -> None:
    vertices, triangles = bumpy_surface()
    bent = vertices + np.column_stack([np.zeros(625), np.zeros(625), 0.08 * vertices[:, 0] + 0.5])
    surface = TriangleSurface(vertices, triangles)
    before = surface.closest(bent).distance.mean()
    after = surface.closest(soft_registration(bent, surface, reach=4.0)).distance.mean()
    assert after < 0.2 * before


def test_pinned_points_stay() -> None:
    vertices, triangles = bumpy_surface()
    raised = vertices + (0.0, 0.0, 1.0)
    pins = np.array([3, 300, 600])
    bent = soft_registration(raised, TriangleSurface(vertices, triangles), reach=4.0, pinned=pins)
    np.testing.assert_allclose(bent[pins], raised[pins], atol=1e-8)


@given(seed=st.integers(0, 99), count=st.integers(5, 60))
def test_a_spread_subset_is_no_larger_than_asked(seed: int, count: int) -> None:
    points = np.random.default_rng(seed).standard_normal((300, 3))
    chosen = spread_subset(points, count)
    assert 1 <= len(chosen) <= count
    assert len(np.unique(chosen)) == len(chosen)
