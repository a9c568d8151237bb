"""Stage one finds the face that made the points; where they are silent the prior speaks."""

import torch

from facegpt.fitting.landmarks import _project_with_jacobian, _SparseModel, fit_landmarks
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.rendering.renderer import Renderer


def some_faces(model: MorphableModel, seed: int = 0) -> FaceParameters:
    random = torch.Generator().manual_seed(seed)
    theta = FaceParameters.zeros(3)
    camera = torch.randn(3, 6, generator=random) * torch.tensor([0.1, 0.3, 0.1, 0.05, 0.05, 0.05])
    return theta.replace(
        shape=torch.randn(3, model.identity_mm.shape[0], generator=random) * 0.5,
        expression=torch.randn(3, model.expression_mm.shape[0], generator=random) * 0.3,
        camera=camera,
    )


def test_points_of_a_face_are_met(tiny_face_model: MorphableModel) -> None:
    renderer = Renderer(tiny_face_model)
    wanted = renderer.landmarks_px(some_faces(tiny_face_model))
    found = fit_landmarks(tiny_face_model, wanted, noise_px=0.1)
    error = (renderer.landmarks_px(found) - wanted).norm(dim=-1)
    start = (renderer.landmarks_px(FaceParameters.zeros(3)) - wanted).norm(dim=-1)
    assert error.mean() < 0.3
    assert error.mean() < 0.1 * start.mean()


def test_unknown_points_are_not_fitted(tiny_face_model: MorphableModel) -> None:
    renderer = Renderer(tiny_face_model)
    wanted = renderer.landmarks_px(some_faces(tiny_face_model))
    with_holes, with_lies = wanted.clone(), wanted.clone()
    with_holes[1, 40:52] = torch.nan
    with_lies[1, 40:52] += 30.0
    whole, partly, misled = (
        fit_landmarks(tiny_face_model, points, noise_px=0.1)
        for points in (wanted, with_holes, with_lies)
    )
    error = (renderer.landmarks_px(partly) - wanted).norm(dim=-1)
    known = with_holes.isfinite().all(dim=-1)
    assert error[known].mean() < 0.3
    assert error[~known].mean() < 3.0  # the prior and the others say where they are
    assert (renderer.landmarks_px(misled) - wanted)[1, 40:52].norm(dim=-1).mean() > 10.0
    # Neighbours in the batch are as they were.
    for row in (0, 2):
        torch.testing.assert_close(partly.to_vector()[row], whole.to_vector()[row])


def test_jacobian_is_the_derivative(tiny_face_model: MorphableModel) -> None:
    sparse = _SparseModel.of(tiny_face_model)
    theta = some_faces(tiny_face_model)
    camera = theta.camera.double()
    coefficients = torch.cat([theta.shape, theta.expression], dim=1).double()
    _, jacobian = _project_with_jacobian(sparse, camera, coefficients)
    unknowns = torch.cat([camera, coefficients], dim=1)
    direction = torch.randn(unknowns.shape[1], generator=torch.Generator().manual_seed(5)).double()
    step = 1e-6

    def project(moved: torch.Tensor) -> torch.Tensor:
        return _project_with_jacobian(sparse, moved[:, :6], moved[:, 6:])[0].flatten(1)

    numeric = (project(unknowns + step * direction) - project(unknowns - step * direction)) / (
        2 * step
    )
    torch.testing.assert_close(jacobian @ direction, numeric, rtol=1e-5, atol=1e-5)


def test_projection_agrees_with_the_renderer(tiny_face_model: MorphableModel) -> None:
    theta = some_faces(tiny_face_model, seed=1)
    coefficients = torch.cat([theta.shape, theta.expression], dim=1).double()
    sparse = _SparseModel.of(tiny_face_model)
    projected, _ = _project_with_jacobian(sparse, theta.camera.double(), coefficients)
    expected = Renderer(tiny_face_model).landmarks_px(theta)
    torch.testing.assert_close(projected.float(), expected, rtol=0, atol=1e-2)


def test_noisier_points_move_the_face_less(tiny_face_model: MorphableModel) -> None:
    wanted = Renderer(tiny_face_model).landmarks_px(some_faces(tiny_face_model))
    trusted = fit_landmarks(tiny_face_model, wanted, noise_px=0.5)
    doubted = fit_landmarks(tiny_face_model, wanted, noise_px=20.0)
    assert (doubted.shape.norm(dim=1) < trusted.shape.norm(dim=1)).all()


def test_no_coefficient_leaves_its_bound(tiny_face_model: MorphableModel) -> None:
    absurd = torch.rand(2, 68, 2, generator=torch.Generator().manual_seed(0)) * 224
    found = fit_landmarks(tiny_face_model, absurd, noise_px=0.1, bound=2.5)
    assert found.shape.abs().max() <= 2.5
    assert found.expression.abs().max() <= 2.5
    assert torch.isfinite(found.to_vector()).all()


def test_faces_of_a_batch_do_not_see_each_other(tiny_face_model: MorphableModel) -> None:
    wanted = Renderer(tiny_face_model).landmarks_px(some_faces(tiny_face_model))
    together = fit_landmarks(tiny_face_model, wanted)
    alone = fit_landmarks(tiny_face_model, wanted[1:2])
    torch.testing.assert_close(together[1].to_vector(), alone.to_vector(), rtol=1e-4, atol=1e-4)
