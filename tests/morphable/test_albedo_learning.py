"""What `scripts/build_albedo.py` learns, on people made here whose albedo is known."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from face_model.photo_gauge import flattened, with_white_light
from face_model.photo_learning import LearningSettings, LearntAlbedo, learn
from face_model.photo_light import LinearAlbedo, harmonics
from face_model.photo_samples import PhotoSamples
from face_model.photo_statistics import Population
from face_model.procedural_albedo import symmetric_components

PHOTOS = 400
GENERATOR = np.random.default_rng(0)


def _vertices() -> tuple[np.ndarray, np.ndarray]:
    """Normals of a face-like dome, symmetric, and its mirror map."""
    x, y = np.meshgrid(np.linspace(-0.75, 0.75, 14), np.linspace(-0.6, 0.6, 13), indexing="ij")
    normals = np.stack([x.ravel(), y.ravel(), np.sqrt(1 - x.ravel() ** 2 - y.ravel() ** 2)], 1)
    number = np.arange(len(normals)).reshape(x.shape)
    return normals.astype(np.float32), number[::-1].ravel()


def _truth(normals: np.ndarray) -> LinearAlbedo:
    """Tone, lips and cheeks, both symmetric, and a patch on one side."""
    x, y = normals[:, 0], normals[:, 1]
    lips = np.exp(-((x / 0.3) ** 2) - ((y + 0.35) / 0.1) ** 2)
    side = np.sin(9 * x) * np.cos(7 * y)
    mean = np.array([0.7, 0.55, 0.45]) + lips[:, None] * [0.0, -0.2, -0.12]
    basis = [
        np.full_like(mean, 0.08) * [1.0, 1.05, 1.0],
        lips[:, None] * [0.02, -0.08, -0.05],
        0.05 * side[:, None] * [1.0, 0.8, 0.6],
    ]
    return LinearAlbedo(mean.astype(np.float32), np.stack(basis).astype(np.float32))


@pytest.fixture(scope="module")
def learnt() -> tuple[LinearAlbedo, LearntAlbedo, Population, np.ndarray]:
    normals, mirror = _vertices()
    truth = _truth(normals)
    gamma = GENERATOR.normal(size=(PHOTOS, 3)).astype(np.float32)
    light = GENERATOR.normal(size=(PHOTOS, 9, 1)) * 0.12
    facing = harmonics(normals).mean(0)
    light[:, 0, 0] = 1 - light[:, 1:, 0] @ facing[1:]  # photos are exposed for the face
    shading = harmonics(normals) @ np.repeat(light, 3, 2)
    albedo = truth.mean + np.tensordot(gamma, truth.basis, 1)
    colour = albedo * shading + 0.01 * GENERATOR.normal(size=albedo.shape)
    colour[GENERATOR.random(colour.shape[:2]) < 0.03] = 0.05  # something that is not skin
    pixels = 5.0 * (GENERATOR.random(colour.shape[:2]) > 0.2)
    samples = PhotoSamples(
        colour.astype(np.float16),
        pixels.astype(np.float16),
        np.repeat(normals[None], PHOTOS, 0).astype(np.float16),
        np.arange(len(normals)),
    )
    population = Population.of(samples, np.ones(PHOTOS, np.float32), mirror)
    settings = LearningSettings(symmetric=4, antisymmetric=3, components=3, rounds=4)
    plain = population.metric * (truth.mean[:, 1] > 0.54)
    found = learn(samples, population, plain, settings, lambda _: None)
    return truth, found, population, normals


def test_the_space_of_people_is_found(learnt) -> None:
    truth, found, _, _ = learnt
    spaces = [np.linalg.qr(a.basis.reshape(3, -1).T)[0] for a in (truth, found.albedo)]
    assert np.linalg.svd(spaces[0].T @ spaces[1])[1].min() > 0.9


def test_the_mean_is_found_up_to_brightness(learnt) -> None:
    truth, found, _, _ = learnt
    ratio = found.albedo.mean / truth.mean
    assert np.abs(ratio / ratio.mean() - 1).max() < 0.06


def test_photos_are_explained_to_their_noise(learnt) -> None:
    _, found, _, _ = learnt
    assert np.median(found.explanation.error) < 0.06


def test_trust_drops_where_it_is_not_skin(learnt) -> None:
    _, found, _, _ = learnt
    assert np.quantile(found.explanation.trust, 0.01) < 0.1
    assert np.median(found.explanation.trust) > 0.9


def test_components_keep_their_symmetry(learnt) -> None:
    _, found, population, _ = learnt
    flipped = found.albedo.basis[:, population.mirror]
    assert np.abs(flipped - found.signs[:, None, None] * found.albedo.basis).max() < 1e-4
    assert sorted(found.signs) == [-1, 1, 1]


def test_coefficients_are_in_standard_deviations(learnt) -> None:
    _, found, _, _ = learnt
    assert np.abs(found.explanation.gamma.std(0) - 1).max() < 0.15


def test_flat_albedo_has_no_shade(learnt) -> None:
    truth, _, population, normals = learnt
    shade = 1 + 0.2 * normals[:, 2:] + 0.1 * normals[:, 1:2]
    shaded = LinearAlbedo(truth.mean * shade, truth.basis * shade)
    plain = population.metric * (truth.mean[:, 1] > 0.54)
    ratio = flattened(shaded, normals, plain).mean / truth.mean
    assert np.abs(ratio / ratio.mean() - 1)[plain > 0].max() < 0.05


def test_moving_light_into_the_albedo_changes_no_picture(learnt) -> None:
    truth, found, population, normals = learnt
    light = found.explanation.light
    args = (population.people, population.metric / population.metric.sum() @ harmonics(normals))
    moved, new_light = with_white_light(truth, light, *args)
    before = truth.mean * (harmonics(normals) @ light[0])
    after = moved.mean * (harmonics(normals) @ new_light[0])
    np.testing.assert_allclose(after, before, atol=1e-5)
    _, again = with_white_light(moved, new_light, *args)
    np.testing.assert_allclose(again, new_light, atol=1e-5)


def test_symmetric_components_of_symmetric_people() -> None:
    people = GENERATOR.normal(size=(50, 6, 3))
    mirror = np.array([1, 0, 3, 2, 5, 4])
    mean, basis = symmetric_components(people, mirror, np.ones(6), 12)
    np.testing.assert_allclose(mean, mean[mirror])
    flipped = basis[:, mirror]
    error = np.minimum(np.abs(flipped - basis).max((1, 2)), np.abs(flipped + basis).max((1, 2)))
    assert error.max() < 1e-9
    both = np.concatenate([people, people[:, mirror]]) - mean
    covariance = both.reshape(100, -1).T @ both.reshape(100, -1) / 100
    flat = basis.reshape(12, -1)
    expected = np.linalg.eigvalsh(covariance)[::-1][:12]
    np.testing.assert_allclose(np.sort((flat**2).sum(1))[::-1], expected, rtol=1e-6)
