"""Where a face sits in an aligned crop."""

import pytest
import torch
from hypothesis import given
from hypothesis.strategies import floats

from facegpt.morphable.framing import (
    CROP_SIZE,
    EYE_DISTANCE_PX,
    FIVE_POINT_TEMPLATE_PX,
    five_points,
    place_in_crop,
)
from facegpt.morphable.model import MorphableModel


def test_the_template_is_symmetric_and_63_pixels_between_the_eyes() -> None:
    eyes, nose, mouth = (
        FIVE_POINT_TEMPLATE_PX[:2],
        FIVE_POINT_TEMPLATE_PX[2],
        FIVE_POINT_TEMPLATE_PX[3:],
    )
    middle = (CROP_SIZE - 1) / 2
    assert float(eyes[1, 0] - eyes[0, 0]) == EYE_DISTANCE_PX
    assert float(nose[0]) == middle
    torch.testing.assert_close(eyes[:, 0].mean(), torch.tensor(middle, dtype=torch.float64))
    torch.testing.assert_close(mouth[:, 0].mean(), torch.tensor(middle, dtype=torch.float64))
    assert eyes[0, 1] < nose[1] < mouth[0, 1]


def test_five_points_are_means_of_the_lids_then_nose_and_mouth_corners() -> None:
    landmarks = torch.stack([torch.arange(68.0), torch.zeros(68)], dim=1)
    assert five_points(landmarks)[:, 0].tolist() == [38.5, 44.5, 30, 48, 54]
    assert five_points(landmarks.expand(2, 3, 68, 2)).shape == (2, 3, 5, 2)


def test_a_placed_model_shows_its_five_points_around_the_template(
    tiny_face_model: MorphableModel,
) -> None:
    model = tiny_face_model
    points_mm = five_points(model.mean_mm[model.landmarks68].double())
    points_px = points_mm[:, :2] * torch.tensor([1.0, -1.0]) * model.pixels_per_mm + 111.5
    offset_px = points_px - FIVE_POINT_TEMPLATE_PX
    assert float((points_px[1] - points_px[0]).norm()) == pytest.approx(EYE_DISTANCE_PX, abs=1e-3)
    assert offset_px.mean(dim=0).abs().max() < 1e-3
    assert points_mm[:2, 2].mean().abs() < 1e-4


@given(scale=floats(0.01, 100), shift=floats(-500, 500))
def test_placing_forgets_the_origin_and_the_unit_of_a_model(scale: float, shift: float) -> None:
    mean = torch.randn(68, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    landmarks = torch.arange(68)
    offset, pixels_per_mm = place_in_crop(mean, landmarks)
    other = mean * scale + shift
    other_offset, other_pixels_per_mm = place_in_crop(other, landmarks)
    torch.testing.assert_close(
        (other + other_offset) * other_pixels_per_mm,
        (mean + offset) * pixels_per_mm,
        rtol=1e-7,
        atol=1e-4,
    )
