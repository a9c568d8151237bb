"""Equation 3: values by hand, gradients by finite differences, and the laws each term must keep."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from facegpt.losses import (
    LossWeights,
    comparable,
    landmark_errors_px,
    landmark_term,
    light_precision,
    light_prior,
    luminance,
    mean_light,
    perceptual_term,
    pixel_term,
    regularisation_term,
    weighted_sum,
)
from facegpt.morphable.parameters import BLOCK_SIZES, FaceParameters


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_default_weights_are_those_of_the_paper() -> None:
    assert vars(LossWeights()) == {
        "pixel": 0.5,
        "perceptual": 0.25,
        "landmark": 5e-4,
        "regularisation": 0.1,
    }


def test_negative_weight_names_its_flag() -> None:
    with pytest.raises(ValueError, match=r"--weights\.landmark"):
        LossWeights(landmark=-1.0)
    with pytest.raises(ValueError, match=r"--weights\.pixel"):
        LossWeights(pixel=math.nan)


def test_weighted_sum_by_hand_and_misspelt_terms() -> None:
    terms = {"pixel": torch.tensor([2.0, 4.0]), "landmark": torch.tensor([100.0, 0.0])}
    torch.testing.assert_close(weighted_sum(terms, LossWeights()), torch.tensor([1.05, 2.0]))
    with pytest.raises(KeyError):
        weighted_sum({"pixle": torch.zeros(1)}, LossWeights())


def test_pixel_term_is_the_mean_rgb_distance_over_the_mask() -> None:
    photo = torch.zeros(1, 3, 2, 2)
    rendered = torch.zeros(1, 3, 2, 2)
    rendered[0, :, 0, 0] = torch.tensor([0.3, 0.0, 0.4])
    rendered[0, :, 1, 1] = 1.0
    skin = torch.tensor([[[True, True], [False, False]]])
    torch.testing.assert_close(
        pixel_term(photo, rendered, skin), torch.tensor([0.25]), atol=1e-4, rtol=0
    )


def test_pixel_term_of_an_empty_mask_is_zero_and_has_a_finite_gradient() -> None:
    rendered = torch.zeros(1, 3, 2, 2, requires_grad=True)
    error = pixel_term(torch.zeros(1, 3, 2, 2), rendered, torch.zeros(1, 2, 2, dtype=torch.bool))
    error.sum().backward()
    assert error.item() == 0.0
    assert rendered.grad is not None
    assert torch.isfinite(rendered.grad).all()


def test_grey_photos_do_not_see_hue() -> None:
    grey = torch.full((2, 3, 4, 4), 0.5)
    tinted = grey.clone()
    tinted[:, 0] += 0.114
    tinted[:, 2] -= 0.299
    skin = torch.ones(2, 4, 4, dtype=torch.bool)
    errors = pixel_term(grey, tinted, skin, torch.tensor([True, False]))
    assert errors[0] < 1e-3
    assert errors[1] > 0.3


def test_luminance_keeps_greys_and_colour_photos_stay_as_they_are() -> None:
    images = random(2, 3, 4, 5)
    grey = images.mean(dim=1, keepdim=True).expand_as(images)
    torch.testing.assert_close(luminance(grey), grey)
    assert comparable(images, torch.tensor([False, False])) is images


def test_jaw_points_count_less() -> None:
    detected = torch.zeros(2, 68, 2)
    projected = detected.clone()
    projected[0, 5, 0] = 2.0
    projected[1, 40, 1] = 2.0
    torch.testing.assert_close(landmark_term(detected, projected), torch.tensor([1.2, 4.0]))
    every, inner = landmark_errors_px(detected, projected)
    torch.testing.assert_close(every, torch.tensor([2 / 68, 2 / 68]))
    torch.testing.assert_close(inner, torch.tensor([0.0, 2 / 51]))


def test_unknown_points_do_not_count_and_leave_the_gradient_of_others_alone() -> None:
    detected = torch.zeros(2, 68, 2)
    detected[0, 30] = torch.nan
    projected = torch.ones(2, 68, 2, requires_grad=True)
    partly, whole = landmark_term(detected, projected)
    torch.testing.assert_close(partly, whole - 2.0)
    (partly + whole).backward()
    assert projected.grad is not None
    assert projected.grad[0, 30].tolist() == [0.0, 0.0]
    torch.testing.assert_close(projected.grad[0, 31], projected.grad[1, 31])


def test_perceptual_term_is_a_quarter_of_the_squared_distance() -> None:
    torch.testing.assert_close(
        perceptual_term(torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 6.0]])),
        torch.tensor([6.25]),
    )


def test_mean_face_in_mean_light_costs_nothing_wherever_the_camera_stands() -> None:
    theta = FaceParameters.zeros(2).replace(
        camera=torch.ones(2, 6), illumination=mean_light().expand(2, -1)
    )
    torch.testing.assert_close(regularisation_term(theta), torch.zeros(2))


@given(seed=st.integers(0, 50), factor=st.floats(1.1, 4.0))
def test_farther_from_the_mean_costs_more(seed: int, factor: float) -> None:
    offset = random(1, 257, seed=seed) - 0.5
    centre = FaceParameters.zeros(1, dtype=torch.float64).replace(
        illumination=mean_light(dtype=torch.float64).expand(1, -1)
    )
    near, far = (
        regularisation_term(FaceParameters.from_vector(centre.to_vector() + f * offset))
        for f in (1.0, factor)
    )
    torch.testing.assert_close(far, near * factor**2)


def test_light_precision_is_symmetric_and_positive() -> None:
    precision = light_precision(dtype=torch.float64)
    torch.testing.assert_close(precision, precision.T)
    assert torch.linalg.eigvalsh(precision).min() > 0


def test_a_brighter_lamp_costs_more_than_the_same_light_moved_around_the_face() -> None:
    """What makes the whole face brighter is the skin's to explain, what shades it is the lamp's."""
    brighter, moved = mean_light().view(1, 9, 3), mean_light().view(1, 9, 3).clone()
    brighter = brighter.clone()
    brighter[0, 0] += 0.2
    moved[0, 3] += 0.2
    assert light_prior(brighter.flatten(1)) > 5 * light_prior(moved.flatten(1))


def test_coloured_light_costs_more_than_white_light_of_the_same_strength() -> None:
    white, red = mean_light().view(1, 9, 3).clone(), mean_light().view(1, 9, 3).clone()
    white[0, 3] += 0.2
    red[0, 3] += torch.tensor([0.2 * math.sqrt(3), 0.0, 0.0])
    assert light_prior(red.flatten(1)) > 3 * light_prior(white.flatten(1))


def test_gradients() -> None:
    photo, rendered = random(2, 3, 3, 3), random(2, 3, 3, 3, seed=1).requires_grad_()
    skin = random(2, 3, 3, seed=2) > 0.3
    grey = torch.tensor([True, False])
    assert torch.autograd.gradcheck(lambda r: pixel_term(photo, r, skin, grey), (rendered,))
    points = (random(2, 68, 2, seed=3) * 100).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: landmark_term(random(2, 68, 2), p), (points,))
    vector = random(1, sum(BLOCK_SIZES.values()), seed=4).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v: regularisation_term(FaceParameters.from_vector(v)), (vector,)
    )
