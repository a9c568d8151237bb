"""Between delta and blendshape weights: exact inside the span, the best compromise outside."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

from facegpt.morphable.blendshapes import (
    arkit_weights,
    blendshape_offset_mm,
    expression_from_arkit,
    fit_blendshapes,
)
from facegpt.morphable.model import MorphableModel


def some_weights(model: MorphableModel, seed: int) -> dict[str, float]:
    generator = np.random.default_rng(seed)
    names = generator.choice(model.arkit_names, 12, replace=False)
    return {str(name): float(generator.uniform(0, 1)) for name in names}


@pytest.mark.parametrize("seed", range(3))
def test_delta_of_weights_is_exact_inside_the_span(
    tiny_face_model: MorphableModel, seed: int
) -> None:
    weights = some_weights(tiny_face_model, seed)
    delta = expression_from_arkit(tiny_face_model, weights)
    reached = torch.einsum("e,evc->vc", delta[0], tiny_face_model.expression_mm)
    wanted = blendshape_offset_mm(tiny_face_model, weights)
    torch.testing.assert_close(reached, wanted, atol=1e-3, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_the_mesh_of_the_weights_is_the_mesh_of_delta(
    tiny_face_model: MorphableModel, seed: int
) -> None:
    delta = expression_from_arkit(tiny_face_model, some_weights(tiny_face_model, seed))
    fit = fit_blendshapes(tiny_face_model, delta)
    assert list(fit.weights) == list(tiny_face_model.arkit_names)
    assert fit.residual_max_mm < 1e-2
    reached = blendshape_offset_mm(tiny_face_model, fit.weights)
    wanted = torch.einsum("e,evc->vc", delta[0], tiny_face_model.expression_mm)
    torch.testing.assert_close(reached, wanted, atol=1e-2, rtol=0)


def test_fit_equals_the_unreduced_problem_and_states_its_residual(
    tiny_face_model: MorphableModel,
) -> None:
    model = tiny_face_model
    delta = torch.randn(1, 64, generator=torch.Generator().manual_seed(1))
    target = (delta @ model.expression_mm.flatten(1))[0].double()
    shapes = model.arkit_mm.flatten(1).double()
    slow = lsq_linear(shapes.T.numpy(), target.numpy(), bounds=(0, 1), method="bvls")
    fit = fit_blendshapes(model, delta)
    left = (target - torch.tensor(list(fit.weights.values()), dtype=torch.float64) @ shapes).view(
        -1, 3
    )
    assert float(left.square().sum()) <= 2 * slow.cost * (1 + 1e-6) + 1e-9
    assert fit.residual_mm == pytest.approx(float(left.square().sum(1).mean().sqrt()), rel=1e-6)
    assert fit.residual_max_mm == pytest.approx(float(left.norm(dim=1).max()), rel=1e-6)
    assert all(0 <= w <= 1 for w in fit.weights.values())


def test_neutral_is_neutral(tiny_face_model: MorphableModel) -> None:
    assert set(arkit_weights(tiny_face_model, torch.zeros(1, 64)).values()) == {0.0}
    assert not expression_from_arkit(tiny_face_model, {}).any()


def test_wrong_names_and_weights(tiny_face_model: MorphableModel) -> None:
    with pytest.raises(ValueError, match=r"no blendshape 'jawOpn'; did you mean 'jawOpen'"):
        expression_from_arkit(tiny_face_model, {"jawOpn": 0.5})
    for weight in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="must be in"):
            expression_from_arkit(tiny_face_model, {"jawOpen": weight})


def test_models_without_blendshapes(tiny_face_model: MorphableModel) -> None:
    bare = replace(tiny_face_model, arkit_mm=tiny_face_model.arkit_mm[:0], arkit_names=())
    delta = torch.ones(1, 64)
    fit = fit_blendshapes(bare, delta)
    assert fit.weights == {}
    assert fit.residual_mm > 0
    with pytest.raises(ValueError, match="no named blendshapes"):
        expression_from_arkit(bare, {"jawOpen": 0.5})


def test_zero_padded_expressions_stay_zero(tiny_face_model: MorphableModel) -> None:
    padded = tiny_face_model.expression_mm.clone()
    padded[50:] = 0
    delta = expression_from_arkit(replace(tiny_face_model, expression_mm=padded), {"jawOpen": 1.0})
    assert torch.isfinite(delta).all()
    assert not delta[0, 50:].any()
