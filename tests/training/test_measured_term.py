"""The distance in what can be said of a face."""

import pytest
import torch

from facegpt.data.compose import draw_theta
from facegpt.data.expression_targets import EXPRESSION, expression_mask
from facegpt.morphable.default import load_default
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.semantics import measure
from facegpt.training.measured_term import MeasuredTerm

COUNT = 6


@pytest.fixture(scope="module")
def term() -> MeasuredTerm:
    return MeasuredTerm(load_default().restricted_to())


@pytest.fixture(scope="module")
def people() -> torch.Tensor:
    drawn, _, _ = draw_theta(COUNT, load_default(), generator=torch.Generator().manual_seed(3))
    return drawn.to_vector().float()


EVERYTHING = torch.ones(COUNT, 257, dtype=torch.bool)
COLOUR = torch.zeros(COUNT, dtype=torch.bool)


def test_equal_faces_have_no_distance_and_others_have(
    term: MeasuredTerm, people: torch.Tensor
) -> None:
    torch.testing.assert_close(term(people, people, EVERYTHING, COLOUR), torch.zeros(COUNT))
    assert (term(people, people.roll(1, 0), EVERYTHING, COLOUR) > 0.05).all()


def test_descent_makes_the_smile_and_the_skin_that_are_meant(
    term: MeasuredTerm, people: torch.Tensor
) -> None:
    unknown = torch.zeros(COUNT, 257, requires_grad=True)
    optimiser = torch.optim.Adam([unknown], lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        term(unknown, people, EVERYTHING, COLOUR).sum().backward()
        optimiser.step()
    assert unknown.isfinite().all()
    names = ("smile", "mouth_open", "skin_lightness", "yaw")
    made = measure(FaceParameters.from_vector(unknown.detach()), load_default(), names)
    meant = measure(FaceParameters.from_vector(people), load_default(), names)
    mean = measure(FaceParameters.zeros(1), load_default(), names)
    for name in names:
        rest = (made[name] - meant[name]).abs().mean()
        assert rest < 0.3 * (mean[name] - meant[name]).abs().mean(), name


def test_only_known_blocks_speak(term: MeasuredTerm, people: torch.Tensor) -> None:
    known = expression_mask().expand(COUNT, -1)
    theta = torch.zeros(COUNT, 257, requires_grad=True)
    term(theta, people, known, COLOUR).sum().backward()
    assert theta.grad is not None
    moved = theta.grad.abs().sum(dim=0) > 0
    assert moved[EXPRESSION].any()
    moved[EXPRESSION] = False
    assert not moved.any()
    nothing = term(theta, people, torch.zeros_like(EVERYTHING), COLOUR)
    assert torch.equal(nothing, torch.zeros(COUNT))


def test_the_skin_of_grey_photos_does_not_speak(term: MeasuredTerm, people: torch.Tensor) -> None:
    other = FaceParameters.from_vector(people)
    other = other.replace(albedo=other.albedo.roll(1, 0)).to_vector()
    assert (term(people, other, EVERYTHING, COLOUR) > 0.02).all()
    torch.testing.assert_close(term(people, other, EVERYTHING, ~COLOUR), torch.zeros(COUNT))
