"""LLaVA-Key: what the model writes is read and fitted; what cannot be read has failed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facegpt.baselines.llava_key import LlavaKey
from facegpt.data.landmark_text import write_landmarks
from facegpt.evaluation.answering import ToldPoints, photo_outcomes
from facegpt.fitting.found import find_faces
from facegpt.fitting.photos import PhotoReconstructor
from facegpt.fitting.synthesis import FitSettings
from facegpt.losses import mean_light
from facegpt.model.nano_weights import NanoWeightsError
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.images import load_image
from facegpt.pipeline.errors import RequestError
from facegpt.reconstruction import FaceReconstruction, FaceReconstructor
from tiny_facegpt import Knows, face_photo, nobody, saying, tiny_network


@pytest.fixture(scope="module")
def photo(tiny_face_model: MorphableModel) -> np.ndarray:
    return face_photo(tiny_face_model)[0]


@pytest.fixture(scope="module")
def key(tiny_face_model: MorphableModel) -> LlavaKey:
    detector = Knows(face_photo(tiny_face_model)[1], faces=2)
    return LlavaKey(tiny_network(), tiny_face_model, detector, settings=FitSettings(steps=3))


@pytest.fixture(scope="module")
def truth(key: LlavaKey, photo: np.ndarray) -> torch.Tensor:
    """The points of the face in its aligned crop."""
    return find_faces(load_image(photo), key.detector)[0].aligned.landmarks68_px.float()


def test_written_points_are_fitted_and_a_silent_model_fails(
    key: LlavaKey, photo: np.ndarray, truth: torch.Tensor
) -> None:
    assert isinstance(key, FaceReconstructor)
    assert isinstance(key, PhotoReconstructor)
    photos = [load_image(image) for image in (nobody(), photo)]
    with saying(key.network, write_landmarks(truth), "I see a person."):
        nothing, [good, bad] = key.attempt_photos(photos)
    assert nothing == []
    assert good.points.count == 68
    assert good.reconstruction is not None
    assert good.reconstruction.method == "llava-key"
    assert good.reconstruction.errors["landmark_px"] < 4
    again = FaceReconstruction.from_record(good.reconstruction.to_record())
    assert again.errors == pytest.approx(good.reconstruction.errors, rel=1e-5)
    assert (bad.said, bad.reconstruction) == ("I see a person.", None)
    assert bad.points.problem.startswith("0 of 68 points")


def test_a_benchmark_hears_why_there_is_no_face(
    key: LlavaKey, photo: np.ndarray, truth: torch.Tensor
) -> None:
    alone = replace(key, detector=Knows(key.detector.landmarks68_px), settings=FitSettings(steps=0))
    photos = [load_image(image) for image in (photo, nobody(), photo)]
    with saying(key.network, write_landmarks(truth), "I see a person."):
        made, nobody_there, unread = photo_outcomes(alone, photos)
    assert isinstance(made, FaceParameters)
    assert nobody_there == "there is no face in the photo"
    assert unread == "0 of 68 points could be read, 34 are needed"
    with saying(key.network, "Who knows?", write_landmarks(truth)):
        unread, made = ToldPoints(alone).faces_of_texts(["A man.", "A woman."])
    assert isinstance(made, FaceParameters)
    assert unread == "0 of 68 points could be read, 34 are needed"


def test_it_follows_what_is_written_not_what_was_detected(
    key: LlavaKey, photo: np.ndarray, truth: torch.Tensor
) -> None:
    alone = replace(key, detector=Knows(key.detector.landmarks68_px), settings=FitSettings(steps=0))
    with saying(key.network, write_landmarks(truth + torch.tensor([12.0, 0.0]))):
        [face] = alone.reconstruct(photo)
    # Errors are measured against the points of the detector.
    assert face.errors["landmark_px"] == pytest.approx(12, abs=3)
    with saying(key.network, write_landmarks(truth)[:40]):
        assert alone.reconstruct(photo) == []


def test_a_text_is_fitted_by_its_points_alone(key: LlavaKey, truth: torch.Tensor) -> None:
    with saying(key.network, write_landmarks(truth), "<FACE> No."):
        [face], failed = key.imagine(["A man who smiles.", "A woman."])
    assert failed == []
    assert face.text == "A man who smiles."
    assert face.reconstruction.errors == {}
    assert (face.reconstruction.landmarks68_px - truth).norm(dim=1).mean() < 4
    # Nothing speaks for a colour: those of the mean face in the mean light.
    torch.testing.assert_close(face.theta.albedo, torch.zeros_like(face.theta.albedo))
    torch.testing.assert_close(face.theta.illumination[0], mean_light(), atol=0.01, rtol=0)
    with saying(key.network, write_landmarks(truth)):
        [one] = key.imagine("A man who smiles.")
    torch.testing.assert_close(one.theta.to_vector(), face.theta.to_vector(), atol=1e-4, rtol=1e-4)


def test_how_long_it_may_write_is_bounded(key: LlavaKey, truth: torch.Tensor) -> None:
    length = len(key.network.processor.tokenizer(write_landmarks(truth)).input_ids)
    assert length <= key._most_tokens <= 1.5 * length
    with saying(key.network, write_landmarks(truth) + " 1234" * 300):
        [attempt] = key.attempt_texts(["A man."])
    assert attempt.points.count == 68
    assert 0 < attempt.points.surplus < 60


def test_empty_texts_and_missing_weights_are_refused(key: LlavaKey, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="empty"):
        key.imagine(["  "])
    with pytest.raises(NanoWeightsError):
        LlavaKey.load(tmp_path)
