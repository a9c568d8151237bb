"""The aligned crop: where points land, what shrinking keeps, what lies outside the photo."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from synthetic_face import LANDMARKS_PX, painted_face

from facegpt.morphable.framing import CROP_SIZE, FIVE_POINT_TEMPLATE_PX, five_points
from facegpt.perception.alignment import align, similarity
from facegpt.perception.images import Photo
from facegpt.perception.resampling import inside_photo, resample


def similarity_matrix(scale: float, angle: float, shift: tuple[float, float]) -> np.ndarray:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.block([[turn, np.array(shift)[:, None]], [np.zeros((1, 2)), np.ones((1, 1))]])


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:2, :2].T + matrix[:2, 2]


@given(
    scale=st.floats(0.05, 20),
    angle=st.floats(-3.1, 3.1),
    shift=st.tuples(st.floats(-999, 999), st.floats(-999, 999)),
)
def test_similarity_is_recovered(scale: float, angle: float, shift: tuple[float, float]) -> None:
    matrix = similarity_matrix(scale, angle, shift)
    five = moved(FIVE_POINT_TEMPLATE_PX.numpy(), matrix)
    np.testing.assert_allclose(similarity(five) @ matrix, np.eye(3), atol=1e-6)


def test_mirrored_points_are_not_reflected() -> None:
    mirrored = FIVE_POINT_TEMPLATE_PX.numpy() * (-1, 1)
    assert np.linalg.det(similarity(mirrored)[:2, :2]) > 0


@pytest.mark.parametrize("scale", [0.3, 0.7, 1.0, 1.4, 1.9, 2.6, 5.3, 9.7])
def test_dots_land_where_the_matrix_says(scale: float) -> None:
    random = np.random.default_rng(round(10 * scale))
    height, width = 260 * max(1, round(scale)), 300 * max(1, round(scale))
    middle = np.array([width, height]) / 2 + random.uniform(-5, 5, 2)
    photo_from_view = similarity_matrix(scale, random.uniform(-0.6, 0.6), (0, 0))
    photo_from_view[:2, 2] = middle - photo_from_view[:2, :2] @ [111.5, 111.5]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for offset in ((0, 0), (35, 20), (-30, -35)):
        dot = middle + np.array(offset) * scale
        radius = max(2.5, 2.5 * scale)
        value = np.exp(-((x - dot[0]) ** 2 + (y - dot[1]) ** 2) / (2 * radius**2)) * 255
        rgb = np.repeat(value.astype(np.uint8)[..., None], 3, axis=2)
        view = resample(rgb, photo_from_view, CROP_SIZE)[..., 0].astype(float)
        weight = np.where(inside_photo((height, width), photo_from_view, CROP_SIZE), view, 0)
        v, u = np.mgrid[:CROP_SIZE, :CROP_SIZE]
        found = np.array([(weight * u).sum(), (weight * v).sum()]) / weight.sum()
        expected = moved(dot, np.linalg.inv(photo_from_view))
        assert np.linalg.norm(found - expected) < 0.1


def test_identity_view_is_the_photo() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    np.testing.assert_array_equal(resample(rgb, np.eye(3), 224), rgb)


@pytest.mark.parametrize("scale", [1.5, 2.0, 3.5, 8.0])
def test_shrinking_does_not_alias(scale: float) -> None:
    side = int(260 * scale)
    board = np.indices((side, side)).sum(axis=0) % 2 * 255
    rgb = np.repeat(board.astype(np.uint8)[..., None], 3, axis=2)
    view = resample(rgb, similarity_matrix(scale, 0.1, (side * 0.05, 0)), 200)
    inside = inside_photo((side, side), similarity_matrix(scale, 0.1, (side * 0.05, 0)), 200)
    assert np.abs(view[inside].astype(float) - 127.5).max() < 70
    assert view[inside].std() < 25


def test_view_beside_the_photo_is_grey() -> None:
    view = resample(np.zeros((9, 9, 3), np.uint8), similarity_matrix(1, 0, (500, 0)), 16)
    assert (view == 128).all()


def test_validity_is_where_the_photo_is() -> None:
    inside = inside_photo((10, 20), np.eye(3), 32)
    assert inside[:10, :20].all()
    assert inside.sum() == 200
    # Half a pixel belongs to a photo, no more.
    shifted = inside_photo((10, 20), similarity_matrix(1, 0, (-0.4, 0.6)), 32)
    assert shifted.sum() == 20 * 9


def test_align_undoes_any_similarity() -> None:
    photo_from_painted = similarity_matrix(2.3, 0.35, (180, 60))
    rgb = resample(painted_face(), np.linalg.inv(photo_from_painted), 900)
    face = align(Photo(rgb, False, (900, 900)), moved(LANDMARKS_PX, photo_from_painted))
    direct = align(Photo(painted_face(), False, (224, 224)), LANDMARKS_PX)
    torch.testing.assert_close(face.landmarks68_px, direct.landmarks68_px, atol=1e-3, rtol=0)
    middle = (slice(None), slice(60, 190), slice(60, 160))
    assert (face.crop - direct.crop)[middle].abs().mean() < 0.02


def test_align_brings_the_face_to_the_template() -> None:
    face = align(Photo(painted_face(), False, (224, 224)), LANDMARKS_PX)
    five = five_points(face.landmarks68_px)
    torch.testing.assert_close(five, FIVE_POINT_TEMPLATE_PX.float(), atol=6, rtol=0)
    assert face.crop.shape == (3, 224, 224)
    assert not (face.skin & ~face.validity).any()


@pytest.mark.parametrize("photo_from_original", [1.0, 0.5, 0.34])
def test_crop_from_image_counts_in_original_pixels(photo_from_original: float) -> None:
    size = round(224 / photo_from_original)
    photo = Photo(painted_face(), False, (size, size), photo_from_original)
    face = align(photo, LANDMARKS_PX)
    original = photo.to_original(LANDMARKS_PX)
    found = moved(original, face.crop_from_image.numpy())
    np.testing.assert_allclose(found, face.landmarks68_px.numpy(), atol=1e-4)
    assert face.crop_from_image.dtype == torch.float64


def test_outside_of_a_tight_crop_is_invalid_and_grey() -> None:
    tight = painted_face()[60:190, 60:160]
    face = align(Photo(tight, False, (100, 130)), LANDMARKS_PX - (60, 60))
    outside = ~face.validity
    assert 0.5 < outside.float().mean() < 0.9
    assert torch.allclose(face.crop[:, outside], torch.tensor(128 / 255))
    assert not (face.skin & outside).any()


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((68, 2)), "in one place"),
        (np.full((68, 2), np.nan), "finite"),
        (np.zeros((5, 2)), "68"),
    ],
)
def test_unusable_points(points: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        align(Photo(painted_face(), False, (224, 224)), points)
