"""Estimators of theta by name, and the one that fits."""

from pathlib import Path

import pytest
import torch

from facegpt.data.schema import DatasetError
from facegpt.data.theta import FACES_AT_ONCE, FittedTheta, ThetaEstimator, find_estimator
from facegpt.fitting.synthesis import FitSettings
from facegpt.model.configuration_vision import FaceVisionConfig
from facegpt.model.vision_tower import FaceVisionAutoencoder
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.alignment import AlignedFace
from facegpt.rendering.renderer import Renderer


def turned(model: MorphableModel, yaws: torch.Tensor) -> list[AlignedFace]:
    """Rendered faces as alignment would give them."""
    theta = FaceParameters.zeros(len(yaws))
    theta.camera[:, 1] = yaws
    rendering = Renderer(model)(theta)
    whole = torch.ones(224, 224, dtype=torch.bool)
    return [
        AlignedFace(
            rendering.image[i].clamp(0, 1),
            whole,
            rendering.mask[i],
            rendering.landmarks_px[i],
            torch.eye(3, dtype=torch.float64),
            False,
        )
        for i in range(len(yaws))
    ]


def test_fitting_answers_every_face_in_order(tiny_face_model: MorphableModel) -> None:
    yaws = torch.linspace(-0.3, 0.3, FACES_AT_ONCE + 3)
    estimator = FittedTheta(tiny_face_model, FitSettings(steps=0))
    assert isinstance(estimator, ThetaEstimator)
    theta = estimator.estimate(turned(tiny_face_model, yaws))
    torch.testing.assert_close(theta.camera[:, 1], yaws, atol=0.06, rtol=0)
    assert len(estimator.estimate([])) == 0


def test_estimators_have_names(tiny_face_model: MorphableModel) -> None:
    assert find_estimator("none", tiny_face_model) is None
    fit = find_estimator("fit", tiny_face_model)
    assert fit is not None
    assert fit.name == "fit"
    with pytest.raises(DatasetError, match="did you mean 'fit'"):
        find_estimator("fits", tiny_face_model)


def test_a_trained_tower_gives_theta_too(tiny_face_model: MorphableModel, tmp_path: Path) -> None:
    small = {"image_size": 64, "stage_sizes": [4, 4, 8, 8], "embedding_size": 4, "hidden_size": 8}
    tower = FaceVisionAutoencoder(FaceVisionConfig(**small)).eval()
    tower.save_pretrained(tmp_path)
    estimator = find_estimator(f"vision={tmp_path}", tiny_face_model)
    assert isinstance(estimator, ThetaEstimator)
    assert estimator.name == "vision"
    faces = turned(tiny_face_model, torch.tensor([0.0, 0.3]))
    found = estimator.estimate(faces).to_vector()
    torch.testing.assert_close(found, tower.see(torch.stack([face.crop for face in faces])))
    assert len(estimator.estimate([])) == 0


def test_a_missing_tower_says_how_to_train_one(tiny_face_model: MorphableModel) -> None:
    with pytest.raises(DatasetError, match="facegpt train vision"):
        find_estimator("vision=nowhere", tiny_face_model)
    with pytest.raises(DatasetError, match="facegpt train vision"):
        find_estimator("vision", tiny_face_model)
