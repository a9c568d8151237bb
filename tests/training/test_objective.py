"""L_face of predicted theta: its terms, its bounds, what does not speak, and its gradient."""

import pytest
import torch
from torch import Tensor

from facegpt.losses import mean_light
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.rendering.renderer import Renderer
from facegpt.training.objective import (
    FaceObjective,
    TargetBatch,
    bounded,
    face_errors,
)

SIZE = 64


class MeanColour:
    """An identity encoder that knows nothing but the mean colour of a picture."""

    licences = ()

    def encode(self, images: Tensor, landmarks68_px: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))


@pytest.fixture(scope="module")
def objective(tiny_face_model: MorphableModel) -> FaceObjective:
    return FaceObjective(Renderer(tiny_face_model, SIZE), encoder=MeanColour())


def thetas(count: int, spread: float = 0.3, seed: int = 0) -> Tensor:
    drawn = spread * torch.randn(count, 257, generator=torch.Generator().manual_seed(seed))
    drawn[:, 224:251] = mean_light() + 0.02 * drawn[:, 224:251]
    drawn[:, 251:] *= 0.1
    return drawn


def target_of(objective: FaceObjective, theta: Tensor) -> TargetBatch:
    """Pictures that theta explains exactly."""
    rendering = objective.renderer(FaceParameters.from_vector(theta))
    return TargetBatch(
        rendering.image,
        rendering.mask,
        objective.landmarks_in_crop(rendering),
        torch.zeros(len(theta), dtype=torch.bool),
        theta.clone(),
        torch.ones_like(theta, dtype=torch.bool),
    )


def test_the_truth_costs_nothing_but_its_prior(objective: FaceObjective) -> None:
    theta = thetas(3)
    terms = objective(theta, target_of(objective, theta), perceptual=True)
    assert set(terms) == {"pixel", "landmark", "regularisation", "perceptual", "theta"}
    assert terms["pixel"].max() < 2e-4
    assert terms["landmark"].max() < 1e-6
    assert terms["theta"].max() == 0
    assert terms["perceptual"].max() < 1e-5
    assert (terms["regularisation"] > 0).all()


def test_other_faces_cost_more(objective: FaceObjective) -> None:
    target = target_of(objective, thetas(3))
    terms = objective(thetas(3, seed=9), target, perceptual=True)
    for name in ("pixel", "landmark", "theta", "perceptual"):
        assert (terms[name] > 1e-4).all(), name
    errors = face_errors(objective, thetas(3, seed=9), target)
    assert (errors.landmark_px > 0.1).all()
    assert (errors.photometric > 1e-3).all()


def test_landmarks_are_counted_in_the_224_crop(tiny_face_model: MorphableModel) -> None:
    theta, moved = thetas(1), thetas(1)
    moved[:, 254] += 0.1  # a tenth of half a crop: 11.2 pixels of 224
    for size in (32, 64, 224):
        objective = FaceObjective(Renderer(tiny_face_model, size))
        errors = face_errors(objective, moved, target_of(objective, theta))
        assert errors.landmark_px.item() == pytest.approx(11.2, abs=1e-3)


def test_faces_without_points_or_picture_do_not_speak(objective: FaceObjective) -> None:
    whole = target_of(objective, thetas(2))
    silent = TargetBatch(
        torch.zeros_like(whole.photo),
        torch.zeros_like(whole.skin),
        torch.full_like(whole.landmarks68_px, torch.nan),
        whole.is_grey,
    )
    theta = thetas(2, seed=5).requires_grad_()
    terms = objective(theta, silent, perceptual=True)
    assert "theta" not in terms
    for name in ("pixel", "landmark", "perceptual"):
        assert (terms[name] == 0).all(), name
    objective.weighted(terms).sum().backward()
    assert theta.grad is not None
    assert theta.grad.isfinite().all()


def test_a_neighbour_without_points_leaves_the_gradient_alone(objective: FaceObjective) -> None:
    whole = target_of(objective, thetas(2))
    points = whole.landmarks68_px.clone()
    points[1] = torch.nan
    mixed = TargetBatch(whole.photo, whole.skin, points, whole.is_grey)
    theta = thetas(2, seed=5).requires_grad_()
    objective(theta, mixed)["landmark"].sum().backward()
    assert theta.grad is not None
    assert theta.grad[0].abs().sum() > 0
    assert theta.grad[1].abs().sum() == 0


def test_only_known_coefficients_are_supervised(objective: FaceObjective) -> None:
    truth = thetas(1)
    target = target_of(objective, truth)
    assert target.theta_mask is not None
    target.theta_mask[:] = False
    target.theta_mask[0, 80:144] = True
    wrong = truth.clone()
    wrong[:, :80] += 1.0
    assert objective(wrong, target)["theta"].item() == 0
    wrong[:, 80:112] += 1.0
    assert objective(wrong, target)["theta"].item() == pytest.approx(0.5, abs=1e-6)


def test_theta_is_bounded_and_can_come_back() -> None:
    theta = torch.full((1, 257), 50.0, requires_grad=True)
    held = bounded(theta)
    assert held.shape.max() == held.expression.max() == held.albedo.max() == 4.0
    assert held.camera[0, 5] == 1.0
    held.shape.sum().backward()
    assert theta.grad is not None
    assert (theta.grad[:, :80] == 1).all()


def test_the_gradient_is_that_of_finite_differences(tiny_face_model: MorphableModel) -> None:
    objective = FaceObjective(Renderer(tiny_face_model, SIZE))
    target = target_of(objective, thetas(1))
    theta = thetas(1, seed=3)

    def landmark(value: Tensor) -> Tensor:
        return objective(value, target)["landmark"].sum()

    theta.requires_grad_()
    [gradient] = torch.autograd.grad(landmark(theta), theta)
    for index in (3, 90, 252, 254, 256):
        step = torch.zeros(1, 257)
        step[0, index] = 1e-2
        with torch.no_grad():
            slope = (landmark(theta + step) - landmark(theta - step)) / 2e-2
        assert gradient[0, index].item() == pytest.approx(slope.item(), rel=2e-2, abs=1e-2)


def test_weights_are_applied_once(objective: FaceObjective) -> None:
    terms = {"pixel": torch.ones(2), "landmark": torch.ones(2), "regularisation": torch.ones(2)}
    torch.testing.assert_close(objective.weighted(terms), torch.full((2,), 0.5 + 5e-4 + 0.1))
    terms["theta"] = torch.ones(2)
    torch.testing.assert_close(objective.weighted(terms), torch.full((2,), 0.5 + 5e-4 + 0.1))
    total = objective.weighted(terms, supervised=2.0)
    torch.testing.assert_close(total, torch.full((2,), 2.6005))
