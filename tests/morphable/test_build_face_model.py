"""The operators that build the face model, on meshes one can check by hand."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

CUBE = np.array([[x, y, z] for x in (0.0, 1) for y in (0.0, 1) for z in (0.0, 1)])
CUBE_QUADS = np.array(
    [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
)


@pytest.fixture
def step(project: Path, monkeypatch: pytest.MonkeyPatch):
    """One module of scripts/face_model by name."""
    monkeypatch.syspath_prepend(str(project / "scripts"))

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"face_model.{name}")

    return load


def grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """A square sheet of quads in the plane z = 0, centred."""
    x, y = np.meshgrid(np.arange(side + 1.0), np.arange(side + 1.0))
    points = np.stack([x.ravel() - side / 2, y.ravel(), 0 * x.ravel()], 1)
    corner = np.arange((side + 1) ** 2).reshape(side + 1, side + 1)
    quads = [corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]]
    return points, np.stack(quads, -1).reshape(-1, 4)


def test_catmull_clark_of_a_cube_is_the_known_one(step) -> None:
    stencil, quads, parent = step("subdivision").catmull_clark(CUBE_QUADS, 8)
    points = stencil @ CUBE
    assert points.shape == (8 + 12 + 6, 3)
    assert quads.shape == (24, 4)
    assert (np.bincount(parent) == 4).all()
    np.testing.assert_allclose(points[0], [2 / 9] * 3)  # (F + 2 R + (3 - 3) P) / 3
    np.testing.assert_allclose(np.asarray(stencil.sum(1)), 1)


def test_catmull_clark_keeps_a_flat_sheet_flat_and_its_border_straight(step) -> None:
    points, quads = grid(4)
    stencil, new, _ = step("subdivision").catmull_clark(quads, len(points))
    fine = stencil @ points
    assert np.abs(fine[:, 2]).max() == 0
    assert fine[:, 1].min() == 0
    assert fine[np.unique(new), 1].max() == 4


def test_a_split_runs_along_the_zero_line_and_keeps_the_area(step) -> None:
    subdivision = step("subdivision")
    points, quads = grid(4)
    triangles = subdivision.triangulate(quads, points)
    field = points[:, 0] + 0.3 * points[:, 1] - 0.77
    new, parent, rows = subdivision.split_at_zero(triangles, field, points, snap=0.0)
    every = np.concatenate([points, rows @ points])
    value = np.concatenate([field, rows @ field])
    np.testing.assert_allclose(value[len(points) :], 0, atol=1e-12)
    signs = np.sign(np.round(value[new], 12))
    assert (signs.max(1) - signs.min(1) < 2).all()
    u, v = (every[new[:, k]] - every[new[:, 0]] for k in (1, 2))
    area = np.cross(u, v)[:, 2] / 2
    assert (area > 0).all()
    np.testing.assert_allclose(area.sum(), 16)
    assert (np.bincount(parent, minlength=len(triangles)) >= 1).all()


def test_borders_are_found_in_walking_order(step) -> None:
    subdivision = step("subdivision")
    points, quads = grid(5)
    hole = np.delete(quads, 12, axis=0)
    outer, inner = subdivision.border_loops(subdivision.triangulate(hole, points))
    assert (len(outer), len(inner)) == (20, 4)
    steps = np.linalg.norm(np.diff(points[np.r_[outer, outer[0]]], axis=0), axis=1)
    np.testing.assert_allclose(steps, 1)


def test_flattening_a_bowl_never_folds(step) -> None:
    points, quads = grid(8)
    points[:, 2] = 3 * np.cos(points[:, 0] / 3) * np.sin(points[:, 1] / 3)
    triangles = step("subdivision").triangulate(quads, points)
    mirror = np.arange(81).reshape(9, 9)[:, ::-1].ravel()
    flat = step("uv").flatten(triangles, points, np.ones(81), mirror, squareness=4)
    u, v = (flat[triangles[:, k]] - flat[triangles[:, 0]] for k in (1, 2))
    assert (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] > 0).all()
    assert np.abs(flat).max() <= 1 + 1e-9


def test_the_dome_of_an_eye_is_a_symmetric_piece_of_a_sphere(step) -> None:
    inside = step("inside")
    points, triangles = inside.eye_dome()
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1)
    np.testing.assert_allclose(inside.sphere_centre(3 * points + [1, 2, 3]), [1, 2, 3])
    a, b, c = (points[triangles[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a) * (a + b + c)).sum(1).min() > 0
    flipped = points * [-1, 1, 1]
    assert np.abs(flipped[:, None] - points[None]).sum(-1).min(1).max() < 1e-12


def test_the_second_points_twin_is_the_point(step) -> None:
    twin = step("landmarks").TWIN
    assert sorted(twin) == list(range(68))
    assert all(twin[twin[k]] == k for k in range(68))


def test_colours_survive_their_integers(step, tmp_path: Path) -> None:
    asset = step("asset")
    generator = np.random.default_rng(0)
    mean, basis = generator.random((50, 3)), generator.normal(0, 0.1, (80, 50, 3))
    blocks = asset.quantised("albedo", mean, basis)
    asset.write(tmp_path / "a.npz", blocks)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        np.testing.assert_allclose(file["albedo_mean"] / 65535, mean, atol=1e-5)
        again = file["albedo_basis"] * file["albedo_scale"][:, None, None]
    np.testing.assert_allclose(again, basis, atol=np.abs(basis).max() / 250)
    first = (tmp_path / "a.npz").read_bytes()
    asset.write(tmp_path / "b.npz", blocks)
    assert (tmp_path / "b.npz").read_bytes() == first
