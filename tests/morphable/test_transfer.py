"""Colours, landmarks and parts taken over by registration, back to where they are known."""

import numpy as np
import pytest
import torch

from facegpt.morphable.model import MorphableModel
from facegpt.morphable.transfer import lay_over


@pytest.fixture
def other_face(tiny_face_model: MorphableModel) -> np.ndarray:
    """Another person, larger and elsewhere, on the same vertices."""
    tiny = tiny_face_model
    shape = torch.zeros(1, 80)
    shape[0, :6] = torch.tensor([1.0, -0.8, 0.6, 0.5, -0.5, 0.4])
    face = tiny.vertices_mm(shape, torch.zeros(1, 64))[0].double().numpy()
    return face * 1.05 + (10.0, -40.0, 25.0)


def skin_triangles(model: MorphableModel) -> np.ndarray:
    triangles = model.triangles.numpy()
    return triangles[model.part_mask(("face", "scalp")).numpy()[triangles].all(axis=1)]


def test_all_landmarks_given_are_met(
    tiny_face_model: MorphableModel, other_face: np.ndarray
) -> None:
    tiny = tiny_face_model
    skin = skin_triangles(tiny)
    anchors = dict(enumerate(tiny.landmarks68.tolist()))
    laid = lay_over(tiny, other_face, skin, anchors)
    assert laid.landmarks68(other_face, np.unique(skin)).tolist() == tiny.landmarks68.tolist()
    error = np.linalg.norm(laid.vertices_mm - other_face, axis=1)[np.unique(skin)]
    assert np.median(error) < 1.0


def test_without_landmarks_the_nose_leads(
    tiny_face_model: MorphableModel, other_face: np.ndarray
) -> None:
    skin = skin_triangles(tiny_face_model)
    laid = lay_over(tiny_face_model, other_face, skin)
    found = laid.landmarks68(other_face, np.unique(skin))
    error = np.linalg.norm(other_face[found] - other_face[tiny_face_model.landmarks68], axis=1)
    assert error.mean() < 5.0


def test_colours_and_parts_land_where_they_were(
    tiny_face_model: MorphableModel, other_face: np.ndarray
) -> None:
    tiny = tiny_face_model
    anchors = dict(enumerate(tiny.landmarks68.tolist()))
    laid = lay_over(tiny, other_face, skin_triangles(tiny), anchors)
    mean, basis = laid.albedo(other_face, tiny.part.numpy(), tiny.part_names)
    error = np.abs(mean - tiny.albedo_mean.numpy())
    # A vertex at the rim of the scalp may slip over it.
    assert np.quantile(error, 0.9) < 0.02
    assert np.abs(basis - tiny.albedo_basis.numpy()).mean() < 0.005
    eyes = tiny.part_mask(("eye_left", "eye_right")).numpy()
    assert error[eyes].max() < 1e-5
    skin = np.unique(skin_triangles(tiny))
    names = [tiny.part_names[row] for row in tiny.part.numpy()[skin]]
    same = [a == b for a, b in zip(laid.parts(other_face[skin]), names, strict=True)]
    assert np.mean(same) > 0.95
