"""Expressions stay what muscles can make."""

from dataclasses import replace

import pytest
import torch

from facegpt.fitting.expression_prior import DEVIATION, ExpressionPrior
from facegpt.morphable.blendshapes import expression_from_arkit
from facegpt.morphable.model import MorphableModel


@pytest.fixture(scope="module")
def prior(tiny_face_model: MorphableModel) -> ExpressionPrior:
    return ExpressionPrior.of(tiny_face_model)


def made_by_muscles(model: MorphableModel, **weights: float) -> torch.Tensor:
    return expression_from_arkit(model, weights).double().view(1, -1)


def test_a_neutral_face_costs_nothing(prior: ExpressionPrior) -> None:
    delta = torch.zeros(2, prior.weights_from_delta.shape[1])
    assert not prior.outside(delta).any()
    assert not prior.term(delta).any()


def test_the_opposite_of_a_movement_costs_more_than_the_movement(
    tiny_face_model: MorphableModel, prior: ExpressionPrior
) -> None:
    delta = made_by_muscles(tiny_face_model, jawOpen=0.7)
    assert delta.abs().max() > 0.1
    assert prior.term(-delta) > 10 * prior.term(delta)


def test_the_cost_is_the_squared_distance_in_deviations() -> None:
    prior = ExpressionPrior(torch.eye(2, dtype=torch.float64))
    delta = torch.tensor(
        [[0.5, 1.0], [1 + DEVIATION, 0.2], [-2 * DEVIATION, 1 + DEVIATION]], dtype=torch.float64
    )
    expected = torch.tensor([0.0, 0.5, 2.5], dtype=torch.float64)
    torch.testing.assert_close(prior.term(delta), expected)


def test_gradient(prior: ExpressionPrior) -> None:
    random = torch.Generator().manual_seed(0)
    delta = torch.randn(2, prior.weights_from_delta.shape[1], generator=random).double()
    assert torch.autograd.gradcheck(prior.term, (delta.requires_grad_(),))


def test_a_model_without_blendshapes_is_free(tiny_face_model: MorphableModel) -> None:
    bare = replace(tiny_face_model, arkit_mm=tiny_face_model.arkit_mm[:0], arkit_names=())
    prior = ExpressionPrior.of(bare)
    delta = torch.full((3, len(bare.expression_mm)), 3.0)
    assert torch.equal(prior.term(delta), torch.zeros(3))
