"""Situations become the expression that they tell, and say that nothing else is known."""

import pytest
import torch

from facegpt.data.expression_targets import expression_mask, expressions_of
from facegpt.data.schema import DatasetError
from facegpt.data.situations import Situation
from facegpt.morphable.blendshapes import expression_from_arkit
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters


def test_expressions_are_those_of_the_blendshapes(tiny_face_model: MorphableModel) -> None:
    mixed = {"jawOpen": 0.6, "mouthSmileLeft": 0.9, "browInnerUp": 0.2}
    situations = [Situation("s", "f", "e", weights) for weights in (mixed, {}, {"jawOpen": 1.0})]
    delta = expressions_of(tiny_face_model, situations)
    torch.testing.assert_close(
        delta[:1], expression_from_arkit(tiny_face_model, mixed), atol=1e-4, rtol=1e-4
    )
    assert not delta[1].any()
    assert delta[2].any()


def test_a_blendshape_that_is_none_is_answered(tiny_face_model: MorphableModel) -> None:
    with pytest.raises(DatasetError, match="did you mean 'jawOpen'"):
        expressions_of(tiny_face_model, [Situation("s", "f", "e", {"jawOpens": 1.0})])


def test_the_mask_is_the_block_of_expression() -> None:
    theta = FaceParameters.from_vector(expression_mask()[None].float())
    assert theta.expression.all()
    assert expression_mask().sum() == theta.expression.numel()
