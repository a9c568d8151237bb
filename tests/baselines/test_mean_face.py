"""The floor of every table: one theta for everybody, framed to each face."""

import numpy as np
import pytest
import torch

from facegpt.baselines.mean_face import MeanFace
from facegpt.fitting.photos import PhotoReconstructor
from facegpt.geometry.camera import pixels_from_opencv
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.images import load_image
from facegpt.reconstruction import FaceReconstruction, FaceReconstructor
from tiny_facegpt import Knows, face_photo, nobody


@pytest.fixture(scope="module")
def mean_face(tiny_face_model: MorphableModel) -> MeanFace:
    _, points = face_photo(tiny_face_model)
    return MeanFace(tiny_face_model, Knows(points))


def test_it_is_a_method_for_photos(mean_face: MeanFace) -> None:
    assert isinstance(mean_face, FaceReconstructor)
    assert isinstance(mean_face, PhotoReconstructor)


def test_it_answers_the_mean_face_where_the_face_is(mean_face: MeanFace) -> None:
    photo, points = face_photo(mean_face.model)
    [face] = mean_face.reconstruct(photo)
    assert not face.parameters.to_vector().any()
    assert (face.method, face.morphable_model) == ("mean-face", mean_face.model.name)
    vertices = mean_face.model.mean_mm[mean_face.model.landmarks68]
    seen = pixels_from_opencv(face.camera["opencv"], vertices)
    # Framed by the alignment: the whole face is moved and scaled, not its points.
    away = (seen - torch.from_numpy(points)).norm(dim=1)
    assert away.mean() < 15
    assert face.errors["landmark_px"] > 0.5
    again = FaceReconstruction.from_record(face.to_record())
    assert again.errors == pytest.approx(face.errors, rel=1e-5)


def test_nobody_and_many(tiny_face_model: MorphableModel) -> None:
    photo, points = face_photo(tiny_face_model)
    crowd = MeanFace(tiny_face_model, Knows(points, faces=19))
    photos = [load_image(image) for image in (nobody(), photo)]
    assert [len(faces) for faces in crowd.reconstruct_photos(photos)] == [0, 19]
    assert crowd.reconstruct_photos([]) == []


def test_another_constant_answer(tiny_face_model: MorphableModel, mean_face: MeanFace) -> None:
    photo, points = face_photo(tiny_face_model)
    theta = FaceParameters.zeros(1)
    theta.illumination[:, :3] = -0.5
    darker = MeanFace(tiny_face_model, Knows(points), theta, "mean-theta")
    [face], [usual] = darker.reconstruct(photo), mean_face.reconstruct(photo)
    assert face.method == "mean-theta"
    torch.testing.assert_close(face.parameters.to_vector(), theta.to_vector())
    assert face.errors["photometric"] > usual.errors["photometric"]
    assert face.errors["landmark_px"] == pytest.approx(usual.errors["landmark_px"])
    np.testing.assert_allclose(face.landmarks68_px.numpy(), points, atol=1e-3)
